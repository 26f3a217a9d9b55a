//! A run, fully resolved: what the cluster is made of, what is done to it and what is expected of it.
//!
//! * [`Plan`]: the whole. Everything is data; reading a plan needs no file and no clock.
//! * [`step`]: what is done to the cluster while it runs, a variant per verb of the scenario file.
//! * [`settings`]: flags of upstream's components.
//! * Latencies, behaviour of containers and traffic are parameters of the model: [`crate::params`].
//!
//! Scenario files are one way to make a plan (`scenario`); the engine (`sim`) knows plans only.

pub mod step;

use crate::api::Object;
use crate::base::time::Calendar;
use crate::base::{Arc, Shared, SimDuration, SimTime, Span, Str, Timestamp};
use crate::expect::Expectation;

pub use crate::cloud::{NodeGroup, PlannedNode};
pub use crate::params::settings;
pub use crate::params::settings::Settings;
pub use crate::params::{Behaviour, Delay, DriverChange, ImagePull, KubeVersion, Latencies, Metric, Traffic};
pub use crate::trace::Trace;
pub use step::{NodeSet, ResourceKind, Step, Target, TimedStep};

/// 2026-01-05T08:00:00Z, a Monday: the virtual wall clock at the start if the scenario names none.
pub const DEFAULT_START: Timestamp = Timestamp::new(1_767_600_000);

/// A run, fully resolved.
#[derive(Clone, Debug)]
pub struct Plan {
    /// `metadata.name`.
    pub name: Str,
    /// `metadata.description`, possibly empty.
    pub description: Str,
    /// What all randomness is derived from.
    pub seed: u64,
    /// The virtual wall clock at time zero.
    pub start: Timestamp,
    /// How long the run lasts; none: until nothing can happen any more.
    pub duration: Option<SimDuration>,
    /// Whose words the components use.
    pub version: KubeVersion,
    /// All zones, in the order in which node groups are dealt out to them.
    pub zones: Vec<Str>,
    /// Nodes that exist and are Ready before the first manifest is applied: those named in the
    /// scenario first, then those of the groups.
    pub nodes: Shared<Vec<PlannedNode>>,
    /// Node groups, one per zone underneath a group of the scenario.
    pub node_groups: Vec<NodeGroup>,
    /// Flags of upstream's components.
    pub settings: Settings,
    /// How long hardware and clouds take.
    pub latencies: Latencies,
    /// What is said of storage drivers at the start.
    pub drivers: Vec<DriverChange>,
    /// Objects applied at time zero, in order. Manifests of Nodes that the cluster already has are
    /// merged into [`Plan::nodes`] and do not appear here.
    pub manifests: Vec<PlannedObject>,
    /// What containers do. The first entry that matches and says something about a matter decides it.
    pub behaviours: Vec<Behaviour>,
    /// Pods that arrive by themselves.
    pub traces: Vec<Arc<Trace>>,
    /// Load from outside.
    pub traffic: Vec<Traffic>,
    /// Custom and external metrics.
    pub metrics: Vec<Metric>,
    /// What is done, by time; steps of one instant in the order of the file.
    pub steps: Vec<TimedStep>,
    /// What must hold.
    pub expectations: Vec<Expectation>,
    /// `recording.zeroAt`: the instant that a recording of the real thing calls zero. Changes nothing.
    pub zero_at: Option<SimTime>,
}

impl Plan {
    /// The calendar of the run.
    pub const fn calendar(&self) -> Calendar {
        Calendar { start: self.start }
    }
}

impl Default for Plan {
    /// An empty cluster in which nothing happens.
    fn default() -> Self {
        Self {
            name: Str::new(),
            description: Str::new(),
            seed: 0,
            start: DEFAULT_START,
            duration: None,
            version: KubeVersion::default(),
            zones: Vec::new(),
            nodes: Shared::default(),
            node_groups: Vec::new(),
            settings: Settings::default(),
            latencies: Latencies::default(),
            drivers: Vec::new(),
            manifests: Vec::new(),
            behaviours: Vec::new(),
            traces: Vec::new(),
            traffic: Vec::new(),
            metrics: Vec::new(),
            steps: Vec::new(),
            expectations: Vec::new(),
            zero_at: None,
        }
    }
}

/// An object to be applied, as a server-side apply of its manifest.
#[derive(Clone, Debug)]
pub struct PlannedObject {
    /// The manifest as written, namespace filled in; what an apply to an existing object merges.
    pub json: Arc<serde_json::Value>,
    /// The same, defaulted and lowered; what the apply creates if nothing is there.
    pub object: Object,
    /// Where it stands.
    pub origin: Span,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_start_is_a_monday_morning() {
        assert_eq!(Plan::default().start.to_rfc3339(), "2026-01-05T08:00:00Z");
    }
}
