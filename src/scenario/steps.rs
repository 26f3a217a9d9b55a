//! Reads `spec.steps`: one reader per verb.

use super::behaviour::exit_code;
use super::cluster::{self, Cluster};
use super::code;
use super::drivers;
use super::manifests::{Manifests, PODS_MAX};
use super::read::{Fields, Reader, list};
use super::scalar::{
    boolean, duration, instant, integer, label_changes, labels, name, natural, parse_taint, quantities,
    quantity, selector, text, word,
};
use super::tables::{self, VERBS};
use super::target::{self, Known};
use crate::api::manifest::tree::{Key, Tree, Value};
use crate::api::{Kind, LabelSelector, TaintEffect};
use crate::base::diag::did_you_mean;
use crate::base::{Arc, SimDuration, Str};
use crate::plan::step::{
    AddNodes, Cascade, Delete, Drain, Fill, FillAmount, FillMatter, FillPlace, Load, LoadAmount,
    OutOfCapacity, PatchType, RolloutAction, Set, SetResources, Step, TaintChange, TimedStep,
};
use crate::plan::{ResourceKind, Target};

/// What reading a step needs.
pub struct Steps<'a, 'f> {
    /// What the scenario has.
    pub known: &'a Known,
    /// The cluster, for nodes that are added.
    pub cluster: &'a Cluster,
    /// Where manifests come from.
    pub manifests: &'a mut Manifests<'f>,
}

impl Steps<'_, '_> {
    /// Reads one step.
    pub fn step(&mut self, reader: &mut Reader<'_>, tree: &Tree) -> Option<TimedStep> {
        let Some(entries) = tree.as_map() else {
            return reader.expected(tree, "a step: `at` and a verb");
        };
        let at = match tree.get("at") {
            Some(at) => instant(reader, at),
            None => reader.cure(
                code::MISSING_FIELD,
                tree.head_span(),
                "`at` is missing",
                "`at: 5m`: when the step happens, from the start of the simulation",
            ),
        };
        let (verb, argument) = verb(reader, tree, entries)?;
        let step = self.verb(reader, verb, argument);
        Some(TimedStep { at: at?, step: step?, origin: tree.head_span() })
    }

    fn verb(&mut self, reader: &mut Reader<'_>, verb: &str, tree: &Tree) -> Option<Step> {
        let known = self.known;
        let nodes = |reader: &mut Reader<'_>| target::nodes(reader, tree, &tables::NODES, known);
        match verb {
            "apply" => Some(Step::Apply(self.manifests.read(reader, tree))),
            "delete" => delete(reader, tree, known),
            "scale" => scale(reader, tree, known),
            "set" => set(reader, tree, known),
            "rollout" => rollout(reader, tree, known),
            "patch" => patch(reader, tree, known),
            "cordon" => nodes(reader).map(Step::Cordon),
            "uncordon" => nodes(reader).map(Step::Uncordon),
            "drain" => drain(reader, tree, known),
            "taint" => taint(reader, tree, known),
            "label" => label(reader, tree, known),
            "annotate" => annotate(reader, tree, known),
            "failNode" => nodes(reader).map(Step::FailNode),
            "shutdownNode" => nodes(reader).map(Step::ShutdownNode),
            "restoreNode" => nodes(reader).map(Step::RestoreNode),
            "failZone" => target::zone(reader, tree, known).map(Step::FailZone),
            "restoreZone" => target::zone(reader, tree, known).map(Step::RestoreZone),
            "stopKubelet" => nodes(reader).map(Step::StopKubelet),
            "startKubelet" => nodes(reader).map(Step::StartKubelet),
            "partition" => nodes(reader).map(Step::Partition),
            "heal" => nodes(reader).map(Step::Heal),
            "driver" => drivers::driver(reader, tree).map(|change| Step::Driver(Box::new(change))),
            "addNodes" => self.add_nodes(reader, tree),
            "removeNode" => nodes(reader).map(Step::RemoveNode),
            "outOfCapacity" => out_of_capacity(reader, tree, known),
            "evict" => evict(reader, tree, known),
            "crash" => crash(reader, tree, known),
            "hang" => hang(reader, tree, known),
            "fill" => fill(reader, tree, known),
            "load" => load(reader, tree),
            _ => None,
        }
    }

