use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::api::manifest::tree::{Limits, read_documents};
use crate::base::SourceId;

fn read(text: &str) -> Value {
    let (documents, diagnostics) = read_documents(SourceId(0), text, &Limits::default());
    assert!(diagnostics.is_empty(), "{diagnostics:?}\n{text}");
    assert_eq!(documents.len(), 1, "{text}");
    documents[0].to_json()
}

#[test]
fn objects_look_as_kubectl_prints_them() {
    let pod = json!({
        "kind": "Pod", "apiVersion": "v1",
        "metadata": {"name": "web-0", "creationTimestamp": "2026-01-05T08:00:00Z", "labels": {}},
        "spec": {"containers": [{"name": "main", "args": ["-v", "5", "yes"], "env": []}], "priority": 0},
        "status": {"message": "0/3 nodes are available: 3 Insufficient cpu.", "nested": [["a", {"b": 1}], []]},
    });
    let expected = "\
apiVersion: v1
kind: Pod
metadata:
  creationTimestamp: \"2026-01-05T08:00:00Z\"
  labels: {}
  name: web-0
spec:
  containers:
  - args:
    - -v
    - \"5\"
    - \"yes\"
    env: []
    name: main
  priority: 0
status:
  message: '0/3 nodes are available: 3 Insufficient cpu.'
  nested:
  - - a
    - b: 1
  - []
";
    assert_eq!(render(&pod), expected);
}

#[test]
fn text_is_quoted_only_where_it_must_be() {
    for (text, written) in [
        ("plain text", "plain text"),
        ("", "\"\""),
        ("true", "\"true\""),
        ("1e3", "\"1e3\""),
        ("12:30", "\"12:30\""),
        ("2026-01-05", "\"2026-01-05\""),
        ("~", "\"~\""),
        ("- x", "'- x'"),
        ("-x", "-x"),
        ("a: b", "'a: b'"),
        ("a:b", "a:b"),
        ("it's #1", "'it''s #1'"),
        (" x", "' x'"),
        ("a\tb", "\"a\\tb\""),
        ("*", "'*'"),
        ("a\nb", "|-\n  a\n  b"),
        ("a\n\nb\n", "|\n  a\n\n  b"),
        (" a\n\n", "|2+\n   a\n"),
        ("a \nb", "\"a \\nb\""),
        ("ä €", "ä €"),
    ] {
        assert_eq!(render(&json!({ "k": text })), format!("k: {written}\n"), "{text:?}");
    }
}

#[test]
fn long_text_is_folded_at_spaces() {
    let text =
        "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint {a: }. preemption: x";
    assert_eq!(
        render(&json!({ "message": text })),
        "message: '0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint\n  \
         {a: }. preemption: x'\n"
    );
}

#[test]
fn keys_are_in_natural_order() {
    let object = json!({"a10": 1, "a9": 1, "b": 1, "a.b": 1, "ab": 1, "A": 1});
    let written = render(&object);
    let keys: Vec<&str> = written.lines().filter_map(|l| l.split_once(':')).map(|(k, _)| k).collect();
    assert_eq!(keys, ["A", "a.b", "a9", "a10", "ab", "b"]);
}

/// Text of the sort that trips emitters: indicators, blanks, line feeds, control and wide characters.
fn text() -> impl Strategy<Value = String> {
    let odd = proptest::sample::select(vec![
        " ",
        "  ",
        "\n",
        "\n\n",
        "-",
        "- ",
        ": ",
        "#",
        " #",
        "'",
        "\"",
        "\\",
        "\t",
        "|",
        "0",
        "1e3",
        "true",
        "null",
        "é",
        "\u{2028}",
        "\u{85}",
        "\u{feff}",
        "\0",
        "😀",
        "---",
        "...",
        "{",
        "]",
        "word",
        "longer words",
        ",",
        "?",
    ]);
    prop_oneof![
        "\\PC{0,12}".prop_map(String::from),
        proptest::collection::vec(odd, 0..40).prop_map(|parts| parts.concat()),
        proptest::collection::vec("[a-z]{1,9}", 0..40).prop_map(|words| words.join(" ")),
    ]
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-1e9..1e9f64).prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::vec((text(), inner), 0..6)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

/// As the reader sees numbers: whole ones are whole.
fn normal(value: &Value) -> Value {
    match value {
        Value::Number(n) if n.is_f64() && n.as_f64().is_some_and(|f| f.fract() == 0.0) => {
            Value::from(n.as_f64().unwrap_or_default() as i64)
        }
        Value::Array(items) => items.iter().map(normal).collect(),
        Value::Object(fields) => Value::Object(fields.iter().map(|(k, v)| (k.clone(), normal(v))).collect()),
        other => other.clone(),
    }
}

proptest! {
    #[test]
    fn what_is_written_reads_as_the_same(value in json_value()) {
        let value = json!({ "k": value });
        let written = render(&value);
        prop_assert_eq!(read(&written), normal(&value), "\n{}", written);
    }
}
