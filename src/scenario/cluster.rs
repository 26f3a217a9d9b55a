//! Reads `spec.cluster`: nodes, node groups, flags, latencies.

use std::collections::BTreeSet;

use super::code;
use super::drivers;
use super::manifests::Manifests;
use super::read::{Fields, Reader};
use super::scalar::{
    boolean, decimal, delay, duration, integer, labels, name, natural, quantities, quantity, taint_effect,
    text, word,
};
use super::tables;
use super::traces;
use crate::api::manifest::tree::{Tree, Value};
use crate::api::resources::PODS;
use crate::api::{Labels, ResourceList, Taint};
use crate::base::{SimDuration, Span, Str};
use crate::cloud::allocatable::{self, Reservations};
use crate::cloud::catalogue::{self, EBS_DRIVER, InstanceType};
use crate::cloud::group::{TemplateTags, with_defaults};
use crate::cloud::{NodeGroup, NodeTemplate, PlannedNode};
use crate::params::latency::{Latencies, PLAIN, SPECIAL};
use crate::params::settings::{
    COMPONENTS, FlagInfo, FlagType, FlagValue, SIGNALS, Settings, Threshold, ThresholdLimit,
};
use crate::params::{Delay, DriverChange, ImagePull, KubeVersion};

/// At most so many nodes in a scenario.
pub const NODES_MAX: u64 = 200_000;
/// Volumes that the EBS driver attaches to a machine whose type is not known.
const DEFAULT_VOLUMES: i32 = 25;

/// What `spec.cluster` says.
#[derive(Debug, Default)]
pub struct Cluster {
    /// The release.
    pub version: KubeVersion,
    /// Zones in order.
    pub zones: Vec<Str>,
    /// Nodes: those by name, then those of groups.
    pub nodes: Vec<PlannedNode>,
    /// Where each node by name stands.
    pub origins: Vec<Span>,
    /// Node groups per zone.
    pub groups: Vec<NodeGroup>,
    /// Flags.
    pub settings: Settings,
    /// Latencies.
    pub latencies: Latencies,
    /// What is said of storage drivers.
    pub drivers: Vec<DriverChange>,
}

/// Reads `spec.cluster`.
pub fn cluster(reader: &mut Reader<'_>, tree: &Tree, manifests: &Manifests<'_>) -> Option<Cluster> {
    let fields = Fields::open(reader, tree, &tables::CLUSTER)?;
    let mut cluster = Cluster {
        version: fields.read(reader, "version", version).unwrap_or_default(),
        settings: fields.read(reader, "settings", settings).unwrap_or_default(),
        latencies: fields.read(reader, "latencies", latencies).unwrap_or_default(),
        ..Cluster::default()
    };
    cluster.drivers = fields.each(reader, "drivers", drivers::driver);
    let given = fields.get("zones").is_some();
    cluster.zones = fields.each(reader, "zones", zone_name);
    unique(reader, &fields, "zones", &cluster.zones);
    let nodes = fields.each(reader, "nodes", |reader, tree| {
        let node = node(reader, tree, &cluster)?;
        if given && !node.zone.is_empty() && !cluster.zones.contains(&node.zone) {
            unknown_zone(reader, tree.path_span("zone"), &node.zone, &cluster.zones);
        }
        Some((node, tree.head_span()))
    });
    let rows = fields
        .each(reader, "nodeFiles", |reader, tree| traces::nodes::nodes(reader, tree, &cluster, manifests));
    let groups = fields
        .each(reader, "nodeGroups", |reader, tree| Some((group(reader, tree, &cluster)?, tree.head_span())));
    for (node, span) in nodes.into_iter().chain(rows.into_iter().flatten()) {
        add_zone(&mut cluster.zones, &node.zone);
        cluster.nodes.push(node);
        cluster.origins.push(span);
    }
    add_groups(reader, &mut cluster, groups);
    no_duplicate_nodes(reader, &cluster);
    Some(cluster)
}

fn zone_name(reader: &mut Reader<'_>, tree: &Tree) -> Option<Str> {
    name(reader, tree)
}

fn add_zone(zones: &mut Vec<Str>, zone: &Str) {
    if !zone.is_empty() && !zones.contains(zone) {
        zones.push(zone.clone());
    }
}

