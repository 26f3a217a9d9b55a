//! The cloud: what machines there are to be had, and how they become nodes.
//!
//! * [`catalogue`]: instance types as data. [`allocatable`]: what of a machine Pods may use.
//! * [`group`]: node groups, dealt out to zones, and the nodes they are made of.
//! * [`disks`]: what lies on disks.

pub mod allocatable;
pub mod catalogue;
pub mod disks;
pub mod fleet;
pub mod group;

pub use group::{NodeGroup, NodeTemplate, PlannedNode};
