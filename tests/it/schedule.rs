//! `wavetank schedule` and `wavetank explain` as a user calls them.

use std::io::Write;
use std::process::{Command, Stdio};

/// Two nodes of one zone and one of another that is tainted; a Pod on each of the first two.
const CLUSTER: &str = r#"
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Node, metadata: {name: node-a, labels: {kubernetes.io/hostname: node-a, topology.kubernetes.io/zone: z1}},
   status: {allocatable: {cpu: "2", memory: 4Gi, pods: "10"}}}
- {apiVersion: v1, kind: Node, metadata: {name: node-b, labels: {kubernetes.io/hostname: node-b, topology.kubernetes.io/zone: z1}},
   status: {allocatable: {cpu: "2", memory: 4Gi, pods: "10"}}}
- {apiVersion: v1, kind: Node, metadata: {name: node-c, labels: {kubernetes.io/hostname: node-c, topology.kubernetes.io/zone: z2}},
   spec: {taints: [{key: team, value: db, effect: NoSchedule}]},
   status: {allocatable: {cpu: "2", memory: 4Gi, pods: "10"}}}
- {apiVersion: v1, kind: Pod, metadata: {name: web-0, namespace: shop, labels: {app: web}},
   spec: {nodeName: node-a, containers: [{name: c, image: i, resources: {requests: {cpu: 500m}}}]}}
- {apiVersion: v1, kind: Pod, metadata: {name: big, namespace: shop},
   spec: {nodeName: node-b, containers: [{name: c, image: i, resources: {requests: {cpu: 1500m}}}]}}
"#;

/// A Pod that wants to be away from the others of its app.
const WEB: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: web-1, namespace: shop, labels: {app: web}}
spec:
  containers: [{name: c, image: i, resources: {requests: {cpu: 800m}}}]
  affinity:
    podAntiAffinity:
      requiredDuringSchedulingIgnoredDuringExecution:
      - {labelSelector: {matchLabels: {app: web}}, topologyKey: kubernetes.io/hostname}
"#;

const SMALL: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: small}
spec: {containers: [{name: c, image: i, resources: {requests: {cpu: 250m}}}]}
"#;

struct Ran {
    out: String,
    err: String,
    code: Option<i32>,
}

