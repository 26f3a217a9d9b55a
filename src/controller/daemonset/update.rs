//! Rolling update of a DaemonSet.
//!
//! Upstream: `rollingUpdate` in `pkg/controller/daemon/update.go`, v1.34.
//!
//! # Fidelity
//! Upstream goes through the nodes in the random order of a map; here they come in the order of their creation.

use super::manage::Work;
use super::placement::Verdict;
use super::pods::is_updated;
use super::sync::View;
use crate::api::{ObjectKey, Pod};
use crate::base::{Arc, Str};

/// What the update does next.
///
/// # Errors
/// A sentence, if a surge meets a Pod on a node that is gone.
pub(super) fn roll(view: &View<'_>) -> Result<Work, Str> {
    let desired = view.nodes.iter().filter(|(_, v)| v.run).count();
    let total = i32::try_from(desired).unwrap_or(i32::MAX);
    let count = |n: i32| usize::try_from(n).unwrap_or(0);
    let surge = count(view.set.max_surge.resolve(total, true));
    let mut unavailable = count(view.set.max_unavailable.resolve(total, true));
    if desired > 0 && surge == 0 && unavailable == 0 {
        // Upstream: an impossible configuration counts as the default.
        unavailable = 1;
    }
    if surge == 0 { Ok(replace(view, unavailable)) } else { surge_over(view, surge, desired) }
}

/// Nodes that have a Pod or should, with their Pods.
fn places<'v>(view: &'v View<'_>) -> impl Iterator<Item = (&'v Str, Option<Verdict>, &'v [Arc<Pod>])> {
    let listed = view.nodes.iter().filter_map(|(node, verdict)| {
        let pods = view.by_node.on(&node.meta.name);
        (verdict.run || pods.is_some()).then(|| (&node.meta.name, Some(*verdict), pods.unwrap_or_default()))
    });
    let gone = view.by_node.nodes.iter().filter(|n| !view.has_node(n));
    listed.chain(gone.map(|n| (n, None, view.by_node.on(n).unwrap_or_default())))
}

/// The new and the old Pod of a node that are not being deleted; none if there are several of a kind.
fn new_and_old<'p>(pods: &'p [Arc<Pod>], hash: &str) -> Option<(Option<&'p Pod>, Option<&'p Pod>)> {
    let (mut new, mut old) = (None, None);
    for pod in pods.iter().filter(|p| !p.meta.is_deleting()) {
        let place: &mut Option<&Pod> = if is_updated(pod, hash) { &mut new } else { &mut old };
        if place.replace(pod).is_some() {
            return None;
        }
    }
    Some((new, old))
}

/// Without surge: old Pods are deleted, unavailable ones always, others as far as the limit goes.
fn replace(view: &View<'_>, max_unavailable: usize) -> Work {
    let mut unavailable = 0;
    let (mut allowed, mut candidates): (Vec<ObjectKey>, Vec<ObjectKey>) = (Vec::new(), Vec::new());
    for (_, _, pods) in places(view) {
        match new_and_old(pods, view.hash) {
            // Surplus Pods, none, or one of each: the other loop acts; the node counts as unavailable.
            None | Some((None, None) | (Some(_), Some(_))) => unavailable += 1,
            Some((Some(new), None)) => unavailable += usize::from(!view.is_available(new)),
            Some((None, Some(old))) => {
                if !view.is_available(old) {
                    allowed.push(old.meta.key());
                    unavailable += 1;
                } else if unavailable < max_unavailable {
                    candidates.push(old.meta.key());
                }
            }
        }
    }
    candidates.truncate(max_unavailable.saturating_sub(unavailable));
    allowed.append(&mut candidates);
    Work { delete: allowed, ..Work::default() }
}

/// With surge: new Pods beside old ones, up to the limit; old ones go once new ones are available.
fn surge_over(view: &View<'_>, max_surge: usize, desired: usize) -> Result<Work, Str> {
    let mut work = Work::default();
    let (mut misplaced, mut candidates) = (Vec::new(), Vec::new());
    let (mut surging, mut available) = (0, 0);
    for (node, verdict, pods) in places(view) {
        let Some((new, old)) = new_and_old(pods, view.hash) else {
            surging += 1;
            continue;
        };
        available += usize::from(old.or(new).is_some_and(|p| view.is_available(p)));
        let Some(old) = old else { continue };
        if let Some(new) = new {
            if view.is_available(new) {
                work.remove(old);
            } else {
                surging += 1;
            }
            continue;
        }
        let Some(verdict) = verdict else {
            return Err(format!("couldn't get node for nodeName {node:?}: node {node:?} not found").into());
        };
        match (view.is_available(old), verdict.run) {
            (false, false) => work.remove(old),
            (false, true) => work.create.push(node.clone()),
            (true, false) => misplaced.push(old.meta.key()),
            (true, true) if surging < max_surge => candidates.push(node.clone()),
            (true, true) => {}
        }
    }
    // A Pod that should not run where it is goes only when as many others are available as are wanted.
    misplaced.truncate(available.saturating_sub(desired));
    work.delete.append(&mut misplaced);
    candidates.truncate(max_surge.saturating_sub(surging));
    work.create.append(&mut candidates);
    Ok(work)
}
