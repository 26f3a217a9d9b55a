//! What kubectl and nodes say in runs from end to end.

use crate::support;

/// Runs a scenario given as text; what was refused, in kubectl's words.
fn refused(name: &str, text: &str) -> Vec<String> {
    let scenario = support::load_text(name, text);
    let report = support::run(&scenario);
    assert!(support::passed(&report), "{}", support::told(&report));
    report.outcome.refused_steps.iter().map(|(_, _, message)| message.to_string()).collect()
}

fn scenario(steps: &str, expect: &str) -> String {
    format!(
        r#"
apiVersion: wavetank.dev/v1alpha1
kind: Scenario
metadata: {{name: nodes}}
spec:
  duration: 5m
  cluster:
    nodes:
      - {{name: node-a, capacity: {{cpu: "2", memory: 8Gi, ephemeral-storage: 100Gi, pods: "110"}}}}
      - {{name: node-b, capacity: {{cpu: "2", memory: 8Gi, ephemeral-storage: 100Gi, pods: "110"}}}}
  manifests:
    - inline: |
        apiVersion: apps/v1
        kind: DaemonSet
        metadata: {{name: agent}}
        spec:
          selector: {{matchLabels: {{app: agent}}}}
          template:
            metadata: {{labels: {{app: agent}}}}
            spec: {{containers: [{{name: c, image: "agent:1"}}]}}
        ---
        apiVersion: v1
        kind: Pod
        metadata: {{name: bare}}
        spec:
          nodeName: node-a
          containers: [{{name: c, image: "app:1", resources: {{requests: {{cpu: 500m}}}}}}]
        ---
        apiVersion: v1
        kind: Pod
        metadata: {{name: scratch}}
        spec:
          nodeName: node-a
          containers: [{{name: c, image: "app:1"}}]
          volumes: [{{name: tmp, emptyDir: {{}}}}]
        ---
        apiVersion: v1
        kind: Pod
        metadata: {{name: big}}
        spec:
          nodeName: node-a
          containers: [{{name: c, image: "app:1", resources: {{requests: {{cpu: "1"}}}}}}]
  steps:
{steps}
  expect:
{expect}
"#
    )
}

