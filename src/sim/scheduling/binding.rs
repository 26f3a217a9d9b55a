//! Binds placed Pods: their claims first, then they themselves.
//!
//! Upstream: `pkg/scheduler/schedule_one.go` (`bindingCycle`), v1.34.

use crate::api::condition::{self, Condition};
use crate::api::pod::cond;
use crate::api::storage::{self, ClaimPhase, ClaimRef, PersistentVolume, PersistentVolumeClaim};
use crate::api::{ConditionStatus, EventType, Node, ObjectKey, Pod};
use crate::base::SimDuration;
use crate::base::text::{concat, lit};
use crate::scheduler::{Binding, VolumeStep};
use crate::sim::event::{Event, Placement};
use crate::sim::world::World;
use crate::store::{Store, Words};

use super::{CALL_TIME, speaker};

/// How often bound claims are looked for (`volumebinding/binder.go`: `BindVolumes` polls).
pub(super) const PRE_BIND_POLL: SimDuration = SimDuration::from_secs(1);
/// `bindTimeoutSeconds` of VolumeBinding.
pub(super) const PRE_BIND_TIMEOUT: SimDuration = SimDuration::from_secs(600);

impl World {
    pub(super) fn write_volume_steps(&mut self, placement: &Placement) {
        for step in &placement.volumes {
            let written = match step {
                VolumeStep::Bind { claim, volume } => {
                    let uid = self.store.get::<PersistentVolumeClaim>(claim).map(|c| c.meta.uid.clone());
                    let claim = ClaimRef { key: claim.clone(), uid: uid.unwrap_or_default() };
                    self.store
                        .update::<PersistentVolume>(&ObjectKey::cluster(volume), |pv| {
                            pv.claim_ref = Some(claim);
                            pv.meta.annotations =
                                pv.meta.annotations.with(storage::annotation::BOUND_BY_CONTROLLER, "yes");
                        })
                        .map(|_| ())
                }
                VolumeStep::Provision { claim, node } => self
                    .store
                    .update::<PersistentVolumeClaim>(claim, |pvc| {
                        pvc.meta.annotations =
                            pvc.meta.annotations.with(storage::annotation::SELECTED_NODE, node.clone());
                    })
                    .map(|_| ()),
                VolumeStep::Wait { .. } => Ok(()),
            };
            // A claim or volume that vanished meanwhile is found missing when the claims are looked at.
            let _ = written;
        }
    }

    /// Looks whether the claims of a placed Pod are bound by now.
    pub(in crate::sim) fn pre_bind(&mut self, placement: Placement) {
        let now = self.store.now();
        if self.pod_of(&placement.pod, &placement.uid).is_none() {
            self.scheduler.hear(now).binding_failed(now, &placement.pod, &placement.uid, "pod is gone");
            return;
        }
        match self.claims_bound(&placement) {
            Ok(true) => {
                let at = self.scheduler.call(now, CALL_TIME);
                self.schedule(at, Event::Bind(Box::new(placement)));
            }
            Ok(false) if now < placement.deadline => {
                self.schedule(now + PRE_BIND_POLL, Event::PreBind(Box::new(placement)));
            }
            Ok(false) => self.volumes_fail(&placement, "context deadline exceeded"),
            Err(why) => self.volumes_fail(&placement, &why),
        }
    }

    /// Upstream: `volumebinding/binder.go` `checkBindings`, v1.34.
    fn claims_bound(&self, placement: &Placement) -> Result<bool, String> {
        let node = self.store.find::<Node>("", &placement.node);
        let node = node.ok_or_else(|| format!("failed to get node {:?}: not found", placement.node))?;
        let mut all = true;
        for step in &placement.volumes {
            all &= is_done(&self.store, node, step)?;
        }
        Ok(all)
    }

    fn volumes_fail(&mut self, placement: &Placement, why: &str) {
        let message = format!("running PreBind plugin \"VolumeBinding\": binding volumes: {why}");
        self.binding_fails(placement, &message);
    }

