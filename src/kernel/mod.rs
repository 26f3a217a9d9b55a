//! A discrete-event engine that has never heard of Kubernetes.
//!
//! * [`queue`]: events in a total order: earlier time; at equal times the lower lane; at equal lanes first scheduled first.
//! * [`rng`]: random streams addressed by purpose and entity; the one door for randomness.
//! * [`digest`]: a portable hash over everything that was recorded.
//! * [`budget`]: calls that are limited in number.
//! * [`limits`]: named bounds, so that nothing hangs or eats the machine.

pub mod budget;
pub mod digest;
pub mod limits;
pub mod queue;
pub mod rng;

pub use budget::TokenBucket;
pub use digest::Digest;
pub use limits::{LimitHit, Limits};
pub use queue::{EventQueue, Lane};
pub use rng::{Seed, Stream, Streams};
