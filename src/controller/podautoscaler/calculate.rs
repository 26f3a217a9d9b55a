//! From samples to a number of replicas.
//!
//! Upstream: `pkg/controller/podautoscaler/{replica_calculator,metrics/utilization}.go`, v1.34.

use std::cell::Cell;

use crate::api::pod::cond;
use crate::api::resources::CPU;
use crate::api::{ConditionStatus, LabelSelector, Phase, Pod, condition};
use crate::base::time::Calendar;
use crate::base::{Arc, SimDuration, SimTime};
use crate::store::metrics::{MetricsApi, PodSample, Sample};
use crate::store::{ObjId, Store};

/// How far a ratio may be from 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerances {
    /// Below 1.
    pub down: f64,
    /// Above 1.
    pub up: f64,
}

impl Tolerances {
    /// Whether the ratio asks for no change. Both edges count as inside.
    pub fn is_within(self, ratio: f64) -> bool {
        // upstream: float64
        (1.0 - self.down) <= ratio && ratio <= (1.0 + self.up)
    }
}

/// Who asks, and by which rules.
#[derive(Clone, Copy)]
pub struct Calculator<'a> {
    /// The Pods.
    pub store: &'a Store,
    /// The samples.
    pub metrics: &'a dyn MetricsApi,
    /// Where.
    pub namespace: &'a str,
    /// The Pods that the selector of the target's scale selects.
    pub pods: &'a [Selected<'a>],
    /// No change within.
    pub tolerances: Tolerances,
    /// `--horizontal-pod-autoscaler-cpu-initialization-period`.
    pub cpu_initialization_period: SimDuration,
    /// `--horizontal-pod-autoscaler-initial-readiness-delay`.
    pub initial_readiness_delay: SimDuration,
}

/// What a metric proposes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// So many replicas.
    pub replicas: i32,
    /// The utilisation in percent of the request.
    pub utilization: Option<i32>,
    /// The average per Pod, or the value, in thousandths.
    pub milli: i64,
}

/// A Pod that is selected.
pub type Selected<'a> = (ObjId, &'a Arc<Pod>);

/// A Pod that counts, with its sample.
type Counted<'a> = (&'a Pod, i64);

/// Pods by what is known of them.
#[derive(Debug, Default)]
struct Groups<'a> {
    /// They count.
    counted: Vec<Counted<'a>>,
    /// How many of them count as ready.
    ready: usize,
    /// Their samples mean nothing yet.
    unready: Vec<&'a Pod>,
    /// There is no sample.
    missing: Vec<&'a Pod>,
}