    fn binding_fails(&mut self, placement: &Placement, why: &str) {
        let now = self.store.now();
        let failure = self.scheduler.hear(now).binding_failed(now, &placement.pod, &placement.uid, why);
        let Some(pod) = self.pod_of(&placement.pod, &placement.uid) else { return };
        if let Some(failure) = failure {
            self.failed_scheduling(&pod, &placement.scheduler_name, failure);
        }
    }

    /// Binds a Pod: the API server sets the node and the condition `PodScheduled`.
    ///
    /// Upstream: `pkg/registry/core/pod/storage/storage.go` (`assignPod`), v1.34.
    pub(in crate::sim) fn bind(&mut self, placement: &Placement) {
        let now = self.store.now();
        let Some(pod) = self.pod_of(&placement.pod, &placement.uid) else {
            self.scheduler.hear(now).binding_failed(now, &placement.pod, &placement.uid, "pod is gone");
            return;
        };
        if pod.meta.is_deleting() {
            let why = format!(
                "Operation cannot be fulfilled on pods/binding \"{}\": pod {} is being deleted, cannot be assigned to a host",
                pod.meta.name, pod.meta.name
            );
            self.binding_fails(placement, &why);
            return;
        }
        self.think_of(&placement.node);
        let at = self.store.timestamp();
        let node = placement.node.clone();
        let bound = self.store.update::<Pod>(&placement.pod, |pod| {
            pod.node_name = Some(node);
            Binding::annotate(&placement.annotations, &mut pod.meta);
            pod.status.nominated_node = None;
            condition::set(
                &mut pod.status.conditions,
                Condition::new(cond::POD_SCHEDULED, ConditionStatus::True, "", "", at),
            );
        });
        match bound {
            Ok(pod) => {
                self.scheduler.hear(now).finish_binding(now, &placement.pod, &placement.uid);
                let ObjectKey { namespace, name } = &placement.pod;
                let message =
                    concat(&["Successfully assigned ", namespace, "/", name, " to ", &placement.node]);
                // No Pod is bound a second time.
                let speaker = speaker(&pod, &placement.scheduler_name, EventType::Normal);
                self.store.emit_once(speaker, Words { reason: lit!("Scheduled"), message });
            }
            Err(why) => self.binding_fails(placement, &why.to_string()),
        }
    }
}

/// Whether a claim is bound by now.
///
/// # Errors
/// Why it never will be as it was meant, in upstream's words.
fn is_done(store: &Store, node: &Node, step: &VolumeStep) -> Result<bool, String> {
    let (VolumeStep::Provision { claim, .. } | VolumeStep::Bind { claim, .. } | VolumeStep::Wait { claim }) =
        step;
    let Some(pvc) = store.get::<PersistentVolumeClaim>(claim) else {
        return Err(format!("failed to get pvc {claim} from the cache: not found"));
    };
    let volume = match step {
        VolumeStep::Bind { volume, .. } => volume,
        VolumeStep::Provision { .. } | VolumeStep::Wait { .. } => &pvc.spec.volume_name,
    };
    if let VolumeStep::Provision { node, .. } = step {
        still_selected(pvc, node)?;
    }
    if let Some(pv) = store.find::<PersistentVolume>("", volume) {
        let reachable =
            pv.node_affinity.as_ref().is_none_or(|a| a.matches(&node.meta.name, &node.meta.labels));
        if !reachable {
            let (pv, node) = (&pv.meta.name, &node.meta.name);
            return Err(format!(
                "pv {pv:?} node affinity doesn't match node {node:?}: no matching NodeSelectorTerms"
            ));
        }
        let reserved = pv.claim_ref.as_ref().is_some_and(|r| !r.uid.is_empty());
        if matches!(step, VolumeStep::Bind { .. }) && !reserved {
            return Err(format!("ClaimRef got reset for pv {:?}", pv.meta.name));
        }
    }
    Ok(pvc.phase == ClaimPhase::Bound
        && pvc.meta.annotations.contains_key(storage::annotation::BIND_COMPLETED))
}

