//! The namespace controller: empties a namespace that is being deleted, then lets it go.
//!
//! Upstream: `pkg/controller/namespace/{namespace_controller.go,deletion/namespaced_resources_deleter.go}`, v1.34: five
//! seconds after every change of a terminating namespace a pass deletes all Pods; once none is left, everything else.
//!
//! # Fidelity
//! Upstream goes through the kinds in the order of a hash map; here in the order of [`KINDS`]. Kinds that are not
//! known count under their plural as one kind each. The calls of a pass take effect at its start; what they found is
//! written when they would have ended.

mod conditions;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use conditions::Report;

use super::framework::{Action, Controller, Ctx, Enqueue, WorkKey};
use crate::api::object::{KINDS, KindInfo};
use crate::api::service::Namespace;
use crate::api::{Inert, Kind, Object, ObjectKey, Pod, Uid};
use crate::base::{LookupMap, SimDuration, SimTime, Str};
use crate::store::admission::FINALIZER_NAMESPACE;
use crate::store::{Change, DeleteOptions, Propagation, Store};

/// From a change of a terminating namespace to the next pass over it.
const GRACE: SimDuration = SimDuration::from_secs(5);
/// Seconds that finalizers are expected to take.
const FINALIZERS_SECS: i64 = 15;

/// What the calls of a pass take: those about Pods, and those about all other kinds that the API server serves.
const PODS_TIME: SimDuration = SimDuration::from_millis(100);
const OTHERS_TIME: SimDuration = SimDuration::from_millis(400);

/// The namespace controller.
#[derive(Clone, Debug)]
pub struct NamespaceController {
    workers: usize,
    /// Passes whose calls are not over: the namespace's identity, and what they found.
    passes: LookupMap<Uid, Pass>,
}

impl Default for NamespaceController {
    fn default() -> Self {
        Self::new(10)
    }
}

impl NamespaceController {
    /// With `--concurrent-namespace-syncs`.
    pub fn new(workers: usize) -> Self {
        Self { workers, passes: LookupMap::new() }
    }
}

impl Controller for NamespaceController {
    fn name(&self) -> &'static str {
        "namespace-controller"
    }

    fn watches(&self) -> &'static [Kind] {
        &[Kind::Namespace]
    }

    fn workers(&self) -> usize {
        self.workers
    }

    fn api_budget_factor(&self) -> (u32, u32) {
        (20, 100)
    }

    fn retry_backoff(&self) -> (SimDuration, SimDuration) {
        (SimDuration::from_millis(5), SimDuration::from_secs(60))
    }

    fn on_change(&mut self, change: &Change, _store: &Store, out: &mut Enqueue) {
        if change.kind() == Kind::Namespace && change.new().is_some_and(|o| o.meta().is_deleting()) {
            out.after(WorkKey::sync(change.key()), GRACE);
        }
    }

    fn reconcile(&mut self, key: &WorkKey, ctx: &mut Ctx<'_>) -> Action {
        let Some(namespace) = ctx.store().get::<Namespace>(&key.key).cloned() else { return Action::Done };
        if !namespace.meta.is_deleting() || namespace.spec_finalizers.is_empty() {
            return Action::Done;
        }
        let uid = &namespace.meta.uid;
        let Some(pass) = self.passes.get(uid).cloned() else {
            let pass = Pass::run(ctx, &namespace);
            let takes = pass.takes();
            self.passes.insert(uid.clone(), pass.until(ctx.now() + takes));
            return Action::After(takes);
        };
        if pass.end > ctx.now() {
            return Action::After(pass.end.since(ctx.now()));
        }
        self.passes.remove(uid);
        pass.write_conditions(ctx, &namespace);
        if !pass.errors.is_empty() {
            return Action::Retry(pass.errors.join(", ").into());
        }
        if pass.estimate > 0 {
            return Action::After(SimDuration::from_api_secs(pass.estimate / 2 + 1));
        }
        let finalized =
            ctx.update::<Namespace>(&key.key, |n| n.spec_finalizers.retain(|f| f != FINALIZER_NAMESPACE));
        match finalized {
            Ok(_) => Action::Done,
            Err(error) if error.is_not_found() => Action::Done,
            Err(error) => Action::Retry(error.to_string().into()),
        }
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}

/// A kind as the API server serves it: group, version, plural, and what lies in the namespace.
struct Collection {
    group: String,
    version: String,
    plural: String,
    objects: Vec<Object>,
}

impl Collection {
    fn of(info: &KindInfo, objects: Vec<Object>) -> Self {
        Self::named(info.api_version, info.plural.to_owned(), objects)
    }

    fn named(api_version: &str, plural: String, objects: Vec<Object>) -> Self {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        Self { group: group.to_owned(), version: version.to_owned(), plural, objects }
    }
}

/// A pass over the content of a namespace.
#[derive(Clone, Debug, Default)]
struct Pass {
    /// When its calls are over.
    end: SimTime,
    /// Seconds until what is left should be gone.
    estimate: i64,
    errors: Vec<String>,
    report: Report,
}

