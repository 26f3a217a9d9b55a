//! What the scenario says a container does. The first entry that matches and says something decides a matter.

use super::Params;
use super::pod::LocalPod;
use crate::base::SimDuration;
use crate::params::Behaviour;
use crate::params::behaviour::{Completion, Growing, MemoryUse, Outage, ProbeOutage};
use crate::params::latency::Delay;

/// How long an init container runs that nothing is said of.
const INIT_TIME: Completion =
    Completion { after: Delay::Constant(SimDuration::from_secs(1)), exit_code: 0, fail_first: None };

/// What a container does.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Habits {
    /// Its image cannot be pulled.
    pub pull_fails: bool,
    /// Bytes of its image.
    pub size: Option<i64>,
    /// From its start to being able to answer.
    pub startup: Option<Delay>,
    /// From SIGTERM to its end.
    pub shutdown: Option<Delay>,
    /// With what code it ends then.
    pub shutdown_exit_code: Option<i32>,
    /// Its `postStart` hook fails.
    pub post_start_fails: bool,
    /// Its `preStop` hook fails.
    pub pre_stop_fails: bool,
    /// The memory it uses.
    pub memory: Option<MemoryUse>,
    /// The disk it writes.
    pub disk: Option<Growing>,
    /// The processes it has.
    pub processes: Option<Growing>,
    /// It stops answering.
    pub hangs: Option<Outage>,
    /// Its probes fail in these spans.
    pub probes: Vec<ProbeOutage>,
    /// It ends by itself.
    pub completes: Option<Completion>,
}

/// What a container of a Pod does. What the Pod itself says goes first.
///
/// Init containers and sidecars are meant only by entries that name them or their image: an entry for the
/// Pods of an app is about the app. An init container of which nothing is said runs for a second.
pub fn of(params: &Params<'_>, pod: &LocalPod, index: usize) -> Habits {
    let mut habits = Habits::default();
    let container = pod.container(index);
    let regular = pod.is_regular(index);
    if regular {
        habits.completes = pod.runs_for.map(|span| Completion { after: Delay::Constant(span), ..INIT_TIME });
    }
    let meant = |entry: &&Behaviour| {
        let by_name = entry.matches.container.is_some() || entry.matches.image.is_some();
        (regular || by_name)
            && entry.matches.covers(
                (&pod.key.namespace, &pod.key.name),
                &pod.labels,
                &container.name,
                &container.image,
            )
    };
    for entry in params.behaviours.iter().filter(meant) {
        habits.pull_fails |= entry.pull_fails;
        habits.size = habits.size.or(entry.size);
        habits.startup = habits.startup.or(entry.startup);
        habits.shutdown = habits.shutdown.or(entry.shutdown);
        habits.shutdown_exit_code = habits.shutdown_exit_code.or(entry.shutdown_exit_code);
        habits.post_start_fails |= entry.post_start_fails;
        habits.pre_stop_fails |= entry.pre_stop_fails;
        habits.memory = habits.memory.or(entry.memory);
        habits.disk = habits.disk.or(entry.disk);
        habits.processes = habits.processes.or(entry.processes);
        habits.hangs = habits.hangs.or(entry.hangs);
        if habits.probes.is_empty() {
            habits.probes.clone_from(&entry.probes);
        }
        habits.completes = habits.completes.or(entry.completes);
    }
    if !regular && !container.sidecar {
        habits.completes = habits.completes.or(Some(INIT_TIME));
    }
    habits
}
