//! Random scenarios, with everything watched that must always hold. While things fail, only safety is checked; then the
//! faults stop, and what can be placed must come up.
//!
//! `WAVETANK_SWARM=500 cargo test --test it swarm` tries more; a failure prints its scenario, which runs as it is.

use std::fmt::Write;

use wavetank::api::{Node, Phase, Pod};
use wavetank::base::{SimTime, SourceMap};
use wavetank::facts::MemoryRecorder;
use wavetank::facts::Tee;
use wavetank::kernel::{Limits, Seed, Stream};
use wavetank::plan::Plan;
use wavetank::report::diagnostics;
use wavetank::scenario::{MemoryFiles, load_text};
use wavetank::sim::World;
use wavetank::sim::history::History;

/// Scenarios tried unless `WAVETANK_SWARM` says otherwise.
const TRIES: u64 = 24;
/// Faults happen up to here, in seconds; then everything is mended.
const FAULTS_UNTIL: u64 = 600;
/// By then all must be well.
const END: u64 = 2400;

/// More events than that mean that something goes in circles.
const EVENTS_MAX: u64 = 100_000;

const ZONES: [&str; 3] = ["zone-a", "zone-b", "zone-c"];

/// Writes one scenario from a stream of random numbers.
struct Author {
    random: Stream,
    nodes: Vec<String>,
    deployments: Vec<String>,
    text: String,
}

impl Author {
    fn scenario(number: u64) -> String {
        let random = Seed(number).stream("swarm", "scenario");
        let mut author = Self { random, nodes: Vec::new(), deployments: Vec::new(), text: String::new() };
        author.head(number);
        author.manifests();
        author.steps();
        author.text
    }

    fn line(&mut self, line: impl AsRef<str>) {
        self.text.push_str(line.as_ref());
        self.text.push('\n');
    }

