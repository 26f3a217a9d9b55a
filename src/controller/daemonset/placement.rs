//! Which nodes shall run a Pod of a DaemonSet.
//!
//! Upstream: `NodeShouldRunDaemonPod` in `pkg/controller/daemon/daemon_controller.go` and
//! `AddOrUpdateDaemonPodTolerations` in `pkg/controller/daemon/util/daemonset_util.go`, v1.34.

use crate::api::taint::find_untolerated;
use crate::api::workload::DaemonSet;
use crate::api::{Node, PodSpec, TaintEffect, Toleration};
use crate::base::{Arc, Str};

/// What becomes of a DaemonSet's Pod on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// The node shall get a Pod.
    pub run: bool,
    /// A Pod that is there may stay.
    pub keep: bool,
}

/// What decides where a DaemonSet's Pods run.
#[derive(Debug)]
pub(super) struct Placement {
    node_name: Option<Str>,
    spec: Arc<PodSpec>,
    tolerations: Vec<Toleration>,
}

impl Placement {
    /// Of a DaemonSet's present template.
    pub(super) fn of(set: &DaemonSet) -> Self {
        let node_name = set.template.raw.spec.as_ref().and_then(|s| s.node_name.as_deref());
        Self {
            node_name: node_name.filter(|n| !n.is_empty()).map(Str::from),
            spec: set.template.spec.clone(),
            tolerations: tolerations(&set.template.spec),
        }
    }

    /// What becomes of the Pod on `node`. Resources are not considered.
    pub(super) fn verdict(&self, node: &Node) -> Verdict {
        let name = &node.meta.name;
        let labels = &node.meta.labels;
        let fits = self.node_name.as_ref().is_none_or(|n| n == name)
            && self.spec.node_selector.iter().all(|(k, v)| labels.get(k) == Some(v))
            && self.spec.affinity.node_required.as_ref().is_none_or(|s| s.matches(name, labels));
        if !fits {
            return Verdict { run: false, keep: false };
        }
        let repels = |hard: &dyn Fn(TaintEffect) -> bool| {
            find_untolerated(&node.taints, &self.tolerations, |t| hard(t.effect)).is_some()
        };
        let run = !repels(&|e| matches!(e, TaintEffect::NoSchedule | TaintEffect::NoExecute));
        Verdict { run, keep: run || !repels(&|e| e == TaintEffect::NoExecute) }
    }
}

/// The template's tolerations and those that every daemon gets.
pub(super) fn tolerations(spec: &PodSpec) -> Vec<Toleration> {
    let mut all = spec.tolerations.clone();
    for (key, effect) in [
        ("node.kubernetes.io/not-ready", TaintEffect::NoExecute),
        ("node.kubernetes.io/unreachable", TaintEffect::NoExecute),
        ("node.kubernetes.io/disk-pressure", TaintEffect::NoSchedule),
        ("node.kubernetes.io/memory-pressure", TaintEffect::NoSchedule),
        ("node.kubernetes.io/pid-pressure", TaintEffect::NoSchedule),
        ("node.kubernetes.io/unschedulable", TaintEffect::NoSchedule),
        ("node.kubernetes.io/network-unavailable", TaintEffect::NoSchedule),
    ] {
        if key == "node.kubernetes.io/network-unavailable" && !spec.host_network {
            continue;
        }
        let new = Toleration {
            key: key.into(),
            exists: true,
            value: Str::new(),
            effect: Some(effect),
            seconds: None,
        };
        // An equal one but for its seconds is replaced in its place.
        let same = |t: &Toleration| {
            t.key == new.key && t.effect == new.effect && t.exists == new.exists && t.value == new.value
        };
        match all.iter_mut().find(|t| same(t)) {
            Some(old) => *old = new,
            None => all.push(new),
        }
    }
    all
}
