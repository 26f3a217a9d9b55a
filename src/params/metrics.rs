//! Metrics that no component measures: what an adapter serves under `custom.metrics.k8s.io` and `external.metrics.k8s.io`.

use super::traffic::Curve;
use crate::api::{LabelSelector, Labels};
use crate::base::{Span, Str};

/// A metric with its values over time.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// Its name.
    pub name: Str,
    /// The namespace in which it is served.
    pub namespace: Str,
    /// Labels of its series, by which autoscalers select.
    pub labels: Labels,
    /// What it is of.
    pub of: MetricOf,
    /// Its value, in thousandths; none: the requests per second that a Pod answers.
    pub value: Option<Curve>,
    /// Where it stands in the scenario.
    pub origin: Span,
}

/// What a metric is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetricOf {
    /// Of each of the selected Pods: a custom metric.
    Pods(LabelSelector),
    /// Of an object: a custom metric. Its kind and its name.
    Object(Str, Str),
    /// Of nothing in the cluster: an external metric.
    External,
}
