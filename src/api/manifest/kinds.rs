//! The kinds that an API server of v1.34 serves by default, as one table.
//!
//! Upstream: `pkg/controlplane/instance.go` (`DefaultAPIResourceConfigSource`), v1.34: versions that
//! are beta or alpha are off unless someone switches them on.

use k8s_openapi::{Metadata, Resource};
use serde::de::DeserializeOwned;

use super::tree::Tree;
use super::tree::de::{TypeError, UnknownField, Words, from_tree_all};
use super::validate::{self, FieldError, Report};
use crate::api::metav1::ObjectMeta;
use crate::api::object::Kind;

/// Kinds that Kubernetes does not know and that something here acts on: group, kind, whether namespaced.
const CUSTOM: &[(&str, &str, bool)] = &[
    ("autoscaling.k8s.io", "VerticalPodAutoscaler", true),
    ("autoscaling.k8s.io", "VerticalPodAutoscalerCheckpoint", true),
    ("snapshot.storage.k8s.io", "VolumeSnapshot", true),
    ("snapshot.storage.k8s.io", "VolumeSnapshotContent", false),
    ("snapshot.storage.k8s.io", "VolumeSnapshotClass", false),
];

/// Whether objects of a custom kind that something acts on live in namespaces; none for other kinds.
pub(super) fn custom_scope(group: &str, kind: &str) -> Option<bool> {
    CUSTOM.iter().find(|(g, k, _)| *g == group && *k == kind).map(|(_, _, namespaced)| *namespaced)
}

/// What a check of one object found.
#[derive(Clone, Debug, Default)]
pub(super) struct Checked {
    pub(super) unknown: Vec<UnknownField>,
    pub(super) type_errors: Vec<TypeError>,
    pub(super) field_errors: Vec<FieldError>,
}

/// A kind of the API.
pub(super) struct Served {
    /// Group and version.
    pub(super) api_version: &'static str,
    /// `Deployment`.
    pub(super) kind: &'static str,
    /// Whether objects live in namespaces.
    pub(super) namespaced: bool,
    /// The kind in the simulation, if it plays a part there.
    pub(super) simulated: Option<Kind>,
    /// Whether objects would change what happens in a real cluster, while here they do not.
    pub(super) missed: bool,
    /// Reads an object of this kind as its type and validates it.
    pub(super) check: fn(&Tree) -> Checked,
}

fn check<T>(tree: &Tree, scope: validate::Scope, rules: fn(&T, &mut Report)) -> Checked
where
    T: DeserializeOwned + Metadata<Ty = ObjectMeta>,
{
    let (value, unknown, type_errors) = from_tree_all::<T>(tree, Words::Kubernetes);
    let mut report = Report::default();
    if let (Some(value), true) = (&value, type_errors.is_empty()) {
        validate::meta::object_meta(value.metadata(), scope, &mut report);
        rules(value, &mut report);
    }
    Checked { unknown, type_errors, field_errors: report.into_errors() }
}

fn nothing_more<T>(_: &T, _: &mut Report) {}

macro_rules! served {
    ($($group:ident :: $version:ident :: $type:ident, $scope:ident $name:ident, $simulated:expr, $missed:literal, $rules:expr;)*) => {
        /// Every kind that is served.
        pub(super) const SERVED: &[Served] = &[$({
            use k8s_openapi::api::$group::$version::$type as Type;
            Served {
                api_version: <Type as Resource>::API_VERSION,
                kind: <Type as Resource>::KIND,
                namespaced: matches!(validate::Scope::$scope(validate::NameRule::$name), validate::Scope::Namespaced(_)),
                simulated: $simulated,
                missed: $missed,
                check: |tree| check::<Type>(tree, validate::Scope::$scope(validate::NameRule::$name), $rules),
            }
        },)*
        {
            use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition as Type;
            Served {
                api_version: <Type as Resource>::API_VERSION,
                kind: <Type as Resource>::KIND,
                namespaced: false,
                simulated: None,
                missed: false,
                check: |tree| check::<Type>(tree, validate::Scope::Cluster(validate::NameRule::Subdomain), nothing_more),
            }
        },
        {
            use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService as Type;
            Served {
                api_version: <Type as Resource>::API_VERSION,
                kind: <Type as Resource>::KIND,
                namespaced: false,
                simulated: None,
                missed: false,
                check: |tree| check::<Type>(tree, validate::Scope::Cluster(validate::NameRule::Path), nothing_more),
            }
        }];
    };
}