fn unique(reader: &mut Reader<'_>, fields: &Fields<'_>, field: &str, names: &[Str]) {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            reader.error::<()>(code::DUPLICATE, fields.key_span(field), format!("`{name}` is there twice"));
        }
    }
}

fn unknown_zone(reader: &mut Reader<'_>, span: Span, zone: &str, zones: &[Str]) {
    let known: Vec<_> = zones.iter().map(Str::as_str).collect();
    reader.unknown_word::<()>(code::UNKNOWN_PLACE, span, ("zone", zone), &known);
}

/// A Kubernetes version; an unquoted `1.30` is read as it was written.
fn version(reader: &mut Reader<'_>, tree: &Tree) -> Option<KubeVersion> {
    let written = match &tree.value {
        Value::Str(text) => text.clone(),
        Value::Int(_) | Value::UInt(_) | Value::Float(_) => reader.raw(tree.span).to_owned(),
        Value::Null | Value::Bool(_) | Value::Seq(_) | Value::Map(_) => {
            return reader.expected(tree, "a version such as `\"1.34\"`");
        }
    };
    match KubeVersion::parse(&written) {
        Ok(version) => Some(version),
        Err(message) => reader.error(code::UNKNOWN_VERSION, tree.span, message),
    }
}

/// A machine: what it has, what Pods may use, and how many volumes it takes.
struct Machine {
    capacity: ResourceList,
    allocatable: Option<ResourceList>,
    instance: Option<&'static InstanceType>,
    volume_limits: Vec<(Str, Option<i32>)>,
    labels: Labels,
    taints: Vec<Taint>,
}

impl Machine {
    /// Reads the fields that nodes and node groups share.
    fn read(reader: &mut Reader<'_>, fields: &Fields<'_>, settings: &Settings) -> Self {
        let instance = fields.read(reader, "instanceType", instance_type);
        let given = fields.read(reader, "capacity", quantities).unwrap_or_default();
        let mut capacity = match instance {
            Some(instance) => allocatable::capacity(instance),
            None => with_defaults(given.clone(), settings.kubelet.max_pods),
        };
        capacity.0.extend(given.0);
        let volumes = instance.map_or(DEFAULT_VOLUMES, InstanceType::volumes);
        Self {
            capacity,
            allocatable: fields.read(reader, "allocatable", quantities),
            instance,
            volume_limits: fields
                .read(reader, "volumeLimits", volume_limits)
                .unwrap_or_else(|| vec![(EBS_DRIVER.into(), Some(volumes))]),
            labels: fields.read(reader, "labels", labels).unwrap_or_default(),
            taints: fields.each(reader, "taints", taint),
        }
    }

    /// What Pods may use: as given, or capacity less what the kubelet reserves.
    fn allocatable(&self, settings: &Settings) -> ResourceList {
        let computed = allocatable::allocatable(&self.capacity, &self.reservations(settings));
        match &self.allocatable {
            None => computed,
            Some(given) => {
                let mut list = computed;
                list.0.extend(given.0.iter().map(|(k, v)| (k.clone(), *v)));
                list
            }
        }
    }

    fn reservations(&self, settings: &Settings) -> Reservations {
        let kubelet = &settings.kubelet;
        let listed = |given: &Option<Vec<_>>| given.iter().flatten().cloned().collect::<ResourceList>();
        let mut reserved = match (&kubelet.kube_reserved, self.instance) {
            (None, Some(instance)) => {
                let pods = self.capacity.get(PODS).map_or(0, |q| q.value());
                allocatable::eks_kube_reserved(instance.vcpu, u32::try_from(pods).unwrap_or(0))
            }
            (given, _) => listed(given),
        };
        reserved.add(&listed(&kubelet.system_reserved));
        let threshold = |signal: &str, resource: &str| {
            let capacity = self.capacity.get(resource).map_or(0, |q| q.value());
            kubelet.eviction_hard.iter().find(|t| t.signal == signal).map_or(0, |t| match t.limit {
                ThresholdLimit::Amount(amount) => amount.value(),
                ThresholdLimit::Percent(percent) => {
                    capacity / 100 * i64::from(percent) + capacity % 100 * i64::from(percent) / 100
                }
            })
        };
        Reservations {
            eviction_memory: threshold("memory.available", "memory"),
            eviction_storage: threshold("nodefs.available", "ephemeral-storage"),
            reserved,
        }
    }

