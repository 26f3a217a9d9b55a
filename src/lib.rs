//! wavetank: a deterministic discrete-event simulator of Kubernetes clusters.
//!
//! | layer | module | what it is |
//! |---|---|---|
//! | 0 | [`base`] | values: time, quantities, strings, diagnostics |
//! | 1 | [`kernel`] | a discrete-event engine that has never heard of Kubernetes |
//! | 2 | [`api`] | what Kubernetes objects are, and how they are read |
//! | 3 | [`store`] | the API server's memory |
//! | 3 | [`facts`] | what can be said to have happened |
//! | 3 | [`params`] | what hardware, clouds and containers do |
//! | 4 | [`scheduler`] | kube-scheduler |
//! | 4 | [`controller`] | kube-controller-manager |
//! | 4 | [`kubelet`] | the kubelets of all nodes |
//! | 4 | [`cloud`] | zones, instance types, node groups |
//! | 4 | [`autoscaler`] | cluster autoscaler |
//! | 4 | [`trace`] | workloads from files and generators |
//! | 4 | [`traffic`] | load, usage of Pods, metrics |
//! | 4 | [`vertical`] | vertical Pod autoscaler |
//! | 5 | [`plan`] | a run, fully resolved |
//! | 5 | [`expect`] | expectations and their judge |
//! | 6 | [`sim`] | owns everything and moves it |
//! | 6 | [`scenario`] | scenario files to plans |
//! | 7 | [`bench`] | workloads that measure the scheduler |
//! | 7 | [`report`] | finished runs to text, JSON, JUnit, timelines |
//! | 8 | [`cli`] | the command line |
//!
//! A module imports lower layers only; `tests/tidy.rs` sees to it.
//!
//! [`bench`]: mod@bench

pub mod base;

pub mod kernel;

pub mod api;

pub mod facts;
pub mod params;
pub mod store;

pub mod autoscaler;
pub mod cloud;
pub mod controller;
pub mod kubelet;
pub mod scheduler;
pub mod trace;
pub mod traffic;
pub mod vertical;

pub mod expect;
pub mod plan;

pub mod scenario;
pub mod sim;

pub mod bench;
pub mod report;

pub mod cli;

#[cfg(test)]
pub mod testkit;
