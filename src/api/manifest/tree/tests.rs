//! What the reader makes of texts, and where it says things stand.

use serde_json::json;

use super::*;
use crate::base::{Diagnostic, SourceId};

fn read(text: &str) -> (Vec<Tree>, Vec<Diagnostic>) {
    read_documents(SourceId(0), text, &Limits::default())
}

fn one(text: &str) -> Tree {
    let (mut trees, diagnostics) = read(text);
    assert_eq!(diagnostics, Vec::new(), "{text}");
    assert_eq!(trees.len(), 1, "{text}");
    trees.remove(0)
}

fn complaints(text: &str) -> Vec<(&'static str, String, String)> {
    read(text)
        .1
        .into_iter()
        .map(|d| {
            let place = d.label.map_or("", |(span, _)| &text[span.range()]);
            (d.code, d.message, place.to_owned())
        })
        .collect()
}

#[test]
fn documents_follow_one_another_and_empty_ones_are_left_out() {
    let (trees, diagnostics) = read("# nothing\n---\na: 1\n---\n---\nb: 2\n...\n---\n~\n");
    assert_eq!(diagnostics, Vec::new());
    let json: Vec<_> = trees.iter().map(Tree::to_json).collect();
    assert_eq!(json, [json!({"a": 1}), json!({"b": 2})]);
}

#[test]
fn json_and_streams_of_json_are_read() {
    assert_eq!(
        one("{\"a\": [1, 2.5, \"x\\u00e9\\/\", null, true]}").to_json(),
        json!({"a": [1, 2.5, "xé/", null, true]})
    );
    let (trees, diagnostics) = read("{\"a\": 1}\n{\"a\": 2}{\n\t\"a\": 3\n}\n");
    assert_eq!(diagnostics, Vec::new());
    assert_eq!(trees.iter().map(|t| t.get("a").unwrap().to_json()).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(trees[1].get("a").unwrap().span.start, 15);
    assert_eq!(one("{\"a\": \"\\ud83d\\ude00\"}").to_json(), json!({"a": "😀"}));
}

#[test]
fn keys_and_values_know_their_places() {
    let text = "spec:\n  replicas: 3\n  list:\n  - name: é\n  - {name: b, x: [1, 2]}\n  empty:\n";
    let tree = one(text);
    let at = |path: &str| &text[tree.path_span(path).range()];
    assert_eq!(at("spec.replicas"), "3");
    assert_eq!(at("spec.list[0].name"), "é");
    assert_eq!(at("spec.list[1].x[1]"), "2");
    assert_eq!(at("spec.list[1].missing"), "{name: b, x: [1, 2]}");
    assert_eq!(at("spec.list"), "list");
    assert_eq!(at("spec.empty"), "empty");
    assert_eq!(at("nothing"), "spec");
    let list = &text[tree.lookup("spec.list").unwrap().span.range()];
    assert_eq!(
        list,
        "name: é
  - {name: b, x: [1, 2]}"
    );
}

#[test]
fn a_key_given_twice_is_refused_with_both_places() {
    let text = "a:\n  x: 1\n  y: 2\n  x: 3\nb: 1\n";
    let (trees, diagnostics) = read(text);
    assert!(trees.is_empty());
    let [diagnostic] = &diagnostics[..] else { panic!("{diagnostics:?}") };
    assert_eq!((diagnostic.code, diagnostic.message.as_str()), ("WT0102", "key \"x\" already set in map"));
    assert_eq!(diagnostic.label.as_ref().unwrap().0.start, 19);
    assert_eq!(diagnostic.related[0].0.start, 5);
}

#[test]
fn a_broken_document_does_not_hide_the_next_mistakes() {
    let text = "a: [1\n---\nb: 1\nb: 2\n---\nc: 1\n";
    let (trees, diagnostics) = read(text);
    assert_eq!(trees.len(), 1);
    assert_eq!(diagnostics.iter().map(|d| d.code).collect::<Vec<_>>(), ["WT0101", "WT0102"]);
}

#[test]
fn keys_are_strings_whatever_they_look_like() {
    assert_eq!(
        one("{1: a, yes: b, 1.5: c, \"\": d}").to_json(),
        json!({"1": "a", "true": "b", "1.5": "c", "": "d"})
    );
    assert_eq!(complaints("replicas: {{ .Values.n }}\n")[0].0, "WT0104");
    assert_eq!(complaints("~: 1\n"), [("WT0104", "invalid map key".to_owned(), "~".to_owned())]);
}

#[test]
fn anchors_and_merges_are_put_in_place() {
    let text = "base: &b {x: 1, w: 2}\nuse: *b\nmerged:\n  <<: *b\n  w: 3\nmany:\n  <<: [*b, {z: 4}]\n";
    let expected = json!({"base": {"x": 1, "w": 2}, "use": {"x": 1, "w": 2},
        "merged": {"w": 3, "x": 1}, "many": {"x": 1, "w": 2, "z": 4}});
    assert_eq!(one(text).to_json(), expected);
    assert_eq!(complaints("a: &a [*a]\n")[0].0, "WT0101");
    assert_eq!(complaints("a: {<<: 1}\n")[0].0, "WT0104");
    assert_eq!(complaints("a: *nobody\n")[0].0, "WT0101");
}

#[test]
fn limits_end_the_reading_with_a_reason() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for i in 1..30 {
        let aliases = vec![format!("*a{}", i - 1); 10].join(", ");
        bomb += &format!("a{i}: &a{i} [{aliases}]\n");
    }
    let long_chain: String =
        (1..3000).fold("a0: &a0 [x]\n".to_owned(), |text, i| text + &format!("a{i}: &a{i} [*a{}]\n", i - 1));
    for (text, words) in [
        (bomb, "document contains excessive aliasing"),
        ("[".repeat(100_000), "values are nested more than 128 deep"),
        ("- ".repeat(100_000), "values are nested more than 128 deep"),
        (long_chain, "values are nested more than 128 deep"),
    ] {
        let (trees, diagnostics) = read(&text);
        assert!(trees.is_empty());
        assert_eq!(diagnostics.iter().map(|d| d.message.as_str()).collect::<Vec<_>>(), [words]);
    }
    let small = Limits { input_bytes_max: 4, ..Limits::default() };
    assert_eq!(read_documents(SourceId(0), "a: 12", &small).1[0].code, "WT0103");
    let few = Limits { documents_max: 1, ..Limits::default() };
    assert_eq!(read_documents(SourceId(0), "a: 1\n---\nb: 1\n", &few).1[0].code, "WT0103");
    let few = Limits { nodes_max: 3, ..Limits::default() };
    assert_eq!(read_documents(SourceId(0), "[1, 2, 3, 4]", &few).1[0].code, "WT0103");
}