    fn one_of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.random.below(choices.len() as u64) as usize]
    }

    fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.random.below(to - from + 1)
    }

    fn node(&mut self) -> String {
        let at = self.random.below(self.nodes.len() as u64) as usize;
        self.nodes[at].clone()
    }

    fn deployment(&mut self) -> String {
        let at = self.random.below(self.deployments.len() as u64) as usize;
        self.deployments[at].clone()
    }

    fn node_line(&mut self, name: &str) -> String {
        let zone = self.one_of(&ZONES);
        let cpu = self.one_of(&["1", "2", "4"]);
        let pods = self.one_of(&["8", "29", "110"]);
        format!(
            "{{name: {name}, zone: {zone}, capacity: {{cpu: '{cpu}', memory: 8Gi, ephemeral-storage: 50Gi, pods: '{pods}'}}}}"
        )
    }

    fn head(&mut self, number: u64) {
        self.line(format!(
            "apiVersion: wavetank.dev/v1alpha1\nkind: Scenario\nmetadata: {{name: swarm-{number}}}\nspec:\n  seed: {number}\n  \
             duration: {END}s\n  cluster:\n    zones: [zone-a, zone-b, zone-c]\n    nodes:"
        ));
        for n in 0..self.between(2, 7) {
            let line = self.node_line(&format!("node-{n}"));
            self.nodes.push(format!("node-{n}"));
            self.line(format!("      - {line}"));
        }
        self.line("  behaviour:\n    - {image: '*:bad', pull: fails}\n    - {selector: kind=job, completes: {after: 20s, exitCode: 1, failFirst: 1}}\n    - {selector: kind=web, startup: 3s}");
    }

    fn manifests(&mut self) {
        self.line("  manifests:\n    - inline: |\n        apiVersion: storage.k8s.io/v1\n        kind: StorageClass\n        metadata: {name: disk}\n        provisioner: ebs.csi.aws.com\n        volumeBindingMode: WaitForFirstConsumer");
        for n in 0..self.between(1, 4) {
            self.web(&format!("web-{n}"));
        }
        if self.random.below(2) == 0 {
            self.database();
        }
        if self.random.below(2) == 0 {
            self.object("apps/v1", "DaemonSet", "agent", "{}", "", "");
        }
        if self.random.below(2) == 0 {
            let (completions, parallelism) = (self.between(1, 8), self.between(1, 4));
            self.line(format!(
                "        ---\n        apiVersion: batch/v1\n        kind: Job\n        metadata: {{name: job}}\n        spec: {{completions: {completions}, \
                 parallelism: {parallelism}, template: {{metadata: {{labels: {{kind: job}}}}, spec: {{restartPolicy: Never, containers: [{{name: app, image: 'job:1', \
                 resources: {{requests: {{cpu: 100m}}}}}}]}}}}}}"
            ));
        }
    }

    fn web(&mut self, name: &str) {
        let replicas = self.between(0, 9);
        let strategy = self.one_of(&[
            "",
            "strategy: {type: Recreate}, ",
            "strategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}, ",
        ]);
        let spread = self.one_of(&[
            "",
            "topologySpreadConstraints: [{maxSkew: 1, topologyKey: topology.kubernetes.io/zone, whenUnsatisfiable: ScheduleAnyway, labelSelector: {matchLabels: {kind: web}}}], ",
        ]);
        self.object(
            "apps/v1",
            "Deployment",
            name,
            &format!("{{{strategy}replicas: {replicas}}}"),
            spread,
            "",
        );
        self.deployments.push(name.to_owned());
        if self.random.below(3) == 0 {
            let allowed = self.between(0, 2);
            self.line(format!(
                "        ---\n        apiVersion: policy/v1\n        kind: PodDisruptionBudget\n        metadata: {{name: {name}}}\n        \
                 spec: {{maxUnavailable: {allowed}, selector: {{matchLabels: {{app: {name}}}}}}}"
            ));
        }
    }

    fn database(&mut self) {
        let policy = self.one_of(&["OrderedReady", "Parallel"]);
        let claims = "volumeClaimTemplates: [{metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], storageClassName: disk, resources: {requests: {storage: 1Gi}}}}], ";
        let head =
            format!("{{serviceName: db, podManagementPolicy: {policy}, replicas: {}}}", self.between(1, 3));
        self.object("apps/v1", "StatefulSet", "db", &head, "", claims);
    }

    /// A workload of one container; `head` is a flow mapping that begins its spec.
    fn object(&mut self, version: &str, kind: &str, name: &str, head: &str, pod: &str, rest: &str) {
        let head = head.trim_start_matches('{').trim_end_matches('}');
        let comma = if head.is_empty() { "" } else { ", " };
        let cpu = self.one_of(&["50m", "200m", "700m"]);
        let grace = self.one_of(&["0", "5", "30"]);
        self.line(format!(
            "        ---\n        apiVersion: {version}\n        kind: {kind}\n        metadata: {{name: {name}}}\n        spec: {{{head}{comma}{rest}selector: {{matchLabels: \
             {{app: {name}}}}}, template: {{metadata: {{labels: {{app: {name}, kind: web}}}}, spec: {{{pod}terminationGracePeriodSeconds: {grace}, containers: [{{name: app, \
             image: '{name}:1', resources: {{requests: {{cpu: {cpu}, memory: 64Mi}}}}, readinessProbe: {{httpGet: {{path: /, port: 80}}, periodSeconds: 5}}}}]}}}}}}"
        ));
    }

    fn steps(&mut self) {
        self.line("  steps:");
        let mut steps = Vec::new();
        for n in 0..self.between(3, 14) {
            let at = self.between(20, FAULTS_UNTIL);
            let step = self.step(n);
            steps.push(format!("    - {{at: {at}s, {step}}}"));
        }
        let at = FAULTS_UNTIL + 60;
        for node in self.nodes.clone() {
            steps.push(format!("    - {{at: {at}s, restoreNode: {node}}}"));
            steps.push(format!("    - {{at: {at}s, startKubelet: {node}}}"));
            steps.push(format!("    - {{at: {at}s, heal: {node}}}"));
            steps.push(format!("    - {{at: {at}s, uncordon: {node}}}"));
            steps.push(format!("    - {{at: {at}s, taint: {{nodes: [{node}], taints: ['fault-']}}}}"));
        }
        for name in self.deployments.clone() {
            steps.push(format!(
                "    - {{at: {at}s, set: {{resource: deployment/{name}, image: {{app: '{name}:3'}}}}}}"
            ));
        }
        steps.into_iter().for_each(|step| self.line(step));
    }

    fn step(&mut self, number: u64) -> String {
        let (node, name) = (self.node(), self.deployment());
        match self.random.below(16) {
            0 => format!("scale: {{resource: deployment/{name}, replicas: {}}}", self.between(0, 12)),
            1 => format!("set: {{resource: deployment/{name}, image: {{app: '{name}:2'}}}}"),
            2 => format!("set: {{resource: deployment/{name}, image: {{app: '{name}:bad'}}}}"),
            3 => format!("failNode: {node}"),
            4 => format!("restoreNode: {node}"),
            5 => format!("cordon: {node}"),
            6 => format!("drain: {{nodes: [{node}], ignoreDaemonsets: true, timeout: 2m}}"),
            7 => format!("taint: {{nodes: [{node}], taints: ['fault=on:NoExecute']}}"),
            8 => format!("taint: {{nodes: [{node}], taints: ['fault=on:NoSchedule']}}"),
            9 => format!("delete: {{resource: pods, selector: app={name}}}"),
            10 => format!("delete: {{resource: pods, selector: app={name}, force: true, gracePeriod: 0s}}"),
            11 => format!("crash: {{resource: pods, selector: app={name}}}"),
            12 => format!("evict: {{resource: pods, selector: app={name}}}"),
            13 => format!("partition: {node}"),
            14 => format!("stopKubelet: {node}"),
            _ => {
                let line = self.node_line(&format!("extra-{number}"));
                format!("addNodes: {{nodes: [{line}]}}")
            }
        }
    }
}

