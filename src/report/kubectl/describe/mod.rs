//! `kubectl describe`.
//!
//! * [`sheet`]: lines with tabs, laid out as kubectl lays them out. * [`events`]: the table at the end.
//! * [`pod`], [`container`], [`volume`]: Pods and templates. * [`workload`], [`batch`]: what makes Pods.
//! * [`node`], [`service`], [`storage`], [`policy`], [`autoscaler`]: the other kinds. * [`generic`]: kinds without words of
//!   their own.
//!
//! Upstream: `kubectl/pkg/describe/describe.go`, v1.34.
//!
//! # Fidelity
//! Ages are those at the instant that is looked at, where kubectl takes the clock of its own machine. Ids of
//! containers and images are empty: no image runs here.

mod autoscaler;
mod batch;
mod container;
mod events;
mod generic;
mod node;
mod pod;
mod policy;
mod service;
mod sheet;
mod storage;
#[cfg(test)]
mod tests;
mod volume;
mod workload;

use crate::api::{Object, metav1};
use crate::base::Timestamp;
use crate::store::Store;
use sheet::Sheet;

/// Describes an object of a store at the store's present.
pub fn describe(object: &Object, store: &Store) -> String {
    let scene = Scene { store, now: store.timestamp(), object };
    let mut sheet = Sheet::default();
    match object {
        Object::Pod(o) => pod::pod(&mut sheet, o, &scene),
        Object::Node(o) => node::node(&mut sheet, o, &scene),
        Object::Deployment(o) => workload::deployment(&mut sheet, o, &scene),
        Object::ReplicaSet(o) => workload::replica_set(&mut sheet, o, &scene),
        Object::ReplicationController(o) => workload::replication_controller(&mut sheet, o, &scene),
        Object::StatefulSet(o) => workload::stateful_set(&mut sheet, o, &scene),
        Object::DaemonSet(o) => workload::daemon_set(&mut sheet, o, &scene),
        Object::Job(o) => batch::job(&mut sheet, o, &scene),
        Object::CronJob(o) => batch::cron_job(&mut sheet, o, &scene),
        Object::Service(o) => service::service(&mut sheet, o, &scene),
        Object::EndpointSlice(o) => service::endpoint_slice(&mut sheet, o, &scene),
        Object::PersistentVolumeClaim(o) => storage::claim(&mut sheet, o, &scene),
        Object::PersistentVolume(o) => storage::persistent_volume(&mut sheet, o, &scene),
        Object::StorageClass(o) => storage::class(&mut sheet, o, &scene),
        Object::CsiNode(o) => storage::csi_node(&mut sheet, o, &scene),
        Object::Namespace(o) => policy::namespace(&mut sheet, o, &scene),
        Object::ResourceQuota(o) => policy::quota(&mut sheet, o),
        Object::LimitRange(o) => policy::limit_range(&mut sheet, o),
        Object::PodDisruptionBudget(o) => policy::budget(&mut sheet, o, &scene),
        Object::PriorityClass(o) => policy::priority_class(&mut sheet, o, &scene),
        Object::HorizontalPodAutoscaler(o) => autoscaler::autoscaler(&mut sheet, o, &scene),
        Object::Inert(o) if o.kind == "ConfigMap" => generic::config_map(&mut sheet, object, &scene),
        Object::Event(_)
        | Object::ControllerRevision(_)
        | Object::CsiDriver(_)
        | Object::CsiStorageCapacity(_)
        | Object::VolumeAttachment(_)
        | Object::Lease(_)
        | Object::Inert(_) => generic::any(&mut sheet, object, &scene),
    }
    sheet.finish()
}

/// What a description is made from besides the object itself.
struct Scene<'a> {
    store: &'a Store,
    now: Timestamp,
    object: &'a Object,
}

impl Scene<'_> {
    /// How long ago `time` was, as kubectl rounds it.
    fn since(&self, time: Option<&metav1::Time>) -> String {
        let at = time.map(|t| Timestamp::new(t.0.as_second()));
        super::age::since(at, self.now)
    }

    /// The Events about the object, as the last part of the description.
    fn events(&self, sheet: &mut Sheet) {
        events::table(sheet, self);
    }
}

/// A time as kubectl describes it: RFC 1123 with a numeric zone.
fn date(time: Option<&metav1::Time>) -> String {
    time.map_or_else(
        || "Mon, 01 Jan 0001 00:00:00 +0000".to_owned(),
        |t| date_of(Timestamp::new(t.0.as_second())),
    )
}

/// As [`date`], of a time of ours.
fn date_of(at: Timestamp) -> String {
    let instant = jiff::Timestamp::from_second(at.secs()).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    instant.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()
}

/// `Kind/name` of the managing owner.
fn controlled_by(meta: &crate::api::Meta) -> Option<String> {
    meta.controller().map(|owner| format!("{}/{}", owner.kind, owner.name))
}

/// A text, or `<none>`.
fn or_none(text: &str) -> &str {
    if text.is_empty() { "<none>" } else { text }
}
