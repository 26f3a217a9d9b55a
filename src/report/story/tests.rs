use super::*;
use crate::base::SourceMap;
use crate::scenario::{MemoryFiles, load_text};
use crate::sim::World;

const NODE: &str =
    "nodes: [{name: a, capacity: {cpu: '4', memory: 8Gi, ephemeral-storage: 50Gi, pods: '9'}}]";

/// The story of a scenario, line by line.
fn story(seconds: u64, manifests: &str, rest: &str) -> Vec<String> {
    let indented = manifests.lines().map(|l| format!("        {l}\n")).collect::<String>();
    let text = format!(
        "apiVersion: wavetank.dev/v1alpha1\nkind: Scenario\nmetadata: {{name: story}}\nspec:\n  duration: {seconds}s\n  cluster: {{{NODE}, \
         latencies: {{imagePull: 1s}}}}\n  manifests:\n    - inline: |\n{indented}{rest}"
    );
    let (plan, found) = load_text(&MemoryFiles::default(), "story.yaml", &text, &mut SourceMap::default());
    let plan = plan.unwrap_or_else(|| panic!("{found:?}\n{text}"));
    let mut narrator = Narrator::default();
    let mut world = World::new(&plan, &mut narrator);
    world.run_to_end(&mut narrator).unwrap();
    narrator.into_story().iter().map(|b| format!("{} {}", beat::short_time(b.at), b.sentence())).collect()
}

fn deployment(name: &str, limit: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}}}\nspec: {{replicas: 1, progressDeadlineSeconds: 60, selector: {{matchLabels: {{app: {name}}}}}, \
         template: {{metadata: {{labels: {{app: {name}}}}}, spec: {{containers: [{{name: app, image: 'x:1'{limit}}}]}}}}}}"
    )
}

fn count(story: &[String], part: &str) -> usize {
    story.iter().filter(|line| line.contains(part)).count()
}

#[test]
fn replication_controllers_are_workloads() {
    let manifest = "apiVersion: v1\nkind: ReplicationController\nmetadata: {name: old}\nspec:\n  replicas: 2\n  \
                    selector: {app: old}\n  template:\n    metadata: {labels: {app: old}}\n    spec: {containers: [{name: app, image: i}]}\n";
    let told = story(60, manifest, "");
    assert_eq!(count(&told, "replicationcontroller/old (2/2) has all its Pods available"), 1, "{told:#?}");
}

#[test]
fn what_goes_round_in_circles_is_told_twice_and_then_counted() {
    let told = story(
        300,
        &deployment("loop", ""),
        "  behaviour:\n    - {selector: app=loop, completes: {after: 2s, exitCode: 3}}\n",
    );
    assert_eq!(count(&told, "restarted container app, which had ended: Error (exit code 3)"), 2, "{told:#?}");
    assert_eq!(count(&told, "waits: CrashLoopBackOff"), 2, "{told:#?}");
    assert_eq!(count(&told, "times more, last at 3m"), 4, "{told:#?}");
    assert_eq!(count(&told, "default/deployment/loop (0/1) has no Pods available"), 2, "{told:#?}");
}

#[test]
fn after_a_step_it_is_news_again() {
    let told = story(
        300,
        &deployment("loop", ""),
        "  behaviour:\n    - {selector: app=loop, completes: {after: 2s, exitCode: 3}}\n  steps:\n    - {at: 2m, cordon: a}\n",
    );
    let after: Vec<String> = told.into_iter().skip_while(|line| !line.contains("cordon")).collect();
    assert_eq!(count(&after, "restarted container"), 1, "{after:#?}");
    assert_eq!(count(&after, "waits: CrashLoopBackOff"), 1, "{after:#?}");
}

