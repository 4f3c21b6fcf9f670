//! Admission: what a write must satisfy beyond its own validity, and what is added to it.
//!
//! Each plugin is a file with upstream's name and rules. Plugins read the watch caches and change the object in
//! place; the first refusal ends the request.

mod artifacts;
mod certificate_requests;
mod classes;
pub(crate) mod extend;
mod limit_ranger;
mod namespace_lifecycle;
mod node_restriction;
mod node_taint;
mod pod_security;
pub(crate) mod pods;
pub(crate) mod resource_quota;
mod service_account;
mod services;

use api::meta;
use api::scheme::Resource;
use api::status::Status;
use serde_json::Value;
use store::Revision;

use crate::authorization::escalation;
use crate::objects::unreadable;
use crate::options::Keep;
use crate::verbs::Call;
use crate::verbs::update::Part;

/// Admits an object that is about to be created.
pub(crate) fn admit_create(call: &Call, object: &mut Value, keep: Keep) -> Result<(), Status> {
    namespace_lifecycle::check_create(call, object)?;
    node_restriction::check(call, Part::Main, object, None)?;
    match (&*call.resource.group, &*call.resource.plural) {
        ("", "nodes") => {
            node_taint::admit_create(object);
            Ok(())
        }
        ("", "pods") => {
            artifacts::check(call, object)?;
            pods::admit_create(call, object)?;
            limit_ranger::admit_pod(call, object)?;
            pod_security::check(call, object)
        }
        ("", "services") => services::admit_create(call, object, keep),
        ("", "namespaces") => pod_security::check_namespace(object),
        ("certificates.k8s.io", "certificatesigningrequests") => certificate_requests::admit_create(call, object),
        ("rbac.authorization.k8s.io", plural) => check_rights(call, plural, object, None),
        ("networking.k8s.io", "ingresses") => classes::admit_ingress(call, object),
        ("", "persistentvolumeclaims") => {
            classes::admit_claim(call, object)?;
            protect(object, "kubernetes.io/pvc-protection")?;
            limit_ranger::check_claim(call, object)
        }
        ("", "persistentvolumes") => protect(object, "kubernetes.io/pv-protection"),
        ("" | "apps" | "batch", _) => pod_security::check(call, object),
        _ => Ok(()),
    }
}

/// The objects of a resource in the namespace of a request, by name.
fn in_namespace(call: &Call, resource: &Resource) -> Result<Vec<Value>, Status> {
    let prefix = format!("{}/", call.namespace().unwrap_or_default());
    let snapshot = call.objects().cache(resource)?.snapshot(Revision(0));
    let found = snapshot.from(prefix.clone()).take_while(|(key, _)| key.starts_with(&prefix));
    found.map(|(_, object)| object.to_value().map_err(unreadable)).collect()
}

/// `StorageObjectInUseProtection`: what is in use goes when it no longer is.
fn protect(object: &mut Value, finalizer: &str) -> Result<(), Status> {
    let mut finalizers = meta::finalizers(object);
    if !finalizers.iter().any(|found| found == finalizer) {
        finalizers.push(finalizer.to_owned());
        meta::set_finalizers(object, &finalizers);
    }
    Ok(())
}

/// Admits a change of `old` to `new`.
pub(crate) fn admit_update(call: &Call, part: Part, new: &mut Value, old: &Value) -> Result<(), Status> {
    node_restriction::check(call, part, new, Some(old))?;
    match (&*call.resource.group, &*call.resource.plural, part) {
        ("", "pods", Part::Main) => {
            pods::admit_update(call, new, old);
            artifacts::check(call, new)?;
            pod_security::check(call, new)
        }
        ("", "namespaces", Part::Main) => pod_security::check_namespace(new),
        ("apps" | "batch", _, Part::Main) => pod_security::check(call, new),
        ("", "persistentvolumeclaims", Part::Main) => {
            limit_ranger::check_claim(call, new)?;
            classes::check_growth(call, new, old)
        }
        ("", "services", Part::Main) => services::admit_update(call, new, old),
        ("certificates.k8s.io", "certificatesigningrequests", Part::Approval | Part::Status) => {
            certificate_requests::check_signer(call, part, new, old)
        }
        ("rbac.authorization.k8s.io", plural, _) => check_rights(call, plural, new, Some(old)),
        _ => Ok(()),
    }
}

/// Nobody gives rights that they do not have.
fn check_rights(call: &Call, plural: &str, new: &Value, old: Option<&Value>) -> Result<(), Status> {
    match plural {
        "roles" | "clusterroles" => escalation::check_role(call, new, old),
        _ => escalation::check_binding(call, new, old),
    }
}

/// Admits a request for a token of a service account.
pub(crate) fn admit_token(call: &Call, request: &Value) -> Result<(), Status> {
    node_restriction::check_token(call, request)
}

/// Refuses the deletion of what a cluster cannot be without.
pub(crate) fn check_delete(call: &Call, name: &str) -> Result<(), Status> {
    namespace_lifecycle::check_delete(call, name)
}
