//! What a node may do: upstream's node authorizer, on the pods that are bound to it.

use serde_json::Value;

use super::{Facts, may_use_request};
use crate::options::Query;
use crate::registry;
use crate::request_info::{ResourceRequest, Verb};

/// Whether the node `node` may do what `request` asks.
pub(super) fn may(node: &str, request: &ResourceRequest, query: &Query, facts: &impl Facts) -> bool {
    let name = request.name.as_deref();
    let is_own = name == Some(node);
    let subresource = request.subresource.as_deref();
    match (request.group.as_str(), request.resource.as_str(), subresource) {
        ("", "nodes", None) => match request.verb {
            Verb::Create => true,
            Verb::List | Verb::Watch => is_own || selects(query, "metadata.name", node),
            Verb::Get | Verb::Update | Verb::Patch => is_own,
            Verb::Delete | Verb::DeleteCollection => false,
        },
        ("", "nodes", Some("status")) => is_own && matches!(request.verb, Verb::Get | Verb::Update | Verb::Patch),
        ("coordination.k8s.io", "leases", None) => {
            let is_place = request.namespace.as_deref() == Some("kube-node-lease");
            is_place && (is_own || request.verb == Verb::Create)
        }
        ("" | "events.k8s.io", "events", None) => matches!(request.verb, Verb::Create | Verb::Update | Verb::Patch),
        ("certificates.k8s.io", "certificatesigningrequests", None) => {
            may_use_request(&format!("system:node:{node}"), request, facts)
        }
        ("", "pods", None) => match request.verb {
            Verb::List | Verb::Watch => selects(query, "spec.nodeName", node),
            Verb::Get | Verb::Delete => is_bound(node, request, facts),
            _ => false,
        },
        ("", "pods", Some("status")) => {
            matches!(request.verb, Verb::Update | Verb::Patch) && is_bound(node, request, facts)
        }
        ("", "secrets" | "configmaps" | "serviceaccounts", None) => {
            request.verb == Verb::Get && is_referenced(node, request, facts)
        }
        ("", "serviceaccounts", Some("token")) => request.verb == Verb::Create && is_referenced(node, request, facts),
        ("", "services" | "namespaces", None) | ("node.k8s.io", "runtimeclasses", None) => request.verb.is_read(),
        ("run.minke.dev", "artifacts", None) => request.verb == Verb::Get && is_named(node, request, facts),
        ("run.minke.dev", "nodes", Some("tunnel")) => is_own && request.verb == Verb::Get,
        _ => false,
    }
}

/// Whether a collection is narrowed to `field=value`.
fn selects(query: &Query, field: &str, value: &str) -> bool {
    let selector = query.find("fieldSelector").unwrap_or_default();
    selector
        .split(',')
        .any(|term| term.split_once('=').is_some_and(|(f, v)| f == field && v.trim_start_matches('=') == value))
}

/// Whether the pod is bound to the node.
fn is_bound(node: &str, request: &ResourceRequest, facts: &impl Facts) -> bool {
    let Some(name) = &request.name else { return false };
    let pod = facts.object("", "pods", request.namespace.as_deref(), name);
    pod.is_some_and(|pod| pod.pointer("/spec/nodeName").and_then(Value::as_str) == Some(node))
}

/// Whether a pod of the node refers to the object.
fn is_referenced(node: &str, request: &ResourceRequest, facts: &impl Facts) -> bool {
    let (Some(namespace), Some(name)) = (&request.namespace, &request.name) else { return false };
    let keys: &[&str] = match request.resource.as_str() {
        "secrets" => &["secretName", "secretRef", "secretKeyRef", "imagePullSecrets", "secret"],
        "configmaps" => &["configMap", "configMapRef", "configMapKeyRef"],
        _ => &["serviceAccountName"],
    };
    facts.some_pod(node, Some(namespace), name, &|pod| {
        api::meta::namespace(pod) == Some(namespace) && pod.get("spec").is_some_and(|spec| names(spec, keys, name))
    })
}

/// Whether a pod of the node names an image of the repository. That it may is checked when it is made.
fn is_named(node: &str, request: &ResourceRequest, facts: &impl Facts) -> bool {
    let (Some(namespace), Some(name)) = (&request.namespace, &request.name) else { return false };
    let repository = format!("{namespace}/{name}");
    facts.some_pod(node, None, &repository, &|pod| {
        let images = registry::images_of(pod);
        images.iter().any(|image| image.is_built_in() && image.repository().as_str() == repository)
    })
}

/// Whether `name` stands somewhere in `value` under one of `keys`: as text, or as the `name` of an object or of a
/// list's items.
fn names(value: &Value, keys: &[&str], name: &str) -> bool {
    let is_name =
        |value: &Value| value.as_str() == Some(name) || value.get("name").and_then(Value::as_str) == Some(name);
    match value {
        Value::Object(fields) => fields.iter().any(|(key, value)| {
            let is_key = keys.contains(&key.as_str());
            is_key && (is_name(value) || value.as_array().is_some_and(|items| items.iter().any(is_name)))
                || names(value, keys, name)
        }),
        Value::Array(items) => items.iter().any(|item| names(item, keys, name)),
        _ => false,
    }
}
