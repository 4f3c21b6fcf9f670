//! OpenAPI documents: types and paths, told from the table and the schema.
//!
//! kubectl reads descriptions from the components, and from each PATCH operation (found by its
//! `x-kubernetes-group-version-kind`) whether it takes `fieldValidation` and `dryRun`. Documents are made when asked for
//! and not kept here.

mod paths;
mod schemas;
mod v2;

use serde_json::{Value, json};

use crate::scheme::Scheme;

pub use v2::{v2};

/// The document of one group version.
#[must_use]
pub fn v3(scheme: &Scheme, group: &str, version: &str, server_version: &str) -> Value {
    let mut schemas = schemas::components(scheme);
    let paths = paths::paths(scheme, |row| row.group == group && row.version == version, paths::Form::V3);
    schemas::keep_reached(&mut schemas, &paths);
    json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": server_version},
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": {"BearerToken": {
            "type": "apiKey", "in": "header", "name": "authorization", "description": "Bearer Token authentication"}}},
    })
}
