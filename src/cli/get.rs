//! `wavetank get` and `wavetank describe`: the cluster at an instant.

use super::args::{Describe, Get, GetOutput, Look};
use super::exit::Exit;
use super::load::{self, Scenario};
use super::output::Context;
use super::progress::Progress;
use super::run::{self, Watch};
use crate::api::{Kind, LabelSelector, Object, raise};
use crate::base::Str;
use crate::facts::NullRecorder;
use crate::plan::{ResourceKind, Step};
use crate::report::kubectl::{self, TableOptions, describe as description};
use crate::scenario::kinds::{self, KnownKind};
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
    if args.what.first().is_some_and(|word| word == "top") {
        return super::top::main(args, context);
    }
    let mut found = match find(&args.what, &filter(args), &args.look, context) {
        Ok(found) => found,
        Err(exit) => return exit,
    };
    if let Some(path) = &args.sort_by
        && let Err(why) = found.groups.iter_mut().try_for_each(|group| kubectl::sort::sort(group, path))
    {
        context.complain(&why);
        return Exit::Input;
    }
    let structured = matches!(args.output, GetOutput::Json | GetOutput::Yaml);
    if found.groups.is_empty() && !structured {
        if found.missing.is_empty() {
            context.say(&found.nothing);
        }
    } else if let failed @ (Exit::Failed | Exit::Input | Exit::Bug) = context.print(&show(&found, args)) {
        return failed;
    }
    found.tell_missing(context)
}

/// Describes objects.
pub fn describe(args: &Describe, context: &Context) -> Exit {
    let filter = Filter {
        namespace: args.namespace.as_deref(),
        everywhere: args.all_namespaces,
        selector: args.selector.as_deref(),
    };
    let found = match find(&args.what, &filter, &args.look, context) {
        Ok(found) => found,
        Err(exit) => return exit,
    };
    let store = found.world.store();
    let objects = found.groups.iter().flatten();
    let texts: Vec<String> = objects.map(|o| description::describe(o, store)).collect();
    if texts.is_empty() && found.missing.is_empty() {
        context.say(&found.nothing);
    }
    context.print(&texts.join("\n\n")).and(found.tell_missing(context))
}

/// Which objects of a kind.
struct Filter<'a> {
    namespace: Option<&'a str>,
    everywhere: bool,
    selector: Option<&'a str>,
}

fn filter(args: &Get) -> Filter<'_> {
    Filter {
        namespace: args.namespace.as_deref(),
        everywhere: args.all_namespaces,
        selector: args.selector.as_deref(),
    }
}

/// What was found.
struct Found {
    world: World,
    /// Objects by kind; no group is empty.
    groups: Vec<Vec<Object>>,
    /// What the API server says of names that it does not know.
    missing: Vec<String>,
    /// What to say if nothing was found.
    nothing: String,
}

impl Found {
    fn tell_missing(&self, context: &Context) -> Exit {
        for why in &self.missing {
            context.say(why);
        }
        if self.missing.is_empty() { Exit::Fine } else { Exit::Input }
    }
}

fn find(what: &[String], filter: &Filter<'_>, look: &Look, context: &Context) -> Result<Found, Exit> {
    let selector = filter.selector.map(LabelSelector::parse).transpose().map_err(|why| {
        context.complain(&format!("--selector: {why}"));
        Exit::Input
    })?;
    let scenario = load::scenario(&look.file, look.seed, context)?;
    let wanted = wanted(what, &scenario).map_err(|why| {
        context.complain(&why);
        Exit::Input
    })?;
    let world = run_to(&scenario, look, context)?;
    let namespace = filter.namespace.unwrap_or("default");
    let nothing = if filter.everywhere || wanted.iter().all(|(known, _)| !known.namespaced) {
        "No resources found".to_owned()
    } else {
        format!("No resources found in {namespace} namespace.")
    };
    let (mut groups, mut missing) = (Vec::new(), Vec::new());
    for (known, names) in wanted {
        let scope = if known.namespaced { (!filter.everywhere).then_some(namespace) } else { None };
        let mut objects = all_of(&world, &known, scope);
        objects.retain(|o| selector.as_ref().is_none_or(|s| s.matches(&o.meta().labels)));
        if !names.is_empty() {
            let is = |name: &str, o: &Object| o.meta().name == name;
            missing.extend(
                names.iter().filter(|n| !objects.iter().any(|o| is(n, o))).map(|n| not_found(&known, n)),
            );
            objects.retain(|o| names.iter().any(|n| is(n, o)));
        }
        if !objects.is_empty() {
            groups.push(objects);
        }
    }
    Ok(Found { world, groups, missing, nothing })
}

