//! `PartialObjectMetadata`: an object's metadata alone, for those who follow owners and labels of many kinds.

use serde_json::{Value, json};

use crate::negotiate::MetaVersion;

/// The metadata of one object.
pub(crate) fn object(value: &Value, version: MetaVersion) -> Value {
    let metadata = value.get("metadata").cloned().unwrap_or_else(|| json!({}));
    json!({"kind": "PartialObjectMetadata", "apiVersion": version.api_version(), "metadata": metadata})
}

/// The metadata of a list's objects.
pub(crate) fn list(values: &[Value], version: MetaVersion, metadata: Value) -> Value {
    let items: Vec<Value> = values.iter().map(|value| object(value, version)).collect();
    json!({"kind": "PartialObjectMetadataList", "apiVersion": version.api_version(), "metadata": metadata, "items": items})
}
