//! What the metrics of an autoscaler propose.

use std::collections::BTreeSet;

use super::calculate::{Calculator, Proposal, Selected, Tolerances};
use super::scale::Scale;
use super::{Draft, SCALING_ACTIVE};
use crate::api::k8s::autoscaling::v2::{
    HPAScalingRules, HorizontalPodAutoscalerSpec, MetricIdentifier, MetricSpec, MetricTarget,
};
use crate::api::resources::MEMORY;
use crate::api::selectors::Selectors;
use crate::api::{LabelSelector, ObjectKey, lower, metav1};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as K8sQuantity;

use crate::base::quantity::Format;
use crate::base::{Quantity, Str};
use crate::controller::Ctx;
use crate::params::settings::ControllerManager;

/// What was last seen of a metric: its name, the utilisation in percent, the average or value.
pub type Seen = (Str, Option<i32>, Option<Quantity>);

/// What all metrics together propose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The largest proposal, and the name of its metric.
    Valid {
        /// So many replicas.
        replicas: i32,
        /// The metric.
        name: String,
    },
    /// There is none: why.
    Invalid(String),
}

/// What an autoscaler sees.
#[derive(Clone, Copy)]
pub(super) struct Seeing<'a> {
    /// The Pods of its target.
    pub pods: &'a [Selected<'a>],
    /// The selectors of all autoscalers' targets.
    pub selectors: &'a Selectors<ObjectKey>,
}

/// A metric that could not be had.
struct Failure {
    reason: &'static str,
    /// Said in the Event and the condition.
    why: String,
    /// Said in the sum of all metrics.
    wrapped: String,
}

/// Asks every metric.
pub(super) fn propose(
    flags: &ControllerManager,
    draft: &mut Draft,
    scale: &Scale,
    seen: Seeing<'_>,
    ctx: &Ctx<'_>,
) -> (Vec<Seen>, Outcome) {
    if let Err(outcome) = check_selector(draft, scale, seen, ctx) {
        return (Vec::new(), outcome);
    }
    let spec = draft.hpa.spec.clone();
    let specs = spec.value.metrics.as_deref().unwrap_or_default();
    let mut statuses: Vec<Seen> = Vec::new();
    let mut best: Option<(i32, String)> = None;
    let mut first: Option<Failure> = None;
    let mut invalid = 0usize;
    for metric in specs {
        let calculator = Calculator {
            store: ctx.store(),
            metrics: ctx.metrics(),
            namespace: &draft.hpa.meta.namespace,
            pods: seen.pods,
            tolerances: tolerances(flags, &spec.value),
            cpu_initialization_period: flags.horizontal_pod_autoscaler_cpu_initialization_period,
            initial_readiness_delay: flags.horizontal_pod_autoscaler_initial_readiness_delay,
        };
        match one(&calculator, metric, scale) {
            Ok((seen, replicas, name)) => {
                statuses.push(seen);
                if best.as_ref().is_none_or(|(most, _)| *most == 0 || replicas > *most) {
                    best = Some((replicas, name));
                }
            }
            Err(failure) => {
                statuses.push((Str::new(), None, None));
                draft.warn_later(failure.reason, &failure.why);
                invalid += 1;
                first.get_or_insert(failure);
            }
        }
    }
    let most = best.as_ref().map_or(0, |(replicas, _)| *replicas);
    if let Some(failure) = first
        && (invalid >= specs.len() || most < scale.replicas)
    {
        let message = format!("the HPA was unable to compute the replica count: {}", failure.why);
        draft.condition(ctx, SCALING_ACTIVE, false, failure.reason, message);
        let error = format!(
            "invalid metrics ({invalid} invalid out of {}), first error is: {}",
            specs.len(),
            failure.wrapped
        );
        return (statuses, Outcome::Invalid(error));
    }
    let (replicas, name) = best.unwrap_or_default();
    let message = format!("the HPA was able to successfully calculate a replica count from {name}");
    draft.condition(ctx, SCALING_ACTIVE, true, "ValidMetricFound", message);
    (statuses, Outcome::Valid { replicas, name })
}

/// Those of the flag; those of the autoscaler itself count while the gate `HPAConfigurableTolerance` is on.
fn tolerances(flags: &ControllerManager, spec: &HorizontalPodAutoscalerSpec) -> Tolerances {
    let tolerance = flags.horizontal_pod_autoscaler_tolerance;
    let is_on = flags.feature_gates.iter().any(|gate| gate == "HPAConfigurableTolerance=true");
    let behavior = spec.behavior.as_ref().filter(|_| is_on);
    let own = |rules: Option<&HPAScalingRules>| {
        let quantity = rules.and_then(|rules| rules.tolerance.as_ref())?;
        // upstream: float64; thousandths are as fine as it gets here.
        Some(Quantity::parse(&quantity.0).ok()?.milli_value() as f64 / 1000.0)
    };
    Tolerances {
        down: own(behavior.and_then(|b| b.scale_down.as_ref())).unwrap_or(tolerance),
        up: own(behavior.and_then(|b| b.scale_up.as_ref())).unwrap_or(tolerance),
    }
}

