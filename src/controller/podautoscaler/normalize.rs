//! From a proposal to what is done: stabilisation, rates, bounds.
//!
//! Upstream: `pkg/controller/podautoscaler/horizontal.go` (`normalizeDesiredReplicas`,
//! `stabilizeRecommendationWithBehaviors`, `convertDesiredReplicasWithBehaviorRate`), v1.34.

use crate::api::k8s::autoscaling::v2::{HPAScalingRules, HorizontalPodAutoscalerBehavior};
use crate::base::{SimDuration, SimTime};

/// What an autoscaler remembers, in the memory of the process only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Recommendations before stabilisation; old ones are overwritten.
    pub recommendations: Vec<(SimTime, i32)>,
    /// Replicas added by rescales.
    pub ups: Vec<(SimTime, i32)>,
    /// Replicas taken by rescales.
    pub downs: Vec<(SimTime, i32)>,
}

/// Bounds and present size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// `minReplicas`.
    pub min: i32,
    /// `maxReplicas`.
    pub max: i32,
    /// The target's replicas.
    pub current: i32,
}

/// Reason and message of a condition.
pub type Words = (&'static str, &'static str);

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Normalized {
    /// The new size.
    pub replicas: i32,
    /// For the condition `AbleToScale`, which is `True`.
    pub able: Words,
    /// Whether `ScalingLimited` is `True`.
    pub limited: bool,
    /// For the condition `ScalingLimited`.
    pub limit: Words,
}

const READY: Words = ("ReadyForNewScale", "recommended size matches current size");
const DOWN_STABILIZED: Words = (
    "ScaleDownStabilized",
    "recent recommendations were higher than current one, applying the highest recent recommendation",
);
const UP_STABILIZED: Words = (
    "ScaleUpStabilized",
    "recent recommendations were lower than current one, applying the lowest recent recommendation",
);
const WITHIN: Words = ("DesiredWithinRange", "the desired count is within the acceptable range");
const UP_LIMIT: Words =
    ("ScaleUpLimit", "the desired replica count is increasing faster than the maximum scale rate");
const TOO_MANY: Words =
    ("TooManyReplicas", "the desired replica count is more than the maximum replica count");
const DOWN_LIMIT: Words =
    ("ScaleDownLimit", "the desired replica count is decreasing faster than the maximum scale rate");
const TOO_FEW: Words = ("TooFewReplicas", "the desired replica count is less than the minimum replica count");

impl Memory {
    /// Seeds the recommendations with the present size, once.
    pub fn begin(&mut self, now: SimTime, current: i32) {
        if self.recommendations.is_empty() {
            self.recommendations.push((now, current));
        }
    }

    /// Without `spec.behavior`: the highest recommendation of the window, at most doubling (but up to 4).
    pub fn plain(&mut self, now: SimTime, desired: i32, bounds: Bounds, window: SimDuration) -> Normalized {
        let cutoff = now.minus(window);
        let recent = self.recommendations.iter().filter(|(at, _)| *at >= cutoff).map(|(_, r)| *r);
        let stabilized = recent.fold(desired, i32::max);
        self.remember(now, desired, |at| at < cutoff);
        let limit = bounds.current.saturating_mul(2).max(4);
        let (top, top_words) = if bounds.max > limit { (limit, UP_LIMIT) } else { (bounds.max, TOO_MANY) };
        let (replicas, limit) = if stabilized < bounds.min {
            (bounds.min, TOO_FEW)
        } else if stabilized > top {
            (top, top_words)
        } else {
            (stabilized, WITHIN)
        };
        Normalized {
            replicas,
            able: if stabilized == desired { READY } else { DOWN_STABILIZED },
            limited: replicas != stabilized,
            limit,
        }
    }

    /// With `spec.behavior`.
    pub fn with_behavior(
        &mut self,
        now: SimTime,
        desired: i32,
        bounds: Bounds,
        behavior: &HorizontalPodAutoscalerBehavior,
        default_window: SimDuration,
    ) -> Normalized {
        let window = |rules: &Option<HPAScalingRules>, default| {
            rules.as_ref().and_then(|r| r.stabilization_window_seconds).map_or(default, seconds)
        };
        let up_cutoff = now.minus(window(&behavior.scale_up, SimDuration::ZERO));
        let down_cutoff = now.minus(window(&behavior.scale_down, default_window));
        let (mut low, mut high) = (desired, desired);
        for (at, recommendation) in &self.recommendations {
            if *at > up_cutoff {
                low = low.min(*recommendation);
            }
            if *at > down_cutoff {
                high = high.max(*recommendation);
            }
        }
        let stabilized = bounds.current.max(low).min(high);
        self.remember(now, desired, |at| at < up_cutoff && at < down_cutoff);
        let able = match stabilized == desired {
            true => READY,
            false if desired >= bounds.current => UP_STABILIZED,
            false => DOWN_STABILIZED,
        };
        let (replicas, limit) = self.rated(now, stabilized, bounds, behavior);
        Normalized { replicas, able, limited: replicas != stabilized, limit }
    }

