//! The JSON Schema of the scenario file, from the tables.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::scalar::DELAY_SHAPE;
use super::shape::{Shape, Type};
use super::tables::{SCENARIO, STEP};
use crate::expect::Cause;
use crate::params::latency::{PLAIN, SPECIAL};
use crate::params::settings::{COMPONENTS, FlagInfo, FlagType};

/// Upstream's pattern of durations: `time.ParseDuration`.
const DURATION: &str = r"^([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h)(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h))*$|^0$";
const QUANTITY: &str = r"^\+?([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][-+]?[0-9]+)?$";
const COUNT: &str = r"^\s*(>=|<=|==|!=|>|<|=)?\s*-?[0-9]+\s*$";
/// The same with decimals.
const AMOUNT: &str = r"^\s*(>=|<=|==|!=|>|<|=)?\s*-?[0-9]+(\.[0-9]+)?\s*$";

/// The JSON Schema of the scenario file.
pub fn schema() -> Value {
    let mut definitions = BTreeMap::new();
    let root = of_shape(&SCENARIO, &mut definitions);
    let mut out = Map::new();
    out.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
    out.insert("title".to_owned(), json!("wavetank scenario"));
    if let Value::Object(root) = root {
        out.extend(root);
    }
    out.insert("$defs".to_owned(), definitions.into_iter().map(|(k, v)| (k.to_owned(), v)).collect());
    Value::Object(out)
}

type Definitions = BTreeMap<&'static str, Value>;

fn of_shape(shape: &'static Shape, definitions: &mut Definitions) -> Value {
    let mut properties = Map::new();
    for field in shape.all() {
        let mut schema = of_type(&field.takes, definitions);
        if let Some(fields) = schema.as_object_mut() {
            let default = if field.default.is_empty() {
                String::new()
            } else {
                format!(" Default: {}.", field.default)
            };
            fields.insert("description".to_owned(), json!(format!("{}{default}", field.doc)));
        }
        properties.insert(field.name.to_owned(), schema);
    }
    let required: Vec<_> = shape.all().filter(|f| f.required).map(|f| f.name).collect();
    let mut out = Map::new();
    out.insert("description".to_owned(), json!(shape.doc));
    out.insert("type".to_owned(), json!("object"));
    out.insert("properties".to_owned(), Value::Object(properties));
    out.insert("additionalProperties".to_owned(), json!(false));
    if !required.is_empty() {
        out.insert("required".to_owned(), json!(required));
    }
    if std::ptr::eq(shape, &STEP) {
        // `at` and one verb.
        out.insert("minProperties".to_owned(), json!(2));
        out.insert("maxProperties".to_owned(), json!(2));
    }
    Value::Object(out)
}

fn reference(shape: &'static Shape, definitions: &mut Definitions) -> Value {
    if !definitions.contains_key(shape.name) {
        definitions.insert(shape.name, Value::Null);
        let schema = of_shape(shape, definitions);
        definitions.insert(shape.name, schema);
    }
    json!({ "$ref": format!("#/$defs/{}", shape.name) })
}

fn map_of(values: Value) -> Value {
    json!({ "type": "object", "additionalProperties": values })
}

