//! Nodes: whether they are ready, what they run, where they are.

use jiff::Timestamp;
use serde_json::Value;

use super::{AGE, Column, NAME, NONE, UNKNOWN, age, items, name, text, text_at, wide};
use crate::meta;

/// The columns.
pub const COLUMNS: &[Column] = &[
    NAME,
    text("Status", "Whether the node is ready, and whether pods are scheduled to it."),
    text("Roles", "The roles that its labels name."),
    AGE,
    text("Version", "The version of its kubelet."),
    wide("Internal-IP", "Its address in the cluster."),
    wide("External-IP", "Its address outside."),
    wide("OS-Image", "Its operating system."),
    wide("Kernel-Version", "Its kernel."),
    wide("Container-Runtime", "What runs its containers."),
];

/// What a label that names a role begins with.
const ROLE_PREFIX: &str = "node-role.kubernetes.io/";

/// A node's cells.
#[must_use]
pub fn cells(node: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        name(node),
        status(node).into(),
        roles(node).into(),
        age(node, now),
        text_at(node, "/status/nodeInfo/kubeletVersion", ""),
        address(node, "InternalIP"),
        address(node, "ExternalIP"),
        text_at(node, "/status/nodeInfo/osImage", UNKNOWN),
        text_at(node, "/status/nodeInfo/kernelVersion", UNKNOWN),
        text_at(node, "/status/nodeInfo/containerRuntimeVersion", UNKNOWN),
    ]
}

fn status(node: &Value) -> String {
    let is = |value: &Value, field: &str, wanted: &str| value.get(field).and_then(Value::as_str) == Some(wanted);
    let ready = items(node, "/status/conditions").iter().find(|condition| is(condition, "type", "Ready"));
    let ready = match ready {
        Some(condition) if is(condition, "status", "True") => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    };
    let is_cordoned = node.pointer("/spec/unschedulable").and_then(Value::as_bool) == Some(true);
    if is_cordoned { format!("{ready},SchedulingDisabled") } else { ready.to_owned() }
}

fn roles(node: &Value) -> String {
    let roles = meta::labels(node).filter_map(|(key, value)| match key.strip_prefix(ROLE_PREFIX) {
        Some(role) if !role.is_empty() => Some(role),
        _ => (key == "kubernetes.io/role" && !value.is_empty()).then_some(value),
    });
    let mut roles: Vec<&str> = roles.collect();
    roles.sort_unstable();
    if roles.is_empty() { NONE.to_owned() } else { roles.join(",") }
}

fn address(node: &Value, kind: &str) -> Value {
    let found = items(node, "/status/addresses")
        .iter()
        .find(|address| address.get("type").and_then(Value::as_str) == Some(kind))
        .and_then(|address| address.get("address")?.as_str());
    found.unwrap_or(NONE).into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_cordoned_node_says_so() {
        let node = json!({"metadata": {"labels": {"node-role.kubernetes.io/edge": ""}}, "spec": {"unschedulable": true},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]}});
        assert_eq!(status(&node), "Ready,SchedulingDisabled");
        assert_eq!(roles(&node), "edge");
        assert_eq!(status(&json!({})), "Unknown");
    }
}