impl Pass {
    fn run(ctx: &mut Ctx<'_>, namespace: &Namespace) -> Self {
        let mut pass = Self::default();
        let name = &namespace.meta.name;
        let pods = objects_in::<Pod>(ctx.store(), name);
        let estimate = pods_estimate(ctx, namespace);
        if pass.empty(ctx, namespace, &Collection::of(Kind::Pod.info(), pods), estimate) {
            for collection in others(ctx.store(), name) {
                pass.empty(ctx, namespace, &collection, 0);
            }
            pass.report.count_content = true;
        }
        pass
    }

    /// How long its calls take.
    const fn takes(&self) -> SimDuration {
        if self.report.count_content { OTHERS_TIME } else { PODS_TIME }
    }

    fn until(self, end: SimTime) -> Self {
        Self { end, ..self }
    }

    /// Deletes what is in a collection. True if nothing is left of it.
    fn empty(
        &mut self,
        ctx: &mut Ctx<'_>,
        namespace: &Namespace,
        collection: &Collection,
        estimate: i64,
    ) -> bool {
        if collection.objects.is_empty() {
            return true;
        }
        let deleted =
            ctx.delete_collection(&collection.objects, &DeleteOptions::with(Propagation::Background));
        if let Err(error) = deleted {
            self.estimate = self.estimate.max(estimate);
            return self.fail(namespace, collection, &error.to_string());
        }
        let left: Vec<Object> =
            collection.objects.iter().filter_map(|o| ctx.store().get_object(o.kind(), &o.key())).collect();
        if left.is_empty() {
            return true;
        }
        let mut finalizers: BTreeMap<Str, usize> = BTreeMap::new();
        for finalizer in left.iter().flat_map(|o| &o.meta().finalizers) {
            *finalizers.entry(finalizer.clone()).or_default() += 1;
        }
        let held = !finalizers.is_empty();
        self.report.add(&collection.plural, &collection.group, left.len(), finalizers);
        if estimate == 0 && !held {
            let Collection { group, version, plural, .. } = collection;
            let error = format!(
                "unexpected items still remain in namespace: {} for gvr: {group}/{version}, Resource={plural}",
                namespace.meta.name
            );
            return self.fail(namespace, collection, &error);
        }
        self.estimate = self.estimate.max(if estimate == 0 { FINALIZERS_SECS } else { estimate });
        false
    }

    /// Always false: something is left.
    fn fail(&mut self, namespace: &Namespace, collection: &Collection, error: &str) -> bool {
        self.report.failures.push(error.to_owned());
        self.errors.push(if collection.plural == Kind::Pod.info().plural {
            format!("failed to delete pods for namespace: {}, err: {error}", namespace.meta.name)
        } else {
            error.to_owned()
        });
        false
    }

    fn write_conditions(&self, ctx: &mut Ctx<'_>, namespace: &Namespace) {
        let now = ctx.timestamp();
        // Upstream only logs a refused status.
        let _ = ctx.update::<Namespace>(&ObjectKey::cluster(namespace.meta.name.clone()), |n| {
            self.report.write(&mut n.conditions, now);
        });
    }
}

/// The longest grace period of Pods that have not ended; 0 once so much time has passed since the deletion.
///
/// Upstream: `estimateGracefulTermination`.
fn pods_estimate(ctx: &Ctx<'_>, namespace: &Namespace) -> i64 {
    let estimate = ctx
        .store()
        .list_in::<Pod>(&namespace.meta.name)
        .filter(|p| !p.is_terminal())
        .map(|p| p.spec.termination_grace_seconds)
        .max()
        .unwrap_or(0)
        .max(0);
    let since = namespace.meta.deletion.map_or(0, |d| ctx.timestamp().secs_since(d.timestamp));
    if since >= estimate { 0 } else { estimate }
}

fn objects_in<T: crate::store::Held>(store: &Store, namespace: &str) -> Vec<Object> {
    store.list_in::<T>(namespace).cloned().map(T::wrap).collect()
}

/// Everything but Pods that lies in a namespace, by kind.
fn others(store: &Store, namespace: &str) -> Vec<Collection> {
    let known = KINDS.iter().filter(|k| k.namespaced && !matches!(k.kind, Kind::Pod | Kind::Inert));
    let mut all: Vec<Collection> =
        known.map(|info| Collection::of(info, store.list_objects_in(info.kind, namespace))).collect();
    let mut inert: BTreeMap<(Str, Str), Vec<Object>> = BTreeMap::new();
    for object in store.list_in::<Inert>(namespace) {
        let key = (object.api_version.clone(), object.kind.clone());
        inert.entry(key).or_default().push(Object::Inert(object.clone()));
    }
    all.extend(
        inert
            .into_iter()
            .map(|((api_version, kind), objects)| Collection::named(&api_version, plural(&kind), objects)),
    );
    all
}

/// The plural that a kind's resource has by English grammar, as upstream guesses it, too.
///
/// Upstream: `apimachinery/pkg/api/meta/restmapper.go` `UnsafeGuessKindToResource`.
fn plural(kind: &str) -> String {
    let lower = kind.to_ascii_lowercase();
    match lower.chars().last() {
        None => String::new(),
        Some('s') => format!("{lower}es"),
        Some('y') => format!("{}ies", &lower[..lower.len() - 1]),
        Some(_) => format!("{lower}s"),
    }
}