fn all_of(world: &World, known: &KnownKind, namespace: Option<&str>) -> Vec<Object> {
    let (kind, inert) = match &known.kind {
        ResourceKind::Known(kind) => (*kind, None),
        ResourceKind::Inert(name) => (Kind::Inert, Some(name)),
    };
    let mut objects = world.store().list_objects(kind);
    objects.retain(|o| inert.is_none_or(|name| o.kind_name() == *name));
    objects.retain(|o| namespace.is_none_or(|n| o.meta().namespace == n));
    // The API server lists by key; kubectl shows what it gets.
    objects.sort_by_cached_key(Object::key);
    objects
}

fn not_found(known: &KnownKind, name: &str) -> String {
    let resource = match &known.kind {
        ResourceKind::Known(kind) => {
            let info = kind.info();
            let group =
                info.api_version.split_once('/').map_or_else(String::new, |(group, _)| format!(".{group}"));
            format!("{}{group}", info.plural)
        }
        ResourceKind::Inert(kind) => kinds::plural(kind),
    };
    format!("Error from server (NotFound): {resource} \"{name}\" not found")
}

/// Kinds and the names that the call asks for of each; no names for all.
type Wanted = Vec<(KnownKind, Vec<String>)>;

fn wanted(what: &[String], scenario: &Scenario) -> Result<Wanted, String> {
    let custom = custom_kinds(scenario);
    let Some((first, rest)) = what.split_first() else { return Ok(Vec::new()) };
    if first.contains('/') {
        let mut wanted: Wanted = Vec::new();
        for word in what {
            let Some((kind, name)) = word.split_once('/').filter(|(k, n)| !k.is_empty() && !n.is_empty())
            else {
                return Err(format!("`{word}`: write `kind/name`, or a kind with names behind it"));
            };
            let known = parse_kind(kind, &custom)?;
            match wanted.iter_mut().find(|(k, _)| *k == known) {
                Some((_, names)) => names.push(name.to_owned()),
                None => wanted.push((known, vec![name.to_owned()])),
            }
        }
        return Ok(wanted);
    }
    let mut wanted = Wanted::new();
    for word in first.split(',') {
        if word == "all" {
            let known = |kind: &Kind| KnownKind { kind: ResourceKind::Known(*kind), namespaced: true };
            wanted.extend(ALL.iter().map(|kind| (known(kind), rest.to_vec())));
        } else {
            wanted.push((parse_kind(word, &custom)?, rest.to_vec()));
        }
    }
    Ok(wanted)
}

fn parse_kind(word: &str, custom: &[(Str, bool)]) -> Result<KnownKind, String> {
    kinds::parse(word, custom).ok_or_else(|| {
        let near = kinds::nearest(word).map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        format!("the server doesn't have a resource type \"{word}\"{near}")
    })
}

/// Kinds of the scenario's objects that Kubernetes does not know, with their scope.
fn custom_kinds(scenario: &Scenario) -> Vec<(Str, bool)> {
    let applied = scenario.plan.steps.iter().flat_map(|step| match &step.step {
        Step::Apply(objects) => objects.as_slice(),
        _ => &[],
    });
    let mut custom: Vec<(Str, bool)> = scenario
        .plan
        .manifests
        .iter()
        .chain(applied)
        .filter_map(|planned| match &planned.object {
            Object::Inert(inert) => Some((inert.kind.clone(), inert.namespaced)),
            _ => None,
        })
        .collect();
    custom.sort();
    custom.dedup();
    custom
}

