//! What a sync does, in which order.
//!
//! Upstream: `syncDeployment` in `pkg/controller/deployment/deployment_controller.go`, `sync.go`, v1.34.

use std::collections::BTreeSet;

use super::history::{self, DESIRED_REPLICAS, MAX_REPLICAS, REVISION};
use super::status;
use crate::api::selector::{Operator, Requirement};
use crate::api::workload::{Deployment, DeploymentStrategy, ReplicaSet};
use crate::api::{EventType, LabelSelector, Lasting, ObjectKey, ObjectRef, OwnerReference};
use crate::base::{Arc, SimDuration, Str, text::lit};
use crate::controller::common::hash::POD_TEMPLATE_HASH;
use crate::controller::common::{
    Owner, claim, equal_ignore_hash, hashed_name, template_hash, with_hash_label,
};
use crate::controller::{Action, Ctx};
use crate::store::{ApiError, Held};

/// ReplicaSets of a Deployment: the new one, if it exists, and the old ones.
pub(super) type NewAndOld = (Option<Arc<ReplicaSet>>, Vec<Arc<ReplicaSet>>);

/// When to look again though nothing changes.
pub(super) type Again = Option<SimDuration>;

/// One sync of one Deployment: its working copy, as it was at the start but for what the sync itself changed.
pub(super) struct Sync<'c, 's> {
    pub(super) ctx: &'c mut Ctx<'s>,
    pub(super) deployment: Deployment,
}

/// Works on a Deployment.
pub(super) fn reconcile(key: &ObjectKey, orphans: &BTreeSet<ObjectKey>, ctx: &mut Ctx<'_>) -> Action {
    let Some(deployment) = ctx.store().get::<Deployment>(key) else { return Action::Done };
    let deployment = (**deployment).clone();
    match (Sync { ctx, deployment }).run(orphans) {
        Ok(None) => Action::Done,
        Ok(Some(wait)) => Action::After(wait),
        Err(error) if error.is_namespace_terminating() => Action::Done,
        Err(error) => Action::Retry(error.to_string().into()),
    }
}

impl Sync<'_, '_> {
    fn run(&mut self, orphans: &BTreeSet<ObjectKey>) -> Result<Again, ApiError> {
        if self.deployment.selector.is_everything() {
            return self.refuse_everything().map(|()| None);
        }
        let sets = self.replica_sets(orphans);
        if self.deployment.meta.is_deleting() {
            let (new, old) = self.new_and_old(&sets, false)?;
            return self.write_counts(&old, new.as_ref()).map(|()| None);
        }
        self.note_pause()?;
        if self.deployment.paused {
            return self.scale_and_report(&sets).map(|()| None);
        }
        if let Some(revision) = self.rollback_wanted() {
            return self.roll_back(&sets, revision).map(|()| None);
        }
        if self.is_scaling_event(&sets)? {
            return self.scale_and_report(&sets).map(|()| None);
        }
        match self.deployment.strategy {
            DeploymentStrategy::Recreate => self.recreate(&sets),
            DeploymentStrategy::RollingUpdate { .. } => self.roll(&sets),
        }
    }

    fn refuse_everything(&mut self) -> Result<(), ApiError> {
        let message = lit!("This deployment is selecting all pods. A non-empty selector is required.");
        self.say(EventType::Warning, lit!("SelectingAll"), message);
        let generation = self.deployment.meta.generation;
        if self.deployment.status.observed_generation < generation {
            self.deployment.status.observed_generation = generation;
            self.write_status()?;
        }
        Ok(())
    }

    /// The Deployment's ReplicaSets, oldest first, after adopting and releasing.
    fn replica_sets(&mut self, orphans: &BTreeSet<ObjectKey>) -> Vec<Arc<ReplicaSet>> {
        let deployment = &self.deployment;
        let store = self.ctx.store();
        let mut candidates = history::owned(store, deployment);
        let from = ObjectKey { namespace: deployment.meta.namespace.clone(), name: Str::new() };
        let in_namespace = orphans.range(from.clone()..).take_while(|key| key.namespace == from.namespace);
        candidates.extend(in_namespace.filter_map(|key| store.get::<ReplicaSet>(key)).cloned());
        let selector = &deployment.selector;
        let mut sets = claim(self.ctx, &Owner::of(deployment), candidates, |set: &ReplicaSet| {
            selector.matches(&set.meta.labels)
        });
        history::sort_by_age(&mut sets);
        sets
    }

    /// Tells new and old ReplicaSets apart, brings the new one's revision up to date, and creates it if asked to.
    ///
    /// Upstream: `getAllReplicaSetsAndSyncRevision`.
    pub(super) fn new_and_old(
        &mut self,
        sets: &[Arc<ReplicaSet>],
        create: bool,
    ) -> Result<NewAndOld, ApiError> {
        let found = history::find_new(&self.deployment, sets).cloned();
        let is_old = |set: &&Arc<ReplicaSet>| found.as_ref().is_none_or(|new| new.meta.uid != set.meta.uid);
        let old: Vec<_> = sets.iter().filter(is_old).cloned().collect();
        let revision = history::max_revision(&old).saturating_add(1);
        let new = match found {
            Some(new) => Some(self.refresh_new(new, revision)?),
            None if create => Some(self.create_new(&old, revision)?),
            None => None,
        };
        Ok((new, old))
    }

