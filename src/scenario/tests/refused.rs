use super::*;

#[test]
fn all_mistakes_are_told_at_once_with_place_and_cure() {
    let found = mistakes(
        r"
cluster:
  zones: [a]
  nodeGroups: [{name: w, instanceType: m6i.lage, size: 2}]
steps:
- at: 1m
  failZone: b
- at: 1 minute
  cordn: {nodes: [w-a-1]}
",
    );
    insta::assert_snapshot!(found.join("\n"));
}

#[test]
fn a_step_has_one_verb() {
    let found = mistakes(
        r"
cluster: {zones: [a], nodeGroups: [{name: w, instanceType: m6i.large, size: 1}]}
steps:
- at: 1m
- at: 2m
  failZone: a
  restoreZone: a
",
    );
    insta::assert_snapshot!(found.join("\n"));
}
