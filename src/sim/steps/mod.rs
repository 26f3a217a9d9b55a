//! Carries out the scenario's verbs, each as its kubectl cousin or the fault it names.
//!
//! * [`objects`]: apply, delete, scale, set, rollout, patch, label, annotate. * [`nodes`]: cordon, taint, and everything that
//!   happens to machines. * [`drain`]: drain and evict. * [`pods`]: what happens to containers. * [`target`]: who is meant.

pub mod drain;
pub mod nodes;
pub mod objects;
pub mod pods;
pub mod target;

use super::world::World;
use crate::api::ObjectKey;
use crate::base::{LookupMap, SimTime, Str};
use crate::facts::Fact;
use crate::plan::Step;
use crate::plan::step::RolloutAction;

/// What the steps remember between them.
#[derive(Clone, Debug, Default)]
pub struct StepState {
    /// Steps that were refused: instant, verb, words.
    pub refused: Vec<(SimTime, Str, Str)>,
    /// Nodes that were named by a Pod on them: later steps mean the same node.
    pub(super) hosting: LookupMap<ObjectKey, Str>,
    /// Drains under way.
    pub(super) drains: Vec<drain::DrainRun>,
}

/// Why a step could not be carried out, in kubectl's words.
pub(super) type Refusal = String;

impl World {
    /// Carries out a step of the plan.
    pub(super) fn carry_out(&mut self, index: usize) {
        let Some(timed) = self.plan.steps.get(index).cloned() else { return };
        let verb = timed.step.verb();
        self.fact(Fact::Action {
            at: self.store.now(),
            verb: verb.into(),
            summary: summary(&timed.step).into(),
            last_lease_renewal: Vec::new(),
        });
        if let Err(message) = self.step(timed.step) {
            self.refuse(verb, message);
        }
    }

    pub(super) fn refuse(&mut self, verb: &'static str, message: Refusal) {
        let at = self.store.now();
        let message = Str::from(message);
        self.steps.refused.push((at, verb.into(), message.clone()));
        self.fact(Fact::Refused { at, verb: verb.into(), message });
    }

    fn step(&mut self, step: Step) -> Result<(), Refusal> {
        match step {
            Step::Apply(objects) => self.apply_all(&objects),
            Step::Delete(delete) => self.delete_step(&delete),
            Step::Scale { target, replicas } => self.scale(&target, replicas),
            Step::Set(set) => self.set(&set),
            Step::Rollout { target, action } => self.rollout(&target, action),
            Step::Patch { target, resize, patch_type, patch } => {
                self.patch(&target, resize, patch_type, &patch)
            }
            Step::Label { target, labels } => self.label(&target, &labels),
            Step::Annotate { target, annotations } => self.annotate(&target, &annotations),
            Step::Cordon(nodes) => self.cordon(&nodes, true),
            Step::Uncordon(nodes) => self.cordon(&nodes, false),
            Step::Drain(drain) => self.drain(&drain),
            Step::Taint { nodes, taints } => self.taint(&nodes, &taints),
            Step::FailNode(nodes) => self.fail_nodes(&nodes),
            Step::ShutdownNode(nodes) => self.shut_down_nodes(&nodes),
            Step::RestoreNode(nodes) => self.restore_nodes(&nodes),
            Step::FailZone(zone) => self.fail_zone(&zone),
            Step::RestoreZone(zone) => self.restore_zone(&zone),
            Step::StopKubelet(nodes) => self.stop_kubelets(&nodes),
            Step::StartKubelet(nodes) => self.start_kubelets(&nodes),
            Step::Partition(nodes) => self.partition(&nodes),
            Step::Heal(nodes) => self.heal(&nodes),
            // Controllers know from the start what will be said of drivers, and when.
            Step::Driver(_) => Ok(()),
            Step::AddNodes(nodes) => self.add_nodes(&nodes),
            Step::RemoveNode(nodes) => self.remove_nodes(&nodes),
            Step::OutOfCapacity(short) => self.out_of_capacity(&short),
            Step::Evict { target, grace_period } => self.evict(&target, grace_period),
            Step::Crash { target, container, exit_code, reason } => {
                self.crash(&target, container.as_ref(), exit_code, &reason)
            }
            Step::Hang { target, container, duration } => self.hang(&target, container.as_ref(), duration),
            Step::Fill(fill) => self.fill(&fill),
            Step::Load(load) => self.load(&load),
        }
    }
}

