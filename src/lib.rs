//! wavetank: a deterministic discrete-event simulator of Kubernetes clusters.

pub mod base;
pub mod api;
