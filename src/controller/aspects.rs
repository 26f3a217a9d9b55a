//! What a write has changed of a Pod, so that controllers are told of those writes only that can concern them.

use std::ops::BitOr;

use crate::api::pod::cond;
use crate::api::{ConditionStatus, Pod};
use crate::base::Arc;
use crate::store::Change;

/// Some of what can be another about a Pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aspects(u16);

impl Aspects {
    /// It came to be.
    pub const ADDED: Self = Self(1);
    /// It is gone.
    pub const DELETED: Self = Self(1 << 1);
    /// Its labels.
    pub const LABELS: Self = Self(1 << 2);
    /// Its owners.
    pub const OWNERS: Self = Self(1 << 3);
    /// Whether, and until when, it is being deleted.
    pub const DELETION: Self = Self(1 << 4);
    /// Whether it is ready.
    pub const READY: Self = Self(1 << 5);
    /// Its address.
    pub const ADDRESS: Self = Self(1 << 6);
    /// Its node.
    pub const NODE: Self = Self(1 << 7);
    /// Whether it has ended.
    pub const ENDED: Self = Self(1 << 8);
    /// Its spec.
    pub const SPEC: Self = Self(1 << 9);
    /// Whatever it is: the Pod has a controller.
    pub const CONTROLLED: Self = Self(1 << 10);
    /// Whatever it is: the Pod has finalizers.
    pub const FINALIZED: Self = Self(1 << 11);
    /// Whatever it is: the Pod has volumes.
    pub const VOLUMES: Self = Self(1 << 12);
    /// Whatever it is: the Pod says that it is about to be disrupted.
    pub const DISRUPTED: Self = Self(1 << 13);
    /// Whatever it is.
    pub const ANY: Self = Self(1 << 14);
    /// None of them.
    pub const NONE: Self = Self(0);
    /// What those look at who make Pods and adopt them.
    pub const OF_MANAGERS: Self =
        Self(Self::ADDED.0 | Self::DELETED.0 | Self::LABELS.0 | Self::OWNERS.0 | Self::CONTROLLED.0);
    /// All of them.
    pub const ALL: Self = Self(u16::MAX);

    /// What the change has to do with, if it is one of a Pod; all if it is not.
    pub fn of(change: &Change) -> Self {
        match change.of::<Pod>() {
            None | Some((None, None)) => Self::ALL,
            Some((None, Some(pod))) => Self::ADDED | Self::of_pod(pod),
            Some((Some(pod), None)) => Self::DELETED | Self::of_pod(pod),
            Some((Some(old), Some(new))) => Self::between(old, new),
        }
    }

    /// What holds for every write of a Pod.
    fn of_pod(pod: &Pod) -> Self {
        Self::of_lasting(pod) | Said::of(pod).aspects()
    }

    /// What of it most writes leave as it was.
    fn of_lasting(pod: &Pod) -> Self {
        [
            (true, Self::ANY),
            (pod.meta.controller().is_some(), Self::CONTROLLED),
            (!pod.meta.finalizers.is_empty(), Self::FINALIZED),
            (!pod.spec.volumes.is_empty(), Self::VOLUMES),
        ]
        .into_iter()
        .collect()
    }

    fn between(old: &Arc<Pod>, new: &Arc<Pod>) -> Self {
        let (was, is) = (&old.meta, &new.meta);
        let (said, says) = (Said::of(old), Said::of(new));
        let mut differs: Self = [
            (true, said.aspects()),
            (true, says.aspects()),
            (was.deletion != is.deletion, Self::DELETION),
            (said.ready != says.ready, Self::READY),
            (old.status.pod_ip != new.status.pod_ip, Self::ADDRESS),
            (old.node_name != new.node_name, Self::NODE),
            (old.is_terminal() != new.is_terminal(), Self::ENDED),
        ]
        .into_iter()
        .collect();
        let same_spec = Arc::ptr_eq(&old.spec, &new.spec);
        // Most writes leave both where they are.
        if !(same_spec && was.lasting.is(&is.lasting)) {
            let lasting = [
                (true, Self::of_lasting(old)),
                (was.labels != is.labels, Self::LABELS),
                (was.owners != is.owners, Self::OWNERS),
                (!same_spec, Self::SPEC),
            ];
            differs = differs | lasting.into_iter().collect();
        }
        differs | Self::of_lasting(new)
    }

    /// Whether the two have something in common.
    pub const fn touches(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// What the conditions of a Pod say.
struct Said {
    ready: bool,
    disrupted: bool,
}

impl Said {
    fn of(pod: &Pod) -> Self {
        let mut said = Self { ready: false, disrupted: false };
        // Of several of one kind the first counts.
        for condition in pod.status.conditions.iter().rev() {
            match condition.kind.as_str() {
                cond::READY => said.ready = condition.status == ConditionStatus::True,
                cond::DISRUPTION_TARGET => said.disrupted = true,
                _ => {}
            }
        }
        said
    }

    fn aspects(&self) -> Aspects {
        if self.disrupted { Aspects::DISRUPTED } else { Aspects::NONE }
    }
}

impl BitOr for Aspects {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl FromIterator<(bool, Aspects)> for Aspects {
    /// Those that hold.
    fn from_iter<I: IntoIterator<Item = (bool, Aspects)>>(all: I) -> Self {
        Self(all.into_iter().fold(0, |bits, (holds, aspect)| if holds { bits | aspect.0 } else { bits }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Deletion, ObjectKey, OwnerReference};
    use crate::base::Timestamp;
    use crate::testkit;

    #[test]
    fn a_write_touches_what_it_changes() {
        type Write = fn(&mut Pod);
        let cases: [(Write, Aspects); 9] = [
            (|pod| pod.status.message = "m".into(), Aspects::ANY),
            (|pod| pod.meta.labels = pod.meta.labels.with("a", "b"), Aspects::LABELS),
            (|pod| pod.node_name = Some("n".into()), Aspects::NODE),
            (|pod| pod.status.pod_ip = "10.0.0.1".into(), Aspects::ADDRESS),
            (|pod| pod.status.phase = crate::api::Phase::Failed, Aspects::ENDED),
            (|pod| pod.meta.finalizers.push("f".into()), Aspects::FINALIZED),
            (
                |pod| {
                    let timestamp = Timestamp::new(0);
                    pod.meta.deletion = Some(Deletion { timestamp, grace_seconds: Some(30) });
                },
                Aspects::DELETION,
            ),
            (
                |pod| {
                    pod.meta.owners.push(OwnerReference {
                        api_version: "v1".into(),
                        kind: "Node".into(),
                        name: "n".into(),
                        uid: "u".into(),
                        controller: true,
                        block_owner_deletion: false,
                    });
                },
                Aspects::OWNERS | Aspects::CONTROLLED,
            ),
            (|pod| pod.spec = Arc::new(crate::api::PodSpec::clone(&pod.spec)), Aspects::SPEC),
        ];
        for (write, touched) in cases {
            let mut store = testkit::store();
            store.create(testkit::pod("p", "")).unwrap();
            store.drain_changes();
            store
                .update::<Pod>(&ObjectKey::new("default", "p"), |pod| {
                    pod.status.reason = "r".into();
                    write(pod);
                })
                .unwrap();
            let change = store.drain_changes().remove(0);
            assert_eq!(Aspects::of(&change), touched | Aspects::ANY, "{touched:?}");
        }
    }
}