    fn template(self, allocatable: ResourceList, version: KubeVersion) -> NodeTemplate {
        NodeTemplate {
            instance_type: self.instance.map_or_else(Str::new, |i| i.name.into()),
            arch: self.instance.map_or_else(Str::new, |i| i.arch().into()),
            capacity: self.capacity,
            allocatable,
            labels: self.labels,
            taints: self.taints,
            volume_limits: self.volume_limits,
            kubelet_version: version.kubelet().into(),
            price: self.instance.map_or(0, |i| i.price),
        }
    }
}

fn instance_type(reader: &mut Reader<'_>, tree: &Tree) -> Option<&'static InstanceType> {
    let written = text(reader, tree)?;
    match catalogue::find(&written) {
        Ok(instance) => Some(instance),
        Err(near) => {
            let help = match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => "give `capacity: {cpu: \"2\", memory: 8Gi, pods: \"29\"}` instead".to_owned(),
            };
            reader.cure(
                code::UNKNOWN_INSTANCE_TYPE,
                tree.span,
                format!("the instance type `{written}` is not in the catalogue"),
                help,
            )
        }
    }
}

fn volume_limits(reader: &mut Reader<'_>, tree: &Tree) -> Option<Vec<(Str, Option<i32>)>> {
    let entries = reader.entries(tree, "a number of volumes for each driver");
    let read = |(key, tree): &(crate::api::manifest::tree::Key, Tree)| {
        let limit = if tree.is_null() { None } else { Some(natural(reader, tree)?) };
        Some((key.text.as_str().into(), limit))
    };
    Some(entries.iter().filter_map(read).collect())
}

fn taint(reader: &mut Reader<'_>, tree: &Tree) -> Option<Taint> {
    let fields = Fields::open(reader, tree, &tables::TAINT)?;
    let key = fields.read(reader, "key", name);
    let value = fields.read(reader, "value", text).unwrap_or_default();
    let effect = fields.read(reader, "effect", taint_effect);
    Some(Taint { key: key?, value, effect: effect?, time_added: None })
}

/// Reads a node as `cluster.nodes` and `addNodes` have it.
pub fn node(reader: &mut Reader<'_>, tree: &Tree, cluster: &Cluster) -> Option<PlannedNode> {
    let fields = Fields::open(reader, tree, &tables::NODE)?;
    let name = fields.read(reader, "name", name);
    let zone = fields.read(reader, "zone", text).unwrap_or_default();
    let machine = Machine::read(reader, &fields, &cluster.settings);
    let allocatable = if machine.instance.is_none() {
        // Nodes by name are described as they are: what is not said of allocatable is capacity.
        let mut list = machine.capacity.clone();
        list.0.extend(machine.allocatable.iter().flat_map(|a| a.0.iter().map(|(k, v)| (k.clone(), *v))));
        list
    } else {
        machine.allocatable(&cluster.settings)
    };
    Some(machine.template(allocatable, cluster.version).node(name?, &zone, None))
}

/// A node of which nothing is said but what it has: the rest is as for nodes by name.
pub fn plain_node(
    name: Str,
    zone: &Str,
    capacity: ResourceList,
    labels: Labels,
    cluster: &Cluster,
) -> PlannedNode {
    let mut all = with_defaults(capacity.clone(), cluster.settings.kubelet.max_pods);
    all.0.extend(capacity.0);
    let machine = Machine {
        capacity: all.clone(),
        allocatable: None,
        instance: None,
        volume_limits: vec![(EBS_DRIVER.into(), Some(DEFAULT_VOLUMES))],
        labels,
        taints: Vec::new(),
    };
    machine.template(all, cluster.version).node(name, zone, None)
}

/// A node group as written, not yet dealt out to zones.
struct WrittenGroup {
    name: Str,
    template: NodeTemplate,
    size: u32,
    bounds: Option<(u32, u32)>,
    zones: Option<Vec<Str>>,
    spans: Option<Span>,
    tags: Option<TemplateTags>,
}