served! {
    core::v1::Pod, Namespaced Subdomain, Some(Kind::Pod), false, validate::pod::pod;
    core::v1::Node, Cluster Subdomain, Some(Kind::Node), false, validate::policy::node;
    core::v1::Namespace, Cluster Label, Some(Kind::Namespace), false, nothing_more;
    core::v1::Service, Namespaced Label1035, Some(Kind::Service), false, validate::service::service;
    core::v1::Event, Namespaced Path, Some(Kind::Event), false, nothing_more;
    core::v1::PersistentVolume, Cluster Subdomain, Some(Kind::PersistentVolume), false, validate::storage::volume;
    core::v1::PersistentVolumeClaim, Namespaced Subdomain, Some(Kind::PersistentVolumeClaim), false, validate::storage::claim;
    core::v1::ReplicationController, Namespaced Subdomain, Some(Kind::ReplicationController), false, validate::workload::replication_controller;
    core::v1::ResourceQuota, Namespaced Subdomain, Some(Kind::ResourceQuota), false, validate::policy::resource_quota;
    core::v1::LimitRange, Namespaced Subdomain, Some(Kind::LimitRange), false, validate::policy::limit_range;
    core::v1::ConfigMap, Namespaced Subdomain, None, false, validate::config::config_map;
    core::v1::Secret, Namespaced Subdomain, None, false, validate::config::secret;
    core::v1::ServiceAccount, Namespaced Subdomain, None, false, nothing_more;
    core::v1::Endpoints, Namespaced Subdomain, None, false, nothing_more;
    core::v1::PodTemplate, Namespaced Subdomain, None, false, nothing_more;
    core::v1::Binding, Namespaced Subdomain, None, true, nothing_more;
    core::v1::ComponentStatus, Cluster Subdomain, None, false, nothing_more;
    apps::v1::Deployment, Namespaced Subdomain, Some(Kind::Deployment), false, validate::workload::deployment;
    apps::v1::ReplicaSet, Namespaced Subdomain, Some(Kind::ReplicaSet), false, validate::workload::replica_set;
    apps::v1::StatefulSet, Namespaced Label, Some(Kind::StatefulSet), false, validate::workload::stateful_set;
    apps::v1::DaemonSet, Namespaced Subdomain, Some(Kind::DaemonSet), false, validate::workload::daemon_set;
    apps::v1::ControllerRevision, Namespaced Subdomain, Some(Kind::ControllerRevision), false, nothing_more;
    batch::v1::Job, Namespaced Subdomain, Some(Kind::Job), false, validate::batch::job;
    batch::v1::CronJob, Namespaced Subdomain, Some(Kind::CronJob), false, validate::batch::cron_job;
    autoscaling::v2::HorizontalPodAutoscaler, Namespaced Subdomain, Some(Kind::HorizontalPodAutoscaler), false, validate::autoscaling::autoscaler;
    autoscaling::v1::HorizontalPodAutoscaler, Namespaced Subdomain, Some(Kind::HorizontalPodAutoscaler), false, validate::autoscaling::autoscaler_v1;
    policy::v1::PodDisruptionBudget, Namespaced Subdomain, Some(Kind::PodDisruptionBudget), false, validate::policy::disruption_budget;
    scheduling::v1::PriorityClass, Cluster Subdomain, Some(Kind::PriorityClass), false, validate::policy::priority_class;
    storage::v1::StorageClass, Cluster Subdomain, Some(Kind::StorageClass), false, validate::storage::class;
    storage::v1::CSINode, Cluster Subdomain, Some(Kind::CsiNode), false, nothing_more;
    storage::v1::CSIDriver, Cluster Subdomain, Some(Kind::CsiDriver), false, nothing_more;
    storage::v1::CSIStorageCapacity, Namespaced Subdomain, Some(Kind::CsiStorageCapacity), false, nothing_more;
    storage::v1::VolumeAttachment, Cluster Subdomain, Some(Kind::VolumeAttachment), false, nothing_more;
    storage::v1::VolumeAttributesClass, Cluster Subdomain, None, true, nothing_more;
    coordination::v1::Lease, Namespaced Subdomain, Some(Kind::Lease), false, nothing_more;
    discovery::v1::EndpointSlice, Namespaced Subdomain, Some(Kind::EndpointSlice), false, nothing_more;
    events::v1::Event, Namespaced Path, None, false, nothing_more;
    networking::v1::Ingress, Namespaced Subdomain, None, true, nothing_more;
    networking::v1::IngressClass, Cluster Subdomain, None, false, nothing_more;
    networking::v1::NetworkPolicy, Namespaced Subdomain, None, true, nothing_more;
    networking::v1::IPAddress, Cluster Path, None, false, nothing_more;
    networking::v1::ServiceCIDR, Cluster Subdomain, None, false, nothing_more;
    rbac::v1::Role, Namespaced Path, None, false, nothing_more;
    rbac::v1::RoleBinding, Namespaced Path, None, false, nothing_more;
    rbac::v1::ClusterRole, Cluster Path, None, false, nothing_more;
    rbac::v1::ClusterRoleBinding, Cluster Path, None, false, nothing_more;
    admissionregistration::v1::MutatingWebhookConfiguration, Cluster Subdomain, None, true, nothing_more;
    admissionregistration::v1::ValidatingWebhookConfiguration, Cluster Subdomain, None, true, nothing_more;
    admissionregistration::v1::ValidatingAdmissionPolicy, Cluster Subdomain, None, true, nothing_more;
    admissionregistration::v1::ValidatingAdmissionPolicyBinding, Cluster Subdomain, None, true, nothing_more;
    certificates::v1::CertificateSigningRequest, Cluster Path, None, false, nothing_more;
    flowcontrol::v1::FlowSchema, Cluster Subdomain, None, false, nothing_more;
    flowcontrol::v1::PriorityLevelConfiguration, Cluster Subdomain, None, false, nothing_more;
    node::v1::RuntimeClass, Cluster Subdomain, None, true, nothing_more;
    resource::v1::DeviceClass, Cluster Subdomain, None, true, nothing_more;
    resource::v1::ResourceClaim, Namespaced Subdomain, None, true, nothing_more;
    resource::v1::ResourceClaimTemplate, Namespaced Subdomain, None, true, nothing_more;
    resource::v1::ResourceSlice, Cluster Subdomain, None, true, nothing_more;
}

