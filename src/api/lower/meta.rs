//! Metadata, labels, selectors, conditions, resource lists: what all kinds share.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity as BoundaryQuantity;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::at::{At, LowerError, collect};
use crate::api::condition::{Condition, ConditionStatus};
use crate::api::k8s::core::v1 as core;
use crate::api::meta::{Deletion, Labels, Lasting, Meta, OwnerReference};
use crate::api::metav1;
use crate::api::resources::ResourceList;
use crate::api::selector::{LabelSelector, NodeSelector, NodeSelectorTerm, Operator, Requirement};
use crate::api::workload::IntOrPercent;
use crate::base::{Quantity, Str, Timestamp};

/// Lowers metadata. A `resourceVersion` that is not a number of this store counts as 0.
pub fn lower_meta(meta: metav1::ObjectMeta) -> Meta {
    let lasting = Lasting {
        namespace: text(meta.namespace),
        name: text(meta.name),
        generate_name: text(meta.generate_name),
        uid: text(meta.uid),
        created: time(meta.creation_timestamp),
        labels: labels(meta.labels),
        annotations: labels(meta.annotations),
        owners: meta.owner_references.unwrap_or_default().into_iter().map(owner).collect(),
        finalizers: texts(meta.finalizers).into(),
    };
    Meta {
        resource_version: meta.resource_version.and_then(|v| v.parse().ok()).unwrap_or(0),
        generation: meta.generation.unwrap_or(0),
        deletion: time(meta.deletion_timestamp)
            .map(|timestamp| Deletion { timestamp, grace_seconds: meta.deletion_grace_period_seconds }),
        ..lasting.into()
    }
}

fn owner(owner: metav1::OwnerReference) -> OwnerReference {
    OwnerReference {
        api_version: owner.api_version.into(),
        kind: owner.kind.into(),
        name: owner.name.into(),
        uid: owner.uid.into(),
        controller: owner.controller.unwrap_or(false),
        block_owner_deletion: owner.block_owner_deletion.unwrap_or(false),
    }
}

/// A text; empty if absent.
pub(crate) fn text(text: Option<String>) -> Str {
    text.filter(|t| !t.is_empty()).map_or_else(Str::new, Str::from)
}

/// A text; absent if empty.
pub(crate) fn non_empty(text: Option<String>) -> Option<Str> {
    text.filter(|t| !t.is_empty()).map(Str::from)
}

/// A list of texts.
pub(crate) fn texts(list: Option<Vec<String>>) -> Vec<Str> {
    list.unwrap_or_default().into_iter().map(Str::from).collect()
}

/// A map of texts.
pub(crate) fn labels(map: Option<BTreeMap<String, String>>) -> Labels {
    map.unwrap_or_default().into_iter().collect()
}

/// A time, cut to whole seconds.
pub(crate) fn time(time: Option<metav1::Time>) -> Option<Timestamp> {
    time.map(|t| Timestamp::new(t.0.as_second()))
}

/// A time with microseconds, cut to whole seconds.
pub(crate) fn micro_time(time: Option<metav1::MicroTime>) -> Option<Timestamp> {
    time.map(|t| Timestamp::new(t.0.as_second()))
}

/// A resource list, its amounts rounded up to thousandths.
///
/// Upstream: `pkg/apis/core/v1/defaults.go` `SetDefaults_ResourceList`, v1.34.
pub(crate) fn resources(at: &At<'_>, list: Option<BTreeMap<String, BoundaryQuantity>>) -> ResourceList {
    list.unwrap_or_default()
        .into_iter()
        .map(|(name, quantity)| {
            let amount = round_to_milli(at.field(&name).quantity(&quantity.0));
            (Str::from(name), amount)
        })
        .collect()
}

/// An amount rounded up to thousandths.
pub(crate) fn round_to_milli(quantity: Quantity) -> Quantity {
    if quantity.nanos() % 1_000_000 == 0 {
        quantity
    } else {
        Quantity::from_milli(quantity.milli_value()).with_format(quantity.format())
    }
}

