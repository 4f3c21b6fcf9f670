//! Two pods of one node cannot take the same port of the host.

use super::Reason;
use crate::node::Node;
use crate::pod::Pending;

const REASON: &str = "node(s) didn't have free ports for the requested pod ports";

pub(super) fn check(pod: &Pending, node: &Node) -> Vec<Reason> {
    let is_taken = pod.load.ports.iter().any(|port| node.ports.iter().any(|taken| taken.collides_with(port)));
    if is_taken { vec![REASON.into()] } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{node, pod};
    use super::*;

    #[test]
    fn a_port_is_free_once_its_pod_has_left() {
        let with_port =
            |port: u16| pod(json!({"containers": [{"name": "c", "ports": [{"containerPort": 80, "hostPort": port}]}]}));
        let mut node = node(json!({}));
        node.add(&with_port(8080).load);
        assert_eq!(check(&with_port(8080), &node), [REASON]);
        assert!(check(&with_port(8081), &node).is_empty());
        node.remove(&with_port(8080).load);
        assert!(check(&with_port(8080), &node).is_empty());
    }
}
