//! Scenario files: text to a [`Plan`], with every mistake reported at once, its place and its cure.
//!
//! ```text
//! text ─► tree (api::manifest) ─► readers (cluster, behaviour, steps, expectations) ─► Plan ─► lint
//!                     tables ──► readers, JSON Schema, reference page
//! ```
//!
//! * [`load`]: the way in. [`files`]: where manifests come from; the core reads no files, it asks.
//! * [`tables`]: every field and verb, as data. [`shape`]: what such tables are made of.
//! * [`read`], [`scalar`]: small readers that note mistakes and go on.
//! * [`cluster`], [`behaviour`], [`traces`], [`traffic`], [`steps`], [`expectations`], [`manifests`], [`target`]: the parts of the file.
//! * [`scheduler_config`]: configurations of kube-scheduler.
//! * [`lint`](mod@lint): what can be read and run, but is probably not meant.
//! * [`schema`](mod@schema), [`reference`](mod@reference): the JSON Schema and the reference page, from the tables.
//! * [`code`]: codes of what can be wrong.

pub mod behaviour;
pub mod cluster;
pub mod code;
mod drivers;
pub mod expectations;
pub mod files;
pub mod kinds;
pub mod lint;
pub mod manifests;
mod nodes;
pub mod read;
pub mod reference;
pub mod scalar;
pub mod scheduler_config;
pub mod schema;
pub mod shape;
pub mod steps;
pub mod tables;
pub mod target;
pub mod traces;
pub mod traffic;

pub use files::{Files, MemoryFiles};
pub use reference::reference;
pub use schema::schema;

use crate::api::manifest::tree::{Limits, Tree, read_documents};
use crate::base::{Arc, Diagnostic, Severity, SourceId, SourceMap, Span, Str};
use crate::params::traffic::TrafficTarget;
use crate::plan::step::AddNodes;
use crate::plan::{DEFAULT_START, Plan, Step};
use cluster::Cluster;
use manifests::Manifests;
use read::{Fields, Reader, found};
use scalar::{duration, instant, integer, name, text, time};
use steps::Steps;
use target::Known;

/// Reads the scenario file `path` and everything it names; `-` is what `files` takes for standard input.
///
/// The plan is there unless a diagnostic is an error. Texts are added to `sources`, for showing snippets.
pub fn load(files: &dyn Files, path: &str, sources: &mut SourceMap) -> (Option<Plan>, Vec<Diagnostic>) {
    let text = files
        .read(path)
        .and_then(|bytes| String::from_utf8(bytes).map_err(|_| "the file is not text in UTF-8".to_owned()));
    match text {
        Ok(text) => load_text(files, path, &text, sources),
        Err(why) => (None, vec![Diagnostic::error(code::FILE, format!("`{path}`: {why}"))]),
    }
}

/// As [`load`], with the scenario's text at hand; `path` is where its manifests are relative to.
pub fn load_text(
    files: &dyn Files,
    path: &str,
    text: &str,
    sources: &mut SourceMap,
) -> (Option<Plan>, Vec<Diagnostic>) {
    let id = sources.add(if path == "-" { "<stdin>" } else { path }, text);
    let mut reader = Reader::new(sources);
    let plan = scenario(&mut reader, id, path, files);
    let mut diagnostics = reader.diagnostics;
    let sound = !diagnostics.iter().any(|d| d.severity == Severity::Error);
    let plan = plan.filter(|_| sound);
    if let Some(plan) = &plan {
        diagnostics.extend(lint::lint(plan));
    }
    (plan, diagnostics)
}

/// Everything that is to be said of the scenario file `path`.
pub fn lint(files: &dyn Files, path: &str, sources: &mut SourceMap) -> Vec<Diagnostic> {
    load(files, path, sources).1
}

/// Everything that is to be said of manifests that belong to no scenario: the texts `ids`.
pub fn lint_manifests(sources: &SourceMap, ids: &[SourceId]) -> Vec<Diagnostic> {
    let read = crate::api::manifest::read(sources, ids);
    let mut diagnostics = read.diagnostics;
    for loaded in &read.objects {
        diagnostics.extend(manifests::cannot_be_applied(loaded));
    }
    diagnostics
}

