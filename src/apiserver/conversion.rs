//! Between the form in which a resource is served and the one in which it is stored.
//!
//! Most rows are stored as they are served; rows that share a storage show the same objects. A custom object says in
//! which version it was stored, since that may be an older one than is stored today.

use api::meta;
use api::scheme::{Conversion, Resource, api_version};
use api::status::Status;
use serde_json::Value;

use crate::server::ApiServer;

/// Whether new objects are stored as this row's kind: true for one row of each stored resource.
pub(crate) fn is_storage(resource: &Resource) -> bool {
    resource.conversion.is_none()
}

/// The form to store.
pub(crate) async fn to_storage(_server: &ApiServer, resource: &Resource, object: Value) -> Result<Value, Status> {
    Ok(match &resource.conversion {
        None => object,
        Some(Conversion::Functions { to_storage, .. }) => to_storage(object),
        Some(Conversion::Version { stored }) => in_version(object, &api_version(&resource.group, stored)),
    })
}

/// The form to serve, of an object as it is stored.
pub(crate) async fn from_storage(_server: &ApiServer, resource: &Resource, object: Value) -> Result<Value, Status> {
    if resource.custom.is_some() {
        return Ok(in_version(object, &resource.api_version()));
    }
    Ok(match &resource.conversion {
        Some(Conversion::Functions { from_storage, .. }) => from_storage(object),
        None | Some(Conversion::Version { .. }) => object,
    })
}

/// The same for all objects of a list.
pub(crate) async fn list_from_storage(
    server: &ApiServer,
    resource: &Resource,
    objects: Vec<Value>,
) -> Result<Vec<Value>, Status> {
    let mut served = Vec::with_capacity(objects.len());
    for object in objects {
        served.push(from_storage(server, resource, object).await?);
    }
    Ok(served)
}

/// A custom object whose versions differ in nothing but their name (`strategy: None`).
fn in_version(mut object: Value, wanted: &str) -> Value {
    if meta::api_version(&object) != wanted
        && let Some(fields) = object.as_object_mut()
    {
        fields.insert("apiVersion".to_owned(), wanted.into());
    }
    object
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
