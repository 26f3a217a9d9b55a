//! kube-controller-manager: level-triggered loops that move the store one step at a time.
//!
//! * [`framework`]: what a controller is, and what it may do. * [`queue`]: the deduplicating work queue with
//!   upstream's rate limits. * [`manager`]: workers, API budget, delivery of changes.
//! * [`common`]: what several controllers do alike.
//! * One file or folder per controller, and [`table`], the list of them all.
//!
//! *Invariant*: controllers never import one another, the scheduler or the kubelet. They meet in the store.

pub mod aspects;
pub mod common;
pub mod cronjob;
pub mod daemonset;
pub mod deployment;
pub mod disruption;
pub mod endpointslice;
pub mod framework;
pub mod garbage_collector;
pub mod history;
pub mod job;
pub mod manager;
pub mod namespace;
pub mod nodelifecycle;
pub mod podautoscaler;
pub mod podgc;
pub mod queue;
pub mod replica_set;
pub mod resourcequota;
pub mod rollout;
pub mod statefulset;
pub mod table;
pub mod taint_eviction;
#[cfg(test)]
pub mod testing;
pub mod ttlafterfinished;
pub mod volume;

/// A client's budget of API calls: kube-controller-manager's is 20 calls per second with a burst of 30.
///
/// Upstream: `client-go/util/flowcontrol/throttle.go` (a token bucket per client), v1.34.
pub use crate::kernel::TokenBucket as ApiBudget;
pub use framework::{Action, Controller, Ctx, Enqueue, WorkKey};
pub use manager::{ControllerId, Manager};
