//! Label selectors and node selectors, compiled.
//!
//! Upstream: `apimachinery/pkg/labels/selector.go`, `component-helpers/scheduling/corev1/nodeaffinity`, v1.34.

use std::fmt;

use super::meta::Labels;
use crate::base::Str;

/// How a requirement compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operator {
    /// The value is one of these.
    In,
    /// The value is none of these, or the key is absent.
    NotIn,
    /// The key is present.
    Exists,
    /// The key is absent.
    DoesNotExist,
    /// The value is an integer larger than this (node selectors).
    Gt,
    /// The value is an integer smaller than this (node selectors).
    Lt,
}

/// One condition on a label.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Requirement {
    /// The label's key.
    pub key: Str,
    /// The comparison.
    pub operator: Operator,
    /// What to compare with, in the order written.
    pub values: Vec<Str>,
}

impl Requirement {
    /// Whether `labels` satisfy it.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.matches_value(labels.get(&self.key).map(Str::as_str))
    }

    /// Whether a value (or its absence) satisfies it.
    pub fn matches_value(&self, value: Option<&str>) -> bool {
        let listed = |v: &str| self.values.iter().any(|x| x == v);
        match (self.operator, value) {
            (Operator::In, v) => v.is_some_and(listed),
            (Operator::NotIn, v) => !v.is_some_and(listed),
            (Operator::Exists, v) => v.is_some(),
            (Operator::DoesNotExist, v) => v.is_none(),
            (Operator::Gt | Operator::Lt, v) => {
                // Upstream parses both sides as int64 and matches nothing if either fails.
                let parsed = |t: &str| t.parse::<i64>().ok();
                let (Some(have), [limit]) = (v.and_then(parsed), self.values.as_slice()) else {
                    return false;
                };
                parsed(limit).is_some_and(|limit| {
                    if self.operator == Operator::Gt { have > limit } else { have < limit }
                })
            }
        }
    }
}

impl fmt::Display for Requirement {
    /// The form that kubectl prints and reads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values = || self.values.iter().map(Str::as_str).collect::<Vec<_>>().join(",");
        match self.operator {
            Operator::In if self.values.len() == 1 => write!(f, "{}={}", self.key, self.values[0]),
            Operator::In => write!(f, "{} in ({})", self.key, values()),
            Operator::NotIn if self.values.len() == 1 => write!(f, "{}!={}", self.key, self.values[0]),
            Operator::NotIn => write!(f, "{} notin ({})", self.key, values()),
            Operator::Exists => write!(f, "{}", self.key),
            Operator::DoesNotExist => write!(f, "!{}", self.key),
            Operator::Gt => write!(f, "{}>{}", self.key, values()),
            Operator::Lt => write!(f, "{}<{}", self.key, values()),
        }
    }
}

/// A label selector. `Nothing` is upstream's nil selector; no requirements select everything.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub enum LabelSelector {
    /// Selects nothing.
    #[default]
    Nothing,
    /// Selects what satisfies all requirements.
    Requirements(Vec<Requirement>),
}

impl LabelSelector {
    /// Selects everything.
    pub const fn everything() -> Self {
        Self::Requirements(Vec::new())
    }

    /// Selects objects that carry all these labels.
    pub fn from_labels(labels: &Labels) -> Self {
        Self::Requirements(
            labels
                .iter()
                .map(|(k, v)| Requirement { key: k.clone(), operator: Operator::In, values: vec![v.clone()] })
                .collect(),
        )
    }

    /// Whether `labels` are selected.
    pub fn matches(&self, labels: &Labels) -> bool {
        match self {
            Self::Nothing => false,
            Self::Requirements(all) => all.iter().all(|r| r.matches(labels)),
        }
    }

    /// Whether it selects everything (an empty selector).
    pub fn is_everything(&self) -> bool {
        matches!(self, Self::Requirements(all) if all.is_empty())
    }

    /// Reads a selector as kubectl writes it: `app=web,tier!=db,env in (a,b),!legacy,gpu`.
    ///
    /// # Errors
    /// A sentence that says what is wrong, for a diagnostic.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut requirements = Vec::new();
        for part in split_outside_parentheses(text) {
            let part = part.trim();
            if part.is_empty() {
                if text.trim().is_empty() {
                    continue;
                }
                return Err(format!("the selector `{text}` has an empty requirement"));
            }
            requirements.push(parse_requirement(part)?);
        }
        Ok(Self::Requirements(requirements))
    }
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("<none>"),
            Self::Requirements(all) => {
                for (i, requirement) in all.iter().enumerate() {
                    write!(f, "{}{requirement}", if i > 0 { "," } else { "" })?;
                }
                Ok(())
            }
        }
    }
}

