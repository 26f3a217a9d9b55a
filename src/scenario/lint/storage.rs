//! What is probably not meant of storage.

use std::collections::{BTreeMap, BTreeSet};

use super::{code, objects, pods_of, warn};
use crate::api::k8s::core::v1::{PodSpec, Volume};
use crate::api::lower::lower_claim_spec;
use crate::api::resources::STORAGE;
use crate::api::storage::{AccessMode, ClaimSpec, PvSource, StorageClass, annotation, migrated_driver};
use crate::api::workload::ClaimTemplate;
use crate::api::{Object, ObjectKey};
use crate::base::{Arc, Diagnostic, Quantity, Span, Str};
use crate::params::drivers::{self, Makes};
use crate::params::ebs::{self, Refusal};
use crate::plan::Plan;

/// Warnings about storage.
pub(super) fn lint(plan: &Plan, out: &mut Vec<Diagnostic>) {
    immediate(plan, out);
    no_driver(plan, out);
    host_paths(plan, out);
    host_volumes(plan, out);
    spanning_groups(plan, out);
    shared_disks(plan, out);
    missing_classes(plan, out);
    impossible_volumes(plan, out);
}

/// Classes with immediate binding, used while nodes lie in several zones.
fn immediate(plan: &Plan, out: &mut Vec<Diagnostic>) {
    let zones: BTreeSet<&Str> = plan.nodes.iter().map(|n| &n.zone).filter(|z| !z.is_empty()).collect();
    if zones.len() < 2 {
        return;
    }
    let used = classes_in_use(plan);
    let drivers: BTreeSet<&Str> =
        plan.nodes.iter().flat_map(|n| &n.csi_node.drivers).map(|driver| &driver.name).collect();
    for planned in objects(plan) {
        let Object::StorageClass(class) = &planned.object else { continue };
        // Drivers of nodes make zonal volumes; others are not here to make any.
        let provisioned = drivers.contains(&class.provisioner);
        let name = &class.meta.name;
        let in_use = is_in_use(class, &used);
        if provisioned && in_use && !class.wait_for_first_consumer && class.allowed_topologies.is_empty() {
            let message = format!(
                "volumes of the class `{name}` are made before their Pod has a node, in any of {} zones",
                zones.len()
            );
            out.push(warn(
                code::LINT_IMMEDIATE,
                planned.origin,
                message,
                "write `volumeBindingMode: WaitForFirstConsumer`",
            ));
        }
    }
}

fn is_in_use(class: &StorageClass, used: &BTreeSet<Str>) -> bool {
    used.contains(&class.meta.name) || class.is_default() && used.contains("")
}

/// Classes whose volumes nobody makes, though there are claims for them.
fn no_driver(plan: &Plan, out: &mut Vec<Diagnostic>) {
    let used = classes_in_use(plan);
    for planned in objects(plan) {
        let Object::StorageClass(class) = &planned.object else { continue };
        let driver = migrated_driver(&class.provisioner).unwrap_or(&class.provisioner);
        let by_hand = driver == drivers::NO_PROVISIONER;
        if by_hand || !is_in_use(class, &used) || is_installed(plan, driver) {
            continue;
        }
        let name = &class.meta.name;
        let message =
            format!("nobody runs `{driver}`, the provisioner of the class `{name}`: its claims wait");
        let help = "name the driver in the nodes' `volumeLimits`, or add its CSIDriver to the manifests";
        out.push(warn(code::LINT_NO_DRIVER, planned.origin, message, help));
    }
}

fn is_installed(plan: &Plan, driver: &str) -> bool {
    let object = objects(plan).find_map(|planned| match &planned.object {
        Object::CsiDriver(object) if object.meta.name == driver => Some(&**object),
        _ => None,
    });
    let applied = objects(plan).filter_map(|planned| match &planned.object {
        Object::CsiNode(node) => Some(&**node),
        _ => None,
    });
    drivers::is_installed(driver, object, plan.nodes.iter().map(|n| &n.csi_node).chain(applied))
}

