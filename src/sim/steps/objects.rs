//! apply, delete, scale, set, rollout, patch, label, annotate: what kubectl does to objects.

use serde_json::{Map, Value, json};

use super::Refusal;
use crate::api::{Kind, Object, manifest, patch, raise};
use crate::base::{Arc, Str};
use crate::controller::rollout;
use crate::plan::PlannedObject;
use crate::plan::step::{Cascade, Delete, PatchType, RolloutAction, Set, SetResources, Target};
use crate::sim::world::World;
use crate::store::{ApiError, DeleteOptions, Propagation};

/// Where the last applied manifest is kept, as kubectl does.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

impl World {
    /// Applies objects in order; a refused one does not keep the others from being applied.
    pub(in crate::sim) fn apply_all(&mut self, objects: &[PlannedObject]) -> Result<(), Refusal> {
        let refusals: Vec<String> = objects.iter().filter_map(|o| self.apply(o).err()).collect();
        if refusals.is_empty() { Ok(()) } else { Err(refusals.join("; ")) }
    }

    fn apply(&mut self, planned: &PlannedObject) -> Result<(), Refusal> {
        let object = &planned.object;
        let key = object.key();
        let Some(live) = self.store.get_object(object.kind(), &key) else {
            let created = self.store.create_object(object.clone()).map_err(|e| e.to_string())?;
            self.applied.insert((created.kind(), created.key()), planned.json.clone());
            return Ok(());
        };
        let last = self.applied.get(&(live.kind(), key.clone())).cloned();
        let live_json = raise::to_json(&live);
        let merged = patch::three_way_apply(live.kind(), last.as_deref(), &live_json, &planned.json)
            .map_err(|why| format!("{} \"{}\": {why}", live.kind_name(), live.meta().name))?;
        self.applied.insert((live.kind(), key), planned.json.clone());
        self.write_json(&live, merged)
    }

    /// Writes the JSON form of an object over the object.
    fn write_json(&mut self, live: &Object, json: Value) -> Result<(), Refusal> {
        let object = Self::lowered(live, json)?;
        self.store.replace_object(object).map(|_| ()).map_err(refusal)
    }

    /// The object that a JSON form says, in place of a live one.
    fn lowered(live: &Object, json: Value) -> Result<Object, Refusal> {
        let json = without_annotation(json);
        let invalid = |texts: Vec<String>| {
            format!("The {} \"{}\" is invalid: {}", live.kind_name(), live.meta().name, texts.join(", "))
        };
        let errors = manifest::invalid_changes(&raise::to_json(live), &json);
        if !errors.is_empty() {
            return Err(invalid(errors.iter().map(ToString::to_string).collect()));
        }
        crate::api::lower::object(json)
            .map_err(|errors| invalid(errors.iter().map(ToString::to_string).collect()))
    }

    pub(super) fn delete_step(&mut self, delete: &Delete) -> Result<(), Refusal> {
        let grace = delete.grace_period.map(|g| i64::try_from(g.as_secs()).unwrap_or(i64::MAX));
        let options = DeleteOptions {
            grace_seconds: if delete.force { Some(grace.unwrap_or(0)) } else { grace },
            propagation: Some(match delete.cascade {
                Cascade::Background => Propagation::Background,
                Cascade::Foreground => Propagation::Foreground,
                Cascade::Orphan => Propagation::Orphan,
            }),
            ..DeleteOptions::default()
        };
        for object in self.select(&delete.target)? {
            self.store.delete_object(object.kind(), &object.key(), &options).map_err(|e| e.to_string())?;
        }
        Ok(())
    }

    pub(super) fn scale(&mut self, target: &Target, replicas: i32) -> Result<(), Refusal> {
        for object in self.resolve(target)? {
            match object.kind() {
                Kind::Deployment | Kind::ReplicaSet | Kind::StatefulSet | Kind::ReplicationController => {
                    self.patch_object(&object, PatchType::Merge, &json!({"spec": {"replicas": replicas}}))?;
                }
                _ => {
                    return Err(format!(
                        "Error from server (NotFound): the server could not find the requested resource (scale of {}/{})",
                        object.kind_name().to_lowercase(),
                        object.meta().name
                    ));
                }
            }
        }
        Ok(())
    }

    pub(super) fn set(&mut self, set: &Set) -> Result<(), Refusal> {
        for object in self.resolve(&set.target)? {
            let mut json = raise::to_json(&object);
            let template = pod_template(&mut json).ok_or_else(|| {
                format!("{}/{} has no pod template", object.kind_name(), object.meta().name)
            })?;
            for (container, image) in &set.image {
                edit_containers(template, container, |c| {
                    c.insert("image".into(), image.as_str().into());
                })?;
            }
            for (container, resources) in &set.resources {
                edit_containers(template, container, |c| set_resources(c, resources))?;
            }
            for (container, name, value) in &set.env {
                edit_containers(template, container, |c| set_env(c, name, value.as_ref()))?;
            }
            self.write_json(&object, json)?;
        }
        Ok(())
    }

