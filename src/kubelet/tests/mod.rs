//! Kubelets over a store, driven by hand: what happened to Pods, and when.

mod admission;
mod containers;
mod nodes;
mod pods;
mod pressure;
mod probes;
mod shutdown;
mod status;
mod volumes;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::pod::Burden;
use super::pressure::{InUse, Place, Scarce};
use super::{Ctx, KubeletEvent, Kubelets, Params, VolumeUse};
use crate::api::k8s::core::v1 as core;
use crate::api::lower::lower_pod;
use crate::api::node::Node;
use crate::api::policy::Lease;
use crate::api::resources::{CPU, EPHEMERAL_STORAGE, MEMORY, PODS};
use crate::api::storage::CsiNode;
use crate::api::{ContainerState, Event, LabelSelector, Meta, ObjectKey, Pod, condition};
use crate::base::{Quantity, SimDuration, SimTime, SourceId, Span, Str};
use crate::params::behaviour::{Behaviour, Completion, Growing, Matches, MemoryUse};
use crate::params::settings::Kubelet as KubeletSettings;
use crate::params::{Delay, ImagePull, KubeVersion, Latencies, Operations};
use crate::store::{Change, DeleteOptions, Store, Verb};
use crate::testkit;

/// A store with kubelets, their timers, and a trace of what became of Pods.
struct Rig {
    store: Store,
    kubelets: Kubelets,
    latencies: Latencies,
    behaviours: Vec<Behaviour>,
    operations: Operations,
    settings: KubeletSettings,
    timers: BTreeMap<(SimTime, u64), KubeletEvent>,
    sequence: u64,
    trace: Vec<String>,
    /// Pods that began or ceased to use their volumes.
    uses: Vec<VolumeUse>,
}

impl Rig {
    /// The node `n1`, images at hand in no time, starts and ends that take a second; who returns speaks at once.
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
                container_restart: second,
                pod_termination: second,
                node_ready: Delay::Constant(SimDuration::from_secs(2)),
                node_reconnect: Delay::ZERO,
                pod_resync: second,
                volume_mount: Delay::ZERO,
                volume_report: Delay::ZERO,
                lease_stagger: SimDuration::ZERO,
                ..Latencies::default()
            },
            behaviours: Vec::new(),
            operations: Operations::default(),
            settings: KubeletSettings::default(),
            timers: BTreeMap::new(),
            sequence: 0,
            trace: Vec::new(),
            uses: Vec::new(),
        }
    }

    fn with<R>(&mut self, act: impl FnOnce(&mut Kubelets, &mut Ctx<'_>) -> R) -> R {
        let mut out = Vec::new();
        let mut ctx = Ctx {
            store: &mut self.store,
            params: Params {
                latencies: &self.latencies,
                behaviours: &self.behaviours,
                operations: &self.operations,
                settings: &self.settings,
                version: KubeVersion::default(),
                events: true,
            },
            out: &mut out,
            uses: &mut self.uses,
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
            None => format!("{} {} gone", seconds(change.at), change.latest().meta().name),
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
        let mut behaviour = Behaviour::of(
            Matches {
                image: None,
                namespace: None,
                pod: None,
                selector: LabelSelector::parse(&format!("app={name}")).unwrap(),
                container: None,
            },
            Span { source: SourceId(0), start: 0, end: 0 },
        );
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
        let about = |e: &crate::base::Arc<Event>| e.regarding.name == name;
        self.store
            .events()
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
