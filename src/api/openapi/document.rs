//! Paths and types put together, in the words of OpenAPI 2 or 3.

use serde_json::{Map, Value, json};

use super::operations::{self, Body, Holds, Operation, Parameter, Place};
use super::types::Writer;
use super::{VERSION, Version};
use crate::protobuf;
use crate::schema::Schemas;
use crate::scheme::{Resource, Scheme};

/// What answers are written in: the last only where the kind has a message.
const ANSWER_TYPES: [&str; 3] = ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];

/// The document that describes these rows of a scheme.
pub(super) fn build<'a>(
    scheme: &'a Scheme,
    schemas: &Schemas,
    rows: impl Iterator<Item = &'a Resource>,
    version: Version,
) -> Value {
    let mut writer = Writer::new(scheme, schemas, version);
    let mut paths = Map::new();
    for row in rows {
        let tag = tag(row);
        for path in operations::paths(row) {
            let mut methods = Map::new();
            for operation in &path.operations {
                let written = write(operation, &tag, version, &mut writer);
                methods.insert(operation.method.to_owned(), written);
            }
            let parameters: Vec<Value> = path.parameters.iter().map(|found| parameter(found, version)).collect();
            methods.insert("parameters".to_owned(), parameters.into());
            paths.insert(path.path, methods.into());
        }
    }
    let types = writer.finish();
    let info = json!({"title": "Kubernetes", "version": VERSION});
    let token = json!({"type": "apiKey", "name": "authorization", "in": "header", "description": "Bearer Token authentication"});
    match version {
        Version::V2 => json!({"swagger": "2.0", "info": info, "paths": paths, "definitions": types,
            "securityDefinitions": {"BearerToken": token}, "security": [{"BearerToken": []}]}),
        Version::V3 => json!({"openapi": "3.0.0", "info": info, "paths": paths,
            "components": {"schemas": types, "securitySchemes": {"BearerToken": token}}}),
    }
}

/// `core_v1`
fn tag(row: &Resource) -> String {
    let group = match row.group.strip_suffix(".k8s.io").unwrap_or(&row.group) {
        "" => "core".to_owned(),
        group => group.replace('.', "_"),
    };
    format!("{group}_{}", row.version)
}

fn write(operation: &Operation, tag: &str, version: Version, writer: &mut Writer<'_>) -> Value {
    let kind = &operation.kind;
    let mut parameters: Vec<Value> = operation.parameters.iter().map(|found| parameter(found, version)).collect();
    let answer = schema(&operation.answer, version, writer);
    let mut value = json!({
        "tags": [tag],
        "description": operation.description,
        "operationId": operation.id,
        "x-kubernetes-action": operation.action,
        "x-kubernetes-group-version-kind": {"group": kind.group, "version": kind.version, "kind": kind.kind},
    });
    let Some(fields) = value.as_object_mut() else { return value };
    let types = match (&operation.answer, &ANSWER_TYPES) {
        (Holds::Text, _) => &["text/plain"][..],
        (_, all) if protobuf::is_known(&kind.api_version(), &kind.kind) => all,
        (_, [rest @ .., _]) => rest,
    };
    let success = match version {
        Version::V2 => {
            let consumes = operation.body.as_ref().map_or(&["*/*"][..], |body| body.media_types);
            fields.insert("consumes".into(), consumes.into());
            fields.insert("produces".into(), types.into());
            fields.insert("schemes".into(), json!(["https"]));
            if let Some(Body { holds, is_required, .. }) = &operation.body {
                let schema = schema(holds, version, writer);
                parameters.push(json!({"name": "body", "in": "body", "required": is_required, "schema": schema}));
            }
            json!({"description": "OK", "schema": answer})
        }
        Version::V3 => {
            if let Some(Body { holds, media_types, is_required }) = &operation.body {
                let schema = schema(holds, version, writer);
                let content = content(media_types, &schema);
                fields.insert("requestBody".into(), json!({"content": content, "required": is_required}));
            }
            json!({"description": "OK", "content": content(types, &answer)})
        }
    };
    fields.insert("parameters".into(), parameters.into());
    fields.insert("responses".into(), json!({"200": success, "401": {"description": "Unauthorized"}}));
    value
}

fn content(media_types: &[&str], schema: &Value) -> Map<String, Value> {
    media_types.iter().map(|media_type| ((*media_type).to_owned(), json!({"schema": schema}))).collect()
}

fn schema(holds: &Holds, version: Version, writer: &mut Writer<'_>) -> Value {
    match (holds, version) {
        (Holds::Definition(name), _) => writer.reference(name),
        (Holds::ListOf(kind), _) => writer.list(kind),
        (Holds::Patch, _) => writer.patch(),
        (Holds::Text, _) => json!({"type": "string"}),
    }
}

fn parameter(parameter: &Parameter, version: Version) -> Value {
    let place = match parameter.place {
        Place::Path => "path",
        Place::Query => "query",
    };
    let mut value = json!({"name": parameter.name, "in": place, "description": parameter.description});
    if let Some(fields) = value.as_object_mut() {
        if parameter.place == Place::Path {
            fields.insert("required".into(), true.into());
        }
        match version {
            Version::V2 => fields.extend([("type".into(), parameter.kind.into()), ("uniqueItems".into(), true.into())]),
            Version::V3 => fields.extend([("schema".into(), json!({"type": parameter.kind, "uniqueItems": true}))]),
        }
    }
    value
}