    fn add_nodes(&mut self, reader: &mut Reader<'_>, tree: &Tree) -> Option<Step> {
        let fields = Fields::open(reader, tree, &tables::ADD_NODES)?;
        match fields.one_of(reader, &["nodes", "group"])? {
            "nodes" => {
                let nodes = fields.each(reader, "nodes", |r, t| cluster::node(r, t, self.cluster));
                for node in &nodes {
                    if self.cluster.nodes.iter().any(|n| n.name() == node.name()) {
                        let message = format!("the cluster has a node `{}` already", node.name());
                        reader.error::<()>(code::DUPLICATE, fields.key_span("nodes"), message);
                    }
                }
                Some(Step::AddNodes(AddNodes::Nodes(nodes)))
            }
            _ => {
                let group = fields.read(reader, "group", |r, t| target::group(r, t, self.known));
                let count = fields.read(reader, "count", integer::<u32>).unwrap_or(1);
                if u64::from(count) > cluster::NODES_MAX {
                    let message = format!("more than {} nodes", cluster::NODES_MAX);
                    return reader.error(code::LIMIT, fields.key_span("count"), message);
                }
                Some(Step::AddNodes(AddNodes::Group { group: group?, count }))
            }
        }
    }
}

/// The one key beside `at`.
fn verb<'t>(
    reader: &mut Reader<'_>,
    tree: &Tree,
    entries: &'t [(Key, Tree)],
) -> Option<(&'static str, &'t Tree)> {
    let mut found: Vec<(&'static str, &Key, &'t Tree)> = Vec::new();
    let mut wrong = false;
    for (key, argument) in entries.iter().filter(|(key, _)| key.text != "at") {
        match VERBS.iter().find(|v| v.name == key.text) {
            Some(verb) => found.push((verb.name, key, argument)),
            None => {
                wrong = true;
                unknown_verb(reader, key);
            }
        }
    }
    match found[..] {
        [(verb, _, argument)] => Some((verb, argument)),
        [] if wrong => None,
        [] => {
            let verbs: Vec<_> = VERBS.iter().map(|v| v.name).collect();
            let help = format!("verbs are {}", list(&verbs));
            reader.cure(code::BAD_STEP, tree.head_span(), "the step does nothing: it has no verb", help)
        }
        [(first, _, _), (second, key, _), ..] => reader.cure(
            code::BAD_STEP,
            key.span,
            format!("the step has two verbs, `{first}` and `{second}`"),
            "write two steps with the same `at`",
        ),
    }
}

fn unknown_verb(reader: &mut Reader<'_>, key: &Key) {
    let near = did_you_mean(&key.text, VERBS.iter().map(|v| v.name));
    let help = match near {
        Some(near) => format!("did you mean `{near}`?"),
        None => {
            let verbs: Vec<_> = VERBS.iter().map(|v| v.name).collect();
            format!("verbs are {}", list(&verbs))
        }
    };
    reader.cure::<()>(code::BAD_STEP, key.span, format!("unknown verb `{}`", key.text), help);
}

fn delete(reader: &mut Reader<'_>, tree: &Tree, known: &Known) -> Option<Step> {
    let fields = Fields::open(reader, tree, &tables::DELETE)?;
    let target = target::target(reader, &fields, known);
    let cascade = fields.read(reader, "cascade", |r, t| word(r, t, &["background", "foreground", "orphan"]));
    let cascade = match cascade {
        Some("foreground") => Cascade::Foreground,
        Some("orphan") => Cascade::Orphan,
        _ => Cascade::Background,
    };
    let force = fields.read(reader, "force", boolean).unwrap_or(false);
    let grace_period = fields.read(reader, "gracePeriod", duration);
    if grace_period == Some(SimDuration::ZERO) && !force {
        // kubectl refuses immediate deletion without --force unless the period is raised to 1.
        reader.cure::<()>(
            code::CHOICE,
            fields.key_span("gracePeriod"),
            "a grace period of zero deletes without waiting for the kubelet",
            "add `force: true`, or write `gracePeriod: 1s`",
        );
    }
    // Upstream: `kubectl/pkg/cmd/delete/delete.go` Complete, v1.34: --force means a grace period of 0.
    let grace_period = if force { Some(grace_period.unwrap_or(SimDuration::ZERO)) } else { grace_period };
    Some(Step::Delete(Delete { target: target?, cascade, force, grace_period }))
}

