//! Between the form in which a resource is served and the one in which it is stored.
//!
//! Most rows are stored as they are served; rows that share a storage show the same objects. A custom object says in
//! which version it was stored, since that may be an older one than is stored today.

use api::meta;
use api::scheme::{Conversion, Resource, api_version};
use api::status::Status;
use serde_json::Value;

use crate::server::ApiServer;
use crate::webhooks;

/// Whether new objects are stored as this row's kind: true for one row of each stored resource.
pub(crate) fn is_storage(resource: &Resource) -> bool {
    resource.conversion.is_none()
}

/// The form to store.
pub(crate) async fn to_storage(server: &ApiServer, resource: &Resource, object: Value) -> Result<Value, Status> {
    match &resource.conversion {
        None => Ok(object),
        Some(Conversion::Functions { to_storage, .. }) => Ok(to_storage(object)),
        Some(Conversion::Version { stored }) => {
            in_version(server, resource, object, &api_version(&resource.group, stored)).await
        }
    }
}

/// The form to serve, of an object as it is stored.
pub(crate) async fn from_storage(server: &ApiServer, resource: &Resource, object: Value) -> Result<Value, Status> {
    match &resource.conversion {
        _ if resource.custom.is_some() => in_version(server, resource, object, &resource.api_version()).await,
        Some(Conversion::Functions { from_storage, .. }) => Ok(from_storage(object)),
        None | Some(Conversion::Version { .. }) => Ok(object),
    }
}

/// The same for all objects of a list; a webhook is asked once.
pub(crate) async fn list_from_storage(
    server: &ApiServer,
    resource: &Resource,
    objects: Vec<Value>,
) -> Result<Vec<Value>, Status> {
    match &resource.conversion {
        _ if resource.custom.is_some() => all_in_version(server, resource, objects, &resource.api_version()).await,
        Some(Conversion::Functions { from_storage, .. }) => Ok(objects.into_iter().map(from_storage).collect()),
        None | Some(Conversion::Version { .. }) => Ok(objects),
    }
}

async fn in_version(server: &ApiServer, resource: &Resource, object: Value, wanted: &str) -> Result<Value, Status> {
    if meta::api_version(&object) == wanted {
        return Ok(object);
    }
    let converted = all_in_version(server, resource, vec![object], wanted).await?;
    converted.into_iter().next().ok_or_else(|| Status::internal("a conversion lost its object"))
}

/// Custom objects in a version: by their definition's webhook, or by name where versions differ in nothing else.
async fn all_in_version(
    server: &ApiServer,
    resource: &Resource,
    mut objects: Vec<Value>,
    wanted: &str,
) -> Result<Vec<Value>, Status> {
    if let Some(kind) = resource.custom.as_deref().filter(|kind| kind.conversion().is_some()) {
        return webhooks::convert(server, resource, kind, objects, wanted).await;
    }
    for object in &mut objects {
        if meta::api_version(object) != wanted
            && let Some(fields) = object.as_object_mut()
        {
            fields.insert("apiVersion".to_owned(), wanted.into());
        }
    }
    Ok(objects)
}

/// Whether a deleted namespace still has finalizers in its spec.
pub(crate) fn awaits_finalize(resource: &Resource, object: &Value) -> bool {
    let is_namespace = resource.group.is_empty() && resource.plural == "namespaces";
    let finalizers = object.pointer("/spec/finalizers").and_then(Value::as_array);
    is_namespace && finalizers.is_some_and(|finalizers| !finalizers.is_empty())
}

/// `new` without what `certificatesigningrequests/approval` does not change: of spec and status only conditions do.
pub(crate) fn with_conditions_alone(mut new: Value, old: &Value) -> Value {
    let conditions = new.pointer("/status/conditions").cloned().unwrap_or_else(|| Value::Array(Vec::new()));
    for part in ["spec", "status"] {
        keep(&mut new, old, part);
    }
    meta::set_at(&mut new, "/status/conditions", conditions);
    new
}

/// `new` without what `namespaces/finalize` does not change.
pub(crate) fn with_finalizers_alone(mut new: Value, old: &Value) -> Value {
    keep(&mut new, old, "status");
    new
}

fn keep(new: &mut Value, old: &Value, part: &str) {
    let Some(fields) = new.as_object_mut() else { return };
    match old.get(part) {
        Some(kept) => fields.insert(part.to_owned(), kept.clone()),
        None => fields.remove(part),
    };
}
