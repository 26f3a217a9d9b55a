//! `wavetank get` and `wavetank describe`: the cluster at an instant.

use super::args::{Describe, Get, GetOutput, Look};
use super::exit::Exit;
use super::load;
use super::output::Context;
use crate::api::{Kind, LabelSelector, Object, ObjectKey, raise};
use crate::base::SimTime;
use crate::facts::NullRecorder;
use crate::report::kubectl::{self, TableOptions, describe as description};
use crate::sim::World;

/// The kinds that `all` means, as kubectl has it.
const ALL: &[Kind] = &[
    Kind::Pod,
    Kind::ReplicationController,
    Kind::Service,
    Kind::DaemonSet,
    Kind::Deployment,
    Kind::ReplicaSet,
    Kind::StatefulSet,
    Kind::HorizontalPodAutoscaler,
    Kind::CronJob,
    Kind::Job,
];

/// Shows objects.
pub fn main(args: &Get, context: &Context) -> Exit {
    let (world, wanted) = match prepare(args, context) {
        Ok(prepared) => prepared,
        Err(exit) => return exit,
    };
    let selector = match args.selector.as_deref().map(LabelSelector::parse).transpose() {
        Ok(selector) => selector,
        Err(why) => {
            context.complain(&format!("--selector: {why}"));
            return Exit::Input;
        }
    };
    let mut found: Vec<(Kind, Vec<Object>)> = Vec::new();
    for (kind, name) in wanted {
        let objects = select(&world, kind, name.as_deref(), args, selector.as_ref());
        if let (Some(name), true) = (&name, objects.is_empty()) {
            let error = crate::store::ApiError::not_found(kind, &ObjectKey::cluster(name.as_str()));
            context.complain(&format!("Error from server (NotFound): {error}"));
            return Exit::Failed;
        }
        if !objects.is_empty() {
            found.push((kind, objects));
        }
    }
    if found.is_empty() {
        context.complain(&nothing_found(args));
        return Exit::Fine;
    }
    context.print(&show(&found, args, &world))
}

/// Describes objects.
pub fn describe(args: &Describe, context: &Context) -> Exit {
    let (kind, name) = match split_name(&args.kind, args.name.as_deref(), context) {
        Ok(found) => found,
        Err(exit) => return exit,
    };
    let world = match world_at(&args.look, context) {
        Ok(world) => world,
        Err(exit) => return exit,
    };
    let namespace = namespace_of(kind, args.namespace.as_deref());
    let store = world.store();
    let objects: Vec<Object> = match &name {
        Some(name) => store.get_object(kind, &ObjectKey::new(namespace, name.as_str())).into_iter().collect(),
        None => store.list_objects(kind).into_iter().filter(|o| o.meta().namespace == namespace).collect(),
    };
    if let (Some(name), true) = (&name, objects.is_empty()) {
        let error = crate::store::ApiError::not_found(kind, &ObjectKey::cluster(name.as_str()));
        context.complain(&format!("Error from server (NotFound): {error}"));
        return Exit::Failed;
    }
    let texts: Vec<String> = objects.iter().map(|o| description::describe(o, store)).collect();
    context.print(&texts.join("\n\n"))
}

/// Kinds and names that the call asks for.
type Wanted = Vec<(Kind, Option<String>)>;

fn prepare(args: &Get, context: &Context) -> Result<(World, Wanted), Exit> {
    let mut wanted = Vec::new();
    for word in args.kind.split(',') {
        if word == "all" {
            wanted.extend(ALL.iter().map(|kind| (*kind, None)));
        } else {
            wanted.push(split_name(word, args.name.as_deref(), context)?);
        }
    }
    Ok((world_at(&args.look, context)?, wanted))
}

/// `pod/web-0`, or a kind with the name beside it.
fn split_name(word: &str, name: Option<&str>, context: &Context) -> Result<(Kind, Option<String>), Exit> {
    let (kind, inside) = match word.split_once('/') {
        Some((kind, name)) => (kind, Some(name)),
        None => (word, None),
    };
    let Some(kind) = Kind::parse(kind) else {
        context.complain(&format!("the server doesn't have a resource type \"{kind}\""));
        return Err(Exit::Input);
    };
    Ok((kind, inside.or(name).map(str::to_owned)))
}

