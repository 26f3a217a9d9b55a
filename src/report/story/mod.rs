//! The story of a run: what happened when, told in kubectl's vocabulary and short enough to read.
//!
//! The narrator hears every fact, keeps what a person would tell, and joins what belongs together: forty Pods of
//! one Deployment that start within two seconds are one line.

pub mod beat;
mod data;
mod requests;
pub mod standing;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::api::event::Said;
use crate::api::pod::{RestartPolicy, cond};
use crate::api::storage::PersistentVolumeClaim;
use crate::api::workload::{Deployment, Job};
use crate::api::{ContainerState, ContainerStatus, Kind, Meta, Node, Object, Phase, Pod, condition};
use crate::base::{SimDuration, SimTime};
use crate::facts::{Fact, Recorder};
use crate::store::{Change, Verb};
pub use beat::{Beat, Sort};
pub use standing::{WorkloadLine, closing, waiting, workload_line};

/// Things of one kind within this span are told together.
const JOIN_WITHIN: SimDuration = SimDuration::from_secs(2);
/// How often the same is told of the same before it is only counted, until a step makes it news again.
const TELLINGS_MAX: u32 = 2;
/// The reason of a Deployment whose rollout takes too long.
const DEADLINE_EXCEEDED: &str = "ProgressDeadlineExceeded";

/// Listens to a run and keeps its story.
#[derive(Clone, Debug, Default)]
pub struct Narrator {
    beats: Vec<Beat>,
    /// How each workload was last told to stand.
    standing: BTreeMap<String, Standing>,
    /// What was told of each owner's waiting Pods.
    told_pending: BTreeMap<(String, String), ()>,
    /// What was told since the last step, and of whom.
    told: BTreeMap<(Sort, String, String), Told>,
    /// The CronJob of each Job that has one.
    cron_of: BTreeMap<String, String>,
    /// What is known of data.
    data: data::Known,
    /// For each service, the span in which its requests fail, as long as it goes on.
    troubles: BTreeMap<usize, requests::Trouble>,
}

/// What is remembered of something told.
#[derive(Clone, Copy, Debug)]
struct Told {
    /// The line that told it last.
    beat: usize,
    /// How often it was told.
    times: u32,
    /// Whether it is the first of those whom that line names.
    leads: bool,
}

/// How a workload stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It has not been whole yet.
    Rising,
    /// It has what it wants.
    Whole,
    /// It has less than it wants.
    Short,
    /// It has nothing.
    Down,
}

impl Standing {
    const fn of(line: &WorkloadLine) -> Self {
        if line.available >= line.desired {
            Self::Whole
        } else if line.available > 0 {
            Self::Short
        } else {
            Self::Down
        }
    }
}

/// Somebody in the story.
struct Who {
    /// As told.
    name: String,
    /// Whom it stands for: what happens to one Job of a CronJob after the other is no news.
    stands_for: String,
}

impl From<String> for Who {
    fn from(name: String) -> Self {
        Self { stands_for: name.clone(), name }
    }
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

    /// Tells a line: joined with one that says the same of others, or counted if it was told often enough.
    fn tell(&mut self, at: SimTime, sort: Sort, who: impl Into<Who>, text: impl Into<String>) {
        let (who, text) = (who.into(), text.into());
        let key = (sort, who.stands_for, text);
        let limit = if sort == Sort::Warning { 1 } else { TELLINGS_MAX };
        let told = self.told.get(&key).copied();
        if let Some(told) = told.filter(|t| t.times >= limit) {
            if told.leads {
                self.beats[told.beat].happened_again(at);
            }
            return;
        }
        let beat = self.join(at, sort, &key.2, &who.name);
        let leads = self.beats[beat].who.first() == Some(&who.name);
        self.told.insert(key, Told { beat, times: told.map_or(1, |t| t.times + 1), leads });
    }