#[test]
fn a_refused_drain_is_told_once_for_each_pod() {
    let budget = "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: web}\nspec: {minAvailable: 1, selector: {matchLabels: {app: web}}}";
    let told = story(
        120,
        &format!("{}\n---\n{budget}", deployment("web", "")),
        "  steps:\n    - {at: 60s, drain: {nodes: [a], timeout: 30s}}\n",
    );
    assert_eq!(count(&told, "(will retry after 5s)"), 1, "{told:#?}");
    assert_eq!(count(&told, "disruption budget. (5 times more, last at 1m25s)"), 1, "{told:#?}");
    assert_eq!(count(&told, "global timeout reached: 30s"), 1, "{told:#?}");
}

#[test]
fn a_forbidden_pod_is_told_of_its_replica_set_and_the_deployment_gives_up() {
    let quota =
        "apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: small}\nspec: {hard: {limits.cpu: '1'}}";
    let told =
        story(100, &format!("{quota}\n---\n{}", deployment("big", ", resources: {limits: {cpu: '2'}}")), "");
    assert_eq!(count(&told, "default/replicaset/big-"), 1, "{told:#?}");
    assert_eq!(
        count(
            &told,
            "is forbidden: exceeded quota: small, requested: limits.cpu=2, used: limits.cpu=0, limited: limits.cpu=1 ("
        ),
        1,
        "{told:#?}"
    );
    assert_eq!(
        count(&told, "default/deployment/big makes no progress: ProgressDeadlineExceeded"),
        1,
        "{told:#?}"
    );
}

#[test]
fn the_jobs_of_a_cron_job_are_one_and_the_same() {
    let cron = |name: &str, policy: &str, spec: &str| {
        format!(
            "apiVersion: batch/v1\nkind: CronJob\nmetadata: {{name: {name}}}\nspec: {{schedule: '* * * * *', concurrencyPolicy: {policy}, jobTemplate: {{spec: {{{spec}, \
             template: {{spec: {{restartPolicy: Never, nodeSelector: {{no: where}}, containers: [{{name: app, image: 'x:1'}}]}}}}}}}}}}"
        )
    };
    let both = format!(
        "{}\n---\n{}",
        cron("busy", "Forbid", "completions: 1"),
        cron("late", "Allow", "activeDeadlineSeconds: 30")
    );
    let told = story(605, &both, "");
    assert_eq!(count(&told, "stay Pending"), 1, "{told:#?}");
    assert_eq!(count(&told, "job default/late-"), 2, "{told:#?}");
    assert_eq!(count(&told, "longer than specified deadline (7 times more, last at 9m30"), 1, "{told:#?}");
    assert_eq!(
        count(&told, "default/cronjob/busy: Not starting job because prior execution is running"),
        1,
        "{told:#?}"
    );
}

#[test]
fn how_many_nodes_a_reason_holds_for_is_no_news() {
    let reasons = |message| reasons_of(message);
    let first = reasons(
        "0/4 nodes are available: 1 Insufficient memory, 4 Insufficient cpu. preemption: 0/4 nodes are available: 4 x.",
    );
    assert_eq!(first, reasons("0/5 nodes are available: 3 Insufficient cpu, 2 Insufficient memory."));
    assert_ne!(first, reasons("0/4 nodes are available: 4 Insufficient cpu."));
}

#[test]
fn a_workload_that_wants_nothing_any_more_says_so() {
    let told = story(
        60,
        &deployment("web", ""),
        "  steps:\n    - {at: 30s, scale: {resource: deployment/web, replicas: 0}}\n",
    );
    assert_eq!(told.last().unwrap(), "30s default/deployment/web wants no Pods any more");
}

#[test]
fn a_container_that_its_probe_kills_is_told() {
    let probe = ", livenessProbe: {tcpSocket: {port: 1}, periodSeconds: 5}";
    let told = story(60, &deployment("web", probe), "  behaviour:\n    - {startup: 1h}\n");
    assert_eq!(
        count(&told, "is unwell: Container app failed liveness probe, will be restarted"),
        1,
        "{told:#?}"
    );
}