/// The cluster at an instant of a scenario.
///
/// # Errors
/// The exit code, if the scenario cannot be read or run so far.
pub fn world_at(look: &Look, context: &Context) -> Result<World, Exit> {
    let at = look.at.as_deref().map(|t| load::instant(t, "--at", context)).transpose()?;
    let scenario = load::scenario(&look.file, look.seed, context)?;
    let mut world = World::new(&scenario.plan, &mut NullRecorder);
    if let Some(at) = at.filter(|at| *at > world.end()) {
        context.complain(&format!("--at: the run ends at {}, before {at}", world.end()));
        return Err(Exit::Input);
    }
    let until = at.unwrap_or_else(|| world.end());
    world
        .run_until(until, &mut NullRecorder)
        .map_err(|fault| super::run::explain(&fault, &scenario, context))?;
    Ok(world)
}

fn namespace_of(kind: Kind, given: Option<&str>) -> String {
    if kind.info().namespaced { given.unwrap_or("default").to_owned() } else { String::new() }
}

fn select(
    world: &World,
    kind: Kind,
    name: Option<&str>,
    args: &Get,
    selector: Option<&LabelSelector>,
) -> Vec<Object> {
    let namespace = namespace_of(kind, args.namespace.as_deref());
    let everywhere = args.all_namespaces || !kind.info().namespaced;
    let mut objects: Vec<Object> = world
        .store()
        .list_objects(kind)
        .into_iter()
        .filter(|o| everywhere || o.meta().namespace == namespace)
        .filter(|o| name.is_none_or(|name| o.meta().name == name))
        .filter(|o| selector.is_none_or(|s| s.matches(&o.meta().labels)))
        .collect();
    if kind == Kind::Event {
        objects.sort_by_key(|o| match o {
            Object::Event(event) => (event.last, event.meta.resource_version),
            _ => Default::default(),
        });
    } else {
        objects.sort_by_key(|o| o.key());
    }
    objects
}

fn nothing_found(args: &Get) -> String {
    if args.all_namespaces {
        "No resources found".to_owned()
    } else {
        format!("No resources found in {} namespace.", args.namespace.as_deref().unwrap_or("default"))
    }
}

fn show(found: &[(Kind, Vec<Object>)], args: &Get, world: &World) -> String {
    let all = || found.iter().flat_map(|(_, objects)| objects);
    match args.output {
        GetOutput::Name => all()
            .map(|o| format!("{}/{}\n", kubectl::resource_name(o), o.meta().name))
            .collect(),
        GetOutput::Json => format!("{:#}\n", as_document(all().collect())),
        GetOutput::Yaml => crate::report::yaml::render(&as_document(all().collect())),
        GetOutput::Table | GetOutput::Wide => {
            let now = now_of(world);
            let several = found.len() > 1;
            let tables: Vec<String> = found
                .iter()
                .map(|(kind, objects)| {
                    let options = TableOptions {
                        wide: args.output == GetOutput::Wide,
                        namespace: args.all_namespaces && kind.info().namespaced,
                        kind_prefix: several,
                    };
                    kubectl::table(*kind, objects, now, options)
                })
                .collect();
            tables.join("\n")
        }
    }
}

fn now_of(world: &World) -> crate::base::Timestamp {
    let now: SimTime = world.now();
    world.store().calendar().timestamp(now)
}

/// One object as it is, several as a `List`.
fn as_document(objects: Vec<&Object>) -> serde_json::Value {
    match objects.as_slice() {
        [one] => raise::to_json(one),
        many => serde_json::json!({
            "apiVersion": "v1",
            "kind": "List",
            "items": many.iter().map(|o| raise::to_json(o)).collect::<Vec<_>>(),
        }),
    }
}