    /// The place of the line that tells it: one that is still open, or a new one.
    fn join(&mut self, at: SimTime, sort: Sort, text: &str, who: &str) -> usize {
        // Only the latest beats can be joined with: older ones are too far back in time.
        let mut open =
            self.beats.iter().enumerate().rev().take_while(|(_, b)| at.since(b.until) <= JOIN_WITHIN);
        let found = open.find(|(_, b)| b.sort == sort && b.text == text && at.since(b.at) <= JOIN_WITHIN * 3);
        let Some(place) = found.map(|(place, _)| place) else {
            self.beats.push(Beat::new(at, sort, vec![who.to_owned()], text.to_owned()));
            return self.beats.len() - 1;
        };
        let beat = &mut self.beats[place];
        beat.until = at;
        if !beat.who.iter().any(|w| w == who) {
            beat.who.push(who.to_owned());
        }
        place
    }

    /// Tells what nobody in particular has done; the same again is counted.
    fn announce(&mut self, at: SimTime, sort: Sort, text: String) {
        let key = (sort, String::new(), text);
        if let Some(told) = self.told.get(&key) {
            return self.beats[told.beat].happened_again(at);
        }
        self.beats.push(Beat::new(at, sort, Vec::new(), key.2.clone()));
        self.told.insert(key, Told { beat: self.beats.len() - 1, times: 1, leads: true });
    }