/// The target must say which Pods are its own, and no other autoscaler may look at them.
fn check_selector(draft: &mut Draft, scale: &Scale, seen: Seeing<'_>, ctx: &Ctx<'_>) -> Result<(), Outcome> {
    if *scale.selector() == LabelSelector::Nothing {
        draft.warn_later("SelectorRequired", "selector is required");
        let message = "the HPA target's scale is missing a selector";
        draft.condition(ctx, SCALING_ACTIVE, false, "InvalidSelector", message);
        return Err(Outcome::Invalid("selector is required".to_owned()));
    }
    let own = draft.hpa.meta.key();
    let mut others = BTreeSet::new();
    // Pods of one template share their labels.
    let mut last = None;
    for (_, pod) in seen.pods {
        let labels = pod.meta.labels.place();
        if last.replace(labels) != Some(labels) {
            seen.selectors.each_matching(&own.namespace, &pod.meta.labels, |key| {
                if *key != own {
                    others.insert(key.clone());
                }
            });
        }
    }
    if !others.is_empty() {
        others.insert(own);
        let names: Vec<String> = others.iter().map(ToString::to_string).collect();
        let message = format!(
            "pods by selector {} are controlled by multiple HPAs: [{}]",
            scale.selector(),
            names.join(" ")
        );
        draft.warn_later("AmbiguousSelector", &message);
        draft.condition(ctx, SCALING_ACTIVE, false, "AmbiguousSelector", message.clone());
        return Err(Outcome::Invalid(message));
    }
    Ok(())
}

type Answer = Result<(Seen, i32, String), Failure>;

fn one(calculator: &Calculator<'_>, spec: &MetricSpec, scale: &Scale) -> Answer {
    let parts = (&spec.resource, &spec.container_resource, &spec.pods, &spec.object, &spec.external);
    match (spec.type_.as_str(), parts) {
        ("Resource", (Some(source), ..)) => {
            let what =
                ("FailedGetResourceMetric", format!("failed to get {} resource metric value", source.name));
            resource(calculator, (&source.name, None), &source.target, scale, what)
        }
        ("ContainerResource", (_, Some(source), ..)) => {
            let what = (
                "FailedGetContainerResourceMetric",
                format!("failed to get {} container metric value", source.container),
            );
            resource(calculator, (&source.name, Some(&source.container)), &source.target, scale, what)
        }
        ("Pods", (_, _, Some(source), ..)) => {
            let fail = failure("FailedGetPodsMetric", "failed to get pods metric value".to_owned());
            let name = &source.metric.name;
            let target = milli(source.target.average_value.as_ref());
            let proposal = calculator
                .by_pods_metric(scale.replicas, target, name, &selector_of(&source.metric))
                .map_err(fail)?;
            Ok((seen(name, None, proposal, false), proposal.replicas, format!("pods metric {name}")))
        }
        ("Object", (_, _, _, Some(source), _)) => {
            let fail = failure("FailedGetObjectMetric", "failed to get object metric value".to_owned());
            let (name, object) = (&source.metric.name, &source.described_object);
            let get = calculator.metrics.object_metric(
                calculator.store,
                calculator.namespace,
                (&object.kind, &object.name),
                name,
                &selector_of(&source.metric),
            );
            // Upstream's format has its arguments in another order than its words.
            let unable = |why: Str| {
                let (kind, namespace) = (&object.kind, calculator.namespace);
                let why = format!("unable to fetch metrics from custom metrics API: {why}");
                format!("unable to get metric {name}: {kind} on {namespace} {}/{why}", object.name)
            };
            by_value(calculator, get.map_err(unable), &source.target, scale)
                .map(|(proposal, per_pod)| {
                    let words = if per_pod {
                        format!("external metric {name}({})", selector_text(&source.metric))
                    } else {
                        format!("{} metric {name}", object.kind)
                    };
                    (seen(name, None, proposal, false), proposal.replicas, words)
                })
                .map_err(|(why, per_pod)| {
                    fail(if per_pod { format!("failed to get {name} object metric: {why}") } else { why })
                })
        }
        ("External", (.., Some(source))) => {
            let name = &source.metric.name;
            let fail =
                failure("FailedGetExternalMetric", format!("failed to get {name} external metric value"));
            let get = calculator.metrics.external_metric(
                calculator.store,
                calculator.namespace,
                name,
                &selector_of(&source.metric),
            );
            let text = selector_text(&source.metric);
            let values = match get {
                Ok(values) if values.is_empty() => {
                    Err("no metrics returned from external metrics API".to_owned())
                }
                Ok(values) => Ok(values.into_iter().fold(0i64, i64::saturating_add)),
                Err(why) => Err(format!("unable to fetch metrics from external metrics API: {why}")),
            };
            let sum = values.map_err(|why| {
                format!("unable to get external metric {}/{name}/{text}: {why}", calculator.namespace)
            });
            by_value(calculator, sum, &source.target, scale)
                .map(|(proposal, _)| {
                    (
                        seen(name, None, proposal, false),
                        proposal.replicas,
                        format!("external metric {name}({text})"),
                    )
                })
                .map_err(|(why, per_pod)| {
                    fail(if per_pod {
                        format!("failed to get {name} external metric: {why}")
                    } else {
                        format!("failed to get external metric {name}: {why}")
                    })
                })
        }
        (other, _) => {
            let why = format!("unknown metric source type \"{other}\"");
            Err(Failure { reason: "InvalidMetricSourceType", wrapped: why.clone(), why })
        }
    }
}

