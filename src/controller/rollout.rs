//! What `kubectl rollout` does.
//!
//! Upstream: `kubectl/pkg/cmd/rollout`, `kubectl/pkg/polymorphichelpers`, v1.34.

use super::common;
use super::history::UndoError;
use super::{daemonset, deployment, statefulset};
use crate::api::workload::{DaemonSet, StatefulSet};
use crate::api::{Object, PodTemplate, Resource};
use crate::base::Arc;
use crate::store::{Store, Stored};

/// `kubectl rollout undo`; without a revision, to the one before. A template that is that of the revision
/// already is left alone.
///
/// # Errors
/// kubectl's refusal: no such revision, a paused Deployment, a kind without revisions.
pub fn undo(store: &mut Store, object: &Object, to_revision: Option<i64>) -> Result<(), String> {
    let to = to_revision.unwrap_or(0);
    match object {
        Object::Deployment(_) => said(deployment::rollout::undo(store, &object.key(), to)),
        Object::StatefulSet(set) => {
            let found = statefulset::rollout::undo(store, set, to);
            put_back::<StatefulSet>(store, object, found, |set, template| set.template = template)
        }
        Object::DaemonSet(set) => {
            let found = daemonset::rollout::undo(store, set, to);
            put_back::<DaemonSet>(store, object, found, |set, template| set.template = template)
        }
        other => {
            let group = other.api_version();
            let group = group.split_once('/').map_or(String::new(), |(group, _)| format!(".{group}"));
            Err(format!("error: no rollbacker has been implemented for \"{}{group}\"", other.kind_name()))
        }
    }
}

/// `kubectl rollout restart`.
///
/// # Errors
/// kubectl's refusal: a paused Deployment, a second restart within a second, a kind without Pods to replace.
pub fn restart(store: &mut Store, object: &Object) -> Result<(), String> {
    let now = store.timestamp().to_rfc3339();
    let renewed =
        |template: &PodTemplate| common::restarted(template, &object.meta().name, &now).map_err(with_error);
    match object {
        Object::Deployment(_) => said(deployment::rollout::restart(store, &object.key())),
        Object::StatefulSet(set) => {
            let template = renewed(&set.template)?;
            write::<StatefulSet>(store, object, |set| set.template = template)
        }
        Object::DaemonSet(set) => {
            let template = renewed(&set.template)?;
            write::<DaemonSet>(store, object, |set| set.template = template)
        }
        other => Err(unsupported(other, "restarting is not supported")),
    }
}

/// `kubectl rollout pause` and `resume`.
///
/// # Errors
/// kubectl's refusal: it is so already, or the kind knows no pause.
pub fn set_paused(store: &mut Store, object: &Object, paused: bool) -> Result<(), String> {
    match object {
        Object::Deployment(_) if paused => said(deployment::rollout::pause(store, &object.key())),
        Object::Deployment(_) => said(deployment::rollout::resume(store, &object.key())),
        other if paused => Err(unsupported(other, "pausing is not supported")),
        other => Err(unsupported(other, "resuming is not supported")),
    }
}

fn with_error(error: String) -> String {
    if error.starts_with("Error from server") { error } else { format!("error: {error}") }
}

fn said(result: Result<String, String>) -> Result<(), String> {
    result.map(|_| ()).map_err(with_error)
}

/// `error: replicasets.apps "web" restarting is not supported`.
fn unsupported(object: &Object, why: &str) -> String {
    let (api_version, plural) = (object.api_version(), object.kind().info().plural);
    let plural = if plural.is_empty() { object.kind_name().to_lowercase() } else { plural.to_owned() };
    let group = api_version.split_once('/').map_or(String::new(), |(group, _)| format!(".{group}"));
    format!("error: {plural}{group} \"{}\" {why}", object.meta().name)
}

fn put_back<T: Stored>(
    store: &mut Store,
    object: &Object,
    found: Result<Arc<PodTemplate>, UndoError>,
    put: impl FnOnce(&mut T, Arc<PodTemplate>),
) -> Result<(), String> {
    match found {
        Ok(template) => write::<T>(store, object, |set| put(set, template)),
        // kubectl prints it and is content.
        Err(UndoError::Unchanged(_)) => Ok(()),
        Err(error) => Err(with_error(error.to_string())),
    }
}