/// The kind and the name that `kind/name` says.
///
/// # Errors
/// What is wrong with it.
pub fn parse_name(word: &str, scenario: &Scenario) -> Result<(Str, Str), String> {
    let parts = word.split_once('/').filter(|(kind, name)| !kind.is_empty() && !name.is_empty());
    let (kind, name) = parts.ok_or_else(|| format!("`{word}`: write `kind/name`"))?;
    let known = parse_kind(kind, &custom_kinds(scenario))?;
    Ok((known.kind.to_string().into(), name.into()))
}

/// The cluster at an instant of a scenario, and the scenario.
///
/// # Errors
/// The exit code, if the scenario cannot be read or run so far.
pub fn world_at_with(look: &Look, context: &Context) -> Result<(World, Scenario), Exit> {
    let scenario = load::scenario(&look.file, look.seed, context)?;
    Ok((run_to(&scenario, look, context)?, scenario))
}

/// The cluster at an instant of a scenario.
///
/// # Errors
/// The exit code, if the scenario cannot be read or run so far.
pub fn world_at(look: &Look, context: &Context) -> Result<World, Exit> {
    let scenario = load::scenario(&look.file, look.seed, context)?;
    run_to(&scenario, look, context)
}

fn run_to(scenario: &Scenario, look: &Look, context: &Context) -> Result<World, Exit> {
    let at = look.at.as_deref().map(|t| load::instant(t, "--at", context)).transpose()?;
    let mut progress = Progress::of_run(&scenario.plan, context);
    let mut world = World::new(&scenario.plan, &mut NullRecorder);
    if let Some(at) = at.filter(|at| *at > world.end()) {
        let end = world.end();
        context
            .complain(&format!("--at: the run ends at {end}, before {at}; `spec.duration` makes it longer"));
        return Err(Exit::Input);
    }
    let until = at.unwrap_or_else(|| world.end());
    let ran = world.run_until_watched(until, &mut NullRecorder, &mut |world| progress.event(world));
    drop(progress);
    ran.map_err(|fault| run::explain(&fault, scenario, context))?;
    Ok(world)
}

fn show(found: &Found, args: &Get) -> String {
    let all = || found.groups.iter().flatten();
    match args.output {
        GetOutput::Name => {
            all().map(|o| format!("{}/{}\n", kubectl::resource_name(o), o.meta().name)).collect()
        }
        GetOutput::Json => format!("{:#}\n", as_document(&all().collect::<Vec<_>>(), asks_for_one(args))),
        GetOutput::Yaml => {
            crate::report::yaml::render(&as_document(&all().collect::<Vec<_>>(), asks_for_one(args)))
        }
        GetOutput::Table | GetOutput::Wide => {
            let now = found.world.store().calendar().timestamp(found.world.now());
            let namespaced = |objects: &[Object]| objects.iter().any(|o| !o.meta().namespace.is_empty());
            let tables: Vec<String> = found
                .groups
                .iter()
                .map(|objects| {
                    let options = TableOptions {
                        wide: args.output == GetOutput::Wide,
                        namespace: args.all_namespaces && namespaced(objects),
                        kind_prefix: found.groups.len() > 1,
                        labels: args.show_labels,
                        label_columns: args.label_columns.clone(),
                    };
                    kubectl::table(objects, now, &options)
                })
                .collect();
            tables.join("\n")
        }
    }
}

/// Whether the call names one object of one kind, so that it is shown without a list around it.
fn asks_for_one(args: &Get) -> bool {
    match args.what.as_slice() {
        [one] => one.contains('/'),
        [kind, _] => !kind.contains(['/', ',']) && kind != "all",
        _ => false,
    }
}

/// One object as it is, several as a `List`.
fn as_document(objects: &[&Object], one: bool) -> serde_json::Value {
    match objects {
        [object] if one => raise::to_json(object),
        many => serde_json::json!({
            "apiVersion": "v1",
            "kind": "List",
            "items": many.iter().map(|o| raise::to_json(o)).collect::<Vec<_>>(),
            "metadata": {"resourceVersion": ""},
        }),
    }
}