fn scale(reader: &mut Reader<'_>, tree: &Tree, known: &Known) -> Option<Step> {
    let fields = Fields::open(reader, tree, &tables::SCALE)?;
    let target = target::target(reader, &fields, known);
    let replicas = fields.read(reader, "replicas", |reader, tree| {
        let replicas = natural(reader, tree)?;
        if i64::from(replicas) > PODS_MAX {
            let message = format!("{replicas} Pods are more than {PODS_MAX}");
            return reader.error(code::LIMIT, tree.span, message);
        }
        Some(replicas)
    });
    let target = of_kinds(
        reader,
        &fields,
        target?,
        &[Kind::Deployment, Kind::ReplicaSet, Kind::StatefulSet, Kind::ReplicationController],
        "cannot be scaled",
    );
    Some(Step::Scale { target: target?, replicas: replicas? })
}

/// The target, if it is of one of these kinds.
fn of_kinds(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    target: Target,
    kinds: &[Kind],
    otherwise: &str,
) -> Option<Target> {
    let (Target::Named { kind, .. } | Target::Selected { kind, .. }) = &target;
    if matches!(kind, ResourceKind::Known(kind) if kinds.contains(kind)) {
        return Some(target);
    }
    let names: Vec<_> = kinds.iter().map(|k| k.name()).collect();
    let message = format!("a {kind} {otherwise}");
    reader.cure(code::BAD_VALUE, fields.span(), message, format!("kinds that can: {}", list(&names)))
}

const TEMPLATED: &[Kind] = &[
    Kind::Deployment,
    Kind::ReplicaSet,
    Kind::StatefulSet,
    Kind::DaemonSet,
    Kind::ReplicationController,
    Kind::Job,
    Kind::CronJob,
    Kind::Pod,
];

fn set(reader: &mut Reader<'_>, tree: &Tree, known: &Known) -> Option<Step> {
    let fields = Fields::open(reader, tree, &tables::SET)?;
    let target = target::target(reader, &fields, known);
    let image = fields.read(reader, "image", labels).unwrap_or_default();
    let mut resources = Vec::new();
    if let Some(tree) = fields.get("resources") {
        for (key, tree) in reader.entries(tree, "resources by container") {
            if let Some(value) = set_resources(reader, tree) {
                resources.push((Str::from(key.text.as_str()), value));
            }
        }
    }
    let mut env = Vec::new();
    if let Some(tree) = fields.get("env") {
        for (key, tree) in reader.entries(tree, "variables by container") {
            for (variable, value) in label_changes(reader, tree).unwrap_or_default() {
                env.push((Str::from(key.text.as_str()), variable, value));
            }
        }
    }
    if fields.present(&["image", "resources", "env"]).is_empty() {
        return reader.cure(
            code::CHOICE,
            fields.span(),
            "nothing is set",
            "say one of `image`, `resources`, `env`",
        );
    }
    let target = of_kinds(reader, &fields, target?, TEMPLATED, "has no containers to set");
    let image = image.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
    Some(Step::Set(Set { target: target?, image, resources, env }))
}

fn set_resources(reader: &mut Reader<'_>, tree: &Tree) -> Option<SetResources> {
    let fields = Fields::open(reader, tree, &tables::SET_RESOURCES)?;
    let mut part = |name| {
        let list = fields.read(reader, name, quantities).unwrap_or_default();
        list.0.into_iter().collect()
    };
    Some(SetResources { requests: part("requests"), limits: part("limits") })
}

