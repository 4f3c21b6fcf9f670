//! Gives each node the addresses of its pods: `spec.podCIDR`, as large as the pods that it may run need, out of the
//! cluster's range. A range is a node's for its life and free again when its object is gone (upstream's
//! `pkg/controller/nodeipam`, with ranges by need instead of one size for all).

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use api::quantity::Quantity;
use base::queue::Queue;
use base::shutdown::Shutdown;
use client::events::{self, Recorder, Source, Writer};
use client::{Informer, Informers, Key, refusal};
use k8s_openapi::api::core::v1 as core;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;

use crate::reconcile::{self, Next, Outcome};

/// Addresses of a node that does not say how many pods it runs: upstream's 110 pods in a /24.
const DEFAULT_PREFIX: u8 = 24;

/// How soon it is tried again to find addresses for a node, after there were none left.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// A network of IPv4 addresses, its host bits zero.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Network {
    base: u32,
    prefix: u8,
}

impl Network {
    /// The network of `prefix` bits that `address` lies in; longer prefixes count as 32.
    #[must_use]
    pub fn new(address: Ipv4Addr, prefix: u8) -> Self {
        let prefix = prefix.min(32);
        Self { base: u32::from(address) & mask(prefix), prefix }
    }

    fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = text.split_once('/')?;
        Some(Self::new(address.parse().ok()?, prefix.parse().ok()?))
    }

    fn overlaps(self, other: Self) -> bool {
        let shared = mask(self.prefix.min(other.prefix));
        self.base & shared == other.base & shared
    }

    /// The address after its last one; `None` where that is the last of all.
    fn end(self) -> Option<u32> {
        self.base.checked_add(!mask(self.prefix))?.checked_add(1)
    }

    /// The first network of `prefix` bits in here that overlaps none of `taken`.
    fn first_free(self, prefix: u8, mut taken: Vec<Self>) -> Option<Self> {
        if prefix < self.prefix {
            return None;
        }
        // Networks lie within one another or apart, so one walk from below meets every obstacle.
        taken.sort_unstable_by_key(|network| (network.base, network.prefix));
        let mut candidate = Self { base: self.base, prefix };
        for obstacle in taken {
            if obstacle.overlaps(candidate) {
                // Past the obstacle, or past the candidate where that is the larger of both.
                let base = obstacle.end()?.max(candidate.end()?);
                candidate = Self { base, prefix };
            }
        }
        self.overlaps(candidate).then_some(candidate)
    }
}

impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from(self.base), self.prefix)
    }
}

fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
}

/// How many bits the range of a node that runs `pods` pods leaves to the network: two addresses more than pods, since
/// the first and the last are nobody's.
fn prefix_for(pods: u32) -> u8 {
    let addresses = pods.saturating_add(2).next_power_of_two().max(4);
    u8::try_from(32 - addresses.trailing_zeros()).unwrap_or(0)
}

/// The controller.
pub(crate) struct NodeRanges {
    client: Client,
    nodes: Informer<core::Node>,
    cluster: Network,
    /// What was given and may not have come back to us yet. Bounded by the nodes there are.
    given: Mutex<HashMap<String, Network>>,
    recorder: Recorder,
}

impl NodeRanges {
    /// The controller, and the writer of what it tells people.
    pub(crate) fn new(informers: &Informers, cluster: Network) -> (Self, Writer) {
        let (recorder, writer) = events::channel(Source { component: "cidrAllocator".to_owned(), host: String::new() });
        let (client, nodes) = (informers.client().clone(), informers.of());
        (Self { client, nodes, cluster, given: Mutex::default(), recorder }, writer)
    }

    pub(crate) async fn run(self, shutdown: Shutdown) {
        let queue = Queue::new();
        let _nodes = reconcile::feed(&self.nodes, &queue, |change| change.key.clone());
        if shutdown.or(self.nodes.synced()).await.is_some() {
            // One at a time: two must not choose the same range.
            reconcile::run(&queue, 1, &shutdown, |key| self.sync(key)).await;
        }
    }

    async fn sync(&self, key: Key) -> Outcome {
        let Some(node) = self.nodes.get(&key) else {
            self.given.lock().unwrap_or_else(PoisonError::into_inner).remove(&*key.name);
            return Ok(Next::Changed);
        };
        if range_of(&node).is_some() {
            return Ok(Next::Changed);
        }
        let Some(range) = self.choose(&key.name, &node) else {
            let message = format!("Node {} status is now: CIDRNotAvailable", key.name);
            self.recorder.warning(events::reference(&*node, None), "CIDRNotAvailable", &message);
            return Ok(Next::After(LOOK_AGAIN));
        };
        let patch = json!({"spec": {"podCIDR": range.to_string(), "podCIDRs": [range.to_string()]}});
        let api: Api<core::Node> = Api::all(self.client.clone());
        refusal::found(api.patch(&key.name, &PatchParams::default(), &Patch::Merge(patch)).await)?;
        Ok(Next::Changed)
    }