    fn refresh_new(&mut self, set: Arc<ReplicaSet>, revision: i64) -> Result<Arc<ReplicaSet>, ApiError> {
        let annotations = history::new_annotations(&self.deployment, &set.meta.annotations, revision);
        let min_ready_seconds = self.deployment.min_ready_seconds;
        if annotations.is_some() || set.min_ready_seconds != min_ready_seconds {
            return self.update_set(&set, |set| {
                set.min_ready_seconds = min_ready_seconds;
                if let Some(annotations) = annotations {
                    set.meta.annotations = annotations;
                }
            });
        }
        let revision = set.meta.annotations.get(REVISION).cloned().unwrap_or_default();
        let mut write = self.take_revision(revision);
        if self.has_deadline() && self.progressing().is_none() {
            let message = format!("Found new replica set \"{}\"", set.meta.name);
            self.set_progressing(true, lit!("FoundNewReplicaSet"), message);
            write = true;
        }
        if write {
            self.write_status()?;
        }
        Ok(set)
    }

    fn create_new(&mut self, old: &[Arc<ReplicaSet>], revision: i64) -> Result<Arc<ReplicaSet>, ApiError> {
        let set = self.make_set(old, revision);
        let (name, replicas) = (set.meta.name.clone(), set.replicas);
        let (created, existed) = match self.ctx.create(set) {
            Ok(created) => (created, false),
            Err(error @ ApiError::AlreadyExists { .. }) => (self.take_existing(&name, error)?, true),
            Err(error) if error.is_namespace_terminating() => return Err(error),
            Err(error) => return Err(self.creation_failed(&name, error)),
        };
        if !existed && replicas > 0 {
            let message = format!("Scaled up replica set {name} from 0 to {replicas}");
            self.say(EventType::Normal, lit!("ScalingReplicaSet"), message);
        }
        let mut write = self.take_revision(revision.to_string().into());
        if !existed && self.has_deadline() {
            let message = format!("Created new replica set \"{name}\"");
            self.set_progressing(true, lit!("NewReplicaSetCreated"), message);
            write = true;
        }
        if write {
            self.write_status()?;
        }
        Ok(created)
    }

    /// The new ReplicaSet, as large as there is room for.
    fn make_set(&self, old: &[Arc<ReplicaSet>], revision: i64) -> ReplicaSet {
        let deployment = &self.deployment;
        let hash = template_hash(deployment.template.fingerprint, deployment.status.collision_count);
        let template = with_hash_label(&deployment.template, &hash);
        let annotations =
            history::new_annotations(deployment, &Default::default(), revision).unwrap_or_default();
        let replicas = self.room_for_new(old, 0);
        ReplicaSet {
            meta: Lasting {
                labels: template.labels.clone(),
                annotations: self.size_annotations(&annotations),
                owners: vec![OwnerReference::controller_of(deployment)].into(),
                ..Lasting::named(deployment.meta.namespace.clone(), hashed_name(&deployment.meta.name, &hash))
            }
            .into(),
            replicas,
            selector: with_requirement(&deployment.selector, &hash),
            match_labels: deployment.match_labels.with(POD_TEMPLATE_HASH, hash),
            template,
            min_ready_seconds: deployment.min_ready_seconds,
            status: Default::default(),
        }
    }

    /// A ReplicaSet of this name exists: it is the new one, or its hash collides.
    fn take_existing(&mut self, name: &Str, error: ApiError) -> Result<Arc<ReplicaSet>, ApiError> {
        let deployment = &self.deployment;
        let Some(set) = self.ctx.store().find::<ReplicaSet>(&deployment.meta.namespace, name) else {
            return Err(error);
        };
        if set.meta.is_controlled_by(&deployment.meta.uid)
            && equal_ignore_hash(&deployment.template, &set.template)
        {
            return Ok(set.clone());
        }
        let count = &mut self.deployment.status.collision_count;
        *count = Some(count.unwrap_or(0).saturating_add(1));
        // Upstream reports the collision, whether or not the count could be written.
        let _ = self.write_status();
        Err(error)
    }

    fn creation_failed(&mut self, name: &str, error: ApiError) -> ApiError {
        let message: Str = format!("Failed to create new replica set \"{name}\": {error}").into();
        if self.has_deadline() {
            self.set_progressing(false, lit!("ReplicaSetCreateError"), message.clone());
            let _ = self.write_status();
        }
        self.say(EventType::Warning, lit!("ReplicaSetCreateError"), message);
        error
    }