/// Classes that claims name; empty for those that name none.
fn classes_in_use(plan: &Plan) -> BTreeSet<Str> {
    claims(plan).map(|claim| claim.class.unwrap_or_default()).collect()
}

/// Directories of nodes that containers write into, for Pods that may move. Agents (DaemonSets) are meant to have such.
fn host_paths(plan: &Plan, out: &mut Vec<Diagnostic>) {
    for planned in objects(plan) {
        let moves = matches!(
            planned.object,
            Object::Deployment(_)
                | Object::ReplicaSet(_)
                | Object::ReplicationController(_)
                | Object::StatefulSet(_)
        );
        let Some((_, spec)) = pods_of(&planned.object).filter(|_| moves) else { continue };
        let written =
            volumes_of(&planned.object).find(|v| v.host_path.is_some() && is_written(spec, &v.name));
        let Some(path) = written.and_then(|v| v.host_path.as_ref()).map(|h| h.path.as_str()) else {
            continue;
        };
        let (kind, name) = (planned.object.kind_name(), &planned.object.meta().name);
        let message = format!("{kind} `{name}` writes into `{path}` of whichever node its Pods are on");
        let help = "a Pod that moves finds another node's directory: use a claim";
        out.push(warn(code::LINT_HOST_PATH, planned.origin, message, help));
    }
}

/// Volumes that are directories of nodes, though they can be reached from every node.
fn host_volumes(plan: &Plan, out: &mut Vec<Diagnostic>) {
    if plan.nodes.len() < 2 {
        return;
    }
    let used = classes_in_use(plan);
    let help =
        "a Pod that moves finds another node's directory: use a `local` volume with node affinity, or a disk";
    for planned in objects(plan) {
        let message = match &planned.object {
            Object::PersistentVolume(v) if v.node_affinity.is_none() => match &v.source {
                PvSource::HostPath(path) => {
                    format!("the volume `{}` is `{path}` of whichever node its Pod is on", v.meta.name)
                }
                _ => continue,
            },
            Object::StorageClass(class) if is_in_use(class, &used) => {
                let driver = drivers::of(&class.provisioner);
                let (Makes::HostPath(folder), true) = (driver.makes, driver.volume_keys.is_empty()) else {
                    continue;
                };
                let name = &class.meta.name;
                format!(
                    "volumes of the class `{name}` are below `{folder}` of whichever node their Pod is on"
                )
            }
            _ => continue,
        };
        out.push(warn(code::LINT_HOST_PATH, planned.origin, message, help));
    }
}

/// Node groups over several zones that an autoscaler manages, while there are claims for volumes of one zone.
fn spanning_groups(plan: &Plan, out: &mut Vec<Diagnostic>) {
    let managed = plan.node_groups.iter().find(|g| g.spans_zones() && g.bounds.is_some());
    let Some(group) = managed else { return };
    let used = classes_in_use(plan);
    let zonal = |class: &StorageClass| {
        let driver = migrated_driver(&class.provisioner).unwrap_or(&class.provisioner);
        drivers::of(driver).volume_keys.iter().any(|key| key.ends_with("/zone"))
    };
    let found = objects(plan).find_map(|planned| match &planned.object {
        Object::StorageClass(class) if is_in_use(class, &used) && zonal(class) => {
            Some((&class.meta.name, planned.origin))
        }
        _ => None,
    });
    if let Some((class, origin)) = found {
        let message = format!(
            "volumes of the class `{class}` lie in one zone, and the node group `{}` spans {}: the autoscaler cannot ask for a node in the zone of a volume",
            group.of,
            group.zones.len()
        );
        let help = "leave out `spansZones`: one group for each zone";
        out.push(warn(code::LINT_SPANNING_GROUP, origin, message, help));
    }
}

/// The volumes that a template of Pods names, but for those in whose place a StatefulSet puts its own claims.
fn volumes_of(object: &Object) -> impl Iterator<Item = &Volume> {
    let named = pods_of(object).into_iter().flat_map(|(_, spec)| spec.volumes.iter().flatten());
    named.filter(move |volume| !matches!(object, Object::StatefulSet(set) if set.owns_volume(&volume.name)))
}

