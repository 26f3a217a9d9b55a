//! What a user may not change of an object that exists.
//!
//! Upstream: the update rules in `pkg/apis/{apps,batch,core}/validation/validation.go`, v1.34. Claims have rules of their
//! own in `claim.rs`.
//!
//! # Fidelity
//! Where upstream prints its internal form of a Pod template, or the difference of two Pods, behind a refusal, the form
//! of the API stands here, or nothing.

use serde_json::{Map, Value};

use super::Store;
use super::error::ApiError;
use crate::api::raise::{self, meta::selector_with};
use crate::api::workload::{Job, StatefulSet};
use crate::api::{LabelSelector, Labels, Object};

/// Fields of a Job's template that decide where its Pods run: open until a held Job begins.
const SCHEDULING: [&str; 3] = ["nodeSelector", "tolerations", "schedulingGates"];

/// Checks the new desired state of an object that exists.
///
/// # Errors
/// What must not change has changed (422).
pub(super) fn check(store: &Store, new: &Object) -> Result<(), ApiError> {
    let Some(old) = store.get_object(new.kind(), &new.key()) else { return Ok(()) };
    let errors = match (&old, new) {
        (Object::Deployment(old), Object::Deployment(new)) => {
            selector((&old.selector, &old.match_labels), (&new.selector, &new.match_labels))
        }
        (Object::ReplicaSet(old), Object::ReplicaSet(new)) => {
            selector((&old.selector, &old.match_labels), (&new.selector, &new.match_labels))
        }
        (Object::DaemonSet(old), Object::DaemonSet(new)) => {
            selector((&old.selector, &old.match_labels), (&new.selector, &new.match_labels))
        }
        (Object::StatefulSet(old), Object::StatefulSet(new)) => stateful_set(old, new),
        (Object::Job(before), Object::Job(after)) => job((before, &old), (after, new)),
        (Object::Pod(_), Object::Pod(_)) => pod(&raise::to_json(&old)["spec"], &raise::to_json(new)["spec"]),
        _ => Vec::new(),
    };
    let why = match errors.as_slice() {
        [] => return Ok(()),
        [one] => one.clone(),
        many => format!("[{}]", many.join(", ")),
    };
    Err(ApiError::Invalid { kind: new.kind(), name: new.meta().name.clone(), why: why.into() })
}

/// Upstream: `ValidateImmutableField`.
fn immutable(path: &str, old: &Value, new: &Value) -> Option<String> {
    (old != new).then(|| match new {
        Value::String(text) => format!("{path}: Invalid value: {text:?}: field is immutable"),
        other => format!("{path}: Invalid value: {other}: field is immutable"),
    })
}

fn selector(old: (&LabelSelector, &Labels), new: (&LabelSelector, &Labels)) -> Vec<String> {
    let json = |(selector, labels)| serde_json::to_value(selector_with(selector, labels)).unwrap_or_default();
    immutable("spec.selector", &json(old), &json(new)).into_iter().collect()
}

/// Upstream: `ValidateStatefulSetUpdate`.
fn stateful_set(old: &StatefulSet, new: &StatefulSet) -> Vec<String> {
    let same = old.selector == new.selector
        && old.claim_templates == new.claim_templates
        && old.service_name == new.service_name
        && old.parallel == new.parallel;
    let forbidden = "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', \
                     'template', 'updateStrategy', 'revisionHistoryLimit', \
                     'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";
    if same { Vec::new() } else { vec![forbidden.to_owned()] }
}

/// Upstream: `ValidateJobSpecUpdate`.
fn job((before, old): (&Job, &Object), (after, new): (&Job, &Object)) -> Vec<String> {
    let (old, new) = (raise::to_json(old), raise::to_json(new));
    let field = |name: &str| {
        let of = |job: &Value| job["spec"].get(name).cloned().unwrap_or_default();
        immutable(&format!("spec.{name}"), &of(&old), &of(&new))
    };
    let mut errors: Vec<String> = Vec::new();
    if !after.indexed {
        errors.extend(field("completions"));
    } else if before.completions != after.completions
        && let Some(completions) = after.completions.filter(|c| *c != after.parallelism)
    {
        errors.push(format!(
            "spec.completions: Invalid value: {completions}: can only be modified in tandem with spec.parallelism"
        ));
    }
    errors.extend(field("selector"));
    let template = |job: &Value| {
        let mut template = job["spec"]["template"].clone();
        if before.suspend && before.status.start_time.is_none() {
            open_scheduling(&mut template);
        }
        template
    };
    if template(&old) != template(&new) {
        errors.extend(immutable("spec.template", &Value::Null, &new["spec"]["template"]));
    }
    let rest = ["completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"];
    errors.extend(rest.into_iter().filter_map(field));
    errors
}

