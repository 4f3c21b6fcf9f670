//! Amounts of what pods ask for and nodes have: sums, and whether one fits into the other.

use std::collections::BTreeMap;

use api::quantity::Quantity;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::api::resource as wire;

/// A resource list as objects have it.
type List = BTreeMap<String, wire::Quantity>;

/// What a container is taken to need of CPU where it does not say, when nodes are compared. Upstream's number: a pod
/// that asks for nothing is not nothing.
const CPU_MILLI_UNSAID: i64 = 100;

/// The same of memory: upstream's 200 MB.
const MEMORY_BYTES_UNSAID: i64 = 200 * 1024 * 1024;

/// Amounts of each resource.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Resources {
    /// Thousandths of a CPU.
    pub(crate) cpu_milli: i64,
    pub(crate) memory_bytes: i64,
    /// Ephemeral storage.
    pub(crate) storage_bytes: i64,
    pub(crate) pods: i64,
    /// Whatever else has a name, in its own unit.
    pub(crate) others: BTreeMap<String, i64>,
}

/// What becomes of a request that a container does not make.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Unsaid {
    /// It asks for nothing.
    IsNothing,
    /// It is taken to need a little.
    IsALittle,
}

impl Resources {
    /// The amounts of a resource list; what it does not name is zero, and so is what cannot be read.
    pub(crate) fn of_list(list: Option<&List>) -> Self {
        let mut resources = Self::default();
        for (name, quantity) in list.into_iter().flatten() {
            let Ok(quantity) = Quantity::parse(&quantity.0) else { continue };
            match name.as_str() {
                "cpu" => resources.cpu_milli = quantity.to_millis(),
                "memory" => resources.memory_bytes = quantity.to_units(),
                "ephemeral-storage" => resources.storage_bytes = quantity.to_units(),
                "pods" => resources.pods = quantity.to_units(),
                _ => drop(resources.others.insert(name.clone(), quantity.to_units())),
            }
        }
        resources
    }

    /// What a pod asks of its node, as upstream's `PodRequests`: its containers and sidecars together, or the init
    /// container that needs more than they do; what the pod itself asks for stands above that; and the overhead of its
    /// RuntimeClass. It counts as one pod.
    pub(crate) fn of_pod(spec: &core::PodSpec, unsaid: Unsaid) -> Self {
        let mut running = Self::default();
        let mut peak = Self::default();
        for container in &spec.containers {
            running.add(&of_container(container, unsaid));
        }
        let mut sidecars = Self::default();
        for container in spec.init_containers.iter().flatten() {
            let own = of_container(container, unsaid);
            if container.restart_policy.as_deref() == Some("Always") {
                running.add(&own);
                sidecars.add(&own);
                peak.raise(&sidecars);
            } else {
                let mut moment = sidecars.clone();
                moment.add(&own);
                peak.raise(&moment);
            }
        }
        running.raise(&peak);
        running.set(spec.resources.as_ref().and_then(|resources| resources.requests.as_ref()));
        running.add(&Self::of_list(spec.overhead.as_ref()));
        running.pods = 1;
        running
    }

    /// Adds what `other` has; sums end at the largest number.
    pub(crate) fn add(&mut self, other: &Self) {
        self.combine(other, i64::saturating_add);
    }

    /// Takes away what was added before.
    pub(crate) fn subtract(&mut self, other: &Self) {
        self.combine(other, i64::saturating_sub);
        self.others.retain(|_, amount| *amount != 0);
    }

    /// Raises each amount to that of `other`.
    fn raise(&mut self, other: &Self) {
        self.combine(other, i64::max);
    }

    /// Puts the amounts that `list` names in place of those there.
    fn set(&mut self, list: Option<&List>) {
        let said = Self::of_list(list);
        let names = |name: &str| list.is_some_and(|list| list.contains_key(name));
        if names("cpu") {
            self.cpu_milli = said.cpu_milli;
        }
        if names("memory") {
            self.memory_bytes = said.memory_bytes;
        }
        self.others.extend(said.others);
    }

    fn combine(&mut self, other: &Self, with: fn(i64, i64) -> i64) {
        self.cpu_milli = with(self.cpu_milli, other.cpu_milli);
        self.memory_bytes = with(self.memory_bytes, other.memory_bytes);
        self.storage_bytes = with(self.storage_bytes, other.storage_bytes);
        self.pods = with(self.pods, other.pods);
        for (name, amount) in &other.others {
            let own = self.others.entry(name.clone()).or_default();
            *own = with(*own, *amount);
        }
    }
}

fn of_container(container: &core::Container, unsaid: Unsaid) -> Resources {
    let list = container.resources.as_ref().and_then(|resources| resources.requests.as_ref());
    let mut resources = Resources::of_list(list);
    if unsaid == Unsaid::IsALittle {
        let says = |name: &str| list.is_some_and(|list| list.contains_key(name));
        if !says("cpu") {
            resources.cpu_milli = CPU_MILLI_UNSAID;
        }
        if !says("memory") {
            resources.memory_bytes = MEMORY_BYTES_UNSAID;
        }
    }
    resources
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[track_caller]
    fn check(spec: Value, expected: (i64, i64)) {
        let spec: core::PodSpec = serde_json::from_value(spec).unwrap();
        let requests = Resources::of_pod(&spec, Unsaid::IsNothing);
        assert_eq!((requests.cpu_milli, requests.memory_bytes), expected, "{spec:?}");
        assert_eq!(requests.pods, 1);
    }

    fn container(cpu: &str, memory: &str) -> Value {
        json!({"name": "c", "resources": {"requests": {"cpu": cpu, "memory": memory}}})
    }

    fn sidecar(cpu: &str, memory: &str) -> Value {
        let mut container = container(cpu, memory);
        container["restartPolicy"] = json!("Always");
        container
    }

    #[test]
    fn a_pod_asks_for_the_most_it_needs_at_one_moment() {
        let main = json!([container("1", "1k"), container("500m", "1k")]);
        check(json!({"containers": main}), (1500, 2000));
        check(json!({"containers": main, "initContainers": [container("2", "1")]}), (2000, 2000));
        check(json!({"containers": main, "initContainers": [sidecar("1", "1k"), container("2", "5k")]}), (3000, 6000));
        check(json!({"containers": main, "initContainers": [container("2", "5k"), sidecar("1", "1k")]}), (2500, 5000));
        check(json!({"containers": main, "overhead": {"cpu": "250m"}}), (1750, 2000));
        check(json!({"containers": main, "resources": {"requests": {"cpu": "4"}}}), (4000, 2000));
        check(json!({"containers": [{"name": "c"}]}), (0, 0));
    }

    #[test]
    fn when_nodes_are_compared_a_pod_that_says_nothing_needs_a_little() {
        let spec: core::PodSpec = serde_json::from_value(json!({"containers": [{"name": "c"}]})).unwrap();
        let requests = Resources::of_pod(&spec, Unsaid::IsALittle);
        assert_eq!((requests.cpu_milli, requests.memory_bytes), (CPU_MILLI_UNSAID, MEMORY_BYTES_UNSAID));
    }

    #[test]
    fn what_was_added_can_be_taken_away() {
        let list = serde_json::from_value(json!({"cpu": "1", "example.com/gpu": "2"})).unwrap();
        let (mut sum, one) = (Resources::default(), Resources::of_list(Some(&list)));
        sum.add(&one);
        assert_eq!(sum, one);
        sum.subtract(&one);
        assert_eq!(sum, Resources::default());
    }
}
