//! Custom and external metrics as an adapter serves them: from the scenario, or from the requests that Pods answer.
//!
//! Upstream: `kubernetes-sigs/custom-metrics-apiserver` `pkg/provider/errors.go`, the library of all adapters.

use super::flow::Traffic;
use crate::api::{LabelSelector, Pod};
use crate::base::time::Calendar;
use crate::base::{SimDuration, SimTime, Str};
use crate::params::metrics::{Metric, MetricOf};
use crate::params::traffic::Curve;
use crate::store::metrics::{MetricsApi, NoMetrics, Sample};
use crate::store::{ObjId, Store};

/// An adapter.
#[derive(Clone, Debug)]
pub struct Adapter {
    metrics: Vec<Metric>,
    calendar: Calendar,
}

impl Adapter {
    /// That serves these metrics. Without any there is none.
    pub fn new(metrics: &[Metric], calendar: Calendar) -> Self {
        Self { metrics: metrics.to_vec(), calendar }
    }

    /// A custom metric of a Pod.
    ///
    /// # Errors
    /// No adapter serves custom metrics, or none of this name for Pods.
    pub fn of_pod(
        &self,
        (store, traffic): (&Store, &Traffic),
        (id, pod): (ObjId, &Pod),
        metric: &str,
        selector: &LabelSelector,
    ) -> Result<Option<Sample>, Str> {
        let now = store.now();
        if !self.serves(false) {
            return NoMetrics.pod_metric(store, id, pod, metric, selector);
        }
        let mut known =
            self.metrics.iter().filter(|m| matches!(m.of, MetricOf::Pods(_)) && m.name == metric).peekable();
        if known.peek().is_none() {
            return Err(format!("the server could not find the metric {metric} for pods").into());
        }
        let covers = |m: &&Metric| match &m.of {
            MetricOf::Pods(pods) => {
                m.namespace == pod.meta.namespace
                    && pods.matches(&pod.meta.labels)
                    && selector.matches(&m.labels)
            }
            MetricOf::Object(..) | MetricOf::External => false,
        };
        let value = |m: &Metric| match &m.value {
            Some(curve) => self.value(curve, now),
            None => libm::round(traffic.served(id) * 1000.0) as i64,
        };
        Ok(known.find(covers).map(|m| Sample { milli: value(m), at: now, window: SimDuration::ZERO }))
    }

    /// A custom metric of an object, in thousandths.
    ///
    /// # Errors
    /// No adapter serves custom metrics, or none of this name for this object.
    pub fn of_object(
        &self,
        store: &Store,
        namespace: &str,
        (kind, name): (&str, &str),
        metric: &str,
        selector: &LabelSelector,
    ) -> Result<i64, Str> {
        if !self.serves(false) {
            return NoMetrics.object_metric(store, namespace, (kind, name), metric, selector);
        }
        let is = |m: &&Metric| {
            matches!(&m.of, MetricOf::Object(k, n) if k.eq_ignore_ascii_case(kind) && n == name)
                && m.name == metric
                && m.namespace == namespace
                && selector.matches(&m.labels)
        };
        let found = self.metrics.iter().find(is).and_then(|m| m.value.as_ref());
        found.map(|curve| self.value(curve, store.now())).ok_or_else(|| {
            let kind = kind.to_ascii_lowercase();
            format!("the server could not find the metric {metric} for {kind} {name}").into()
        })
    }

    /// The values of an external metric, in thousandths; none if no series has these labels.
    ///
    /// # Errors
    /// No adapter serves external metrics.
    pub fn external(
        &self,
        store: &Store,
        namespace: &str,
        metric: &str,
        selector: &LabelSelector,
    ) -> Result<Vec<i64>, Str> {
        if !self.serves(true) {
            return NoMetrics.external_metric(store, namespace, metric, selector);
        }
        let is = |m: &&Metric| {
            m.of == MetricOf::External
                && m.name == metric
                && m.namespace == namespace
                && selector.matches(&m.labels)
        };
        let values = self.metrics.iter().filter(is).filter_map(|m| m.value.as_ref());
        Ok(values.map(|curve| self.value(curve, store.now())).collect())
    }

