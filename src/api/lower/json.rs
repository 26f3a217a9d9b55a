//! JSON values to boundary types, with the path of what does not fit.
//!
//! A deserializer over [`Value`] of its own, because the API server reads quantities that are written as
//! numbers, drops empty lists, and because an error without a path helps nobody.

use std::fmt;

use serde::de::{self, DeserializeOwned, DeserializeSeed, Deserializer, Expected, Unexpected, Visitor};
use serde_json::Value;

use super::at::{LowerError, push_field};
use crate::base::Quantity;

/// Reads a boundary type.
///
/// # Errors
/// The first value that has another type than its field, with its path.
pub fn from_value<T: DeserializeOwned>(value: Value) -> Result<T, LowerError> {
    T::deserialize(Json(value)).map_err(|error| {
        let mut path = String::new();
        for step in error.steps.iter().rev() {
            match step {
                Step::Field(name) => push_field(&mut path, name),
                Step::Index(index) => path.push_str(&format!("[{index}]")),
            }
        }
        LowerError { path, message: error.message }
    })
}

#[derive(Debug)]
enum Step {
    Field(String),
    Index(usize),
}

/// An error with the steps to it, the innermost first.
#[derive(Debug)]
struct JsonError {
    steps: Vec<Step>,
    message: String,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for JsonError {}

impl de::Error for JsonError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { steps: Vec::new(), message: message.to_string() }
    }

    /// In the words of Go's `encoding/json`, which the API server passes on.
    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let found = match unexpected {
            Unexpected::Bool(_) => "bool",
            Unexpected::Unsigned(_) | Unexpected::Signed(_) | Unexpected::Float(_) => "number",
            Unexpected::Str(_) | Unexpected::Char(_) => "string",
            Unexpected::Seq => "array",
            Unexpected::Map => "object",
            _ => "null",
        };
        let expected = expected.to_string();
        let wanted = match expected.as_str() {
            "i32" => "int32",
            "i64" => "int64",
            "a string" => "string",
            "a boolean" => "bool",
            "a sequence" => "array",
            "a map" => "map",
            other => other,
        };
        Self::custom(format!("json: cannot unmarshal {found} into Go value of type {wanted}"))
    }
}

struct Json(Value);

impl<'de> Deserializer<'de> for Json {
    type Error = JsonError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(value),
            Value::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(value), _) => visitor.visit_i64(value),
                (None, Some(value)) => visitor.visit_u64(value),
                // API objects hold floats only in JSON that nothing interprets.
                (None, None) => visitor.visit_f64(number.as_f64().unwrap_or(f64::NAN)),
            },
            Value::String(value) => visitor.visit_string(value),
            Value::Array(items) => visitor.visit_seq(Items { items: items.into_iter(), index: 0 }),
            Value::Object(fields) => visitor.visit_map(Fields { fields: fields.into_iter(), next: None }),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
        match &self.0 {
            Value::Null => visitor.visit_none(),
            // Go's `omitempty`: an empty list is an absent one.
            Value::Array(items) if items.is_empty() => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, JsonError> {
        visitor.visit_newtype_struct(if name == "Quantity" { Json(canonical_quantity(self.0)) } else { self })
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// A quantity in the form that the API server returns it in; nonsense stays as it is, for lowering to refuse.
fn canonical_quantity(value: Value) -> Value {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.trim().to_owned(),
        other => return other,
    };
    Value::String(Quantity::parse(&text).map_or(text, |quantity| quantity.to_string()))
}

struct Items {
    items: std::vec::IntoIter<Value>,
    index: usize,
}

impl<'de> de::SeqAccess<'de> for Items {
    type Error = JsonError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, JsonError> {
        let Some(item) = self.items.next() else { return Ok(None) };
        let index = self.index;
        self.index += 1;
        seed.deserialize(Json(item)).map(Some).map_err(|mut error| {
            error.steps.push(Step::Index(index));
            error
        })
    }
}

struct Fields {
    fields: serde_json::map::IntoIter,
    next: Option<(String, Value)>,
}

impl<'de> de::MapAccess<'de> for Fields {
    type Error = JsonError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, JsonError> {
        let Some((key, value)) = self.fields.next() else { return Ok(None) };
        let result = seed.deserialize(Json(Value::String(key.clone())));
        self.next = Some((key, value));
        result.map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, JsonError> {
        let (key, value) = self.next.take().unwrap_or_default();
        seed.deserialize(Json(value)).map_err(|mut error| {
            error.steps.push(Step::Field(key));
            error
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::k8s::core::v1::{Pod, PodSpec};
    use serde_json::json;

    #[test]
    fn type_errors_say_where() {
        let pod = json!({"spec": {"containers": [{"name": "a"}, {"name": "b", "ports": [{"containerPort": "x"}]}]}});
        let error = from_value::<Pod>(pod).unwrap_err();
        assert_eq!(
            error.to_string(),
            "spec.containers[1].ports[0].containerPort: json: cannot unmarshal string into Go value of type int32"
        );
        let error = from_value::<Pod>(json!({"metadata": {"labels": {"a.b/c": 1}}})).unwrap_err();
        assert_eq!(
            error.to_string(),
            "metadata.labels[a.b/c]: json: cannot unmarshal number into Go value of type string"
        );
    }

    #[test]
    fn quantities_may_be_numbers_and_become_canonical() {
        let spec = json!({"containers": [{"name": "a", "args": [], "resources": {"limits": {"cpu": 0.5, "memory": "1024Mi"}}}]});
        let spec: PodSpec = from_value(spec).unwrap();
        let container = &spec.containers[0];
        assert_eq!(container.args, None);
        let limits = container.resources.as_ref().and_then(|r| r.limits.as_ref()).unwrap();
        assert_eq!((limits["cpu"].0.as_str(), limits["memory"].0.as_str()), ("500m", "1Gi"));
    }
}
