//! The shapes that names, labels, ports and percentages must have.
//!
//! Upstream: `apimachinery/pkg/util/validation/validation.go`, v1.34. Each function returns what is
//! wrong, and nothing if nothing is.

const QUALIFIED: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL_1035: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const PERCENT: &str = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')";

fn at_most(errors: &mut Vec<String>, value: &str, max: usize) {
    if value.len() > max {
        errors.push(format!("must be no more than {max} characters"));
    }
}

/// Whether `value` is made of `inner` bytes, with an `end` byte first and last.
fn framed(value: &str, end: impl Fn(u8) -> bool, inner: impl Fn(u8) -> bool) -> bool {
    let bytes = value.as_bytes();
    matches!((bytes.first(), bytes.last()), (Some(first), Some(last)) if end(*first) && end(*last))
        && bytes.iter().all(|b| inner(*b))
}

fn lower(b: u8) -> bool {
    b.is_ascii_lowercase() || b.is_ascii_digit()
}

fn is_label(value: &str) -> bool {
    framed(value, lower, |b| lower(b) || b == b'-')
}

/// An RFC 1123 label.
pub(crate) fn dns1123_label(value: &str) -> Vec<String> {
    let mut errors = Vec::new();
    at_most(&mut errors, value, 63);
    if !is_label(value) {
        // Upstream says *subdomain* where the value is one, so that the mistake is easier to see.
        errors.push(
            if dns1123_subdomain(value).is_empty() { "must not contain dots" } else { LABEL }.to_owned(),
        );
    }
    errors
}

/// An RFC 1123 subdomain.
pub(crate) fn dns1123_subdomain(value: &str) -> Vec<String> {
    let mut errors = Vec::new();
    at_most(&mut errors, value, 253);
    if !value.split('.').all(is_label) {
        errors.push(SUBDOMAIN.to_owned());
    }
    errors
}

/// An RFC 1035 label.
pub(crate) fn dns1035_label(value: &str) -> Vec<String> {
    let mut errors = Vec::new();
    at_most(&mut errors, value, 63);
    if !is_label(value) || !value.starts_with(|c: char| c.is_ascii_lowercase()) {
        errors.push(LABEL_1035.to_owned());
    }
    errors
}

/// A segment of a path. Upstream: `api/validation/path/name.go`.
pub(crate) fn path_segment(value: &str) -> Vec<String> {
    if value == "." || value == ".." {
        return vec![format!("may not be '{value}'")];
    }
    ['/', '%'].iter().filter(|c| value.contains(**c)).map(|c| format!("may not contain '{c}'")).collect()
}

