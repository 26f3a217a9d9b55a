//! Decisions of the autoscaler in small clusters, worked out from upstream's algorithm by hand.

mod failures;
mod loops;
mod scale_down;
mod scale_up;
mod settings;

use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::api::{Inert, Kind, Object, lower};
use crate::base::Arc;
use crate::cloud::NodeGroup;
use crate::cloud::fleet::Shortage;
use crate::cloud::group::NodeTemplate;
use crate::params::Delay;
use crate::scheduler::Scheduler;
use crate::store::DeleteOptions;
use crate::testkit;

/// A cluster with an autoscaler and a cloud; Pods are placed by hand.
pub struct Tank {
    pub store: Store,
    scheduler: Scheduler,
    pub fleet: Fleet,
    latencies: Latencies,
    pub autoscaler: ClusterAutoscaler,
    joins: BTreeMap<(SimTime, Str), PlannedNode>,
    /// Machines that never register.
    pub stuck: bool,
    /// Machines that register and do not become ready.
    pub slow: bool,
    /// Pods whose eviction was asked for, with the instant.
    pub evicted: Vec<(u64, String)>,
    /// The grace periods, in seconds, that came with it.
    pub graces: Vec<i64>,
    /// Whether Pods go when their eviction is asked for.
    pub evictions_work: bool,
}

/// Groups, each `name zone size min max cores GiB price`; zones `a+b` make one group over both, `-` none.
pub fn groups(text: &str) -> Vec<NodeGroup> {
    text.split(';').map(group).collect()
}

fn group(text: &str) -> NodeGroup {
    let words: Vec<&str> = text.split_whitespace().collect();
    let number = |i: usize| words[i].parse::<u32>().unwrap();
    let capacity = [
        ("cpu", crate::base::Quantity::from_units(number(5).into())),
        ("memory", crate::base::Quantity::from_bytes(i64::from(number(6)) << 30)),
        ("pods", crate::base::Quantity::from_units(110)),
    ];
    let capacity: crate::api::ResourceList = capacity.into_iter().collect();
    let template = NodeTemplate {
        allocatable: capacity.clone(),
        capacity,
        price: number(7),
        instance_type: format!("x{}", words[5]).into(),
        ..NodeTemplate::default()
    };
    let zones: Vec<Str> = match words[1] {
        "-" => Vec::new(),
        zones => zones.split('+').map(Str::from).collect(),
    };
    let name: Str = words[0].into();
    NodeGroup::spanning(&name, &zones, &template, number(2), Some((number(3), number(4))))
}

impl Tank {
    pub fn new(groups: &[NodeGroup], flags: &Flags) -> Self {
        let fleet = Fleet::new(groups);
        let latencies = Latencies {
            node_boot: Delay::millis(60_000),
            scaling_activity: Delay::ZERO,
            ..Latencies::default()
        };
        let mut tank = Self {
            store: testkit::store(),
            scheduler: Scheduler::default(),
            autoscaler: ClusterAutoscaler::new(flags, &fleet),
            fleet,
            latencies,
            joins: BTreeMap::new(),
            stuck: false,
            slow: false,
            evicted: Vec::new(),
            graces: Vec::new(),
            evictions_work: true,
        };
        tank.store.create(testkit::namespace("kube-system")).unwrap();
        for (name, replicas) in [("web", 3), ("db", 1)] {
            tank.store.create(testkit::replica_set(name, replicas)).unwrap();
        }
        for node in NodeGroup::nodes_in_turn(groups) {
            tank.join(node);
        }
        tank.deliver();
        tank
    }

    /// Runs with default flags.
    pub fn of(text: &str) -> Self {
        Self::new(&groups(text), &Flags::default())
    }

    fn join(&mut self, planned: PlannedNode) {
        if self.fleet.join(&planned.node.meta.name, self.store.now()) {
            let mut node = planned.node;
            node.status.conditions = vec![ready(!self.slow, self.store.timestamp())];
            self.store.create(node).unwrap();
        }
    }

    /// Makes a node ready or not.
    pub fn set_ready(&mut self, node: &str, is_ready: bool) {
        let at = self.store.timestamp();
        let taint = crate::api::Taint {
            key: "node.kubernetes.io/unreachable".into(),
            value: Str::new(),
            effect: crate::api::TaintEffect::NoSchedule,
            time_added: None,
        };
        let change = |node: &mut Node| {
            node.status.conditions = vec![ready(is_ready, at)];
            node.taints = if is_ready { Vec::new() } else { vec![taint] };
        };
        self.store.update::<Node>(&ObjectKey::cluster(node), change).unwrap();
        self.deliver();
    }

    fn deliver(&mut self) {
        while self.store.has_changes() {
            for change in self.store.drain_changes() {
                self.scheduler.change(change.at, change.old(), change.new());
                self.autoscaler.on_change(&change);
            }
        }
    }