fn of_type(takes: &Type, definitions: &mut Definitions) -> Value {
    match takes {
        Type::Bool => json!({ "type": "boolean" }),
        Type::Integer(least) => json!({ "type": "integer", "minimum": least }),
        Type::Number => json!({ "type": "number", "minimum": 0 }),
        Type::Text | Type::Selector => json!({ "type": "string" }),
        // `True` is a boolean to YAML, and read as the word.
        Type::Words(words) => {
            let booleans = [("True", true), ("False", false)];
            let booleans = booleans.into_iter().filter(|(word, _)| words.contains(word));
            let all = words.iter().map(|word| json!(word)).chain(booleans.map(|(_, value)| json!(value)));
            json!({ "enum": all.collect::<Vec<Value>>() })
        }
        Type::Duration => json!({ "type": ["string", "integer"], "pattern": DURATION, "maximum": 0 }),
        Type::Delay => {
            let distribution = reference(DELAY_SHAPE, definitions);
            json!({ "anyOf": [of_type(&Type::Duration, definitions), distribution] })
        }
        Type::Quantity => json!({ "type": ["string", "number"], "pattern": QUANTITY, "minimum": 0 }),
        Type::QuantityOrPercent => {
            json!({ "anyOf": [of_type(&Type::Quantity, definitions), { "type": "string", "pattern": "^[0-9]+%$" }] })
        }
        Type::Count => json!({ "type": ["string", "integer"], "pattern": COUNT }),
        Type::Amount => json!({ "type": ["string", "number"], "pattern": AMOUNT }),
        Type::Time => json!({ "type": "string", "format": "date-time" }),
        Type::Version => {
            json!({ "type": ["string", "number"], "pattern": r"^v?1\.(2[89]|3[0-4])(\.[0-9]+)?$" })
        }
        Type::TextMap => map_of(json!({ "type": ["string", "null"] })),
        Type::QuantityMap => map_of(of_type(&Type::Quantity, definitions)),
        Type::IntegerMap => map_of(json!({ "type": ["integer", "null"], "minimum": 0 })),
        Type::MapOf(inner) => map_of(of_type(inner, definitions)),
        Type::List(inner) => json!({ "type": "array", "items": of_type(inner, definitions) }),
        Type::Shape(shape) => reference(shape, definitions),
        Type::OneOf(types) => {
            let forms: Vec<_> = types.iter().map(|t| of_type(t, definitions)).collect();
            json!({ "anyOf": forms })
        }
        Type::Json => json!({}),
        Type::Settings => settings(),
        Type::Latencies => latencies(definitions),
        Type::Cause => json!({ "enum": Cause::ALL.iter().map(|c| c.as_str()).collect::<Vec<_>>() }),
    }
}

fn closed(properties: Map<String, Value>) -> Value {
    json!({ "type": "object", "properties": properties, "additionalProperties": false })
}

fn settings() -> Value {
    let component = |flags: &[FlagInfo]| {
        closed(
            flags
                .iter()
                .map(|flag| {
                    let mut schema = flag_schema(flag.takes);
                    schema["description"] = json!(format!("{} Default: {}.", flag.doc, flag.default));
                    (flag.name.to_owned(), schema)
                })
                .collect(),
        )
    };
    closed(COMPONENTS.iter().map(|c| (c.name.to_owned(), component(c.flags))).collect())
}

fn flag_schema(takes: FlagType) -> Value {
    match takes {
        FlagType::Duration => of_type(&Type::Duration, &mut Definitions::new()),
        FlagType::Integer => json!({ "type": "integer" }),
        FlagType::Decimal => json!({ "type": "number" }),
        FlagType::Bool => json!({ "type": "boolean" }),
        FlagType::Word(words) => json!({ "enum": words }),
        FlagType::Words(_) | FlagType::Keys | FlagType::Thresholds | FlagType::Reclaims => {
            json!({ "type": "string" })
        }
        FlagType::Resources | FlagType::SignalSpans | FlagType::PrioritySpans => {
            json!({ "type": ["string", "object"] })
        }
        FlagType::Document => json!({ "type": "object" }),
    }
}

fn latencies(definitions: &mut Definitions) -> Value {
    let properties = PLAIN.iter().chain(SPECIAL).map(|latency| {
        let takes = match latency.name {
            "imagePullBandwidth" => Type::Quantity,
            "leaseStagger" => Type::Duration,
            _ => Type::Delay,
        };
        let mut schema = of_type(&takes, definitions);
        schema["description"] = json!(format!("{} Default: {}.", latency.doc, latency.default));
        (latency.name.to_owned(), schema)
    });
    closed(properties.collect())
}
