//! Autoscalers with the controllers that they meet, from end to end. Sections are those of the sheet on autoscaling.

use crate::support;

/// A Deployment `web` of Pods that ask for 200m, under an autoscaler from two to ten at 50 %.
const WEB: &str = r#"
    - inline: |
        apiVersion: apps/v1
        kind: Deployment
        metadata: {name: web}
        spec:
          replicas: 2
          selector: {matchLabels: {app: web}}
          template:
            metadata: {labels: {app: web}}
            spec: {containers: [{name: c, image: "web:1", resources: {requests: {cpu: 200m, memory: 64Mi}}}]}
        ---
        apiVersion: autoscaling/v1
        kind: HorizontalPodAutoscaler
        metadata: {name: web}
        spec:
          scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
          minReplicas: 2
          maxReplicas: 10
          targetCPUUtilizationPercentage: 50
"#;

fn scenario(manifests: &str, steps: &str, expect: &str) -> String {
    format!(
        "
apiVersion: wavetank.dev/v1alpha1
kind: Scenario
metadata: {{name: autoscaling}}
spec:
  duration: 25m
  cluster:
    nodes:
      - {{name: node-a, capacity: {{cpu: \"16\", memory: 64Gi, ephemeral-storage: 100Gi, pods: \"110\"}}}}
  manifests:{WEB}{manifests}
  steps:{steps}
  expect:{expect}
"
    )
}

fn holds(name: &str, text: &str, seeds: std::ops::Range<u64>) {
    let mut scenario = support::load_text(name, text);
    for seed in seeds {
        scenario.plan.seed = seed;
        let report = support::run(&scenario);
        assert!(support::passed(&report), "seed {seed}\n{}", support::told(&report));
    }
}

/// `§1.12` and `§7` 11: what an autoscaler takes away is deleted by the ReplicaSet; no budget is asked, nobody is evicted.
#[test]
fn no_budget_holds_an_autoscaler_back() {
    let budget = r#"
    - inline: |
        apiVersion: policy/v1
        kind: PodDisruptionBudget
        metadata: {name: web}
        spec: {minAvailable: 100%, selector: {matchLabels: {app: web}}}
"#;
    let steps = r#"
    - {at: 2m, load: {selector: app=web, total: 600m, cap: 400m}}
    - {at: 8m, load: {selector: app=web, total: 40m}}
"#;
    let expect = r#"
    - {name: it grows, at: 7m, deployment: {name: web, available: ">= 6"}}
    - {name: it shrinks, at: 20m, deployment: {name: web, replicas: 2}}
    - {name: the ReplicaSet does it, event: {reason: SuccessfulDelete, object: ReplicaSet, count: ">= 1"}}
    - {name: nobody is evicted, event: {reason: Evicted, count: 0}}
"#;
    holds("budget", &scenario(budget, steps, expect), 0..3);
}

/// `§1.11`, the derived model, and `§6.5`: from a step of the load to the first rescale it takes a scrape, which sees half of it, and a look.
#[test]
fn an_autoscaler_sees_a_step_of_the_load_in_less_than_a_minute() {
    let steps = "\n    - {at: 5m, load: {selector: app=web, total: 600m, cap: 400m}}\n";
    let expect = r#"
    - {name: not before the metrics have changed, during: [1m, 5m], hpa: {name: web, desired: 2}}
    - {name: within three periods, by: 5m45s, event: {reason: SuccessfulRescale, object: HorizontalPodAutoscaler/web, count: ">= 1"}}
"#;
    holds("step", &scenario("", steps, expect), 0..20);
}

/// `§1.12`: a rollout's new Pods take part of the load, and the autoscaler goes on with the Deployment's size.
#[test]
fn a_rollout_and_an_autoscaler_get_on() {
    let steps = r#"
    - {at: 2m, load: {selector: app=web, total: 400m, cap: 400m}}
    - {at: 8m, rollout: {restart: deployment/web}}
"#;
    let expect = r#"
    - {name: it has its size, at: 7m, deployment: {name: web, available: 4}}
    - {name: the rollout ends, at: 10m, deployment: {name: web, rolledOut: true, available: ">= 4"}}
    - {name: and the size is what it was, at: 20m, deployment: {name: web, available: 4}}
"#;
    holds("rollout", &scenario("", steps, expect), 0..3);
}

/// `§6.1`, the suggested defaults: from a Pod without a node to one that runs on a new machine of an autoscaling group it takes a loop,
/// the group's activity, the boot and the start of the kubelet: about a minute and a half, and 150 s at most nearly always.
#[test]
fn a_new_machine_takes_a_minute_or_two() {
    let text = r#"
apiVersion: wavetank.dev/v1alpha1
kind: Scenario
metadata: {name: machine}
spec:
  duration: 4m
  cluster:
    zones: [a]
    nodeGroups:
      - {name: first, instanceType: m6i.large, size: 1}
      - {name: more, instanceType: m6i.large, size: 0, min: 0, max: 3, labels: {pool: more}}
  steps:
    - at: 1m
      apply:
        - inline: |
            apiVersion: v1
            kind: Pod
            metadata: {name: app}
            spec:
              nodeSelector: {pool: more}
              containers: [{name: app, image: "app:1", resources: {requests: {cpu: "1"}}}]
  expect:
    - {name: within a loop it is asked for, by: 1m12s, event: {reason: TriggeredScaleUp, object: Pod/app}}
    - {name: no machine is there at once, during: [1m1s, 1m35s], pods: {name: app, phase: Pending, count: 1}}
    - {name: it runs, by: 3m30s, pods: {name: app, ready: true, count: 1}}
"#;
    holds("machine", text, 0..20);
}