/// Whether a text is a scenario, so far as its head says so.
pub fn is_scenario(tree: &Tree) -> bool {
    let word = |name| tree.get(name).and_then(Tree::as_str);
    word("kind") == Some(tables::KIND) && word("apiVersion").is_some_and(|v| v.starts_with("wavetank.dev/"))
}

fn scenario(reader: &mut Reader<'_>, id: SourceId, path: &str, files: &dyn Files) -> Option<Plan> {
    let text: Arc<str> = reader.sources.get(id).map(|s| Arc::clone(&s.text))?;
    let (documents, diagnostics) = read_documents(id, &text, &Limits::default());
    reader.diagnostics.extend(diagnostics);
    let whole = Span { source: id, start: 0, end: 0 };
    let tree = match &documents[..] {
        [tree] => tree,
        [] if reader.diagnostics.is_empty() => {
            return reader.error(code::NOT_A_SCENARIO, whole, "the file is empty");
        }
        [] => return None,
        [_, second, ..] => {
            return reader.cure(
                code::NOT_A_SCENARIO,
                second.head_span(),
                "a scenario file has one document",
                "put objects under `spec.manifests`, in place with `inline`",
            );
        }
    };
    head(reader, tree)?;
    let fields = Fields::open(reader, tree, &tables::SCENARIO)?;
    let mut plan = Plan::default();
    fields.read(reader, "metadata", |reader, tree| metadata(reader, tree, &mut plan));
    let spec = fields.get("spec")?;
    self::spec(reader, spec, plan, &mut Manifests::new(files, path))
}

/// Refuses what is not a scenario before every field of it is called unknown.
fn head(reader: &mut Reader<'_>, tree: &Tree) -> Option<()> {
    if tree.as_map().is_none() {
        return reader.error(
            code::NOT_A_SCENARIO,
            tree.head_span(),
            format!("a scenario is a mapping, found {}", found(tree)),
        );
    }
    let help =
        format!("a scenario begins with `apiVersion: {}` and `kind: {}`", tables::API_VERSION, tables::KIND);
    for (name, wanted) in [("kind", tables::KIND), ("apiVersion", tables::API_VERSION)] {
        match tree.entry(name).map(|(_, value)| value) {
            Some(value) if value.as_str() == Some(wanted) => {}
            Some(value) => {
                let message = format!("`{name}` is not `{wanted}`");
                return reader.cure(code::NOT_A_SCENARIO, value.head_span(), message, help);
            }
            None => {
                let message = format!("`{name}` is missing");
                return reader.cure(code::NOT_A_SCENARIO, tree.head_span(), message, help);
            }
        }
    }
    Some(())
}

fn metadata(reader: &mut Reader<'_>, tree: &Tree, plan: &mut Plan) -> Option<()> {
    let fields = Fields::open(reader, tree, &tables::METADATA)?;
    plan.name = fields.read(reader, "name", name).unwrap_or_default();
    plan.description = fields.read(reader, "description", text).unwrap_or_default();
    fields.read(reader, "labels", scalar::labels);
    fields.read(reader, "annotations", scalar::labels);
    Some(())
}

