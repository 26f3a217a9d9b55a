//! In-tree volumes that a CSI driver takes over: under what name, handle and topology.
//!
//! Upstream: `csi-translation-lib/{translate.go,plugins}`, `plugins/nodevolumelimits/utils.go`,
//! `plugins/volumebinding/binder.go` (`tryTranslatePVToCSI`), v1.34.
//!
//! # Fidelity
//! Of in-tree volumes only the identifiers of EBS, GCE PD and Azure disks are known; other kinds are told apart by
//! the PersistentVolume's name. Inline volumes are recognised for EBS and GCE PD.

use std::borrow::Cow;

use crate::api::NodeSelector;
use crate::api::node::{REGION_LABEL, REGION_LABEL_BETA, ZONE_LABEL, ZONE_LABEL_BETA};
use crate::api::selector::{NodeSelectorTerm, Operator, Requirement};
use crate::api::storage::{CsiNode, PersistentVolume, PvSource};
use crate::api::volume::VolumeSource;
use crate::base::Str;

/// An in-tree plugin and the driver that takes over its volumes.
#[derive(Debug, PartialEq, Eq)]
pub struct InTree {
    /// The plugin's name.
    pub name: &'static str,
    /// The driver.
    pub driver: &'static str,
    /// The label by which the driver places volumes, where zones are translated.
    topology_key: Option<&'static str>,
    /// Whether NodeVolumeLimits counts it: always, if the CSINode says that it is migrated, or never.
    limits: Migration,
    /// Whether VolumeBinding translates it, if the CSINode says that it is migrated.
    binds: bool,
}

/// When the volumes of a plugin count as the driver's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Migration {
    Always,
    IfListed,
    Never,
}

const fn in_tree(
    name: &'static str,
    driver: &'static str,
    topology_key: Option<&'static str>,
    limits: Migration,
    binds: bool,
) -> InTree {
    InTree { name, driver, topology_key, limits, binds }
}

const EBS: InTree = in_tree(
    "kubernetes.io/aws-ebs",
    "ebs.csi.aws.com",
    Some("topology.ebs.csi.aws.com/zone"),
    Migration::Always,
    true,
);
const GCE_PD: InTree = in_tree(
    "kubernetes.io/gce-pd",
    "pd.csi.storage.gke.io",
    Some("topology.gke.io/zone"),
    Migration::Always,
    true,
);
const AZURE_DISK: InTree =
    in_tree("kubernetes.io/azure-disk", "disk.csi.azure.com", None, Migration::Always, true);
const CINDER: InTree = in_tree(
    "kubernetes.io/cinder",
    "cinder.csi.openstack.org",
    Some("topology.cinder.csi.openstack.org/zone"),
    Migration::Always,
    true,
);
const PORTWORX: InTree =
    in_tree("kubernetes.io/portworx-volume", "pxd.portworx.com", None, Migration::IfListed, true);
const AZURE_FILE: InTree =
    in_tree("kubernetes.io/azure-file", "file.csi.azure.com", None, Migration::Never, false);
const VSPHERE: InTree =
    in_tree("kubernetes.io/vsphere-volume", "csi.vsphere.vmware.com", None, Migration::Never, false);

const ALL: &[&InTree] = &[&EBS, &GCE_PD, &AZURE_DISK, &CINDER, &PORTWORX, &AZURE_FILE, &VSPHERE];

/// Plugins that a node's driver has taken over, as an annotation of its CSINode lists them.
pub const MIGRATED_PLUGINS: &str = "storage.alpha.kubernetes.io/migrated-plugins";

