//! Raising of metadata, labels, selectors, conditions, resource lists: what all kinds share.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity as BoundaryQuantity;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use k8s_openapi::jiff;

use crate::api::condition::Condition;
use crate::api::k8s::core::v1 as core;
use crate::api::meta::{Labels, Meta, OwnerReference};
use crate::api::metav1;
use crate::api::resources::ResourceList;
use crate::api::selector::{LabelSelector, NodeSelector, NodeSelectorTerm, Operator, Requirement};
use crate::api::workload::IntOrPercent;
use crate::base::{Quantity, Str, Timestamp};

/// Raises metadata; what is empty or zero is left out.
pub fn raise_meta(meta: &Meta) -> metav1::ObjectMeta {
    metav1::ObjectMeta {
        annotations: labels(&meta.annotations),
        creation_timestamp: meta.created.map(time),
        deletion_grace_period_seconds: meta.deletion.and_then(|d| d.grace_seconds),
        deletion_timestamp: meta.deletion.map(|d| time(d.timestamp)),
        finalizers: texts(&meta.finalizers),
        generate_name: text(&meta.generate_name),
        generation: Some(meta.generation).filter(|g| *g != 0),
        labels: labels(&meta.labels),
        managed_fields: None,
        name: text(&meta.name),
        namespace: text(&meta.namespace),
        owner_references: list(&meta.owners, owner),
        resource_version: Some(meta.resource_version).filter(|v| *v != 0).map(|v| v.to_string()),
        self_link: None,
        uid: text(&meta.uid),
    }
}

fn owner(owner: &OwnerReference) -> metav1::OwnerReference {
    metav1::OwnerReference {
        api_version: owner.api_version.to_string(),
        block_owner_deletion: Some(owner.block_owner_deletion).filter(|b| *b),
        controller: Some(owner.controller).filter(|b| *b),
        kind: owner.kind.to_string(),
        name: owner.name.to_string(),
        uid: owner.uid.to_string(),
    }
}

/// A text; absent if empty.
pub(crate) fn text(text: &str) -> Option<String> {
    if text.is_empty() { None } else { Some(text.to_owned()) }
}

/// A list of texts; absent if empty.
pub(crate) fn texts(list: &[Str]) -> Option<Vec<String>> {
    self::list(list, ToString::to_string)
}

/// A list; absent if empty.
pub(crate) fn list<T, U>(list: &[T], raise: impl FnMut(&T) -> U) -> Option<Vec<U>> {
    if list.is_empty() { None } else { Some(list.iter().map(raise).collect()) }
}

/// A number; absent if zero.
pub(crate) fn number(number: i32) -> Option<i32> {
    Some(number).filter(|n| *n != 0)
}

/// A flag; absent if false.
pub(crate) fn flag(flag: bool) -> Option<bool> {
    Some(flag).filter(|f| *f)
}

/// A generation; absent if zero.
pub(crate) fn generation(number: i64) -> Option<i64> {
    Some(number).filter(|n| *n != 0)
}

/// A map; absent if empty.
pub(crate) fn labels(labels: &Labels) -> Option<BTreeMap<String, String>> {
    if labels.is_empty() { None } else { Some(map(labels)) }
}

/// A map.
pub(crate) fn map(labels: &Labels) -> BTreeMap<String, String> {
    labels.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect()
}

fn instant(timestamp: Timestamp) -> jiff::Timestamp {
    jiff::Timestamp::from_second(timestamp.secs()).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}

/// A time; years beyond 9999 become the epoch.
pub(crate) fn time(timestamp: Timestamp) -> metav1::Time {
    metav1::Time(instant(timestamp))
}

/// A time that lowering sets to the epoch if it is absent.
pub(crate) fn known_time(timestamp: Timestamp) -> Option<metav1::Time> {
    Some(timestamp).filter(|t| *t != Timestamp::new(0)).map(time)
}

/// A time with microseconds.
pub(crate) fn micro_time(timestamp: Timestamp) -> metav1::MicroTime {
    metav1::MicroTime(instant(timestamp))
}

/// An amount in its canonical form.
pub(crate) fn quantity(quantity: Quantity) -> BoundaryQuantity {
    BoundaryQuantity(quantity.to_string())
}

/// A resource list; absent if empty.
pub(crate) fn resources(list: &ResourceList) -> Option<BTreeMap<String, BoundaryQuantity>> {
    if list.is_empty() { None } else { Some(resource_map(list)) }
}

/// A resource list.
pub(crate) fn resource_map(list: &ResourceList) -> BTreeMap<String, BoundaryQuantity> {
    list.0.iter().map(|(name, amount)| (name.to_string(), quantity(*amount))).collect()
}

/// A number or percentage.
pub(crate) fn int_or_string(value: IntOrPercent) -> IntOrString {
    match value {
        IntOrPercent::Int(number) => IntOrString::Int(number),
        IntOrPercent::Percent(percent) => IntOrString::String(format!("{percent}%")),
    }
}

/// A selector, its first requirements as `matchLabels` as long as they could stem from there.
///
/// # Fidelity
/// A `matchExpressions` entry that asks for one value of one key may come back as a label; it selects the same.
pub(crate) fn selector(selector: &LabelSelector) -> Option<metav1::LabelSelector> {
    let LabelSelector::Requirements(all) = selector else { return None };
    let mut count = 0;
    while count < all.len()
        && is_label(&all[count])
        && (count == 0 || all[count - 1].key.as_str() < all[count].key.as_str())
    {
        count += 1;
    }
    Some(split(all, count))
}