    fn choose(&self, name: &str, node: &core::Node) -> Option<Network> {
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        let nodes = self.nodes.all();
        // What this node was given before and did not take is free again.
        let given_to_others = given.iter().filter(|(other, _)| *other != name).map(|(_, range)| *range);
        let taken = nodes.values().filter_map(|node| range_of(node)).chain(given_to_others).collect();
        let capacity = node.status.as_ref().and_then(|status| status.capacity.as_ref());
        let pods = capacity.and_then(|capacity| Quantity::parse(&capacity.get("pods")?.0).ok());
        let pods = pods.and_then(|pods| u32::try_from(pods.to_units()).ok());
        let range = self.cluster.first_free(pods.map_or(DEFAULT_PREFIX, prefix_for), taken)?;
        given.insert(name.to_owned(), range);
        Some(range)
    }
}

fn range_of(node: &core::Node) -> Option<Network> {
    node.spec.as_ref().and_then(|spec| spec.pod_cidr.as_deref()).and_then(Network::parse)
}

#[cfg(test)]
mod tests {
    use base::{shutdown, task};
    use client::testing::FakeServer;

    use super::*;

    fn network(text: &str) -> Network {
        Network::parse(text).unwrap()
    }

    fn check(prefix: u8, taken: &[&str], expected: Option<&str>) {
        let taken: Vec<Network> = taken.iter().map(|text| network(text)).collect();
        let found = network("10.0.0.0/16").first_free(prefix, taken.clone()).map(|range| range.to_string());
        assert_eq!(found.as_deref(), expected, "/{prefix} beside {taken:?}");
    }

    #[test]
    fn a_range_is_the_first_that_nobody_has() {
        check(24, &[], Some("10.0.0.0/24"));
        check(24, &["10.0.0.0/24"], Some("10.0.1.0/24"));
        check(22, &["10.0.0.0/24"], Some("10.0.4.0/22"));
        check(24, &["10.0.0.0/22", "10.0.5.0/24"], Some("10.0.4.0/24"));
        check(17, &["10.0.0.0/24", "10.0.128.0/24"], None);
        check(24, &["10.0.1.0/24", "10.0.0.0/26"], Some("10.0.2.0/24"));
        check(26, &["10.0.0.0/24", "10.0.0.64/26"], Some("10.0.1.0/26"));
        check(24, &["10.0.0.0/16"], None);
        check(24, &["0.0.0.0/0"], None);
        check(15, &[], None);
    }

    #[test]
    fn a_range_is_as_large_as_its_pods_need() {
        assert_eq!([1, 2, 110, 254, 255, 1000, 30_000].map(prefix_for), [30, 30, 25, 24, 23, 22, 17]);
    }

    #[tokio::test(start_paused = true)]
    async fn each_node_gets_a_range_of_its_own() {
        let server = FakeServer::default();
        let (controller, _events) = NodeRanges::new(&Informers::new(server.client()), network("100.64.0.0/11"));
        let (_trigger, shutdown) = shutdown::channel();
        task::spawn("node ranges", controller.run(shutdown)).detach();
        for name in ["a", "b"] {
            server.put(&format!("/api/v1/nodes/{name}"), json!({"spec": {}, "status": {"capacity": {"pods": "1k"}}}));
        }
        let has_range = |node: Option<&serde_json::Value>| node.is_some_and(|node| node["spec"]["podCIDR"].is_string());
        let mut ranges = Vec::new();
        for name in ["a", "b"] {
            let node = server.wait(&format!("/api/v1/nodes/{name}"), has_range).await.unwrap();
            ranges.push(node["spec"]["podCIDR"].as_str().unwrap().to_owned());
        }
        ranges.sort();
        assert_eq!(ranges, ["100.64.0.0/22", "100.64.4.0/22"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_waits_for_addresses_until_another_one_goes() {
        let server = FakeServer::default();
        let (controller, events) = NodeRanges::new(&Informers::new(server.client()), network("10.0.0.0/24"));
        let (_trigger, shutdown) = shutdown::channel();
        server.put("/api/v1/nodes/a", json!({"spec": {"podCIDR": "10.0.0.0/24"}}));
        server.put("/api/v1/nodes/b", json!({"spec": {}}));
        task::spawn("node ranges", controller.run(shutdown.clone())).detach();
        task::spawn("events", events.run(server.client(), shutdown)).detach();
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(server.events(), ["CIDRNotAvailable Node b status is now: CIDRNotAvailable"]);

        server.remove("/api/v1/nodes/a");
        // A write that somebody else got in before is tried again, and finds its own addresses free.
        server.refuse("PATCH /api/v1/nodes/b", 409, 1);
        let is_given = |node: Option<&serde_json::Value>| node.unwrap()["spec"]["podCIDR"] == "10.0.0.0/24";
        server.wait("/api/v1/nodes/b", is_given).await;
    }
}