/// Whether a container may write into a volume.
fn is_written(spec: &PodSpec, volume: &str) -> bool {
    let mounts = spec.containers.iter().flat_map(|c| c.volume_mounts.iter().flatten());
    mounts.into_iter().any(|m| m.name == volume && m.read_only != Some(true))
}

/// Claims that only one node at a time can use, in a template of several replicas.
fn shared_disks(plan: &Plan, out: &mut Vec<Diagnostic>) {
    if plan.nodes.len() < 2 {
        return;
    }
    let one_node = |modes: &[AccessMode]| !modes.is_empty() && modes.iter().all(|m| m.is_single_node());
    let single: BTreeSet<ObjectKey> = objects(plan)
        .filter_map(|planned| match &planned.object {
            Object::PersistentVolumeClaim(c) if one_node(&c.spec.access_modes) => Some(c.meta.key()),
            _ => None,
        })
        .collect();
    for planned in objects(plan) {
        let replicas = match &planned.object {
            Object::Deployment(o) => o.replicas,
            Object::ReplicaSet(o) => o.replicas,
            Object::StatefulSet(o) => o.replicas,
            _ => continue,
        };
        if replicas < 2 {
            continue;
        }
        let (kind, meta) = (planned.object.kind_name(), planned.object.meta());
        let named = volumes_of(&planned.object).filter_map(|v| v.persistent_volume_claim.as_ref());
        for claim in named.map(|source| source.claim_name.as_str()) {
            if single.contains(&ObjectKey::new(meta.namespace.clone(), claim)) {
                let message = format!(
                    "{replicas} replicas of {kind} `{}` share the claim `{claim}`, which one node at a time can use",
                    meta.name
                );
                let help =
                    "give each its own claim (a StatefulSet's `volumeClaimTemplates`), or use ReadWriteMany";
                out.push(warn(code::LINT_SHARED_DISK, planned.origin, message, help));
            }
        }
    }
}

/// A claim of the manifests and steps.
struct Claim {
    /// Its key; that of a template has the template's name.
    key: ObjectKey,
    /// Its class, if it names one.
    class: Option<Str>,
    modes: Vec<AccessMode>,
    size: Quantity,
    block: bool,
    origin: Span,
}

impl Claim {
    fn of(key: ObjectKey, class: Option<Str>, spec: &ClaimSpec, origin: Span) -> Self {
        let size = spec.requests.get(STORAGE).unwrap_or(Quantity::ZERO);
        Self { key, class, modes: spec.access_modes.clone(), size, block: spec.block, origin }
    }
}

/// All claims of the manifests and steps, those of templates by the template's name.
fn claims(plan: &Plan) -> impl Iterator<Item = Claim> {
    objects(plan).flat_map(|planned| {
        let (origin, namespace) = (planned.origin, planned.object.meta().namespace.clone());
        let key = |name: &str| ObjectKey::new(namespace.clone(), name);
        let mut found: Vec<Claim> = match &planned.object {
            Object::PersistentVolumeClaim(c) => {
                let class = Some(c.class()).filter(|class| !class.is_empty());
                vec![Claim::of(c.meta.key(), class, &c.spec, origin)]
            }
            Object::StatefulSet(set) => {
                let of = |t: &Arc<ClaimTemplate>| {
                    // The annotation of old goes before the field.
                    let old = t.meta.annotations.get(annotation::CLASS_BETA);
                    let class = old.or(t.spec.storage_class.as_ref()).cloned();
                    Claim::of(key(&t.meta.name), class, &t.spec, origin)
                };
                set.claim_templates.iter().map(of).collect()
            }
            _ => Vec::new(),
        };
        let templates = volumes_of(&planned.object)
            .filter_map(|v| Some((v, v.ephemeral.as_ref()?.volume_claim_template.as_ref()?)));
        found.extend(templates.filter_map(|(volume, template)| {
            // What is wrong with the spec itself is said where manifests are read.
            let spec = lower_claim_spec(template.spec.clone()).ok()?;
            Some(Claim::of(key(&volume.name), spec.storage_class.clone(), &spec, origin))
        }));
        found
    })
}