impl InTree {
    /// The plugin of a provisioner's name.
    pub fn of_name(name: &str) -> Option<&'static Self> {
        ALL.iter().copied().find(|p| p.name == name)
    }

    /// The plugin of a volume, if it is one that a driver takes over.
    pub fn of_volume(volume: &PersistentVolume) -> Option<&'static Self> {
        match &volume.source {
            PvSource::AwsEbs(_) => Some(&EBS),
            PvSource::GcePd(_) => Some(&GCE_PD),
            PvSource::AzureDisk(_) => Some(&AZURE_DISK),
            PvSource::Other(kind) => match kind.as_str() {
                "cinder" => Some(&CINDER),
                "portworxVolume" => Some(&PORTWORX),
                "azureFile" => Some(&AZURE_FILE),
                "vsphereVolume" => Some(&VSPHERE),
                _ => None,
            },
            PvSource::Csi { .. } | PvSource::Nfs { .. } | PvSource::HostPath(_) | PvSource::Local(_) => None,
        }
    }

    /// The plugin of a volume written into a Pod, with the driver's handle of it.
    pub fn of_inline(source: &VolumeSource) -> Option<(&'static Self, Str)> {
        match source {
            VolumeSource::AwsEbs { volume_id, .. } => Some((&EBS, ebs_handle(volume_id))),
            VolumeSource::GcePd { pd_name, .. } => {
                Some((&GCE_PD, format!("projects/UNSPECIFIED/zones/UNSPECIFIED/disks/{pd_name}").into()))
            }
            VolumeSource::Claim { .. }
            | VolumeSource::Ephemeral
            | VolumeSource::EmptyDir { .. }
            | VolumeSource::HostPath(_)
            | VolumeSource::ConfigMap { .. }
            | VolumeSource::Secret { .. }
            | VolumeSource::Iscsi { .. }
            | VolumeSource::Rbd { .. }
            | VolumeSource::InlineCsi { .. }
            | VolumeSource::Other => None,
        }
    }

    /// Whether NodeVolumeLimits counts its volumes as the driver's on a node.
    pub fn counts_on(&self, node: Option<&CsiNode>) -> bool {
        node.is_some()
            && match self.limits {
                Migration::Always => true,
                Migration::IfListed => self.is_listed(node),
                Migration::Never => false,
            }
    }

    fn is_listed(&self, node: Option<&CsiNode>) -> bool {
        let listed = node.and_then(|n| n.meta.annotations.get(MIGRATED_PLUGINS));
        listed.is_some_and(|names| names.split(',').any(|name| name == self.name))
    }

    /// The driver's handle of a volume.
    pub fn handle(&self, volume: &PersistentVolume) -> Str {
        match &volume.source {
            PvSource::AwsEbs(id) => ebs_handle(id),
            PvSource::GcePd(name) => gce_handle(volume, name),
            PvSource::AzureDisk(name) => name.clone(),
            PvSource::Csi { .. }
            | PvSource::Nfs { .. }
            | PvSource::HostPath(_)
            | PvSource::Local(_)
            | PvSource::Other(_) => volume.meta.name.clone(),
        }
    }
}

/// `aws://zone/vol-1` is `vol-1`.
fn ebs_handle(id: &Str) -> Str {
    match id.strip_prefix("aws://") {
        Some(rest) => rest.split_once('/').map_or("", |(_, path)| path.trim_matches('/')).into(),
        None => id.clone(),
    }
}

fn gce_handle(volume: &PersistentVolume, name: &str) -> Str {
    let labels = &volume.meta.labels;
    let label = |key| labels.get(key).filter(|v| !v.is_empty()).map(Str::as_str);
    let zones: Vec<&str> =
        label(ZONE_LABEL_BETA).or_else(|| label(ZONE_LABEL)).unwrap_or("").split("__").collect();
    match zones.as_slice() {
        [""] => format!("projects/UNSPECIFIED/zones/UNSPECIFIED/disks/{name}").into(),
        [zone] => format!("projects/UNSPECIFIED/zones/{zone}/disks/{name}").into(),
        [first, ..] => {
            let region = first.rsplit_once('-').map_or(*first, |(region, _)| region);
            format!("projects/UNSPECIFIED/regions/{region}/disks/{name}").into()
        }
        [] => name.into(),
    }
}

/// The node affinity of a volume as VolumeBinding checks it on a node: by the driver's topology if the node's
/// driver has taken over the volume's plugin.
pub fn effective_affinity<'a>(
    volume: &'a PersistentVolume,
    node: Option<&CsiNode>,
) -> Option<Cow<'a, NodeSelector>> {
    let own = volume.node_affinity.as_ref().map(Cow::Borrowed);
    let Some(plugin) = InTree::of_volume(volume).filter(|p| p.binds && p.is_listed(node)) else { return own };
    let Some(driver_key) = plugin.topology_key else { return own };
    translate(volume, driver_key).map(Cow::Owned)
}

/// Puts the driver's key in place of the zone label, or takes the zones from the volume's labels.
fn translate(volume: &PersistentVolume, driver_key: &str) -> Option<NodeSelector> {
    let (zone_key, region_key) = topology_labels(volume);
    let mut affinity = volume.node_affinity.clone();
    let has_zones = affinity.iter().any(|a| names_values(a, zone_key));
    if has_zones {
        affinity.iter_mut().for_each(|a| rename(a, zone_key, driver_key));
    } else if let Some(label) = volume.meta.labels.get(zone_key) {
        add_zones(&mut affinity, driver_key, label);
    }
    if region_key == REGION_LABEL_BETA {
        affinity.iter_mut().for_each(|a| rename(a, REGION_LABEL_BETA, REGION_LABEL));
    }
    affinity
}

/// The zone and region labels the volume uses: the current ones or the older.
fn topology_labels(volume: &PersistentVolume) -> (&'static str, &'static str) {
    let in_affinity = |key: &str| {
        let terms = volume.node_affinity.iter().flat_map(|a| &a.terms);
        terms.flat_map(|t| &t.expressions).any(|r| r.key == key)
    };
    let in_labels = |key: &str| volume.meta.labels.contains_key(key);
    let current = (ZONE_LABEL, REGION_LABEL);
    let older = (ZONE_LABEL_BETA, REGION_LABEL_BETA);
    if in_affinity(ZONE_LABEL) {
        current
    } else if in_affinity(ZONE_LABEL_BETA) || (!in_labels(ZONE_LABEL) && in_labels(ZONE_LABEL_BETA)) {
        older
    } else {
        current
    }
}

