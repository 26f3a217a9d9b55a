//! The entry points.

use super::{Ctx, KubeletEvent};
use crate::api::storage::CsiNode;
use crate::api::{Node, ObjectKey};
use crate::base::{SimDuration, SimTime, Str};
use crate::store::{ApiError, Change, ObjId};

/// The kubelets and container runtimes of all nodes.
#[derive(Clone, Debug, Default)]
pub struct Kubelets {}

impl Kubelets {
    /// A machine that has been up for long registers: its Node is Ready at once.
    ///
    /// # Errors
    /// The API server refuses the Node.
    pub fn join_ready(&mut self, node: Node, csi_node: CsiNode, ctx: &mut Ctx<'_>) -> Result<(), ApiError> {
        self.join(node, csi_node, ctx)
    }

    /// A machine registers: its Node becomes Ready after the latency `nodeReady`.
    ///
    /// # Errors
    /// The API server refuses the Node.
    pub fn join(&mut self, node: Node, csi_node: CsiNode, ctx: &mut Ctx<'_>) -> Result<(), ApiError> {
        ctx.store.create(node)?;
        ctx.store.create(csi_node)?;
        Ok(())
    }

    /// Takes note of a change of the store; to be called right after each write.
    pub fn on_change(&mut self, change: &Change, ctx: &mut Ctx<'_>) {}

    /// A timer is due.
    pub fn handle(&mut self, event: KubeletEvent, ctx: &mut Ctx<'_>) {}

    /// The machine loses power: kubelet and containers are gone at once, nothing is reported.
    /// The last renewal of its lease; none if the node is not known.
    pub fn fail_node(&mut self, node: &str, ctx: &mut Ctx<'_>) -> Option<SimTime> {
        None
    }

    /// The machine boots: it is Ready after the latency `nodeReady`, and its containers start anew.
    pub fn restore_node(&mut self, node: &str, ctx: &mut Ctx<'_>) {}

    /// The kubelet stops; containers go on running, nobody looks after them. The last renewal of its lease.
    pub fn stop_kubelet(&mut self, node: &str, ctx: &mut Ctx<'_>) -> Option<SimTime> {
        None
    }

    /// The kubelet starts again: lease and status at once, its Pods after the latency `podResync`.
    pub fn start_kubelet(&mut self, node: &str, ctx: &mut Ctx<'_>) {}

    /// The node reaches the API server no longer, nor it the node; containers and kubelet go on.
    /// The last renewal of its lease.
    pub fn partition(&mut self, node: &str, ctx: &mut Ctx<'_>) -> Option<SimTime> {
        None
    }

    /// The partition ends: lease and status at once, its Pods after the latency `podResync`.
    pub fn heal(&mut self, node: &str, ctx: &mut Ctx<'_>) {}

    /// Running containers of a Pod end at once; `container` none: all regular ones. How many ended.
    pub fn crash(
        &mut self,
        pod: &ObjectKey,
        container: Option<&str>,
        exit_code: i32,
        reason: &Str,
        ctx: &mut Ctx<'_>,
    ) -> usize {
        0
    }

    /// Running containers of a Pod answer nothing any more, for `duration` or until they are restarted.
    /// How many hang.
    pub fn hang(
        &mut self,
        pod: &ObjectKey,
        container: Option<&str>,
        duration: Option<SimDuration>,
        ctx: &mut Ctx<'_>,
    ) -> usize {
        0
    }

    /// The kubelet evicts a Pod from its node: phase Failed, reason `Evicted`. Whether there was one to evict.
    pub fn evict(&mut self, pod: &ObjectKey, message: &Str, grace: SimDuration, ctx: &mut Ctx<'_>) -> bool {
        false
    }

    /// The last renewal of a node's lease at or before `now`.
    pub fn last_renewal(&self, node: &str, now: SimTime) -> Option<SimTime> {
        None
    }

    /// Whether the node's machine has power and reaches the API server, and its kubelet runs.
    pub fn is_up(&self, node: &str) -> bool {
        false
    }

    /// Whether a Pod's regular containers run, have started up and answer (whatever the API says of it).
    pub fn answers(&self, pod: ObjId) -> bool {
        false
    }
}
