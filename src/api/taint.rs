//! Taints, tolerations, and which tolerates which.
//!
//! Upstream: `component-helpers/scheduling/corev1/helpers.go`, `api/core/v1/toleration.go`, v1.34.

use std::fmt;

use crate::base::{Str, Timestamp};

/// What a taint does to Pods that do not tolerate it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TaintEffect {
    /// They are not scheduled onto the node.
    NoSchedule,
    /// The scheduler avoids the node.
    PreferNoSchedule,
    /// They are evicted too.
    NoExecute,
}

impl TaintEffect {
    /// The API's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoSchedule => "NoSchedule",
            Self::PreferNoSchedule => "PreferNoSchedule",
            Self::NoExecute => "NoExecute",
        }
    }

    /// Reads the API's word.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "NoSchedule" => Some(Self::NoSchedule),
            "PreferNoSchedule" => Some(Self::PreferNoSchedule),
            "NoExecute" => Some(Self::NoExecute),
            _ => None,
        }
    }
}

/// A taint of a node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Taint {
    /// The key.
    pub key: Str,
    /// The value, possibly empty.
    pub value: Str,
    /// The effect.
    pub effect: TaintEffect,
    /// When it was added, for `NoExecute`.
    pub time_added: Option<Timestamp>,
}

impl fmt::Display for Taint {
    /// `key=value:Effect`, as kubectl writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)?;
        if !self.value.is_empty() {
            write!(f, "={}", self.value)?;
        }
        write!(f, ":{}", self.effect.as_str())
    }
}

impl Taint {
    /// Same key and effect: such a taint replaces the other.
    pub fn matches(&self, other: &Self) -> bool {
        self.key == other.key && self.effect == other.effect
    }
}

/// A toleration of a Pod.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Toleration {
    /// The key; empty with `exists` means every taint.
    pub key: Str,
    /// Operator `Exists` instead of `Equal`.
    pub exists: bool,
    /// The value to equal.
    pub value: Str,
    /// The effect; none means all.
    pub effect: Option<TaintEffect>,
    /// For `NoExecute`: how long the Pod stays; none means for ever.
    pub seconds: Option<i64>,
}

impl Toleration {
    /// Whether it tolerates `taint`.
    pub fn tolerates(&self, taint: &Taint) -> bool {
        if self.effect.is_some_and(|effect| effect != taint.effect) {
            return false;
        }
        if !self.key.is_empty() && self.key != taint.key {
            return false;
        }
        self.exists || self.value == taint.value
    }
}

/// The first of `taints` that passes `filter` and that no toleration covers.
pub fn find_untolerated<'a>(
    taints: &'a [Taint],
    tolerations: &[Toleration],
    filter: impl Fn(&Taint) -> bool,
) -> Option<&'a Taint> {
    taints.iter().filter(|t| filter(t)).find(|t| !tolerations.iter().any(|x| x.tolerates(t)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taint(key: &'static str, value: &'static str, effect: TaintEffect) -> Taint {
        Taint { key: key.into(), value: value.into(), effect, time_added: None }
    }

    #[test]
    fn tolerations_match_as_upstream() {
        let t = taint("a", "b", TaintEffect::NoSchedule);
        let tol = |key: &str, exists, value: &str, effect| Toleration {
            key: key.into(),
            exists,
            value: value.into(),
            effect,
            seconds: None,
        };
        assert!(tol("a", false, "b", None).tolerates(&t));
        assert!(!tol("a", false, "c", None).tolerates(&t));
        assert!(tol("a", true, "", Some(TaintEffect::NoSchedule)).tolerates(&t));
        assert!(!tol("a", true, "", Some(TaintEffect::NoExecute)).tolerates(&t));
        assert!(tol("", true, "", None).tolerates(&t));
        assert!(!tol("x", true, "", None).tolerates(&t));
    }
}