    pub(super) fn rollout(&mut self, target: &Target, action: RolloutAction) -> Result<(), Refusal> {
        for object in self.resolve(target)? {
            let done = match action {
                RolloutAction::Undo { to_revision } => rollout::undo(&mut self.store, &object, to_revision),
                RolloutAction::Restart => rollout::restart(&mut self.store, &object),
                RolloutAction::Pause => rollout::set_paused(&mut self.store, &object, true),
                RolloutAction::Resume => rollout::set_paused(&mut self.store, &object, false),
            };
            done?;
        }
        Ok(())
    }

    pub(super) fn patch(
        &mut self,
        target: &Target,
        resize: bool,
        how: PatchType,
        change: &Value,
    ) -> Result<(), Refusal> {
        for object in self.resolve(target)? {
            let changed = patched(&object, how, change)?;
            if !resize {
                self.write_json(&object, changed)?;
                continue;
            }
            let Object::Pod(pod) = Self::lowered(&object, changed)? else {
                return Err(
                    "Error from server (NotFound): the server could not find the requested resource".into()
                );
            };
            self.store.resize_pod(Arc::unwrap_or_clone(pod)).map_err(refusal)?;
        }
        Ok(())
    }

    fn patch_object(&mut self, object: &Object, how: PatchType, change: &Value) -> Result<(), Refusal> {
        self.write_json(object, patched(object, how, change)?)
    }

    pub(super) fn label(&mut self, target: &Target, labels: &[(Str, Option<Str>)]) -> Result<(), Refusal> {
        for object in self.resolve(target)? {
            self.store
                .update_meta(object.kind(), &object.key(), |meta| {
                    for (key, value) in labels {
                        meta.labels = match value {
                            Some(value) => meta.labels.with(key.clone(), value.clone()),
                            None => meta.labels.without(key),
                        };
                    }
                })
                .map_err(|e| e.to_string())?;
        }
        Ok(())
    }

    pub(super) fn annotate(&mut self, target: &Target, pairs: &[(Str, Option<Str>)]) -> Result<(), Refusal> {
        for object in self.resolve(target)? {
            self.store
                .update_meta(object.kind(), &object.key(), |meta| {
                    for (key, value) in pairs {
                        meta.annotations = match value {
                            Some(value) => meta.annotations.with(key.clone(), value.clone()),
                            None => meta.annotations.without(key),
                        };
                    }
                })
                .map_err(|e| e.to_string())?;
        }
        Ok(())
    }
}

/// The API server's refusal in kubectl's words.
fn refusal(error: ApiError) -> Refusal {
    match error {
        error @ ApiError::Invalid { .. } => format!("The {error}"),
        error => error.to_string(),
    }
}

/// The JSON form of an object after a patch.
fn patched(object: &Object, how: PatchType, change: &Value) -> Result<Value, Refusal> {
    let live = raise::to_json(object);
    Ok(match how {
        PatchType::Strategic => patch::strategic_merge(object.kind(), &live, change)?,
        PatchType::Merge => patch::json_merge(&live, change),
        PatchType::Json => patch::json_patch(&live, change)?,
    })
}

/// The record of the last applied manifest is kept beside the store, not in it.
fn without_annotation(mut json: Value) -> Value {
    if let Some(annotations) = json.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.shift_remove(LAST_APPLIED);
    }
    json
}

/// The Pod template of a workload, or the Pod itself.
fn pod_template(json: &mut Value) -> Option<&mut Value> {
    let path = match json.get("kind").and_then(Value::as_str)? {
        "Pod" => "",
        "CronJob" => "/spec/jobTemplate/spec/template",
        _ => "/spec/template",
    };
    json.pointer_mut(path)
}

/// Changes the containers of a template by name; `*` means all.
fn edit_containers(
    template: &mut Value,
    name: &str,
    mut edit: impl FnMut(&mut Map<String, Value>),
) -> Result<(), Refusal> {
    let mut found = false;
    for list in ["/spec/containers", "/spec/initContainers"] {
        let Some(containers) = template.pointer_mut(list).and_then(Value::as_array_mut) else { continue };
        for container in containers.iter_mut().filter_map(Value::as_object_mut) {
            if name == "*" || container.get("name").and_then(Value::as_str) == Some(name) {
                edit(container);
                found = true;
            }
        }
    }
    if found { Ok(()) } else { Err(format!("error: unable to find container named \"{name}\"")) }
}

fn set_resources(container: &mut Map<String, Value>, wanted: &SetResources) {
    let resources = container.entry("resources").or_insert_with(|| json!({}));
    for (part, amounts) in [("requests", &wanted.requests), ("limits", &wanted.limits)] {
        for (name, amount) in amounts {
            resources[part][name.as_str()] = amount.to_string().into();
        }
    }
}

fn set_env(container: &mut Map<String, Value>, name: &str, value: Option<&Str>) {
    let env = container.entry("env").or_insert_with(|| json!([]));
    let Some(env) = env.as_array_mut() else { return };
    env.retain(|entry| entry.get("name").and_then(Value::as_str) != Some(name));
    if let Some(value) = value {
        env.push(json!({"name": name, "value": value.as_str()}));
    }
}