    /// The next instant after `now` at which a value changes.
    pub fn next_change(&self, now: SimTime) -> Option<SimTime> {
        let next = |curve: &Curve| match curve {
            Curve::Steps(points) => points.iter().map(|(at, _)| *at).find(|at| *at > now),
            Curve::Lines(points) if points.last().is_some_and(|(at, _)| *at > now) => Some(now),
            Curve::Lines(_) => None,
            Curve::Daily { .. } => Some(now),
        };
        self.metrics.iter().filter_map(|m| next(m.value.as_ref()?)).min()
    }

    /// Whether custom metrics are served, or external ones.
    pub fn serves(&self, external: bool) -> bool {
        self.metrics.iter().any(|m| (m.of == MetricOf::External) == external)
    }

    fn value(&self, curve: &Curve, now: SimTime) -> i64 {
        libm::round(curve.at(now, self.calendar) * 1000.0) as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{SourceId, Span};
    use crate::kernel::Seed;
    use crate::testkit;

    fn metric(name: &str, of: MetricOf, labels: &str, points: &[(u64, u64)]) -> Metric {
        let points = points.iter().map(|(at, milli)| (SimTime::from_secs(*at), *milli)).collect();
        Metric {
            name: name.into(),
            namespace: "default".into(),
            labels: testkit::labels(labels),
            of,
            value: Some(Curve::Steps(points)),
            origin: Span { source: SourceId(0), start: 0, end: 0 },
        }
    }

    /// §1.4, §1.7: values come by name and labels; what is not served is an error in the API server's words.
    #[test]
    fn metrics_are_found_by_name_object_and_labels() {
        let store = testkit::store();
        let traffic = Traffic::new(&[], testkit::calendar(), Seed(0));
        let web = LabelSelector::parse("app=web").unwrap();
        let queue = |n: &str| MetricOf::Object("Queue".into(), n.into());
        let adapter = Adapter::new(
            &[
                metric("rps", MetricOf::Pods(web), "", &[(0, 5000)]),
                metric("depth", queue("orders"), "", &[(0, 70_000)]),
                metric("backlog", MetricOf::External, "queue=a", &[(0, 1000), (60, 9000)]),
                metric("backlog", MetricOf::External, "queue=b", &[(0, 2000)]),
            ],
            testkit::calendar(),
        );
        let all = LabelSelector::everything();
        let pod = |labels: &str| {
            let pod = testkit::pod("p", labels);
            adapter.of_pod((&store, &traffic), (ObjId(1), &pod), "rps", &all).map(|s| s.map(|s| s.milli))
        };
        assert_eq!(pod("app=web"), Ok(Some(5000)));
        assert_eq!(pod("app=db"), Ok(None));
        let unknown =
            adapter.of_pod((&store, &traffic), (ObjId(1), &testkit::pod("p", "app=web")), "x", &all);
        assert_eq!(unknown.unwrap_err(), "the server could not find the metric x for pods");
        let object = |name| adapter.of_object(&store, "default", ("queue", name), "depth", &all);
        assert_eq!(object("orders"), Ok(70_000));
        assert_eq!(
            object("other").unwrap_err(),
            "the server could not find the metric depth for queue other"
        );
        let external =
            |s: &str| adapter.external(&store, "default", "backlog", &LabelSelector::parse(s).unwrap());
        assert_eq!(external("queue=a"), Ok(vec![1000]));
        assert_eq!(external("queue in (a, b)"), Ok(vec![1000, 2000]));
        assert_eq!(external("queue=c"), Ok(Vec::new()));
        assert_eq!(adapter.next_change(SimTime::ZERO), Some(SimTime::from_secs(60)));
    }

    #[test]
    fn without_metrics_there_is_no_adapter() {
        let store = testkit::store();
        let adapter = Adapter::new(&[], testkit::calendar());
        let all = LabelSelector::everything();
        let custom = adapter.of_object(&store, "default", ("queue", "a"), "depth", &all);
        assert!(custom.unwrap_err().contains("no custom metrics API"));
        let external = adapter.external(&store, "default", "backlog", &all);
        assert_eq!(
            external.unwrap_err(),
            "the server could not find the requested resource (get backlog.external.metrics.k8s.io)"
        );
    }
}
