//! The images of a node and the queue of its pulls.
//!
//! Upstream: `pkg/kubelet/images/{image_manager,puller}.go`, v1.34.

use std::collections::BTreeMap;

use super::Params;
use super::habits::Habits;
use crate::base::{SimDuration, SimTime, Str};
use crate::params::ImagePull;

/// The images of a node.
#[derive(Clone, Debug, Default)]
pub struct Images {
    /// From when on each image is there.
    present: BTreeMap<Str, SimTime>,
    /// When each of the parallel pulls is free again.
    lanes: Vec<SimTime>,
}

/// A pull under way: all is known when it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pull {
    /// How long it takes by itself.
    pub takes: SimDuration,
    /// When it is over.
    pub done: SimTime,
}

impl Images {
    /// Whether an image is there.
    pub fn has(&self, image: &str, now: SimTime) -> bool {
        self.present.get(image).is_some_and(|at| *at <= now)
    }

    /// Asks for an image that takes so long by itself; `known` is how long it takes if its layers are there.
    pub fn pull(
        &mut self,
        image: &Str,
        takes: SimDuration,
        known: SimDuration,
        fails: bool,
        params: &Params<'_>,
        now: SimTime,
    ) -> Pull {
        let begins = self.lane(params, now);
        let there = self.present.get(image).is_some_and(|at| *at <= begins);
        let takes = if there { known } else { takes };
        let done = begins + takes;
        self.occupy(params, begins, done);
        if !fails {
            let at = self.present.entry(image.clone()).or_insert(done);
            *at = (*at).min(done);
        }
        Pull { takes, done }
    }

    /// Pulls that are not over are lost.
    pub fn lose_power(&mut self, now: SimTime) {
        self.present.retain(|_, at| *at <= now);
        self.lanes.clear();
    }

    /// When the next pull can begin. Upstream: `--serialize-image-pulls`, `--max-parallel-image-pulls`.
    fn lane(&self, params: &Params<'_>, now: SimTime) -> SimTime {
        let busy = self.lanes.iter().filter(|at| **at > now);
        match lanes(params) {
            Some(limit) if busy.clone().count() >= limit => busy.min().copied().unwrap_or(now),
            _ => now,
        }
    }

    fn occupy(&mut self, params: &Params<'_>, begins: SimTime, done: SimTime) {
        if lanes(params).is_some() {
            self.lanes.retain(|at| *at > begins);
            self.lanes.push(done);
        }
    }
}

/// How many pulls may run at once; none: any number.
fn lanes(params: &Params<'_>) -> Option<usize> {
    let settings = params.settings;
    if settings.serialize_image_pulls {
        Some(1)
    } else {
        usize::try_from(settings.max_parallel_image_pulls).ok().filter(|n| *n > 1)
    }
}

/// How long an image takes by itself, and how long if its layers are there already; and its size.
pub fn pull_time(
    params: &Params<'_>,
    habits: &Habits,
    sample: impl FnOnce(&crate::params::Delay) -> SimDuration,
) -> (SimDuration, SimDuration, u64) {
    let size = habits.size.and_then(|bytes| u64::try_from(bytes).ok());
    match &params.latencies.image_pull {
        ImagePull::Given(delay) => (sample(delay), SimDuration::ZERO, size.unwrap_or(0)),
        ImagePull::BySize { bytes_per_second, overhead, default_size } => {
            let bytes = size.unwrap_or(*default_size);
            let nanos = u128::from(bytes) * 1_000_000_000 / u128::from((*bytes_per_second).max(1));
            let transfer = SimDuration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
            // An image that cannot be had is refused before any layer is fetched.
            let takes = if habits.pull_fails { *overhead } else { transfer + *overhead };
            (takes, *overhead, bytes)
        }
    }
}
