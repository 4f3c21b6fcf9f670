//! The node's own object, as a pure function of what is known of the host and the daemon.
//!
//! Labels, conditions, reasons and messages are upstream's (`kubelet_node_status.go`, `nodestatus/setters.go`).

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

use crate::code::Handler;
use crate::machine::{Pressure, architecture};
use crate::options::Options;

/// Below this much free memory the node reports pressure, as upstream's `memory.available<100Mi`.
const MEMORY_PRESSURE_BYTES: i64 = 100 << 20;

/// How the daemon is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Health {
    /// Images that are here.
    pub(crate) images: Vec<core::ContainerImage>,
    /// How full the host is.
    pub(crate) pressure: Pressure,
    /// The daemon is ending.
    pub(crate) is_ending: bool,
}

/// The node as it registers.
pub(crate) fn object(options: &Options, status: core::NodeStatus) -> core::Node {
    core::Node {
        metadata: ObjectMeta {
            name: Some(options.node_name.clone()),
            labels: Some(labels(options)),
            annotations: Some(
                [("volumes.kubernetes.io/controller-managed-attach-detach".to_owned(), "true".to_owned())].into(),
            ),
            ..ObjectMeta::default()
        },
        spec: Some(core::NodeSpec {
            taints: (!options.taints.is_empty()).then(|| options.taints.clone()),
            ..core::NodeSpec::default()
        }),
        status: Some(status),
    }
}

/// The labels that this daemon keeps on its node.
pub(crate) fn labels(options: &Options) -> BTreeMap<String, String> {
    let mut labels = options.labels.clone();
    for (key, value) in [
        ("kubernetes.io/hostname", options.node_name.as_str()),
        ("kubernetes.io/os", &options.os_label),
        ("kubernetes.io/arch", architecture()),
        ("beta.kubernetes.io/os", &options.os_label),
        ("beta.kubernetes.io/arch", architecture()),
        ("minke.dev/wasm", "true"),
    ] {
        labels.insert(key.to_owned(), value.to_owned());
    }
    labels
}

/// The node's status; `before` are the conditions that it has, whose times stay where nothing changed.
pub(crate) fn status(
    options: &Options,
    id: &str,
    health: &Health,
    before: &[core::NodeCondition],
    now: Timestamp,
) -> core::NodeStatus {
    let capacity = capacity(options);
    core::NodeStatus {
        addresses: Some(vec![
            address("InternalIP", options.node_ip.to_string()),
            address("Hostname", options.node_name.clone()),
        ]),
        allocatable: Some(capacity.clone()),
        capacity: Some(capacity),
        conditions: Some(conditions(health, before, now)),
        daemon_endpoints: options.port.map(|port| core::NodeDaemonEndpoints {
            kubelet_endpoint: Some(core::DaemonEndpoint { port: i32::from(port) }),
        }),
        images: Some(health.images.clone()),
        runtime_handlers: Some(Handler::all(options.wasi_preview3).map(handler).collect()),
        node_info: Some(core::NodeSystemInfo {
            architecture: architecture().to_owned(),
            boot_id: options.machine.boot_id.clone(),
            container_runtime_version: options.versions.runtime.clone(),
            kernel_version: options.machine.kernel_version.clone(),
            kubelet_version: options.versions.kubelet.clone(),
            machine_id: options.machine.machine_id.clone(),
            operating_system: "linux".to_owned(),
            os_image: options.machine.os_image.clone(),
            system_uuid: id.to_owned(),
            ..core::NodeSystemInfo::default()
        }),
        ..core::NodeStatus::default()
    }
}

fn handler(handler: Handler) -> core::NodeRuntimeHandler {
    core::NodeRuntimeHandler { name: Some(handler.name().to_owned()), features: None }
}

/// Whether two statuses say the same, heartbeats aside: what decides whether one is sent before its time.
pub(crate) fn is_same(left: &core::NodeStatus, right: &core::NodeStatus) -> bool {
    let still = |status: &core::NodeStatus| {
        let mut status = status.clone();
        for condition in status.conditions.iter_mut().flatten() {
            condition.last_heartbeat_time = None;
        }
        status
    };
    still(left) == still(right)
}

