//! When a node has been silent for too long.
//!
//! Upstream: `tryUpdateNodeHealth` of `pkg/controller/nodelifecycle/node_lifecycle_controller.go`, v1.34.

use super::taints::ready_status;
use crate::api::policy::Lease;
use crate::api::{Condition, ConditionStatus, Node, Uid};
use crate::base::time::Calendar;
use crate::base::{Arc, SimDuration, SimTime, Str, Timestamp, text::lit};
use crate::controller::Ctx;
use crate::params::settings::ControllerManager;

/// The namespace of node leases.
pub const NAMESPACE_NODE_LEASE: &str = "kube-node-lease";

/// Conditions that become `Unknown`; `NetworkUnavailable` belongs to somebody else.
const CONDITIONS: [&str; 4] = ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"];

/// The passes of the node monitor, and how long a node may be silent.
#[derive(Clone, Copy, Debug)]
pub struct Monitor {
    /// `--node-monitor-period`.
    period: SimDuration,
    /// Where in the period the passes lie.
    phase: SimDuration,
    /// `--node-monitor-grace-period`.
    grace: SimDuration,
    /// `--node-startup-grace-period`.
    startup_grace: SimDuration,
}

/// What the monitor remembers of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    /// Which node of this name.
    pub uid: Uid,
    /// From when on its silence is counted, whatever came before.
    pub base: SimTime,
    /// When its agent last posted the condition `Ready`.
    pub heartbeat: Option<SimTime>,
    /// The pass in which it will be found silent.
    pub due: Option<SimTime>,
}

impl Monitor {
    /// From the flags; `phase` says where in the period the passes lie.
    pub const fn new(flags: &ControllerManager, phase: SimDuration) -> Self {
        Self {
            period: flags.node_monitor_period,
            phase,
            grace: flags.node_monitor_grace_period,
            startup_grace: flags.node_startup_grace_period,
        }
    }

    /// The first pass at or after `at`.
    pub fn pass_from(&self, at: SimTime) -> SimTime {
        at.next_on_grid(self.phase, self.period)
    }

    /// The first pass after `at`.
    pub fn pass_after(&self, at: SimTime) -> SimTime {
        self.pass_from(at + SimDuration::from_nanos(1))
    }

    /// The pass in which the node is found silent; none if that will not happen unless something changes.
    ///
    /// A pass sees a renewal that came before it, and counts the grace period from then on by its own
    /// clock. Upstream asks for more than the grace period; its passes are a little more than the period
    /// apart, so that the pass a whole grace period later is late enough.
    pub fn due(
        &self,
        node: &Node,
        watched: &Watched,
        lease: Option<&Lease>,
        now: (SimTime, Calendar),
    ) -> Option<SimTime> {
        let (base, grace) = match ready_status(node) {
            Some(ConditionStatus::Unknown) => return None,
            Some(_) => (watched.base, self.grace),
            None => {
                let created = node.meta.created.map_or(watched.base, |at| now.1.instant(at));
                (created, self.startup_grace)
            }
        };
        let base = watched.heartbeat.map_or(base, |at| base.max(self.pass_after(at)));
        let due = |signal: Option<SimTime>| {
            self.pass_from(signal.map_or(base, |at| base.max(self.pass_after(at))) + grace)
        };
        let Some(lease) = lease else { return Some(due(None)) };
        let mut signal = lease.last_renewal(now.0, now.1);
        let Some(rule) = lease.renewals else { return Some(due(signal)) };
        if rule.until.is_none() && rule.period + self.period <= grace {
            return None;
        }
        // Odd settings: a grace period so short that a living agent may be too slow. Follows its
        // renewals until one comes too late.
        for _ in 0..RENEWALS_AHEAD {
            match rule.next_after(signal.unwrap_or(now.0).max(now.0)) {
                Some(next) if next < due(signal) => signal = Some(next),
                _ => return Some(due(signal)),
            }
        }
        None
    }
}

/// Renewals that are looked at ahead when settings are odd.
const RENEWALS_AHEAD: usize = 64;

