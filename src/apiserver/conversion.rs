//! Between the form in which a resource is served and the one in which it is stored.
//!
//! Most rows are stored as they are served; rows that share a storage show the same objects.

use api::meta;
use api::scheme::Resource;
use serde_json::Value;

/// Whether objects are stored as this row's kind: true for one row of each stored resource.
pub(crate) fn is_storage(resource: &Resource) -> bool {
    resource.conversion.is_none()
}

/// The form to store.
pub(crate) fn to_storage(resource: &Resource, object: Value) -> Value {
    match resource.conversion {
        Some(conversion) => (conversion.to_storage)(object),
        None => object,
    }
}

/// The form to serve.
pub(crate) fn from_storage(resource: &Resource, object: Value) -> Value {
    match resource.conversion {
        Some(conversion) => (conversion.from_storage)(object),
        None => object,
    }
}

/// Whether a deleted namespace still has finalizers in its spec.
pub(crate) fn awaits_finalize(resource: &Resource, object: &Value) -> bool {
    let is_namespace = resource.group.is_empty() && resource.plural == "namespaces";
    let finalizers = object.pointer("/spec/finalizers").and_then(Value::as_array);
    is_namespace && finalizers.is_some_and(|finalizers| !finalizers.is_empty())
}

/// `old` with the `status.conditions` of `new`, for `certificatesigningrequests/approval`.
pub(crate) fn with_conditions_of(new: &Value, old: &Value) -> Value {
    let mut result = old.clone();
    let conditions = new.pointer("/status/conditions").cloned().unwrap_or_else(|| Value::Array(Vec::new()));
    meta::set_at(&mut result, "/status/conditions", conditions);
    result
}

/// `old` with the `spec.finalizers` (and the version) of `new`, for `namespaces/finalize`.
pub(crate) fn with_finalizers_of(new: &Value, old: &Value) -> Value {
    let mut result = old.clone();
    let finalizers = new.pointer("/spec/finalizers").cloned().unwrap_or_else(|| Value::Array(Vec::new()));
    meta::set_at(&mut result, "/spec/finalizers", finalizers);
    result
}
