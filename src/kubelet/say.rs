//! Events in the kubelet's words.

use super::Ctx;
use super::machine::Machine;
use super::worker::Worker;
use crate::api::{EventType, Kind, ObjectRef};
use crate::base::{Str, text::lit};
use crate::store::Emit;

const KUBELET: Str = lit!("kubelet");

impl Worker<'_, '_> {
    /// Says something about the Pod.
    pub fn normal(&mut self, reason: Str, message: impl Into<Str>) {
        self.say(EventType::Normal, reason, message.into());
    }

    /// Says that something about the Pod is not as it should be; whether that was written.
    pub fn warning(&mut self, reason: Str, message: impl Into<Str>) -> bool {
        self.say(EventType::Warning, reason, message.into())
    }

    /// Whether Events are said and heard; saves making texts.
    pub fn speaks(&self) -> bool {
        self.ctx.params.events && self.machine.hears() && !self.pod.deleted
    }

    fn say(&mut self, event_type: EventType, reason: Str, message: Str) -> bool {
        if !self.speaks() {
            return false;
        }
        self.ctx.store.emit(Emit {
            source: KUBELET,
            host: self.machine.name.clone(),
            regarding: ObjectRef {
                kind: lit!("Pod"),
                namespace: self.pod.key.namespace.clone(),
                name: self.pod.key.name.clone(),
                uid: self.pod.uid.clone(),
            },
            event_type,
            reason,
            message,
            series: false,
        })
    }
}

/// Says something about the node itself. Upstream names it by its name, also where the identity belongs.
pub fn of_node(machine: &Machine, event_type: EventType, reason: &str, message: &str, ctx: &mut Ctx<'_>) {
    if !machine.hears() {
        return;
    }
    ctx.store.emit(Emit {
        source: KUBELET,
        host: machine.name.clone(),
        regarding: ObjectRef {
            kind: Kind::Node.name().into(),
            namespace: Str::new(),
            name: machine.name.clone(),
            uid: machine.name.clone(),
        },
        event_type,
        reason: reason.into(),
        message: message.into(),
        series: false,
    });
}
