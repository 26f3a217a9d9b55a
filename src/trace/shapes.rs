//! What Pods share that are alike but for their names: made once per kind of Pod.

use serde_json::{Map, Value, json};

use crate::api::{Labels, Object, PodSpec, lower, manifest};
use crate::base::{Arc, LookupMap, Str};

/// At most so many shapes are kept; a trace with more makes some of them twice.
const SHAPES_MAX: usize = 1 << 16;

/// Everything of a Pod but its name, its duration and its status.
#[derive(Clone, Debug)]
pub struct Shape {
    /// The spec.
    pub spec: Arc<PodSpec>,
    /// The labels.
    pub labels: Labels,
    /// The annotations.
    pub annotations: Labels,
}

/// What a row adds to the template.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// Requests of the first container, as quantities are written; nothing is no request.
    pub requests: Vec<(Str, String)>,
    /// Labels.
    pub labels: Vec<(Str, String)>,
    /// Labels that nodes must have, each with the values that will do.
    pub selects: Vec<(Str, Vec<String>)>,
    /// The priority.
    pub priority: Option<i32>,
}

/// The shapes of one trace.
#[derive(Clone, Debug)]
pub struct Shapes {
    template: Arc<Value>,
    known: LookupMap<Box<[u8]>, Arc<Shape>>,
}

impl Shapes {
    /// None yet; Pods begin as the template says.
    pub fn new(template: &Arc<Value>) -> Self {
        Self { template: Arc::clone(template), known: LookupMap::new() }
    }

    /// The shape under a key that stands for all that `parts` says.
    ///
    /// # Errors
    /// Why the API server would refuse such a Pod.
    pub fn get(&mut self, key: &[u8], parts: impl FnOnce() -> Parts) -> Result<Arc<Shape>, String> {
        if let Some(known) = self.known.get(key) {
            return Ok(Arc::clone(known));
        }
        let shape = Arc::new(shape(&self.template, &parts())?);
        if self.known.len() == SHAPES_MAX {
            self.known.clear();
        }
        self.known.insert(key.into(), Arc::clone(&shape));
        Ok(shape)
    }
}

fn shape(template: &Value, parts: &Parts) -> Result<Shape, String> {
    let mut pod = template.clone();
    fill(&mut pod, parts);
    let errors = manifest::invalid_object(&pod);
    if !errors.is_empty() {
        return Err(errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "));
    }
    let told = |errors: Vec<lower::LowerError>| {
        errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    };
    match lower::object(pod).map_err(told)? {
        Object::Pod(pod) => Ok(Shape {
            spec: Arc::clone(&pod.spec),
            labels: pod.meta.labels.clone(),
            annotations: pod.meta.annotations.clone(),
        }),
        other => Err(format!("a {} is no Pod", other.kind_name())),
    }
}

/// The mapping under a key, made if it is not there.
fn inside<'a>(value: &'a mut Value, key: &str) -> &'a mut Value {
    if !value[key].is_object() {
        value[key] = Value::Object(Map::new());
    }
    &mut value[key]
}

fn fill(pod: &mut Value, parts: &Parts) {
    for (key, value) in &parts.labels {
        inside(inside(pod, "metadata"), "labels")[key.as_str()] = json!(value);
    }
    if let Some(priority) = parts.priority {
        inside(pod, "spec")["priority"] = json!(priority);
    }
    for (key, values) in &parts.selects {
        select(inside(pod, "spec"), key, values);
    }
    if let Some(container) = pod["spec"]["containers"].get_mut(0) {
        for (resource, amount) in &parts.requests {
            let resources = inside(container, "resources");
            inside(resources, "requests")[resource.as_str()] = json!(amount);
            // Extended resources cannot be overcommitted: their limit is their request.
            if resource.contains('/') {
                inside(resources, "limits")[resource.as_str()] = json!(amount);
            }
        }
    }
}

/// Nodes must have one of the values under a label.
fn select(spec: &mut Value, key: &str, values: &[String]) {
    match values {
        [] => {}
        [one] => inside(spec, "nodeSelector")[key] = json!(one),
        several => {
            let affinity = inside(inside(spec, "affinity"), "nodeAffinity");
            let required = inside(affinity, "requiredDuringSchedulingIgnoredDuringExecution");
            if !required["nodeSelectorTerms"].is_array() {
                required["nodeSelectorTerms"] = json!([{}]);
            }
            // One of the terms must hold, so the label is asked for in each of them.
            for term in required["nodeSelectorTerms"].as_array_mut().into_iter().flatten() {
                if !term["matchExpressions"].is_array() {
                    term["matchExpressions"] = json!([]);
                }
                if let Some(expressions) = term["matchExpressions"].as_array_mut() {
                    expressions.push(json!({"key": key, "operator": "In", "values": several}));
                }
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A Pod that asks for nothing.
    pub fn template() -> Arc<Value> {
        Arc::new(json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "trace", "labels": {"wavetank.dev/trace": "t"}},
            "spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "trace"}]}
        }))
    }

    #[test]
    fn pods_that_are_alike_share_what_they_have() {
        let mut shapes = Shapes::new(&template());
        let parts = |cpu: &str| Parts {
            requests: vec![("cpu".into(), cpu.to_owned()), ("nvidia.com/gpu".into(), "1".to_owned())],
            labels: vec![("app".into(), "batch".to_owned())],
            selects: vec![
                ("zone".into(), vec!["a".to_owned()]),
                ("model".into(), vec!["P100".to_owned(), "T4".to_owned()]),
                ("any".into(), Vec::new()),
            ],
            priority: Some(7),
        };
        let first = shapes.get(b"1", || parts("500m")).unwrap();
        let again = shapes.get(b"1", || unreachable!("it is known")).unwrap();
        let other = shapes.get(b"2", || parts("1")).unwrap();
        assert!(Arc::ptr_eq(&first, &again) && !Arc::ptr_eq(&first, &other));
        let spec = &first.spec;
        let container = &spec.containers[0];
        assert_eq!(container.requests.get("cpu").unwrap().milli_value(), 500);
        assert_eq!(container.limits.get("nvidia.com/gpu").unwrap().value(), 1);
        assert_eq!((spec.priority, spec.node_selector.len()), (7, 1));
        assert!(spec.affinity.node_required.is_some());
        assert_eq!(first.labels.len(), 2);
    }

    #[test]
    fn what_the_api_server_refuses_is_told() {
        let parts = Parts { labels: vec![("app".into(), "a b".to_owned())], ..Parts::default() };
        let why = Shapes::new(&template()).get(b"", || parts).unwrap_err();
        assert!(why.contains("metadata.labels"), "{why}");
    }
}