/// Says that nobody knows how the node is. Nothing is written if `Ready` is `Unknown` already.
pub fn mark_unknown(ctx: &mut Ctx<'_>, node: &Arc<Node>) -> Arc<Node> {
    if ready_status(node) == Some(ConditionStatus::Unknown) {
        return node.clone();
    }
    let now = ctx.timestamp();
    let written = ctx.update::<Node>(&node.meta.key(), |node| {
        let created = node.meta.created;
        for kind in CONDITIONS {
            match node.status.conditions.iter_mut().find(|c| c.kind == kind) {
                Some(c) if c.status == ConditionStatus::Unknown => {}
                Some(c) => {
                    c.status = ConditionStatus::Unknown;
                    c.reason = lit!("NodeStatusUnknown");
                    c.message = lit!("Kubelet stopped posting node status.");
                    c.transition = Some(now);
                }
                None => node.status.conditions.push(never_updated(kind, created, now)),
            }
        }
    });
    written.unwrap_or_else(|_| node.clone())
}

fn never_updated(kind: &'static str, created: Option<Timestamp>, now: Timestamp) -> Condition {
    Condition {
        kind: Str::from(kind),
        status: ConditionStatus::Unknown,
        reason: lit!("NodeStatusNeverUpdated"),
        message: lit!("Kubelet never posted node status."),
        transition: Some(now),
        updated: created,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Meta;
    use crate::api::policy::Renewals;
    use crate::testkit;

    fn s(seconds: u64) -> SimTime {
        SimTime::from_secs(seconds)
    }

    fn node(ready: Option<ConditionStatus>) -> Node {
        let mut node = Node { meta: Meta::named("", "n"), ..Node::default() };
        node.meta.created = Some(testkit::calendar().timestamp(s(0)));
        let at = testkit::calendar().timestamp(s(0));
        node.status.conditions.extend(ready.map(|r| Condition::new("Ready", r, "", "", at)));
        node
    }

    fn lease(phase: u64, until: Option<u64>) -> Lease {
        let rule = Renewals {
            since: s(0),
            phase: SimDuration::from_secs(phase),
            period: SimDuration::from_secs(10),
            until: until.map(s),
        };
        Lease { renewals: Some(rule), ..Lease::default() }
    }

    fn due_at(node: &Node, lease: Option<&Lease>, heartbeat: Option<u64>, now: u64) -> Option<u64> {
        let monitor = Monitor::new(&ControllerManager::default(), SimDuration::ZERO);
        let watched = Watched { uid: Uid::new(), base: s(0), heartbeat: heartbeat.map(s), due: None };
        monitor.due(node, &watched, lease, (s(now), testkit::calendar())).map(|at| at.as_secs())
    }

    #[test]
    fn a_node_that_renews_is_never_due() {
        let ready = node(Some(ConditionStatus::True));
        assert_eq!(due_at(&ready, Some(&lease(3, None)), None, 100), None);
    }

    /// §6.2, §13.1: the grace period runs by the controller's own clock.
    #[test]
    fn silence_is_counted_from_the_pass_that_saw_the_last_renewal() {
        let ready = node(Some(ConditionStatus::True));
        // Renewals at 3, 13 …; the last at 33 is seen at 35.
        assert_eq!(due_at(&ready, Some(&lease(3, Some(36))), None, 36), Some(85));
        // A renewal in the very instant of a pass is seen by the next.
        assert_eq!(due_at(&ready, Some(&lease(0, Some(31))), None, 31), Some(85));
        // A status posted after the last renewal counts too.
        assert_eq!(due_at(&ready, Some(&lease(3, Some(36))), Some(36), 36), Some(90));
    }

    /// §6.1.
    #[test]
    fn a_node_that_never_posted_has_the_startup_grace() {
        assert_eq!(due_at(&node(None), None, None, 1), Some(60));
        assert_eq!(due_at(&node(Some(ConditionStatus::False)), None, None, 1), Some(50));
        assert_eq!(due_at(&node(Some(ConditionStatus::Unknown)), None, None, 1), None);
    }
}
