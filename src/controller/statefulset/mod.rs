//! The StatefulSet controller: Pods with names of their own, one after the other, each with its claims.
//!
//! Upstream: `pkg/controller/statefulset`, v1.34.
//!
//! * [`identity`]: names, labels, volumes of a member. * [`claims`]: claims and their owners. * [`control`]: one pass.
//! * [`revisions`]: the template's history. * [`status`]: counting. * [`rollout`]: what `kubectl rollout` does.
//!
//! # Fidelity
//! `rollingUpdate.maxUnavailable` is ignored, as upstream does unless the gate `MaxUnavailableStatefulSet` (alpha)
//! is on.

mod claims;
mod control;
mod events;
pub mod identity;
mod revisions;
pub mod rollout;
mod status;
#[cfg(test)]
mod tests;

use control::{Control, Pass};

use super::common;
use super::framework::{Action, Controller, Ctx, Enqueue, WorkKey};
use super::history;
use crate::api::workload::StatefulSet;
use crate::api::{Kind, Meta, Pod, Resource};
use crate::base::{Arc, SimDuration};
use crate::controller::aspects::Aspects;
use crate::store::{Change, Store};

/// The StatefulSet controller.
#[derive(Clone, Debug, Default)]
pub struct StatefulSetController;

impl StatefulSetController {
    /// Makes the controller.
    pub fn boxed() -> Box<dyn Controller> {
        Box::new(Self)
    }
}

impl Controller for StatefulSetController {
    fn name(&self) -> &'static str {
        "statefulset-controller"
    }

    fn watches(&self) -> &'static [Kind] {
        &[Kind::StatefulSet, Kind::Pod]
    }

    fn of_pods(&self) -> Aspects {
        Aspects::OF_MANAGERS
    }

    fn needs(&self) -> Option<(Kind, Aspects)> {
        Some((Kind::StatefulSet, Aspects::NONE))
    }

    fn on_change(&mut self, change: &Change, store: &Store, out: &mut Enqueue) {
        match change.kind() {
            Kind::StatefulSet => out.now(WorkKey::sync(change.key())),
            Kind::Pod => {
                if let Some((old, new)) = change.of::<Pod>() {
                    pod_changed(old, new, store, out);
                }
            }
            _ => {}
        }
    }

    fn reconcile(&mut self, key: &WorkKey, ctx: &mut Ctx<'_>) -> Action {
        let Some(set) = ctx.store().get::<StatefulSet>(&key.key).cloned() else { return Action::Done };
        sync(&set, ctx)
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}

/// The set that controls an object.
fn controlling(meta: &Meta, store: &Store) -> Option<Arc<StatefulSet>> {
    let reference = meta.controller().filter(|c| c.kind == Kind::StatefulSet.name())?;
    store
        .find::<StatefulSet>(&meta.namespace, &reference.name)
        .filter(|s| s.meta.uid == reference.uid)
        .cloned()
}

fn pod_changed(old: Option<&Arc<Pod>>, new: Option<&Arc<Pod>>, store: &Store, out: &mut Enqueue) {
    let key = |meta: &Meta| controlling(meta, store).map(|s| WorkKey::sync(s.key()));
    let Some(pod) = new else {
        out_now(out, old.and_then(|p| key(&p.meta)));
        return;
    };
    let owners_changed = old.is_none_or(|o| o.meta.controller() != pod.meta.controller());
    if owners_changed {
        out_now(out, old.and_then(|p| key(&p.meta)));
    }
    if pod.meta.controller().is_some() {
        let Some(set) = controlling(&pod.meta, store) else { return };
        let key = WorkKey::sync(set.key());
        let became_ready = old.is_some_and(|o| !o.is_ready()) && pod.is_ready();
        if became_ready && set.min_ready_seconds > 0 {
            // Upstream adds a second against skewed clocks.
            let delay = SimDuration::from_api_secs(i64::from(set.min_ready_seconds) + 1);
            out.after(key.clone(), delay);
        }
        out.now(key);
    } else if owners_changed || old.is_none_or(|o| o.meta.labels != pod.meta.labels) {
        let selecting = store
            .list_in::<StatefulSet>(&pod.meta.namespace)
            .filter(|s| s.selector.matches(&pod.meta.labels));
        selecting.for_each(|s| out.now(WorkKey::sync(s.key())));
    }
}

fn out_now(out: &mut Enqueue, key: Option<WorkKey>) {
    if let Some(key) = key {
        out.now(key);
    }
}

/// One sync: adopt, learn the revisions, run a pass, write the status, forget old revisions.
fn sync(set: &Arc<StatefulSet>, ctx: &mut Ctx<'_>) -> Action {
    let retry = |error: &dyn std::fmt::Display| Action::Retry(error.to_string().into());
    let pods = members(set, ctx);
    let revisions = match revisions::adopted(ctx, set) {
        Ok(revisions) => revisions,
        Err(error) => return retry(&error),
    };
    let known = match revisions::current_and_update(ctx, set, &revisions) {
        Ok(known) => known,
        Err(error) => return retry(&error),
    };
    let control = Control { set, current: &known.current, update: &known.update, now: ctx.timestamp() };
    let Pass { counts, error, after } = control.run(ctx, &pods);
    if let Some(wait) = after {
        return Action::After(wait);
    }
    let mut available = None;
    if let Some(counts) = counts {
        available = Some(counts.available);
        let (current, update) = (&known.current.meta.name, &known.update.meta.name);
        let status = status::status(set, counts, current, update, known.collisions);
        if status::is_news(set, &status)
            && let Err(error) = ctx.update::<StatefulSet>(&set.key(), |s| s.status = status)
        {
            return retry(&error);
        }
    }
    let live = |name: &str| {
        name == known.current.meta.name
            || name == known.update.meta.name
            || pods.iter().any(|p| identity::revision_of(p) == name)
    };
    let truncated = history::truncate(ctx, &revisions, set.revision_history_limit, |r| live(&r.meta.name));
    if let Some(error) = error.or_else(|| truncated.err().map(|e| e.to_string().into())) {
        return Action::Retry(error);
    }
    if set.min_ready_seconds > 0 && available.is_some_and(|n| n != set.replicas) {
        return Action::After(SimDuration::from_api_secs(i64::from(set.min_ready_seconds)));
    }
    Action::Done
}

/// The Pods of the set, by owner and by name.
fn members(set: &Arc<StatefulSet>, ctx: &mut Ctx<'_>) -> Vec<Arc<Pod>> {
    let owner = common::Owner::of(&**set);
    let wanted = set.clone();
    common::claim_pods(ctx, &owner, &set.selector, |pod| identity::is_member(&wanted, pod))
}