/// Lowers a label selector; an absent one selects nothing.
///
/// Upstream: `apimachinery/pkg/apis/meta/v1/helpers.go` `LabelSelectorAsSelector`; words of the refusals from
/// `apimachinery/pkg/apis/meta/v1/validation/validation.go`, v1.34.
pub(crate) fn selector(at: &At<'_>, selector: Option<metav1::LabelSelector>) -> LabelSelector {
    let Some(selector) = selector else { return LabelSelector::Nothing };
    let equal = |(key, value): (String, String)| Requirement {
        key: key.into(),
        operator: Operator::In,
        values: vec![value.into()],
    };
    let mut all: Vec<Requirement> =
        selector.match_labels.unwrap_or_default().into_iter().map(equal).collect();
    let at = at.field("matchExpressions");
    all.extend(at.each(selector.match_expressions, |at, r| {
        requirement(at, r.key, &r.operator, r.values, LABEL_OPERATORS)
    }));
    LabelSelector::Requirements(all)
}

/// Lowers a label selector on its own.
///
/// # Errors
/// Unknown operators, and values that do not go with them.
pub fn lower_label_selector(value: Option<metav1::LabelSelector>) -> Result<LabelSelector, Vec<LowerError>> {
    collect(|at| selector(at, value))
}

const LABEL_OPERATORS: &[(&str, Operator)] = &[
    ("In", Operator::In),
    ("NotIn", Operator::NotIn),
    ("Exists", Operator::Exists),
    ("DoesNotExist", Operator::DoesNotExist),
];

const NODE_OPERATORS: &[(&str, Operator)] = &[
    ("In", Operator::In),
    ("NotIn", Operator::NotIn),
    ("Exists", Operator::Exists),
    ("DoesNotExist", Operator::DoesNotExist),
    ("Gt", Operator::Gt),
    ("Lt", Operator::Lt),
];

fn requirement(
    at: &At<'_>,
    key: String,
    operator: &str,
    values: Option<Vec<String>>,
    operators: &[(&str, Operator)],
) -> Requirement {
    let values = texts(values);
    let found = operators.iter().find(|(word, _)| *word == operator).map(|(_, operator)| *operator);
    let values_at = at.field("values");
    match found {
        None => at
            .field("operator")
            .error(format!("Invalid value: \"{operator}\": not a valid selector operator")),
        Some(Operator::In | Operator::NotIn) if values.is_empty() => {
            values_at.error("Required value: must be specified when `operator` is 'In' or 'NotIn'")
        }
        Some(Operator::Exists | Operator::DoesNotExist) if !values.is_empty() => {
            values_at.error("Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'")
        }
        Some(Operator::Gt | Operator::Lt) if values.len() != 1 => {
            values_at.error("Required value: must be specified single value when `operator` is 'Lt' or 'Gt'")
        }
        Some(_) => {}
    }
    Requirement { key: key.into(), operator: found.unwrap_or(Operator::DoesNotExist), values }
}

/// Lowers a node selector.
pub(crate) fn node_selector(at: &At<'_>, selector: core::NodeSelector) -> NodeSelector {
    NodeSelector {
        terms: at.field("nodeSelectorTerms").each(Some(selector.node_selector_terms), node_selector_term),
    }
}

/// Lowers a term of a node selector.
pub(crate) fn node_selector_term(at: &At<'_>, term: core::NodeSelectorTerm) -> NodeSelectorTerm {
    let list = |name, list| {
        at.field(name).each(list, |at, r: core::NodeSelectorRequirement| {
            requirement(at, r.key, &r.operator, r.values, NODE_OPERATORS)
        })
    };
    NodeSelectorTerm {
        expressions: list("matchExpressions", term.match_expressions),
        fields: list("matchFields", term.match_fields),
    }
}

