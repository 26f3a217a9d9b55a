//! Reads what verbs act on: objects and nodes.

use super::code;
use super::kinds::{self, KnownKind};
use super::read::{Fields, Reader};
use super::scalar::{boolean, integer, name, selector, text};
use crate::api::manifest::tree::{Tree, Value};
use crate::api::{Kind, LabelSelector, ObjectKey};
use crate::base::{Span, Str};
use crate::cloud::{NodeGroup, PlannedNode};
use crate::plan::step::FieldRequirement;
use crate::plan::{NodeSet, ResourceKind, Target};

/// What the readers of steps know of the scenario.
#[derive(Debug, Default)]
pub struct Known {
    /// Kinds of the manifests that Kubernetes does not know.
    pub custom: Vec<(Str, bool)>,
    /// Zones.
    pub zones: Vec<Str>,
    /// Node groups per zone.
    pub groups: Vec<NodeGroup>,
    /// Names of all nodes that there are or will be.
    pub nodes: Vec<Str>,
    /// Traces, in the plan's order.
    pub traces: Vec<Str>,
    /// Services that get requests: namespace, name in output, and the Service if they are one; in the plan's order.
    pub traffic: Vec<(Str, Str, Option<Str>)>,
}

impl Known {
    /// Learns of a node.
    pub fn add_node(&mut self, node: &PlannedNode) {
        self.nodes.push(node.name().clone());
        if !node.zone.is_empty() && !self.zones.contains(&node.zone) {
            self.zones.push(node.zone.clone());
        }
    }

    /// Whether there is, or may come to be, a node of this name.
    fn has_node(&self, name: &str) -> bool {
        self.nodes.iter().any(|n| n == name)
            || self.groups.iter().any(|g| {
                let number = name.strip_prefix(g.name.as_str()).and_then(|rest| rest.strip_prefix('-'));
                number.is_some_and(|n| n.parse::<u32>().is_ok())
            })
    }
}

/// Reads the kind in front of a slash, or alone.
pub fn kind(reader: &mut Reader<'_>, word: &str, span: Span, known: &Known) -> Option<KnownKind> {
    if let Some(kind) = kinds::parse(word, &known.custom) {
        return Some(kind);
    }
    let help = match kinds::nearest(word) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "write a kind as kubectl takes it: `deployment/web`, `po/db-0`".to_owned(),
    };
    reader.cure(code::UNKNOWN_KIND, span, format!("unknown kind `{word}`"), help)
}

/// Reads `kind/name`.
pub fn named(reader: &mut Reader<'_>, tree: &Tree, namespace: &Str, known: &Known) -> Option<Target> {
    let written = text(reader, tree)?;
    let Some((word, name)) = written.split_once('/').filter(|(_, name)| !name.is_empty()) else {
        let help = format!("write `kind/name`, such as `{written}/web`");
        return reader.cure(code::BAD_VALUE, tree.span, format!("`{written}` names no object"), help);
    };
    let kind = kind(reader, word, tree.span, known)?;
    let namespace = if kind.namespaced { namespace.clone() } else { Str::new() };
    Some(Target::Named { kind: kind.kind, namespace, name: name.into() })
}

/// Reads the target of a verb: `resource`, and what selects.
pub fn target(reader: &mut Reader<'_>, fields: &Fields<'_>, known: &Known) -> Option<Target> {
    let namespace = fields.read(reader, "namespace", name).unwrap_or_else(|| "default".into());
    let Some(tree) = fields.get("resource") else {
        return reader.cure(
            code::MISSING_FIELD,
            fields.span(),
            "`resource` is missing",
            "name the object (`resource: deployment/web`), or a plural kind with a `selector`",
        );
    };
    let written = text(reader, tree)?;
    let selecting = fields.present(&["selector", "fieldSelector", "nth", "all", "allNamespaces"]);
    if written.contains('/') {
        if let Some(first) = selecting.first() {
            let message = format!("`{first}` selects among objects, and `{written}` is one");
            return reader.error(code::CHOICE, fields.key_span(first), message);
        }
        return named(reader, tree, &namespace, known);
    }
    let kind = kind(reader, &written, tree.span, known)?;
    selected(reader, fields, kind, namespace, tree.span)
}

fn selected(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    kind: KnownKind,
    namespace: Str,
    span: Span,
) -> Option<Target> {
    let all = fields.read(reader, "all", boolean).unwrap_or(false);
    let everywhere = fields.read(reader, "allNamespaces", boolean).unwrap_or(false);
    let by_labels = fields.read(reader, "selector", selector);
    let field_selector = fields.read(reader, "fieldSelector", field_selector).unwrap_or_default();
    let nth = fields.read(reader, "nth", integer::<usize>);
    let selects = fields.present(&["selector", "fieldSelector", "nth"]);
    if selects.is_empty() && !all {
        return reader.cure(
            code::CHOICE,
            span,
            "neither an object nor a selector is given",
            "write `kind/name`, add a `selector`, or say `all: true`",
        );
    }
    let namespace = match (kind.namespaced, everywhere) {
        (false, _) => Some(Str::new()),
        (true, true) => None,
        (true, false) => Some(namespace),
    };
    let selector = by_labels.unwrap_or(LabelSelector::everything());
    Some(Target::Selected { kind: kind.kind, namespace, selector, field_selector, nth })
}

