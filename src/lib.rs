//! wavetank: a deterministic discrete-event simulator of Kubernetes clusters.

pub mod api;
pub mod base;
pub mod cloud;
pub mod controller;
pub mod expect;
pub mod facts;
pub mod kernel;
pub mod kubelet;
pub mod params;
pub mod plan;
pub mod report;
pub mod scenario;
pub mod store;

#[cfg(test)]
pub mod testkit;