/// A selector whose first requirements are known to be those of `match_labels`.
pub(crate) fn selector_with(
    selector: &LabelSelector,
    match_labels: &Labels,
) -> Option<metav1::LabelSelector> {
    let LabelSelector::Requirements(all) = selector else { return None };
    let count = match_labels.len();
    let known = all.len() >= count
        && all
            .iter()
            .zip(match_labels.iter())
            .all(|(r, (k, v))| is_label(r) && r.key == *k && r.values[0] == *v);
    if known { Some(split(all, count)) } else { self::selector(selector) }
}

fn is_label(requirement: &Requirement) -> bool {
    requirement.operator == Operator::In && requirement.values.len() == 1
}

fn split(all: &[Requirement], count: usize) -> metav1::LabelSelector {
    let (labels, expressions) = all.split_at(count);
    let pair =
        |r: &Requirement| (r.key.to_string(), r.values.first().map_or_else(String::new, ToString::to_string));
    metav1::LabelSelector {
        match_labels: Some(labels.iter().map(pair).collect::<BTreeMap<_, _>>()).filter(|l| !l.is_empty()),
        match_expressions: list(expressions, |r| metav1::LabelSelectorRequirement {
            key: r.key.to_string(),
            operator: operator(r.operator).to_owned(),
            values: texts(&r.values),
        }),
    }
}

const fn operator(operator: Operator) -> &'static str {
    match operator {
        Operator::In => "In",
        Operator::NotIn => "NotIn",
        Operator::Exists => "Exists",
        Operator::DoesNotExist => "DoesNotExist",
        Operator::Gt => "Gt",
        Operator::Lt => "Lt",
    }
}

/// A node selector.
pub(crate) fn node_selector(selector: &NodeSelector) -> core::NodeSelector {
    core::NodeSelector { node_selector_terms: selector.terms.iter().map(node_selector_term).collect() }
}

fn node_selector_term(term: &NodeSelectorTerm) -> core::NodeSelectorTerm {
    let requirement = |r: &Requirement| core::NodeSelectorRequirement {
        key: r.key.to_string(),
        operator: operator(r.operator).to_owned(),
        values: texts(&r.values),
    };
    core::NodeSelectorTerm {
        match_expressions: list(&term.expressions, requirement),
        match_fields: list(&term.fields, requirement),
    }
}

/// Raises conditions to the boundary type of a kind; the last word names its second time.
macro_rules! conditions {
    ($list:expr, $($type:ident)::+ $(, $updated:ident)?) => {
        $crate::api::raise::meta::list(&$list, |c: &$crate::api::condition::Condition| {
            #[allow(clippy::needless_update, reason = "some kinds' conditions have more fields")]
            let condition = $($type)::+ {
                type_: c.kind.to_string(),
                status: c.status.as_str().to_owned(),
                reason: $crate::api::raise::meta::text(&c.reason),
                message: $crate::api::raise::meta::text(&c.message),
                last_transition_time: c.transition.map($crate::api::raise::meta::time),
                $($updated: c.updated.map($crate::api::raise::meta::time),)?
                ..Default::default()
            };
            condition
        })
    };
}
pub(crate) use conditions;

/// Conditions of the shape that newer kinds share.
pub(crate) fn common_conditions(conditions: &[Condition]) -> Option<Vec<metav1::Condition>> {
    list(conditions, |c| metav1::Condition {
        last_transition_time: time(c.transition.unwrap_or(Timestamp::new(0))),
        message: c.message.to_string(),
        observed_generation: None,
        reason: c.reason.to_string(),
        status: c.status.as_str().to_owned(),
        type_: c.kind.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::lower::lower_label_selector;

    #[test]
    fn selectors_come_back_as_they_went_in() {
        for text in ["", "a=1,b=2,c in (x,y),!d", "b=2,a=1", "!x,a=1"] {
            let parsed = LabelSelector::parse(text).unwrap();
            assert_eq!(lower_label_selector(selector(&parsed)), Ok(parsed), "{text}");
        }
        assert_eq!(selector(&LabelSelector::Nothing), None);
        let labels: Labels = [("a", "1")].into_iter().collect();
        let raised = selector_with(&LabelSelector::parse("a=1,b=2").unwrap(), &labels).unwrap();
        assert_eq!(raised.match_labels.map(|l| l.len()), Some(1));
        assert_eq!(raised.match_expressions.map(|l| l.len()), Some(1));
    }

    #[test]
    fn times_are_written_as_the_api_server_writes_them() {
        let at = Timestamp::parse_rfc3339("2026-01-05T08:00:00Z").unwrap();
        assert_eq!(serde_json::to_value(time(at)).unwrap(), "2026-01-05T08:00:00Z");
        assert_eq!(serde_json::to_value(micro_time(at)).unwrap(), "2026-01-05T08:00:00.000000Z");
        assert_eq!(known_time(Timestamp::new(0)), None);
        assert_eq!(time(Timestamp::new(i64::MAX)), time(Timestamp::new(0)));
    }
}