    /// A Pod of a ReplicaSet with `spec` merged into it; on a node, or unschedulable.
    pub fn pod_with(&mut self, name: &str, request: &str, node: Option<&str>, extra: serde_json::Value) {
        let (cpu, memory) = request.split_once('/').unwrap_or((request, "64Mi"));
        let mut pod = json!({
            "metadata": {"name": name, "namespace": "default", "labels": {"app": "web"}},
            "spec": {"containers": [{"name": "c", "image": "app:1",
                "resources": {"requests": {"cpu": cpu, "memory": memory}}}]},
        });
        merge(&mut pod, extra);
        let Object::Pod(pod) = lower::from_json(Kind::Pod, pod).unwrap() else { unreachable!() };
        let mut pod = Pod::clone(&pod);
        let set = self.store.find::<crate::api::workload::ReplicaSet>("default", "web").unwrap();
        if pod.meta.owners.is_empty() {
            pod.meta.owners = vec![crate::api::OwnerReference::controller_of(&**set)].into();
        }
        pod.node_name = node.map(Str::from);
        if node.is_none() {
            let now = self.store.timestamp();
            pod.status.conditions = vec![condition::Condition::new(
                "PodScheduled",
                crate::api::ConditionStatus::False,
                "Unschedulable",
                "",
                now,
            )];
        } else {
            pod.status.phase = crate::api::Phase::Running;
        }
        self.store.create(pod).unwrap();
        self.deliver();
    }

    /// Pods, each `name cpu[/memory] [node]`.
    pub fn pods(mut self, text: &str) -> Self {
        for line in text.split(';').filter(|line| !line.trim().is_empty()) {
            let words: Vec<&str> = line.split_whitespace().collect();
            self.pod_with(words[0], words[1], words.get(2).copied(), json!({}));
        }
        self
    }

    /// The cloud is short of a zone's machines until then.
    pub fn short(&mut self, zone: &str, until: u64) {
        let until = Some(SimTime::from_secs(until));
        self.fleet.run_short(Shortage { zone: Some(zone.into()), instance_type: None, until });
    }

    /// Everything that is due up to this second.
    pub fn until(&mut self, second: u64) {
        let end = SimTime::from_secs(second);
        loop {
            self.deliver();
            let join = self.joins.keys().next().map(|(at, _)| *at);
            let next = self.autoscaler.next().into_iter().chain(join).min();
            let Some(at) = next.filter(|at| *at <= end) else { break };
            self.store.advance(at.max(self.store.now()));
            match join {
                Some(join) if join <= at => {
                    let (_, node) = self.joins.pop_first().unwrap();
                    if !self.stuck {
                        self.join(node);
                    }
                }
                _ => self.turn(),
            }
        }
        self.store.advance(end);
    }

    fn turn(&mut self) {
        let mut out = Vec::new();
        let mut ctx = Ctx {
            store: &mut self.store,
            framework: self.scheduler.default_framework().unwrap(),
            snapshot: self.scheduler.snapshot(),
            fleet: &mut self.fleet,
            latencies: &self.latencies,
            out: &mut out,
        };
        self.autoscaler.run(&mut ctx);
        for effect in out {
            match effect {
                Effect::Joins(at, node) => {
                    self.joins.insert((at, node.node.meta.name.clone()), *node);
                }
                Effect::Terminate(node) => {
                    self.fleet.terminate(&node);
                    // A machine that never registered has no Node.
                    let _ = self.store.delete::<Node>(&ObjectKey::cluster(node), &DeleteOptions::default());
                }
                Effect::Evict(pod, grace) => {
                    self.graces.push(grace);
                    self.evicted.push((self.store.now().as_secs(), pod.name.to_string()));
                    if self.evictions_work {
                        self.store.delete::<Pod>(&pod, &DeleteOptions::force()).unwrap();
                    }
                }
            }
        }
    }

    /// Reason and message of all Events about an object of this kind, the same ones once.
    pub fn said(&self, kind: &str, reason: &str) -> Vec<String> {
        let mut texts = Vec::new();
        for event in self.store.events() {
            let text = event.message.to_string();
            if event.regarding.kind == kind && event.reason == reason && !texts.contains(&text) {
                texts.push(text);
            }
        }
        texts
    }

    /// Targets of all groups, in the order of their making.
    pub fn targets(&self) -> Vec<u32> {
        self.fleet.groups().map(|(_, group)| group.target).collect()
    }

    /// Why a node stays, as of the last loop.
    pub fn kept(&self, node: &str) -> Option<&'static str> {
        self.autoscaler.kept.get(node).copied()
    }

    /// Names of all nodes.
    pub fn nodes(&self) -> Vec<String> {
        self.store.list::<Node>().map(|node| node.meta.name.to_string()).collect()
    }

    /// The status ConfigMap.
    pub fn status(&self) -> String {
        let key = ObjectKey::new("kube-system", Inert::table_name("ConfigMap", status::NAME));
        let map =
            self.store.get::<Inert>(&key).cloned().unwrap_or_else(|| Arc::new(testkit::config_map("none")));
        let body: serde_json::Value = serde_json::from_str(&map.body).unwrap_or_default();
        body.pointer("/data/status").and_then(|v| v.as_str()).unwrap_or_default().to_owned()
    }
}

fn ready(is_ready: bool, at: crate::base::Timestamp) -> condition::Condition {
    let status =
        if is_ready { crate::api::ConditionStatus::True } else { crate::api::ConditionStatus::Unknown };
    condition::Condition::new("Ready", status, "KubeletReady", "", at)
}

fn merge(into: &mut serde_json::Value, from: serde_json::Value) {
    match (into, from) {
        (serde_json::Value::Object(into), serde_json::Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(serde_json::Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}