fn resource(
    calculator: &Calculator<'_>,
    (name, container): (&str, Option<&str>),
    target: &MetricTarget,
    scale: &Scale,
    (reason, wrapper): (&'static str, String),
) -> Answer {
    let fail = failure(reason, wrapper);
    let is_memory = name == MEMORY;
    if let Some(value) = &target.average_value {
        let proposal = calculator
            .by_resource_value(scale.replicas, milli(Some(value)), name, container)
            .map_err(|why| fail(format!("failed to get {name} usage: {why}")))?;
        return Ok((seen(name, None, proposal, is_memory), proposal.replicas, format!("{name} resource")));
    }
    let Some(percent) = target.average_utilization else {
        return Err(fail(
            "invalid resource metric source: neither an average utilization target nor an average value (usage) target was set"
                .to_owned(),
        ));
    };
    let proposal = calculator
        .by_utilization(scale.replicas, percent, name, container)
        .map_err(|why| fail(format!("failed to get {name} utilization: {why}")))?;
    let of = if container.is_some() { "container resource" } else { "resource" };
    let words = format!("{name} {of} utilization (percentage of request)");
    Ok((seen(name, proposal.utilization, proposal, is_memory), proposal.replicas, words))
}

/// By value, or by value per Pod if that is the target. An error says which of both was asked for.
fn by_value(
    calculator: &Calculator<'_>,
    value: Result<i64, String>,
    target: &MetricTarget,
    scale: &Scale,
) -> Result<(Proposal, bool), (String, bool)> {
    match (&target.value, &target.average_value) {
        (_, Some(average)) if target.type_ == "AverageValue" || target.value.is_none() => {
            let value = value.map_err(|why| (why, true))?;
            Ok((calculator.by_value_per_pod(scale.running, value, milli(Some(average))), true))
        }
        (Some(goal), _) => {
            let value = value.map_err(|why| (why, false))?;
            let proposal =
                calculator.by_value(scale.replicas, value, milli(Some(goal))).map_err(|why| (why, false))?;
            Ok((proposal, false))
        }
        // Such an autoscaler was refused when it was created.
        _ => Err(("neither a value target nor an average value target was set".to_owned(), false)),
    }
}

fn failure(reason: &'static str, wrapper: String) -> impl Fn(String) -> Failure {
    move |why| Failure { reason, wrapped: format!("{wrapper}: {why}"), why }
}

fn seen(name: &str, utilization: Option<i32>, proposal: Proposal, is_memory: bool) -> Seen {
    let quantity = Quantity::from_milli(proposal.milli);
    let quantity = if is_memory { quantity.with_format(Format::BinarySi) } else { quantity };
    (name.into(), utilization, Some(quantity))
}

/// An amount in thousandths; the lowering has seen that it is one.
fn milli(quantity: Option<&K8sQuantity>) -> i64 {
    quantity.and_then(|q| Quantity::parse(&q.0).ok()).map_or(0, |q| q.milli_value())
}

fn selector_of(metric: &MetricIdentifier) -> LabelSelector {
    // A selector that is none was refused when the autoscaler was created.
    metric.selector.clone().map_or_else(LabelSelector::everything, |selector| {
        lower::lower_label_selector(Some(selector)).unwrap_or_default()
    })
}

/// A selector as Go prints a pointer to one.
fn selector_text(metric: &MetricIdentifier) -> String {
    let Some(metav1::LabelSelector { match_labels, .. }) = &metric.selector else { return "nil".to_owned() };
    let pairs: Vec<String> =
        match_labels.iter().flatten().map(|(key, value)| format!("{key}: {value},")).collect();
    format!(
        "&LabelSelector{{MatchLabels:map[string]string{{{}}},MatchExpressions:[]LabelSelectorRequirement{{}},}}",
        pairs.join("")
    )
}
