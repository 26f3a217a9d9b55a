//! Events in the kubelet's words.

use super::Ctx;
use super::machine::Machine;
use super::worker::{Common, Worker};
use crate::api::{EventType, Kind, ObjectRef};
use crate::base::{Str, text::lit};
use crate::store::{Emit, Speaker, Words};

const KUBELET: Str = lit!("kubelet");

/// What is said of the containers of most Pods, and is the same for those of one template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sentence {
    /// The image is there.
    Present,
    /// The image is asked for.
    Pulling,
    /// The container was created.
    Created,
    /// It was started.
    Started,
}

impl Sentence {
    /// The sentence about an image or a container of this name.
    fn about(self, name: &str) -> Str {
        match self {
            Self::Present => format!("Container image \"{name}\" already present on machine"),
            Self::Pulling => format!("Pulling image \"{name}\""),
            Self::Created => format!("Created container: {name}"),
            Self::Started => format!("Started container {name}"),
        }
        .into()
    }
}

impl Common {
    /// A sentence, made once for all who say it.
    pub fn sentence(&mut self, sentence: Sentence, about: &Str) -> Str {
        self.sentences.or_insert_with((sentence, about.clone()), || sentence.about(about)).clone()
    }
}

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
        let (host, pod) = (&self.machine.name, &mut *self.pod);
        let (key, uid) = (&pod.key, &pod.uid);
        let speaker = || Speaker {
            source: KUBELET,
            host: host.clone(),
            regarding: ObjectRef {
                kind: Kind::Pod.text(),
                namespace: key.namespace.clone(),
                name: key.name.clone(),
                uid: uid.clone(),
            },
            event_type,
            series: false,
        };
        match event_type {
            EventType::Normal => self.ctx.store.emit_from(&mut pod.told, speaker, Words { reason, message }),
            EventType::Warning => self.ctx.store.emit_as(speaker(), Words { reason, message }),
        }
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
            kind: Kind::Node.text(),
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
