//! Workloads that measure the scheduler: nodes and Pods in numbers, and how fast the Pods are placed.
//!
//! * [`workload`]: what a workload is, as data. [`template`]: objects made from templates.
//! * [`catalogue`]: the built-in workloads, those of upstream's `scheduler_perf` among them. [`config`]: workloads from a file in
//!   upstream's format.
//! * [`make`]: the objects of a workload. [`cluster`]: a scheduler with the API server played around it.
//! * [`run`](mod@run): carries a workload out with the scheduler alone. [`whole`]: in the whole simulation.
//! * [`placement`]: policies for shared GPUs, compared on a trace.
//! * [`result`]: what was measured, and two results compared.
//!
//! Nothing here reads a clock: whoever measures hands in a [`Meter`].
//!
//! # Fidelity
//! Upstream's workloads run against an API server and in real time. Here an object is there at once, and every scheduling
//! cycle lets a millisecond of virtual time pass, in which churn, deletions and back-offs go on. Objects are made before
//! the first of their Pods is scheduled, not beside it.

pub mod catalogue;
pub mod cluster;
pub mod config;
pub mod make;
pub mod placement;
pub mod result;
pub mod run;
pub mod template;
pub mod whole;
pub mod workload;

pub use result::Measured;
pub use run::{Options, run};
pub use whole::run_whole;
pub use workload::{Case, Size};

/// Clocks of the real world.
pub trait Meter {
    /// Nanoseconds that have passed since some instant.
    fn wall(&mut self) -> u64;
    /// Nanoseconds that the process has spent on a CPU, if the machine tells.
    fn cpu(&mut self) -> Option<u64>;
}

/// A meter that always says nothing has passed.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoMeter;

impl Meter for NoMeter {
    fn wall(&mut self) -> u64 {
        0
    }

    fn cpu(&mut self) -> Option<u64> {
        None
    }
}
