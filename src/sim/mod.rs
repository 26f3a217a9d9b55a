//! The one place that owns everything and moves it: a [`World`], one queue of events, one dispatcher.
//!
//! * [`event`]: what can be due; `alarm`: that it is queued once. * [`world`]: state and the loop. * [`bootstrap`]: the cluster before t = 0.
//! * [`scheduling`]: drives the scheduler and writes what it decides; `autoscaling` the cluster autoscaler, `traffic` the requests. * [`steps`]: carries out the scenario's verbs.
//! * [`invariants`]: what must hold after every event. * [`history`]: what must hold between two states.
//! * [`outcome`]: what a run comes to.
//!
//! *Invariant*: a run is a function of (plan, seed). Nothing here reads a file, a clock or a thread's identity.

mod ahead;
mod alarm;
mod autoscaling;
pub mod bootstrap;
pub mod event;
pub mod history;
pub mod invariants;
pub mod outcome;
pub mod scheduling;
pub mod steps;
mod traces;
mod traffic;
pub mod world;

pub use event::Event;
pub use outcome::{Fault, Outcome, PodCounts, Verdict};
pub use world::World;

use crate::facts::Recorder;
use crate::plan::Plan;

/// Runs a plan from its start to its end.
///
/// # Errors
/// A limit was hit or an invariant broke; see [`Fault`].
pub fn run(plan: &Plan, recorder: &mut dyn Recorder) -> Result<Outcome, Fault> {
    let mut world = World::new(plan, recorder);
    world.run_to_end(recorder)?;
    Ok(world.outcome())
}
