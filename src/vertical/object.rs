//! VerticalPodAutoscalers as they stand in the store: custom resources, read from JSON and written back.
//!
//! Upstream: `vertical-pod-autoscaler/pkg/apis/autoscaling.k8s.io/v1/types.go`, 1.5.1.

use serde_json::{Value, json};

use crate::api::resources::{CPU, MEMORY};
use crate::api::{Inert, ObjectKey};
use crate::base::{Str, Timestamp};
use crate::store::webhook::amounts::{Amounts, Policy, Recommendation, policy_of};

/// The kind.
pub const KIND: &str = "VerticalPodAutoscaler";
/// The kind that holds a container's history.
pub const CHECKPOINT_KIND: &str = "VerticalPodAutoscalerCheckpoint";
const GROUP: &str = "autoscaling.k8s.io/";

/// What an autoscaler does with what it recommends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Nothing.
    Off,
    /// New Pods get it.
    Initial,
    /// New Pods get it, and old ones are evicted for it.
    Recreate,
    /// New Pods get it, and old ones are resized in place, or evicted where that does not work.
    InPlaceOrRecreate,
}

/// Pods are evicted only if one of these resources changes in this direction: `updatePolicy.evictionRequirements`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvictionRequirement {
    /// The resources.
    pub resources: Vec<Str>,
    /// `TargetHigherThanRequests`; else `TargetLowerThanRequests`.
    pub higher: bool,
}

/// An autoscaler.
#[derive(Clone, Debug, PartialEq)]
pub struct Vpa {
    /// Where it stands.
    pub key: ObjectKey,
    /// Its name.
    pub name: Str,
    /// When it was made: of two that match a Pod the older one has it.
    pub created: Option<Timestamp>,
    /// Kind and name of its target.
    pub target: (Str, Str),
    /// The version of the API that the target is named in.
    pub target_version: Str,
    /// What it does.
    pub mode: Mode,
    /// `updatePolicy.minReplicas`.
    pub min_replicas: Option<i64>,
    /// When Pods may be evicted at all.
    pub requirements: Vec<EvictionRequirement>,
    /// What may be recommended.
    pub policies: Vec<Policy>,
    /// What is recommended.
    pub recommendation: Option<Vec<Recommendation>>,
    conditions: Vec<Value>,
}

/// Whether an object is an autoscaler, or one's history.
pub fn concerns(object: &Inert) -> bool {
    object.api_version.starts_with(GROUP) && [KIND, CHECKPOINT_KIND].contains(&object.kind.as_str())
}

impl Vpa {
    /// Reads an autoscaler; none if the object is something else.
    pub fn read(key: ObjectKey, object: &Inert) -> Option<Self> {
        if !concerns(object) || object.kind != KIND {
            return None;
        }
        let body: Value = serde_json::from_str(&object.body).ok()?;
        let spec = &body["spec"];
        let word = |value: &Value| -> Str { value.as_str().unwrap_or_default().into() };
        let mode = match spec["updatePolicy"]["updateMode"].as_str() {
            Some("Off") => Mode::Off,
            Some("Initial") => Mode::Initial,
            Some("InPlaceOrRecreate") => Mode::InPlaceOrRecreate,
            // `Auto`, the default, is the same as `Recreate`.
            _ => Mode::Recreate,
        };
        let policies = spec["resourcePolicy"]["containerPolicies"].as_array();
        let recommendation = body["status"]["recommendation"]["containerRecommendations"].as_array();
        Some(Self {
            key,
            name: object.meta.name.clone(),
            created: object.meta.created,
            target: (word(&spec["targetRef"]["kind"]), word(&spec["targetRef"]["name"])),
            target_version: word(&spec["targetRef"]["apiVersion"]),
            mode,
            min_replicas: spec["updatePolicy"]["minReplicas"].as_i64(),
            requirements: requirements(&spec["updatePolicy"]["evictionRequirements"]),
            policies: policies.into_iter().flatten().map(policy).collect(),
            recommendation: recommendation.map(|list| list.iter().map(read_recommendation).collect()),
            conditions: body["status"]["conditions"].as_array().cloned().unwrap_or_default(),
        })
    }

    /// The policy of a container: its own, else that of all others.
    pub fn policy(&self, container: &str) -> Option<&Policy> {
        policy_of(&self.policies, container)
    }

    /// Sets a condition; its instant moves when it turns.
    pub fn set_condition(&mut self, kind: &str, holds: bool, words: (&str, &str), now: Timestamp) {
        let status = if holds { "True" } else { "False" };
        let before = self.conditions.iter().find(|c| c["type"] == kind && c["status"] == status);
        let since =
            before.map_or_else(|| Value::String(now.to_rfc3339()), |c| c["lastTransitionTime"].clone());
        let mut condition = json!({"type": kind, "status": status, "lastTransitionTime": since});
        for (key, text) in [("reason", words.0), ("message", words.1)] {
            if !text.is_empty() {
                condition[key] = Value::String(text.to_owned());
            }
        }
        self.conditions.retain(|c| c["type"] != kind);
        self.conditions.push(condition);
        self.conditions.sort_by(|a, b| a["type"].as_str().cmp(&b["type"].as_str()));
    }

    /// Takes a condition away.
    pub fn remove_condition(&mut self, kind: &str) {
        self.conditions.retain(|c| c["type"] != kind);
    }

    /// The body of the object with this autoscaler's status.
    pub fn body(&self, before: &str) -> String {
        let mut body: Value = serde_json::from_str(before).unwrap_or_default();
        let mut status = json!({"conditions": self.conditions});
        if let Some(list) = &self.recommendation {
            let list: Vec<Value> = list.iter().map(write_recommendation).collect();
            status["recommendation"] = json!({"containerRecommendations": list});
        }
        body["status"] = status;
        body.to_string()
    }
}

fn requirements(list: &Value) -> Vec<EvictionRequirement> {
    let one = |value: &Value| {
        let resources = value["resources"].as_array().into_iter().flatten().filter_map(Value::as_str);
        EvictionRequirement {
            resources: resources.map(Str::from).collect(),
            higher: value["changeRequirement"] == "TargetHigherThanRequests",
        }
    };
    list.as_array().into_iter().flatten().map(one).collect()
}

fn policy(value: &Value) -> Policy {
    let controlled = value["controlledResources"].as_array();
    let controls = |name: &str| controlled.is_none_or(|list| list.iter().any(|r| r == name));
    Policy {
        container: value["containerName"].as_str().unwrap_or("*").into(),
        off: value["mode"] == "Off",
        min: Amounts::read(&value["minAllowed"]),
        max: Amounts::read(&value["maxAllowed"]),
        cpu: controls(CPU),
        memory: controls(MEMORY),
        requests_only: value["controlledValues"] == "RequestsOnly",
    }
}

fn read_recommendation(value: &Value) -> Recommendation {
    Recommendation {
        container: value["containerName"].as_str().unwrap_or_default().into(),
        target: Amounts::read(&value["target"]),
        lower: Amounts::read(&value["lowerBound"]),
        upper: Amounts::read(&value["upperBound"]),
        uncapped: Amounts::read(&value["uncappedTarget"]),
    }
}

fn write_recommendation(recommendation: &Recommendation) -> Value {
    json!({
        "containerName": recommendation.container.as_str(),
        "lowerBound": recommendation.lower.write(),
        "target": recommendation.target.write(),
        "uncappedTarget": recommendation.uncapped.write(),
        "upperBound": recommendation.upper.write(),
    })
}