fn spec(reader: &mut Reader<'_>, tree: &Tree, mut plan: Plan, manifests: &mut Manifests<'_>) -> Option<Plan> {
    let fields = Fields::open(reader, tree, &tables::SPEC)?;
    plan.seed = fields.read(reader, "seed", integer::<u64>).unwrap_or(0);
    plan.start = fields.read(reader, "start", time).unwrap_or(DEFAULT_START);
    plan.duration = fields.read(reader, "duration", duration);
    plan.zero_at = fields.read(reader, "recording", |reader, tree| {
        let fields = Fields::open(reader, tree, &tables::RECORDING)?;
        fields.read(reader, "zeroAt", instant)
    });
    let mut cluster =
        fields.read(reader, "cluster", |r, t| cluster::cluster(r, t, manifests)).unwrap_or_default();
    plan.manifests = fields.read(reader, "manifests", |r, t| Some(manifests.read(r, t))).unwrap_or_default();
    nodes::merge_manifests(reader, &mut cluster, &mut plan.manifests);
    plan.behaviours = fields.each(reader, "behaviour", behaviour::behaviour);
    plan.traces =
        fields.read(reader, "traces", |r, t| Some(traces::traces(r, t, manifests))).unwrap_or_default();
    plan.traffic = fields
        .read(reader, "traffic", |reader, tree| {
            let trees = reader.elements(tree, "service");
            Some(traffic::traffic(reader, trees, manifests))
        })
        .unwrap_or_default();
    if plan.duration.is_none() {
        traffic::refuse_endless(reader, &plan.traffic);
    }
    plan.metrics = fields.each(reader, "metrics", traffic::metric);
    let config = manifests.scheduler_config.take();
    let mut known = known(&cluster, &fields, manifests);
    plan.steps = steps(reader, &fields, &known, &cluster, manifests);
    if let Some((_, span)) = manifests.scheduler_config.take() {
        let help = "put it under `spec.manifests`, or into `cluster.settings.kube-scheduler.config`";
        reader.cure::<()>(
            code::BAD_MANIFEST,
            span,
            "kube-scheduler reads its configuration when it starts",
            help,
        );
    }
    known.custom.clone_from(&manifests.custom);
    known.traces = plan.traces.iter().map(|trace| trace.name.clone()).collect();
    known.traffic = plan.traffic.iter().map(named_service).collect();
    plan.expectations = fields.each(reader, "expect", |r, t| expectations::expectation(r, t, &known));
    if let Some((config, _)) = config {
        cluster.settings.kube_scheduler.config.get_or_insert_with(|| Arc::new(config));
    }
    Some(with_cluster(plan, cluster))
}

/// Everything that steps and expectations can refer to.
fn known(cluster: &Cluster, fields: &Fields<'_>, manifests: &Manifests<'_>) -> Known {
    let mut known = Known {
        custom: manifests.custom.clone(),
        zones: cluster.zones.clone(),
        groups: cluster.groups.clone(),
        nodes: Vec::new(),
        traces: Vec::new(),
        traffic: Vec::new(),
    };
    cluster.nodes.iter().for_each(|node| known.add_node(node));
    // Nodes that steps add may be named by other steps, also by earlier ones in the file.
    let steps = fields.get("steps").and_then(Tree::as_seq).unwrap_or_default();
    for node in steps.iter().filter_map(|s| s.lookup("addNodes.nodes")?.as_seq()).flatten() {
        let word = |name| node.get(name).and_then(Tree::as_str).map(Str::from);
        known.nodes.extend(word("name"));
        known.zones.extend(word("zone"));
    }
    known
}

fn steps(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    known: &Known,
    cluster: &Cluster,
    manifests: &mut Manifests<'_>,
) -> Vec<crate::plan::TimedStep> {
    let mut context = Steps { known, cluster, manifests };
    let mut steps = fields.each(reader, "steps", |r, t| context.step(r, t));
    // Steps of one instant keep the order of the file.
    steps.sort_by_key(|step| step.at);
    let added = steps.iter().filter_map(|s| match &s.step {
        Step::AddNodes(AddNodes::Nodes(nodes)) => Some((nodes, s.origin)),
        _ => None,
    });
    let mut seen: Vec<&Str> = Vec::new();
    for (nodes, origin) in added {
        for node in nodes {
            if seen.contains(&node.name()) {
                let message = format!("two steps add a node `{}`", node.name());
                reader.error::<()>(code::DUPLICATE, origin, message);
            }
            seen.push(node.name());
        }
    }
    steps
}

/// The names under which expectations find a service.
fn named_service(service: &crate::params::Traffic) -> (Str, Str, Option<Str>) {
    let of_service = match &service.to {
        TrafficTarget::Service(name) => Some(name.clone()),
        TrafficTarget::Selector(_) => None,
    };
    (service.namespace.clone(), service.name.clone(), of_service)
}

fn with_cluster(plan: Plan, cluster: Cluster) -> Plan {
    Plan {
        version: cluster.version,
        zones: cluster.zones,
        nodes: cluster.nodes.into(),
        node_groups: cluster.groups,
        settings: cluster.settings,
        latencies: cluster.latencies,
        drivers: cluster.drivers,
        ..plan
    }
}

#[cfg(test)]
mod tests;
