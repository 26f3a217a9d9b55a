//! JSON values as YAML.

/// Writes a value as YAML.
pub fn render(_value: &serde_json::Value) -> String {
    String::new()
}
