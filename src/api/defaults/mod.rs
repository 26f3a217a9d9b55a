//! What the API server fills in when a field is absent, on boundary types.
//!
//! Only defaulting and the canonical form of what was written: what admission adds (priorities, tolerations,
//! service accounts) and what `create` allocates (addresses, generated selectors) is the store's.
//!
//! Upstream: `pkg/apis/*/v1/defaults.go` and `zz_generated.defaults.go`, v1.34.

mod autoscaling;
mod canonical;
mod container;
mod pod;
mod pod_level;
mod service;
mod storage;
mod volume;
mod workload;

pub(crate) use autoscaling::cpu_metric;
pub use autoscaling::default_horizontal_pod_autoscaler;
pub(crate) use pod::default_requests;
pub use pod::{default_pod, default_pod_spec, default_pod_template, merge_match_label_keys};
pub use service::{
    default_endpoint_slice, default_limit_range, default_namespace, default_node, default_service,
};
pub use storage::{
    default_csi_driver, default_persistent_volume, default_persistent_volume_claim,
    default_persistent_volume_claim_spec, default_storage_class,
};
pub use workload::{
    default_cron_job, default_daemon_set, default_deployment, default_job, default_priority_class,
    default_replica_set, default_replication_controller, default_stateful_set,
};

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity as BoundaryQuantity;

use super::lower::meta::round_to_milli;
use crate::base::Quantity;

/// A resource list of the boundary.
pub(crate) type List = BTreeMap<String, BoundaryQuantity>;

/// Rounds every amount up to thousandths and writes it in its canonical form; drops an empty list.
///
/// Upstream: `pkg/apis/core/v1/defaults.go` `SetDefaults_ResourceList`, v1.34.
pub(crate) fn resource_list(list: &mut Option<List>) {
    if list.as_ref().is_some_and(BTreeMap::is_empty) {
        *list = None;
    }
    for quantity in list.iter_mut().flat_map(BTreeMap::values_mut) {
        if let Ok(amount) = Quantity::parse(&quantity.0) {
            quantity.0 = round_to_milli(amount).to_string();
        }
    }
}

/// Fills in a text that is absent or empty.
pub(crate) fn text(field: &mut Option<String>, default: &str) {
    if field.as_deref().is_none_or(str::is_empty) {
        *field = Some(default.to_owned());
    }
}

/// Fills in a number that is absent or zero.
pub(crate) fn number(field: &mut Option<i32>, default: i32) {
    if field.is_none_or(|n| n == 0) {
        *field = Some(default);
    }
}
