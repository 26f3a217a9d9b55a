//! What several workload controllers do alike.
//!
//! * [`pods`]: Pods from templates, created and deleted with the Events that go with it. * [`hash`]: template hashes
//!   and what is named by them. * [`mod@claim`]: adopting and releasing. * [`rank`]: which Pods are deleted first.
//! * [`restart`]: templates made new. * [`slow_start`]: many creations in growing batches, resumable where the client's rate limit stops them.

pub mod claim;
pub mod hash;
pub mod pods;
pub mod rank;
pub mod restart;
pub mod slow_start;

pub use claim::{Owner, claim, claim_pods};
pub use hash::{equal_ignore_hash, hashed_name, template_hash, with_hash_label, without_hash_label};
pub use pods::{create_pod, delete_pod, next_availability, pod_from_template};
pub use rank::{colocated_ranks, sort_for_deletion};
pub use restart::{RESTARTED_AT, restarted};
pub use slow_start::{Progress, SlowStart};

/// Brings a count of objects of some sort up to date after a write of one that was, or is now, of that sort.
pub fn recount(count: &mut usize, was: bool, is: bool) {
    *count = (*count + usize::from(is)).saturating_sub(usize::from(was));
}
