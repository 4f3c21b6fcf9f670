//! Amounts of CPU and memory: read from quantities, summed over the containers of a pod.

use std::collections::BTreeMap;

use api::quantity::Quantity;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::api::resource as wire;

use crate::pods::state::{Role, specs};

/// A resource list as objects have it.
type List = BTreeMap<String, wire::Quantity>;

/// CPU and memory.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Amounts {
    /// Thousandths of a CPU.
    pub cpu_milli: i64,
    /// Bytes.
    pub memory_bytes: i64,
}

impl Amounts {
    /// The sum; it ends at the largest number instead of going round.
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            cpu_milli: self.cpu_milli.saturating_add(other.cpu_milli),
            memory_bytes: self.memory_bytes.saturating_add(other.memory_bytes),
        }
    }

    fn max(self, other: Self) -> Self {
        Self { cpu_milli: self.cpu_milli.max(other.cpu_milli), memory_bytes: self.memory_bytes.max(other.memory_bytes) }
    }
}

/// A quantity in thousandths of its unit, rounded up; `None` for a text that is none.
pub(crate) fn milli(text: &str) -> Option<i64> {
    Quantity::parse(text).ok().map(Quantity::to_millis)
}

/// What a pod asks of its node, as upstream's `PodRequests`: its containers and sidecars together, or the init
/// container that needs more than they do, and the overhead of its RuntimeClass.
pub(crate) fn requests(pod: &core::Pod) -> Amounts {
    let mut running = Amounts::default();
    let mut peak = Amounts::default();
    for (role, spec) in specs(pod) {
        let own = amounts(spec.resources.as_ref().and_then(|resources| resources.requests.as_ref()));
        match role {
            Role::Init => peak = peak.max(running.plus(own)),
            Role::Sidecar | Role::Main => running = running.plus(own),
        }
    }
    let overhead = amounts(pod.spec.as_ref().and_then(|spec| spec.overhead.as_ref()));
    peak.max(running).plus(overhead)
}

/// The amounts of a resource list; what it does not name is zero.
pub(crate) fn amounts(list: Option<&List>) -> Amounts {
    Amounts { cpu_milli: cpu_milli(list).unwrap_or(0), memory_bytes: memory_bytes(list).unwrap_or(0) }
}

/// The CPU of a resource list in thousandths, if it names one.
pub(crate) fn cpu_milli(list: Option<&List>) -> Option<i64> {
    milli(&list?.get("cpu")?.0)
}

/// The memory of a resource list in bytes, if it names one.
pub(crate) fn memory_bytes(list: Option<&List>) -> Option<i64> {
    Quantity::parse(&list?.get("memory")?.0).ok().map(Quantity::to_units)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_asks_for_its_containers_together_or_its_largest_init_container() {
        let container = |cpu: &str, memory: &str, restart: Option<&str>| json!({"name": "c", "restartPolicy": restart, "resources": {"requests": {"cpu": cpu, "memory": memory}}});
        for (init, main, expected) in [
            (json!([]), json!([container("100m", "1Mi", None), container("0.2", "1M", None)]), (300, 2_048_576)),
            (json!([container("2", "1", None)]), json!([container("100m", "5", None)]), (2000, 5)),
            (
                json!([container("500m", "1", Some("Always")), container("1", "1", None)]),
                json!([container("100m", "1", None)]),
                (1500, 2),
            ),
        ] {
            let pod: core::Pod =
                serde_json::from_value(json!({"spec": {"initContainers": init, "containers": main}})).unwrap();
            let Amounts { cpu_milli, memory_bytes } = requests(&pod);
            assert_eq!((cpu_milli, memory_bytes), expected);
        }
    }
}