fn is_qualified_part(value: &str) -> bool {
    framed(value, |b| b.is_ascii_alphanumeric(), |b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

/// A name with an optional prefix, as keys of labels are.
pub(crate) fn qualified_name(value: &str) -> Vec<String> {
    let mut errors = Vec::new();
    let name = match value.split('/').collect::<Vec<_>>()[..] {
        [name] => name,
        [prefix, name] => {
            if prefix.is_empty() {
                errors.push("prefix part must be non-empty".to_owned());
            } else {
                errors.extend(dns1123_subdomain(prefix).into_iter().map(|e| format!("prefix part {e}")));
            }
            name
        }
        _ => {
            return vec![format!(
                "a qualified name {QUALIFIED} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            )];
        }
    };
    if name.is_empty() {
        errors.push("name part must be non-empty".to_owned());
    } else if name.len() > 63 {
        errors.push("name part must be no more than 63 characters".to_owned());
    }
    if !is_qualified_part(name) {
        errors.push(format!("name part {QUALIFIED}"));
    }
    errors
}

/// The value of a label.
pub(crate) fn label_value(value: &str) -> Vec<String> {
    let mut errors = Vec::new();
    at_most(&mut errors, value, 63);
    if !value.is_empty() && !is_qualified_part(value) {
        errors.push(LABEL_VALUE.to_owned());
    }
    errors
}

/// The number of a port.
pub(crate) fn port_number(value: i32) -> Vec<String> {
    if (1..=65535).contains(&value) {
        Vec::new()
    } else {
        vec!["must be between 1 and 65535, inclusive".to_owned()]
    }
}

/// The name of a port.
pub(crate) fn port_name(value: &str) -> Vec<String> {
    let mut errors = Vec::new();
    let mut unless = |holds: bool, message: &str| {
        if !holds {
            errors.push(message.to_owned());
        }
    };
    unless(value.len() <= 15, "must be no more than 15 characters");
    unless(
        !value.is_empty() && value.bytes().all(|b| lower(b) || b == b'-'),
        "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
    );
    unless(value.bytes().any(|b| b.is_ascii_lowercase()), "must contain at least one letter (a-z)");
    unless(!value.contains("--"), "must not contain consecutive hyphens");
    unless(!value.starts_with('-') && !value.ends_with('-'), "must not begin or end with a hyphen");
    errors
}

/// A percentage like `25%`.
pub(crate) fn percent(value: &str) -> Vec<String> {
    let digits = value.strip_suffix('%').unwrap_or_default();
    if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
        Vec::new()
    } else {
        vec![PERCENT.to_owned()]
    }
}

/// The name of an environment variable, as relaxed in v1.34.
pub(crate) fn env_var_name(value: &str) -> Vec<String> {
    if value.bytes().all(|b| (b' '..=b'~').contains(&b) && b != b'=') {
        Vec::new()
    } else {
        vec!["a valid environment variable name must consist only of printable ASCII characters other than '='".to_owned()]
    }
}

/// A key of a ConfigMap or Secret.
pub(crate) fn config_key(value: &str) -> Vec<String> {
    let mut errors = Vec::new();
    at_most(&mut errors, value, 253);
    if value.is_empty() || !value.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)) {
        errors.push("a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')".to_owned());
    }
    if value == "." {
        errors.push("must not be '.'".to_owned());
    } else if value == ".." {
        errors.push("must not be '..'".to_owned());
    } else if value.starts_with("..") {
        errors.push("must not start with '..'".to_owned());
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rule: fn(&str) -> Vec<String>, good: &[&str], bad: &[&str]) {
        for value in good {
            assert_eq!(rule(value), Vec::<String>::new(), "{value}");
        }
        for value in bad {
            assert!(!rule(value).is_empty(), "{value}");
        }
    }

    #[test]
    fn shapes_are_those_of_the_api_server() {
        let long = "a".repeat(64);
        check(dns1123_label, &["a", "1a", "a-b"], &["", "A", "-a", "a-", "a.b", "a_b", &long, "é"]);
        check(dns1123_subdomain, &["a.b", "1.2", &long], &["", "a..b", ".a", "A.b", &"a".repeat(254)]);
        check(dns1035_label, &["a1"], &["1a", "", "A"]);
        check(path_segment, &["system:node", "a b"], &[".", "..", "a/b", "a%b"]);
        check(
            qualified_name,
            &["a", "A_b.c", "a.b/C"],
            &["", "/a", "a/", "a/b/c", "-a", "A.b/", "a/-b", &long],
        );
        check(label_value, &["", "a", "A_b.c", "1"], &["-a", "a b", "a/b", &long]);
        check(port_name, &["http", "a-1"], &["", "80", "a--b", "-a", "HTTP", &"a".repeat(16)]);
        check(percent, &["0%", "25%"], &["", "%", "25", "-1%", "1.5%"]);
        check(config_key, &["a.b", "A_B"], &["", "a/b", ".", "..", "..a"]);
        check(env_var_name, &["A", "a b", "1"], &["a=b", "é"]);
        assert!(port_number(0).len() == 1 && port_number(65536).len() == 1 && port_number(80).is_empty());
    }
}