/// Claims for which a class makes no volume: its driver cannot, or its parameters do not allow it.
fn impossible_volumes(plan: &Plan, out: &mut Vec<Diagnostic>) {
    let classes: Vec<&StorageClass> = objects(plan)
        .filter_map(|planned| match &planned.object {
            Object::StorageClass(class) => Some(&**class),
            _ => None,
        })
        .collect();
    for claim in claims(plan) {
        let class = classes.iter().find(|c| match &claim.class {
            Some(name) => c.meta.name == *name,
            None => c.is_default(),
        });
        let Some((class, (why, help))) = class.and_then(|c| Some((c, no_volume(c, &claim)?))) else {
            continue;
        };
        let message =
            format!("the class `{}` makes no volume for the claim `{}`: {why}", class.meta.name, claim.key);
        out.push(warn(code::LINT_NO_VOLUME, claim.origin, message, help));
    }
}

/// Why a class makes no volume for a claim, and what to do about it.
fn no_volume(class: &StorageClass, claim: &Claim) -> Option<(String, &'static str)> {
    let driver = migrated_driver(&class.provisioner).unwrap_or(&class.provisioner);
    let known = drivers::find(driver)?;
    let shared = claim.modes.iter().find(|mode| !mode.is_single_node());
    if let Some(mode) = shared.filter(|_| !known.shared && !claim.block) {
        let why = format!("`{driver}` has no {} for file systems", mode.as_str());
        return Some((why, "use ReadWriteOnce, or a class of shared file systems such as EFS"));
    }
    if driver != drivers::EBS {
        return None;
    }
    let gib = u64::try_from((claim.size.value().saturating_add((1 << 30) - 1)) >> 30).unwrap_or(0);
    let why = match ebs::check(&class.parameters, gib.max(1), shared.is_some()).err()? {
        Refusal::Argument(why) => why,
        Refusal::Driver(why) => why.to_owned(),
        Refusal::Ec2 { message, .. } => message,
    };
    Some((why, "change the size of the claim, or the parameters of the class"))
}

/// Claims of classes that nothing defines, or of none while none is the default. A class may also be a name that volumes by hand
/// and claims agree on, and a volume by hand may have none.
fn missing_classes(plan: &Plan, out: &mut Vec<Diagnostic>) {
    // The empty name stands for no class.
    let mut known: BTreeSet<Str> = BTreeSet::new();
    for planned in objects(plan) {
        match &planned.object {
            Object::StorageClass(class) => {
                known.insert(class.meta.name.clone());
                known.extend(class.is_default().then(Str::new));
            }
            Object::PersistentVolume(volume) => {
                known.insert(volume.class());
            }
            _ => {}
        }
    }
    let mut missing: BTreeMap<Str, (ObjectKey, Span)> = BTreeMap::new();
    for claim in claims(plan) {
        let class = claim.class.unwrap_or_default();
        if !known.contains(&class) {
            missing.entry(class).or_insert((claim.key, claim.origin));
        }
    }
    let names: Vec<&str> = known.iter().map(Str::as_str).filter(|name| !name.is_empty()).collect();
    for (class, (key, origin)) in missing {
        let (message, help) = if class.is_empty() {
            let message = format!("the claim `{key}` names no StorageClass, and none is the default");
            let mark = annotation::DEFAULT_CLASS;
            (message, format!("name one, or make one the default with the annotation `{mark}`"))
        } else {
            let message =
                format!("the claim `{key}` names the StorageClass `{class}`, which nothing defines");
            let near = crate::base::diag::did_you_mean(&class, names.iter().copied());
            let help = near.map_or_else(
                || "add the class to the manifests; clouds bring their own, a simulation does not".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            (message, help)
        };
        out.push(warn(code::LINT_NO_CLASS, origin, message, help));
    }
}
