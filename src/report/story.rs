//! The story of a run: what happened when, told in kubectl's vocabulary and short enough to read.
//!
//! The narrator hears every fact, keeps what a person would tell, and joins what belongs together: forty Pods of
//! one Deployment that start within two seconds are one line.

use std::collections::BTreeMap;

use crate::api::pod::cond;
use crate::api::storage::PersistentVolumeClaim;
use crate::api::workload::{DaemonSet, Deployment, Job, ReplicaSet, StatefulSet};
use crate::api::{ContainerState, Meta, Node, Object, Phase, Pod, condition};
use crate::base::{SimDuration, SimTime, Str};
use crate::expect::traffic;
use crate::facts::traffic::{Failure, Interval, Meter};
use crate::facts::{Fact, Recorder};
use crate::store::{Change, Store, Verb};

mod data;

/// Things of one kind within this span are told together.
const JOIN_WITHIN: SimDuration = SimDuration::from_secs(2);
/// Requests fail when more than this part of them does.
const FAILING: f64 = 1e-4;
/// Spans of failing requests that lie closer together than this are told as one.
const TROUBLE_GAP: SimDuration = SimDuration::from_secs(30);
/// Names told in one line before the rest is only counted.
const NAMES_MAX: usize = 6;

/// One line of the story.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beat {
    /// When it began.
    pub at: SimTime,
    /// When the last of it happened.
    pub until: SimTime,
    /// What sort of thing it is.
    pub sort: Sort,
    /// What is told of it besides the names.
    pub text: String,
    /// Whom it happened to, in order.
    pub who: Vec<String>,
}

/// What sort of thing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sort {
    /// A step of the scenario.
    Step,
    /// A step that was refused.
    Refused,
    /// Nodes.
    Node,
    /// Workloads whose availability changed.
    Workload,
    /// Pods that cannot be placed.
    Pending,
    /// Pods that are being deleted by the control plane.
    Evicted,
    /// Containers that end badly.
    Crash,
    /// Claims and volumes.
    Storage,
    /// Jobs.
    Job,
    /// Requests that fail.
    Requests,
}

impl Beat {
    /// The line without its instant.
    pub fn sentence(&self) -> String {
        if self.who.is_empty() {
            return self.text.clone();
        }
        let shown = self.who.iter().take(NAMES_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
        let more = match self.who.len().saturating_sub(NAMES_MAX) {
            0 => String::new(),
            n => format!(" and {n} more"),
        };
        if self.who.len() > 1 {
            format!("{shown}{more} {}", of_several(&self.text))
        } else {
            format!("{shown} {}", self.text)
        }
    }
}

/// What is said of one, said of several.
fn of_several(text: &str) -> String {
    let text = &text.replace(" all its ", " all their ").replace(" it wants", " they want");
    let (verb, rest) = text.split_once(' ').unwrap_or((text, ""));
    let verb = match verb {
        "is" => "are",
        "has" => "have",
        "stays" => "stay",
        "waits:" => "wait:",
        other => other,
    };
    format!("{verb} {rest}").trim_end().to_owned()
}

/// How a workload stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkloadLine {
    /// Its namespace.
    pub namespace: Str,
    /// `deployment/web`.
    pub name: String,
    /// Pods wanted.
    pub desired: i32,
    /// Pods ready.
    pub ready: i32,
    /// Pods available.
    pub available: i32,
}

/// Listens to a run and keeps its story.
#[derive(Clone, Debug, Default)]
pub struct Narrator {
    beats: Vec<Beat>,
    /// For each workload, whether it was last told as whole.
    whole: BTreeMap<String, bool>,
    /// The message last told of each owner's waiting Pods.
    told_pending: BTreeMap<(String, String), ()>,
    /// What is known of data.
    data: data::Known,
    /// For each service, the span in which its requests fail, as long as it goes on.
    troubles: BTreeMap<usize, Trouble>,
}

/// A span in which requests to a service fail.
#[derive(Clone, Debug)]
struct Trouble {
    name: Str,
    from: SimTime,
    to: SimTime,
    meter: Meter,
}

impl Narrator {
    /// The story so far.
    pub fn into_story(mut self) -> Vec<Beat> {
        for trouble in std::mem::take(&mut self.troubles).into_values() {
            self.tell_trouble(trouble);
        }
        // Of a span is told when it is over, at the instant at which it began.
        self.beats.sort_by_key(|beat| beat.at);
        self.beats
    }

