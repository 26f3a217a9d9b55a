//! What the API server refuses, in its words: field path, kind of error, value, reason.
//!
//! The rules work on boundary objects as they were written, before defaulting: a field that is
//! absent and has a default is not an error. Each rule names the upstream function it follows.
//!
//! # Fidelity
//! Rules about fields that play no part in the simulation (security contexts, the insides of volume
//! sources of one vendor, network addresses) are left out: such fields are only checked for their type.

mod affinity;
pub(super) mod autoscaling;
pub(super) mod batch;
pub(super) mod config;
mod container;
pub(super) mod meta;
pub(super) mod names;
pub(super) mod pod;
pub(super) mod policy;
mod report;
pub(super) mod service;
pub(super) mod storage;
#[cfg(test)]
mod tests;
mod volume;
pub(super) mod workload;

pub(super) use report::{At, Bad, Report};
pub use report::{FieldError, FieldErrorKind};

/// What a name must look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NameRule {
    /// RFC 1123 subdomain: most kinds.
    Subdomain,
    /// RFC 1123 label: what becomes a host name.
    Label,
    /// RFC 1035 label: Services.
    Label1035,
    /// Anything that can be a segment of a path: RBAC.
    Path,
}

/// Where objects of a kind live, and how they are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// In a namespace.
    Namespaced(NameRule),
    /// In the cluster.
    Cluster(NameRule),
    /// Nobody knows: a kind that Kubernetes does not know.
    Any,
}
