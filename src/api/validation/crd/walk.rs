//! Every schema inside a schema.

use serde_json::Value;

use crate::value::{entries, flag, has, list, part, text};

/// The types of values.
pub(super) const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];

/// Whether the schema is so, or one inside it. The depth is that of the body, which is bounded.
pub(super) fn any(schema: &Value, is_so: fn(&Value) -> bool) -> bool {
    if !schema.is_object() {
        return false;
    }
    let inside = |inner: &Value| any(inner, is_so);
    let in_list = |field: &str| list(schema, field).iter().any(inside);
    let in_map = |field: &str| entries(schema, field).any(|(_, inner)| inside(inner));
    is_so(schema)
        || ["items", "not", "additionalProperties", "additionalItems"].iter().any(|field| inside(part(schema, field)))
        || ["items", "allOf", "anyOf", "oneOf"].into_iter().any(in_list)
        || ["properties", "patternProperties", "definitions", "dependencies"].into_iter().any(in_map)
}

/// Whether its type is one, or none.
pub(super) fn is_typed(schema: &Value) -> bool {
    let kind = text(schema, "type");
    kind.is_empty() || TYPES.contains(&kind)
}

/// Whether it says something that OpenAPI does not know.
pub(super) fn has_extensions(schema: &Value) -> bool {
    flag(schema, "x-kubernetes-embedded-resource")
        || flag(schema, "x-kubernetes-int-or-string")
        || has(schema, "x-kubernetes-preserve-unknown-fields")
        || has(schema, "x-kubernetes-list-type")
        || !list(schema, "x-kubernetes-list-map-keys").is_empty()
        || !list(schema, "x-kubernetes-validations").is_empty()
}
