//! Who a step means: objects by name or selector, nodes by name, label, zone, group or a Pod on them.

use super::Refusal;
use crate::api::{Kind, Node, Object, ObjectKey, Pod};
use crate::base::Str;
use crate::plan::step::{FieldRequirement, NodeSet, ResourceKind, Target};
use crate::sim::world::World;
use crate::store::ApiError;

impl World {
    /// The objects a target means now.
    ///
    /// # Errors
    /// A named object is not there, or a selector selects nothing (kubectl's `No resources found`).
    pub(super) fn resolve(&self, target: &Target) -> Result<Vec<Object>, Refusal> {
        let found = self.select(target)?;
        if found.is_empty() { Err(format!("No resources found: {target}")) } else { Ok(found) }
    }

    /// As [`Self::resolve`], but a selector may select nothing, which `kubectl delete` does not mind.
    ///
    /// # Errors
    /// A named object is not there.
    pub(super) fn select(&self, target: &Target) -> Result<Vec<Object>, Refusal> {
        match target {
            Target::Named { kind, namespace, name } => {
                let key = self.key_of(kind, namespace, name);
                let table = table_of(kind);
                self.store
                    .get_object(table, &key)
                    .map(|object| vec![object])
                    .ok_or_else(|| format!("Error from server (NotFound): {}", not_found(kind, name)))
            }
            Target::Selected { kind, namespace, selector, field_selector, nth } => {
                let mut found: Vec<Object> = self
                    .store
                    .list_objects(table_of(kind))
                    .into_iter()
                    .filter(|o| of_kind(o, kind))
                    .filter(|o| namespace.as_ref().is_none_or(|ns| o.meta().namespace == *ns))
                    .filter(|o| selector.matches(&o.meta().labels))
                    .filter(|o| field_selector.iter().all(|f| field_matches(o, f)))
                    .collect();
                // By creation time, then name, as `nth` counts.
                found.sort_by(|a, b| {
                    let rank = |o: &Object| (o.meta().created, o.meta().name.clone());
                    rank(a).cmp(&rank(b))
                });
                if let Some(nth) = nth {
                    found = found.into_iter().skip(*nth).take(1).collect();
                }
                Ok(found)
            }
        }
    }

    fn key_of(&self, kind: &ResourceKind, namespace: &Str, name: &Str) -> ObjectKey {
        match kind {
            ResourceKind::Known(_) => ObjectKey::new(namespace.clone(), name.clone()),
            ResourceKind::Inert(kind) => {
                ObjectKey::new(namespace.clone(), crate::api::Inert::table_name(kind, name))
            }
        }
    }

    /// The nodes a step means now, in a fixed order.
    ///
    /// # Errors
    /// A named node is not there, or nothing is selected.
    pub(super) fn resolve_nodes(&mut self, nodes: &NodeSet) -> Result<Vec<Str>, Refusal> {
        let select = |world: &Self, wanted: &dyn Fn(&Node) -> bool| -> Vec<Str> {
            world.store.list::<Node>().filter(|n| wanted(n)).map(|n| n.meta.name.clone()).collect()
        };
        let found = match nodes {
            NodeSet::Names(names) => {
                for name in names {
                    if self.store.find::<Node>("", name).is_none() {
                        return Err(format!("Error from server (NotFound): nodes \"{name}\" not found"));
                    }
                }
                names.clone()
            }
            NodeSet::Selector(selector) => select(self, &|n| selector.matches(&n.meta.labels)),
            NodeSet::Zone(zone) => self.nodes_of_zone(zone),
            NodeSet::Group(group) => select(self, &|n| {
                n.meta.labels.get(crate::api::node::NODE_GROUP_LABEL).is_some_and(|g| g == group)
            }),
            NodeSet::Hosting { namespace, pod } => vec![self.host_of(namespace, pod)?],
        };
        if found.is_empty() { Err(format!("no node is meant by {nodes}")) } else { Ok(found) }
    }

    fn host_of(&mut self, namespace: &Str, pod: &Str) -> Result<Str, Refusal> {
        let key = ObjectKey::new(namespace.clone(), pod.clone());
        if let Some(node) = self.steps.hosting.get(&key) {
            return Ok(node.clone());
        }
        let found =
            self.store.get::<Pod>(&key).ok_or_else(|| ApiError::not_found(Kind::Pod, &key).to_string())?;
        let node = found.node_name.clone().ok_or_else(|| format!("pod {key} is not on a node"))?;
        self.steps.hosting.insert(key, node.clone());
        Ok(node)
    }
}

/// The table in which objects of a kind lie.
fn table_of(kind: &ResourceKind) -> Kind {
    match kind {
        ResourceKind::Known(kind) => *kind,
        ResourceKind::Inert(_) => Kind::Inert,
    }
}

fn of_kind(object: &Object, kind: &ResourceKind) -> bool {
    match (kind, object) {
        (ResourceKind::Inert(kind), Object::Inert(inert)) => inert.kind.eq_ignore_ascii_case(kind),
        _ => true,
    }
}

fn not_found(kind: &ResourceKind, name: &str) -> String {
    match kind {
        ResourceKind::Known(kind) => ApiError::not_found(*kind, &ObjectKey::cluster(name)).to_string(),
        ResourceKind::Inert(kind) => format!("{kind} \"{name}\" not found"),
    }
}

/// Whether an object passes a field selector; fields that the API server does not index match nothing.
fn field_matches(object: &Object, field: &FieldRequirement) -> bool {
    let value: Option<Str> = match (field.path.as_str(), object) {
        ("metadata.name", o) => Some(o.meta().name.clone()),
        ("metadata.namespace", o) => Some(o.meta().namespace.clone()),
        ("spec.nodeName", Object::Pod(pod)) => Some(pod.node_name.clone().unwrap_or_default()),
        ("status.phase", Object::Pod(pod)) => Some(pod.status.phase.as_str().into()),
        ("spec.unschedulable", Object::Node(node)) => {
            Some(if node.unschedulable { "true".into() } else { "false".into() })
        }
        ("reason", Object::Event(event)) => Some(event.reason.clone()),
        ("type", Object::Event(event)) => Some(event.event_type.as_str().into()),
        ("involvedObject.name", Object::Event(event)) => Some(event.regarding.name.clone()),
        ("involvedObject.kind", Object::Event(event)) => Some(event.regarding.kind.clone()),
        _ => None,
    };
    value.is_some_and(|value| (value == field.value) != field.differs)
}
