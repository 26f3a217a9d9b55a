//! The status of a Pod from what its containers do.
//!
//! Upstream: `pkg/kubelet/kubelet_pods.go` `getPhase`, `convertToAPIContainerStatuses`,
//! `pkg/kubelet/status/generate.go`, v1.34.

use super::machine::Machine;
use super::pod::{Life, LocalPod, Run, Stage};
use crate::api::pod::{PodStatus, RestartPolicy, cond};
use crate::api::{Condition, ConditionStatus, Container, ContainerState, ContainerStatus, Phase, condition};
use crate::base::time::Calendar;
use crate::base::{Str, Timestamp, text::lit};

const READY: Str = lit!("Ready");
const CONTAINERS_READY: Str = lit!("ContainersReady");
const INITIALIZED: Str = lit!("Initialized");
const POD_SCHEDULED: Str = lit!("PodScheduled");
const READY_TO_START: Str = lit!("PodReadyToStartContainers");
const RESIZE_PENDING: Str = lit!("PodResizePending");
const RESIZE_IN_PROGRESS: Str = lit!("PodResizeInProgress");
const DISRUPTION_TARGET: Str = lit!("DisruptionTarget");
/// How many conditions a Pod has to which nothing special happens.
const CONDITIONS: usize = 5;

/// The status of a Pod, on top of what others have written into it.
pub fn of(
    pod: &LocalPod,
    machine: &Machine,
    live: &PodStatus,
    calendar: Calendar,
    now: Timestamp,
) -> PodStatus {
    let start_time = live.start_time.or(Some(pod.start_time));
    let verdict = pod.verdict.as_ref().filter(|verdict| verdict.rejected || pod.stage == Stage::Ended);
    let (phase, reason, message) = match verdict {
        Some(verdict) => (Phase::Failed, verdict.reason.clone(), verdict.message.clone()),
        None => (phase(pod), live.reason.clone(), live.message.clone()),
    };
    if verdict.is_some_and(|verdict| verdict.rejected) {
        return PodStatus { phase, reason, message, start_time, ..live.clone() };
    }
    let has_run = pod.containers.iter().any(|life| life.starts > 0);
    let inits = pod.init_count();
    let list = |range: std::ops::Range<usize>, old: &[ContainerStatus]| {
        let first = range.start;
        range.map(|index| container(pod, index, old.get(index - first), calendar)).collect::<Vec<_>>()
    };
    let mut status = PodStatus {
        phase,
        conditions: room_for(&live.conditions),
        reason,
        message,
        nominated_node: live.nominated_node.clone(),
        start_time,
        host_ip: machine.ip.clone(),
        pod_ip: if has_run { pod.ip.clone() } else { live.pod_ip.clone() },
        qos: live.qos,
        containers: list(inits..pod.containers.len(), &live.containers),
        init_containers: list(0..inits, &live.init_containers),
        resize: live.resize.clone(),
    };
    conditions(pod, &mut status, now);
    status
}

/// What was there, in a list with room for all that the kubelet writes of an ordinary Pod.
fn room_for(old: &[Condition]) -> Vec<Condition> {
    let mut list = Vec::with_capacity(old.len().max(CONDITIONS));
    list.extend_from_slice(old);
    list
}

fn container(
    pod: &LocalPod,
    index: usize,
    old: Option<&ContainerStatus>,
    calendar: Calendar,
) -> ContainerStatus {
    let (life, spec) = (&pod.containers[index], pod.container(index));
    let state = match &life.run {
        Run::Waiting { reason, message } => {
            ContainerState::Waiting { reason: reason.clone(), message: message.clone() }
        }
        Run::Running { since, .. } => ContainerState::Running { started_at: calendar.timestamp(*since) },
        Run::Exited(end) => ContainerState::Terminated(end.clone()),
    };
    let done = !pod.is_regular(index) && !spec.sidecar && life.exited().is_some_and(|end| end.exit_code == 0);
    ContainerStatus {
        name: spec.name.clone(),
        image: spec.image.clone(),
        state,
        last_termination: life.last.clone(),
        ready: life.ready || done,
        started: life.started,
        restart_count: life.starts.saturating_sub(1),
        resized: match &pod.resize {
            Some(resize) => Some(resize.shown(index, spec)),
            None => old.and_then(|o| o.resized.clone()),
        },
    }
}