    /// Requests that fail are told of once they succeed again.
    fn requests(&mut self, interval: &Interval) {
        if 1.0 - interval.rates.success() > FAILING {
            let trouble = self.troubles.entry(interval.service).or_insert_with(|| Trouble {
                name: interval.name.clone(),
                from: interval.from,
                to: interval.to,
                meter: Meter::default(),
            });
            trouble.to = interval.to;
            trouble.meter.add(interval, SimTime::ZERO, SimTime::MAX);
        } else if let Some(trouble) = self.troubles.get_mut(&interval.service) {
            if interval.to.since(trouble.to) > TROUBLE_GAP {
                let over = self.troubles.remove(&interval.service);
                over.into_iter().for_each(|trouble| self.tell_trouble(trouble));
            } else {
                trouble.meter.add(interval, SimTime::ZERO, SimTime::MAX);
            }
        }
    }

    fn tell_trouble(&mut self, trouble: Trouble) {
        let Trouble { name, from, to, meter } = trouble;
        let failed = traffic::whole(meter.failures());
        if failed == 0 {
            return;
        }
        let mut whys: Vec<(Failure, i64)> =
            Failure::ALL.into_iter().map(|why| (why, traffic::whole(meter.failed[why as usize]))).collect();
        whys.retain(|(_, count)| *count > 0);
        whys.sort_by_key(|(_, count)| -count);
        let whys: Vec<String> = whys.iter().map(|(why, count)| format!("{count} {}", why.words())).collect();
        let span = short_span(to.since(from));
        let text = format!(
            "requests to {name} fail for {span}: {failed} of {} ({})",
            traffic::whole(meter.offered),
            whys.join(", ")
        );
        self.beats.push(Beat { at: from, until: to, sort: Sort::Requests, text, who: Vec::new() });
    }

    fn tell(&mut self, at: SimTime, sort: Sort, who: Option<String>, text: impl Into<String>) {
        let text = text.into();
        // Only the latest beats can be joined with: older ones are too far back in time.
        let mut open = self.beats.iter_mut().rev().take_while(|b| at.since(b.until) <= JOIN_WITHIN);
        if let Some(who) = &who
            && let Some(beat) =
                open.find(|b| b.sort == sort && b.text == text && at.since(b.at) <= JOIN_WITHIN * 3)
        {
            beat.until = at;
            if !beat.who.contains(who) {
                beat.who.push(who.clone());
            }
            return;
        }
        self.beats.push(Beat { at, until: at, sort, text, who: who.into_iter().collect() });
    }

    fn change(&mut self, change: &Change) {
        match &change.object {
            Object::Node(node) => self.node(change, node),
            Object::Pod(pod) => {
                if change.verb == Verb::Deleted {
                    self.data_pod_gone(&pod.meta.key());
                }
                self.pod(change, pod);
            }
            Object::PersistentVolumeClaim(claim) => self.claim(change, claim),
            Object::Job(job) => self.job(change, job),
            _ => {
                if let Some(line) = workload_line(&change.object) {
                    self.workload(change, &line);
                }
            }
        }
    }

    fn node(&mut self, change: &Change, node: &Node) {
        let at = change.at;
        let name = node.meta.name.to_string();
        let old = change.of::<Node>().and_then(|(old, _)| old);
        match change.verb {
            Verb::Deleted => return self.tell(at, Sort::Node, Some(name), "left the cluster"),
            Verb::Added if at > SimTime::ZERO => {
                return self.tell(at, Sort::Node, Some(name), "joined the cluster");
            }
            Verb::Added => return,
            Verb::Modified => {}
        }
        let Some(old) = old else { return };
        let ready = |n: &Node| condition::find(&n.status.conditions, "Ready").map(|c| c.status);
        let (before, after) = (ready(old), ready(node));
        if before != after {
            let text = if node.is_ready() {
                "is Ready".to_owned()
            } else {
                let message = condition::find(&node.status.conditions, "Ready")
                    .map_or_else(String::new, |c| format!(" ({})", c.message.trim_end_matches('.')));
                format!("is NotReady{message}")
            };
            self.tell(at, Sort::Node, Some(name.clone()), text);
        }
        if old.unschedulable != node.unschedulable {
            let text = if node.unschedulable { "is cordoned" } else { "is uncordoned" };
            self.tell(at, Sort::Node, Some(name.clone()), text);
        }
        for taint in node.taints.iter().filter(|t| t.effect == crate::api::TaintEffect::NoExecute) {
            if !old.taints.iter().any(|t| t.matches(taint)) {
                self.tell(at, Sort::Node, Some(name.clone()), format!("is tainted {taint}"));
            }
        }
    }

