//! The list of all controllers.

use super::framework::Controller;
use super::volume::{
    attach_detach::AttachDetach, attacher::Attacher, binder::Binder, ephemeral::EphemeralVolumes,
    expansion::Expander, expansion::Resizer, protection::ClaimProtection, protection::VolumeProtection,
    provisioner::Provisioner, snapshot::controller::SnapshotController, snapshot::sidecar::Snapshotter,
};
use super::{
    cronjob::CronJobController, daemonset::DaemonSetController, deployment::DeploymentController,
    disruption::DisruptionController, endpointslice::EndpointSliceController,
    garbage_collector::GarbageCollector, job::JobController, namespace::NamespaceController,
    nodelifecycle::NodeLifecycle, podautoscaler::HorizontalController, podgc::PodGc,
    replica_set::ReplicaSetController, resourcequota::ResourceQuotaController,
    statefulset::StatefulSetController, taint_eviction::TaintEviction, ttlafterfinished::TtlAfterFinished,
};
use crate::api::workload::{ReplicaSet, ReplicationController};
use crate::params::settings::ControllerManager;
use crate::params::{Latencies, Operations, Settings};

/// What controllers are made from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ControllerParams {
    /// Flags of the components.
    pub settings: Settings,
    /// How long hardware and clouds take.
    pub latencies: Latencies,
    /// What is said of drivers.
    pub operations: Operations,
}

/// A row of the table: makes one controller.
type Make = fn(&ControllerParams) -> Box<dyn Controller>;

/// All controllers, in the order in which they hear of changes.
#[rustfmt::skip] // one row per line
pub const TABLE: &[(&str, Make)] = &[
    ("node-lifecycle-controller", |p| Box::new(NodeLifecycle::new(&p.settings.kube_controller_manager))),
    ("taint-eviction-controller", |_| Box::new(TaintEviction::default())),
    ("pod-garbage-collector-controller", |p| Box::new(PodGc::new(&p.settings.kube_controller_manager))),
    ("deployment-controller", |_| Box::new(DeploymentController::default())),
    ("replicaset-controller", |_| Box::new(ReplicaSetController::<ReplicaSet>::default())),
    ("replicationcontroller-controller", |_| Box::new(ReplicaSetController::<ReplicationController>::default())),
    ("statefulset-controller", |_| StatefulSetController::boxed()),
    ("daemonset-controller", |_| DaemonSetController::boxed()),
    ("job-controller", |_| JobController::boxed()),
    ("horizontal-pod-autoscaler-controller", |p| Box::new(HorizontalController::new(&p.settings.kube_controller_manager))),
    ("persistentvolume-binder-controller", |_| Binder::boxed()),
    ("csi-provisioner", |p| Provisioner::boxed(p.latencies.volume_provision, p.operations.clone())),
    ("persistentvolume-attach-detach-controller", |p| AttachDetach::boxed(p.settings.kube_controller_manager.attach_detach_reconcile_sync_period)),
    ("csi-attacher", |p| Attacher::boxed(p.latencies.volume_attach, p.latencies.volume_detach, p.operations.clone())),
    ("persistentvolume-expander-controller", |_| Expander::boxed()),
    ("csi-resizer", |p| Resizer::boxed(p.latencies.volume_provision, p.operations.clone())),
    ("snapshot-controller", |_| SnapshotController::boxed()),
    ("csi-snapshotter", |p| Snapshotter::boxed(p.latencies.volume_snapshot, p.latencies.snapshot_ready, p.operations.clone())),
    ("persistentvolumeclaim-protection-controller", |_| ClaimProtection::boxed()),
    ("persistentvolume-protection-controller", |_| VolumeProtection::boxed()),
    ("ephemeral-volume-controller", |_| EphemeralVolumes::boxed()),
    ("cronjob-controller", |p| Box::new(CronJobController::new(workers(p.settings.kube_controller_manager.concurrent_cron_job_syncs)))),
    ("ttl-after-finished-controller", |_| Box::new(TtlAfterFinished)),
    ("resourcequota-controller", |p| Box::new(ResourceQuotaController::new(workers(p.settings.kube_controller_manager.concurrent_resource_quota_syncs)))),
    ("disruption-controller", |_| Box::new(DisruptionController)),
    ("garbage-collector-controller", |p| Box::new(GarbageCollector::new(workers(p.settings.kube_controller_manager.concurrent_gc_syncs)))),
    ("namespace-controller", |p| Box::new(NamespaceController::new(workers(p.settings.kube_controller_manager.concurrent_namespace_syncs)))),
    ("endpointslice-controller", |p| Box::new(EndpointSliceController::new(workers(p.settings.kube_controller_manager.concurrent_endpoint_syncs)))),
];

