//! Whether the node can take a pod that was bound to it.
//!
//! The scheduler asks the same first; the node asks again, since two bindings may have crossed. Reasons and messages
//! are upstream's (`lifecycle/predicate.go`): a pod that is not admitted ends as Failed.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::api::core::v1 as core;
use network::ports::{HostPort, HostPorts, Protocol};

use super::state::Verdict;
use crate::resources::{self, Amounts};

/// What a node has to give.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// CPU and memory for all pods.
    pub(crate) allocatable: Amounts,
    /// The most pods at once.
    pub(crate) pods_max: usize,
    /// Its labels, as its object has them.
    pub(crate) labels: BTreeMap<String, String>,
    /// Where host ports are bound.
    pub(crate) ip: IpAddr,
}

/// What the pods of a node hold. `requests` is canonical for who was admitted.
#[derive(Debug, Default)]
pub(crate) struct Held {
    requests: HashMap<Arc<str>, Amounts>,
    ports: HostPorts,
}

impl Held {
    /// Takes what `pod` asks for, or says why it cannot be had. A pod that is in already is admitted again.
    ///
    /// # Errors
    /// The reason and message of its failure.
    pub(crate) fn admit(&mut self, uid: &Arc<str>, pod: &core::Pod, node: &Node) -> Result<(), Verdict> {
        let wanted = resources::requests(pod);
        if !self.requests.contains_key(uid) {
            self.fits(wanted, node)?;
        }
        selects(pod, node)?;
        let ports = host_ports(pod, node.ip);
        self.ports.claim(uid, &ports).map_err(|conflict| {
            let message = format!("Predicate NodePorts failed: {conflict}");
            rejected("NodePorts", &message)
        })?;
        self.requests.insert(Arc::clone(uid), wanted);
        Ok(())
    }

    /// Takes back what a pod held.
    pub(crate) fn release(&mut self, uid: &str) {
        self.requests.remove(uid);
        self.ports.release(uid);
    }

    fn fits(&self, wanted: Amounts, node: &Node) -> Result<(), Verdict> {
        let used = self.requests.values().fold(Amounts::default(), |sum, one| sum.plus(*one));
        let total = node.allocatable;
        let count = i64::try_from(self.requests.len()).unwrap_or(i64::MAX);
        let pods_max = i64::try_from(node.pods_max).unwrap_or(i64::MAX);
        for (resource, wanted, used, total) in [
            ("pods", 1, count, pods_max),
            ("cpu", wanted.cpu_milli, used.cpu_milli, total.cpu_milli),
            ("memory", wanted.memory_bytes, used.memory_bytes, total.memory_bytes),
        ] {
            if wanted > 0 && used.saturating_add(wanted) > total {
                let message = format!(
                    "Node didn't have enough resource: {resource}, requested: {wanted}, used: {used}, capacity: {total}"
                );
                return Err(rejected(&format!("OutOf{resource}"), &message));
            }
        }
        Ok(())
    }
}

/// The host ports of a pod, on the node's own address where it names none.
pub(crate) fn host_ports(pod: &core::Pod, node_ip: IpAddr) -> Vec<HostPort> {
    let specs = super::state::specs(pod).flat_map(|(_, spec)| spec.ports.iter().flatten());
    specs.filter_map(|port| host_port(port, node_ip)).collect()
}

/// One host port, if the container's port has one.
pub(crate) fn host_port(port: &core::ContainerPort, node_ip: IpAddr) -> Option<HostPort> {
    let number = port.host_port.and_then(|number| u16::try_from(number).ok()).filter(|number| *number > 0)?;
    // All sockets of a node stay on its own address, so that several nodes fit on one machine; a pod that asks for
    // the unspecified address gets that one too.
    let asked = port.host_ip.as_deref().and_then(|ip| ip.parse().ok()).filter(|ip: &IpAddr| !ip.is_unspecified());
    let protocol = match port.protocol.as_deref() {
        Some("UDP") => Protocol::Udp,
        Some("SCTP") => Protocol::Sctp,
        _ => Protocol::Tcp,
    };
    Some(HostPort { ip: asked.unwrap_or(node_ip), protocol, port: number })
}

fn selects(pod: &core::Pod, node: &Node) -> Result<(), Verdict> {
    let selector = pod.spec.as_ref().and_then(|spec| spec.node_selector.as_ref());
    if selector.into_iter().flatten().all(|(key, value)| node.labels.get(key) == Some(value)) {
        return Ok(());
    }
    let message = "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector";
    Err(rejected("NodeAffinity", message))
}

fn rejected(reason: &str, message: &str) -> Verdict {
    Verdict { reason: reason.to_owned(), message: format!("Pod was rejected: {message}") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::fixture;
    use super::*;

    fn node() -> Node {
        Node {
            allocatable: Amounts { cpu_milli: 1000, memory_bytes: 1000 },
            pods_max: 3,
            labels: [("disk".to_owned(), "ssd".to_owned())].into(),
            ip: [127, 0, 0, 2].into(),
        }
    }

    fn pod(cpu: &str, port: u16) -> core::Pod {
        fixture::pod(json!({"containers": [{
            "name": "c",
            "resources": {"requests": {"cpu": cpu}},
            "ports": [{"containerPort": 80, "hostPort": port}],
        }]}))
    }

    fn uid(name: &str) -> Arc<str> {
        Arc::from(name)
    }

    #[test]
    fn a_pod_is_admitted_as_long_as_there_is_room() {
        let mut held = Held::default();
        assert_eq!(held.admit(&uid("a"), &pod("600m", 80), &node()), Ok(()));
        assert_eq!(held.admit(&uid("a"), &pod("600m", 80), &node()), Ok(()), "again");
        for (cpu, port, reason, message) in [
            (
                "500m",
                81,
                "OutOfcpu",
                "Pod was rejected: Node didn't have enough resource: cpu, requested: 500, used: 600, capacity: 1000",
            ),
            (
                "100m",
                80,
                "NodePorts",
                "Pod was rejected: Predicate NodePorts failed: host port 127.0.0.2:80/TCP is in use by a",
            ),
        ] {
            let verdict = held.admit(&uid("b"), &pod(cpu, port), &node()).unwrap_err();
            assert_eq!((verdict.reason.as_str(), verdict.message.as_str()), (reason, message));
        }
        held.release("a");
        assert_eq!(held.admit(&uid("b"), &pod("1", 80), &node()), Ok(()));
    }

    #[test]
    fn there_are_no_more_pods_than_the_node_says() {
        let mut held = Held::default();
        for (name, port) in [("a", 1), ("b", 2), ("c", 3)] {
            held.admit(&uid(name), &pod("0", port), &node()).unwrap();
        }
        assert_eq!(held.admit(&uid("d"), &pod("0", 4), &node()).unwrap_err().reason, "OutOfpods");
    }

    #[test]
    fn a_pod_for_other_nodes_is_rejected() {
        for (selector, expected) in [(json!({"disk": "ssd"}), None), (json!({"disk": "hdd"}), Some("NodeAffinity"))] {
            let pod = fixture::pod(json!({"nodeSelector": selector, "containers": []}));
            let reason = Held::default().admit(&uid("a"), &pod, &node()).err().map(|verdict| verdict.reason);
            assert_eq!(reason.as_deref(), expected);
        }
    }
}
