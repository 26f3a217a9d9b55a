//! What can be read and run, but is probably not meant.

use std::collections::BTreeSet;

mod storage;

use super::code;
use super::manifests::identity;
use crate::api::k8s::core::v1::PodSpec;
use crate::api::{Kind, Labels, Object, ObjectKey};
use crate::base::{Diagnostic, SimTime, Span, Str};
use crate::expect::spec::{Subject, When};
use crate::params::behaviour::Matches;
use crate::plan::{Plan, PlannedObject, ResourceKind, Step, Target};

/// Warnings about a plan.
pub fn lint(plan: &Plan) -> Vec<Diagnostic> {
    let mut out = Vec::new();
    late(plan, &mut out);
    undefined(plan, &mut out);
    targets(plan, &mut out);
    behaviours(plan, &mut out);
    storage::lint(plan, &mut out);
    same_names(plan, &mut out);
    no_nodes(plan, &mut out);
    out
}

/// All objects that the manifests and `apply` steps define.
fn objects(plan: &Plan) -> impl Iterator<Item = &PlannedObject> {
    let applied = plan.steps.iter().flat_map(|s| match &s.step {
        Step::Apply(objects) => objects.as_slice(),
        _ => &[],
    });
    plan.manifests.iter().chain(applied)
}

fn warn(code: &'static str, span: Span, message: String, help: impl Into<String>) -> Diagnostic {
    Diagnostic::warning(code, message).at(span, "").help(help)
}

/// Steps and expectations after the end of the run.
fn late(plan: &Plan, out: &mut Vec<Diagnostic>) {
    let Some(duration) = plan.duration else { return };
    let end = SimTime::ZERO + duration;
    for step in plan.steps.iter().filter(|s| s.at > end) {
        let message = format!("the step at {} comes after the end of the run at {end}", step.at);
        out.push(warn(code::LINT_LATE_STEP, step.origin, message, "make `spec.duration` longer"));
    }
    for expectation in &plan.expectations {
        let last = match expectation.when {
            When::At(at) | When::By(at) | When::During(_, at) => at,
            When::End => continue,
        };
        if last > end {
            let message = format!("the expectation looks at {last}, after the end of the run at {end}");
            out.push(warn(
                code::LINT_LATE_EXPECTATION,
                expectation.origin,
                message,
                "make `spec.duration` longer",
            ));
        }
    }
}

/// Kinds whose objects come from manifests only; others are made by controllers or the cloud.
const WRITTEN_KINDS: [Kind; 6] = [
    Kind::Deployment,
    Kind::StatefulSet,
    Kind::DaemonSet,
    Kind::CronJob,
    Kind::HorizontalPodAutoscaler,
    Kind::PodDisruptionBudget,
];

/// What there is, by kind, namespace and name.
fn defined(plan: &Plan) -> BTreeSet<(Str, Str, Str)> {
    objects(plan).map(|o| identity(&o.object)).collect()
}

/// Names of the same kind anywhere, as `namespace/name`, for a hint.
fn elsewhere(defined: &BTreeSet<(Str, Str, Str)>, kind: &str, name: &str) -> String {
    let same_name = defined.iter().find(|(k, _, n)| k == kind && n == name);
    if let Some((_, namespace, _)) = same_name {
        return format!("there is one in the namespace `{namespace}`");
    }
    let names: Vec<&str> = defined.iter().filter(|(k, _, _)| k == kind).map(|(_, _, n)| n.as_str()).collect();
    match crate::base::diag::did_you_mean(name, names.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if names.is_empty() => format!("the manifests define no {kind}"),
        None => format!("the manifests define {}", super::read::list(&names[..names.len().min(10)])),
    }
}

/// Expectations about objects that nothing defines.
fn undefined(plan: &Plan, out: &mut Vec<Diagnostic>) {
    let defined = defined(plan);
    let mut check = |kind: &str, namespace: &Str, name: &Str, span: Span| {
        if !defined.contains(&(kind.into(), namespace.clone(), name.clone())) {
            let message =
                format!("nothing defines {kind} `{}`", ObjectKey::new(namespace.clone(), name.clone()));
            out.push(warn(code::LINT_UNDEFINED, span, message, elsewhere(&defined, kind, name)));
        }
    };
    for expectation in &plan.expectations {
        match &expectation.subject {
            Subject::Object(s) if WRITTEN_KINDS.contains(&s.kind) => {
                check(s.kind.name(), &s.namespace, &s.name, expectation.origin);
            }
            Subject::Endpoints(s) => check("Service", &s.namespace, &s.service, expectation.origin),
            Subject::Object(_)
            | Subject::Objects(_)
            | Subject::Pods(_)
            | Subject::Event(_)
            | Subject::Exists(_)
            | Subject::Data(_)
            | Subject::Traffic(_)
            | Subject::Cost(_)
            | Subject::Trace(_) => {}
        }
    }
}

/// Steps on workloads that nothing defines before.
fn targets(plan: &Plan, out: &mut Vec<Diagnostic>) {
    let mut defined: BTreeSet<_> = plan.manifests.iter().map(|o| identity(&o.object)).collect();
    for step in &plan.steps {
        if let Step::Apply(objects) = &step.step {
            defined.extend(objects.iter().map(|o| identity(&o.object)));
        }
        let Some(Target::Named { kind: ResourceKind::Known(kind), namespace, name }) = target_of(&step.step)
        else {
            continue;
        };
        let key = (Str::from(kind.name()), namespace.clone(), name.clone());
        if WRITTEN_KINDS.contains(kind) && !defined.contains(&key) {
            let key = ObjectKey::new(namespace.clone(), name.clone());
            let message = format!("nothing defines {kind} `{key}` before {}", step.at);
            let help = elsewhere(&defined, kind.name(), name);
            out.push(warn(code::LINT_STEP_TARGET, step.origin, message, help));
        }
    }
}