    fn rated(
        &self,
        now: SimTime,
        desired: i32,
        bounds: Bounds,
        behavior: &HorizontalPodAutoscalerBehavior,
    ) -> (i32, Words) {
        if desired > bounds.current {
            let limit = self.limit(now, bounds.current, behavior.scale_up.as_ref(), true).max(bounds.current);
            let (top, words) = if bounds.max > limit { (limit, UP_LIMIT) } else { (bounds.max, TOO_MANY) };
            if desired > top {
                return (top, words);
            }
        } else if desired < bounds.current {
            let limit =
                self.limit(now, bounds.current, behavior.scale_down.as_ref(), false).min(bounds.current);
            let (bottom, words) =
                if bounds.min < limit { (limit, DOWN_LIMIT) } else { (bounds.min, TOO_FEW) };
            if desired < bottom {
                return (bottom, words);
            }
        }
        (desired, WITHIN)
    }

    /// How far the policies of a direction let the size go.
    fn limit(&self, now: SimTime, current: i32, rules: Option<&HPAScalingRules>, up: bool) -> i32 {
        let select = rules.and_then(|r| r.select_policy.as_deref()).unwrap_or("Max");
        if select == "Disabled" {
            return current;
        }
        let proposals = rules.and_then(|r| r.policies.as_deref()).unwrap_or_default().iter().map(|policy| {
            let start = current - self.changed(now, policy.period_seconds, &self.ups)
                + self.changed(now, policy.period_seconds, &self.downs);
            // upstream: float64
            let share = f64::from(policy.value) / 100.0;
            match (policy.type_ == "Pods", up) {
                (true, true) => start.saturating_add(policy.value),
                (true, false) => start.saturating_sub(policy.value),
                (false, true) => (f64::from(start) * (1.0 + share)).ceil() as i32,
                (false, false) => (f64::from(start) * (1.0 - share)) as i32,
            }
        });
        // The largest change: the highest limit upwards, the lowest downwards.
        let highest = (select != "Min") == up;
        if highest { proposals.max().unwrap_or(i32::MIN) } else { proposals.min().unwrap_or(i32::MAX) }
    }

    fn changed(&self, now: SimTime, period: i32, events: &[(SimTime, i32)]) -> i32 {
        let cutoff = now.minus(seconds(period));
        events.iter().filter(|(at, _)| *at > cutoff).map(|(_, n)| *n).sum()
    }

    /// Takes a recommendation down, in the place of the last one that is too old to count.
    fn remember(&mut self, now: SimTime, desired: i32, is_old: impl Fn(SimTime) -> bool) {
        match self.recommendations.iter_mut().rev().find(|(at, _)| is_old(*at)) {
            Some(slot) => *slot = (now, desired),
            None => self.recommendations.push((now, desired)),
        }
    }

    /// Takes down what the looks that were left out up to `at` recommended; what was recommended before `oldest` counts
    /// no more.
    pub fn backfill(&mut self, at: SimTime, oldest: SimTime) {
        if let Some((_, last)) = self.recommendations.iter().max_by_key(|(at, _)| *at).copied() {
            self.recommendations.retain(|(at, _)| *at >= oldest);
            self.recommendations.push((at, last));
        }
    }

    /// Takes a rescale down; without a behaviour nobody will ask.
    pub fn rescaled(
        &mut self,
        now: SimTime,
        from: i32,
        to: i32,
        behavior: Option<&HorizontalPodAutoscalerBehavior>,
    ) {
        let Some(behavior) = behavior else { return };
        let (events, rules) = if to > from {
            (&mut self.ups, &behavior.scale_up)
        } else {
            (&mut self.downs, &behavior.scale_down)
        };
        let policies = rules.as_ref().and_then(|r| r.policies.as_deref()).unwrap_or_default();
        let longest = policies.iter().map(|p| p.period_seconds).max().unwrap_or(0);
        let cutoff = now.minus(seconds(longest));
        events.retain(|(at, _)| *at >= cutoff);
        events.push((now, (to - from).abs()));
    }

    /// The first instant after `now` at which the largest size of the window, if it is more than `desired`, is no more
    /// remembered.
    pub fn next_shrink(&self, now: SimTime, desired: i32, window: SimDuration) -> Option<SimTime> {
        let recent = self.recommendations.iter().filter(|(at, _)| *at + window >= now);
        let (largest, at) = recent.map(|(at, r)| (*r, *at)).max()?;
        (largest > desired).then(|| at + window)
    }

    /// The first instant after `now` at which what is remembered counts otherwise, if a size other than
    /// `desired` is remembered.
    pub fn next_change(&self, now: SimTime, desired: i32, windows: &[SimDuration]) -> Option<SimTime> {
        let recommendations = self.recommendations.iter().filter(|(_, r)| *r != desired);
        recommendations
            .chain(&self.ups)
            .chain(&self.downs)
            .flat_map(|(at, _)| windows.iter().map(move |window| *at + *window))
            .filter(|at| *at >= now)
            .min()
    }
}

fn seconds(seconds: i32) -> SimDuration {
    SimDuration::from_secs(u64::try_from(seconds).unwrap_or(0))
}
