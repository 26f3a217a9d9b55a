//! Policy kinds: budgets, priority classes, quotas, autoscalers as objects.

use super::condition::Condition;
use super::k8s;
use super::meta::{Labels, Meta};
use super::resources::ResourceList;
use super::selector::LabelSelector;
use super::workload::{BoundaryPart, IntOrPercent};
use crate::base::time::Calendar;
use crate::base::{Arc, Few, Quantity, SimDuration, SimTime, Str, Timestamp};

/// A PodDisruptionBudget.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PodDisruptionBudget {
    /// Metadata.
    pub meta: Meta,
    /// Which Pods. Empty selects all of the namespace.
    pub selector: LabelSelector,
    /// `minAvailable`.
    pub min_available: Option<IntOrPercent>,
    /// `maxUnavailable`.
    pub max_unavailable: Option<IntOrPercent>,
    /// `unhealthyPodEvictionPolicy: AlwaysAllow`.
    pub always_allow_unhealthy: bool,
    /// The generation last seen.
    pub observed_generation: i64,
    /// Pods whose eviction was granted and that still exist: name and when.
    pub disrupted_pods: Vec<(Str, Timestamp)>,
    /// Evictions that would be granted now.
    pub disruptions_allowed: i32,
    /// Healthy Pods.
    pub current_healthy: i32,
    /// Healthy Pods there must be.
    pub desired_healthy: i32,
    /// Pods counted.
    pub expected_pods: i32,
    /// Conditions.
    pub conditions: Vec<Condition>,
}

/// A PriorityClass.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PriorityClass {
    /// Metadata.
    pub meta: Meta,
    /// The priority.
    pub value: i32,
    /// For Pods that name no class.
    pub global_default: bool,
    /// `preemptionPolicy: Never`.
    pub never_preempts: bool,
    /// Free text.
    pub description: Str,
}

/// A ResourceQuota.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ResourceQuota {
    /// Metadata.
    pub meta: Meta,
    /// Limits.
    pub hard: ResourceList,
    /// Scopes by name.
    pub scopes: Vec<Str>,
    /// `scopeSelector.matchExpressions`: scope name, operator, values.
    pub scope_selector: Vec<(Str, Str, Vec<Str>)>,
    /// Limits the controller has seen.
    pub status_hard: ResourceList,
    /// What is used of them.
    pub used: ResourceList,
}

/// A LimitRange, in its boundary form.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LimitRange {
    /// Metadata.
    pub meta: Meta,
    /// The limits, defaulted.
    pub spec: Arc<BoundaryPart<k8s::core::v1::LimitRangeSpec>>,
}

/// A HorizontalPodAutoscaler (v2), its spec in the boundary form.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HorizontalPodAutoscaler {
    /// Metadata.
    pub meta: Meta,
    /// Kind of the target.
    pub target_kind: Str,
    /// Name of the target.
    pub target_name: Str,
    /// Lower bound.
    pub min_replicas: i32,
    /// Upper bound.
    pub max_replicas: i32,
    /// Everything else.
    pub spec: Arc<BoundaryPart<k8s::autoscaling::v2::HorizontalPodAutoscalerSpec>>,
    /// The generation last seen.
    pub observed_generation: i64,
    /// When it last scaled.
    pub last_scale_time: Option<Timestamp>,
    /// Replicas seen.
    pub current_replicas: i32,
    /// Replicas wanted.
    pub desired_replicas: i32,
    /// Metrics seen: name, average utilisation in percent, average value.
    pub current_metrics: Vec<(Str, Option<i32>, Option<Quantity>)>,
    /// Conditions.
    pub conditions: Few<Condition>,
}

/// A node's lease.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Lease {
    /// Metadata.
    pub meta: Meta,
    /// Who holds it.
    pub holder: Str,
    /// How long it lasts.
    pub duration_seconds: i32,
    /// When it was renewed, as of the last write.
    pub renew_time: Option<Timestamp>,
    /// The renewals since, as a rule: an agent that renews costs no writes. None: renewed by writes only.
    pub renewals: Option<Renewals>,
}

