//! What keeps objects as they are declared: a file or folder a controller.
//!
//! Controllers meet the API server as anybody does, through [`client`], and know one another only by the objects that
//! they write; so each may be restarted alone, or done by upstream's in its place. They must never keep a state of their
//! own that the objects do not have, except how long something has lasted.
//!
//! ```text
//!   informers ──▶ queue of keys ──▶ sync(key): a pure plan of what is, then the requests that are missing
//! ```
//!
//! Reading order: `reconcile` (the loop that all share), then any controller: `service_accounts` is the smallest,
//! `nodes` the one on which most depends, `garbage` the largest.

mod bootstrap_tokens;
mod certificates;
mod garbage;
mod namespaces;
mod node_ranges;
pub mod nodes;
mod pod_gc;
mod pods;
mod quotas;
mod reconcile;
mod resources;
mod role_aggregation;
mod service_accounts;
mod token_secrets;
mod volume_protection;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use base::backoff::{Backoff, Law};
use base::pki::Authority;
use base::shutdown::Shutdown;
use base::task;
use client::Informers;

use crate::bootstrap_tokens::{BootstrapTokens, OF_NODES, OF_REGISTRY};
use crate::certificates::Certificates;
use crate::garbage::Garbage;
use crate::namespaces::Namespaces;
use crate::node_ranges::NodeRanges;
use crate::nodes::eviction::TaintEviction;
use crate::nodes::lifecycle::Lifecycle;
use crate::pod_gc::PodGc;
use crate::quotas::Quotas;
use crate::role_aggregation::RoleAggregation;
use crate::service_accounts::ServiceAccounts;
use crate::token_secrets::TokenSecrets;
use crate::volume_protection::{ClaimProtection, VolumeProtection};

pub use crate::node_ranges::Network;

/// The user that controllers are, as upstream's.
pub const USER: &str = "system:kube-controller-manager";

/// The wait before a controller is started again that has panicked. It grows, so that one which panics on what it
/// finds does not fill the log.
const RESTART: Law = Law::spread(Duration::from_secs(1), Duration::from_secs(60));

/// What the roof tells the controllers, once.
#[derive(Clone, Debug)]
pub struct Options {
    /// How nodes are watched over.
    pub nodes: nodes::Options,
    /// The addresses of pods, of which each node gets a part (`--cluster-cidr`).
    pub pod_network: Network,
    /// Signs certificates of nodes; every namespace gets its certificate, by which the API server is known.
    pub authority: Arc<Authority>,
    /// Names and addresses of the API server, under which no node may serve.
    pub server_names: BTreeSet<String>,
}

/// Runs all controllers until the end is asked for. They read through `informers`, of which nobody else may need more of
/// pods and nodes than is read here, and write through their client.
///
/// Each has a task of its own: one that panics is started anew, and the others go on.
pub async fn run(informers: Informers, options: Options, shutdown: Shutdown) {
    let client = informers.client();
    let _nodes = informers.of_pruned(nodes::prune);
    let pods = pods::ByNode::new(informers.of_pruned(pods::prune));
    tokio::join!(
        supervise("bootstrap tokens", &shutdown, || BootstrapTokens::new(client, OF_NODES).run(shutdown.clone())),
        supervise("registry tokens", &shutdown, || BootstrapTokens::new(client, OF_REGISTRY).run(shutdown.clone())),
        supervise("certificates", &shutdown, || {
            let (authority, protected) = (Arc::clone(&options.authority), options.server_names.clone());
            Certificates::new(&informers, authority, protected).run(shutdown.clone())
        }),
        supervise("service accounts", &shutdown, || {
            ServiceAccounts::new(&informers, options.authority.certificate_pem().to_owned()).run(shutdown.clone())
        }),
        supervise("tokens in Secrets", &shutdown, || {
            TokenSecrets::new(&informers, options.authority.certificate_pem().to_owned()).run(shutdown.clone())
        }),
        supervise("roles", &shutdown, || RoleAggregation::new(&informers).run(shutdown.clone())),
        supervise("claims in use", &shutdown, || ClaimProtection::new(&informers, &pods).run(shutdown.clone())),
        supervise("volumes in use", &shutdown, || VolumeProtection::new(&informers).run(shutdown.clone())),
        supervise("quotas", &shutdown, || Quotas::new(&informers, &pods).run(shutdown.clone())),
        supervise("namespaces", &shutdown, || Namespaces::new(&informers).run(shutdown.clone())),
        supervise("garbage collector", &shutdown, || Garbage::new(client).run(shutdown.clone())),
        supervise("node lifecycle", &shutdown, || {
            let (lifecycle, events) = Lifecycle::new(&informers, &pods, options.nodes.clone());
            both(lifecycle.run(shutdown.clone()), events.run(client.clone(), shutdown.clone()))
        }),
        supervise("node ranges", &shutdown, || {
            let (ranges, events) = NodeRanges::new(&informers, options.pod_network);
            both(ranges.run(shutdown.clone()), events.run(client.clone(), shutdown.clone()))
        }),
        supervise("taint eviction", &shutdown, || {
            let (eviction, events) = TaintEviction::new(&informers, &pods);
            both(eviction.run(shutdown.clone()), events.run(client.clone(), shutdown.clone()))
        }),
        supervise("pod garbage collector", &shutdown, || {
            PodGc::new(&informers, options.nodes.orphan_grace_period).run(shutdown.clone())
        }),
    );
}

