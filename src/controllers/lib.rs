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

mod certificates;
mod garbage;
mod namespaces;
mod node_ranges;
pub mod nodes;
mod pod_gc;
mod reconcile;
mod resources;
mod service_accounts;

use std::collections::BTreeSet;
use std::sync::Arc;

use base::pki::Authority;
use base::shutdown::Shutdown;
use client::Informers;

use crate::certificates::Certificates;
use crate::garbage::Garbage;
use crate::namespaces::Namespaces;
use crate::node_ranges::NodeRanges;
use crate::nodes::eviction::TaintEviction;
use crate::nodes::lifecycle::Lifecycle;
use crate::pod_gc::PodGc;
use crate::service_accounts::ServiceAccounts;

pub use crate::node_ranges::Network;

/// The user that controllers are, as upstream's.
pub const USER: &str = "system:kube-controller-manager";

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

/// Runs all controllers until the end is asked for. They read through `informers` and write through their client.
pub async fn run(informers: Informers, options: Options, shutdown: Shutdown) {
    let client = informers.client().clone();
    let (lifecycle, lifecycle_events) = Lifecycle::new(&informers, options.nodes.clone());
    let (ranges, range_events) = NodeRanges::new(&informers, options.pod_network);
    let (eviction, eviction_events) = TaintEviction::new(&informers);
    tokio::join!(
        Certificates::new(&informers, Arc::clone(&options.authority), options.server_names).run(shutdown.clone()),
        ServiceAccounts::new(&informers, options.authority.certificate_pem().to_owned()).run(shutdown.clone()),
        Namespaces::new(&informers).run(shutdown.clone()),
        Garbage::new(&informers).run(shutdown.clone()),
        lifecycle.run(shutdown.clone()),
        lifecycle_events.run(client.clone(), shutdown.clone()),
        ranges.run(shutdown.clone()),
        range_events.run(client.clone(), shutdown.clone()),
        eviction.run(shutdown.clone()),
        eviction_events.run(client, shutdown.clone()),
        PodGc::new(&informers, options.nodes.orphan_grace_period).run(shutdown),
    );
}
