//! A node that somebody has cordoned takes no pods, but those that tolerate the taint that stands for it.

use api::taints;
use k8s_openapi::api::core::v1::Taint;

use super::Reason;
use crate::node::Node;
use crate::pod::Pending;

const REASON: &str = "node(s) were unschedulable";

pub(super) fn check(pod: &Pending, node: &Node) -> Vec<Reason> {
    if !node.is_unschedulable() {
        return Vec::new();
    }
    let taint = Taint {
        key: "node.kubernetes.io/unschedulable".to_owned(),
        effect: "NoSchedule".to_owned(),
        ..Taint::default()
    };
    if taints::is_tolerated(&taint, pod.tolerations()) { Vec::new() } else { vec![REASON.into()] }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{node, pod};
    use super::*;

    #[test]
    fn a_cordoned_node_takes_those_that_tolerate_it() {
        let cordoned = node(json!({"spec": {"unschedulable": true}}));
        let tolerant = json!({"tolerations": [{"key": "node.kubernetes.io/unschedulable", "operator": "Exists"}]});
        assert_eq!(check(&pod(json!({})), &cordoned), [REASON]);
        assert!(check(&pod(tolerant), &cordoned).is_empty());
        assert!(check(&pod(json!({})), &node(json!({}))).is_empty());
    }
}