fn rollout(reader: &mut Reader<'_>, tree: &Tree, known: &Known) -> Option<Step> {
    let fields = Fields::open(reader, tree, &tables::ROLLOUT)?;
    let namespace = fields.read(reader, "namespace", name).unwrap_or_else(|| "default".into());
    let to_revision = fields.read(reader, "toRevision", integer::<i64>).filter(|r| *r != 0);
    let what = fields.one_of(reader, &["undo", "restart", "pause", "resume"])?;
    if what != "undo" && fields.get("toRevision").is_some() {
        reader.error::<()>(code::CHOICE, fields.key_span("toRevision"), "`toRevision` belongs to `undo`");
    }
    let target = fields.read(reader, what, |r, t| target::named(r, t, &namespace, known))?;
    let (action, kinds): (_, &[Kind]) = match what {
        "undo" => {
            (RolloutAction::Undo { to_revision }, &[Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet])
        }
        "restart" => (RolloutAction::Restart, &[Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet]),
        "pause" => (RolloutAction::Pause, &[Kind::Deployment]),
        _ => (RolloutAction::Resume, &[Kind::Deployment]),
    };
    let target = of_kinds(reader, &fields, target, kinds, &format!("has no rollout to {what}"))?;
    Some(Step::Rollout { target, action })
}

fn patch(reader: &mut Reader<'_>, tree: &Tree, known: &Known) -> Option<Step> {
    let fields = Fields::open(reader, tree, &tables::PATCH)?;
    let target = target::target(reader, &fields, known);
    let kind = fields.read(reader, "type", |r, t| word(r, t, &["strategic", "merge", "json"]));
    let patch_type = match kind {
        Some("merge") => PatchType::Merge,
        Some("json") => PatchType::Json,
        _ => PatchType::Strategic,
    };
    let tree = fields.get("patch")?;
    let fits = match patch_type {
        PatchType::Json => tree.as_seq().is_some(),
        PatchType::Strategic | PatchType::Merge => tree.as_map().is_some(),
    };
    if !fits {
        let what = if patch_type == PatchType::Json { "a list of operations" } else { "a mapping" };
        return reader.expected(tree, what);
    }
    let resize = fields.read(reader, "subresource", |r, t| word(r, t, &["resize"])).is_some();
    Some(Step::Patch { target: target?, resize, patch_type, patch: Arc::new(tree.to_json()) })
}

fn drain(reader: &mut Reader<'_>, tree: &Tree, known: &Known) -> Option<Step> {
    if !matches!(tree.value, Value::Map(_)) {
        let nodes = target::names(reader, tree, known)?;
        return Some(Step::Drain(Drain {
            nodes,
            ignore_daemonsets: false,
            delete_empty_dir_data: false,
            force: false,
            disable_eviction: false,
            pod_selector: LabelSelector::everything(),
            grace_period: None,
            timeout: None,
            skip_wait_for_delete: None,
        }));
    }
    let fields = Fields::open(reader, tree, &tables::DRAIN)?;
    let nodes = target::node_fields(reader, &fields, known);
    let mut yes = |name| fields.read(reader, name, boolean).unwrap_or(false);
    let (ignore_daemonsets, delete_empty_dir_data) = (yes("ignoreDaemonsets"), yes("deleteEmptyDirData"));
    let (force, disable_eviction) = (yes("force"), yes("disableEviction"));
    let pod_selector = fields.read(reader, "podSelector", selector).unwrap_or(LabelSelector::everything());
    let grace_period = fields.read(reader, "gracePeriod", duration);
    let timeout = fields.read(reader, "timeout", duration).filter(|t| !t.is_zero());
    let skip_wait_for_delete =
        fields.read(reader, "skipWaitForDeleteTimeout", duration).filter(|t| !t.is_zero());
    let nodes = nodes?;
    Some(Step::Drain(Drain {
        nodes,
        ignore_daemonsets,
        delete_empty_dir_data,
        force,
        disable_eviction,
        pod_selector,
        grace_period,
        timeout,
        skip_wait_for_delete,
    }))
}

fn taint(reader: &mut Reader<'_>, tree: &Tree, known: &Known) -> Option<Step> {
    let fields = Fields::open(reader, tree, &tables::TAINT_STEP)?;
    let nodes = target::node_fields(reader, &fields, known);
    let taints = fields.each(reader, "taints", taint_change);
    Some(Step::Taint { nodes: nodes?, taints })
}