/// Takes out of a template what a Job that has not begun may change.
fn open_scheduling(template: &mut Value) {
    if let Some(meta) = template.get_mut("metadata").and_then(Value::as_object_mut) {
        meta.retain(|key, _| key != "labels" && key != "annotations");
    }
    let Some(spec) = template.get_mut("spec").and_then(Value::as_object_mut) else { return };
    spec.retain(|key, _| !SCHEDULING.contains(&key.as_str()));
    forget_node_affinity(spec);
}

fn forget_node_affinity(spec: &mut Map<String, Value>) {
    let Some(affinity) = spec.get_mut("affinity").and_then(Value::as_object_mut) else { return };
    affinity.retain(|key, _| key != "nodeAffinity");
    if affinity.is_empty() {
        spec.retain(|key, _| key != "affinity");
    }
}

/// Upstream: `ValidatePodUpdate`.
fn pod(old: &Value, new: &Value) -> Vec<String> {
    let mut errors = Vec::new();
    let (gates_before, gates) = (names(old, "schedulingGates"), names(new, "schedulingGates"));
    if !tolerations_only_added(old, new) {
        let why = "spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds";
        errors.push(why.to_owned());
    }
    errors.extend(gates.iter().filter(|gate| !gates_before.contains(gate)).map(|gate| {
        format!("spec.schedulingGates: Forbidden: only deletion is allowed, but found new scheduling gate '{gate}'")
    }));
    let rest = |spec: &Value| {
        let mut spec = spec.clone();
        if let Some(fields) = spec.as_object_mut() {
            let open = ["activeDeadlineSeconds", "tolerations", "schedulingGates"];
            fields.retain(|key, _| !open.contains(&key.as_str()));
            if !gates_before.is_empty() {
                fields.retain(|key, _| key != "nodeSelector");
                forget_node_affinity(fields);
            }
        }
        for list in ["containers", "initContainers"] {
            let containers = spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten();
            containers.filter_map(Value::as_object_mut).for_each(|c| c.retain(|key, _| key != "image"));
        }
        spec
    };
    if rest(old) != rest(new) {
        errors.push(
            "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,\
             `spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing \
             tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
                .to_owned(),
        );
    }
    errors
}

fn names<'v>(spec: &'v Value, list: &str) -> Vec<&'v str> {
    let items = spec.get(list).and_then(Value::as_array).into_iter().flatten();
    items.filter_map(|item| item.get("name")?.as_str()).collect()
}