impl<'a> Calculator<'a> {
    fn pods(&self) -> Result<&'a [Selected<'a>], String> {
        if self.pods.is_empty() {
            return Err("no pods returned by selector while calculating replica count".to_owned());
        }
        Ok(self.pods)
    }

    /// By the share of the requests that is used.
    ///
    /// # Errors
    /// Why there is no number, in upstream's words.
    pub fn by_utilization(
        &self,
        current: i32,
        target: i32,
        resource: &str,
        container: Option<&str>,
    ) -> Result<Proposal, String> {
        let samples = self.resource_samples(resource, container)?;
        let pods = self.pods()?;
        let groups = self.group(pods, &samples, resource == CPU)?;
        // Pods of one template share their spec.
        let last = Cell::new(None);
        let requests = |pod: &Pod| match last.get() {
            Some((spec, milli)) if spec == Arc::as_ptr(&pod.spec) => Ok(milli),
            _ => {
                let milli = request_of(pod, resource, container)?;
                last.set(Some((Arc::as_ptr(&pod.spec), milli)));
                Ok(milli)
            }
        };
        // A request that is missing in any of them, counted or not, spoils the metric.
        pods.iter().try_for_each(|(_, pod)| requests(pod).map(|_| ()))?;
        let (percent, average) = utilization(&groups.counted, &requests)?;
        // upstream: float64
        let ratio = f64::from(percent) / f64::from(target);
        let fallback = i64::from(target.max(100));
        let again = |counted: &[Counted<'_>]| -> Result<f64, String> {
            Ok(f64::from(utilization(counted, &requests)?.0) / f64::from(target))
        };
        let fill = |pod: &Pod| requests(pod).map(|request| request.saturating_mul(fallback) / 100);
        let replicas = self.decide(current, ratio, groups, fill, again)?;
        Ok(Proposal { replicas, utilization: Some(percent), milli: average })
    }

    /// By the average of a resource over the Pods.
    ///
    /// # Errors
    /// Why there is no number, in upstream's words.
    pub fn by_resource_value(
        &self,
        current: i32,
        target: i64,
        resource: &str,
        container: Option<&str>,
    ) -> Result<Proposal, String> {
        let samples = self.resource_samples(resource, container)?;
        self.by_average(current, target, &samples, resource == CPU)
    }

    /// By the average of a custom metric over the Pods.
    ///
    /// # Errors
    /// Why there is no number, in upstream's words.
    pub fn by_pods_metric(
        &self,
        current: i32,
        target: i64,
        metric: &str,
        selector: &LabelSelector,
    ) -> Result<Proposal, String> {
        let mut samples = Vec::with_capacity(self.pods.len());
        for (id, pod) in self.pods {
            samples.push(self.metrics.pod_metric(self.store, *id, pod, metric, selector).map_err(|why| {
                format!(
                    "unable to get metric {metric}: unable to fetch metrics from custom metrics API: {why}"
                )
            })?);
        }
        if samples.iter().all(Option::is_none) {
            return Err(format!(
                "unable to get metric {metric}: no metrics returned from custom metrics API"
            ));
        }
        self.by_average(current, target, &samples, false)
    }

    /// By the value of a metric of an object or of an external one.
    ///
    /// # Errors
    /// There are no Pods.
    pub fn by_value(&self, current: i32, value: i64, target: i64) -> Result<Proposal, String> {
        // upstream: float64
        let ratio = value as f64 / target as f64;
        let replicas = if current == 0 {
            ceil(ratio)
        } else if self.tolerances.is_within(ratio) {
            current
        } else {
            let pods = self.pods().map_err(|why| format!("unable to calculate ready pods: {why}"))?;
            let ready = pods.iter().filter(|(_, p)| p.status.phase == Phase::Running && p.is_ready()).count();
            ceil(ratio * ready as f64)
        };
        Ok(Proposal { replicas, utilization: None, milli: value })
    }

    /// By the value of a metric per Pod; `running` is what the target's status counts.
    pub fn by_value_per_pod(&self, running: i32, value: i64, target: i64) -> Proposal {
        // upstream: float64
        let ratio = value as f64 / (target as f64 * f64::from(running));
        let replicas =
            if self.tolerances.is_within(ratio) { running } else { ceil(value as f64 / target as f64) };
        let average = (value as f64 / f64::from(running)).ceil();
        Proposal { replicas, utilization: None, milli: average as i64 }
    }

    /// A sample for each Pod that is listed.
    fn resource_samples(
        &self,
        resource: &str,
        container: Option<&str>,
    ) -> Result<Vec<Option<Sample>>, String> {
        let unable = |why: &str| format!("unable to get metrics for resource {resource}: {why}");
        self.metrics
            .resource_metrics()
            .map_err(|why| unable(&format!("unable to fetch metrics from resource metrics API: {why}")))?;
        let mut samples = Vec::with_capacity(self.pods.len());
        for (id, pod) in self.pods {
            samples.push(match self.metrics.pod_usage(self.store, *id, pod, resource, container) {
                PodSample::Missing => None,
                PodSample::NoContainer => {
                    let name = container.unwrap_or_default();
                    let why = format!(
                        "failed to get container metrics: container {name} not present in metrics for pod {}",
                        pod.meta.key()
                    );
                    return Err(unable(&why));
                }
                PodSample::Value(sample) => Some(sample),
            });
        }
        if samples.iter().all(Option::is_none) {
            return Err(unable("no metrics returned from resource metrics API"));
        }
        Ok(samples)
    }

    fn by_average(
        &self,
        current: i32,
        target: i64,
        samples: &[Option<Sample>],
        is_cpu: bool,
    ) -> Result<Proposal, String> {
        let groups = self.group(self.pods()?, samples, is_cpu)?;
        let average = average(&groups.counted);
        let ratio_of = |average: i64| average as f64 / target as f64;
        let again = |counted: &[Counted<'_>]| Ok(ratio_of(self::average(counted)));
        let replicas = self.decide(current, ratio_of(average), groups, |_| Ok(target), again)?;
        Ok(Proposal { replicas, utilization: None, milli: average })
    }

    fn group(
        &self,
        pods: &'a [Selected<'a>],
        samples: &[Option<Sample>],
        is_cpu: bool,
    ) -> Result<Groups<'a>, String> {
        let mut groups = Groups::default();
        let clock = (self.store.now(), self.store.calendar());
        for ((_, pod), sample) in pods.iter().zip(samples) {
            if pod.meta.is_deleting() || pod.status.phase == Phase::Failed {
                continue;
            }
            if pod.status.phase == Phase::Pending {
                groups.unready.push(pod);
                continue;
            }
            let Some(sample) = sample else {
                groups.missing.push(pod);
                continue;
            };
            if is_cpu && self.is_unready(pod, *sample, clock) {
                groups.unready.push(pod);
                continue;
            }
            groups.ready += 1;
            groups.counted.push((pod, sample.milli));
        }
        if groups.counted.is_empty() {
            return Err("did not receive metrics for targeted pods (pods might be unready)".to_owned());
        }
        Ok(groups)
    }

    /// Whether a Pod's CPU sample tells of its start rather than of its work.
    fn is_unready(&self, pod: &Pod, sample: Sample, (now, calendar): (SimTime, Calendar)) -> bool {
        let (Some(ready), Some(start)) =
            (condition::find(&pod.status.conditions, cond::READY), pod.status.start_time)
        else {
            return true;
        };
        let changed = ready.transition.map_or(SimTime::ZERO, |at| calendar.instant(at));
        let start = calendar.instant(start);
        let is_false = ready.status == ConditionStatus::False;
        if start + self.cpu_initialization_period > now {
            is_false || sample.at < changed + sample.window
        } else {
            is_false && start + self.initial_readiness_delay > changed
        }
    }

    /// From the ratio to replicas; Pods of which nothing is known count so that they damp the change.
    fn decide(
        &self,
        current: i32,
        ratio: f64,
        groups: Groups<'_>,
        fill: impl Fn(&Pod) -> Result<i64, String>,
        again: impl Fn(&[Counted<'_>]) -> Result<f64, String>,
    ) -> Result<i32, String> {
        let Groups { mut counted, ready, unready, missing } = groups;
        let up_with_unready = !unready.is_empty() && ratio > 1.0;
        if !up_with_unready && missing.is_empty() {
            let same = self.tolerances.is_within(ratio);
            return Ok(if same { current } else { ceil(ratio * ready as f64) });
        }
        for pod in missing {
            if ratio < 1.0 {
                let value = fill(pod)?;
                counted.push((pod, value));
            } else if ratio > 1.0 {
                counted.push((pod, 0));
            }
        }
        if up_with_unready {
            counted.extend(unready.into_iter().map(|pod| (pod, 0)));
        }
        let new = again(&counted)?;
        let turned = (ratio < 1.0 && new > 1.0) || (ratio > 1.0 && new < 1.0);
        if self.tolerances.is_within(new) || turned {
            return Ok(current);
        }
        let replicas = ceil(new * counted.len() as f64);
        let against = (new < 1.0 && replicas > current) || (new > 1.0 && replicas < current);
        Ok(if against { current } else { replicas })
    }
}

/// Rounded up, within what a number of replicas can be.
fn ceil(value: f64) -> i32 {
    // upstream: float64
    value.ceil() as i32
}

fn average(counted: &[Counted<'_>]) -> i64 {
    let total = counted.iter().fold(0i64, |sum, (_, value)| sum.saturating_add(*value));
    total / i64::try_from(counted.len()).unwrap_or(1).max(1)
}

/// The utilisation in whole percent, truncated, and the average.
fn utilization(
    counted: &[Counted<'_>],
    request: &impl Fn(&Pod) -> Result<i64, String>,
) -> Result<(i32, i64), String> {
    let mut requested = 0i64;
    for (pod, _) in counted {
        requested = requested.saturating_add(request(pod)?);
    }
    if requested == 0 {
        return Err("no metrics returned matched known pods".to_owned());
    }
    let used = counted.iter().fold(0i64, |sum, (_, value)| sum.saturating_add(*value));
    let percent = used.saturating_mul(100) / requested;
    Ok((i32::try_from(percent).unwrap_or(i32::MAX), average(counted)))
}

/// What a Pod, or one of its containers, requests, in thousandths.
fn request_of(pod: &Pod, resource: &str, container: Option<&str>) -> Result<i64, String> {
    let name = &pod.meta.name;
    if container.is_none()
        && let Some(whole) = &pod.spec.pod_requests
    {
        return whole
            .get(resource)
            .map(|q| q.milli_value())
            .ok_or_else(|| format!("missing pod-level request for {resource} in Pod {name}"));
    }
    let sidecars = pod.spec.init_containers.iter().filter(|c| c.sidecar);
    let mut sum = 0i64;
    for c in pod.spec.containers.iter().chain(sidecars) {
        if container.is_none_or(|wanted| c.name == wanted) {
            let request = c.requests.get(resource).ok_or_else(|| {
                format!("missing request for {resource} in container {} of Pod {name}", c.name)
            })?;
            sum = sum.saturating_add(request.milli_value());
        }
    }
    Ok(sum)
}
