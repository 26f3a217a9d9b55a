//! How things stand: workloads, and Pods that wait.

use crate::api::pod::cond;
use crate::api::workload::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use crate::api::{Meta, Object, Phase, Pod, condition};
use crate::base::Str;
use crate::report::holding::last_warnings;
use crate::store::Store;

/// How a workload stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkloadLine {
    /// Its namespace.
    pub namespace: Str,
    /// `deployment/web`.
    pub name: String,
    /// Pods wanted.
    pub desired: i32,
    /// Pods ready.
    pub ready: i32,
    /// Pods available.
    pub available: i32,
}

/// How a workload stands; none for other kinds, and for ReplicaSets of a Deployment.
pub fn workload_line(object: &Object) -> Option<WorkloadLine> {
    let line = |meta: &Meta, kind: &str, desired, ready, available| WorkloadLine {
        namespace: meta.namespace.clone(),
        name: format!("{kind}/{}", meta.name),
        desired,
        ready,
        available,
    };
    match object {
        Object::Deployment(d) => {
            let Deployment { meta, status, replicas, .. } = &**d;
            Some(line(meta, "deployment", *replicas, status.ready_replicas, status.available_replicas))
        }
        Object::StatefulSet(s) => {
            let StatefulSet { meta, status, replicas, .. } = &**s;
            Some(line(meta, "statefulset", *replicas, status.ready_replicas, status.available_replicas))
        }
        Object::DaemonSet(d) => {
            let DaemonSet { meta, status, .. } = &**d;
            let desired = status.desired_number_scheduled;
            Some(line(meta, "daemonset", desired, status.number_ready, status.number_available))
        }
        Object::ReplicaSet(r) if r.meta.controller().is_none() => {
            let ReplicaSet { meta, status, replicas, .. } = &**r;
            Some(line(meta, "replicaset", *replicas, status.ready_replicas, status.available_replicas))
        }
        Object::ReplicationController(r) => {
            let ReplicaSet { meta, status, replicas, .. } = &r.0;
            let (ready, available) = (status.ready_replicas, status.available_replicas);
            Some(line(meta, "replicationcontroller", *replicas, ready, available))
        }
        _ => None,
    }
}

/// How all workloads stand in a store, by namespace and name.
pub fn closing(store: &Store) -> Vec<WorkloadLine> {
    use crate::api::Kind;
    let kinds =
        [Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet, Kind::ReplicaSet, Kind::ReplicationController];
    let mut lines: Vec<WorkloadLine> =
        kinds.iter().flat_map(|kind| store.list_objects(*kind)).filter_map(|o| workload_line(&o)).collect();
    lines.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    lines
}

/// Pods that are Pending: those that wait for a node with the scheduler's sentence, others with the last complaint.
pub fn waiting(store: &Store) -> Vec<(String, String)> {
    let waiting =
        || store.list::<Pod>().filter(|p| p.status.phase == Phase::Pending && !p.meta.is_deleting());
    let complaints = last_warnings(store, waiting().filter(|p| p.node_name.is_some()).map(|p| &p.meta.uid));
    let why = |pod: &Pod| match &pod.node_name {
        None => {
            let said = condition::find(&pod.status.conditions, cond::POD_SCHEDULED);
            Some(said.map_or_else(String::new, |c| c.message.to_string()))
        }
        Some(_) => {
            let said = complaints.get(&pod.meta.uid)?;
            Some(format!("{}: {}", said.reason, said.message.trim_end().replace('\n', " ")))
        }
    };
    let mut pods: Vec<_> = waiting().filter_map(|p| Some((p.meta.key().to_string(), why(p)?))).collect();
    pods.sort();
    pods
}
