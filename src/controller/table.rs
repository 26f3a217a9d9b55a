//! The list of all controllers.

use super::framework::Controller;
use super::nodelifecycle::NodeLifecycle;
use super::podgc::PodGc;
use super::taint_eviction::TaintEviction;
use crate::params::{Latencies, Settings};

/// What controllers are made from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ControllerParams {
    /// Flags of the components.
    pub settings: Settings,
    /// How long hardware and clouds take.
    pub latencies: Latencies,
}

/// A row of the table: makes one controller.
type Make = fn(&ControllerParams) -> Box<dyn Controller>;

/// All controllers, in the order in which they hear of changes.
#[rustfmt::skip] // one row per line
pub const TABLE: &[(&str, Make)] = &[
    ("node-lifecycle-controller", |p| Box::new(NodeLifecycle::new(&p.settings.kube_controller_manager))),
    ("taint-eviction-controller", |_| Box::new(TaintEviction::default())),
    ("pod-garbage-collector-controller", |p| Box::new(PodGc::new(&p.settings.kube_controller_manager))),
    ("statefulset-controller", |_| super::statefulset::StatefulSetController::boxed()),
];

/// Makes them all.
pub fn all(params: &ControllerParams) -> Vec<Box<dyn Controller>> {
    TABLE.iter().map(|(_, make)| make(params)).collect()
}
