//! `NamespaceLifecycle`: nothing is created in a namespace that is not there or is going, and the namespaces that a
//! cluster cannot be without stay.

use api::scheme::{Scheme, Scope};
use api::status::Status;
use api::{meta, status};
use serde_json::Value;

use crate::objects::unreadable;
use crate::verbs::Call;

/// Namespaces that cannot be deleted, as upstream.
const IMMORTAL: [&str; 3] = ["default", "kube-system", "kube-public"];

pub(super) fn check_create(call: &Call, object: &Value) -> Result<(), Status> {
    let Some(namespace) = call.namespace().filter(|_| call.resource.scope == Scope::Namespaced) else { return Ok(()) };
    let scheme = Scheme::builtin();
    let Some(namespaces) = scheme.resource("", "v1", "namespaces") else { return Ok(()) };
    let found = call.objects().find(namespaces, None, namespace)?.to_value().map_err(unreadable)?;
    let is_going = meta::deletion_timestamp(&found).is_some()
        || found.pointer("/status/phase").and_then(Value::as_str) == Some("Terminating");
    if is_going {
        let resource = &call.resource;
        let (group, plural) = (&resource.group, &resource.plural);
        return Err(status::Status::namespace_terminating(group, plural, meta::name(object), namespace));
    }
    Ok(())
}

pub(super) fn check_delete(call: &Call, name: &str) -> Result<(), Status> {
    let is_namespace = call.resource.group.is_empty() && call.resource.plural == "namespaces";
    if is_namespace && IMMORTAL.contains(&name) {
        return Err(Status::forbidden("", "namespaces", name, "this namespace may not be deleted"));
    }
    Ok(())
}