fn write<T: Stored + Resource>(
    store: &mut Store,
    object: &Object,
    change: impl FnOnce(&mut T),
) -> Result<(), String> {
    let written = store.update_spec::<T>(&object.key(), change);
    written.map(|_| ()).map_err(|error| format!("Error from server: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::workload::{Deployment, ReplicaSet};
    use crate::api::{LabelSelector, Meta, ObjectKey};
    use crate::controller::daemonset::DaemonSetController;
    use crate::controller::testing::Harness;
    use crate::testkit;

    fn daemon_set(image: &str) -> DaemonSet {
        DaemonSet {
            meta: Meta::named("default", "agent"),
            selector: LabelSelector::from_labels(&testkit::labels("app=agent")),
            match_labels: testkit::labels("app=agent"),
            template: testkit::image_template("app=agent", image),
            on_delete: false,
            max_unavailable: crate::api::workload::IntOrPercent::Int(1),
            max_surge: crate::api::workload::IntOrPercent::Int(0),
            min_ready_seconds: 0,
            revision_history_limit: 10,
            status: Default::default(),
        }
    }

    fn image(h: &Harness) -> String {
        h.store.find::<DaemonSet>("default", "agent").unwrap().template.spec.containers[0].image.to_string()
    }

    fn object(store: &Store) -> Object {
        Object::DaemonSet(store.find::<DaemonSet>("default", "agent").unwrap().clone())
    }

    fn undo_agent(h: &mut Harness, to: Option<i64>) -> Result<(), String> {
        let agent = object(&h.store);
        let result = undo(&mut h.store, &agent, to);
        h.advance_secs(1);
        result
    }

    #[test]
    fn a_daemon_set_goes_back_and_forth_between_revisions() {
        let mut h = Harness::new(vec![DaemonSetController::boxed()]);
        h.store.create(daemon_set("app:v1")).unwrap();
        h.advance_secs(1);
        assert_eq!(undo_agent(&mut h, None), Err("error: no last revision to roll back to".to_owned()));
        let template = testkit::image_template("app=agent", "app:v2");
        let key = ObjectKey::new("default", "agent");
        h.store.update_spec::<DaemonSet>(&key, |s| s.template = template).unwrap();
        h.advance_secs(1);
        assert_eq!((undo_agent(&mut h, None), image(&h).as_str()), (Ok(()), "app:v1"));
        assert_eq!((undo_agent(&mut h, Some(2)), image(&h).as_str()), (Ok(()), "app:v2"));
        assert_eq!(undo_agent(&mut h, Some(4)), Ok(()), "skipped, no refusal");
        let missing = "error: unable to find specified revision 9 in history".to_owned();
        assert_eq!(undo_agent(&mut h, Some(9)), Err(missing));
    }

    #[test]
    fn refusals_are_in_kubectls_words() {
        let mut store = testkit::store();
        store.create(testkit::deployment("web", 1)).unwrap();
        store.create(testkit::replica_set("old", 1)).unwrap();
        store.create(daemon_set("app:v1")).unwrap();
        let old = Object::ReplicaSet(store.find::<ReplicaSet>("default", "old").unwrap().clone());
        let agent = object(&store);
        let web = Object::Deployment(store.find::<Deployment>("default", "web").unwrap().clone());
        let store = &mut store;
        for (result, expected) in [
            (set_paused(store, &web, false), "error: deployments.apps \"web\" is not paused"),
            (undo(store, &web, None), "error: no rollout history found for deployment \"web\""),
            (set_paused(store, &web, true), ""),
            (
                restart(store, &web),
                "error: deployments.apps \"web\" can't restart paused deployment (run rollout resume first)",
            ),
            (set_paused(store, &web, true), "error: deployments.apps \"web\" is already paused"),
            (restart(store, &old), "error: replicasets.apps \"old\" restarting is not supported"),
            (set_paused(store, &agent, true), "error: daemonsets.apps \"agent\" pausing is not supported"),
            (undo(store, &old, None), "error: no rollbacker has been implemented for \"ReplicaSet.apps\""),
            (restart(store, &agent), ""),
        ] {
            assert_eq!(result.err().unwrap_or_default(), expected);
        }
        let again = object(store);
        assert!(again.meta().generation > agent.meta().generation);
        let second = restart(store, &again).unwrap_err();
        assert!(second.starts_with("error: failed to create patch for agent"), "{second}");
    }
}
