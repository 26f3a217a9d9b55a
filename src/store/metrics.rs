//! The metrics APIs: `metrics.k8s.io`, `custom.metrics.k8s.io`, `external.metrics.k8s.io`.
//!
//! Other servers answer them, beside the store; an answer is computed when it is asked for. Nobody can watch them.

use crate::api::{LabelSelector, Pod};
use crate::base::{Arc, SimDuration, SimTime, Str};
use crate::store::{ObjId, Store};

/// A measured value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The value in thousandths: millicores, thousandths of a byte, of a request per second.
    pub milli: i64,
    /// When it was measured.
    pub at: SimTime,
    /// Over which time before that.
    pub window: SimDuration,
}

/// What resource metrics say of a Pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PodSample {
    /// Nothing: it is not listed.
    Missing,
    /// It is listed, without the container that was asked for.
    NoContainer,
    /// The sum over its containers, or of the one that was asked for.
    Value(Sample),
}

/// Who answers metrics APIs.
pub trait MetricsApi {
    /// Whether `metrics.k8s.io` is served.
    ///
    /// # Errors
    /// Why not, in the API server's words.
    fn resource_metrics(&self) -> Result<(), Str>;

    /// Usage of `cpu` or `memory` by a Pod, or by one of its containers.
    fn pod_usage(
        &self,
        store: &Store,
        id: ObjId,
        pod: &Pod,
        resource: &str,
        container: Option<&str>,
    ) -> PodSample;

    /// A custom metric of a Pod; none if it is not listed. Nobody serves any unless somebody says so.
    ///
    /// # Errors
    /// The metric is not served.
    fn pod_metric(
        &self,
        _store: &Store,
        _id: ObjId,
        _pod: &Pod,
        _metric: &str,
        _selector: &LabelSelector,
    ) -> Result<Option<Sample>, Str> {
        Err(no_custom_metrics())
    }

    /// A custom metric of an object, in thousandths.
    ///
    /// # Errors
    /// The metric is not served.
    fn object_metric(
        &self,
        _store: &Store,
        _namespace: &str,
        _object: (&str, &str),
        _metric: &str,
        _selector: &LabelSelector,
    ) -> Result<i64, Str> {
        Err(no_custom_metrics())
    }

    /// The values of an external metric, in thousandths.
    ///
    /// # Errors
    /// The metric is not served.
    fn external_metric(
        &self,
        _store: &Store,
        _namespace: &str,
        metric: &str,
        _selector: &LabelSelector,
    ) -> Result<Vec<i64>, Str> {
        Err(format!("{NOT_SERVED} (get {metric}.external.metrics.k8s.io)").into())
    }

    /// The first instant after `now` at which answers about these Pods, or about anything that is no Pod, change by
    /// themselves, without a write to the store. What cannot be known before is told by whoever changes it.
    fn next_change(&self, now: SimTime, pods: &[(ObjId, &Arc<Pod>)]) -> Option<SimTime>;
}

/// A cluster without metrics.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoMetrics;

/// What the API server says of an API group that nobody serves.
pub const NOT_SERVED: &str = "the server could not find the requested resource";

impl MetricsApi for NoMetrics {
    fn resource_metrics(&self) -> Result<(), Str> {
        Err(format!("{NOT_SERVED} (get pods.metrics.k8s.io)").into())
    }

    fn pod_usage(&self, _: &Store, _: ObjId, _: &Pod, _: &str, _: Option<&str>) -> PodSample {
        PodSample::Missing
    }

    fn next_change(&self, _: SimTime, _: &[(ObjId, &Arc<Pod>)]) -> Option<SimTime> {
        None
    }
}

/// Why a custom metric cannot be had where no adapter runs.
fn no_custom_metrics() -> Str {
    "no custom metrics API (custom.metrics.k8s.io) registered".into()
}