    /// Whether the Deployment's replicas changed since its active ReplicaSets were last scaled.
    fn is_scaling_event(&mut self, sets: &[Arc<ReplicaSet>]) -> Result<bool, ApiError> {
        let (new, old) = self.new_and_old(sets, false)?;
        let wanted = self.deployment.replicas;
        Ok(old.iter().chain(&new).filter(|set| set.replicas > 0).any(|set| {
            history::annotated_count(set, DESIRED_REPLICAS).is_some_and(|desired| desired != wanted)
        }))
    }

    /// Scaling, while paused or because replicas changed; no step of a rollout.
    fn scale_and_report(&mut self, sets: &[Arc<ReplicaSet>]) -> Result<(), ApiError> {
        let (new, mut old) = self.new_and_old(sets, false)?;
        self.scale(new.as_ref(), &mut old)?;
        if self.deployment.paused && self.rollback_wanted().is_none() {
            self.clean_up(&old)?;
        }
        self.write_counts(&old, new.as_ref())
    }

    /// Scales a ReplicaSet and says so. The new state, or the old one if there is nothing to do.
    pub(super) fn scale_set(
        &mut self,
        set: &Arc<ReplicaSet>,
        replicas: i32,
    ) -> Result<Arc<ReplicaSet>, ApiError> {
        if set.replicas == replicas { Ok(set.clone()) } else { self.resize_set(set, replicas) }
    }

    /// As [`Self::scale_set`], but brings the annotations of the size up to date in any case.
    pub(super) fn resize_set(
        &mut self,
        set: &Arc<ReplicaSet>,
        replicas: i32,
    ) -> Result<Arc<ReplicaSet>, ApiError> {
        let before = set.replicas;
        let annotations = self.size_annotations(&set.meta.annotations);
        if before == replicas && annotations == set.meta.annotations {
            return Ok(set.clone());
        }
        let written = self.update_set(set, |set| {
            set.replicas = replicas;
            set.meta.annotations = annotations;
        })?;
        if before != replicas {
            let direction = if before < replicas { "up" } else { "down" };
            let name = &set.meta.name;
            let message = format!("Scaled {direction} replica set {name} from {before} to {replicas}");
            self.say(EventType::Normal, lit!("ScalingReplicaSet"), message);
        }
        Ok(written)
    }

    fn size_annotations(&self, annotations: &crate::api::Labels) -> crate::api::Labels {
        let replicas = self.deployment.replicas;
        let max = replicas.saturating_add(status::max_surge(&self.deployment));
        annotations.with(DESIRED_REPLICAS, replicas.to_string()).with(MAX_REPLICAS, max.to_string())
    }

    fn take_revision(&mut self, revision: Str) -> bool {
        let annotations = &mut self.deployment.meta.annotations;
        let changed = annotations.get(REVISION) != Some(&revision);
        if changed {
            *annotations = annotations.with(REVISION, revision);
        }
        changed
    }

    /// Says something about the Deployment.
    pub(super) fn say(&mut self, event_type: EventType, reason: Str, message: impl Into<Str>) {
        self.ctx.event(ObjectRef::to(&self.deployment), event_type, reason, message);
    }

    /// Writes status and annotations of the working copy.
    pub(super) fn write_status(&mut self) -> Result<(), ApiError> {
        self.check_unchanged(&self.deployment)?;
        let (status, annotations) =
            (self.deployment.status.clone(), self.deployment.meta.annotations.clone());
        self.ctx.update::<Deployment>(&self.deployment.meta.key(), |deployment| {
            deployment.status = status;
            deployment.meta.annotations = annotations;
        })?;
        Ok(())
    }

    fn update_set(
        &mut self,
        set: &ReplicaSet,
        change: impl FnOnce(&mut ReplicaSet),
    ) -> Result<Arc<ReplicaSet>, ApiError> {
        self.check_unchanged(set)?;
        self.ctx.update_spec::<ReplicaSet>(&set.meta.key(), change)
    }

    /// Refuses to write over what was written after the copy was taken.
    pub(super) fn check_unchanged<T: Held>(&self, copy: &T) -> Result<(), ApiError> {
        let live = self.ctx.store().get::<T>(&copy.key());
        if live.is_some_and(|live| live.meta().resource_version != copy.meta().resource_version) {
            let why = lit!(
                "the object has been modified; please apply your changes to the latest version and try again"
            );
            return Err(ApiError::Conflict { kind: T::KIND, name: copy.meta().name.clone(), why });
        }
        Ok(())
    }
}

/// The selector with the hash's label besides.
fn with_requirement(selector: &LabelSelector, hash: &Str) -> LabelSelector {
    match selector {
        LabelSelector::Nothing => LabelSelector::Nothing,
        LabelSelector::Requirements(all) => {
            let mut all = all.clone();
            all.push(Requirement {
                key: POD_TEMPLATE_HASH.into(),
                operator: Operator::In,
                values: vec![hash.clone()],
            });
            LabelSelector::Requirements(all)
        }
    }
}