fn capacity(options: &Options) -> BTreeMap<String, Quantity> {
    let machine = &options.machine;
    let cpu = match machine.capacity.cpu_milli {
        milli if milli % 1000 == 0 => (milli / 1000).to_string(),
        milli => format!("{milli}m"),
    };
    [
        ("cpu", cpu),
        ("memory", format!("{}Ki", machine.capacity.memory_bytes / 1024)),
        ("ephemeral-storage", format!("{}Ki", machine.disk_bytes / 1024)),
        ("pods", options.max_pods.to_string()),
    ]
    .map(|(name, amount)| (name.to_owned(), Quantity(amount)))
    .into()
}

fn address(kind: &str, address: String) -> core::NodeAddress {
    core::NodeAddress { type_: kind.to_owned(), address }
}

fn conditions(health: &Health, before: &[core::NodeCondition], now: Timestamp) -> Vec<core::NodeCondition> {
    let is_short = health.pressure.memory_bytes < MEMORY_PRESSURE_BYTES;
    let is_full = health.pressure.disk_bytes < health.pressure.disk_floor_bytes;
    let memory = if is_short {
        ("KubeletHasInsufficientMemory", "kubelet has insufficient memory available")
    } else {
        ("KubeletHasSufficientMemory", "kubelet has sufficient memory available")
    };
    let disk = if is_full {
        ("KubeletHasDiskPressure", "kubelet has disk pressure")
    } else {
        ("KubeletHasNoDiskPressure", "kubelet has no disk pressure")
    };
    let ready = if health.is_ending {
        ("KubeletNotReady", "node is shutting down")
    } else {
        ("KubeletReady", "kubelet is posting ready status")
    };
    let pids = ("KubeletHasSufficientPID", "kubelet has sufficient PID available");
    [
        ("MemoryPressure", is_short, memory),
        ("DiskPressure", is_full, disk),
        ("PIDPressure", false, pids),
        ("Ready", !health.is_ending, ready),
    ]
    .into_iter()
    .map(|(kind, is_true, (reason, message))| {
        let status = if is_true { "True" } else { "False" };
        let known = before.iter().find(|condition| condition.type_ == kind && condition.status == status);
        core::NodeCondition {
            type_: kind.to_owned(),
            status: status.to_owned(),
            reason: Some(reason.to_owned()),
            message: Some(message.to_owned()),
            last_heartbeat_time: Some(Time(now)),
            last_transition_time: known.and_then(|known| known.last_transition_time.clone()).or(Some(Time(now))),
        }
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn health(memory_bytes: i64, disk_bytes: u64, is_ending: bool) -> Health {
        let pressure = Pressure { memory_bytes, disk_bytes, disk_floor_bytes: 10 };
        Health { images: Vec::new(), pressure, is_ending }
    }

    #[test]
    fn conditions_say_how_the_node_is() {
        let now = "2026-01-02T03:04:05Z".parse().unwrap();
        for (health, expected) in [
            (health(1 << 30, 50, false), ["False", "False", "False", "True"]),
            (health(1 << 20, 50, false), ["True", "False", "False", "True"]),
            (health(1 << 30, 5, true), ["False", "True", "False", "False"]),
        ] {
            let shown: Vec<String> = conditions(&health, &[], now).into_iter().map(|c| c.status).collect();
            assert_eq!(shown, expected, "{health:?}");
        }
    }

    #[test]
    fn a_condition_keeps_the_time_of_its_last_change() {
        let first = "2026-01-02T03:04:05Z".parse().unwrap();
        let second: Timestamp = "2026-01-02T03:05:00Z".parse().unwrap();
        let before = conditions(&health(1 << 30, 50, false), &[], first);
        let after = conditions(&health(1 << 30, 50, true), &before, second);
        let times: Vec<bool> = after.iter().map(|c| c.last_transition_time == Some(Time(second))).collect();
        assert_eq!(times, [false, false, false, true]);
        assert!(after.iter().all(|c| c.last_heartbeat_time == Some(Time(second))));
    }
}
