//! `wavetank explain`: why a Pod is where it is, or nowhere; or what the code of a diagnostic means.

use std::collections::BTreeMap;

use super::args::{Explain, Look};
use super::exit::Exit;
use super::output::Context;
use super::{files, get, load, snapshot};
use crate::api::{Kind, Node, ObjectKey, Pod};
use crate::base::diag_codes;
use crate::base::{Arc, SimTime, Str};
use crate::facts::{Fact, NullRecorder, Recorder};
use crate::report::explanation::{self, Subject};
use crate::report::holding;
use crate::report::text::{Style, wrap};
use crate::scheduler::evaluation::Evaluation;
use crate::scheduler::explain;
use crate::scheduler::framework::PodInfo;
use crate::scheduler::plugins::registry::Registry;
use crate::scheduler::{Placer, Wording};
use crate::sim::World;

/// Names that a Pod that is not there is compared with.
const NAMES_MAX: usize = 8;

/// Answers.
pub fn main(args: &Explain, context: &Context) -> Exit {
    if let Some(row) = diag_codes::find(&args.subject.to_ascii_uppercase()) {
        let text = wrap(row.explanation, 96).join("\n  ");
        return context.print(&format!("{}: {}\n  {text}\n", row.code, row.title));
    }
    if args.file.is_empty() {
        context.complain("explain needs the scenario or the objects: -f FILE (or a code such as WT0107)");
        return Exit::Input;
    }
    let key = key_of(&args.subject, args.namespace.as_deref());
    match args.file.as_slice() {
        [one] if is_scenario(one) => of_scenario(args, one, &key, context),
        files => of_snapshot(files, &key, context),
    }
}

fn is_scenario(path: &str) -> bool {
    path != "-" && files::is_scenario(std::path::Path::new(path))
}

/// `name`, `pod/name` or `namespace/name`.
fn key_of(subject: &str, namespace: Option<&str>) -> ObjectKey {
    match subject.split_once('/') {
        Some((kind, name)) if Kind::parse(kind) == Some(Kind::Pod) => {
            ObjectKey::new(namespace.unwrap_or("default"), name)
        }
        Some((inside, name)) => ObjectKey::new(inside, name),
        None => ObjectKey::new(namespace.unwrap_or("default"), subject),
    }
}

/// Says that there is no such Pod, and which there are whose names begin alike.
fn not_found<'a>(key: &ObjectKey, all: impl Iterator<Item = &'a Arc<Pod>>, context: &Context) -> Exit {
    let error = crate::store::ApiError::not_found(Kind::Pod, key);
    let alike = |pod: &&Arc<Pod>| {
        pod.meta.name == key.name
            || pod.meta.namespace == key.namespace && pod.meta.name.starts_with(&*key.name)
    };
    let names: Vec<String> =
        all.filter(alike).take(NAMES_MAX).map(|pod| pod.meta.key().to_string()).collect();
    let hint = if names.is_empty() { String::new() } else { format!("; there is {}", names.join(", ")) };
    context.complain(&format!("Error from server (NotFound): {error}{hint}"));
    Exit::Failed
}

fn of_snapshot(paths: &[String], key: &ObjectKey, context: &Context) -> Exit {
    let read = match snapshot::read(paths, context) {
        Ok(read) => read,
        Err(exit) => return exit,
    };
    let profiles = match read.config.build(&Registry::default(), Wording::default()) {
        Ok(profiles) => profiles,
        Err(why) => {
            context.complain(&why);
            return Exit::Input;
        }
    };
    let mut placer = Placer::new(profiles);
    read.objects.into_iter().for_each(|object| placer.add(object));
    let Some(pod) = placer.get::<Pod>(key).cloned() else {
        return not_found(key, placer.list::<Pod>(), context);
    };
    answer(&mut placer, &pod, (None, &[]), context)
}

