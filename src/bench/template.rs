//! Objects from templates.

use serde_json::{Value, json};

use crate::api::{Object, lower};
use crate::base::Str;

/// What objects are made from: one form or several that take turns.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    forms: Vec<Form>,
}

/// One form of an object.
#[derive(Clone, Debug, PartialEq)]
enum Form {
    /// The same for every object.
    Json(Value),
    /// With `{{.Index}}` and `{{.Count}}` in its texts.
    Indexed(Value),
}

impl Form {
    fn of(value: Value) -> Self {
        let marked = value.to_string().contains("{{");
        if marked { Self::Indexed(value) } else { Self::Json(value) }
    }
}

impl Template {
    /// One form.
    pub fn new(value: Value) -> Self {
        Self { forms: vec![Form::of(value)] }
    }

    /// Forms that take turns.
    pub fn in_turn(values: impl IntoIterator<Item = Value>) -> Self {
        Self { forms: values.into_iter().map(Form::of).collect() }
    }

    /// How many forms there are.
    pub fn forms(&self) -> usize {
        self.forms.len()
    }

    /// Whether objects of one form differ in more than their names.
    pub fn is_indexed(&self) -> bool {
        self.forms.iter().any(|form| matches!(form, Form::Indexed(_)))
    }

    /// The manifest of the object number `index` of `count`.
    pub fn manifest(&self, index: usize, count: usize) -> Value {
        match self.forms.get(index % self.forms.len().max(1)) {
            None => Value::Null,
            Some(Form::Json(value)) => value.clone(),
            Some(Form::Indexed(value)) => filled(value, index, count),
        }
    }

    /// The name that a manifest gives its object, made of its `generateName` if it has no name.
    pub fn name(manifest: &Value, serial: usize) -> Str {
        let word = |key: &str| manifest["metadata"][key].as_str().filter(|text| !text.is_empty());
        match word("name") {
            Some(name) => name.into(),
            None => format!("{}{serial}", word("generateName").unwrap_or("object-")).into(),
        }
    }
}

/// The value with the object's number put into its texts.
fn filled(value: &Value, index: usize, count: usize) -> Value {
    match value {
        Value::String(text) => {
            let text = text.replace("{{.Index}}", &index.to_string());
            Value::String(text.replace("{{.Count}}", &count.to_string()))
        }
        Value::Array(items) => items.iter().map(|item| filled(item, index, count)).collect(),
        Value::Object(fields) => Value::Object(
            fields.iter().map(|(key, value)| (key.clone(), filled(value, index, count))).collect(),
        ),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

/// Gives a manifest its name, namespace and identity, and reads it.
///
/// # Errors
/// What is wrong with it.
pub fn object(mut manifest: Value, namespace: &str, name: &str) -> Result<Object, String> {
    let kind = manifest["kind"].as_str().unwrap_or("object").to_owned();
    if !manifest.is_object() {
        return Err("a template is a mapping with `apiVersion` and `kind`".to_owned());
    }
    if !manifest["metadata"].is_object() {
        manifest["metadata"] = json!({});
    }
    let meta = &mut manifest["metadata"];
    meta["name"] = json!(name);
    meta["uid"] = json!(if namespace.is_empty() {
        format!("{kind}.{name}")
    } else {
        format!("{kind}.{namespace}.{name}")
    });
    if !namespace.is_empty() {
        meta["namespace"] = json!(namespace);
    }
    let mut object = lower::object(manifest).map_err(|errors| {
        let all: Vec<String> = errors.iter().map(ToString::to_string).collect();
        format!("{kind} \"{name}\" is invalid: {}", all.join("; "))
    })?;
    if let Object::Pod(pod) = &mut object {
        lower::merge_label_keys(crate::base::Arc::make_mut(pod));
    }
    Ok(object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_take_turns_and_numbers_are_filled_in() {
        let turns = Template::in_turn([json!("a"), json!("b"), json!({"x": ["{{.Index}} of {{.Count}}"]})]);
        assert_eq!((turns.forms(), turns.is_indexed()), (3, true));
        assert_eq!([3, 4].map(|i| turns.manifest(i, 9)), [json!("a"), json!("b")]);
        assert_eq!(turns.manifest(5, 9), json!({"x": ["5 of 9"]}));
        assert!(!Template::new(json!("a")).is_indexed());
    }

    #[test]
    fn names_are_given_or_made() {
        for (meta, expected) in
            [(json!({"name": "n"}), "n"), (json!({"generateName": "pod-"}), "pod-7"), (json!({}), "object-7")]
        {
            assert_eq!(Template::name(&json!({"metadata": meta}), 7), expected);
        }
        let wrong = json!({"apiVersion": "v1", "kind": "Pod", "spec": {"containers": 3}});
        assert!(object(wrong, "default", "p").unwrap_err().starts_with("Pod \"p\" is invalid: "));
    }
}