/// The row of a kind, if it is served.
pub(super) fn find(api_version: &str, kind: &str) -> Option<&'static Served> {
    SERVED.iter().find(|row| row.kind == kind && row.api_version == api_version)
}

/// The group of `group/version`; empty for the core group.
pub(super) fn group(api_version: &str) -> &str {
    api_version.rsplit_once('/').map_or("", |(group, _)| group)
}

/// Whether Kubernetes itself defines the group, so that what is not served in it does not exist.
pub(super) fn is_built_in(group: &str) -> bool {
    // Groups whose every version is gone, or is served only on request.
    const OTHERS: [&str; 5] = [
        "extensions",
        "settings.k8s.io",
        "internal.apiserver.k8s.io",
        "storagemigration.k8s.io",
        "authentication.k8s.io",
    ];
    OTHERS.contains(&group)
        || group == "authorization.k8s.io"
        || SERVED.iter().any(|row| self::group(row.api_version) == group)
}

/// What kubectl says of a kind that is not served, and what to write instead.
///
/// Upstream: `meta.NoKindMatchError`, and the deprecation guide of the Kubernetes documentation.
pub(super) fn no_match(api_version: &str, kind: &str) -> (String, Option<String>) {
    let message = format!("no matches for kind \"{kind}\" in version \"{api_version}\"");
    let gone = REMOVED.iter().find(|row| row.kind == kind && row.api_version == api_version);
    let since = gone.map_or(String::new(), |row| format!("no longer served since v{}; ", row.release));
    let served: Vec<&str> = SERVED.iter().filter(|row| row.kind == kind).map(|row| row.api_version).collect();
    let help = match served.first() {
        Some(version) => Some(format!("{since}write `apiVersion: {version}`")),
        None if gone.is_some() => Some(format!("{since}there is no successor")),
        None => {
            let names = SERVED.iter().filter(|row| row.api_version == api_version).map(|row| row.kind);
            crate::base::diag::did_you_mean(kind, names).map(|near| format!("did you mean `{near}`?"))
        }
    };
    (message, help)
}

/// A kind in a version that was once served.
struct Removed {
    api_version: &'static str,
    kind: &'static str,
    release: &'static str,
}

macro_rules! removed {
    ($($api_version:literal $release:literal: $($kind:ident)*;)*) => {
        const REMOVED: &[Removed] = &[$($(Removed {
            api_version: $api_version, kind: stringify!($kind), release: $release,
        },)*)*];
    };
}