/// Runs wavetank with these words and documents on standard input.
fn wavetank(words: &[&str], documents: &[&str]) -> Ran {
    let mut child = Command::new(env!("CARGO_BIN_EXE_wavetank"))
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(documents.join("\n---\n").as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { out: text(output.stdout), err: text(output.stderr), code: output.status.code() }
}

#[test]
fn pods_are_placed_in_their_order_and_refusals_are_told() {
    let ran = wavetank(&["schedule", "-"], &[CLUSTER, WEB, SMALL]);
    assert_eq!(
        ran.out,
        "\
shop/web-1 stays Pending
    0/3 nodes are available: 1 Insufficient cpu, 1 node(s) didn't match pod anti-affinity rules, 1 node(s) had untolerated taint {team: db}. no new claims to deallocate, preemption: 0/3 nodes are available: 1 Preemption is not helpful for scheduling, 2 No preemption victims found for incoming pod.
    node-b: Insufficient cpu (NodeResourcesFit)
    node-a: node(s) didn't match pod anti-affinity rules (InterPodAffinity)
    node-c: node(s) had untolerated taint {team: db} (TaintToleration)
default/small → node-a  (2 of 3 nodes fit; it has the highest score, 457)
1 of 2 Pods found a node
"
    );
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
}

#[test]
fn the_named_pods_are_placed_in_the_named_order() {
    let words = ["schedule", "-", "--pod", "small", "--pod", "shop/web-1", "-o", "json", "--require-all"];
    let ran = wavetank(&words, &[CLUSTER, WEB, SMALL]);
    let document: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    let pods = document["pods"].as_array().unwrap();
    assert_eq!((&pods[0]["pod"], &pods[0]["chosen"]), (&"default/small".into(), &"node-a".into()));
    assert_eq!((&pods[1]["pod"], &pods[1]["feasible"]), (&"shop/web-1".into(), &0.into()));
    assert_eq!(ran.code, Some(1), "one found no node, and all were required to");
    let ran = wavetank(&["schedule", "-", "--pod", "nobody"], &[CLUSTER]);
    assert_eq!(ran.err, "error: --pod: there is no Pod default/nobody in the input\n");
    assert_eq!(ran.code, Some(2));
}

#[test]
fn a_configuration_among_the_objects_is_used() {
    let config = "{apiVersion: kubescheduler.config.k8s.io/v1, kind: KubeSchedulerConfiguration, profiles: [{\
                  schedulerName: default-scheduler, plugins: {filter: {disabled: [{name: InterPodAffinity}]}}}]}";
    let ran = wavetank(&["schedule", "-"], &[CLUSTER, WEB, config]);
    assert!(ran.out.starts_with("shop/web-1 → node-a  (the only one of 3 nodes that fits)"), "{}", ran.out);
}

#[test]
fn copies_are_placed_until_none_fits() {
    let ran = wavetank(&["schedule", "-", "--replicas-until-full", "-o", "json"], &[CLUSTER, SMALL]);
    let document: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(document["replicas"], 8);
    assert_eq!(document["nodes"], serde_json::json!({"node-a": 6, "node-b": 2}));
    let message = document["next"]["fitMessage"].as_str().unwrap();
    assert!(message.starts_with("0/3 nodes are available: 1 node(s) had untolerated taint"), "{message}");
}

#[test]
fn mistakes_of_what_is_new_are_errors_and_what_a_server_made_is_borne() {
    let new = SMALL.replace("containers", "contaners");
    let ran = wavetank(&["schedule", "-"], &[CLUSTER, &new]);
    assert!(ran.err.contains("did you mean `containers`?"), "{}", ran.err);
    assert_eq!(ran.code, Some(2));
    let service = "{apiVersion: v1, kind: Service, metadata: {name: s}, spec: {selector: {app: web}}}";
    let made = SMALL.replace("{name: small}", "{name: small, uid: u}\nfuture: {}");
    let ran = wavetank(&["schedule", "-"], &[CLUSTER, &made, service]);
    assert!(ran.out.starts_with("default/small → node-a"), "{}", ran.out);
    assert!(ran.err.contains("note: an API server would not accept this now: unknown field"), "{}", ran.err);
}

#[test]
fn explain_says_what_is_nearest_to_fitting() {
    let ran = wavetank(&["explain", "shop/web-1", "-f", "-"], &[CLUSTER, WEB]);
    let ways = ran.out.split_once("What would have to change\n").unwrap().1;
    assert_eq!(
        ways,
        "  - node-b lacks 300m CPU and has nothing else against it
  - tolerating the taint team=db:NoSchedule would leave 1 candidate: node-c
  - removing its required Pod anti-affinity would leave 1 candidate: node-a
  - evicting Pods of lower priority than its own (0) helps on no node
  - one more node like node-a would take it
"
    );
}

#[test]
fn explain_knows_the_codes_of_diagnostics() {
    let ran = wavetank(&["explain", "wt0107"], &[]);
    assert!(ran.out.starts_with("WT0107: unknown field\n"), "{}", ran.out);
    let ran = wavetank(&["explain", "web"], &[]);
    assert_eq!(ran.code, Some(2));
    let ran = wavetank(&["explain", "web", "-n", "shop", "-f", "-"], &[CLUSTER]);
    assert_eq!(ran.err, "error: Error from server (NotFound): pods \"web\" not found; there is shop/web-0\n");
}

#[test]
fn explain_goes_back_to_the_moment_of_a_placement() {
    let scenario = format!("{}/scenarios/zone-outage.yaml", env!("CARGO_MANIFEST_DIR"));
    let ran = wavetank(&["explain", "data/db-0", "-f", &scenario, "--at", "9m"], &[]);
    assert!(ran.out.starts_with("data/db-0 is on workers-us-west-2"), "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("The scheduler took that node at "), "{}", ran.out);
    assert!(ran.out.contains("claim data/data-db-0 is bound to pvc-"), "{}", ran.out);
}
