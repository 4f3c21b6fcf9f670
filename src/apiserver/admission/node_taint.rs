//! `TaintNodesByCondition`: a new node takes no pods before the node controller has seen that it is ready.

use api::meta;
use serde_json::{Value, json};

const NOT_READY: &str = "node.kubernetes.io/not-ready";
const NO_SCHEDULE: &str = "NoSchedule";

pub(super) fn admit_create(node: &mut Value) {
    let taint = json!({"key": NOT_READY, "effect": NO_SCHEDULE});
    let is_ours = |given: &Value| ["key", "effect"].iter().all(|field| given.get(field) == taint.get(field));
    let has = node.pointer("/spec/taints").and_then(Value::as_array).is_some_and(|taints| taints.iter().any(is_ours));
    if !has {
        meta::push_at(node, "/spec/taints", taint);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_tainted_once() {
        let mut node = json!({"spec": {"taints": [{"key": "k", "effect": "NoExecute"}]}});
        admit_create(&mut node);
        admit_create(&mut node);
        let taints = json!([{"key": "k", "effect": "NoExecute"}, {"key": NOT_READY, "effect": NO_SCHEDULE}]);
        assert_eq!(node["spec"]["taints"], taints);
    }
}
