//! `NodeRestriction`: a node writes about itself only, and does not change what others decide by.
//!
//! Which objects a node may touch is authorization's matter; here is what it may change in them.

use api::meta;
use api::status::Status;
use serde_json::Value;

use crate::authorization::Facts as _;
use crate::verbs::Call;
use crate::verbs::update::Part;

/// Labels that a node may set on itself although they are Kubernetes' own, as upstream.
const OWN_LABELS: [&str; 10] = [
    "kubernetes.io/hostname",
    "kubernetes.io/os",
    "kubernetes.io/arch",
    "beta.kubernetes.io/os",
    "beta.kubernetes.io/arch",
    "node.kubernetes.io/instance-type",
    "topology.kubernetes.io/region",
    "topology.kubernetes.io/zone",
    "minke.dev/wasm",
    "beta.kubernetes.io/instance-type",
];

/// Prefixes under which a node may set any label on itself.
const OWN_PREFIXES: [&str; 2] = ["kubelet.kubernetes.io/", "node.kubernetes.io/"];

pub(super) fn check(call: &Call, part: Part, new: &Value, old: Option<&Value>) -> Result<(), Status> {
    let Some(node) = call.user.node() else { return Ok(()) };
    match (&*call.resource.group, &*call.resource.plural) {
        ("", "nodes") => check_node(node, part, new, old),
        ("coordination.k8s.io", "leases") if meta::name(new) != node => {
            let why = "can only access node lease with the same name as the requesting node";
            Err(Status::forbidden("coordination.k8s.io", "leases", meta::name(new), why))
        }
        (group, "events") => [Some(new), old].into_iter().flatten().try_for_each(|event| match reporter(event) {
            Some(reporter) if reporter != node => {
                let why = format!("node \"{node}\" is not allowed to speak for node \"{reporter}\"");
                Err(Status::forbidden(group, "events", meta::name(event), &why))
            }
            _ => Ok(()),
        }),
        _ => Ok(()),
    }
}

/// A node asks for tokens that are bound to pods of its own alone.
pub(super) fn check_token(call: &Call, request: &Value) -> Result<(), Status> {
    let Some(node) = call.user.node() else { return Ok(()) };
    let said = |field: &str| {
        request.pointer(&format!("/spec/boundObjectRef/{field}")).and_then(Value::as_str).unwrap_or_default()
    };
    let refuse = |why: &str| Err(Status::forbidden("", "serviceaccounts", meta::name(request), why));
    if said("apiVersion") != "v1" || said("kind") != "Pod" || said("name").is_empty() {
        return refuse("node requested token not bound to a pod");
    }
    if said("uid").is_empty() {
        return refuse("node requested token with a pod binding without a uid");
    }
    let pod = call.server.object("", "pods", call.namespace(), said("name"));
    let pod = pod.ok_or_else(|| Status::not_found("", "pods", said("name")))?;
    if pod.pointer("/spec/nodeName").and_then(Value::as_str) != Some(node) {
        return refuse("node requested token bound to a pod scheduled on a different node");
    }
    Ok(())
}

/// The machine that an Event says it comes from, in either group's form.
fn reporter(event: &Value) -> Option<&str> {
    let said = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).filter(|said| !said.is_empty());
    ["/reportingInstance", "/source/host", "/deprecatedSource/host"].into_iter().find_map(said)
}

fn check_node(node: &str, part: Part, new: &Value, old: Option<&Value>) -> Result<(), Status> {
    let name = meta::name(new);
    let forbidden = |why: &str| Err(Status::forbidden("", "nodes", name, why));
    if name != node {
        return forbidden(&format!("node \"{node}\" is not allowed to modify node \"{name}\""));
    }
    if part == Part::Main && old.is_some_and(|old| taints(old) != taints(new)) {
        return forbidden(&format!("node \"{node}\" is not allowed to modify taints"));
    }
    let unchanged = |key: &str| old.is_some_and(|old| meta::label(old, key) == meta::label(new, key));
    let foreign: Vec<&str> =
        meta::labels(new).map(|(key, _)| key).filter(|key| !may_label(key) && !unchanged(key)).collect();
    if !foreign.is_empty() {
        let list = foreign.join(", ");
        return forbidden(&format!("is not allowed to modify labels: {list}"));
    }
    Ok(())
}

fn taints(node: &Value) -> &Value {
    node.pointer("/spec/taints").unwrap_or(&Value::Null)
}

/// Labels outside Kubernetes' own domains are a node's to set; within them only those that it is known by.
fn may_label(key: &str) -> bool {
    let domain = key.split_once('/').map_or("", |(domain, _)| domain);
    let is_kubernetes =
        ["kubernetes.io", "k8s.io"].iter().any(|own| domain == *own || domain.ends_with(&format!(".{own}")));
    !is_kubernetes && domain != "minke.dev"
        || OWN_LABELS.contains(&key)
        || OWN_PREFIXES.iter().any(|prefix| key.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_does_not_label_itself_with_what_isolates() {
        assert!(may_label("example.com/rack"));
        assert!(may_label("kubernetes.io/hostname"));
        assert!(may_label("node.kubernetes.io/anything"));
        assert!(!may_label("node-restriction.kubernetes.io/tenant"));
        assert!(!may_label("kubernetes.io/role"));
    }
}
