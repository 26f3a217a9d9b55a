//! What a change of an object does to the cache and to Pods that wait.
//!
//! Upstream: `pkg/scheduler/eventhandlers.go`, v1.34. The informer does not know Pods that ended.

use super::{Scheduler, changes};
use crate::api::{Node, Object, Pod};
use crate::base::{Arc, SimTime};
use crate::scheduler::framework::{ActionType, ClusterEvent, EventResource};

const ASSIGNED_DELETED: ClusterEvent = ClusterEvent::new(EventResource::AssignedPod, ActionType::DELETE);

/// Hears of a change.
pub(super) fn change(scheduler: &mut Scheduler, now: SimTime, old: Option<&Object>, new: Option<&Object>) {
    match (old, new) {
        (Some(Object::Pod(_)), _) | (_, Some(Object::Pod(_))) => {
            pod_changed(scheduler, now, old, new);
        }
        (_, Some(Object::Node(node))) => {
            let before = match old {
                Some(Object::Node(before)) => Some(&**before),
                _ => None,
            };
            node_set(scheduler, now, before, node, old, new);
        }
        (Some(Object::Node(node)), None) => {
            let gone = ClusterEvent::new(EventResource::Node, ActionType::DELETE);
            let (queue, env) = scheduler.split(now);
            queue.move_all(&env, gone, old, None, |_| true);
            scheduler.cache.snapshot.remove_node(&node.meta.name);
        }
        _ => {
            scheduler.cache.snapshot.listers.change(old, new);
            let Some(resource) = old.or(new).and_then(changes::resource_of) else { return };
            let action = match (old, new) {
                (None, _) => ActionType::ADD,
                (Some(_), Some(_)) => ActionType::UPDATE,
                (Some(_), None) => ActionType::DELETE,
            };
            let (queue, env) = scheduler.split(now);
            queue.move_all(&env, ClusterEvent::new(resource, action), old, new, |_| true);
        }
    }
}

fn node_set(
    scheduler: &mut Scheduler,
    now: SimTime,
    before: Option<&Node>,
    node: &Arc<Node>,
    old: Option<&Object>,
    new: Option<&Object>,
) {
    scheduler.cache.snapshot.set_node(node);
    if !scheduler.queue.awaits_changes() {
        return;
    }
    let events = match before {
        None => vec![ClusterEvent::new(EventResource::Node, ActionType::ADD)],
        Some(before) => changes::of_node(before, node),
    };
    let (queue, env) = scheduler.split(now);
    for event in events {
        queue.move_all(&env, event, old, new, |_| true);
    }
}

fn is_assigned(pod: &Pod) -> bool {
    pod.node_name.as_ref().is_some_and(|node| !node.is_empty())
}

/// Pods that have ended are none to the scheduler, nor are those without a node that no profile of it places.
fn pod_changed(scheduler: &mut Scheduler, now: SimTime, old: Option<&Object>, new: Option<&Object>) {
    let with_node = |object: Option<&Object>| pod_of(object).is_some_and(|pod| is_assigned(pod));
    let (was, is) = (with_node(old), with_node(new));
    assigned_changed(scheduler, now, old.filter(|_| was), new.filter(|_| is));
    let ours = |object: Option<&Object>| {
        let pod = pod_of(object).filter(|pod| !is_assigned(pod))?;
        let known = scheduler.frameworks.iter().any(|f| f.profile_name == pod.spec.scheduler_name);
        known.then(|| pod.clone())
    };
    let (old, new) = (ours(old), ours(new));
    waiting_changed(scheduler, now, old, new);
}

/// The Pod, unless it has ended.
fn pod_of(object: Option<&Object>) -> Option<&Arc<Pod>> {
    match object {
        Some(Object::Pod(pod)) if !pod.is_terminal() => Some(pod),
        _ => None,
    }
}

fn assigned_changed(
    scheduler: &mut Scheduler,
    now: SimTime,
    old_object: Option<&Object>,
    new_object: Option<&Object>,
) {
    let (old, new) = (pod_of(old_object), pod_of(new_object));
    match (old, new) {
        (None, None) => return,
        (_, Some(new)) => scheduler.cache.set_pod(new),
        (Some(old), None) => scheduler.cache.remove_pod(&old.meta.uid),
    }
    if !scheduler.queue.awaits_changes() {
        return;
    }
    let events = match (old, new) {
        (None, _) => vec![ClusterEvent::new(EventResource::AssignedPod, ActionType::ADD)],
        (Some(old), Some(new)) => changes::of_pod(old, new),
        (Some(_), None) => vec![ASSIGNED_DELETED],
    };
    let (queue, env) = scheduler.split(now);
    for event in events {
        queue.move_all(&env, event, old_object, new_object, |_| true);
    }
}

fn waiting_changed(scheduler: &mut Scheduler, now: SimTime, old: Option<Arc<Pod>>, new: Option<Arc<Pod>>) {
    match (old, new) {
        (None, None) => {}
        (None, Some(new)) => {
            scheduler.waiting.insert(new.meta.uid.clone(), new.clone());
            let info = scheduler.cache.info(new);
            let (queue, env) = scheduler.split(now);
            queue.add(&env, info);
        }
        (Some(old), Some(new)) => {
            scheduler.waiting.insert(new.meta.uid.clone(), new.clone());
            if scheduler.cache.is_assumed(&new.meta.uid) {
                return;
            }
            let renominated =
                old.status.nominated_node.is_some() && old.status.nominated_node != new.status.nominated_node;
            let events = changes::of_pod(&old, &new);
            let info = scheduler.cache.info(new);
            let (queue, env) = scheduler.split(now);
            queue.update(&env, info, &old, &events);
            if renominated {
                freed(scheduler, now, &old);
            }
        }
        (Some(old), None) => {
            scheduler.waiting.remove(&old.meta.uid);
            scheduler.preempting.remove(&old.meta.uid);
            scheduler.queue.delete(&old.meta.uid);
            if old.status.nominated_node.is_some() {
                freed(scheduler, now, &old);
            }
        }
    }
}

/// The room that was kept for a nominated Pod is free for those of no higher priority.
fn freed(scheduler: &mut Scheduler, now: SimTime, old: &Arc<Pod>) {
    let priority = old.spec.priority;
    let object = Object::Pod(old.clone());
    let (queue, env) = scheduler.split(now);
    queue.move_all(&env, ASSIGNED_DELETED, Some(&object), None, |pod| pod.spec.priority <= priority);
}