/// The objects that a step acts on.
fn target_of(step: &Step) -> Option<&Target> {
    match step {
        Step::Delete(delete) => Some(&delete.target),
        Step::Set(set) => Some(&set.target),
        Step::Scale { target, .. }
        | Step::Rollout { target, .. }
        | Step::Patch { target, .. }
        | Step::Label { target, .. }
        | Step::Annotate { target, .. }
        | Step::Evict { target, .. }
        | Step::Crash { target, .. }
        | Step::Hang { target, .. } => Some(target),
        Step::Apply(_)
        | Step::Cordon(_)
        | Step::Uncordon(_)
        | Step::Drain(_)
        | Step::Taint { .. }
        | Step::FailNode(_)
        | Step::ShutdownNode(_)
        | Step::RestoreNode(_)
        | Step::FailZone(_)
        | Step::RestoreZone(_)
        | Step::StopKubelet(_)
        | Step::StartKubelet(_)
        | Step::Partition(_)
        | Step::Heal(_)
        | Step::Driver(_)
        | Step::AddNodes(_)
        | Step::RemoveNode(_)
        | Step::OutOfCapacity(_)
        | Step::Fill(_)
        | Step::Load(_) => None,
    }
}

/// The Pods that an object makes or is: labels and spec.
fn pods_of(object: &Object) -> Option<(Labels, &PodSpec)> {
    let template = match object {
        Object::Pod(pod) => return Some((pod.meta.labels.clone(), &pod.spec.raw)),
        Object::Deployment(o) => &o.template,
        Object::ReplicaSet(o) => &o.template,
        Object::ReplicationController(o) => &o.0.template,
        Object::StatefulSet(o) => &o.template,
        Object::DaemonSet(o) => &o.template,
        Object::Job(o) => &o.template,
        Object::CronJob(o) => &o.job_template.template,
        _ => return None,
    };
    Some((template.labels.clone(), &template.spec.raw))
}

/// Entries of `behaviour` that match no container. Images that `set` and `patch` bring count.
fn behaviours(plan: &Plan, out: &mut Vec<Diagnostic>) {
    if plan.behaviours.is_empty() {
        return;
    }
    let set: Vec<&Str> = plan
        .steps
        .iter()
        .flat_map(|s| match &s.step {
            Step::Set(set) => set.image.as_slice(),
            _ => &[],
        })
        .map(|(_, image)| image)
        .collect();
    let patched: Vec<String> = plan
        .steps
        .iter()
        .filter_map(|s| match &s.step {
            Step::Patch { patch, .. } => Some(patch.to_string()),
            _ => None,
        })
        .collect();
    for entry in &plan.behaviours {
        let used = objects(plan).any(|o| covers_any(&entry.matches, &o.object, &set))
            // A patch may bring any image; what it brings is not looked into.
            || (entry.matches.image.is_some() && patched.iter().any(|p| p.contains("image")));
        if !used {
            let message = "the entry matches no container of the manifests and steps".to_owned();
            let help = "look at `selector`, `namespace`, `pod`, `container` and `image`";
            out.push(warn(code::LINT_IDLE_BEHAVIOUR, entry.origin, message, help));
        }
    }
}

fn covers_any(matches: &Matches, object: &Object, set: &[&Str]) -> bool {
    let Some((labels, spec)) = pods_of(object) else { return false };
    // What a controller will call its Pods is not known yet.
    let named = matches!(object, Object::Pod(_));
    let matches = Matches { pod: matches.pod.clone().filter(|_| named), ..matches.clone() };
    let pod = (object.meta().namespace.as_str(), object.meta().name.as_str());
    let containers = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    containers.into_iter().any(|c| {
        let image = c.image.as_deref().unwrap_or_default();
        let covers = |image: &str| matches.covers(pod, &labels, &c.name, image);
        covers(image) || set.iter().any(|image| covers(image))
    })
}

/// Expectations that reports cannot tell apart.
fn same_names(plan: &Plan, out: &mut Vec<Diagnostic>) {
    for (index, expectation) in plan.expectations.iter().enumerate() {
        let first = plan.expectations[..index].iter().find(|e| e.name == expectation.name);
        if let Some(first) = first {
            let message = format!("two expectations are called `{}`", expectation.name);
            let diagnostic = Diagnostic::warning(code::LINT_SAME_NAME, message);
            out.push(diagnostic.at(expectation.origin, "").also(first.origin, "the first one"));
        }
    }
}

/// Pods that have nowhere to run.
fn no_nodes(plan: &Plan, out: &mut Vec<Diagnostic>) {
    let added = plan.steps.iter().any(|s| matches!(s.step, Step::AddNodes(_)));
    if !plan.nodes.is_empty()
        || added
        || plan.node_groups.iter().any(|g| g.bounds.is_some_and(|(_, max)| max > 0))
    {
        return;
    }
    let planned = objects(plan).find(|o| pods_of(&o.object).is_some()).map(|planned| planned.origin);
    if let Some(origin) = planned.or_else(|| plan.traces.first().map(|trace| trace.origin)) {
        let message = "the cluster has no nodes, so no Pod can run".to_owned();
        out.push(warn(code::LINT_NO_NODES, origin, message, "add `spec.cluster.nodeGroups` or `nodes`"));
    }
}
