//! Kubelets over a store, driven by hand: what happened to Pods, and when.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::pressure::{InUse, Scarce};
use super::{Ctx, KubeletEvent, Kubelets, Params};
use crate::api::k8s::core::v1 as core;
use crate::api::lower::lower_pod;
use crate::api::node::Node;
use crate::api::policy::Lease;
use crate::api::resources::{CPU, EPHEMERAL_STORAGE, MEMORY, PODS};
use crate::api::storage::{ClaimPhase, CsiNode, PersistentVolume, PersistentVolumeClaim, VolumeAttachment};
use crate::api::{ContainerState, Event, LabelSelector, Meta, ObjectKey, Pod, condition};
use crate::base::{Quantity, SimDuration, SimTime, SourceId, Span, Str};
use crate::params::behaviour::{Behaviour, Completion, Matches, MemoryUse};
use crate::params::settings::Kubelet as KubeletSettings;
use crate::params::{Delay, ImagePull, KubeVersion, Latencies};
use crate::store::{Change, DeleteOptions, Store, Verb};
use crate::testkit;

/// A store with kubelets, their timers, and a trace of what became of Pods.
struct Rig {
    store: Store,
    kubelets: Kubelets,
    latencies: Latencies,
    behaviours: Vec<Behaviour>,
    settings: KubeletSettings,
    timers: BTreeMap<(SimTime, u64), KubeletEvent>,
    sequence: u64,
    trace: Vec<String>,
}

impl Rig {
    /// The node `n1`, images at hand in no time, starts and ends that take a second.
    fn new() -> Self {
        let mut rig = Self::without_nodes();
        rig.join_ready("n1");
        rig
    }

    fn without_nodes() -> Self {
        let second = Delay::Constant(SimDuration::from_secs(1));
        Self {
            store: testkit::store(),
            kubelets: Kubelets::default(),
            latencies: Latencies {
                image_pull: ImagePull::Given(Delay::ZERO),
                container_start: second,
                pod_termination: second,
                node_ready: Delay::Constant(SimDuration::from_secs(2)),
                pod_resync: second,
                volume_mount: Delay::ZERO,
                lease_stagger: SimDuration::ZERO,
                ..Latencies::default()
            },
            behaviours: Vec::new(),
            settings: KubeletSettings::default(),
            timers: BTreeMap::new(),
            sequence: 0,
            trace: Vec::new(),
        }
    }