/// A step in a few words, for the story of a run.
pub fn summary(step: &Step) -> String {
    match step {
        Step::Apply(objects) => match objects.as_slice() {
            [one] => format!("{}/{}", one.object.kind_name(), one.object.meta().name),
            many => format!("{} objects", many.len()),
        },
        Step::Delete(delete) => delete.target.to_string(),
        Step::Scale { target, replicas } => format!("{target} to {replicas}"),
        Step::Set(set) => {
            let mut parts = Vec::new();
            parts.extend(set.image.iter().map(|(container, image)| format!("{container}={image}")));
            parts.extend(set.resources.iter().map(|(container, _)| format!("resources of {container}")));
            parts.extend(set.env.iter().map(|(_, name, _)| format!("env {name}")));
            format!("{} {}", set.target, parts.join(", "))
        }
        Step::Rollout { target, action } => match action {
            RolloutAction::Undo { to_revision: None } => format!("undo {target}"),
            RolloutAction::Undo { to_revision: Some(revision) } => {
                format!("undo {target} to revision {revision}")
            }
            RolloutAction::Restart => format!("restart {target}"),
            RolloutAction::Pause => format!("pause {target}"),
            RolloutAction::Resume => format!("resume {target}"),
        },
        Step::Patch { target, patch, .. } => format!("{target} {patch}"),
        Step::Label { target, labels } => format!("{target} {}", pairs(labels)),
        Step::Annotate { target, annotations } => format!("{target} {}", pairs(annotations)),
        Step::Cordon(nodes)
        | Step::Uncordon(nodes)
        | Step::FailNode(nodes)
        | Step::ShutdownNode(nodes)
        | Step::RestoreNode(nodes)
        | Step::StopKubelet(nodes)
        | Step::StartKubelet(nodes)
        | Step::Partition(nodes)
        | Step::Heal(nodes)
        | Step::RemoveNode(nodes) => nodes.to_string(),
        Step::Drain(drain) => drain.nodes.to_string(),
        Step::Taint { nodes, taints } => {
            let taints: Vec<String> = taints.iter().map(nodes::taint_text).collect();
            format!("{nodes} {}", taints.join(" "))
        }
        Step::FailZone(zone) | Step::RestoreZone(zone) => zone.to_string(),
        Step::Driver(change) => driver_text(change),
        Step::OutOfCapacity(short) => short.to_string(),
        Step::AddNodes(crate::plan::step::AddNodes::Nodes(nodes)) => {
            nodes.iter().map(|n| n.name().as_str()).collect::<Vec<_>>().join(", ")
        }
        Step::AddNodes(crate::plan::step::AddNodes::Group { group, count }) => format!("{count} of {group}"),
        Step::Evict { target, .. } | Step::Crash { target, .. } | Step::Hang { target, .. } => {
            target.to_string()
        }
        Step::Fill(fill) => fill.to_string(),
        Step::Load(load) => format!("{} for pods -l {} in {}", load.amount, load.selector, load.namespace),
    }
}

/// What is said of a driver, in a few words.
fn driver_text(change: &crate::params::DriverChange) -> String {
    let mut parts = vec![change.driver.to_string()];
    parts.extend(change.denied.as_ref().map(|denied| match denied.as_slice() {
        [] => "may do everything".to_owned(),
        some => format!("may not {}", some.iter().map(|o| o.as_str()).collect::<Vec<_>>().join(", ")),
    }));
    let rates = change.error_rates.iter();
    parts.extend(rates.map(|(o, rate)| format!("{} fails {rate} times in 1000", o.as_str())));
    parts.extend(change.latencies.iter().map(|(o, d)| format!("{} takes {}", o.as_str(), d.typical())));
    parts.extend(change.room.iter().map(|(zone, room)| format!("{room} in {zone}")));
    parts.extend(change.attach_limit.map(|limit| format!("{limit} volumes to a machine")));
    parts.extend(change.mount_targets.as_ref().map(|zones| format!("mount targets in {}", zones.join(", "))));
    parts.join(", ")
}

fn pairs(pairs: &[(Str, Option<Str>)]) -> String {
    let texts: Vec<String> = pairs
        .iter()
        .map(|(key, value)| value.as_ref().map_or_else(|| format!("{key}-"), |v| format!("{key}={v}")))
        .collect();
    texts.join(" ")
}
