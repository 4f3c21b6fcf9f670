//! What a pod asks for must be left on the node: resources, and a place among its pods. A pod that asks for nothing
//! of a resource fits even where more of that is taken than there is.

use super::Reason;
use crate::node::Node;
use crate::pod::Pending;

pub(super) fn check(pod: &Pending, node: &Node) -> Vec<Reason> {
    let (wanted, has, taken) = (&pod.load.requests, &*node.allocatable, &node.requested);
    let lacks = |wanted: i64, has: i64, taken: i64| wanted > 0 && wanted > has.saturating_sub(taken);
    let mut reasons = Vec::new();
    if taken.pods.saturating_add(1) > has.pods {
        reasons.push("Too many pods".into());
    }
    if lacks(wanted.cpu_milli, has.cpu_milli, taken.cpu_milli) {
        reasons.push("Insufficient cpu".into());
    }
    if lacks(wanted.memory_bytes, has.memory_bytes, taken.memory_bytes) {
        reasons.push("Insufficient memory".into());
    }
    if lacks(wanted.storage_bytes, has.storage_bytes, taken.storage_bytes) {
        reasons.push("Insufficient ephemeral-storage".into());
    }
    for (name, wanted) in &wanted.others {
        let amount = |resources: &crate::resources::Resources| resources.others.get(name).copied().unwrap_or(0);
        if lacks(*wanted, amount(has), amount(taken)) {
            reasons.push(Reason::Owned(format!("Insufficient {name}")));
        }
    }
    reasons
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{node, pod, pod_of};
    use super::*;

    #[test]
    fn every_resource_that_lacks_is_named() {
        let mut node = node(json!({"status": {"allocatable": {"cpu": "2", "memory": "1G", "pods": "2"}}}));
        assert!(check(&pod_of("2", "1G"), &node).is_empty());
        assert_eq!(check(&pod_of("2001m", "2G"), &node), ["Insufficient cpu", "Insufficient memory"]);

        node.add(&pod_of("2", "0").load);
        assert_eq!(check(&pod_of("1m", "0"), &node), ["Insufficient cpu"]);
        assert!(check(&pod_of("0", "1G"), &node).is_empty());

        node.add(&pod_of("0", "0").load);
        assert_eq!(check(&pod_of("0", "0"), &node), ["Too many pods"]);
    }

    #[test]
    fn resources_of_any_name_are_counted() {
        let gpu = pod(json!({"containers": [{"name": "c", "resources": {"requests": {"example.com/gpu": "1"}}}]}));
        assert_eq!(check(&gpu, &node(json!({}))), ["Insufficient example.com/gpu"]);
        let mut node = node(json!({"status": {"allocatable": {"pods": "10", "example.com/gpu": "1"}}}));
        assert!(check(&gpu, &node).is_empty());
        node.add(&gpu.load);
        assert_eq!(check(&gpu, &node), ["Insufficient example.com/gpu"]);
    }
}
