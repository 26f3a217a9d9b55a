//! wavetank: a deterministic discrete-event simulator of Kubernetes clusters.

pub mod api;
pub mod base;
pub mod report;