fn taint_change(reader: &mut Reader<'_>, tree: &Tree) -> Option<TaintChange> {
    let written = text(reader, tree)?;
    let Some(removed) = written.strip_suffix('-') else {
        return match parse_taint(&written) {
            Ok(taint) => Some(TaintChange::Add(taint)),
            Err(message) => reader.error(code::BAD_VALUE, tree.span, message),
        };
    };
    let (head, effect) = match removed.split_once(':') {
        None => (removed, None),
        Some((head, effect)) => match TaintEffect::parse(effect) {
            Some(effect) => (head, Some(effect)),
            None => {
                let message = format!("unknown effect `{effect}`");
                let help = "effects are NoSchedule, PreferNoSchedule, NoExecute";
                return reader.cure(code::BAD_VALUE, tree.span, message, help);
            }
        },
    };
    let key = head.split('=').next().unwrap_or(head);
    if key.is_empty() {
        return reader.error(code::BAD_VALUE, tree.span, format!("`{written}` names no taint"));
    }
    Some(TaintChange::Remove { key: key.into(), effect })
}

fn label(reader: &mut Reader<'_>, tree: &Tree, known: &Known) -> Option<Step> {
    let fields = Fields::open(reader, tree, &tables::LABEL)?;
    let target = target::target(reader, &fields, known);
    let labels = fields.read(reader, "labels", label_changes);
    Some(Step::Label { target: target?, labels: labels? })
}

fn annotate(reader: &mut Reader<'_>, tree: &Tree, known: &Known) -> Option<Step> {
    let fields = Fields::open(reader, tree, &tables::ANNOTATE)?;
    let target = target::target(reader, &fields, known);
    let annotations = fields.read(reader, "annotations", label_changes);
    Some(Step::Annotate { target: target?, annotations: annotations? })
}

fn evict(reader: &mut Reader<'_>, tree: &Tree, known: &Known) -> Option<Step> {
    let fields = Fields::open(reader, tree, &tables::EVICT)?;
    let target = target::pods(reader, &fields, known);
    let grace_period = fields.read(reader, "gracePeriod", duration);
    Some(Step::Evict { target: target?, grace_period })
}

fn crash(reader: &mut Reader<'_>, tree: &Tree, known: &Known) -> Option<Step> {
    let fields = Fields::open(reader, tree, &tables::CRASH)?;
    let target = target::pods(reader, &fields, known);
    let container = fields.read(reader, "container", name);
    let reason = fields.read(reader, "reason", name);
    let exit_code = fields.read(reader, "exitCode", exit_code).unwrap_or_else(|| {
        // A container killed for its memory ends by SIGKILL: 128 + 9.
        if reason.as_ref().is_some_and(|r| r == "OOMKilled") { 137 } else { 1 }
    });
    let reason = reason.unwrap_or_else(|| if exit_code == 0 { "Completed".into() } else { "Error".into() });
    Some(Step::Crash { target: target?, container, exit_code, reason })
}

fn hang(reader: &mut Reader<'_>, tree: &Tree, known: &Known) -> Option<Step> {
    let fields = Fields::open(reader, tree, &tables::HANG)?;
    let target = target::pods(reader, &fields, known);
    let container = fields.read(reader, "container", name);
    let duration = fields.read(reader, "for", duration);
    Some(Step::Hang { target: target?, container, duration })
}

fn out_of_capacity(reader: &mut Reader<'_>, tree: &Tree, known: &Known) -> Option<Step> {
    let fields = Fields::open(reader, tree, &tables::OUT_OF_CAPACITY)?;
    let zone = fields.read(reader, "zone", |r, t| target::zone(r, t, known));
    let instance_type = fields.read(reader, "instanceType", |r, t| group_type(r, t, known));
    let duration = fields.read(reader, "for", duration);
    if fields.present(&["zone", "instanceType"]).is_empty() {
        let help = "name a `zone`, an `instanceType`, or both";
        return reader.cure(
            code::CHOICE,
            tree.head_span(),
            "it is not said what the cloud is short of",
            help,
        );
    }
    Some(Step::OutOfCapacity(OutOfCapacity { instance_type, zone, duration }))
}