/// The phase: the first of upstream's rules that holds.
fn phase(pod: &LocalPod) -> Phase {
    let policy = pod.spec.restart_policy;
    let (mut pending, mut failed_init) = (false, false);
    for (index, life) in pod.containers[..pod.init_count()].iter().enumerate() {
        if pod.is_sidecar(index) {
            let passed = life.is_running() && life.started || life.end().is_some();
            pending |= !(pod.initialized || passed);
        } else {
            failed_init |= life.end().is_some_and(|end| end.exit_code != 0);
            pending |= !pod.initialized && (life.is_running() || life.end().is_none());
        }
    }
    let regular = pod.regular();
    if failed_init && policy == RestartPolicy::Never {
        return Phase::Failed;
    }
    let ended = pod.stage == Stage::Ended;
    let waiting = regular.iter().any(|life| !life.is_running() && life.end().is_none());
    if !ended && (pending || waiting) {
        return Phase::Pending;
    }
    if pod.containers.iter().any(Life::is_running) {
        return Phase::Running;
    }
    let well = regular.iter().all(|life| life.end().is_some_and(|end| end.exit_code == 0));
    match (ended, policy, well) {
        (true, _, true) => Phase::Succeeded,
        (true, _, false) => Phase::Failed,
        (false, RestartPolicy::Always, _) => Phase::Running,
        (false, RestartPolicy::OnFailure, false) => Phase::Running,
        (false, RestartPolicy::OnFailure | RestartPolicy::Never, true) => Phase::Succeeded,
        (false, RestartPolicy::Never, false) => Phase::Failed,
    }
}

/// A condition without its type: status, reason, message.
type Verdict = (bool, Str, Str);

fn conditions(pod: &LocalPod, status: &mut PodStatus, now: Timestamp) {
    let phase = status.phase;
    let list = &mut status.conditions;
    put(list, READY_TO_START, (pod.sandbox, Str::new(), Str::new()), now);
    put(list, INITIALIZED, initialized(pod, phase), now);
    let containers = containers_ready(pod, phase);
    let ready = if containers.0 { gates(pod, list) } else { containers.clone() };
    put(list, READY, ready, now);
    put(list, CONTAINERS_READY, containers, now);
    if let Some(resize) = &pod.resize {
        match &resize.pending {
            Some((reason, message)) => {
                put(list, RESIZE_PENDING, (true, reason.clone(), message.clone()), now)
            }
            None => {
                condition::remove(list, &RESIZE_PENDING);
            }
        }
        if resize.in_progress {
            put(list, RESIZE_IN_PROGRESS, (true, Str::new(), Str::new()), now);
        } else {
            condition::remove(list, &RESIZE_IN_PROGRESS);
        }
    }
    if !condition::is_true(list, cond::POD_SCHEDULED) {
        // Upstream: a Pod that came with its node has been scheduled.
        put(list, POD_SCHEDULED, (true, Str::new(), Str::new()), now);
    }
    if pod.stage == Stage::Ended
        && let Some(message) = pod.verdict.as_ref().and_then(|verdict| verdict.disruption.clone())
    {
        put(list, DISRUPTION_TARGET, (true, lit!("TerminationByKubelet"), message), now);
    }
}

fn put(list: &mut Vec<Condition>, kind: Str, (holds, reason, message): Verdict, now: Timestamp) {
    let status = ConditionStatus::of(holds);
    condition::set(list, Condition { kind, status, reason, message, transition: Some(now), updated: None });
}

fn initialized(pod: &LocalPod, phase: Phase) -> Verdict {
    if phase == Phase::Succeeded {
        return (true, lit!("PodCompleted"), Str::new());
    }
    if pod.init_count() == 0 || pod.initialized {
        return (true, Str::new(), Str::new());
    }
    let done = |index: &usize| {
        let life = &pod.containers[*index];
        if pod.is_sidecar(*index) {
            life.started
        } else {
            life.exited().is_some_and(|end| end.exit_code == 0)
        }
    };
    let open: Vec<usize> = (0..pod.init_count()).filter(|index| !done(index)).collect();
    if open.is_empty() {
        return (true, Str::new(), Str::new());
    }
    let message = format!(
        "containers with incomplete status: {}",
        names(open.iter().map(|index| pod.container(*index)))
    );
    (false, lit!("ContainersNotInitialized"), message.into())
}

fn containers_ready(pod: &LocalPod, phase: Phase) -> Verdict {
    match phase {
        Phase::Succeeded => return (false, lit!("PodCompleted"), Str::new()),
        Phase::Failed => return (false, lit!("PodFailed"), Str::new()),
        Phase::Pending | Phase::Running | Phase::Unknown => {}
    }
    let counts = |index: &usize| pod.is_regular(*index) || pod.is_sidecar(*index);
    let counted = || (0..pod.containers.len()).filter(counts);
    let unready = || counted().filter(|index| !pod.containers[*index].ready);
    if unready().next().is_none() {
        return (true, Str::new(), Str::new());
    }
    let message = if unready().count() == counted().count() {
        pod.recipe.unready.clone()
    } else {
        unready_message(unready().map(|index| pod.container(index)))
    };
    (false, lit!("ContainersNotReady"), message)
}