fn names_values(affinity: &NodeSelector, key: &str) -> bool {
    affinity.terms.iter().flat_map(|t| &t.expressions).any(|r| r.key == key && !r.values.is_empty())
}

fn rename(affinity: &mut NodeSelector, from: &str, to: &str) {
    for requirement in affinity.terms.iter_mut().flat_map(|t| &mut t.expressions) {
        if requirement.key == from {
            requirement.key = to.into();
        }
    }
}

fn add_zones(affinity: &mut Option<NodeSelector>, key: &str, label: &str) {
    let mut zones: Vec<&str> = label.split("__").map(str::trim).filter(|z| !z.is_empty()).collect();
    zones.sort_unstable();
    zones.dedup();
    if zones.is_empty() {
        return;
    }
    let affinity = affinity.get_or_insert_default();
    if affinity.terms.is_empty() {
        affinity.terms.push(NodeSelectorTerm::default());
    }
    for term in &mut affinity.terms {
        term.expressions.push(Requirement {
            key: key.into(),
            operator: Operator::In,
            values: zones.iter().map(|z| Str::from(*z)).collect(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Lasting;
    use crate::testkit::labels;

    fn volume(source: PvSource, text: &str, zone_key: &str) -> PersistentVolume {
        let meta = Lasting { labels: labels(text), ..Lasting::named("", "pv") }.into();
        let affinity = (!zone_key.is_empty()).then(|| NodeSelector {
            terms: vec![NodeSelectorTerm {
                expressions: vec![Requirement {
                    key: zone_key.into(),
                    operator: Operator::In,
                    values: vec!["a".into()],
                }],
                fields: Vec::new(),
            }],
        });
        PersistentVolume {
            meta,
            capacity: Default::default(),
            access_modes: Vec::new(),
            claim_ref: None,
            reclaim_policy: Default::default(),
            storage_class: Str::new(),
            block: false,
            node_affinity: affinity,
            source,
            attributes_class: None,
            mount_options: Vec::new(),
            rest: None,
            phase: Default::default(),
            reason: Str::new(),
            message: Str::new(),
        }
    }

    #[test]
    fn handles_are_the_drivers() {
        let handle = |source, text: &str| {
            let volume = volume(source, text, "");
            InTree::of_volume(&volume).map(|p| p.handle(&volume).to_string()).unwrap()
        };
        let zone = "topology.kubernetes.io/zone=";
        assert_eq!(handle(PvSource::AwsEbs("aws://us-east-1a/vol-1".into()), ""), "vol-1");
        assert_eq!(handle(PvSource::AwsEbs("aws:///vol-1".into()), ""), "vol-1");
        assert_eq!(handle(PvSource::AwsEbs("vol-1".into()), ""), "vol-1");
        let disk = || PvSource::GcePd("d".into());
        assert_eq!(handle(disk(), ""), "projects/UNSPECIFIED/zones/UNSPECIFIED/disks/d");
        assert_eq!(
            handle(disk(), &format!("{zone}us-east1-b")),
            "projects/UNSPECIFIED/zones/us-east1-b/disks/d"
        );
        let both = format!("{zone}us-east1-b__us-east1-c");
        assert_eq!(handle(disk(), &both), "projects/UNSPECIFIED/regions/us-east1/disks/d");
    }

    #[test]
    fn a_migrated_volume_is_placed_by_the_drivers_topology() {
        let annotations = [(MIGRATED_PLUGINS, "x,kubernetes.io/aws-ebs")].into_iter().collect();
        let migrated =
            CsiNode { meta: Lasting { annotations, ..Lasting::default() }.into(), ..CsiNode::default() };
        let keys = |text: &str, zone_key: &str, node: Option<&CsiNode>| {
            let volume = volume(PvSource::AwsEbs("vol-1".into()), text, zone_key);
            let affinity = effective_affinity(&volume, node)?;
            Some(
                affinity.terms[0].expressions.iter().map(|r| r.key.to_string()).collect::<Vec<_>>().join(","),
            )
        };
        let ebs = Some("topology.ebs.csi.aws.com/zone".to_owned());
        assert_eq!(keys("", ZONE_LABEL, None), Some(ZONE_LABEL.to_owned()));
        assert_eq!(keys("", ZONE_LABEL, Some(&migrated)), ebs);
        assert_eq!(keys("", ZONE_LABEL_BETA, Some(&migrated)), ebs);
        assert_eq!(keys("topology.kubernetes.io/zone=a", "", Some(&migrated)), ebs);
        assert_eq!(keys("", "", Some(&migrated)), None);
    }
}