fn plan(text: &str) -> Plan {
    let mut sources = SourceMap::default();
    let (plan, found) = load_text(&MemoryFiles::default(), "swarm.yaml", text, &mut sources);
    plan.unwrap_or_else(|| panic!("{}\n{text}", diagnostics::render(&found, &sources, false)))
}

/// What does not hold at the end, when nothing has failed for a long while.
fn not_well(world: &World) -> Vec<String> {
    let mut out = Vec::new();
    for node in world.store().list::<Node>().filter(|n| !n.is_ready()) {
        out.push(format!("node {} is not Ready", node.meta.name));
    }
    for pod in world.store().list::<Pod>() {
        let key = pod.meta.key();
        if pod.meta.is_deleting() {
            out.push(format!("pod {key} is still being deleted"));
        } else if pod.node_name.is_some() && !pod.is_terminal() && !pod.is_ready() {
            out.push(format!("pod {key} has a node and is not Ready ({:?})", pod.status.phase));
        } else if pod.node_name.is_none() && pod.status.phase != Phase::Pending {
            out.push(format!("pod {key} has no node and is {:?}", pod.status.phase));
        }
    }
    out
}

/// Runs a scenario and says what is wrong.
fn attempt(text: &str) -> Result<(), String> {
    let plan = plan(text);
    let (mut history, mut facts) = (History::default(), MemoryRecorder::default());
    let mut recorder = Tee(&mut history, &mut facts);
    let mut world = World::new(&plan, &mut recorder);
    world.check_invariants();
    world.set_limits(Limits { events_max: EVENTS_MAX, ..Limits::default() });
    world.run_until(SimTime::from_secs(END), &mut recorder).map_err(|fault| fault.to_string())?;
    let mut wrong = history.breaches().to_vec();
    wrong.extend(not_well(&world));
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}

#[test]
fn whatever_happens_nothing_breaks_and_all_is_well_in_the_end() {
    let tries = std::env::var("WAVETANK_SWARM").ok().and_then(|n| n.parse().ok()).unwrap_or(TRIES);
    let mut failures = String::new();
    let mut failed = 0;
    for number in 0..tries {
        let text = Author::scenario(number);
        if let Err(why) = attempt(&text) {
            failed += 1;
            if failed <= 3 {
                let _ = writeln!(failures, "{text}\n^ scenario {number}: {why}\n");
            }
        }
    }
    assert!(failed == 0, "{failed} of {tries} scenarios went wrong\n{failures}");
}

#[test]
fn the_judge_sees_a_node_that_nobody_mends() {
    let text = Author::scenario(0);
    let end = text.find("  steps:").unwrap();
    let broken = format!("{}  steps:\n    - {{at: 60s, failNode: node-0}}\n", &text[..end]);
    let why = attempt(&broken).unwrap_err();
    assert!(why.contains("node node-0 is not Ready"), "{why}");
}
