//! `wavetank schedule`: places the pending Pods of a snapshot.

use super::args::{RunOutput, Schedule};
use super::exit::Exit;
use super::output::Context;
use super::snapshot;
use crate::api::{Object, ObjectKey, Pod};
use crate::base::Arc;
use crate::report::text::Style;
use crate::report::{placements, placements_text};
use crate::scheduler::evaluation::Evaluation;
use crate::scheduler::plugins::registry::Registry;
use crate::scheduler::{Config, Placer, Wording};

/// Places Pods and says where, or why not.
pub fn main(args: &Schedule, context: &Context) -> Exit {
    let snapshot = match snapshot::read(&args.files, context) {
        Ok(snapshot) => snapshot,
        Err(exit) => return exit,
    };
    let wording = Wording::of_release(&args.kube_version);
    let (mut placer, pending) = match prepare(snapshot.objects, &snapshot.config, wording, &args.pod) {
        Ok(prepared) => prepared,
        Err(why) => {
            context.complain(&why);
            return Exit::Input;
        }
    };
    if !context.quiet {
        snapshot.notes.iter().for_each(|note| context.note(note));
    }
    if args.replicas_until_full {
        return super::fill::main(args, &mut placer, &pending, context);
    }
    let all: Vec<Evaluation> = pending.iter().map(|pod| placer.place(pod)).collect();
    let written = match args.output {
        RunOutput::Json => format!("{:#}\n", placements::document(&all)),
        RunOutput::Text => {
            placements_text::render(&all, Style { color: context.color, quiet: context.quiet })
        }
    };
    let failed = args.require_all && all.iter().any(|e| !e.is_placed());
    context.print(&written).and(if failed { Exit::Failed } else { Exit::Fine })
}

/// A cluster with everything but the Pods that wait for their turn, and those Pods in order.
///
/// # Errors
/// A Pod that was asked for is not there or was asked for twice.
pub fn prepare(
    objects: Vec<Object>,
    config: &Config,
    wording: Wording,
    named: &[String],
) -> Result<(Placer, Vec<Arc<Pod>>), String> {
    let mut placer = Placer::new(config.build(&Registry::default(), wording)?);
    let wanted: Vec<ObjectKey> = named.iter().map(|name| key_of(name)).collect();
    if let Some(twice) = wanted.iter().enumerate().find(|(i, key)| wanted[..*i].contains(key)) {
        return Err(format!("--pod names {} twice", twice.1));
    }
    let mut turn = Vec::new();
    for object in objects {
        match object {
            Object::Pod(pod) if waits(&pod, &wanted, named.is_empty()) => {
                // A nomination holds its room from the beginning.
                if pod.status.nominated_node.is_some() && named.is_empty() {
                    placer.add(Object::Pod(pod.clone()));
                }
                turn.push(pod);
            }
            other => placer.add(other),
        }
    }
    if let Some(missing) = wanted.iter().find(|key| !turn.iter().any(|pod| pod.meta.key() == **key)) {
        return Err(format!("--pod: there is no Pod {missing} in the input"));
    }
    turn.sort_by_key(|pod| wanted.iter().position(|key| *key == pod.meta.key()));
    Ok((placer, turn))
}

/// `namespace/name`, or a name in `default`.
fn key_of(name: &str) -> ObjectKey {
    match name.split_once('/') {
        Some((namespace, name)) => ObjectKey::new(namespace, name),
        None => ObjectKey::new("default", name),
    }
}

/// Whether a Pod waits for its turn: it is named, or none is named and it has no node.
fn waits(pod: &Pod, wanted: &[ObjectKey], all: bool) -> bool {
    if all { pod.node_name.is_none() && pod.is_active() } else { wanted.contains(&pod.meta.key()) }
}