fn group(reader: &mut Reader<'_>, tree: &Tree, cluster: &Cluster) -> Option<WrittenGroup> {
    let fields = Fields::open(reader, tree, &tables::NODE_GROUP)?;
    let name = fields.read(reader, "name", name);
    let size = fields.read(reader, "size", integer::<u32>);
    let machine = Machine::read(reader, &fields, &cluster.settings);
    let bounds = bounds(reader, &fields, size);
    let zones = fields.get("zones").map(|tree| {
        reader.each(tree, "zone", |reader, tree| {
            let zone = text(reader, tree)?;
            if !cluster.zones.is_empty() && !cluster.zones.contains(&zone) {
                unknown_zone(reader, tree.span, &zone, &cluster.zones);
            }
            Some(zone)
        })
    });
    let spans = fields.read(reader, "spansZones", boolean).unwrap_or(false);
    let spans = spans.then(|| fields.key_span("spansZones"));
    let price = fields.read(reader, "price", price);
    let tags = fields.read(reader, "nodeTemplate", template_tags);
    let allocatable = machine.allocatable(&cluster.settings);
    let mut template = machine.template(allocatable, cluster.version);
    template.price = price.unwrap_or(template.price);
    Some(WrittenGroup { name: name?, template, size: size?, bounds, zones, spans, tags })
}

/// Dollars per hour, in hundred-thousandths.
fn price(reader: &mut Reader<'_>, tree: &Tree) -> Option<u32> {
    let dollars: f64 = decimal(reader, tree)?;
    if !(0.0..=10_000.0).contains(&dollars) {
        return reader.error(
            code::OUT_OF_RANGE,
            tree.span,
            "a price is between 0 and 10000 dollars per hour",
        );
    }
    // Within the range of the type: 10^4 dollars are 10^9.
    Some((dollars * 100_000.0 + 0.5) as u32)
}

fn template_tags(reader: &mut Reader<'_>, tree: &Tree) -> Option<TemplateTags> {
    let fields = Fields::open(reader, tree, &tables::NODE_TEMPLATE)?;
    Some(TemplateTags {
        labels: fields.read(reader, "labels", labels).unwrap_or_default(),
        taints: fields.each(reader, "taints", taint),
        without_labels: fields.each(reader, "withoutLabels", text),
    })
}

/// The cluster autoscaler's bounds: both or neither, and the size between them.
fn bounds(reader: &mut Reader<'_>, fields: &Fields<'_>, size: Option<u32>) -> Option<(u32, u32)> {
    let min = fields.read(reader, "min", integer::<u32>);
    let max = fields.read(reader, "max", integer::<u32>);
    match (fields.present(&["min", "max"]).as_slice(), min, max) {
        ([_, _], Some(min), Some(max)) => {
            if min > max {
                return reader.error(
                    code::OUT_OF_RANGE,
                    fields.key_span("max"),
                    format!("`max` {max} is less than `min` {min}"),
                );
            }
            if let Some(size) = size.filter(|s| *s < min || *s > max) {
                return reader.error(
                    code::OUT_OF_RANGE,
                    fields.key_span("size"),
                    format!("`size` {size} is not between `min` {min} and `max` {max}"),
                );
            }
            Some((min, max))
        }
        ([one], _, _) => {
            let other = if *one == "min" { "max" } else { "min" };
            reader.error(
                code::CHOICE,
                fields.key_span(one),
                format!("`{one}` without `{other}`: the cluster autoscaler needs both"),
            )
        }
        _ => None,
    }
}

