//! What a change of an object does to the cache and to Pods that wait.
//!
//! Upstream: `pkg/scheduler/eventhandlers.go`, v1.34. The informer does not know Pods that ended.

use std::sync::Arc;

use super::{Scheduler, changes};
use crate::api::{Node, Object, Pod};
use crate::base::SimTime;
use crate::scheduler::framework::{ActionType, ClusterEvent, EventResource};

const ASSIGNED_DELETED: ClusterEvent = ClusterEvent::new(EventResource::AssignedPod, ActionType::DELETE);

/// Hears of a change.
pub(super) fn change(scheduler: &mut Scheduler, now: SimTime, old: Option<&Object>, new: Option<&Object>) {
    match (old, new) {
        (Some(Object::Pod(_)), _) | (_, Some(Object::Pod(_))) => {
            let pod = |object: Option<&Object>| match object {
                Some(Object::Pod(pod)) if !pod.is_terminal() => Some(pod.clone()),
                _ => None,
            };
            pod_changed(scheduler, now, pod(old), pod(new));
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

fn pod_changed(scheduler: &mut Scheduler, now: SimTime, old: Option<Arc<Pod>>, new: Option<Arc<Pod>>) {
    let assigned = |pod: &Option<Arc<Pod>>| pod.clone().filter(|p| is_assigned(p));
    assigned_changed(scheduler, now, assigned(&old), assigned(&new));
    let ours = |pod: &Option<Arc<Pod>>| {
        let pod = pod.clone().filter(|p| !is_assigned(p))?;
        let known = scheduler.frameworks.iter().any(|f| f.profile_name == pod.spec.scheduler_name);
        known.then_some(pod)
    };
    let (old, new) = (ours(&old), ours(&new));
    waiting_changed(scheduler, now, old, new);
}

fn assigned_changed(scheduler: &mut Scheduler, now: SimTime, old: Option<Arc<Pod>>, new: Option<Arc<Pod>>) {
    let events = match (&old, &new) {
        (None, None) => return,
        (None, Some(new)) => {
            scheduler.cache.set_pod(new);
            vec![ClusterEvent::new(EventResource::AssignedPod, ActionType::ADD)]
        }
        (Some(old), Some(new)) => {
            scheduler.cache.set_pod(new);
            changes::of_pod(old, new)
        }
        (Some(old), None) => {
            scheduler.cache.remove_pod(&old.meta.uid);
            vec![ASSIGNED_DELETED]
        }
    };
    let (old, new) = (old.map(Object::Pod), new.map(Object::Pod));
    let (queue, env) = scheduler.split(now);
    for event in events {
        queue.move_all(&env, event, old.as_ref(), new.as_ref(), |_| true);
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
