//! What the scheduler knows of a pod: what it takes of a node, and what it asks of one.

use std::sync::Arc;

use k8s_openapi::api::core::v1 as core;

use crate::resources::{Resources, Unsaid};

/// What a pod takes of the node that it is on.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Load {
    /// What it asks for.
    pub(crate) requests: Resources,
    /// What it is taken to need when nodes are compared.
    pub(crate) likely: Resources,
    /// The ports of the host that it takes.
    pub(crate) ports: Vec<HostPort>,
}

/// A port of the host.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct HostPort {
    pub(crate) protocol: String,
    /// `0.0.0.0` stands for all addresses.
    pub(crate) ip: String,
    pub(crate) port: i32,
}

/// A pod that waits for a node.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    pub(crate) pod: Arc<core::Pod>,
    pub(crate) load: Arc<Load>,
    /// The higher goes first.
    pub(crate) priority: i32,
}

impl Load {
    pub(crate) fn of(spec: &core::PodSpec) -> Self {
        let containers = spec.containers.iter().chain(sidecars(spec));
        let ports = containers.flat_map(|container| container.ports.iter().flatten()).filter_map(|port| {
            let host_port = port.host_port.filter(|port| *port > 0)?;
            let or = |text: &Option<String>, default: &str| {
                text.as_deref().filter(|text| !text.is_empty()).unwrap_or(default).to_owned()
            };
            Some(HostPort { protocol: or(&port.protocol, "TCP"), ip: or(&port.host_ip, ANY), port: host_port })
        });
        Self {
            requests: Resources::of_pod(spec, Unsaid::IsNothing),
            likely: Resources::of_pod(spec, Unsaid::IsALittle),
            ports: ports.collect(),
        }
    }
}

/// Stands for all addresses of a host.
const ANY: &str = "0.0.0.0";

impl HostPort {
    /// Whether both cannot be had on one host.
    pub(crate) fn collides_with(&self, other: &Self) -> bool {
        let is_same_ip = self.ip == other.ip || self.ip == ANY || other.ip == ANY;
        self.port == other.port && self.protocol == other.protocol && is_same_ip
    }
}

impl Pending {
    /// `pod` as one that waits; it has a spec, or asks for nothing.
    pub(crate) fn new(pod: Arc<core::Pod>) -> Self {
        let load = pod.spec.as_ref().map(Load::of).unwrap_or_default();
        let priority = pod.spec.as_ref().and_then(|spec| spec.priority).unwrap_or(0);
        Self { pod, load: Arc::new(load), priority }
    }

    pub(crate) fn uid(&self) -> &str {
        self.pod.metadata.uid.as_deref().unwrap_or_default()
    }

    pub(crate) fn spec(&self) -> Option<&core::PodSpec> {
        self.pod.spec.as_ref()
    }

    pub(crate) fn tolerations(&self) -> &[core::Toleration] {
        self.spec().and_then(|spec| spec.tolerations.as_deref()).unwrap_or_default()
    }
}

/// Drops of a pod what neither the scheduler reads nor who shares its informers: what its containers do, and how they
/// fare.
pub(crate) fn prune(pod: &mut core::Pod) {
    pod.metadata.annotations = None;
    if let Some(spec) = &mut pod.spec {
        spec.volumes = None;
        let containers = spec.containers.iter_mut().chain(spec.init_containers.iter_mut().flatten());
        for container in containers {
            *container = core::Container {
                name: std::mem::take(&mut container.name),
                ports: container.ports.take(),
                resources: container.resources.take(),
                restart_policy: container.restart_policy.take(),
                ..core::Container::default()
            };
        }
    }
    if let Some(status) = &mut pod.status {
        status.container_statuses = None;
        status.init_container_statuses = None;
    }
}

/// The node that a pod is bound to.
pub(crate) fn node_of(pod: &core::Pod) -> Option<&str> {
    pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).filter(|name| !name.is_empty())
}

