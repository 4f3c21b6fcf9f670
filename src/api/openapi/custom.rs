//! The types of custom kinds in OpenAPI: what their definitions say, with what every object has.

use serde_json::{Map, Value, json};

use super::Version;
use crate::scheme::{GroupVersionKind, Resource, Scheme};

/// What OpenAPI 2 has no words for.
const UNKNOWN_TO_V2: [&str; 5] = ["nullable", "oneOf", "anyOf", "allOf", "not"];

/// What the type of a kind is called: `io.k8s.api.apps.v1.Deployment`, `com.example.v1.CronTab`.
pub(super) fn definition_name(kind: &GroupVersionKind) -> String {
    if Scheme::builtin().resources().any(|row| row.group == kind.group) {
        return kind.definition_name();
    }
    let group: Vec<&str> = kind.group.rsplit('.').collect();
    format!("{}.{}.{}", group.join("."), kind.version, kind.kind)
}

/// The type of a custom kind, whose `metadata` is given; `described` tells what a field that all objects have is.
pub(super) fn definition(
    row: &Resource,
    version: Version,
    metadata: &Value,
    described: impl Fn(&str) -> Option<Value>,
) -> Option<Value> {
    let published = row.custom.as_ref()?.published();
    let mut value = match (published, version) {
        (Value::Object(_), Version::V3) => published.clone(),
        (Value::Object(_), Version::V2) if !is_open(published) => for_v2(published),
        _ => json!({"type": "object"}),
    };
    let fields = value.as_object_mut()?;
    fields.insert("x-kubernetes-group-version-kind".into(), kinds(row));
    // A root that keeps anything is described by nothing in OpenAPI 2, as upstream.
    if fields.contains_key("properties") || version == Version::V3 {
        let properties = fields.entry("properties").or_insert_with(|| Value::Object(Map::new()));
        if let Some(properties) = properties.as_object_mut() {
            let string = || json!({"type": "string"});
            for (name, mut schema) in [("apiVersion", string()), ("kind", string()), ("metadata", metadata.clone())] {
                if let Some(fields) = schema.as_object_mut() {
                    fields.extend(described(name).map(|description| ("description".to_owned(), description)));
                }
                properties.insert(name.into(), schema);
            }
        }
    }
    Some(value)
}

/// Whether a schema keeps fields that it does not describe.
fn is_open(schema: &Value) -> bool {
    schema.get("x-kubernetes-preserve-unknown-fields").is_some_and(|keeps| keeps == &Value::Bool(true))
}

fn kinds(row: &Resource) -> Value {
    json!([{"group": row.group, "version": row.version, "kind": row.kind}])
}

/// The same without what OpenAPI 2 does not know. What keeps unknown fields may be anything there.
fn for_v2(schema: &Value) -> Value {
    let Some(fields) = schema.as_object() else { return schema.clone() };
    let is_open = is_open(schema);
    let mut kept = Map::new();
    for (name, value) in fields.iter().filter(|(name, _)| !UNKNOWN_TO_V2.contains(&name.as_str())) {
        match name.as_str() {
            "type" | "properties" | "additionalProperties" | "items" if is_open => {}
            "properties" => {
                let properties = value.as_object().into_iter().flatten();
                let properties: Map<String, Value> =
                    properties.map(|(name, schema)| (name.clone(), for_v2(schema))).collect();
                kept.insert(name.clone(), properties.into());
            }
            "items" | "additionalProperties" => {
                kept.insert(name.clone(), for_v2(value));
            }
            _ => {
                kept.insert(name.clone(), value.clone());
            }
        }
    }
    Value::Object(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_called_by_their_groups_from_behind() {
        let name = |group: &'static str| definition_name(&GroupVersionKind::new(group, "v1", "Thing"));
        assert_eq!(name("stable.example.com"), "com.example.stable.v1.Thing");
        assert_eq!(name("apps"), "io.k8s.api.apps.v1.Thing");
    }

    #[test]
    fn openapi_2_is_told_what_it_has_words_for() {
        let schema = json!({"type": "object", "nullable": true, "properties": {"a": {"anyOf": [{}], "type": "string"},
            "b": {"x-kubernetes-preserve-unknown-fields": true, "type": "object", "properties": {"c": {}}}}});
        assert_eq!(
            for_v2(&schema),
            json!({"type": "object", "properties": {"a": {"type": "string"},
                "b": {"x-kubernetes-preserve-unknown-fields": true}}})
        );
    }
}
