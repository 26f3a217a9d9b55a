//! What holds a Pod that has a node and does not run: its claims, its disks, and the last that was said of it.

use std::collections::{BTreeMap, BTreeSet};

use crate::api::node::TAINT_OUT_OF_SERVICE;
use crate::api::storage::{
    ClaimPhase, CsiDriver, PersistentVolume, PersistentVolumeClaim, StorageClass, VolumeAttachment,
};
use crate::api::{
    ContainerState, ContainerStatus, Event, EventType, Node, ObjectKey, ObjectRef, Phase, Pod, Uid,
};
use crate::base::{Arc, Str};
use crate::params::drivers;
use crate::store::Store;

/// What holds a Pod, a sentence each; nothing if it has no node or its containers run.
pub fn of(store: &Store, pod: &Pod) -> Vec<String> {
    let Some(node) = pod.node_name.as_ref().filter(|_| pod.status.phase == Phase::Pending) else {
        return Vec::new();
    };
    let claims = if is_past_volumes(pod) { Vec::new() } else { pod.spec.claim_names(&pod.meta.name) };
    let mut said: Vec<String> = claims
        .into_iter()
        .map(|name| claim(store, &ObjectKey::new(pod.meta.namespace.clone(), name), node))
        .collect();
    if let Some(event) = last_warnings(store, [&pod.meta.uid]).get(&pod.meta.uid) {
        let often = if event.count > 1 { format!(", {} times", event.count) } else { String::new() };
        said.push(format!(
            "the last that was said{often}: {}: {}",
            event.reason,
            event.message.trim_end().replace('\n', " ")
        ));
    }
    said
}

/// Whether volumes are there: some container has been tried.
fn is_past_volumes(pod: &Pod) -> bool {
    let untried = |c: &ContainerStatus| matches!(&c.state, ContainerState::Waiting { reason, .. } if reason == "ContainerCreating" || reason == "PodInitializing");
    let status = &pod.status;
    !status.init_containers.iter().chain(&status.containers).all(untried)
}

/// The last complaint about each of these objects of which there is one, by its identity.
pub fn last_warnings<'a>(
    store: &Store,
    objects: impl IntoIterator<Item = &'a Uid>,
) -> BTreeMap<Uid, Arc<Event>> {
    let objects: BTreeSet<&Uid> = objects.into_iter().collect();
    let mut last: BTreeMap<Uid, Arc<Event>> = BTreeMap::new();
    if objects.is_empty() {
        // Events are more than all other objects together.
        return last;
    }
    let wanted = |regarding: &ObjectRef, event_type| {
        event_type == EventType::Warning && objects.contains(&regarding.uid)
    };
    for event in store.events_about(wanted) {
        let known = last.entry(event.regarding.uid.clone()).or_insert_with(|| event.clone());
        if (event.last, &event.meta.name) > (known.last, &known.meta.name) {
            *known = event;
        }
    }
    last
}

fn claim(store: &Store, key: &ObjectKey, node: &Str) -> String {
    let name = &key.name;
    let Some(claim) = store.get::<PersistentVolumeClaim>(key) else {
        return format!("claim {name} does not exist");
    };
    if claim.phase != ClaimPhase::Bound {
        let class = store.find::<StorageClass>("", &claim.class());
        let patient = class.is_some_and(|c| c.wait_for_first_consumer);
        let why = if patient {
            "; its class waits for the scheduler to choose a node, which a Pod with spec.nodeName goes past"
        } else {
            ""
        };
        return format!("claim {name} is not bound{why}");
    }
    let volume = &claim.spec.volume_name;
    match store.find::<PersistentVolume>("", volume) {
        None => format!("claim {name} is bound to {volume}, which is gone"),
        Some(found) => {
            format!("claim {name} is bound to {volume}, which {}", whereabouts(store, found, node))
        }
    }
}

/// What is between a volume and a node.
fn whereabouts(store: &Store, volume: &PersistentVolume, node: &Str) -> String {
    let driver = volume.source.csi().map(|(driver, _)| driver);
    let attaches = |d: &Str| drivers::attaches(d, store.find::<CsiDriver>("", d).map(|object| &**object));
    if !driver.is_some_and(|d| attaches(&d)) {
        return "needs no attaching and is being mounted".to_owned();
    }
    let all = || store.list::<VolumeAttachment>().filter(|a| a.pv_name == volume.meta.name);
    let own = all().find(|a| a.node_name == *node);
    match own {
        Some(a) if a.attached && !a.meta.is_deleting() => {
            let unique = volume.attach_name();
            let uses = store
                .find::<Node>("", node)
                .is_some_and(|n| unique.is_some_and(|unique| n.status.volumes_in_use.contains(&unique)));
            return if uses {
                "is attached there and being mounted".to_owned()
            } else {
                "is attached there; the node's next status says that it uses it, then it is mounted"
                    .to_owned()
            };
        }
        Some(a) if !a.attach_error.is_empty() => return format!("cannot be attached: {}", a.attach_error),
        Some(_) => return "is being attached".to_owned(),
        None => {}
    }
    let single = volume.is_single_node();
    match all().find(|_| single) {
        Some(other) => elsewhere(store, volume, other),
        None => "is to be attached".to_owned(),
    }
}