/// Whether a pod has ended for good, and takes nothing of its node any more.
pub(crate) fn has_ended(pod: &core::Pod) -> bool {
    matches!(pod.status.as_ref().and_then(|status| status.phase.as_deref()), Some("Succeeded" | "Failed"))
}

/// Whether a pod without a node is ours to place now: it names us, no gate holds it back, and nobody deletes it.
pub(crate) fn wants_node(pod: &core::Pod, scheduler_name: &str) -> bool {
    let Some(spec) = &pod.spec else { return false };
    node_of(pod).is_none()
        && !has_ended(pod)
        && pod.metadata.deletion_timestamp.is_none()
        && spec.scheduler_name.as_deref().unwrap_or(crate::DEFAULT_NAME) == scheduler_name
        && spec.scheduling_gates.as_ref().is_none_or(Vec::is_empty)
}

fn sidecars(spec: &core::PodSpec) -> impl Iterator<Item = &core::Container> {
    spec.init_containers.iter().flatten().filter(|container| container.restart_policy.as_deref() == Some("Always"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_pod_is_placed_that_names_us_and_is_free() {
        let check = |pod: Value, expected| {
            let parsed: core::Pod = serde_json::from_value(pod.clone()).unwrap();
            assert_eq!(wants_node(&parsed, "default-scheduler"), expected, "{pod}");
        };
        check(json!({"spec": {"containers": []}}), true);
        check(json!({"spec": {"containers": [], "schedulerName": "default-scheduler"}}), true);
        check(json!({"spec": {"containers": [], "schedulerName": "another"}}), false);
        check(json!({"spec": {"containers": [], "nodeName": "a"}}), false);
        check(json!({"spec": {"containers": [], "schedulingGates": [{"name": "g"}]}}), false);
        check(json!({"spec": {"containers": []}, "status": {"phase": "Failed"}}), false);
        let deleted = json!({"deletionTimestamp": "2026-01-01T00:00:00Z"});
        check(json!({"metadata": deleted, "spec": {"containers": []}}), false);
    }

    #[test]
    fn what_nobody_reads_of_a_pod_is_not_kept() {
        let mut pod: core::Pod = serde_json::from_value(json!({
            "metadata": {"name": "web", "labels": {"a": "b"}, "annotations": {"long": "text"}},
            "spec": {
                "containers": [{"name": "c", "env": [{"name": "E"}], "resources": {"requests": {"cpu": "1"}}}],
                "initContainers": [{"name": "i", "args": ["a"], "restartPolicy": "Always"}],
                "tolerations": [{"operator": "Exists"}], "volumes": [{"name": "v"}],
            },
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}],
                "containerStatuses": [{"name": "c", "image": "", "imageID": "", "ready": true, "restartCount": 0}]},
        }))
        .unwrap();
        prune(&mut pod);
        assert_eq!(
            serde_json::to_value(&pod).unwrap(),
            json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": "web", "labels": {"a": "b"}},
                "spec": {
                    "containers": [{"name": "c", "resources": {"requests": {"cpu": "1"}}}],
                    "initContainers": [{"name": "i", "restartPolicy": "Always"}],
                    "tolerations": [{"operator": "Exists"}],
                },
                "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
            })
        );
    }

    #[test]
    fn host_ports_collide_on_one_address_or_all() {
        let port = |ip: &str, port, protocol: &str| HostPort { protocol: protocol.into(), ip: ip.into(), port };
        let check = |one: HostPort, other: HostPort, expected| {
            assert_eq!(one.collides_with(&other), expected, "{one:?} {other:?}");
            assert_eq!(other.collides_with(&one), expected);
        };
        check(port(ANY, 80, "TCP"), port(ANY, 80, "TCP"), true);
        check(port(ANY, 80, "TCP"), port("127.0.0.1", 80, "TCP"), true);
        check(port("127.0.0.1", 80, "TCP"), port("127.0.0.2", 80, "TCP"), false);
        check(port(ANY, 80, "TCP"), port(ANY, 81, "TCP"), false);
        check(port(ANY, 80, "TCP"), port(ANY, 80, "UDP"), false);
    }
}
