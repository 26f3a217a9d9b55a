use super::*;

#[test]
fn steps_are_read_by_their_verbs_in_the_order_of_time() {
    let plan = plan(
        r"
duration: 10m
cluster:
  zones: [a, b]
  nodeGroups: [{name: workers, instanceType: m6i.large, size: 2}]
manifests: [manifests/shop.yaml]
steps:
- at: 3m
  restoreZone: a
- at: 1m
  failZone: a
- at: 1m30s
  scale: {resource: deployment/web, namespace: shop, replicas: 5}
- at: 2m
  set: {resource: deployment/web, namespace: shop, image: {main: 'web:v2'}}
- at: 2m
  rollout: {undo: deployment/web, namespace: shop}
- at: 4m
  cordon: {nodes: [workers-a-1]}
",
    );
    let told: Vec<_> = plan.steps.iter().map(|s| (s.at, s.step.verb())).collect();
    let expected = [
        (60, "failZone"),
        (90, "scale"),
        (120, "set"),
        (120, "rollout"),
        (180, "restoreZone"),
        (240, "cordon"),
    ];
    assert_eq!(told, expected.map(|(at, verb)| (s(at), verb)));
    assert_eq!(plan.duration, Some(SimDuration::from_mins(10)));
}

#[test]
fn latencies_are_constants_or_distributions() {
    let plan = plan(
        r"
cluster:
  nodes: [{name: node-1, capacity: {cpu: '2', memory: 8Gi}}]
  latencies:
    imagePull: 3s
    containerStart: {uniform: {min: 1s, max: 2s}}
    podTermination: {lognormal: {median: 2s, sigma: 0.5}}
",
    );
    let seconds = SimDuration::from_secs;
    assert_eq!(plan.latencies.image_pull, ImagePull::Given(Delay::Constant(seconds(3))));
    assert_eq!(plan.latencies.container_start, Delay::Uniform { min: seconds(1), max: seconds(2) });
    assert_eq!(plan.latencies.pod_termination, Delay::LogNormal { median: seconds(2), sigma: 0.5 });
}

#[test]
fn node_groups_are_dealt_out_to_the_zones() {
    let plan = plan(
        r"
cluster:
  zones: [a, b, c]
  nodeGroups:
  - {name: w, instanceType: m6i.large, size: 4}
  - {name: x, instanceType: m6i.large, size: 1, zones: [c]}
",
    );
    let names: Vec<_> = plan.nodes.iter().map(|n| n.name().as_str()).collect();
    assert_eq!(names, ["w-a-1", "w-b-1", "w-c-1", "w-a-2", "x-c-1"]);
}