    fn change(&mut self, change: &Change) {
        if change.kind() == Kind::Event {
            if let Some(event) = change.said() {
                self.event(change.at, &event);
            }
            return;
        }
        match change.latest() {
            Object::Node(node) => self.node(change, node),
            Object::Pod(pod) => {
                if change.verb == Verb::Deleted {
                    self.data_pod_gone(&pod.meta.key());
                }
                self.pod(change, pod);
            }
            Object::PersistentVolumeClaim(claim) => self.claim(change, claim),
            Object::Job(job) => self.job(change, job),
            object => {
                if let Object::Deployment(deployment) = object {
                    self.progress(change, deployment);
                }
                if let Some(line) = workload_line(object) {
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
            Verb::Deleted => return self.tell(at, Sort::Node, name, "left the cluster"),
            Verb::Added if at > SimTime::ZERO => {
                return self.tell(at, Sort::Node, name, "joined the cluster");
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
            self.tell(at, Sort::Node, name.clone(), text);
        }
        if old.unschedulable != node.unschedulable {
            let text = if node.unschedulable { "is cordoned" } else { "is uncordoned" };
            self.tell(at, Sort::Node, name.clone(), text);
        }
        for taint in node.taints.iter().filter(|t| t.effect == crate::api::TaintEffect::NoExecute) {
            if !old.taints.iter().any(|t| t.matches(taint)) {
                self.tell(at, Sort::Node, name.clone(), format!("is tainted {taint}"));
            }
        }
    }

    fn workload(&mut self, change: &Change, line: &WorkloadLine) {
        let key = format!("{}/{}", line.namespace, line.name);
        if change.verb == Verb::Deleted {
            if self.standing.remove(&key).is_some() {
                self.tell(change.at, Sort::Workload, key, "is gone");
            }
            return;
        }
        if line.desired == 0 {
            if self.standing.remove(&key).is_some() {
                self.tell(change.at, Sort::Workload, key, "wants no Pods any more");
            }
            return;
        }
        let now = Standing::of(line);
        let before = self.standing.insert(key.clone(), now);
        let text = match (before, now) {
            // What comes up is told when it is whole.
            (None | Some(Standing::Rising), Standing::Short | Standing::Down) => {
                self.standing.insert(key, Standing::Rising);
                return;
            }
            (Some(Standing::Short), Standing::Short) | (_, Standing::Rising) => return,
            (Some(Standing::Down), Standing::Down | Standing::Short) => return,
            (Some(Standing::Whole), Standing::Whole) => return,
            (_, Standing::Whole) => "has all its Pods available",
            (_, Standing::Short) => "has fewer Pods available than it wants",
            (_, Standing::Down) => "has no Pods available",
        };
        let name = format!("{key} ({}/{})", line.available, line.desired);
        self.tell(change.at, Sort::Workload, Who { name, stands_for: key }, text);
    }

    fn pod(&mut self, change: &Change, pod: &Pod) {
        let Some((old, Some(_))) = change.of::<Pod>() else { return };
        let at = change.at;
        self.pending(at, pod);
        if let Some(old) = old {
            let target = |p: &Pod| condition::find(&p.status.conditions, cond::DISRUPTION_TARGET).is_some();
            if let Some(why) = condition::find(&pod.status.conditions, cond::DISRUPTION_TARGET)
                && why.is_true()
                && !target(old)
            {
                self.tell(at, Sort::Evicted, pod.meta.key().to_string(), eviction_text(&why.reason));
            }
            self.crashes(at, old, pod);
            if old.status.phase != Phase::Failed
                && pod.status.phase == Phase::Failed
                && !pod.status.reason.is_empty()
            {
                let text = format!("failed: {}", pod.status.reason);
                self.tell(at, Sort::Crash, self.who(pod), text);
            }
        }
    }

    /// Tells once per owner and set of reasons that Pods cannot be placed.
    fn pending(&mut self, at: SimTime, pod: &Pod) {
        if pod.node_name.is_some() || pod.meta.is_deleting() {
            return;
        }
        let Some(why) = condition::find(&pod.status.conditions, cond::POD_SCHEDULED) else { return };
        if why.is_true() || why.message.is_empty() {
            return;
        }
        let owner = self.root_of(&pod.meta);
        let told = (owner.clone(), reasons_of(&why.message));
        if self.told_pending.contains_key(&told) {
            return;
        }
        let text = format!("stays Pending: {}", why.message);
        self.told_pending.insert(told, ());
        let who = Who { name: pod.meta.key().to_string(), stands_for: owner };
        self.tell(at, Sort::Pending, who, text);
    }

    fn crashes(&mut self, at: SimTime, old: &Pod, pod: &Pod) {
        if pod.meta.is_deleting() {
            return;
        }
        for (before, after) in old.status.containers.iter().zip(&pod.status.containers) {
            if let (ContainerState::Running { .. }, ContainerState::Terminated(end)) =
                (&before.state, &after.state)
                && end.exit_code != 0
                && pod.spec.restart_policy == RestartPolicy::Never
            {
                // Of those that start anew it is told then.
                let text =
                    format!("container {} ended: {} (exit code {})", after.name, end.reason, end.exit_code);
                self.tell(at, Sort::Crash, self.who(pod), text);
            } else if after.restart_count > before.restart_count {
                let text = restart_text(after);
                self.tell(at, Sort::Crash, self.who(pod), text);
            }
            if let ContainerState::Waiting { reason, .. } = &after.state
                && before.state != after.state
                && matches!(reason.as_str(), "CrashLoopBackOff" | "ImagePullBackOff" | "ErrImagePull")
            {
                self.tell(at, Sort::Crash, self.who(pod), format!("waits: {reason}"));
            }
        }
    }

    fn claim(&mut self, change: &Change, claim: &PersistentVolumeClaim) {
        let before = change.of::<PersistentVolumeClaim>().and_then(|(old, _)| old).map(|c| c.phase);
        if change.verb != Verb::Modified || before == Some(claim.phase) {
            return;
        }
        let text = format!("is {}", claim.phase.as_str());
        self.tell(change.at, Sort::Storage, format!("claim {}", claim.meta.key()), text);
    }

    fn job(&mut self, change: &Change, job: &Job) {
        let key = job.meta.key().to_string();
        // Kept when the Job goes: its Pods may be heard of later.
        if let Some(cron) = job.meta.controller().filter(|o| o.kind == "CronJob") {
            self.cron_of
                .entry(key.clone())
                .or_insert_with(|| format!("{}/CronJob/{}", job.meta.namespace, cron.name));
        }
        let old = change.of::<Job>().and_then(|(old, _)| old);
        for kind in ["Complete", "Failed"] {
            let was = old.is_some_and(|o| condition::is_true(&o.status.conditions, kind));
            if let Some(now) = condition::find(&job.status.conditions, kind).filter(|c| c.is_true() && !was) {
                let text = if kind == "Complete" {
                    format!("completed ({} succeeded)", job.status.succeeded)
                } else {
                    format!("failed: {}", now.message)
                };
                let stands_for = self.cron_of.get(&key).cloned().unwrap_or_else(|| key.clone());
                self.tell(change.at, Sort::Job, Who { name: format!("job {key}"), stands_for }, text);
            }
        }
    }

    /// What only an Event says: that a probe killed a container, a controller may not create a Pod, or leaves out a run.
    fn event(&mut self, at: SimTime, event: &Said<'_>) {
        let about = event.regarding;
        if event.reason == "Killing" && event.message.ends_with("will be restarted") {
            return self.unwell(at, format!("{}/{}", about.namespace, about.name), event.message);
        }
        if !matches!(event.reason.as_str(), "FailedCreate" | "JobAlreadyActive") {
            return;
        }
        let name = format!("{}/{}/{}", about.namespace, about.kind.to_lowercase(), about.name);
        // The refused Pods have names of their own, which are no news.
        let stands_for = format!("{name} {}", event.reason);
        let key = (Sort::Warning, stands_for, String::new());
        if let Some(told) = self.told.get(&key) {
            return self.beats[told.beat].happened_again(at);
        }
        self.beats.push(Beat::new(at, Sort::Warning, vec![format!("{name}:")], event.message.to_string()));
        self.told.insert(key, Told { beat: self.beats.len() - 1, times: 1, leads: true });
    }

    /// Tells once that a probe kills a container: its restarts are told anyway, and not every one has its Event.
    fn unwell(&mut self, at: SimTime, pod: String, message: &str) {
        let text = format!("is unwell: {message}");
        if !self.told.contains_key(&(Sort::Crash, pod.clone(), text.clone())) {
            self.tell(at, Sort::Crash, pod, text);
        }
    }

    /// Tells that a rollout does not get on.
    fn progress(&mut self, change: &Change, deployment: &Deployment) {
        let stuck = |d: &Deployment| {
            condition::find(&d.status.conditions, "Progressing")
                .is_some_and(|c| c.reason == DEADLINE_EXCEEDED)
        };
        let before = change.of::<Deployment>().and_then(|(old, _)| old).is_some_and(|old| stuck(old));
        if stuck(deployment) && !before && change.verb != Verb::Deleted {
            let name = format!("{}/deployment/{}", deployment.meta.namespace, deployment.meta.name);
            self.tell(change.at, Sort::Warning, name, format!("makes no progress: {DEADLINE_EXCEEDED}"));
        }
    }

    /// A Pod, which stands for its Job or CronJob if it has one.
    fn who(&self, pod: &Pod) -> Who {
        let name = pod.meta.key().to_string();
        let of_job = pod.meta.controller().is_some_and(|o| o.kind == "Job");
        Who { stands_for: if of_job { self.root_of(&pod.meta) } else { name.clone() }, name }
    }

    /// Who made an object, in the end.
    fn root_of(&self, meta: &Meta) -> String {
        let Some(owner) = meta.controller() else { return meta.key().to_string() };
        let job = format!("{}/{}", meta.namespace, owner.name);
        match self.cron_of.get(&job).filter(|_| owner.kind == "Job") {
            Some(cron) => cron.clone(),
            None => format!("{}/{}/{}", meta.namespace, owner.kind, owner.name),
        }
    }
}

impl Recorder for Narrator {
    fn record(&mut self, fact: &Fact) {
        match fact {
            Fact::Changed(change) => self.change(change),
            Fact::Action { last_lease_renewal, .. } if !last_lease_renewal.is_empty() => {}
            Fact::Action { at, verb, summary, .. } => {
                self.told.clear();
                self.announce(*at, Sort::Step, format!("{verb} {summary}"));
            }
            Fact::Refused { at, verb, message } => {
                self.announce(*at, Sort::Refused, format!("{verb}: {message}"));
            }
            Fact::Data(fact) => self.data(fact),
            Fact::Traffic(interval) => self.requests(interval),
        }
    }
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

/// The reasons in a sentence of the scheduler, without how many nodes each holds for.
fn reasons_of(message: &str) -> String {
    let about_nodes = message.split(". ").next().unwrap_or(message);
    let reasons =
        about_nodes.split_once(": ").map_or(about_nodes, |(_, reasons)| reasons).trim_end_matches('.');
    let mut reasons: Vec<&str> =
        reasons.split(", ").map(|r| r.trim_start_matches(|c: char| c.is_ascii_digit())).collect();
    reasons.sort_unstable();
    reasons.concat()
}

fn restart_text(container: &ContainerStatus) -> String {
    let name = &container.name;
    match &container.last_termination {
        Some(end) => format!(
            "restarted container {name}, which had ended: {} (exit code {})",
            end.reason, end.exit_code
        ),
        None => format!("restarted container {name}"),
    }
}