/// What readiness gates say once all containers are ready.
fn gates(pod: &LocalPod, conditions: &[Condition]) -> Verdict {
    let problem = |gate: &Str| match condition::find(conditions, gate) {
        None => Some(format!("corresponding condition of pod readiness gate \"{gate}\" does not exist.")),
        Some(c) if c.is_true() => None,
        Some(c) => {
            Some(format!("the status of pod readiness gate \"{gate}\" is not \"True\", but {}", c.status))
        }
    };
    let problems: Vec<String> = pod.spec.readiness_gates.iter().filter_map(problem).collect();
    if problems.is_empty() {
        (true, Str::new(), Str::new())
    } else {
        (false, lit!("ReadinessGatesNotReady"), problems.join(", ").into())
    }
}

/// What is said of containers that are not ready.
pub(super) fn unready_message<'a>(containers: impl Iterator<Item = &'a Container>) -> Str {
    format!("containers with unready status: {}", names(containers)).into()
}

/// Names of containers as Go writes a list.
fn names<'a>(containers: impl Iterator<Item = &'a Container>) -> String {
    let names: Vec<&str> = containers.map(|container| container.name.as_str()).collect();
    format!("[{}]", names.join(" "))
}

#[cfg(test)]
mod tests {
    use crate::base::Arc;

    use serde_json::json;

    use super::*;
    use crate::api::lower::lower_pod;
    use crate::api::pod::Terminated;
    use crate::base::SimTime;
    use crate::kubelet::recipe::Recipe;
    use crate::store::ObjId;

    /// A Pod whose containers do this, init containers first: `side` before a word makes it a sidecar.
    fn pod(policy: &str, inits: &[&str], regular: &[&str]) -> LocalPod {
        let container = |(index, words): (usize, &&str)| {
            let mut container = json!({"name": format!("c{index}"), "image": "i"});
            if words.starts_with("side ") {
                container["restartPolicy"] = json!("Always");
            }
            container
        };
        let spec = json!({
            "restartPolicy": policy,
            "initContainers": inits.iter().enumerate().map(container).collect::<Vec<_>>(),
            "containers": regular.iter().enumerate().map(container).collect::<Vec<_>>(),
        });
        let boundary = serde_json::from_value(json!({"metadata": {"name": "p"}, "spec": spec})).unwrap();
        let pod = Arc::new(lower_pod(boundary).unwrap());
        let recipe = Arc::new(Recipe::of(&pod.spec));
        let mut local = LocalPod::new(ObjId(1), &pod, 0, recipe, SimTime::ZERO, Timestamp::new(0));
        for (life, words) in local.containers.iter_mut().zip(inits.iter().chain(regular)) {
            set(life, words.trim_start_matches("side "));
        }
        local
    }

    fn set(life: &mut Life, word: &str) {
        let end = |exit_code| {
            let (reason, at) = (Str::new(), Timestamp::new(0));
            Arc::new(Terminated { exit_code, reason, message: Str::new(), started_at: at, finished_at: at })
        };
        let runs = Run::Running { since: SimTime::ZERO, answers: SimTime::ZERO };
        (life.run, life.started, life.last) = match word {
            "new" => (Run::creating(), false, None),
            "starting" => (runs, false, None),
            "running" => (runs, true, None),
            "done" => (Run::Exited(end(0)), false, None),
            "failed" => (Run::Exited(end(1)), false, None),
            "backoff" => (Run::creating(), false, Some(end(1))),
            other => panic!("{other}"),
        };
    }

    /// §7.6: the table of phases, row by row, and §13.31: what backs off counts as stopped.
    #[test]
    fn the_phase_is_the_first_that_fits() {
        for (row, policy, inits, regular, ended, expected) in [
            (1, "Never", &["failed"][..], &["new"][..], false, Phase::Failed),
            (2, "Always", &["failed"], &["new"], false, Phase::Pending),
            (2, "Always", &["running"], &["new"], false, Phase::Pending),
            (2, "Always", &["side starting"], &["running"], false, Phase::Pending),
            (2, "Always", &[], &["running", "new"], false, Phase::Pending),
            (3, "Always", &["done"], &["running", "failed"], false, Phase::Running),
            (3, "Never", &["side running"], &["running"], false, Phase::Running),
            (4, "Always", &[], &["done", "done"], true, Phase::Succeeded),
            (5, "Always", &[], &["done", "failed"], true, Phase::Failed),
            (6, "Always", &[], &["failed", "done"], false, Phase::Running),
            (6, "Always", &[], &["backoff"], false, Phase::Running),
            (7, "OnFailure", &[], &["done"], false, Phase::Succeeded),
            (8, "Never", &[], &["failed", "done"], false, Phase::Failed),
            (9, "OnFailure", &[], &["failed", "done"], false, Phase::Running),
            (9, "OnFailure", &[], &["backoff"], false, Phase::Running),
        ] {
            let mut pod = pod(policy, inits, regular);
            pod.initialized = inits.iter().all(|word| matches!(*word, "done" | "side running"));
            if ended {
                pod.stage = Stage::Ended;
            }
            assert_eq!(phase(&pod), expected, "row {row}: {policy} {inits:?} {regular:?}");
        }
    }
}