/// Whether the provisioner still works for the node that was chosen. If it has given the claim back, the scheduler begins
/// again.
fn still_selected(claim: &PersistentVolumeClaim, node: &str) -> Result<(), String> {
    let name = &claim.meta.name;
    match claim.meta.annotations.get(storage::annotation::SELECTED_NODE) {
        Some(selected) if selected == node => Ok(()),
        None if claim.meta.annotations.is_empty() => {
            Err(format!("selectedNode annotation reset for PVC {name:?}"))
        }
        None | Some(_) => Err(format!("provisioning failed for PVC {name:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::selector::{NodeSelectorTerm, Operator, Requirement};
    use crate::api::storage::{PvSource, annotation};
    use crate::api::{Labels, Lasting, NodeSelector};
    use crate::testkit;

    fn volume(zone: &str, uid: &str) -> PersistentVolume {
        let zone = Requirement { key: "zone".into(), operator: Operator::In, values: vec![zone.into()] };
        let term = NodeSelectorTerm { expressions: vec![zone], fields: Vec::new() };
        let source = PvSource::Local("/".into());
        PersistentVolume {
            claim_ref: Some(ClaimRef { key: ObjectKey::new("default", "data"), uid: uid.into() }),
            node_affinity: Some(NodeSelector { terms: vec![term] }),
            ..testkit::persistent_volume("pv", source)
        }
    }

    /// A claim with annotations, bound to `pv` if they say so.
    fn claim(annotations: &[(&str, &str)]) -> PersistentVolumeClaim {
        let annotations: Labels = annotations.iter().copied().collect();
        let bound = annotations.contains_key(annotation::BIND_COMPLETED);
        let meta = Lasting { annotations, ..Lasting::named("default", "data") }.into();
        let mut claim = PersistentVolumeClaim { meta, ..Default::default() };
        if bound {
            claim.phase = ClaimPhase::Bound;
            claim.spec.volume_name = "pv".into();
        }
        claim
    }

    /// autoscaling-storage.md §5.2: failures in PreBind.
    #[test]
    fn claims_that_go_wrong_while_they_are_waited_for_are_named() {
        let key = ObjectKey::new("default", "data");
        let make = VolumeStep::Provision { claim: key.clone(), node: "n".into() };
        let take = VolumeStep::Bind { claim: key, volume: "pv".into() };
        let selected = (annotation::SELECTED_NODE, "n");
        let done = (annotation::BIND_COMPLETED, "yes");
        let other = ("example.com/x", "y");
        let affinity = "pv \"pv\" node affinity doesn't match node \"n\": no matching NodeSelectorTerms";
        for (what, step, annotations, pv, expected) in [
            ("it is being made", &make, &[selected][..], None, Ok(false)),
            ("it is bound", &make, &[selected, done], Some(volume("a", "u")), Ok(true)),
            ("it was given back", &make, &[other], None, Err("provisioning failed for PVC \"data\"")),
            (
                "it was given to another node",
                &make,
                &[(annotation::SELECTED_NODE, "m")],
                None,
                Err("provisioning failed for PVC \"data\""),
            ),
            ("nothing is left", &make, &[], None, Err("selectedNode annotation reset for PVC \"data\"")),
            ("it was made elsewhere", &make, &[selected, done], Some(volume("b", "u")), Err(affinity)),
            ("it is being bound", &take, &[other], Some(volume("a", "u")), Ok(false)),
            (
                "the volume was taken away",
                &take,
                &[other],
                Some(volume("a", "")),
                Err("ClaimRef got reset for pv \"pv\""),
            ),
        ] {
            let mut store = testkit::store();
            let meta = Lasting { labels: testkit::labels("zone=a"), ..Lasting::named("", "n") }.into();
            let node = Node { meta, ..Node::default() };
            store.create(claim(annotations)).unwrap();
            pv.into_iter().for_each(|pv| {
                store.create(pv).unwrap();
            });
            assert_eq!(is_done(&store, &node, step), expected.map_err(str::to_owned), "{what}");
        }
    }
}
