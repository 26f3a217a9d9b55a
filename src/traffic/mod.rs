//! Load from outside and what it costs the Pods that bear it.
//!
//! * [`flow`]: requests on their way through services to Pods. [`routes`]: which Pods a service's requests are sent to.
//!   [`queueing`]: the formulas of one Pod. [`share`]: the CPU of a node that runs short.
//! * [`usage`]: what Pods use, and what metrics-server says of it, by its [`scrape`]s; [`tally`]: by namespace. [`adapter`]: custom and external metrics.
//!
//! *Invariant*: nothing here writes to the store. Autoscalers ask through [`crate::store::metrics::MetricsApi`].

pub mod adapter;
pub mod flow;
mod profile;
pub mod queueing;
pub mod routes;
pub mod scrape;
pub mod share;
pub mod tally;
pub mod usage;

use crate::api::Pod;

pub use adapter::Adapter;
pub use flow::Traffic;
pub use usage::Usage;

/// Whether a Pod gets a share of what comes to those that are selected: it is Ready and not being deleted.
fn bears_load(pod: &Pod) -> bool {
    pod.is_ready() && !pod.meta.is_deleting()
}