    fn with<R>(&mut self, act: impl FnOnce(&mut Kubelets, &mut Ctx<'_>) -> R) -> R {
        let mut out = Vec::new();
        let mut ctx = Ctx {
            store: &mut self.store,
            params: Params {
                latencies: &self.latencies,
                behaviours: &self.behaviours,
                settings: &self.settings,
                version: KubeVersion::default(),
                events: true,
            },
            out: &mut out,
        };
        let result = act(&mut self.kubelets, &mut ctx);
        for (at, event) in out {
            self.sequence += 1;
            self.timers.insert((at, self.sequence), event);
        }
        result
    }

    fn settle(&mut self) {
        while self.store.has_changes() {
            for change in self.store.drain_changes() {
                self.note(&change);
                self.with(|kubelets, ctx| kubelets.on_change(&change, ctx));
            }
        }
    }

    fn note(&mut self, change: &Change) {
        let Some((_, new)) = change.of::<Pod>() else { return };
        let line = match new {
            None => format!("{} {} gone", seconds(change.at), change.object.meta().name),
            Some(_) if change.verb == Verb::Added => return,
            Some(pod) => format!("{} {}", seconds(change.at), sight(pod)),
        };
        self.trace.push(line);
    }

    /// Lets everything happen that is due until `until`, in seconds.
    fn run(&mut self, until: u64) {
        let until = SimTime::from_secs(until);
        self.settle();
        while let Some(entry) = self.timers.first_entry().filter(|e| e.key().0 <= until) {
            let ((at, _), event) = entry.remove_entry();
            self.store.advance(at);
            self.with(|kubelets, ctx| kubelets.handle(event, ctx));
            self.settle();
        }
        self.store.advance(until);
    }

    fn node(name: &str) -> (Node, CsiNode) {
        let mut node = Node { meta: Meta::named("", name), ..Node::default() };
        node.meta.labels = testkit::labels("pool=a");
        for (resource, amount) in [
            (CPU, Quantity::from_units(2)),
            (MEMORY, Quantity::from_bytes(4 << 30)),
            (EPHEMERAL_STORAGE, Quantity::from_bytes(100 << 30)),
            (PODS, Quantity::from_units(110)),
        ] {
            node.status.capacity.0.insert(resource.into(), amount);
            node.status.allocatable.0.insert(resource.into(), amount);
        }
        (node, CsiNode { meta: Meta::named("", name), drivers: Vec::new() })
    }

    fn join_ready(&mut self, name: &str) {
        let (node, csi) = Self::node(name);
        self.with(|kubelets, ctx| kubelets.join_ready(node, csi, ctx)).unwrap();
        self.settle();
    }

    /// A Pod with this spec, bound to `n1`.
    fn pod(&mut self, name: &str, spec: Value) {
        let value = json!({"metadata": {"name": name, "namespace": "default", "labels": {"app": name}}, "spec": spec});
        self.create(&value);
    }

    fn create(&mut self, value: &Value) {
        let boundary: core::Pod = serde_json::from_value(value.clone()).unwrap();
        let mut pod = lower_pod(boundary).unwrap();
        pod.node_name.get_or_insert("n1".into());
        self.store.create(pod).unwrap();
        self.settle();
    }

    /// Containers of the Pods called `name` do this.
    fn behave(&mut self, name: &str, change: impl FnOnce(&mut Behaviour)) {
        let mut behaviour = Behaviour {
            matches: Matches {
                image: None,
                namespace: None,
                selector: LabelSelector::parse(&format!("app={name}")).unwrap(),
                container: None,
            },
            pull_fails: false,
            size: None,
            startup: None,
            shutdown: None,
            completes: None,
            cpu: None,
            memory: None,
            origin: Span { source: SourceId(0), start: 0, end: 0 },
        };
        change(&mut behaviour);
        self.behaviours.push(behaviour);
    }

    fn exits(&mut self, name: &str, after: u64, exit_code: i32) {
        let after = Delay::Constant(SimDuration::from_secs(after));
        self.behave(name, |b| b.completes = Some(Completion { after, exit_code, fail_first: None }));
    }

    fn delete(&mut self, name: &str, grace: Option<i64>) {
        let options = DeleteOptions { grace_seconds: grace, ..DeleteOptions::default() };
        self.store.delete::<Pod>(&ObjectKey::new("default", name), &options).unwrap();
        self.settle();
    }

    fn get(&self, name: &str) -> &Pod {
        self.store.find::<Pod>("default", name).unwrap()
    }

    /// What was written since the last call.
    fn trace(&mut self) -> Vec<String> {
        std::mem::take(&mut self.trace)
    }

    /// Events about a Pod: `reason: message`, with their number if it is not one.
    fn events(&self, name: &str) -> Vec<String> {
        let about = |e: &&std::sync::Arc<Event>| e.regarding.name == name;
        self.store
            .list::<Event>()
            .filter(about)
            .map(|e| match e.count {
                1 => format!("{}: {}", e.reason, e.message),
                n => format!("{}: {} x{n}", e.reason, e.message),
            })
            .collect()
    }

    fn reasons(&self, name: &str) -> Vec<String> {
        self.events(name).iter().filter_map(|e| e.split(':').next().map(str::to_owned)).collect()
    }
}

fn seconds(at: SimTime) -> String {
    format!("{}", at.as_secs_f64())
}

/// `name phase ready/all [reason …] [xrestarts] [deleted]`.
fn sight(pod: &Pod) -> String {
    let all = || pod.status.init_containers.iter().chain(&pod.status.containers);
    let ready = pod.status.containers.iter().filter(|c| c.ready).count();
    let mut text =
        format!("{} {} {ready}/{}", pod.meta.name, pod.status.phase.as_str(), pod.status.containers.len());
    for status in all() {
        match &status.state {
            ContainerState::Waiting { reason, .. } => text += &format!(" {reason}"),
            ContainerState::Terminated(end) => text += &format!(" {}({})", end.reason, end.exit_code),
            ContainerState::Running { .. } => {}
        }
    }
    let restarts: u32 = all().map(|c| c.restart_count).sum();
    if restarts > 0 {
        text += &format!(" x{restarts}");
    }
    if pod.is_ready() {
        text += " Ready";
    }
    if pod.meta.is_deleting() {
        text += " deleted";
    }
    text
}

fn app() -> Value {
    json!({"containers": [{"name": "c", "image": "app:v1"}]})
}

/// The spec of one container with more fields.
fn container(more: Value) -> Value {
    let mut container = json!({"name": "c", "image": "app:v1"});
    let fields = more.as_object().unwrap().clone();
    container.as_object_mut().unwrap().extend(fields);
    json!({"containers": [container]})
}

#[test]
fn a_pod_starts_and_ends() {
    let mut rig = Rig::new();
    rig.pod("web", app());
    rig.run(5);
    assert_eq!(rig.trace(), ["0 web Pending 0/1 ContainerCreating", "1 web Running 1/1 Ready"]);
    let status = &rig.get("web").status;
    assert_eq!((status.host_ip.as_str(), status.pod_ip.as_str()), ("10.0.0.10", "10.244.0.1"));
    let kinds: Vec<&str> = status.conditions.iter().map(|c| c.kind.as_str()).collect();
    assert_eq!(
        kinds,
        ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"]
    );
    rig.delete("web", None);
    rig.run(20);
    assert_eq!(
        rig.trace(),
        [
            "5 web Running 1/1 Ready deleted",
            "6.01 web Succeeded 0/1 Completed(0) deleted",
            "6.01 web Succeeded 0/1 Completed(0) deleted",
            "6.01 web gone",
        ]
    );
    assert_eq!(rig.reasons("web"), ["Pulling", "Pulled", "Created", "Started", "Killing"]);
    assert!(rig.timers.is_empty(), "nothing ticks for nothing: {:?}", rig.timers);
}

#[test]
fn grace_and_shutdown_decide_how_a_pod_ends() {
    // Grace asked for, seconds of shutdown, seconds of preStop: when it is gone and with which code.
    for (grace, shutdown, hook, expected) in [
        (None, None, 0, "11.01 Completed(0)"),
        (Some(1), None, 0, "11.01 Completed(0)"),
        (None, Some(4), 0, "14.01 Completed(0)"),
        (None, Some(60), 0, "40.01 Error(137)"),
        (Some(1), Some(60), 0, "12.01 Error(137)"),
        (None, Some(4), 5, "19.01 Completed(0)"),
        (Some(5), Some(4), 5, "17.01 Error(137)"),
        (None, None, 5, "16.01 Completed(0)"),
    ] {
        let mut rig = Rig::new();
        if let Some(seconds) = shutdown {
            rig.behave("web", |b| b.shutdown = Some(Delay::Constant(SimDuration::from_secs(seconds))));
        }
        let hook = match hook {
            0 => json!({}),
            n => json!({"lifecycle": {"preStop": {"exec": {"command": ["sh", "-c", format!("sleep {n}")]}}}}),
        };
        rig.pod("web", container(hook));
        rig.run(10);
        rig.trace();
        rig.delete("web", grace);
        rig.run(200);
        let trace = rig.trace();
        let end = trace.iter().find(|line| line.contains('(')).unwrap();
        let words: Vec<&str> = end.split(' ').collect();
        assert_eq!(format!("{} {}", words[0], words[4]), expected, "{trace:#?}");
    }
}

#[test]
fn a_shorter_grace_hurries() {
    let mut rig = Rig::new();
    rig.behave("web", |b| b.shutdown = Some(Delay::Constant(SimDuration::from_secs(60))));
    rig.pod("web", app());
    rig.run(10);
    rig.delete("web", Some(50));
    rig.run(15);
    rig.trace();
    rig.delete("web", Some(10));
    rig.run(100);
    assert_eq!(rig.trace()[1], "25.01 web Failed 0/1 Error(137) deleted");
}

#[test]
fn a_force_deleted_pod_frees_its_room_at_once() {
    let mut rig = Rig::new();
    let spec = container(json!({"resources": {"requests": {"cpu": "2"}}}));
    rig.pod("one", spec.clone());
    rig.run(5);
    rig.delete("one", Some(0));
    rig.pod("two", spec);
    rig.run(10);
    assert_eq!(rig.trace().last().unwrap(), "6 two Running 1/1 Ready");
}

#[test]
fn restarts_back_off() {
    let mut rig = Rig::new();
    rig.exits("crash", 1, 1);
    rig.pod("crash", app());
    rig.run(200);
    let trace = rig.trace();
    let starts: Vec<&str> =
        trace.iter().filter(|l| l.contains("Running 1/1")).filter_map(|l| l.split(' ').next()).collect();
    // At once, then 10 s, 20 s, 40 s, 80 s after the end, rounded up to the next sync.
    assert_eq!(starts, ["1", "2", "15", "40", "89", "174"]);
    assert_eq!(trace[3], "3 crash Running 0/1 CrashLoopBackOff x1");
    let ContainerState::Waiting { message, .. } = &rig.get("crash").status.containers[0].state else {
        panic!("not waiting");
    };
    assert!(
        message.starts_with("back-off 2m40s restarting failed container=c pod=crash_default("),
        "{message}"
    );
}

#[test]
fn restart_policies_decide_what_an_end_means() {
    for (policy, code, expected) in [
        ("Never", 0, "4 p Succeeded 0/1 Completed(0)"),
        ("Never", 3, "4 p Failed 0/1 Error(3)"),
        ("OnFailure", 0, "4 p Succeeded 0/1 Completed(0)"),
        ("OnFailure", 3, "4 p Running 1/1 x1 Ready"),
        ("Always", 0, "4 p Running 1/1 x1 Ready"),
    ] {
        let mut rig = Rig::new();
        rig.exits("p", 3, code);
        let mut spec = app();
        spec["restartPolicy"] = policy.into();
        rig.pod("p", spec);
        rig.run(4);
        assert_eq!(rig.trace()[2], expected);
    }
}

#[test]
fn the_first_ends_of_a_controller_fail() {
    let mut rig = Rig::new();
    rig.behave("p", |b| {
        let after = Delay::Constant(SimDuration::from_secs(2));
        b.completes = Some(Completion { after, exit_code: 7, fail_first: Some(1) });
    });
    let mut spec = app();
    spec["restartPolicy"] = "OnFailure".into();
    rig.pod("p", spec);
    rig.run(10);
    assert_eq!(rig.trace()[2..], ["3 p Running 1/1 x1 Ready", "5 p Succeeded 0/1 Completed(0) x1"]);
}

#[test]
fn images_that_cannot_be_had_back_off() {
    let mut rig = Rig::new();
    rig.behave("bad", |b| b.pull_fails = true);
    rig.pod("bad", app());
    rig.run(60);
    assert_eq!(
        rig.trace(),
        [
            "0 bad Pending 0/1 ContainerCreating",
            "1 bad Pending 0/1 ErrImagePull",
            "13 bad Pending 0/1 ImagePullBackOff",
            "25 bad Pending 0/1 ErrImagePull",
            "37 bad Pending 0/1 ImagePullBackOff",
            "49 bad Pending 0/1 ErrImagePull",
        ]
    );
    assert!(rig.events("bad").contains(&"BackOff: Back-off pulling image \"app:v1\" x2".to_owned()));
}

#[test]
fn images_are_pulled_one_at_a_time_and_kept() {
    let mut rig = Rig::new();
    rig.latencies.image_pull = Latencies::default().image_pull;
    rig.pod("a", app());
    rig.pod("b", json!({"containers": [{"name": "c", "image": "other:v1"}]}));
    rig.run(20);
    rig.pod("late", app());
    rig.run(30);
    let running: Vec<String> = rig.trace().into_iter().filter(|l| l.contains("Running")).collect();
    assert_eq!(running, ["5.5 a Running 1/1 Ready", "10 b Running 1/1 Ready", "21 late Running 1/1 Ready"]);
    assert_eq!(
        rig.events("b")[1],
        "Pulled: Successfully pulled image \"other:v1\" in 4.5s (9s including waiting). Image size: 100000000 bytes."
    );
    assert_eq!(rig.events("late")[0], "Pulled: Container image \"app:v1\" already present on machine");
}

#[test]
fn init_containers_go_one_by_one_and_sidecars_stay() {
    let mut rig = Rig::new();
    rig.exits("p", 10, 0);
    rig.pod(
        "p",
        json!({
            "restartPolicy": "Never",
            "initContainers": [
                {"name": "one", "image": "i:v1"},
                {"name": "side", "image": "s:v1", "restartPolicy": "Always"},
                {"name": "two", "image": "i:v1"},
            ],
            "containers": [{"name": "c", "image": "app:v1"}],
        }),
    );
    rig.run(60);
    assert_eq!(
        rig.trace(),
        [
            "0 p Pending 0/1 PodInitializing PodInitializing PodInitializing PodInitializing",
            "1 p Pending 0/1 PodInitializing PodInitializing PodInitializing",
            "2 p Pending 0/1 Completed(0) PodInitializing",
            "3 p Running 1/1 Completed(0) Completed(0) Ready",
            "13 p Running 0/1 Completed(0) Completed(0) Completed(0)",
            "14.01 p Succeeded 0/1 Completed(0) Completed(0) Completed(0) Completed(0)",
        ]
    );
}

#[test]
fn a_failed_init_container_fails_the_pod_or_is_tried_again() {
    for (policy, expected) in [
        ("Never", "2 p Failed 0/1 Error(1) PodInitializing"),
        ("Always", "2 p Pending 0/1 PodInitializing x1"),
    ] {
        let mut rig = Rig::new();
        rig.exits("p", 1, 1);
        rig.behaviours[0].matches.container = Some("init".into());
        let init = json!({"name": "init", "image": "i:v1"});
        rig.pod(
            "p",
            json!({"restartPolicy": policy, "initContainers": [init], "containers": [{"name": "c", "image": "a"}]}),
        );
        rig.run(2);
        assert_eq!(rig.trace()[2], expected);
    }
}

#[test]
fn readiness_comes_with_the_probe_that_passes() {
    let probe = json!({"readinessProbe": {"httpGet": {"port": 80}, "periodSeconds": 5}});
    // By the probe: asked at the start, then every 5 s.
    let mut rig = Rig::new();
    rig.behave("web", |b| b.startup = Some(Delay::Constant(SimDuration::from_secs(8))));
    rig.pod("web", container(probe.clone()));
    rig.run(60);
    assert_eq!(rig.trace()[1..], ["1 web Running 0/1", "11 web Running 1/1 Ready"]);
    assert_eq!(
        rig.events("web").last().unwrap(),
        "Unhealthy: Readiness probe failed: Get \"http://10.244.0.1:80/\": dial tcp 10.244.0.1:80: connect: connection refused x2"
    );
    // By the latency, if it is given.
    let mut rig = Rig::new();
    rig.latencies.probe_ready = Some(Delay::Constant(SimDuration::from_secs(2)));
    rig.pod("web", container(probe));
    rig.run(60);
    assert_eq!(rig.trace()[1..], ["1 web Running 0/1", "3 web Running 1/1 Ready"]);
    assert!(rig.timers.is_empty());
}

#[test]
fn a_startup_probe_holds_the_others_back() {
    let mut rig = Rig::new();
    rig.behave("web", |b| b.startup = Some(Delay::Constant(SimDuration::from_secs(25))));
    rig.pod(
        "web",
        container(json!({
            "startupProbe": {"tcpSocket": {"port": 80}, "periodSeconds": 10, "failureThreshold": 5},
            "livenessProbe": {"tcpSocket": {"port": 80}, "periodSeconds": 3, "failureThreshold": 1},
            "readinessProbe": {"tcpSocket": {"port": 80}},
        })),
    );
    rig.run(100);
    // Up at 26 s; the startup probe's next turn is at 30 s.
    assert_eq!(rig.trace()[1..], ["1 web Running 0/1", "30 web Running 1/1 Ready"]);
    assert!(rig.timers.is_empty());
}

#[test]
fn a_container_that_hangs_is_found_by_its_probes() {
    let mut rig = Rig::new();
    rig.latencies.probe_ready = Some(Delay::Constant(SimDuration::from_secs(2)));
    rig.pod(
        "web",
        container(json!({
            "livenessProbe": {"httpGet": {"port": 80}, "timeoutSeconds": 2},
            "readinessProbe": {"httpGet": {"port": 80}, "failureThreshold": 2},
        })),
    );
    rig.run(15);
    rig.trace();
    let key = ObjectKey::new("default", "web");
    assert_eq!(rig.with(|k, ctx| k.hang(&key, None, None, ctx)), 1);
    let id = rig.store.id_of::<Pod>(&key).unwrap();
    assert!(!rig.kubelets.answers(id, rig.store.now()));
    rig.run(200);
    // Readiness is asked at 21 s and 31 s and waits a second each; liveness at 20, 30, 40 and waits two.
    // The process does not obey SIGTERM: 30 s of grace.
    assert_eq!(rig.trace(), ["32 web Running 0/1", "72 web Running 0/1 x1", "74 web Running 1/1 x1 Ready"]);
    let events = rig.events("web");
    assert!(events.contains(&"Killing: Container c failed liveness probe, will be restarted".to_owned()));
    assert!(
        events.iter().any(|e| e.starts_with("Unhealthy: Liveness probe failed: Get") && e.ends_with("x3")),
        "{events:#?}"
    );
    assert!(rig.kubelets.answers(id, rig.store.now()));
    assert!(rig.timers.is_empty());
}

#[test]
fn a_hang_may_pass() {
    let mut rig = Rig::new();
    rig.pod("web", container(json!({"readinessProbe": {"httpGet": {"port": 80}, "failureThreshold": 1}})));
    rig.run(5);
    rig.trace();
    let key = ObjectKey::new("default", "web");
    rig.with(|k, ctx| k.hang(&key, Some("c"), Some(SimDuration::from_secs(30)), ctx));
    rig.run(100);
    assert_eq!(rig.trace(), ["12 web Running 0/1", "41 web Running 1/1 Ready"]);
}

#[test]
fn a_crash_is_an_end_like_any_other() {
    let mut rig = Rig::new();
    rig.pod("web", app());
    rig.run(5);
    rig.trace();
    let key = ObjectKey::new("default", "web");
    assert_eq!(rig.with(|k, ctx| k.crash(&key, None, 139, &"Error".into(), ctx)), 1);
    rig.run(6);
    assert_eq!(rig.trace(), ["5 web Running 1/1 x1 Ready"]);
    assert_eq!(rig.get("web").status.containers[0].last_termination.as_ref().unwrap().exit_code, 139);
}

#[test]
fn a_deadline_fails_the_pod() {
    let mut rig = Rig::new();
    let mut spec = app();
    spec["activeDeadlineSeconds"] = 20.into();
    rig.pod("p", spec);
    rig.run(60);
    assert_eq!(rig.trace().last().unwrap(), "21.01 p Failed 0/1 Completed(0)");
    let status = &rig.get("p").status;
    assert_eq!(status.reason, "DeadlineExceeded");
    assert_eq!(status.message, "Pod was active on the node longer than the specified deadline");
}

#[test]
fn an_evicted_pod_stays_as_failed() {
    let mut rig = Rig::new();
    rig.pod("p", app());
    rig.run(5);
    let key = ObjectKey::new("default", "p");
    let message = Str::from("The node was low on resource: memory. ");
    assert!(rig.with(|k, ctx| k.evict(&key, &message, SimDuration::from_secs(1), ctx)));
    rig.run(60);
    assert_eq!(rig.trace().last().unwrap(), "6.01 p Failed 0/1 Completed(0)");
    let status = &rig.get("p").status;
    assert_eq!((status.reason.as_str(), &status.message), ("Evicted", &message));
    let disruption = condition::find(&status.conditions, "DisruptionTarget").unwrap();
    assert_eq!(disruption.reason, "TerminationByKubelet");
}

#[test]
fn what_does_not_fit_is_rejected() {
    for (spec, reason, message) in [
        (
            container(json!({"resources": {"requests": {"cpu": "1500m"}}})),
            "OutOfcpu",
            "Pod was rejected: Node didn't have enough resource: cpu, requested: 1500, used: 1000, capacity: 2000",
        ),
        (
            container(json!({"resources": {"requests": {"memory": "5Gi"}}})),
            "OutOfmemory",
            "Pod was rejected: Node didn't have enough resource: memory, requested: 5368709120, used: 0, capacity: 4294967296",
        ),
        (
            json!({"nodeSelector": {"pool": "b"}, "containers": [{"name": "c", "image": "a"}]}),
            "NodeAffinity",
            "Pod was rejected: Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector",
        ),
        (
            container(json!({"ports": [{"containerPort": 80, "hostPort": 80}]})),
            "NodePorts",
            "Pod was rejected: Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports",
        ),
    ] {
        let mut rig = Rig::new();
        let first = json!({"resources": {"requests": {"cpu": "1"}}, "ports": [{"containerPort": 80, "hostPort": 80}]});
        rig.pod("first", container(first));
        rig.pod("second", spec);
        let status = &rig.get("second").status;
        assert_eq!((status.phase.as_str(), status.reason.as_str()), ("Failed", reason));
        assert_eq!(status.message, message);
        assert_eq!(rig.reasons("second"), [reason]);
    }
}

#[test]
fn a_config_map_that_comes_late_is_used() {
    let mut rig = Rig::new();
    rig.pod("env", container(json!({"envFrom": [{"configMapRef": {"name": "cfg"}}]})));
    let mut spec = app();
    spec["volumes"] = json!([{"name": "files", "configMap": {"name": "cfg"}}]);
    rig.pod("files", spec);
    rig.run(5);
    assert_eq!(
        rig.trace()[2..],
        ["1 env Pending 0/1 CreateContainerConfigError"],
        "the volume is waited for before anything starts"
    );
    rig.store.create(testkit::config_map("cfg")).unwrap();
    rig.run(60);
    assert_eq!(rig.trace(), ["8.5 files Running 1/1 Ready", "13 env Running 1/1 Ready"]);
    assert!(rig.events("env").contains(&"Failed: Error: configmap \"cfg\" not found".to_owned()));
    assert!(rig.events("files").iter().any(|e| e.starts_with(
        "FailedMount: MountVolume.SetUp failed for volume \"files\" : configmap \"cfg\" not found"
    )));
}

#[test]
fn a_pod_waits_for_claim_and_attachment() {
    let mut rig = Rig::new();
    let mut spec = app();
    spec["volumes"] = json!([{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]);
    rig.store
        .create(PersistentVolumeClaim { meta: Meta::named("default", "data"), ..Default::default() })
        .unwrap();
    rig.pod("db", spec);
    rig.run(10);
    let volume = PersistentVolume {
        meta: Meta::named("", "pv1"),
        capacity: Default::default(),
        access_modes: Vec::new(),
        claim_ref: None,
        reclaim_policy: Default::default(),
        storage_class: Str::new(),
        block: false,
        node_affinity: None,
        source: crate::api::storage::PvSource::Csi { driver: "ebs".into(), handle: "vol-1".into() },
        attributes_class: None,
        mount_options: Vec::new(),
        rest: None,
        phase: Default::default(),
        reason: Str::new(),
        message: Str::new(),
    };
    rig.store.create(volume).unwrap();
    rig.store
        .update::<PersistentVolumeClaim>(&ObjectKey::new("default", "data"), |claim| {
            claim.phase = ClaimPhase::Bound;
            claim.spec.volume_name = "pv1".into();
        })
        .unwrap();
    rig.settle();
    let in_use = |rig: &Rig| rig.store.find::<Node>("", "n1").unwrap().status.volumes_in_use.clone();
    assert_eq!(in_use(&rig), ["kubernetes.io/csi/ebs^vol-1"]);
    rig.run(20);
    let attachment = VolumeAttachment {
        meta: Meta::named("", "csi-1"),
        attacher: "ebs".into(),
        node_name: "n1".into(),
        pv_name: "pv1".into(),
        attached: true,
        ..Default::default()
    };
    rig.store.create(attachment).unwrap();
    rig.run(30);
    assert_eq!(rig.trace(), ["0 db Pending 0/1 ContainerCreating", "21 db Running 1/1 Ready"]);
    rig.delete("db", None);
    rig.run(40);
    assert!(in_use(&rig).is_empty());
}

#[test]
fn a_node_joins_and_becomes_ready() {
    let mut rig = Rig::without_nodes();
    rig.run(7);
    let (node, csi) = Rig::node("n1");
    rig.with(|kubelets, ctx| kubelets.join(node, csi, ctx)).unwrap();
    rig.settle();
    rig.pod("p", app());
    let ready = |rig: &Rig| {
        let node = rig.store.find::<Node>("", "n1").unwrap();
        condition::find(&node.status.conditions, "Ready")
            .map(|c| (c.status.as_str(), c.reason.to_string()))
            .unwrap()
    };
    assert_eq!(ready(&rig), ("False", "KubeletNotReady".to_owned()));
    rig.run(20);
    assert_eq!(ready(&rig), ("True", "KubeletReady".to_owned()));
    assert_eq!(rig.trace(), ["7 p Pending 0/1 ContainerCreating", "10 p Running 1/1 Ready"]);
    assert_eq!(rig.reasons("n1"), ["Starting", "NodeReady"], "conditions that a new Node brings are no news");
}

#[test]
fn leases_are_renewed_by_rule_until_the_node_goes_silent() {
    let mut rig = Rig::new();
    rig.run(31);
    assert_eq!(rig.kubelets.last_renewal("n1", rig.store.now()), Some(SimTime::from_secs(30)));
    let last = rig.with(|k, ctx| k.partition("n1", ctx));
    assert_eq!(last, Some(SimTime::from_secs(30)));
    rig.run(75);
    let lease = |rig: &Rig| {
        let lease = rig.store.find::<Lease>("kube-node-lease", "n1").unwrap();
        lease.last_renewal(rig.store.now(), rig.store.calendar()).unwrap().as_secs()
    };
    assert_eq!((lease(&rig), rig.kubelets.is_up("n1")), (30, false));
    rig.with(|k, ctx| k.heal("n1", ctx));
    assert_eq!((lease(&rig), rig.kubelets.is_up("n1")), (75, true));
    rig.run(80);
    assert_eq!(lease(&rig), 80);
    // A renewal that is due in the instant of the failure does not come.
    assert_eq!(rig.with(|k, ctx| k.fail_node("n1", ctx)), Some(SimTime::from_secs(75)));
}

#[test]
fn after_a_partition_statuses_are_told_and_marked_pods_end() {
    let mut rig = Rig::new();
    rig.pod("stays", app());
    rig.pod("goes", app());
    rig.run(10);
    rig.trace();
    rig.with(|k, ctx| k.partition("n1", ctx));
    rig.delete("goes", None);
    rig.store
        .update::<Pod>(&ObjectKey::new("default", "stays"), |pod| {
            let ready = pod.status.conditions.iter_mut().find(|c| c.kind == "Ready").unwrap();
            ready.status = crate::api::ConditionStatus::False;
        })
        .unwrap();
    rig.pod("new", app());
    rig.run(100);
    rig.trace();
    rig.with(|k, ctx| k.heal("n1", ctx));
    rig.run(110);
    assert_eq!(
        rig.trace(),
        [
            "101 stays Running 1/1 Ready",
            "101 goes Succeeded 0/1 Completed(0) deleted",
            "101 goes Succeeded 0/1 Completed(0) deleted",
            "101 goes gone",
            "101 new Pending 0/1 ContainerCreating",
            "102 new Running 1/1 Ready",
        ]
    );
}

#[test]
fn a_machine_without_power_loses_its_containers() {
    let mut rig = Rig::new();
    rig.pod("web", app());
    let mut job = app();
    job["restartPolicy"] = "Never".into();
    rig.pod("job", job);
    rig.run(10);
    rig.trace();
    rig.with(|k, ctx| k.fail_node("n1", ctx));
    rig.run(60);
    let id = rig.store.id_of::<Pod>(&ObjectKey::new("default", "web")).unwrap();
    assert!(!rig.kubelets.answers(id, rig.store.now()));
    assert!(rig.trace().is_empty(), "nothing is reported");
    rig.with(|k, ctx| k.restore_node("n1", ctx));
    rig.run(100);
    assert_eq!(rig.trace(), ["61 job Failed 0/1 Unknown(255)", "63 web Running 1/1 x1 Ready"]);
    assert!(rig.kubelets.answers(id, rig.store.now()));
    assert!(rig.reasons("n1").contains(&"Rebooted".to_owned()));
}

#[test]
fn without_its_kubelet_a_node_goes_on_blindly() {
    let mut rig = Rig::new();
    rig.exits("crash", 20, 1);
    rig.pod("crash", app());
    rig.pod("goes", app());
    rig.run(10);
    rig.trace();
    rig.with(|k, ctx| k.stop_kubelet("n1", ctx));
    rig.delete("goes", None);
    rig.run(60);
    assert_eq!(rig.trace(), ["10 goes Running 1/1 Ready deleted"]);
    let id = rig.store.id_of::<Pod>(&ObjectKey::new("default", "goes")).unwrap();
    assert!(rig.kubelets.answers(id, rig.store.now()), "nobody has stopped it");
    rig.with(|k, ctx| k.start_kubelet("n1", ctx));
    rig.run(62);
    assert_eq!(
        rig.trace(),
        [
            "61 crash Running 1/1 x1 Ready",
            "61 goes Succeeded 0/1 Completed(0) deleted",
            "61 goes Succeeded 0/1 Completed(0) deleted",
            "61 goes gone",
        ]
    );
}

#[test]
fn readiness_gates_are_waited_for() {
    let mut rig = Rig::new();
    let mut spec = app();
    spec["readinessGates"] = json!([{"conditionType": "lb"}]);
    rig.pod("web", spec);
    rig.run(5);
    let ready = rig.get("web").ready_condition().unwrap().clone();
    assert_eq!(ready.reason, "ReadinessGatesNotReady");
    assert_eq!(ready.message, "corresponding condition of pod readiness gate \"lb\" does not exist.");
    let at = rig.store.timestamp();
    rig.store
        .update::<Pod>(&ObjectKey::new("default", "web"), |pod| {
            let gate = crate::api::Condition::new("lb", crate::api::ConditionStatus::True, "", "", at);
            condition::set(&mut pod.status.conditions, gate);
        })
        .unwrap();
    rig.settle();
    assert!(rig.get("web").is_ready());
}

#[test]
fn a_static_pod_outlives_its_mirror() {
    let mut rig = Rig::new();
    rig.create(&json!({
        "metadata": {"name": "etcd-n1", "namespace": "default", "annotations": {"kubernetes.io/config.mirror": "x"}},
        "spec": app(),
    }));
    rig.run(10);
    let uid = rig.get("etcd-n1").meta.uid.clone();
    rig.delete("etcd-n1", None);
    let pod = rig.get("etcd-n1").clone();
    assert!(pod.meta.uid != uid && pod.is_ready() && !pod.meta.is_deleting());
    let ContainerState::Running { started_at } = pod.status.containers[0].state else { panic!("stopped") };
    assert_eq!(rig.store.calendar().instant(started_at), SimTime::from_secs(1));
}

const MI: i64 = 1 << 20;

#[test]
fn a_leak_ends_at_the_memory_limit() {
    let mut rig = Rig::new();
    rig.behave("leak", |b| b.memory = Some(MemoryUse { idle: 40 * MI, per_request: 0, growth: 2 * MI }));
    rig.pod("leak", container(json!({"resources": {"limits": {"memory": "100Mi"}}})));
    rig.run(40);
    let trace = rig.trace();
    assert_eq!(trace[1], "1 leak Running 1/1 Ready");
    // Over the limit after 30 s.
    assert!(trace[2].starts_with("31.") && trace[2].ends_with("leak Running 1/1 x1 Ready"), "{trace:#?}");
    let end = rig.get("leak").status.containers[0].last_termination.clone().unwrap();
    assert_eq!((end.exit_code, end.reason.as_str()), (137, "OOMKilled"));
}

#[test]
fn a_node_short_of_memory_evicts_the_greediest() {
    let mut rig = Rig::new();
    for (name, mi) in [("modest", 200), ("greedy", 900)] {
        rig.behave(name, |b| b.memory = Some(MemoryUse { idle: mi * MI, per_request: 0, growth: 0 }));
    }
    rig.pod("modest", container(json!({"resources": {"requests": {"memory": "500Mi"}}})));
    rig.pod("greedy", container(json!({"resources": {"requests": {"memory": "500Mi"}}})));
    rig.run(15);
    rig.trace();
    let none = SimDuration::ZERO;
    assert!(rig.with(|k, ctx| k.fill_node("n1", (Scarce::Memory, InUse::Bytes(2950 * MI), none), ctx)));
    rig.run(60);
    assert_eq!(rig.trace(), ["21 greedy Failed 0/1 Completed(0)"]);
    assert_eq!(
        rig.get("greedy").status.message,
        "The node was low on resource: memory. Threshold quantity: 100Mi, available: 46Mi. \
         Container c was using 900Mi, request is 500Mi, has larger consumption of memory. "
    );
    let pressure = |rig: &Rig| {
        let node = rig.store.find::<Node>("", "n1").unwrap();
        condition::find(&node.status.conditions, "MemoryPressure").map(|c| c.reason.to_string()).unwrap()
    };
    assert_eq!(pressure(&rig), "KubeletHasInsufficientMemory");
    // Pods that asked for nothing are turned away meanwhile.
    rig.pod("late", app());
    assert_eq!(rig.get("late").status.reason, "Evicted");
    assert_eq!(
        rig.get("late").status.message,
        "Pod was rejected: The node had condition: [MemoryPressure]. "
    );
    rig.run(1000);
    assert_eq!(pressure(&rig), "KubeletHasSufficientMemory");
    assert_eq!(
        rig.reasons("n1"),
        ["NodeHasInsufficientMemory", "EvictionThresholdMet", "NodeHasSufficientMemory"]
    );
    assert!(rig.timers.is_empty());
}

#[test]
fn a_container_that_writes_more_than_it_may_is_evicted() {
    let mut rig = Rig::new();
    rig.pod("logs", container(json!({"resources": {"limits": {"ephemeral-storage": "1Gi"}}})));
    rig.run(5);
    rig.trace();
    let key = ObjectKey::new("default", "logs");
    let minute = SimDuration::from_mins(1);
    assert!(rig.with(|k, ctx| k.fill_pod(&key, None, (Scarce::Disk, InUse::Percent(200), minute), ctx)));
    rig.run(100);
    // Half of the minute, then the monitor's next turn.
    assert_eq!(rig.trace(), ["41 logs Failed 0/1 Completed(0)"]);
    assert_eq!(
        rig.get("logs").status.message,
        "Container c exceeded its local ephemeral storage limit \"1Gi\". "
    );
}