fn split_outside_parentheses(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0usize, 0);
    for (index, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(&text[start..index]);
                start = index + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn parse_requirement(part: &str) -> Result<Requirement, String> {
    let key = |text: &str| -> Result<Str, String> {
        let text = text.trim();
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
        if text.is_empty() || !text.chars().all(fits) {
            return Err(format!("`{text}` is not a label key (in `{part}`)"));
        }
        Ok(text.into())
    };
    let requirement = |k: &str, operator, values| Ok(Requirement { key: key(k)?, operator, values });
    if let Some(rest) = part.strip_prefix('!') {
        return requirement(rest, Operator::DoesNotExist, Vec::new());
    }
    if let Some((head, tail)) = part.split_once('(') {
        let list = tail.trim_end().strip_suffix(')').ok_or_else(|| format!("`{part}` lacks a `)`"))?;
        let values = list.split(',').map(|v| Str::from(v.trim())).collect();
        let head = head.trim_end();
        return match head.rsplit_once(char::is_whitespace) {
            Some((k, "in")) => requirement(k, Operator::In, values),
            Some((k, "notin")) => requirement(k, Operator::NotIn, values),
            _ => Err(format!("`{part}` should read `key in (a,b)` or `key notin (a,b)`")),
        };
    }
    for (sign, operator) in [("!=", Operator::NotIn), ("==", Operator::In), ("=", Operator::In)] {
        if let Some((k, v)) = part.split_once(sign) {
            return requirement(k, operator, vec![v.trim().into()]);
        }
    }
    for (sign, operator) in [(">", Operator::Gt), ("<", Operator::Lt)] {
        if let Some((k, v)) = part.split_once(sign) {
            let v = v.trim();
            v.parse::<i64>().map_err(|_| format!("`{v}` is not an integer (in `{part}`)"))?;
            return requirement(k, operator, vec![v.into()]);
        }
    }
    requirement(part, Operator::Exists, Vec::new())
}

/// One alternative of a node selector; all its requirements must hold. An empty term matches nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct NodeSelectorTerm {
    /// Requirements on labels.
    pub expressions: Vec<Requirement>,
    /// Requirements on fields; only `metadata.name` exists.
    pub fields: Vec<Requirement>,
}

impl NodeSelectorTerm {
    /// Whether a node of this name with these labels is selected.
    pub fn matches(&self, name: &str, labels: &Labels) -> bool {
        if self.expressions.is_empty() && self.fields.is_empty() {
            return false;
        }
        self.expressions.iter().all(|r| r.matches(labels))
            && self.fields.iter().all(|r| r.key == "metadata.name" && r.matches_value(Some(name)))
    }
}

/// A node selector: any of its terms.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct NodeSelector {
    /// The alternatives.
    pub terms: Vec<NodeSelectorTerm>,
}

impl NodeSelector {
    /// Whether a node of this name with these labels is selected.
    pub fn matches(&self, name: &str, labels: &Labels) -> bool {
        self.terms.iter().any(|t| t.matches(name, labels))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(text: &str) -> Labels {
        text.split(' ').filter_map(|p| p.split_once('=')).collect()
    }

    #[test]
    fn selectors_read_as_kubectl_writes_them() {
        let s = |t: &str| LabelSelector::parse(t).unwrap();
        let web = labels("app=web tier=front n=5");
        for (text, expected) in [
            ("", true),
            ("app=web", true),
            ("app==web,tier!=db", true),
            ("app in (web, api),tier notin (db)", true),
            ("!missing,app", true),
            ("missing", false),
            ("missing!=x", true),
            ("n>4,n<6", true),
            ("app>4", false),
        ] {
            assert_eq!(s(text).matches(&web), expected, "{text}");
        }
        for text in ["a=b,", "a in b", "in (a)", "a in (b", "a b", "=x", "n>x"] {
            assert!(LabelSelector::parse(text).is_err(), "{text}");
        }
        assert_eq!(s("a in (x,y),!b,c!=d").to_string(), "a in (x,y),!b,c!=d");
    }

    #[test]
    fn nothing_and_empty_terms_match_nothing() {
        assert!(!LabelSelector::Nothing.matches(&labels("a=b")));
        assert!(!NodeSelectorTerm::default().matches("n", &labels("a=b")));
    }
}