    fn workload(&mut self, change: &Change, line: &WorkloadLine) {
        let key = format!("{}/{}", line.namespace, line.name);
        if change.verb == Verb::Deleted {
            if self.whole.remove(&key).is_some() {
                self.tell(change.at, Sort::Workload, Some(key), "is gone");
            }
            return;
        }
        let whole = line.available >= line.desired;
        let told = self.whole.get(&key).copied();
        if line.desired == 0 && told.is_none() {
            return;
        }
        if told == Some(whole) || (told.is_none() && !whole) {
            self.whole.entry(key).or_insert(false);
            return;
        }
        self.whole.insert(key.clone(), whole);
        let who = format!("{key} ({}/{})", line.available, line.desired);
        let text =
            if whole { "has all its Pods available" } else { "has fewer Pods available than it wants" };
        self.tell(change.at, Sort::Workload, Some(who), text);
    }

    fn pod(&mut self, change: &Change, pod: &Pod) {
        let Some((old, Some(_))) = change.of::<Pod>() else { return };
        let at = change.at;
        let name = pod.meta.key().to_string();
        self.pending(at, pod);
        if let Some(old) = old {
            let target = |p: &Pod| condition::find(&p.status.conditions, cond::DISRUPTION_TARGET).cloned();
            if let Some(why) = target(pod).filter(|c| c.is_true() && target(old).is_none()) {
                self.tell(at, Sort::Evicted, Some(name.clone()), eviction_text(&why.reason));
            }
            self.crashes(at, old, pod, &name);
            if old.status.phase != Phase::Failed
                && pod.status.phase == Phase::Failed
                && !pod.status.reason.is_empty()
            {
                let text = format!("failed: {}", pod.status.reason);
                self.tell(at, Sort::Crash, Some(name), text);
            }
        }
    }

    /// Tells once per owner and sentence that Pods cannot be placed.
    fn pending(&mut self, at: SimTime, pod: &Pod) {
        if pod.node_name.is_some() || pod.meta.is_deleting() {
            return;
        }
        let Some(why) = condition::find(&pod.status.conditions, cond::POD_SCHEDULED) else { return };
        if why.is_true() || why.message.is_empty() {
            return;
        }
        let told = (owner_of(&pod.meta), why.message.to_string());
        if self.told_pending.contains_key(&told) {
            return;
        }
        let text = format!("stays Pending: {}", why.message);
        self.told_pending.insert(told, ());
        self.tell(at, Sort::Pending, Some(pod.meta.key().to_string()), text);
    }

    fn crashes(&mut self, at: SimTime, old: &Pod, pod: &Pod, name: &str) {
        if pod.meta.is_deleting() {
            return;
        }
        for (before, after) in old.status.containers.iter().zip(&pod.status.containers) {
            if let (ContainerState::Running { .. }, ContainerState::Terminated(end)) =
                (&before.state, &after.state)
                && end.exit_code != 0
            {
                let text =
                    format!("container {} ended: {} (exit code {})", after.name, end.reason, end.exit_code);
                self.tell(at, Sort::Crash, Some(name.to_owned()), text);
            } else if after.restart_count > before.restart_count {
                let text = format!("restarted container {}", after.name);
                self.tell(at, Sort::Crash, Some(name.to_owned()), text);
            }
            if let ContainerState::Waiting { reason, .. } = &after.state
                && before.state != after.state
                && matches!(reason.as_str(), "CrashLoopBackOff" | "ImagePullBackOff" | "ErrImagePull")
            {
                self.tell(at, Sort::Crash, Some(name.to_owned()), format!("waits: {reason}"));
            }
        }
    }

    fn claim(&mut self, change: &Change, claim: &PersistentVolumeClaim) {
        let before = change.of::<PersistentVolumeClaim>().and_then(|(old, _)| old).map(|c| c.phase);
        if change.verb != Verb::Modified || before == Some(claim.phase) {
            return;
        }
        let text = format!("is {}", claim.phase.as_str());
        self.tell(change.at, Sort::Storage, Some(format!("claim {}", claim.meta.key())), text);
    }

