//! Load from outside and what it costs the Pods that bear it.
//!
//! * [`usage`]: what Pods use, and what metrics-server says of it.
//!
//! *Invariant*: nothing here writes to the store. Autoscalers ask through [`crate::store::metrics::MetricsApi`].

pub mod usage;

pub use usage::Usage;