fn add_groups(reader: &mut Reader<'_>, cluster: &mut Cluster, groups: Vec<(WrittenGroup, Span)>) {
    let mut seen: Vec<(Str, Span)> = Vec::new();
    let mut total: u64 = cluster.nodes.len() as u64;
    for (group, span) in groups {
        if let Some((_, first)) = seen.iter().find(|(name, _)| *name == group.name) {
            let message = format!("two node groups are called `{}`", group.name);
            let diagnostic = crate::base::Diagnostic::error(code::DUPLICATE, message);
            reader.note(diagnostic.at(span, "").also(*first, "the first one"));
            continue;
        }
        total = total.saturating_add(u64::from(group.size.max(group.bounds.map_or(0, |(_, max)| max))));
        if total > NODES_MAX {
            reader.error::<()>(code::LIMIT, span, format!("more than {NODES_MAX} nodes"));
            return;
        }
        seen.push((group.name.clone(), span));
        let zones = group.zones.unwrap_or_else(|| cluster.zones.clone());
        zones.iter().for_each(|zone| add_zone(&mut cluster.zones, zone));
        let WrittenGroup { name, template, size, bounds, tags, .. } = group;
        let mut parts = match group.spans {
            Some(span) if zones.len() < 2 => {
                let message = format!("`{name}` has no two zones to span");
                let help = "name them under `zones`, of the cluster or of the group";
                reader.cure::<()>(code::CHOICE, span, message, help);
                continue;
            }
            Some(_) => vec![NodeGroup::spanning(&name, &zones, &template, size, bounds)],
            None => NodeGroup::per_zone(&name, &zones, &template, size, bounds),
        };
        parts.iter_mut().for_each(|part| part.tags.clone_from(&tags));
        cluster.nodes.extend(NodeGroup::nodes_in_turn(&parts));
        cluster.groups.extend(parts);
    }
}

fn no_duplicate_nodes(reader: &mut Reader<'_>, cluster: &Cluster) {
    let mut seen = BTreeSet::new();
    for (index, node) in cluster.nodes.iter().enumerate() {
        if !seen.insert(node.name()) {
            let message = format!("two nodes are called `{}`", node.name());
            let place = cluster.origins.get(index).or(cluster.origins.last()).copied();
            reader.note(crate::base::Diagnostic::error(code::DUPLICATE, message).at_opt(place, ""));
        }
    }
}

/// Reads `settings`: flags by component.
fn settings(reader: &mut Reader<'_>, tree: &Tree) -> Option<Settings> {
    let mut settings = Settings::default();
    let mut soft = None;
    for (key, tree) in reader.entries(tree, "flags by component") {
        let Some(component) = COMPONENTS.iter().find(|c| c.name == key.text) else {
            let known: Vec<_> = COMPONENTS.iter().map(|c| c.name).collect();
            reader.unknown_word::<()>(code::UNKNOWN_FLAG, key.span, ("component", &key.text), &known);
            continue;
        };
        for (key, tree) in reader.entries(tree, "values by flag") {
            let written = key.text.trim_start_matches("--");
            let Some(flag) = component.flags.iter().find(|f| f.name == written) else {
                let known: Vec<_> = component.flags.iter().map(|f| f.name).collect();
                let what = format!("flag of {}", component.name);
                reader.unknown_word::<()>(code::UNKNOWN_FLAG, key.span, (&what, written), &known);
                continue;
            };
            if flag.name == "eviction-soft" {
                soft = Some(tree.span);
            }
            if let Some(value) = flag_value(reader, tree, flag) {
                let set = settings.set(component.name, flag.name, value);
                debug_assert!(set, "{} {}", component.name, flag.name);
            }
        }
    }
    let kubelet = &settings.kubelet;
    let patient = |signal: &Str| kubelet.eviction_soft_grace_period.iter().any(|(name, _)| name == signal);
    if let Some(hasty) = kubelet.eviction_soft.iter().find(|threshold| !patient(&threshold.signal)) {
        let message =
            format!("grace period must be specified for the soft eviction threshold {}", hasty.signal);
        let cure = format!("set `eviction-soft-grace-period: {{{}: 1m30s}}`", hasty.signal);
        let span = soft.unwrap_or(tree.span);
        return reader.cure(code::BAD_VALUE, span, message, cure);
    }
    Some(settings)
}