/// Lowers a number or percentage.
///
/// Words from `apimachinery/pkg/util/validation/validation.go` `IsValidPercent`, v1.34.
pub(crate) fn int_or_percent(at: &At<'_>, value: &IntOrString) -> IntOrPercent {
    match value {
        IntOrString::Int(number) => IntOrPercent::Int(*number),
        IntOrString::String(text) => {
            let digits = text.strip_suffix('%').filter(|t| t.bytes().all(|b| b.is_ascii_digit()));
            if let Some(percent) = digits.and_then(|t| t.parse().ok()) {
                return IntOrPercent::Percent(percent);
            }
            at.error(format!(
                "Invalid value: \"{text}\": a valid percent string must be a numeric string followed by an \
                 ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')"
            ));
            IntOrPercent::Int(0)
        }
    }
}

/// Lowers conditions of any kind; the last field names the second time a kind's conditions carry.
macro_rules! conditions {
    ($list:expr $(, $updated:ident)?) => {
        $list
            .unwrap_or_default()
            .into_iter()
            .map(|c| $crate::api::lower::meta::condition(
                c.type_,
                &c.status,
                (c.reason, c.message),
                $crate::api::lower::meta::time(c.last_transition_time),
                conditions!(@updated c $(, $updated)?),
            ))
            .collect::<Vec<_>>()
    };
    (@updated $c:ident) => { None };
    (@updated $c:ident, $updated:ident) => { $crate::api::lower::meta::time($c.$updated) };
}
pub(crate) use conditions;

/// One condition.
pub(crate) fn condition(
    kind: String,
    status: &str,
    (reason, message): (Option<String>, Option<String>),
    transition: Option<Timestamp>,
    updated: Option<Timestamp>,
) -> Condition {
    Condition {
        kind: kind.into(),
        status: ConditionStatus::parse(status),
        reason: text(reason),
        message: text(message),
        transition,
        updated,
    }
}

/// Conditions of the shape that newer kinds share.
pub(crate) fn common_conditions(list: Option<Vec<metav1::Condition>>) -> Vec<Condition> {
    list.unwrap_or_default()
        .into_iter()
        .map(|c| {
            let words = (Some(c.reason), Some(c.message));
            condition(c.type_, &c.status, words, time(Some(c.last_transition_time)), None)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn lower(value: serde_json::Value) -> Result<LabelSelector, String> {
        lower_label_selector(serde_json::from_value(value).unwrap()).map_err(|e| e[0].to_string())
    }

    #[test]
    fn selectors_keep_labels_before_expressions() {
        let value = json!({"matchLabels": {"b": "1", "a": "2"}, "matchExpressions": [{"key": "c", "operator": "Exists"}]});
        assert_eq!(lower(value).unwrap().to_string(), "a=2,b=1,c");
        assert_eq!(lower(json!(null)), Ok(LabelSelector::Nothing));
        assert!(lower(json!({})).unwrap().is_everything());
    }

    #[test]
    fn selectors_are_refused_in_upstreams_words() {
        let one = |operator: &str, values: &[&str]| {
            lower(json!({"matchExpressions": [{"key": "c", "operator": operator, "values": values}]}))
                .unwrap_err()
        };
        assert_eq!(
            one("in", &[]),
            "matchExpressions[0].operator: Invalid value: \"in\": not a valid selector operator"
        );
        assert_eq!(
            one("In", &[]),
            "matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'"
        );
        assert!(one("Exists", &["x"]).contains("Forbidden"));
        assert!(one("Gt", &["1"]).contains("not a valid selector operator"));
    }

    #[test]
    fn percentages_are_numbers_with_a_sign() {
        let read = |text: &str| collect(|at| int_or_percent(at, &IntOrString::String(text.to_owned())));
        assert_eq!(read("25%"), Ok(IntOrPercent::Percent(25)));
        for text in ["25", "%", "-5%", "2.5%", "99999999999%", ""] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn amounts_below_a_milli_round_up() {
        let list = BTreeMap::from([("cpu".to_owned(), BoundaryQuantity("100u".to_owned()))]);
        assert_eq!(collect(|at| resources(at, Some(list))).unwrap().cpu_milli(), 1);
    }
}