fn of_scenario(args: &Explain, path: &str, key: &ObjectKey, context: &Context) -> Exit {
    let look = Look { file: path.to_owned(), at: args.at.clone(), seed: args.seed };
    let world = match get::world_at(&look, context) {
        Ok(world) => world,
        Err(exit) => return exit,
    };
    let Some(pod) = world.store().get::<Pod>(key).cloned() else {
        return not_found(key, world.store().list::<Pod>(), context);
    };
    let placed = match pod.node_name.is_some() {
        true => match placement(&look, &pod, context) {
            Ok(placed) => placed,
            Err(exit) => return exit,
        },
        false => None,
    };
    let mut placer = Placer::of(world.scheduler().inner().frameworks(), world.store());
    let held = holding::of(world.store(), &pod);
    let placed = placed.as_ref().map(|(at, evaluation)| (*at, evaluation));
    answer(&mut placer, &pod, (placed, &held), context)
}

fn answer(
    placer: &mut Placer,
    pod: &Arc<Pod>,
    (placed, held): (Option<(SimTime, &Evaluation)>, &[String]),
    context: &Context,
) -> Exit {
    let new = as_if_new(placer, pod);
    let now = explain::explain(placer, &new);
    let nodes: Vec<Arc<Node>> = placer.list::<Node>().cloned().collect();
    let nodes: BTreeMap<Str, &Node> = nodes.iter().map(|n| (n.meta.name.clone(), &**n)).collect();
    let subject = Subject { pod, now: &now, placed, held, nodes: &nodes };
    context.print(&explanation::render(&subject, Style { color: context.color, quiet: context.quiet }))
}

/// A Pod as it would be placed now: one that has a node is taken off it.
fn as_if_new(placer: &mut Placer, pod: &Arc<Pod>) -> Arc<Pod> {
    if pod.node_name.is_none() {
        return pod.clone();
    }
    placer.remove(Kind::Pod, &pod.meta.key());
    let mut new = Pod::clone(pod);
    new.node_name = None;
    new.status.nominated_node = None;
    Arc::new(new)
}

/// Hears when a Pod is bound.
struct Binding {
    uid: Str,
    at: Option<SimTime>,
}

impl Recorder for Binding {
    fn record(&mut self, fact: &Fact) {
        let Fact::Changed(change) = fact else { return };
        if let Some((old, Some(new))) = change.of::<Pod>()
            && new.meta.uid == self.uid
            && new.node_name.is_some()
            && old.is_some_and(|old| old.node_name.is_none())
        {
            self.at = Some(change.at);
        }
    }
}

/// The cycle in which a Pod got its node: the run is repeated up to then. None if no scheduler placed it.
fn placement(look: &Look, pod: &Pod, context: &Context) -> Result<Option<(SimTime, Evaluation)>, Exit> {
    let scenario = load::scenario(&look.file, look.seed, &Context { quiet: true, ..*context })?;
    let broken = |fault| super::run::explain(&fault, &scenario, context);
    let mut hears = Binding { uid: pod.meta.uid.clone(), at: None };
    let mut world = World::new(&scenario.plan, &mut hears);
    let mut events = 0u64;
    let mut decided = None;
    while hears.at.is_none() && world.next_event(&mut hears).map_err(broken)? {
        events += 1;
        if decided.is_none() && world.scheduler().inner().is_assumed(&pod.meta.uid) {
            decided = Some((events, world.now()));
        }
        if !world.scheduler().inner().is_assumed(&pod.meta.uid) && hears.at.is_none() {
            decided = None;
        }
    }
    let Some((events, at)) = decided else { return Ok(None) };
    let mut world = World::new(&scenario.plan, &mut NullRecorder);
    for _ in 1..events {
        world.next_event(&mut NullRecorder).map_err(broken)?;
    }
    // The scheduler's own view: what it has placed and not yet written counts.
    let scheduler = world.scheduler().as_of(at);
    let before = world.store().get::<Pod>(&pod.meta.key());
    let found =
        before.and_then(|before| Some(scheduler.view(before)?.evaluate(&PodInfo::new(before.clone()))));
    Ok(found.map(|found| (at, found.evaluation)))
}