/// `spec.nodeName=node-a,status.phase!=Running`.
fn field_selector(reader: &mut Reader<'_>, tree: &Tree) -> Option<Vec<FieldRequirement>> {
    // Upstream: `ToSelectableFields` of `pkg/registry/core/{pod,node,event}/strategy.go`, v1.34.
    const PATHS: &[&str] = &[
        "metadata.name",
        "metadata.namespace",
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "spec.unschedulable",
        "status.phase",
        "status.podIP",
        "status.nominatedNodeName",
    ];
    let written = text(reader, tree)?;
    let mut requirements = Vec::new();
    for part in written.split(',').map(str::trim).filter(|p| !p.is_empty()) {
        let (path, value, differs) = if let Some((path, value)) = part.split_once("!=") {
            (path, value, true)
        } else if let Some((path, value)) = part.split_once('=') {
            (path, value.strip_prefix('=').unwrap_or(value), false)
        } else {
            let message = format!("`{part}` should read like `spec.nodeName=node-a`");
            return reader.error(code::BAD_VALUE, tree.span, message);
        };
        if !PATHS.contains(&path) {
            return reader.unknown_word(code::BAD_VALUE, tree.span, ("field", path), PATHS);
        }
        requirements.push(FieldRequirement { path: path.into(), value: value.into(), differs });
    }
    Some(requirements)
}

/// Reads the Pods that a verb acts on.
pub fn pods(reader: &mut Reader<'_>, fields: &Fields<'_>, known: &Known) -> Option<Target> {
    let target = target(reader, fields, known)?;
    let (Target::Named { kind, .. } | Target::Selected { kind, .. }) = &target;
    if *kind != ResourceKind::Known(Kind::Pod) {
        let message = format!("expected Pods, found {kind}");
        let help = "write `resource: pod/name`, or `resource: pods` with a `selector`";
        return reader.cure(code::BAD_VALUE, fields.key_span("resource"), message, help);
    }
    Some(target)
}

/// Reads nodes: a name, a list of names, or a mapping with one of the ways to name them.
pub fn nodes(
    reader: &mut Reader<'_>,
    tree: &Tree,
    shape: &'static super::shape::Shape,
    known: &Known,
) -> Option<NodeSet> {
    match &tree.value {
        Value::Str(_) | Value::Seq(_) => names(reader, tree, known),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::UInt(_) | Value::Float(_) | Value::Map(_) => {
            let fields = Fields::open(reader, tree, shape)?;
            node_fields(reader, &fields, known)
        }
    }
}

/// Reads nodes from the fields of a mapping.
pub fn node_fields(reader: &mut Reader<'_>, fields: &Fields<'_>, known: &Known) -> Option<NodeSet> {
    match fields.one_of(reader, &["nodes", "selector", "zone", "group", "hosting"])? {
        "nodes" => fields.read(reader, "nodes", |r, t| names(r, t, known)),
        "selector" => fields.read(reader, "selector", selector).map(NodeSet::Selector),
        "zone" => fields.read(reader, "zone", |r, t| zone(r, t, known)).map(NodeSet::Zone),
        "group" => fields.read(reader, "group", |r, t| group(r, t, known)).map(NodeSet::Group),
        _ => {
            let namespace = fields.read(reader, "namespace", name).unwrap_or_else(|| "default".into());
            fields.read(reader, "hosting", |r, t| hosting(r, t, namespace, known))
        }
    }
}

/// `pod/name`: the node of that Pod.
pub fn hosting(reader: &mut Reader<'_>, tree: &Tree, namespace: Str, known: &Known) -> Option<NodeSet> {
    match named(reader, tree, &namespace, known)? {
        Target::Named { kind: ResourceKind::Known(Kind::Pod), namespace, name } => {
            Some(NodeSet::Hosting { namespace, pod: name })
        }
        Target::Named { kind, .. } | Target::Selected { kind, .. } => {
            reader.error(code::BAD_VALUE, tree.span, format!("expected `pod/name`, found a {kind}"))
        }
    }
}

/// A node by name, or several.
pub fn names(reader: &mut Reader<'_>, tree: &Tree, known: &Known) -> Option<NodeSet> {
    let node = |reader: &mut Reader<'_>, tree: &Tree| {
        let written = text(reader, tree)?;
        // `node/a` is what kubectl prints.
        let written = written.strip_prefix("node/").map_or(written.clone(), Str::from);
        if !known.has_node(&written) {
            let names: Vec<_> = known.nodes.iter().take(20).map(Str::as_str).collect();
            return reader.unknown_word(code::UNKNOWN_PLACE, tree.span, ("node", &written), &names);
        }
        Some(written)
    };
    if matches!(tree.value, Value::Str(_)) {
        return node(reader, tree).map(|name| NodeSet::Names(vec![name]));
    }
    let names = reader.each(tree, "node", node);
    if names.is_empty() && reader.elements(tree, "node").is_empty() {
        return reader.error(code::BAD_VALUE, tree.head_span(), "no node is named");
    }
    Some(NodeSet::Names(names))
}

/// A zone by name.
pub fn zone(reader: &mut Reader<'_>, tree: &Tree, known: &Known) -> Option<Str> {
    let written = text(reader, tree)?;
    if known.zones.contains(&written) {
        return Some(written);
    }
    let zones: Vec<_> = known.zones.iter().map(Str::as_str).collect();
    reader.unknown_word(code::UNKNOWN_PLACE, tree.span, ("zone", &written), &zones)
}

/// A node group of the scenario by name.
pub fn group(reader: &mut Reader<'_>, tree: &Tree, known: &Known) -> Option<Str> {
    let written = text(reader, tree)?;
    if known.groups.iter().any(|g| g.of == written) {
        return Some(written);
    }
    let mut groups: Vec<_> = known.groups.iter().map(|g| g.of.as_str()).collect();
    groups.dedup();
    reader.unknown_word(code::UNKNOWN_PLACE, tree.span, ("node group", &written), &groups)
}

/// The key of a named target.
pub fn key(namespace: &Str, name: &Str) -> ObjectKey {
    ObjectKey { namespace: namespace.clone(), name: name.clone() }
}
