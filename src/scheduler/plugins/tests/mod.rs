//! What each plugin says in small clusters: where re-implementations of kube-scheduler stumble (each such place has a number:
//! `Pitfall 15`), and what sets a refused Pod in motion.
//!
//! Thousands of recorded placements hold the same all at once (`tests/it/oracle.rs`); here each case stands alone.

mod affinity;
mod hints;
mod preemption;
mod resources;
mod volumes;

use serde_json::{Value, json};

use crate::api::{Kind, Object, Pod};
use crate::base::Arc;
use crate::scheduler::evaluation::Evaluation;
use crate::scheduler::framework::Code;
use crate::scheduler::testing::{node_change, object, pod_with};
use crate::scheduler::{Config, Placer, Wording};

/// A cluster of these objects.
fn cluster<'a>(objects: impl IntoIterator<Item = &'a Object>) -> Placer {
    let mut placer = Placer::new(Config::default().frameworks(Wording::default()).unwrap());
    objects.into_iter().for_each(|object| placer.add(object.clone()));
    placer
}

fn inner(object: &Object) -> &Arc<Pod> {
    let Object::Pod(pod) = object else { unreachable!("not a Pod: {object:?}") };
    pod
}

/// What every node says of a Pod.
fn ask<'a>(objects: impl IntoIterator<Item = &'a Object>, pod: &Object) -> Evaluation {
    cluster(objects).evaluate(inner(pod)).evaluation
}

/// What a node says: nothing if the Pod fits, else the reasons; behind a `!` if evicting others would not help.
fn verdict(evaluation: &Evaluation, node: &str) -> String {
    let found = evaluation.nodes.iter().find(|n| n.name == node);
    let Some(status) = found.and_then(|n| n.filter.as_ref()) else { return String::new() };
    let mark = if status.code == Code::UnschedulableAndUnresolvable { "! " } else { "" };
    format!("{mark}{}", status.message())
}

/// What the nodes `a`, `b`, … say.
fn verdicts(evaluation: &Evaluation) -> Vec<String> {
    evaluation.nodes.iter().map(|n| verdict(evaluation, &n.name)).collect()
}

/// A plugin's score of a node, weighted; none if the plugin has no opinion of the Pod.
fn score(evaluation: &Evaluation, node: &str, plugin: &str) -> Option<i64> {
    let scores = evaluation.nodes.iter().find(|n| n.name == node)?.scores.as_ref()?;
    scores.iter().find(|(name, _)| *name == plugin).map(|(_, score)| *score)
}

/// A node with labels `key=value,…` beside its host name, and no zone but what they say.
fn labelled(name: &str, labels: &str) -> Object {
    let node = crate::scheduler::testing::node(name, "", 4000);
    node_change(&node, |node| {
        node.meta.labels = crate::testkit::labels(&format!("kubernetes.io/hostname={name},{labels}"));
    })
}

/// A Pod with labels `key=value,…`, a spec beside that of [`pod_with`], on a node if one is named.
fn placed(name: &str, labels: &str, node: &str, spec: Value) -> Object {
    pod_with(name, 100, |pod| {
        let labels: Vec<_> = labels.split(',').filter_map(|pair| pair.split_once('=')).collect();
        pod["metadata"]["labels"] = labels.into_iter().map(|(k, v)| (k.to_owned(), json!(v))).collect();
        if let (Some(into), Value::Object(more)) = (pod["spec"].as_object_mut(), spec) {
            into.extend(more);
        }
        if !node.is_empty() {
            pod["spec"]["nodeName"] = json!(node);
        }
    })
}

/// A Pod that waits.
fn waiting(name: &str, labels: &str, spec: Value) -> Object {
    placed(name, labels, "", spec)
}

fn claim(namespace: &str, name: &str, mode: &str, class: &str, volume: &str) -> Object {
    let phase = if volume.is_empty() { "Pending" } else { "Bound" };
    let bound = if volume.is_empty() { json!({}) } else { json!({"pv.kubernetes.io/bind-completed": "yes"}) };
    object(
        Kind::PersistentVolumeClaim,
        json!({
            "metadata": {"name": name, "namespace": namespace, "uid": format!("{namespace}-{name}"), "annotations": bound},
            "spec": {"accessModes": [mode], "storageClassName": class, "volumeName": volume,
                "resources": {"requests": {"storage": "1Gi"}}},
            "status": {"phase": phase},
        }),
    )
}

fn class(name: &str, provisioner: &str, mode: &str) -> Object {
    object(
        Kind::StorageClass,
        json!({"metadata": {"name": name}, "provisioner": provisioner, "volumeBindingMode": mode}),
    )
}

/// A Pod that uses claims.
fn user(name: &str, claims: &[&str]) -> Object {
    let volumes: Vec<Value> = claims
        .iter()
        .map(|claim| json!({"name": claim, "persistentVolumeClaim": {"claimName": claim}}))
        .collect();
    waiting(name, "", json!({ "volumes": volumes }))
}