fn flag_value(reader: &mut Reader<'_>, tree: &Tree, flag: &FlagInfo) -> Option<FlagValue> {
    match flag.takes {
        FlagType::Duration => duration(reader, tree).map(FlagValue::Duration),
        FlagType::Integer => integer(reader, tree).map(FlagValue::Integer),
        FlagType::Decimal => decimal(reader, tree).map(FlagValue::Decimal),
        FlagType::Bool => boolean(reader, tree).map(FlagValue::Bool),
        FlagType::Word(words) => word(reader, tree, words).map(|w| FlagValue::Word(w.into())),
        FlagType::Words(words) => flag_words(reader, tree, words).map(FlagValue::Words),
        FlagType::Keys => flag_keys(reader, tree).map(FlagValue::Words),
        FlagType::Resources => flag_resources(reader, tree).map(|list| FlagValue::Resources(Some(list))),
        FlagType::Thresholds => thresholds(reader, tree, '<').map(FlagValue::Thresholds),
        FlagType::Reclaims => thresholds(reader, tree, '=').map(FlagValue::Thresholds),
        FlagType::SignalSpans => spans(reader, tree, |reader, span, name| {
            let known = SIGNALS.iter().find(|signal| **signal == name);
            if known.is_none() {
                reader.unknown_word::<()>(code::BAD_VALUE, span, ("signal", name), &SIGNALS);
            }
            known.map(|signal| Str::from(*signal))
        })
        .map(FlagValue::SignalSpans),
        FlagType::PrioritySpans => spans(reader, tree, |reader, span, name| match name.parse() {
            Ok(priority) => Some(priority),
            Err(_) => reader.error(code::BAD_VALUE, span, format!("`{name}` is not a priority")),
        })
        .map(FlagValue::PrioritySpans),
        FlagType::Document => {
            if tree.as_map().is_none() {
                return reader.expected(tree, "a configuration in place");
            }
            let wrong = super::scheduler_config::read(tree).err();
            wrong.into_iter().flatten().for_each(|diagnostic| reader.note(diagnostic));
            Some(FlagValue::Document(Some(crate::base::Arc::new(tree.to_json()))))
        }
    }
}