/// A number of workers, at least one.
fn workers(flag: i64) -> usize {
    usize::try_from(flag).unwrap_or(1).max(1)
}

/// Workers of the controllers for which upstream has a flag, by the controller's name.
pub fn workers_of(name: &str, flags: &ControllerManager) -> Option<usize> {
    let flag = match name {
        "deployment-controller" => flags.concurrent_deployment_syncs,
        "replicaset-controller" => flags.concurrent_replicaset_syncs,
        "replication-controller" => flags.concurrent_rc_syncs,
        "statefulset-controller" => flags.concurrent_statefulset_syncs,
        "daemonset-controller" => flags.concurrent_daemonset_syncs,
        "job-controller" => flags.concurrent_job_syncs,
        "ttl-after-finished-controller" => flags.concurrent_ttl_after_finished_syncs,
        _ => return None,
    };
    Some(workers(flag))
}

/// Makes them all.
pub fn all(params: &ControllerParams) -> Vec<Box<dyn Controller>> {
    TABLE.iter().map(|(_, make)| make(params)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::settings::FlagValue;

    /// Facts §0.1: workers; the deployment controller alone gives up.
    #[test]
    fn controllers_have_as_many_workers_as_upstreams() {
        let controllers = all(&ControllerParams::default());
        let of = |name: &str| {
            let found = controllers.iter().zip(TABLE).find(|(_, (row, _))| *row == name);
            found.map(|(c, _)| (c.workers(), c.retries_max())).unwrap()
        };
        for (name, workers, retries) in [
            ("deployment-controller", 5, Some(15)),
            ("replicaset-controller", 5, None),
            ("replicationcontroller-controller", 5, None),
            ("statefulset-controller", 5, None),
            ("daemonset-controller", 2, None),
            ("job-controller", 5, None),
            ("cronjob-controller", 5, None),
            ("ttl-after-finished-controller", 5, None),
            ("garbage-collector-controller", 20, None),
            ("namespace-controller", 10, None),
            ("resourcequota-controller", 5, None),
            ("endpointslice-controller", 5, Some(15)),
        ] {
            assert_eq!(of(name), (workers, retries), "{name}");
        }
    }

    /// §0.1: each flag of workers reaches the controller of its name.
    #[test]
    fn flags_of_workers_reach_their_controllers() {
        let mut flags = ControllerManager::default();
        let names: Vec<&str> = all(&ControllerParams::default()).iter().map(|c| c.name()).collect();
        for (flag, name) in [
            ("concurrent-deployment-syncs", "deployment-controller"),
            ("concurrent-replicaset-syncs", "replicaset-controller"),
            ("concurrent-rc-syncs", "replication-controller"),
            ("concurrent-statefulset-syncs", "statefulset-controller"),
            ("concurrent-daemonset-syncs", "daemonset-controller"),
            ("concurrent-job-syncs", "job-controller"),
            ("concurrent-ttl-after-finished-syncs", "ttl-after-finished-controller"),
        ] {
            assert!(names.contains(&name), "{name}");
            assert!(flags.set(flag, FlagValue::Integer(7)));
            assert_eq!(workers_of(name, &flags), Some(7), "{name}");
            assert!(flags.set(flag, FlagValue::Integer(0)));
            assert_eq!(workers_of(name, &flags), Some(1), "{name}");
        }
    }
}
