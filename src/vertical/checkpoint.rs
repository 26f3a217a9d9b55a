//! VerticalPodAutoscalerCheckpoints: what is known of containers, kept in the API server.
//!
//! Upstream: `vertical-pod-autoscaler/pkg/recommender/{checkpoint/checkpoint_writer,input/cluster_feeder}.go`, 1.5.1.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::object::{self, CHECKPOINT_KIND, Vpa};
use super::recommender::Aggregate;
use crate::api::{Inert, Meta, ObjectKey};
use crate::base::text::lit;
use crate::base::{Arc, Str, Timestamp};
use crate::store::{DeleteOptions, Store};

/// Reads the history that the checkpoints of an autoscaler hold.
pub fn load(store: &Store, vpa: &Vpa, aggregates: &mut BTreeMap<Str, Aggregate>) {
    let start = store.calendar().start.secs();
    let instant = |text: &str| Timestamp::parse_rfc3339(text).map(|at| (at.secs() - start) as f64);
    for object in store.list_in::<Inert>(&vpa.key.namespace).filter(|object| is_checkpoint(object)) {
        let body = body(object);
        if body["spec"]["vpaObjectName"].as_str() == Some(vpa.name.as_str())
            && let Some(container) = body["spec"]["containerName"].as_str()
        {
            aggregates.entry(container.into()).or_default().load(&body["status"], instant);
        }
    }
}

/// Writes what is known of the containers of an autoscaler.
pub fn save(store: &mut Store, vpa: &Vpa, aggregates: &BTreeMap<Str, Aggregate>) {
    let (now, start) = (store.timestamp(), store.calendar().start);
    let time = |seconds: f64| start.plus_secs(seconds as i64).to_rfc3339();
    for (container, aggregate) in aggregates {
        let name: Str = format!("{}-{container}", vpa.name).into();
        let mut status = aggregate.save(time);
        status["lastUpdateTime"] = Value::String(now.to_rfc3339());
        let spec = json!({"containerName": container.as_str(), "vpaObjectName": vpa.name.as_str()});
        let body: Arc<str> = json!({"spec": spec, "status": status}).to_string().into();
        let key = ObjectKey::new(vpa.key.namespace.clone(), Inert::table_name(CHECKPOINT_KIND, &name));
        let known = store.get::<Inert>(&key).is_some();
        // A namespace that is being deleted takes no new checkpoint.
        let _ = if known {
            store.update::<Inert>(&key, |object| object.body = body)
        } else {
            store.create(Inert {
                meta: Meta::named(vpa.key.namespace.clone(), name),
                api_version: lit!("autoscaling.k8s.io/v1"),
                kind: CHECKPOINT_KIND.into(),
                namespaced: true,
                body,
            })
        };
    }
}

/// Deletes checkpoints of autoscalers that are no more.
pub fn collect_garbage(store: &mut Store, list: &[Vpa]) {
    let is_orphan = |object: &&Arc<Inert>| {
        let owner = body(object)["spec"]["vpaObjectName"].as_str().map(Str::from);
        let lives =
            |vpa: &Vpa| vpa.key.namespace == object.meta.namespace && Some(&vpa.name) == owner.as_ref();
        !list.iter().any(lives)
    };
    let all = store.list::<Inert>().filter(|object| is_checkpoint(object));
    let key = |object: &Arc<Inert>| {
        ObjectKey::new(object.meta.namespace.clone(), Inert::table_name(&object.kind, &object.meta.name))
    };
    let orphans: Vec<ObjectKey> = all.filter(is_orphan).map(key).collect();
    for key in orphans {
        // One that goes with its namespace is gone already.
        let _ = store.delete::<Inert>(&key, &DeleteOptions::default());
    }
}

fn is_checkpoint(object: &Inert) -> bool {
    object::concerns(object) && object.kind == CHECKPOINT_KIND
}

fn body(object: &Inert) -> Value {
    serde_json::from_str(&object.body).unwrap_or_default()
}