removed! {
    "extensions/v1beta1" "1.16": Deployment DaemonSet ReplicaSet NetworkPolicy PodSecurityPolicy;
    "apps/v1beta1" "1.16": Deployment StatefulSet ControllerRevision;
    "apps/v1beta2" "1.16": Deployment StatefulSet DaemonSet ReplicaSet ControllerRevision;
    "extensions/v1beta1" "1.22": Ingress;
    "networking.k8s.io/v1beta1" "1.22": Ingress IngressClass;
    "rbac.authorization.k8s.io/v1alpha1" "1.22": Role RoleBinding ClusterRole ClusterRoleBinding;
    "rbac.authorization.k8s.io/v1beta1" "1.22": Role RoleBinding ClusterRole ClusterRoleBinding;
    "admissionregistration.k8s.io/v1beta1" "1.22": MutatingWebhookConfiguration ValidatingWebhookConfiguration;
    "apiextensions.k8s.io/v1beta1" "1.22": CustomResourceDefinition;
    "apiregistration.k8s.io/v1beta1" "1.22": APIService;
    "certificates.k8s.io/v1beta1" "1.22": CertificateSigningRequest;
    "coordination.k8s.io/v1beta1" "1.22": Lease;
    "scheduling.k8s.io/v1alpha1" "1.22": PriorityClass;
    "scheduling.k8s.io/v1beta1" "1.22": PriorityClass;
    "storage.k8s.io/v1beta1" "1.22": StorageClass CSIDriver CSINode VolumeAttachment;
    "batch/v1beta1" "1.25": CronJob;
    "batch/v2alpha1" "1.21": CronJob;
    "discovery.k8s.io/v1beta1" "1.25": EndpointSlice;
    "events.k8s.io/v1beta1" "1.25": Event;
    "autoscaling/v2beta1" "1.25": HorizontalPodAutoscaler;
    "autoscaling/v2beta2" "1.26": HorizontalPodAutoscaler;
    "policy/v1beta1" "1.25": PodDisruptionBudget PodSecurityPolicy;
    "node.k8s.io/v1beta1" "1.25": RuntimeClass;
    "flowcontrol.apiserver.k8s.io/v1beta1" "1.26": FlowSchema PriorityLevelConfiguration;
    "flowcontrol.apiserver.k8s.io/v1beta2" "1.29": FlowSchema PriorityLevelConfiguration;
    "flowcontrol.apiserver.k8s.io/v1beta3" "1.32": FlowSchema PriorityLevelConfiguration;
    "storage.k8s.io/v1beta1" "1.27": CSIStorageCapacity;
    "settings.k8s.io/v1alpha1" "1.20": PodPreset;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::object::KINDS;

    #[test]
    fn every_simulated_kind_is_served_under_its_own_name() {
        for info in KINDS.iter().filter(|info| !info.name.is_empty()) {
            let row =
                find(info.api_version, info.name).unwrap_or_else(|| panic!("{} is not served", info.name));
            assert_eq!((row.simulated, row.namespaced), (Some(info.kind), info.namespaced), "{}", info.name);
        }
    }

    #[test]
    fn what_is_gone_is_told_in_the_words_of_kubectl_with_the_version_to_write() {
        for (api_version, kind, help) in [
            ("extensions/v1beta1", "Deployment", "no longer served since v1.16; write `apiVersion: apps/v1`"),
            (
                "extensions/v1beta1",
                "Ingress",
                "no longer served since v1.22; write `apiVersion: networking.k8s.io/v1`",
            ),
            ("policy/v1beta1", "PodSecurityPolicy", "no longer served since v1.25; there is no successor"),
            (
                "autoscaling/v2beta2",
                "HorizontalPodAutoscaler",
                "no longer served since v1.26; write `apiVersion: autoscaling/v2`",
            ),
            ("v1", "Deployment", "write `apiVersion: apps/v1`"),
            ("apps/v1", "Deploymnt", "did you mean `Deployment`?"),
        ] {
            let (message, found) = no_match(api_version, kind);
            assert_eq!(message, format!("no matches for kind \"{kind}\" in version \"{api_version}\""));
            assert_eq!(found.as_deref(), Some(help));
        }
    }

    #[test]
    fn no_version_is_both_served_and_gone() {
        for row in REMOVED {
            assert!(find(row.api_version, row.kind).is_none(), "{} {}", row.api_version, row.kind);
            assert!(is_built_in(group(row.api_version)), "{}", row.api_version);
        }
    }
}