/// The renewals of a lease by an agent, as a rule instead of as writes.
///
/// The first comes at `since`, the others on the grid `phase + k * period` after it. The rule is written
/// when an agent begins to renew and when it ends, and nothing is written between.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Renewals {
    /// The first renewal.
    pub since: SimTime,
    /// Where the grid lies.
    pub phase: SimDuration,
    /// From one renewal to the next.
    pub period: SimDuration,
    /// No renewal comes after this instant; none while the agent goes on.
    pub until: Option<SimTime>,
}

impl Renewals {
    /// The last renewal at or before `now`; none before the first.
    pub fn last_at(&self, now: SimTime) -> Option<SimTime> {
        let end = self.until.map_or(now, |until| until.min(now));
        if end < self.since {
            return None;
        }
        Some(self.grid_at_or_before(end).max(self.since))
    }

    /// The first renewal after `now`; none if there is no more.
    pub fn next_after(&self, now: SimTime) -> Option<SimTime> {
        let next = if now < self.since {
            self.since
        } else {
            (now + SimDuration::from_nanos(1)).next_on_grid(self.phase, self.period)
        };
        (next > now && self.until.is_none_or(|until| next <= until)).then_some(next)
    }

    /// The last instant of the grid at or before `now`; the start if there is none.
    fn grid_at_or_before(&self, now: SimTime) -> SimTime {
        let period = self.period.as_nanos();
        if period == 0 {
            return now;
        }
        let phase = self.phase.as_nanos() % period;
        now.as_nanos()
            .checked_sub(phase)
            .map_or(SimTime::ZERO, |past| SimTime::from_nanos(phase + past / period * period))
    }
}

impl Lease {
    /// The last renewal at or before `now` that the rule or the last write tells of.
    pub fn last_renewal(&self, now: SimTime, calendar: Calendar) -> Option<SimTime> {
        self.renewals.and_then(|r| r.last_at(now)).or_else(|| self.renew_time.map(|at| calendar.instant(at)))
    }
}

/// Labels of a selector that only has `matchLabels`, for output.
pub fn match_labels(selector: &LabelSelector) -> Labels {
    match selector {
        LabelSelector::Nothing => Labels::default(),
        LabelSelector::Requirements(all) => all
            .iter()
            .filter(|r| r.operator == super::selector::Operator::In && r.values.len() == 1)
            .map(|r| (r.key.clone(), r.values[0].clone()))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renewals_lie_on_a_grid_after_the_first() {
        let s = SimTime::from_secs;
        let rule = Renewals {
            since: s(21),
            phase: SimDuration::from_secs(3),
            period: SimDuration::from_secs(10),
            until: None,
        };
        assert_eq!(
            [20, 21, 22, 23, 32, 33].map(|t| rule.last_at(s(t))),
            [None, Some(s(21)), Some(s(21)), Some(s(23)), Some(s(23)), Some(s(33))]
        );
        assert_eq!([0, 21, 23, 24].map(|t| rule.next_after(s(t))), [21, 23, 33, 33].map(|t| Some(s(t))));
        let ended = Renewals { until: Some(s(40)), ..rule };
        assert_eq!(ended.last_at(s(100)), Some(s(33)));
        assert_eq!((ended.next_after(s(24)), ended.next_after(s(33))), (Some(s(33)), None));
    }

    #[test]
    fn a_lease_without_a_rule_tells_of_its_last_write() {
        let calendar = Calendar { start: Timestamp::new(100) };
        let lease = Lease { renew_time: Some(Timestamp::new(107)), ..Lease::default() };
        assert_eq!(lease.last_renewal(SimTime::from_secs(50), calendar), Some(SimTime::from_secs(7)));
    }
}
