//! What kubectl and nodes say in runs from end to end.

use crate::support;

/// Runs a scenario given as text; what was refused, in kubectl's words.
fn refused(name: &str, text: &str) -> Vec<String> {
    refused_and_told(name, text).0
}

/// As [`refused`], with the story of the run in one line.
fn refused_and_told(name: &str, text: &str) -> (Vec<String>, String) {
    let scenario = support::load_text(name, text);
    let report = support::run(&scenario);
    let story = support::told(&report);
    assert!(support::passed(&report), "{story}");
    let refused = report.outcome.refused_steps.iter().map(|(_, _, message)| message.to_string()).collect();
    (refused, story.split_whitespace().collect::<Vec<_>>().join(" "))
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

/// §5.3, §13.30: what kubectl says while it drains: finished and static Pods are no obstacle, a refused eviction is tried
/// again every 5 s until the timeout, budgets are not asked with `--disable-eviction`, all nodes are cordoned first, and one
/// that fails does not keep the next from its turn.
#[test]
fn drains_speak_as_kubectl_does() {
    let manifests = r#"
        apiVersion: apps/v1
        kind: Deployment
        metadata: {name: web}
        spec:
          replicas: 1
          selector: {matchLabels: {app: web}}
          template:
            metadata: {labels: {app: web}}
            spec: {containers: [{name: c, image: "app:1"}], nodeSelector: {kubernetes.io/hostname: node-a}}
        ---
        apiVersion: policy/v1
        kind: PodDisruptionBudget
        metadata: {name: web}
        spec: {minAvailable: 1, selector: {matchLabels: {app: web}}}
        ---
        apiVersion: v1
        kind: Pod
        metadata: {name: done}
        spec:
          nodeName: node-a
          restartPolicy: Never
          containers: [{name: c, image: "job:1"}]
          volumes: [{name: tmp, emptyDir: {}}]
        ---
        apiVersion: v1
        kind: Pod
        metadata: {name: static-node-a, annotations: {kubernetes.io/config.mirror: x}}
        spec: {nodeName: node-a, containers: [{name: c, image: "static:1"}]}
        ---
        apiVersion: v1
        kind: Pod
        metadata: {name: other}
        spec: {nodeName: node-b, containers: [{name: c, image: "app:1"}]}
"#;
    let text = format!(
        r#"
apiVersion: wavetank.dev/v1alpha1
kind: Scenario
metadata: {{name: drains}}
spec:
  duration: 4m
  cluster:
    nodes:
      - {{name: node-a, capacity: {{cpu: "2", memory: 8Gi, ephemeral-storage: 100Gi, pods: "110"}}}}
      - {{name: node-b, capacity: {{cpu: "2", memory: 8Gi, ephemeral-storage: 100Gi, pods: "110"}}}}
  manifests:
    - inline: |{manifests}
  behaviour:
    - {{image: "job:1", completes: {{after: 2s}}}}
  steps:
    - {{at: 1m, drain: {{nodes: [node-a, node-b], timeout: 12s}}}}
    - {{at: 2m, uncordon: node-b}}
    - {{at: 3m, drain: {{nodes: [node-a], disableEviction: true}}}}
  expect:
    - {{name: both are cordoned at once, at: 1m1s, nodes: {{cordoned: true, count: 2}}}}
    - {{name: the finished one went, at: 1m10s, pods: {{name: done, count: 0}}}}
    - {{name: the static one stays, pods: {{name: static-node-a, count: 1}}}}
    - {{name: the bare one was an obstacle, pods: {{name: other, count: 1}}}}
    - {{name: the budget was not asked at last, by: 3m5s, pods: {{node: node-a, selector: app=web, count: 0}}}}
"#
    );
    let (said, story) = refused_and_told("drains", &text);
    let web = said[0].split('"').nth(3).unwrap().to_owned();
    assert_eq!(
        said[0],
        format!(
            "error: unable to drain node \"node-a\" due to error: error when evicting pods/\"{web}\" -n \"default\": global timeout reached: 12s, continuing command..."
        )
    );
    assert_eq!(
        said[1],
        "error: unable to drain node \"node-b\" due to error: cannot delete cannot delete Pods that declare no controller (use --force to override): default/other, continuing command..."
    );
    assert_eq!(said.len(), 2, "{said:#?}");
    let retry = format!(
        "error when evicting pods/\"{web}\" -n \"default\" (will retry after 5s): Cannot evict pod as it would violate the pod's disruption budget. (2 times more, last at 1m10s)"
    );
    assert!(story.contains(&retry), "{retry}\n{story}");
}

/// §5.3: with `--skip-wait-for-delete-timeout` a Pod that should have been gone for longer is not waited for, and with
/// `--grace-period` Pods have that.
#[test]
fn a_drain_need_not_wait_for_the_dead() {
    for (skip, drained) in [("", 0), (", skipWaitForDeleteTimeout: 20s", 1)] {
        let text = format!(
            r#"
apiVersion: wavetank.dev/v1alpha1
kind: Scenario
metadata: {{name: skip}}
spec:
  duration: 5m
  cluster:
    nodes:
      - {{name: node-a, capacity: {{cpu: "2", memory: 8Gi, ephemeral-storage: 100Gi, pods: "110"}}}}
      - {{name: node-b, capacity: {{cpu: "2", memory: 8Gi, ephemeral-storage: 100Gi, pods: "110"}}}}
  manifests:
    - inline: |
        apiVersion: v1
        kind: Pod
        metadata: {{name: held, finalizers: [example.com/held]}}
        spec: {{nodeName: node-a, containers: [{{name: c, image: "app:1"}}]}}
        ---
        apiVersion: v1
        kind: Pod
        metadata: {{name: next}}
        spec: {{nodeName: node-b, terminationGracePeriodSeconds: 600, containers: [{{name: c, image: "slow:1"}}]}}
  behaviour:
    - {{image: "slow:1", shutdown: 10m}}
  steps:
    - {{at: 10s, delete: {{resource: pod/held}}}}
    - {{at: 2m, drain: {{nodes: [node-a, node-b], force: true, gracePeriod: 5s{skip}}}}}
  expect:
    - {{name: the second node had its turn or not, at: 2m10s, pods: {{name: next, count: {}}}}}
"#,
            1 - drained
        );
        assert!(refused(&format!("skip-{drained}"), &text).is_empty());
    }
}

/// §5.3: in a namespace that is being deleted evictions are forbidden; kubectl tries again until the Pod goes with it.
#[test]
fn a_drain_waits_for_a_namespace_that_is_being_deleted() {
    let text = r#"
apiVersion: wavetank.dev/v1alpha1
kind: Scenario
metadata: {name: leaving}
spec:
  duration: 3m
  cluster:
    nodes:
      - {name: node-a, capacity: {cpu: "2", memory: 8Gi, ephemeral-storage: 100Gi, pods: "110"}}
  manifests:
    - inline: |
        apiVersion: v1
        kind: Namespace
        metadata: {name: team}
        ---
        apiVersion: v1
        kind: Pod
        metadata: {name: app, namespace: team}
        spec: {nodeName: node-a, containers: [{name: c, image: "app:1"}]}
  steps:
    - {at: 1m, delete: {resource: namespace/team}}
    - {at: 1m1s, drain: {nodes: [node-a], force: true}}
  expect:
    - {name: it is gone, pods: {namespace: team, count: 0}}
    - {name: and so is its namespace, by: 1m30s, pods: {namespace: team, count: 0}}
"#;
    let (said, story) = refused_and_told("leaving", text);
    assert!(said.is_empty(), "{said:#?}");
    let retry = "error when evicting pod \"app\" from terminating namespace \"team\" (will retry after 5s): pods \"app\" is forbidden: unable to create new content in namespace team because it is being terminated";
    assert!(story.contains(retry), "{story}");
    assert!(!story.contains("unable to drain"), "{story}");
}

/// What a new object may not say, a change may not say either, in the API server's words.
#[test]
fn patches_and_settings_are_validated() {
    let deployment = "resource: daemonset/agent";
    let patch = |at: u32, target: &str, change: &str| {
        format!("    - {{at: {at}s, patch: {{{target}, patch: {change}}}}}\n")
    };
    let mut steps = patch(30, deployment, "{spec: {minReadySeconds: -1}}");
    steps += &patch(40, deployment, "{spec: {template: {metadata: {labels: {app: other}}}}}");
    steps += "    - {at: 50s, set: {resource: daemonset/agent, resources: {c: {requests: {cpu: 2}, limits: {cpu: 1}}}}}\n";
    steps += &patch(60, "resource: pod/big", "{metadata: {labels: {\"a b\": c}}}");
    steps += &patch(
        70,
        "resource: pod/bare, subresource: resize",
        "{spec: {containers: [{name: c, resources: {requests: {cpu: \"-1\"}}}]}}",
    );
    steps += "    - {at: 80s, set: {resource: daemonset/agent, resources: {c: {requests: {cpu: 100m}, limits: {cpu: 200m}}}}}";
    let expect =
        "    - {name: what is well is done, by: 2m, pods: {selector: app=agent, ready: true, count: 2}}";
    let said = refused("changes", &scenario(&steps, expect));
    let expected = [
        "The DaemonSet \"agent\" is invalid: spec.minReadySeconds: Invalid value: -1: must be greater than or equal to 0",
        "The DaemonSet \"agent\" is invalid: spec.template.metadata.labels: Invalid value: {\"app\":\"other\"}: `selector` does not match template `labels`",
        "The DaemonSet \"agent\" is invalid: spec.template.spec.containers[0].resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1",
        "The Pod \"big\" is invalid: metadata.labels: Invalid value: \"a b\": ",
        "The Pod \"bare\" is invalid: spec.containers[0].resources.requests[cpu]: Invalid value: \"-1\": must be greater than or equal to 0",
    ];
    assert_eq!(said.len(), expected.len(), "{said:#?}");
    for (said, expected) in said.iter().zip(expected) {
        assert!(said.starts_with(expected), "{said}\n{expected}");
    }
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
