//! What of an object is another than before, hashed: what stayed has been hashed before.

use std::hash::{Hash, Hasher};

use super::condition::Condition;
use super::meta::{Lasting, Meta};
use super::pod::{ContainerStatus, Pod, PodStatus};

/// Hashes the fields that differ, after a number that says which they are. Those behind `if` are looked at only if that holds.
macro_rules! fields_since {
    ($state:ident, $old:ident, $new:ident: $type:ident { $($field:ident),* } but { $($other:ident),* }) => {{
        // A field that is in neither list does not compile.
        let $type { $($field: _,)* $($other: _,)* } = $new;
        fields_since!($state, $old, $new: $($field),*);
    }};
    ($state:ident, $old:ident, $new:ident: $($field:ident $(if $may:ident)?),*) => {{
        let differs = [$($($may &&)? $old.$field != $new.$field),*];
        let which = differs.iter().enumerate().fold(0u16, |bits, (at, differs)| bits | u16::from(*differs) << at);
        $state.write_u16(which);
        if which != 0 {
            let mut differs = differs.into_iter();
            $(if differs.next() == Some(true) {
                $new.$field.hash($state);
            })*
        }
    }};
}

impl Meta {
    /// Hashes what differs from `old`, its `resourceVersion` apart.
    fn hash_since<H: Hasher>(&self, old: &Self, state: &mut H) {
        let new = self;
        // A field that is not hashed does not compile.
        let Self { resource_version: _, generation: _, deletion: _, lasting } = new;
        let Lasting {
            namespace: _,
            name: _,
            generate_name: _,
            uid: _,
            created: _,
            labels: _,
            annotations: _,
            owners: _,
            finalizers: _,
        } = &**lasting;
        // Most writes leave it where it is.
        let other = !old.lasting.is(lasting);
        fields_since!(state, old, new:
            namespace if other, name if other, generate_name if other, uid if other, generation, created if other,
            deletion, labels if other, annotations if other, owners if other, finalizers if other);
    }
}

impl Pod {
    /// Hashes what differs from `old`, the same Pod before a write, its `resourceVersion` apart.
    pub fn hash_since<H: Hasher>(&self, old: &Self, state: &mut H) {
        let new = self;
        fields_since!(state, old, new: Self { node_name, spec } but { meta, status });
        self.meta.hash_since(&old.meta, state);
        let (was, is) = (&old.status, &self.status);
        fields_since!(state, was, is: PodStatus {
            phase, reason, message, nominated_node, start_time, host_ip, pod_ip, qos, resize
        } but { conditions, containers, init_containers });
        list_since(&was.conditions, &is.conditions, state, |was, is, state| {
            fields_since!(state, was, is: Condition { kind, status, reason, message, transition, updated } but {});
        });
        for (was, is) in [(&was.containers, &is.containers), (&was.init_containers, &is.init_containers)] {
            list_since(was, is, state, |was, is, state| {
                fields_since!(state, was, is: ContainerStatus {
                    name, image, state, last_termination, ready, started, restart_count, resized
                } but {});
            });
        }
    }
}

/// Hashes how long a list is, and what in it is not as before: what was there before by what differs.
fn list_since<T: Hash + PartialEq, H: Hasher>(
    old: &[T],
    new: &[T],
    state: &mut H,
    since: impl Fn(&T, &T, &mut H),
) {
    state.write_u32(new.len() as u32);
    for (at, item) in new.iter().enumerate() {
        let before = old.get(at);
        if before == Some(item) {
            continue;
        }
        state.write_u32(at as u32);
        match before {
            Some(before) => since(before, item, state),
            None => item.hash(state),
        }
    }
    // No place is so great: the list is over.
    state.write_u32(u32::MAX);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{ConditionStatus, Phase};
    use crate::base::Timestamp;
    use crate::kernel::Digest;

    struct Since<'a>(&'a Pod, &'a Pod);

    impl Hash for Since<'_> {
        fn hash<H: Hasher>(&self, state: &mut H) {
            self.1.hash_since(self.0, state);
        }
    }

    fn hash(old: &Pod, new: &Pod) -> String {
        Digest::of(&Since(old, new)).to_string()
    }

    /// Whatever a write changes, and to what: the hash tells it from every other write.
    #[test]
    fn every_change_has_a_hash_of_its_own() {
        let spec = serde_json::json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
        let old = crate::api::lower::lower_pod(serde_json::from_value(spec).unwrap()).unwrap();
        let ready = |status| Condition::new("Ready", status, "", "", Timestamp::new(0));
        let changes: Vec<fn(&mut Pod)> = vec![
            |_| {},
            |pod| pod.node_name = Some("a".into()),
            |pod| pod.node_name = Some("b".into()),
            |pod| pod.meta.labels = pod.meta.labels.with("a", "b"),
            |pod| pod.meta.annotations = pod.meta.annotations.with("a", "b"),
            |pod| pod.meta.generation += 1,
            |pod| pod.status.phase = Phase::Running,
            |pod| pod.status.phase = Phase::Failed,
            |pod| pod.status.reason = "a".into(),
            |pod| pod.status.message = "a".into(),
        ];
        let mut hashes: Vec<String> = changes
            .into_iter()
            .map(|change| {
                let mut new = old.clone();
                change(&mut new);
                hash(&old, &new)
            })
            .collect();
        for conditions in [
            vec![ready(ConditionStatus::True)],
            vec![ready(ConditionStatus::False)],
            vec![ready(ConditionStatus::True), ready(ConditionStatus::True)],
        ] {
            let mut new = old.clone();
            new.status.conditions = conditions;
            hashes.push(hash(&old, &new));
        }
        let mut distinct = hashes.clone();
        distinct.sort();
        distinct.dedup();
        assert_eq!(distinct.len(), hashes.len());
        let mut version = old.clone();
        version.meta.resource_version += 1;
        assert_eq!(hash(&old, &version), hash(&old, &old), "the revision is part of the change");
    }
}