/// §5.3, §13.30: filters in kubectl's order; a node that one of them stops loses nothing, and the next has its turn.
#[test]
fn a_drain_names_what_stops_it() {
    let steps = "    - {at: 1m, drain: {nodes: [node-a]}}\n    - {at: 2m, drain: {nodes: [node-a], ignoreDaemonsets: true, deleteEmptyDirData: true}}\n    - {at: 3m, drain: {nodes: [node-a], ignoreDaemonsets: true, deleteEmptyDirData: true, force: true}}";
    let expect = "    - {name: nothing went before, at: 2m59s, pods: {node: node-a, count: 4}}\n    - {name: then all but the agent, pods: {node: node-a, count: 1}}";
    let said = refused("drain", &scenario(steps, expect));
    assert_eq!(said.len(), 2, "{said:#?}");
    assert!(said[0].starts_with("error: unable to drain node \"node-a\" due to error: ["), "{}", said[0]);
    for words in [
        "cannot delete DaemonSet-managed Pods (use --ignore-daemonsets to ignore): default/agent-",
        "cannot delete Pods with local storage (use --delete-emptydir-data to override): default/scratch",
        "cannot delete cannot delete Pods that declare no controller (use --force to override): default/b",
    ] {
        assert!(said[0].contains(words), "{words}\n{}", said[0]);
    }
    assert!(said[1].contains("cannot delete cannot delete Pods that declare no controller"), "{}", said[1]);
    assert!(!said[1].contains("DaemonSet") && !said[1].contains("local storage"), "{}", said[1]);
}
/// §9.1 aside, kubectl's `--subresource resize`: what fits is allocated in place, what does not now is deferred until
/// room is free, what never can is infeasible, and what is no resize is refused.
#[test]
fn pods_are_resized_in_place() {
    let patch = |at: &str, pod: &str, resources: &str, extra: &str| {
        format!(
            "    - {{at: {at}, patch: {{resource: pod/{pod}, {extra}patch: {{spec: {{containers: [{{name: c, resources: {resources}}}]}}}}}}}}\n"
        )
    };
    let resize = "subresource: resize, ";
    let mut steps = patch("30s", "bare", "{requests: {cpu: 700m}}", resize);
    steps += &patch("1m", "bare", "{requests: {cpu: 1500m}}", resize);
    steps += &patch("1m30s", "big", "{requests: {cpu: \"3\"}}", resize);
    steps += &patch("1m40s", "bare", "{requests: {cpu: 100m}, limits: {cpu: 100m, memory: 1Gi}}", "");
    steps += &patch("1m50s", "scratch", "{requests: {cpu: 100m}}", resize);
    steps += "    - {at: 3m, delete: {resource: pod/big}}";
    let expect = "    - {name: more than the node has left, at: 59s, pods: {name: bare, condition: PodResizePending, count: 0}}
    - {name: it must wait, during: [1m1s, 3m], pods: {name: bare, condition: {type: PodResizePending, reason: Deferred}}}
    - {name: it never can, at: 2m, pods: {name: big, condition: {type: PodResizePending, reason: Infeasible}}}
    - {name: it was done in place, by: 32s, event: {reason: ResizeCompleted, object: Pod/bare, message: 'Pod resize completed: {\"containers\":[{\"name\":\"c\",\"resources\":{\"requests\":{\"cpu\":\"700m\"}}}]}'}}
    - {name: then there is room, by: 3m5s, pods: {name: bare, condition: PodResizePending, count: 0}}
    - {name: and nothing started again, pods: {name: bare, restarts: 0, ready: true}}";
    let said = refused("resize", &scenario(&steps, expect));
    assert_eq!(said.len(), 2, "{said:#?}");
    assert!(said[0].contains("pod updates may not change fields other than"), "{}", said[0]);
    assert!(
        said[1].contains(
            "spec: Invalid value: \"Burstable\": Pod QOS Class may not change as a result of resizing"
        ),
        "{}",
        said[1]
    );
}

/// §0.4: `kubectl get events` lists by name, `kubectl events` by time.
#[test]
fn events_are_listed_by_name_and_told_by_time() {
    let folder = std::env::temp_dir().join(format!("wavetank-nodes-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("events.yaml");
    std::fs::write(
        &path,
        scenario("    - {at: 1m, cordon: node-b}", "    - {name: it runs, pods: {name: bare, ready: true}}"),
    )
    .unwrap();
    let call = |words: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_wavetank"));
        let output = command.args(words).args(["-f", path.to_str().unwrap()]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().skip(1).map(str::to_owned).collect::<Vec<String>>()
    };
    let object = |line: &String| line.split_whitespace().find(|word| word.contains('/')).unwrap().to_owned();
    let listed: Vec<String> = call(&["get", "events"]).iter().map(object).collect();
    let names: Vec<String> = listed.iter().map(|o| format!("{}.", o.split_once('/').unwrap().1)).collect();
    assert!(names.is_sorted() && listed.len() > 10, "{listed:?}");
    let told = call(&["events", "--types", "Normal"]);
    let ages: Vec<u64> = told.iter().map(|line| seconds(line.split_whitespace().next().unwrap())).collect();
    assert!(ages.is_sorted_by(|a, b| a >= b), "{told:?}");
    assert!(
        told.iter()
            .map(object)
            .all(|o| o.starts_with("Pod/") || o.starts_with("Node/") || o.starts_with("DaemonSet/"))
    );
    let about = call(&["events", "--for", "pod/bare"]);
    assert!(!about.is_empty() && about.iter().map(object).all(|o| o == "Pod/bare"));
    let sorted = call(&["get", "pods", "--sort-by", ".metadata.creationTimestamp"]);
    assert_eq!(sorted.len(), 5);
}

/// `4m59s` in seconds.
fn seconds(age: &str) -> u64 {
    let (minutes, rest) = age.split_once('m').unwrap_or(("0", age));
    let rest = rest.trim_end_matches('s');
    minutes.parse::<u64>().unwrap() * 60 + if rest.is_empty() { 0 } else { rest.parse::<u64>().unwrap() }
}
