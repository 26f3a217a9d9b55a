//! What must be made and deleted so that every node has the Pod it should have.
//!
//! Upstream: `podsShouldBeOnNode` and `manage` in `pkg/controller/daemon/daemon_controller.go`, v1.34.

use super::backoff::Backoffs;
use super::placement::Verdict;
use super::pods::{self, is_updated};
use super::sync::View;
use crate::api::{EventType, Node, ObjectKey, ObjectRef, Phase, Pod};
use crate::base::{Arc, SimDuration, Str};
use crate::controller::framework::Ctx;

/// Pods to be made, by node, and Pods to be deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Work {
    pub create: Vec<Str>,
    pub delete: Vec<ObjectKey>,
    /// A failed Pod is looked at again after this time.
    pub again: Option<SimDuration>,
}

impl Work {
    /// Whether there is nothing to do.
    pub(super) const fn is_empty(&self) -> bool {
        self.create.is_empty() && self.delete.is_empty()
    }

    pub(super) fn remove(&mut self, pod: &Pod) {
        self.delete.push(pod.meta.key());
    }
}

/// Goes through all nodes.
pub(super) fn manage(view: &View<'_>, ctx: &mut Ctx<'_>, backoffs: &mut Backoffs) -> Work {
    let mut work = Work::default();
    for (node, verdict) in &view.nodes {
        let pods = view.by_node.on(&node.meta.name);
        match (verdict, pods) {
            (Verdict { run: true, .. }, None) => work.create.push(node.meta.name.clone()),
            (Verdict { run: false, .. }, None) => {}
            (Verdict { keep: true, .. }, Some(pods)) => {
                let running = weed_out_ended(view, ctx, backoffs, (node, pods), &mut work);
                if view.allows_surge() {
                    prune_surge(view, &mut work, node, *verdict, &running);
                } else {
                    // All but the oldest go.
                    running.into_iter().skip(1).for_each(|pod| work.remove(pod));
                }
            }
            (Verdict { keep: false, .. }, Some(pods)) => {
                pods.iter().filter(|p| !p.meta.is_deleting()).for_each(|pod| work.remove(pod));
            }
        }
    }
    for node in view.by_node.nodes.iter().filter(|n| !view.has_node(n)) {
        let pods = view.by_node.on(node).unwrap_or_default();
        // Nobody else can delete Pods that wait for a node that is gone.
        pods.iter().filter(|p| p.node_name.is_none()).for_each(|pod| work.remove(pod));
    }
    work
}

/// Deletes Pods that ended, failed ones after their backoff, and returns the others, sorted.
fn weed_out_ended<'v>(
    view: &View<'_>,
    ctx: &mut Ctx<'_>,
    backoffs: &mut Backoffs,
    (node, pods): (&Node, &'v [Arc<Pod>]),
    work: &mut Work,
) -> Vec<&'v Arc<Pod>> {
    let mut running = Vec::with_capacity(pods.len());
    for pod in pods.iter().filter(|p| !p.meta.is_deleting()) {
        let (kind, reason, words, deed) = match pod.status.phase {
            Phase::Failed => {
                let set = view.set;
                let key = (set.meta.uid.clone(), set.status.observed_generation, node.meta.name.clone());
                if let Some(wait) = backoffs.wait_or_start(key, ctx.now()) {
                    work.again = Some(work.again.map_or(wait, |w| w.min(wait)));
                    continue;
                }
                (EventType::Warning, "FailedDaemonPod", "failed", "kill")
            }
            Phase::Succeeded => (EventType::Normal, "SucceededDaemonPod", "succeeded", "delete"),
            Phase::Pending | Phase::Running | Phase::Unknown => {
                running.push(pod);
                continue;
            }
        };
        let message = format!(
            "Found {words} daemon pod {}/{} on node {}, will try to {deed} it",
            pod.meta.namespace, pod.meta.name, node.meta.name
        );
        ctx.event(ObjectRef::to(view.set), kind, reason, message);
        work.remove(pod);
    }
    pods::sort(&mut running);
    running
}

/// Two Pods may be on a node while the new one is not available and the old one is ready.
fn prune_surge(view: &View<'_>, work: &mut Work, node: &Node, verdict: Verdict, running: &[&Arc<Pod>]) {
    if running.is_empty() && verdict.run {
        work.create.push(node.meta.name.clone());
    }
    if running.len() <= 1 {
        return;
    }
    let (mut new, mut old): (Option<&Pod>, Option<&Pod>) = (None, None);
    for pod in running {
        let place = if is_updated(pod, view.hash) { &mut new } else { &mut old };
        match place {
            None => *place = Some(pod),
            Some(_) => work.remove(pod),
        }
    }
    if let (Some(new), Some(old)) = (new, old)
        && (!old.is_ready() || view.is_available(new))
    {
        work.remove(old);
    }
}