/// A comma list of words.
fn flag_words(reader: &mut Reader<'_>, tree: &Tree, words: &'static [&'static str]) -> Option<Vec<Str>> {
    let written = text(reader, tree)?;
    let mut out = Vec::new();
    for part in written.split(',').map(str::trim) {
        match words.iter().find(|w| **w == part) {
            Some(word) => out.push(Str::from(*word)),
            None => return reader.unknown_word(code::BAD_VALUE, tree.span, ("word", part), words),
        }
    }
    Some(out)
}

/// `ebs.csi.aws.com/agent-not-ready,example.com/starting`, or a list.
fn flag_keys(reader: &mut Reader<'_>, tree: &Tree) -> Option<Vec<Str>> {
    if matches!(tree.value, Value::Seq(_)) {
        return Some(reader.each(tree, "taints", text));
    }
    let written = text(reader, tree)?;
    Some(written.split(',').map(str::trim).filter(|key| !key.is_empty()).map(Str::from).collect())
}

/// `cpu=70m,memory=574Mi`, or a mapping.
fn flag_resources(reader: &mut Reader<'_>, tree: &Tree) -> Option<Vec<(Str, crate::base::Quantity)>> {
    if tree.as_map().is_some() {
        return quantities(reader, tree).map(|list| list.0.into_iter().collect());
    }
    let written = text(reader, tree)?;
    let mut out = Vec::new();
    for part in written.split(',').filter(|p| !p.trim().is_empty()) {
        let amount =
            part.split_once('=').map(|(name, q)| (name.trim(), crate::base::Quantity::parse(q.trim())));
        match amount {
            Some((name, Ok(quantity))) => out.push((Str::from(name), quantity)),
            Some((_, Err(message))) => return reader.error(code::BAD_VALUE, tree.span, message),
            None => {
                let message = format!("`{part}` should read like `cpu=100m`");
                return reader.error(code::BAD_VALUE, tree.span, message);
            }
        }
    }
    Some(out)
}

/// `memory.available=1m30s,nodefs.available=2m`, or a mapping; `key` reads what stands before the durations.
fn spans<K>(
    reader: &mut Reader<'_>,
    tree: &Tree,
    key: impl Fn(&mut Reader<'_>, Span, &str) -> Option<K>,
) -> Option<Vec<(K, SimDuration)>> {
    let mut out = Vec::new();
    if tree.as_map().is_some() {
        for (name, tree) in reader.entries(tree, "durations") {
            let name = key(reader, name.span, &name.text);
            out.extend(name.zip(duration(reader, tree)));
        }
        return Some(out);
    }
    let written = text(reader, tree)?;
    for part in written.split(',').map(str::trim).filter(|p| !p.is_empty()) {
        let span =
            part.split_once('=').and_then(|(name, span)| Some((name, SimDuration::parse_go(span).ok()?)));
        let Some((name, span)) = span else {
            let message = format!("`{part}` should read like `name=1m30s`");
            return reader.error(code::BAD_VALUE, tree.span, message);
        };
        out.push((key(reader, tree.span, name)?, span));
    }
    Some(out)
}

/// `memory.available<100Mi,nodefs.available<10%`; `sign` stands between signal and limit.
fn thresholds(reader: &mut Reader<'_>, tree: &Tree, sign: char) -> Option<Vec<Threshold>> {
    let written = text(reader, tree)?;
    let mut out = Vec::new();
    for part in written.split(',').map(str::trim).filter(|p| !p.is_empty()) {
        let Some((signal, limit)) = part.split_once(sign) else {
            let message = format!("`{part}` should read like `memory.available{sign}100Mi`");
            return reader.error(code::BAD_VALUE, tree.span, message);
        };
        if !SIGNALS.contains(&signal) {
            return reader.unknown_word(code::BAD_VALUE, tree.span, ("signal", signal), &SIGNALS);
        }
        let limit = match limit.strip_suffix('%') {
            Some(percent) => percent.parse().ok().filter(|p| *p <= 100).map(ThresholdLimit::Percent),
            None => crate::base::Quantity::parse(limit).ok().map(ThresholdLimit::Amount),
        };
        let Some(limit) = limit else {
            let message = format!("the limit in `{part}` is neither a quantity nor a percentage");
            return reader.error(code::BAD_VALUE, tree.span, message);
        };
        out.push(Threshold { signal: signal.into(), limit });
    }
    Some(out)
}

/// Reads `latencies`.
fn latencies(reader: &mut Reader<'_>, tree: &Tree) -> Option<Latencies> {
    let mut latencies = Latencies::default();
    let (mut pull, mut bandwidth) = (None, None);
    let (mut start_given, mut mount_given, mut report_given) = (false, false, false);
    for (key, tree) in reader.entries(tree, "latencies by name") {
        match key.text.as_str() {
            "imagePull" => pull = delay(reader, tree),
            "imagePullBandwidth" => bandwidth = quantity(reader, tree).map(|q| (q.value(), tree.span)),
            "probeReady" => latencies.probe_ready = delay(reader, tree),
            "leaseStagger" => latencies.lease_stagger = duration(reader, tree).unwrap_or(SimDuration::ZERO),
            other => {
                start_given |= other == "containerStart";
                mount_given |= other == "volumeMount";
                report_given |= other == "volumeReport";
                let Some(slot) = latencies.get_mut(other) else {
                    let known: Vec<_> = PLAIN.iter().chain(SPECIAL).map(|l| l.name).collect();
                    reader.unknown_word::<()>(code::UNKNOWN_FIELD, key.span, ("latency", other), &known);
                    continue;
                };
                if let Some(given) = delay(reader, tree) {
                    *slot = given;
                }
            }
        }
    }
    // A scenario that says how long starting takes means all of it.
    if start_given && !mount_given {
        latencies.volume_mount = Delay::ZERO;
    }
    if start_given && !report_given {
        latencies.volume_report = Delay::ZERO;
    }
    image_pull(reader, &mut latencies, pull, bandwidth);
    Some(latencies)
}

fn image_pull(
    reader: &mut Reader<'_>,
    latencies: &mut Latencies,
    pull: Option<Delay>,
    bandwidth: Option<(i64, Span)>,
) {
    if let Some(pull) = pull {
        latencies.image_pull = ImagePull::Given(pull);
    }
    if let (Some((given, span)), ImagePull::BySize { bytes_per_second, .. }) =
        (bandwidth, &mut latencies.image_pull)
    {
        match u64::try_from(given).ok().filter(|b| *b > 0) {
            Some(given) => *bytes_per_second = given,
            None => {
                reader.error::<()>(code::OUT_OF_RANGE, span, "a bandwidth of nothing pulls no image");
            }
        }
    }
}