fn tolerations_only_added(old: &Value, new: &Value) -> bool {
    let all = |spec: &Value| -> Vec<Value> {
        let mut all = spec.get("tolerations").and_then(Value::as_array).cloned().unwrap_or_default();
        for toleration in all.iter_mut().filter_map(Value::as_object_mut) {
            toleration.retain(|key, _| key != "tolerationSeconds");
        }
        all
    };
    let present = all(new);
    all(old).iter().all(|toleration| present.contains(toleration))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{ObjectKey, lower, patch};
    use crate::testkit;
    use serde_json::json;

    fn made(kind: &str, spec: &Value) -> (Store, Object) {
        let version = if kind == "Job" { "batch/v1" } else { "apps/v1" };
        let version = if kind == "Pod" { "v1" } else { version };
        let mut store = testkit::store();
        let meta = json!({"name": "web", "namespace": "default"});
        let value = json!({"apiVersion": version, "kind": kind, "metadata": meta, "spec": spec});
        let object = store.create_object(lower::object(value).unwrap()).unwrap();
        (store, object)
    }

    fn template(image: &str) -> Value {
        json!({"metadata": {"labels": {"app": "web"}},
            "spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": image}]}})
    }

    /// What the store says to a merge patch.
    fn patched(store: &mut Store, object: &Object, change: &Value) -> String {
        let live = store.get_object(object.kind(), &ObjectKey::new("default", "web")).unwrap();
        let merged = patch::json_merge(&raise::to_json(&live), &json!({ "spec": change }));
        let new = lower::object(merged).unwrap();
        store.replace_object(new).map_or_else(|error| error.to_string(), |_| "ok".to_owned())
    }

    #[test]
    fn selectors_of_workloads_do_not_change() {
        for kind in ["Deployment", "ReplicaSet", "DaemonSet"] {
            let labels = json!({"matchLabels": {"app": "web"}});
            let mut plain = template("a");
            plain["spec"]["restartPolicy"] = json!("Always");
            let (mut store, object) = made(kind, &json!({"selector": labels, "template": plain}));
            assert_eq!(patched(&mut store, &object, &json!({"minReadySeconds": 3})), "ok", "{kind}");
            assert_eq!(
                patched(&mut store, &object, &json!({"selector": {"matchLabels": {"app": "shop"}}})),
                format!(
                    "{kind} \"web\" is invalid: spec.selector: Invalid value: {{\"matchLabels\":{{\"app\":\"shop\"}}}}: \
                     field is immutable"
                )
            );
        }
    }

    #[test]
    fn little_of_a_stateful_set_changes() {
        let mut plain = template("a");
        plain["spec"]["restartPolicy"] = json!("Always");
        let spec =
            json!({"serviceName": "web", "selector": {"matchLabels": {"app": "web"}}, "template": plain});
        let (mut store, object) = made("StatefulSet", &spec);
        let open = json!({"replicas": 5, "minReadySeconds": 3, "revisionHistoryLimit": 2, "ordinals": {"start": 1},
            "updateStrategy": {"type": "OnDelete", "rollingUpdate": null},
            "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Delete"}});
        assert_eq!(patched(&mut store, &object, &open), "ok");
        for change in [json!({"serviceName": "other"}), json!({"podManagementPolicy": "Parallel"})] {
            let refused = patched(&mut store, &object, &change);
            assert!(
                refused.starts_with(
                    "StatefulSet \"web\" is invalid: spec: Forbidden: updates to statefulset spec for fields other than \
                     'replicas', 'ordinals', 'template', "
                ),
                "{refused}"
            );
        }
    }

    #[test]
    fn the_work_of_a_job_does_not_change() {
        let (mut store, object) =
            made("Job", &json!({"completions": 3, "parallelism": 1, "template": template("a")}));
        for open in [json!({"parallelism": 2}), json!({"suspend": true}), json!({"activeDeadlineSeconds": 9})]
        {
            assert_eq!(patched(&mut store, &object, &open), "ok", "{open}");
        }
        assert_eq!(
            patched(&mut store, &object, &json!({"completions": 5})),
            "Job \"web\" is invalid: spec.completions: Invalid value: 5: field is immutable"
        );
        let image = json!({"template": template("b")});
        let refused = patched(&mut store, &object, &image);
        assert!(refused.starts_with("Job \"web\" is invalid: spec.template: Invalid value: {"), "{refused}");
        assert!(refused.ends_with("}: field is immutable"), "{refused}");
        // Held and never begun: where it runs may change.
        let pool = json!({"template": {"spec": {"nodeSelector": {"pool": "big"}}}});
        assert_eq!(patched(&mut store, &object, &pool), "ok");
        let key = ObjectKey::new("default", "web");
        let now = store.timestamp();
        store.update::<Job>(&key, |job| job.status.start_time = Some(now)).unwrap();
        let again = json!({"template": {"spec": {"nodeSelector": {"pool": "small"}}}});
        assert_ne!(patched(&mut store, &object, &again), "ok");
    }

    #[test]
    fn completions_of_an_indexed_job_follow_its_parallelism() {
        let spec = json!({"completionMode": "Indexed", "completions": 3, "parallelism": 3, "template": template("a")});
        let (mut store, object) = made("Job", &spec);
        assert_eq!(patched(&mut store, &object, &json!({"completions": 5, "parallelism": 5})), "ok");
        assert_eq!(
            patched(&mut store, &object, &json!({"completions": 7})),
            "Job \"web\" is invalid: spec.completions: Invalid value: 7: can only be modified in tandem with \
             spec.parallelism"
        );
    }

    #[test]
    fn little_of_a_pod_changes() {
        let (mut store, object) = made("Pod", &template("a")["spec"]);
        let image = json!({"containers": [{"name": "main", "image": "b"}]});
        let merged = |store: &Store, change: &Value| {
            let live = store.get_object(object.kind(), &ObjectKey::new("default", "web")).unwrap();
            patch::strategic_merge(live.kind(), &raise::to_json(&live), &json!({ "spec": change })).unwrap()
        };
        let new = lower::object(merged(&store, &image)).unwrap();
        assert!(store.replace_object(new).is_ok());
        assert_eq!(patched(&mut store, &object, &json!({"activeDeadlineSeconds": 60})), "ok");
        let refused = patched(&mut store, &object, &json!({"priority": 7}));
        assert!(
            refused.starts_with(
                "Pod \"web\" is invalid: spec: Forbidden: pod updates may not change fields other than `spec."
            ),
            "{refused}"
        );
        assert_eq!(
            patched(&mut store, &object, &json!({"tolerations": []})),
            "Pod \"web\" is invalid: spec.tolerations: Forbidden: existing toleration can not be modified except its \
             tolerationSeconds"
        );
        assert_eq!(
            patched(&mut store, &object, &json!({"schedulingGates": [{"name": "late"}]})),
            "Pod \"web\" is invalid: spec.schedulingGates: Forbidden: only deletion is allowed, but found new scheduling gate \
             'late'"
        );
    }
}