/// A controller, and the writer of what it tells people.
async fn both(controller: impl Future<Output = ()>, events: impl Future<Output = ()>) {
    tokio::join!(controller, events);
}

/// Runs a controller until it ends, which it does when it is asked to; again where it panicked.
async fn supervise<F>(name: &'static str, shutdown: &Shutdown, start: impl Fn() -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut restart = Backoff::new(RESTART);
    while task::spawn(name, start()).await.is_err() {
        let wait = restart.next_wait();
        tracing::error!(controller = name, ?wait, "a controller has failed; starting it again");
        if shutdown.or(tokio::time::sleep(wait)).await.is_none() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use base::shutdown;
    use client::testing::FakeServer;
    use serde_json::json;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn all_controllers_work_beside_one_another_and_end_when_they_are_asked_to() {
        let server = FakeServer::default();
        server.put("/api/v1/namespaces/a", json!({}));
        server.put("/api/v1/nodes/n", json!({"spec": {"unschedulable": true}}));
        server.put("/api/v1/namespaces/a/pods/orphan", json!({"spec": {"nodeName": "gone", "containers": []}}));
        let options = Options {
            nodes: nodes::Options::default(),
            pod_network: Network::new([100, 64, 0, 0].into(), 11),
            authority: Arc::new(Authority::create("ca", Duration::from_secs(3600)).unwrap()),
            server_names: BTreeSet::new(),
        };
        let (trigger, shutdown) = shutdown::channel();
        let running = task::spawn("controllers", run(Informers::new(server.client()), options, shutdown));

        server.wait("/api/v1/namespaces/a/serviceaccounts/default", |account| account.is_some()).await;
        server.wait("/api/v1/nodes/n", |node| node.unwrap()["spec"]["podCIDR"] == "100.64.0.0/24").await;
        server.wait("/api/v1/nodes/n", |node| !node.unwrap()["spec"]["taints"].is_null()).await;
        tokio::time::sleep(Duration::from_secs(20)).await;
        server.gone("/api/v1/namespaces/a/pods/orphan").await;

        trigger.pull();
        tokio::time::timeout(Duration::from_secs(10), running).await.unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_controller_that_panics_is_started_again_until_it_ends() {
        let (_trigger, shutdown) = shutdown::channel();
        let starts = AtomicUsize::new(0);
        supervise("panicking", &shutdown, || {
            let start = starts.fetch_add(1, Ordering::Relaxed);
            async move { assert!(start >= 2, "on purpose") }
        })
        .await;
        assert_eq!(starts.into_inner(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_controller_that_always_panics_ends_when_it_is_asked_to() {
        let (trigger, shutdown) = shutdown::channel();
        supervise("panicking", &shutdown, || {
            trigger.pull();
            async { panic!("on purpose") }
        })
        .await;
    }
}