    fn job(&mut self, change: &Change, job: &Job) {
        let old = change.of::<Job>().and_then(|(old, _)| old);
        for kind in ["Complete", "Failed"] {
            let was = old.is_some_and(|o| condition::is_true(&o.status.conditions, kind));
            if let Some(now) = condition::find(&job.status.conditions, kind).filter(|c| c.is_true() && !was) {
                let text = if kind == "Complete" {
                    format!("completed ({} succeeded)", job.status.succeeded)
                } else {
                    format!("failed: {}", now.message)
                };
                self.tell(change.at, Sort::Job, Some(format!("job {}", job.meta.key())), text);
            }
        }
    }
}

impl Recorder for Narrator {
    fn record(&mut self, fact: &Fact) {
        match fact {
            Fact::Changed(change) => self.change(change),
            Fact::Action { last_lease_renewal, .. } if !last_lease_renewal.is_empty() => {}
            Fact::Action { at, verb, summary, .. } => {
                self.tell(*at, Sort::Step, None, format!("{verb} {summary}"));
            }
            Fact::Refused { at, verb, message } => {
                self.tell(*at, Sort::Refused, None, format!("{verb}: {message}"));
            }
            Fact::Data(fact) => self.data(fact),
            Fact::Traffic(interval) => self.requests(interval),
        }
    }
}

/// A span without needless digits: tenths of a second.
fn short_span(span: SimDuration) -> SimDuration {
    SimDuration::from_millis(span.as_millis() / 100 * 100)
}

fn eviction_text(reason: &str) -> String {
    match reason {
        "DeletionByTaintManager" => {
            "evicted: the node's NoExecute taint is not tolerated any longer".to_owned()
        }
        "EvictionByEvictionAPI" => "evicted through the eviction API".to_owned(),
        "PreemptionByScheduler" => "preempted by a Pod of higher priority".to_owned(),
        "DeletionByPodGC" => "removed: its node is gone".to_owned(),
        "TerminationByKubelet" => "evicted by the kubelet".to_owned(),
        other => format!("evicted: {other}"),
    }
}

fn owner_of(meta: &Meta) -> String {
    meta.controller()
        .map_or_else(|| meta.key().to_string(), |o| format!("{}/{}/{}", meta.namespace, o.kind, o.name))
}

/// How a workload stands; none for other kinds, and for ReplicaSets of a Deployment.
pub fn workload_line(object: &Object) -> Option<WorkloadLine> {
    let line = |meta: &Meta, kind: &str, desired, ready, available| WorkloadLine {
        namespace: meta.namespace.clone(),
        name: format!("{kind}/{}", meta.name),
        desired,
        ready,
        available,
    };
    match object {
        Object::Deployment(d) => {
            let Deployment { meta, status, replicas, .. } = &**d;
            Some(line(meta, "deployment", *replicas, status.ready_replicas, status.available_replicas))
        }
        Object::StatefulSet(s) => {
            let StatefulSet { meta, status, replicas, .. } = &**s;
            Some(line(meta, "statefulset", *replicas, status.ready_replicas, status.available_replicas))
        }
        Object::DaemonSet(d) => {
            let DaemonSet { meta, status, .. } = &**d;
            let desired = status.desired_number_scheduled;
            Some(line(meta, "daemonset", desired, status.number_ready, status.number_available))
        }
        Object::ReplicaSet(r) if r.meta.controller().is_none() => {
            let ReplicaSet { meta, status, replicas, .. } = &**r;
            Some(line(meta, "replicaset", *replicas, status.ready_replicas, status.available_replicas))
        }
        _ => None,
    }
}

/// How all workloads stand in a store, by namespace and name.
pub fn closing(store: &Store) -> Vec<WorkloadLine> {
    use crate::api::Kind;
    let kinds = [Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet, Kind::ReplicaSet];
    let mut lines: Vec<WorkloadLine> =
        kinds.iter().flat_map(|kind| store.list_objects(*kind)).filter_map(|o| workload_line(&o)).collect();
    lines.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    lines
}

/// Pods that wait for a node, with the scheduler's sentence.
pub fn waiting(store: &Store) -> Vec<(String, String)> {
    let mut pods: Vec<_> = store
        .list::<Pod>()
        .filter(|p| p.node_name.is_none() && !p.meta.is_deleting() && !p.is_terminal())
        .map(|p| {
            let why = condition::find(&p.status.conditions, cond::POD_SCHEDULED);
            (p.meta.key().to_string(), why.map_or_else(String::new, |c| c.message.to_string()))
        })
        .collect();
    pods.sort();
    pods
}
