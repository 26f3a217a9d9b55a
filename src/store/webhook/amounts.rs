//! What the vertical autoscaler reckons with: amounts of CPU and memory, recommendations, and what may be recommended.
//!
//! Upstream: `vertical-pod-autoscaler/pkg/apis/autoscaling.k8s.io/v1/types.go`, 1.5.1.

use serde_json::{Map, Value};

use crate::api::ResourceList;
use crate::api::resources::{CPU, MEMORY};
use crate::base::quantity::Format;
use crate::base::{Quantity, Str};

/// The resources that are recommended.
pub const RESOURCES: [&str; 2] = [CPU, MEMORY];

/// Millicores and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amounts {
    /// Millicores.
    pub cpu: Option<i64>,
    /// Bytes.
    pub memory: Option<i64>,
}

impl Amounts {
    /// The amount of a resource.
    pub fn of(&self, resource: &str) -> Option<i64> {
        if resource == CPU { self.cpu } else { self.memory }
    }

    /// Sets the amount of a resource.
    pub fn set(&mut self, resource: &str, amount: i64) {
        if resource == CPU {
            self.cpu = Some(amount);
        } else {
            self.memory = Some(amount);
        }
    }

    /// Not less than `min` and not more than `max`, where they say anything; zero says nothing.
    pub fn within(self, min: &Self, max: &Self) -> Self {
        let clamp = |amount: Option<i64>, min: Option<i64>, max: Option<i64>| {
            let max = max.filter(|max| *max > 0).unwrap_or(i64::MAX);
            amount.map(|amount| amount.max(min.unwrap_or(0)).min(max))
        };
        Self { cpu: clamp(self.cpu, min.cpu, max.cpu), memory: clamp(self.memory, min.memory, max.memory) }
    }

    /// What a list says of CPU and memory.
    pub fn from_list(list: &ResourceList) -> Self {
        let amount = |name: &str| list.get(name).map(|quantity| number(name, quantity));
        Self { cpu: amount(CPU), memory: amount(MEMORY) }
    }

    /// Reads a map of quantities; what is none says nothing.
    pub fn read(value: &Value) -> Self {
        let amount = |name: &str| {
            let written = match &value[name] {
                Value::String(text) => text.clone(),
                Value::Number(number) => number.to_string(),
                _ => return None,
            };
            Some(number(name, Quantity::parse(&written).ok()?))
        };
        Self { cpu: amount(CPU), memory: amount(MEMORY) }
    }

    /// As a map of quantities.
    pub fn write(&self) -> Value {
        let mut map = Map::new();
        for name in RESOURCES {
            if let Some(amount) = self.of(name) {
                map.insert(name.to_owned(), Value::String(quantity(name, amount).to_string()));
            }
        }
        Value::Object(map)
    }
}

/// Millicores, or bytes.
fn number(name: &str, quantity: Quantity) -> i64 {
    if name == CPU { quantity.milli_value() } else { quantity.value() }
}

/// An amount as the vertical autoscaler writes it: millicores, or bytes with decimal suffixes.
pub fn quantity(name: &str, amount: i64) -> Quantity {
    if name == CPU {
        Quantity::from_milli(amount)
    } else {
        Quantity::from_bytes(amount).with_format(Format::DecimalSi)
    }
}

/// What may be recommended for a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The container; `*` for all others.
    pub container: Str,
    /// The container is left alone.
    pub off: bool,
    /// The least.
    pub min: Amounts,
    /// The most.
    pub max: Amounts,
    /// Whether CPU is recommended.
    pub cpu: bool,
    /// Whether memory is recommended.
    pub memory: bool,
    /// Limits are left alone, and what is recommended stays below them.
    pub requests_only: bool,
}

/// The policy of a container: its own, else that of all others.
pub fn policy_of<'a>(policies: &'a [Policy], container: &str) -> Option<&'a Policy> {
    let named = |name: &str| policies.iter().find(|policy| policy.container == name);
    named(container).or_else(|| named("*"))
}

/// What is recommended for a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recommendation {
    /// The container.
    pub container: Str,
    /// What it should request.
    pub target: Amounts,
    /// Less is too little.
    pub lower: Amounts,
    /// More is too much.
    pub upper: Amounts,
    /// The target before policies.
    pub uncapped: Amounts,
}