/// A machine type of one of the node groups.
fn group_type(reader: &mut Reader<'_>, tree: &Tree, known: &Known) -> Option<Str> {
    let written = text(reader, tree)?;
    let mut types: Vec<_> = known.groups.iter().map(|g| g.template.instance_type.as_str()).collect();
    types.retain(|t| !t.is_empty());
    types.dedup();
    if types.contains(&written.as_str()) {
        return Some(written);
    }
    reader.unknown_word(
        code::UNKNOWN_INSTANCE_TYPE,
        tree.span,
        ("instance type of a node group", &written),
        &types,
    )
}

fn fill(reader: &mut Reader<'_>, tree: &Tree, known: &Known) -> Option<Step> {
    let fields = Fields::open(reader, tree, &tables::FILL)?;
    let what = fields.one_of(reader, &["memory", "disk", "processes"]);
    let place = fields.one_of(reader, &["resource", "nodes", "zone", "group", "hosting"]);
    let container = fields.read(reader, "container", name);
    let volume = fields.read(reader, "volume", name);
    let over = fields.read(reader, "over", duration).unwrap_or(SimDuration::ZERO);
    let what = what?;
    let amount = fields.read(reader, what, fill_amount);
    let matter = match what {
        "memory" => FillMatter::Memory,
        "disk" => FillMatter::Disk,
        _ => FillMatter::Processes,
    };
    if volume.is_some() && (matter != FillMatter::Disk || container.is_some()) {
        let message = "`volume` goes with `disk`, and without `container`";
        return reader.error(code::CHOICE, fields.key_span("volume"), message);
    }
    let place = if place? == "resource" {
        let target = target::pods(reader, &fields, known)?;
        match volume {
            Some(volume) => FillPlace::Volume(target, volume),
            None => FillPlace::Container(target, container),
        }
    } else {
        let nodes = target::node_fields(reader, &fields, known)?;
        let strays = ["container", "volume", "fieldSelector", "nth", "all", "allNamespaces"];
        if let Some(stray) = fields.present(&strays).first() {
            reader.error::<()>(
                code::CHOICE,
                fields.key_span(stray),
                format!("`{stray}` belongs to Pods, not to nodes"),
            );
        }
        FillPlace::Nodes(nodes)
    };
    Some(Step::Fill(Fill { place, matter, amount: amount?, over }))
}

fn fill_amount(reader: &mut Reader<'_>, tree: &Tree) -> Option<FillAmount> {
    if let Some(percent) = tree.as_str().and_then(|t| t.strip_suffix('%')) {
        return match percent.trim().parse::<u32>() {
            Ok(percent) if percent <= 1000 => Some(FillAmount::Percent(percent)),
            _ => reader.error(code::BAD_VALUE, tree.span, format!("`{percent}%` is not a percentage")),
        };
    }
    quantity(reader, tree).map(|q| FillAmount::Amount(q.value()))
}

fn load(reader: &mut Reader<'_>, tree: &Tree) -> Option<Step> {
    let fields = Fields::open(reader, tree, &tables::LOAD)?;
    let namespace = fields.read(reader, "namespace", name).unwrap_or_else(|| "default".into());
    let selector = fields.read(reader, "selector", selector);
    let cap = fields.read(reader, "cap", quantity).map(|q| q.milli_value());
    let amount = match fields.one_of(reader, &["total", "perPod"])? {
        "total" => fields
            .read(reader, "total", quantity)
            .map(|total| LoadAmount::Total { milli: total.milli_value(), cap }),
        _ => {
            if fields.get("cap").is_some() {
                reader.error::<()>(code::CHOICE, fields.key_span("cap"), "`cap` belongs to `total`");
            }
            fields.read(reader, "perPod", quantity).map(|q| LoadAmount::PerPod { milli: q.milli_value() })
        }
    };
    Some(Step::Load(Load { namespace, selector: selector?, amount: amount? }))
}
