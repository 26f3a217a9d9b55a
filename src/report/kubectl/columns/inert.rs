//! Rows of kinds that are carried without effect, from their JSON.

use serde_json::Value;

use super::{age_of, or_none, plain, text};
use crate::api::{LabelSelector, Object, lower};
use crate::base::Timestamp;

/// Hosts of an Ingress that are shown.
const HOSTS_MAX: usize = 3;

pub(super) fn inert(object: &Object, now: Timestamp, wide: bool) -> Vec<String> {
    let Object::Inert(inert) = object else { return plain(object, now, wide) };
    let json: Value = serde_json::from_str(&inert.body).unwrap_or_default();
    let name = inert.meta.name.to_string();
    let age = age_of(object, now);
    let size = |value: &Value| value.as_object().map_or(0, serde_json::Map::len);
    let length = |value: &Value| value.as_array().map_or(0, Vec::len);
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    match inert.kind.as_str() {
        "ConfigMap" => vec![name, (size(&json["data"]) + size(&json["binaryData"])).to_string(), age],
        "Secret" => {
            let kind = json["type"].as_str().unwrap_or("Opaque");
            // The server folds stringData into data.
            let data = json["data"].as_object().into_iter().chain(json["stringData"].as_object()).flatten();
            let keys: std::collections::BTreeSet<&String> = data.map(|(key, _)| key).collect();
            vec![name, text(kind), keys.len().to_string(), age]
        }
        "ServiceAccount" => vec![name, length(&json["secrets"]).to_string(), age],
        "Ingress" => ingress(name, &json, age),
        "IngressClass" => {
            let parameters = &json["spec"]["parameters"];
            let parameters = match parameters["kind"].as_str() {
                Some(kind) => format!("{kind}/{}", word(&parameters["name"])),
                None => String::new(),
            };
            vec![name, word(&json["spec"]["controller"]), or_none(&parameters), age]
        }
        "NetworkPolicy" => {
            let selector = serde_json::from_value(json["spec"]["podSelector"].clone())
                .ok()
                .and_then(|s| lower::lower_label_selector(Some(s)).ok())
                .unwrap_or(LabelSelector::Nothing);
            vec![name, or_none(&selector.to_string()), age]
        }
        "RoleBinding" | "ClusterRoleBinding" => binding(name, &json, age, wide),
        "RuntimeClass" => vec![name, word(&json["handler"]), age],
        _ => vec![name, length(&json["webhooks"]).to_string(), age],
    }
}

fn ingress(name: String, json: &Value, age: String) -> Vec<String> {
    let spec = &json["spec"];
    let hosts: Vec<&str> =
        spec["rules"].as_array().into_iter().flatten().filter_map(|rule| rule["host"].as_str()).collect();
    let shown = hosts.iter().take(HOSTS_MAX).copied().collect::<Vec<_>>().join(",");
    let hosts = match hosts.len() {
        0 => text("*"),
        n if n > HOSTS_MAX => format!("{shown} + {} more...", n - HOSTS_MAX),
        _ => shown,
    };
    let class = spec["ingressClassName"].as_str().unwrap_or_default();
    let tls = spec["tls"].as_array().is_some_and(|t| !t.is_empty());
    vec![name, or_none(class), hosts, String::new(), text(if tls { "80, 443" } else { "80" }), age]
}

fn binding(name: String, json: &Value, age: String, wide: bool) -> Vec<String> {
    let role = &json["roleRef"];
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut row = vec![name, format!("{}/{}", word(&role["kind"]), word(&role["name"])), age];
    if wide {
        let subjects = json["subjects"].as_array().map(Vec::as_slice).unwrap_or_default();
        let of = |kind: &str| {
            let names =
                subjects.iter().filter(|s| s["kind"] == kind).map(|s| match s["namespace"].as_str() {
                    Some(namespace) if kind == "ServiceAccount" => {
                        format!("{namespace}/{}", word(&s["name"]))
                    }
                    _ => word(&s["name"]),
                });
            names.collect::<Vec<_>>().join(", ")
        };
        row.extend([of("User"), of("Group"), of("ServiceAccount")]);
    }
    row
}