#[test]
fn ten_megabytes_of_one_line_are_read() {
    for text in ["x".repeat(10 << 20), format!("a: \"{}\"", "y".repeat(10 << 20)), "9".repeat(10 << 20)] {
        let (trees, diagnostics) = read(&text);
        assert_eq!((trees.len(), diagnostics.len()), (1, 0));
    }
    let (trees, _) = read(&"{".repeat(10 << 20));
    assert!(trees.is_empty());
}

mod types {
    use std::collections::BTreeMap;

    use k8s_openapi::api::apps::v1::Deployment;
    use serde::Deserialize;
    use serde::de::DeserializeOwned;

    use super::*;
    use crate::api::manifest::tree::de::{Words, from_tree, from_tree_all};

    fn errors<T: DeserializeOwned>(text: &str, words: Words) -> Vec<(String, String, String)> {
        let (_, _, errors) = from_tree_all::<T>(&one(text), words);
        errors.into_iter().map(|e| (e.path, text[e.span.range()].to_owned(), e.message)).collect()
    }

    #[test]
    fn kubernetes_types_are_read_and_unknown_fields_are_named() {
        let text = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a, labels: {a.b/c: x}}\n\
            spec:\n  replcas: 3\n  template:\n    spec:\n      containers:\n      - name: c\n        imge: x\n\
            \x20       resources: {limits: {cpu: 1, memory: 0.5}}\n";
        let (value, unknown, errors) = from_tree_all::<Deployment>(&one(text), Words::Kubernetes);
        assert_eq!(errors, []);
        let container = &value.unwrap().spec.unwrap().template.spec.unwrap().containers[0];
        let limits = container.resources.as_ref().unwrap().limits.as_ref().unwrap();
        assert_eq!((limits["cpu"].0.as_str(), limits["memory"].0.as_str()), ("1", "0.5"));
        let unknown: Vec<_> = unknown.iter().map(|u| (u.path.as_str(), &text[u.span.range()])).collect();
        let expected = [("spec.replcas", "replcas"), ("spec.template.spec.containers[0].imge", "imge")];
        assert_eq!(unknown, expected);
    }

    #[test]
    fn every_type_error_is_told_in_the_words_of_the_api_server() {
        let text = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  labels: {a: 1}\nspec:\n  replicas: \"3\"\n\
            \x20 paused: 1\n  selector: x\n  strategy: {rollingUpdate: {maxSurge: 1.5}}\n  template:\n    spec:\n\
            \x20     containers: {name: a}\n      terminationGracePeriodSeconds: 3000000000000000000000\n\
            \x20     nodeSelector: [a]\n      overhead: {cpu: lots}\n";
        let found = errors::<Deployment>(text, Words::Kubernetes);
        let has = |path: &str, place: &str, message: &str| {
            let expected = (path.to_owned(), place.to_owned(), message.to_owned());
            assert!(found.contains(&expected), "{expected:?} in {found:#?}");
        };
        let field = "json: cannot unmarshal";
        has(
            "metadata.labels.a",
            "1",
            &format!("{field} number into Go struct field ObjectMeta.metadata.labels of type string"),
        );
        has(
            "spec.replicas",
            "\"3\"",
            &format!("{field} string into Go struct field DeploymentSpec.spec.replicas of type int32"),
        );
        has(
            "spec.paused",
            "1",
            &format!("{field} number into Go struct field DeploymentSpec.spec.paused of type bool"),
        );
        has(
            "spec.selector",
            "x",
            &format!(
                "{field} string into Go struct field DeploymentSpec.spec.selector of type v1.LabelSelector"
            ),
        );
        has(
            "spec.template.spec.containers",
            "containers",
            &format!(
                "{field} object into Go struct field PodSpec.spec.template.spec.containers of type []v1.Container"
            ),
        );
        has(
            "spec.template.spec.nodeSelector",
            "nodeSelector",
            &format!(
                "{field} array into Go struct field PodSpec.spec.template.spec.nodeSelector of type map[string]string"
            ),
        );
        assert_eq!(found.len(), 9, "{found:#?}");
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct Mine {
        name: String,
        #[serde(default)]
        many: Vec<u8>,
        #[serde(default)]
        verb: Option<Verb>,
        #[serde(default)]
        map: BTreeMap<String, Option<bool>>,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "camelCase")]
    enum Verb {
        Stop,
        Scale(u32),
        Set { to: String },
    }

    #[test]
    fn types_of_our_own_are_read_with_plain_words() {
        let (mine, unknown): (Mine, _) =
            from_tree(&one("name: a\nmany: [1, 2]\nverb: {scale: 3}\nmap: {a: true, b: }\n")).unwrap();
        assert_eq!((mine.many, mine.verb, unknown.len()), (vec![1, 2], Some(Verb::Scale(3)), 0));
        assert_eq!(from_tree::<Mine>(&one("name: a\nverb: stop\n")).unwrap().0.verb, Some(Verb::Stop));
        let set = from_tree::<Mine>(&one("name: a\nverb: {set: {to: b}}\n")).unwrap().0.verb;
        assert_eq!(set, Some(Verb::Set { to: "b".to_owned() }));

        let text = "name: 5\nmany: [1, 300, x]\nverb: {scal: 3}\nmap: {a: 1}\nnme: 1\n";
        let found = errors::<Mine>(text, Words::Plain);
        let expected = [
            ("name", "5", "expected a string, found a number"),
            ("many[1]", "300", "expected a whole number, zero or more, found the number 300"),
            ("many[2]", "x", "expected a whole number, zero or more, found a string"),
            ("verb", "scal", "unknown value `scal`, did you mean `scale`?"),
            ("map.a", "1", "expected `true` or `false`, found a number"),
            ("nme", "nme", "unknown field `nme`, did you mean `name`?"),
        ];
        let expected: Vec<_> =
            expected.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned())).into_iter().collect();
        assert_eq!(found, expected);
        assert_eq!(from_tree::<Mine>(&one("many: []\n")).unwrap_err().message, "missing field `name`");
    }
}

#[test]
fn a_block_at_an_open_end_has_no_line_feed() {
    for (text, expected) in [
        ("a: |\n  x", "x"),
        ("a: |\n  x\n", "x\n"),
        ("a: >\n  x\n  y", "x y"),
        ("a: |+\n  x", "x"),
        ("a: |\n  x\n  ", "x\n"),
        ("a: |\n  x\n   ", "x\n "),
    ] {
        let (documents, _) = read_documents(SourceId(0), text, &Limits::default());
        assert_eq!(documents[0].get("a").and_then(Tree::as_str), Some(expected), "{text:?}");
    }
}
