//! OpenAPI v2: one document for everything, in JSON and in the protobuf form that older clients ask for.

use serde_json::{Map, Value, json};

use super::{paths, schemas};
use crate::scheme::Scheme;
use crate::schema::generate::REFERENCE;

/// The document.
#[must_use]
pub fn v2(scheme: &Scheme, server_version: &str) -> Value {
    let mut document = json!({
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": server_version},
        "paths": paths::paths(scheme, |_| true, paths::Form::V2),
        "definitions": schemas::components(scheme),
        "securityDefinitions": {"BearerToken": {
            "type": "apiKey", "in": "header", "name": "authorization", "description": "Bearer Token authentication"}},
        "security": [{"BearerToken": []}],
    });
    downgrade(&mut document);
    document
}

/// v2 keeps types under `definitions` and describes references beside them instead of in `allOf`.
fn downgrade(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(reference)) = fields.get_mut("$ref")
                && let Some(name) = reference.strip_prefix(REFERENCE)
            {
                *reference = format!("#/definitions/{name}");
            }
            if let Some(Value::Array(all)) = fields.get("allOf")
                && let [Value::Object(only)] = all.as_slice()
            {
                let only: Map<String, Value> = only.clone();
                fields.remove("allOf");
                fields.remove("default");
                fields.extend(only);
                return downgrade(value);
            }
            fields.values_mut().for_each(downgrade);
        }
        Value::Array(items) => items.iter_mut().for_each(downgrade),
        _ => {}
    }
}
