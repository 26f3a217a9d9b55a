//! Refusals of the store, in the API server's words.

use crate::api::{Kind, ObjectKey};
use crate::base::Str;

/// Why a call was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// 404.
    #[error("{} \"{name}\" not found", resource(*kind))]
    NotFound {
        /// The kind asked for.
        kind: Kind,
        /// The name asked for.
        name: Str,
    },
    /// 409 on creation.
    #[error("{} \"{name}\" already exists", resource(*kind))]
    AlreadyExists {
        /// The kind.
        kind: Kind,
        /// The name.
        name: Str,
    },
    /// 409 on a precondition.
    #[error("Operation cannot be fulfilled on {} \"{name}\": {why}", resource(*kind))]
    Conflict {
        /// The kind.
        kind: Kind,
        /// The name.
        name: Str,
        /// What did not hold.
        why: Str,
    },
    /// 403.
    #[error("{} \"{name}\" is forbidden: {why}", resource(*kind))]
    Forbidden {
        /// The kind.
        kind: Kind,
        /// The name.
        name: Str,
        /// By which rule.
        why: Str,
        /// The namespace is being deleted, which controllers pass over in silence.
        namespace_terminating: bool,
    },
    /// 422.
    #[error("{} \"{name}\" is invalid: {why}", kind.name())]
    Invalid {
        /// The kind.
        kind: Kind,
        /// The name.
        name: Str,
        /// What is wrong.
        why: Str,
    },
    /// 429.
    #[error("{message}")]
    TooManyRequests {
        /// The sentence.
        message: Str,
        /// A cause in more detail.
        cause: Str,
        /// When to come back, in seconds.
        retry_after_seconds: Option<u32>,
    },
    /// 500.
    #[error("{0}")]
    Internal(Str),
}

impl ApiError {
    /// The object is not there.
    #[cold]
    pub fn not_found(kind: Kind, key: &ObjectKey) -> Self {
        Self::NotFound { kind, name: key.name.clone() }
    }

    /// A refusal by a rule.
    #[cold]
    pub fn forbidden(kind: Kind, name: &Str, why: impl Into<Str>) -> Self {
        Self::Forbidden { kind, name: name.clone(), why: why.into(), namespace_terminating: false }
    }

    /// Whether the object is simply not there.
    pub const fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }

    /// Whether the namespace is being deleted.
    pub const fn is_namespace_terminating(&self) -> bool {
        matches!(self, Self::Forbidden { namespace_terminating: true, .. })
    }
}

/// `deployments.apps`, as the API server names resources in refusals.
fn resource(kind: Kind) -> String {
    let info = kind.info();
    match info.api_version.split_once('/') {
        Some((group, _)) => format!("{}.{group}", info.plural),
        None => info.plural.to_owned(),
    }
}