/// Why a disk is still on another node.
fn elsewhere(store: &Store, volume: &PersistentVolume, attachment: &VolumeAttachment) -> String {
    let other = &attachment.node_name;
    let claim = volume.claim_ref.as_ref().map(|r| r.key.clone()).unwrap_or_default();
    let users: Vec<&str> = store
        .pods_using(&claim)
        .filter(|p| p.node_name.as_ref() == Some(other) && !p.is_terminal())
        .map(|p| p.meta.name.as_str())
        .collect();
    let front = format!("is still attached to {other}");
    if attachment.meta.is_deleting() {
        return format!("{front} and being detached");
    }
    if !users.is_empty() {
        return format!("{front}, where {} uses it: one node at a time can have it", users.join(", "));
    }
    match store.find::<Node>("", other) {
        Some(n) if n.is_ready() => format!("{front}, which has not unmounted it yet"),
        Some(n) if n.is_out_of_service() => {
            format!("{front}, which is out of service")
        }
        _ => format!(
            "{front}, which does not answer: it is taken away by force six minutes after the last Pod there was gone, or at once if the node gets the taint {TAINT_OUT_OF_SERVICE}"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::condition::Condition;
    use crate::api::storage::{AccessMode, ClaimRef, PvSource};
    use crate::api::volume::{Volume, VolumeSource};
    use crate::api::{ConditionStatus, Meta, Taint, TaintEffect};
    use crate::testkit;

    const UNIQUE: &str = "kubernetes.io/csi/ebs.csi.aws.com^vol-1";

    fn volume() -> PersistentVolume {
        let source = PvSource::Csi { driver: drivers::EBS.into(), handle: "vol-1".into() };
        PersistentVolume {
            access_modes: vec![AccessMode::ReadWriteOnce],
            claim_ref: Some(ClaimRef { key: ObjectKey::new("default", "data"), uid: "u".into() }),
            ..testkit::persistent_volume("pv", source)
        }
    }

    fn pod(name: &str, node: &str) -> Pod {
        let mut pod = testkit::pod(name, "app=db");
        let mut spec = (*pod.spec).clone();
        let source = VolumeSource::Claim { claim: "data".into(), read_only: false };
        spec.volumes.push(Volume { name: "data".into(), source });
        pod.spec = Arc::new(spec);
        pod.node_name = Some(node.into());
        pod
    }

    fn attachment(node: &str, attached: bool) -> VolumeAttachment {
        VolumeAttachment {
            meta: Meta::named("", format!("csi-{node}")),
            attacher: drivers::EBS.into(),
            node_name: node.into(),
            pv_name: "pv".into(),
            attached,
            ..VolumeAttachment::default()
        }
    }

    /// A claim on a disk, a node `n1` that had it and `n2` where the Pod is; `edit` says how things stand.
    fn held(edit: impl FnOnce(&mut Store)) -> Vec<String> {
        let mut store = testkit::store();
        let mut claim = PersistentVolumeClaim {
            meta: Meta::named("default", "data"),
            ..PersistentVolumeClaim::default()
        };
        claim.phase = ClaimPhase::Bound;
        claim.spec.volume_name = "pv".into();
        store.create(claim).unwrap();
        store.create(volume()).unwrap();
        for name in ["n1", "n2"] {
            let mut node = Node { meta: Meta::named("", name), ..Node::default() };
            let at = store.timestamp();
            node.status.conditions.push(Condition::new(
                "Ready",
                ConditionStatus::True,
                "KubeletReady",
                "",
                at,
            ));
            store.create(node).unwrap();
        }
        let pod = store.create(pod("db", "n2")).unwrap();
        edit(&mut store);
        of(&store, &pod)
    }

    fn edit_node(store: &mut Store, name: &str, edit: impl FnOnce(&mut Node)) {
        store.update::<Node>(&ObjectKey::cluster(name), edit).unwrap();
    }

    fn silence(store: &mut Store) {
        edit_node(store, "n1", |n| n.status.conditions.clear());
    }

    #[test]
    fn a_disk_says_where_it_is_and_why() {
        let front = "claim data is bound to pv, which";
        let says = |edit: fn(&mut Store), expected: &str| {
            assert_eq!(held(edit), [format!("{front} {expected}")]);
        };
        says(|_| {}, "is to be attached");
        says(|s| drop(s.create(attachment("n2", false)).unwrap()), "is being attached");
        says(
            |s| drop(s.create(attachment("n2", true)).unwrap()),
            "is attached there; the node's next status says that it uses it, then it is mounted",
        );
        says(
            |s| {
                s.create(attachment("n2", true)).unwrap();
                edit_node(s, "n2", |n| n.status.volumes_in_use = vec![UNIQUE.into()]);
            },
            "is attached there and being mounted",
        );
        says(
            |s| drop(s.create(attachment("n1", true)).unwrap()),
            "is still attached to n1, which has not unmounted it yet",
        );
        says(
            |s| {
                s.create(attachment("n1", true)).unwrap();
                s.create(pod("old", "n1")).unwrap();
            },
            "is still attached to n1, where old uses it: one node at a time can have it",
        );
        says(
            |s| {
                s.create(attachment("n1", true)).unwrap();
                silence(s);
            },
            "is still attached to n1, which does not answer: it is taken away by force six minutes after the last Pod there was gone, or at once if the node gets the taint node.kubernetes.io/out-of-service",
        );
        says(
            |s| {
                s.create(attachment("n1", true)).unwrap();
                silence(s);
                let taint = Taint {
                    key: TAINT_OUT_OF_SERVICE.into(),
                    value: Str::new(),
                    effect: TaintEffect::NoExecute,
                    time_added: None,
                };
                edit_node(s, "n1", |n| n.taints.push(taint));
            },
            "is still attached to n1, which is out of service",
        );
    }

    #[test]
    fn nothing_holds_a_pod_that_runs_or_has_no_node() {
        let store = testkit::store();
        let mut running = pod("db", "n2");
        running.status.phase = Phase::Running;
        assert!(of(&store, &running).is_empty());
        let mut waiting = pod("db", "n2");
        waiting.node_name = None;
        assert!(of(&store, &waiting).is_empty());
        assert_eq!(of(&store, &pod("db", "n2")), ["claim data does not exist"]);
    }
}
