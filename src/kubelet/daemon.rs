//! What all workers of one node share: its neighbours, and the few things of which the node has one.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cap_std::fs::Dir;
use k8s_openapi::api::core::v1 as core;
use network::pool::{self, Pool};
use network::range::Range;
use tokio::sync::watch;

use crate::events::Events;
use crate::fields::Facts;
use crate::images::Pulls;
use crate::journal::Journal;
use crate::logs::writer::Logs;
use crate::options::Options;
use crate::pods::admit::{Held, Node};
use crate::pods::state::Verdict;
use crate::sources::Sources;
use crate::statuses::Statuses;

/// See the module.
pub(crate) struct Daemon {
    pub(crate) options: Options,
    pub(crate) events: Events,
    pub(crate) statuses: Statuses,
    pub(crate) journal: Arc<Journal>,
    pub(crate) sources: Arc<Sources>,
    pub(crate) logs: Arc<Logs>,
    pub(crate) pulls: Pulls,
    pub(crate) runtime: runtime::Runtime,
    /// The folder of all pods: the one way to what lies beneath it.
    pub(crate) pods_dir: Arc<Dir>,
    /// What pods hold of the node.
    pub(crate) room: Room,
}

/// What the node has to give, and who has what of it.
#[derive(Debug)]
pub(crate) struct Room {
    state: Mutex<State>,
    /// Whether the node's object was seen.
    has_learned: watch::Sender<bool>,
}

#[derive(Debug)]
struct State {
    node: Node,
    held: Held,
    pool: Pool,
    /// Addresses by pod; canonical for who has which.
    addresses: HashMap<Arc<str>, IpAddr>,
}

impl Daemon {
    /// What guests of a pod may read about it.
    pub(crate) fn facts<'a>(&self, pod: &'a core::Pod, address: Option<IpAddr>) -> Facts<'a> {
        let allocatable = self.options.machine.capacity;
        Facts { pod, address, node_ip: self.options.node_ip, allocatable }
    }
}

impl Room {
    /// A node of which nothing is taken.
    pub(crate) fn new(node: Node, range: Range) -> Self {
        let (held, addresses) = (Held::default(), HashMap::new());
        let state = Mutex::new(State { node, held, pool: Pool::new(range), addresses });
        Self { state, has_learned: watch::Sender::new(false) }
    }

    /// Takes what `pod` asks for.
    ///
    /// # Errors
    /// Why the pod is rejected.
    pub(crate) fn admit(&self, uid: &Arc<str>, pod: &core::Pod) -> Result<(), Verdict> {
        let mut state = self.lock();
        let State { node, held, .. } = &mut *state;
        held.admit(uid, pod, node)
    }

    /// The address of a pod: the node's own for the host network, the one that it had if that is free, or a new one.
    ///
    /// # Errors
    /// When all are in use.
    pub(crate) fn address(
        &self,
        uid: &Arc<str>,
        pod: &core::Pod,
        before: Option<IpAddr>,
    ) -> Result<IpAddr, pool::Error> {
        let mut state = self.lock();
        if pod.spec.as_ref().and_then(|spec| spec.host_network) == Some(true) {
            return Ok(state.node.ip);
        }
        if let Some(address) = state.addresses.get(uid) {
            return Ok(*address);
        }
        let kept = before.filter(|address| state.pool.claim(*address).is_ok());
        let address = match kept {
            Some(address) => address,
            None => state.pool.allocate()?,
        };
        state.addresses.insert(Arc::clone(uid), address);
        Ok(address)
    }

    /// Takes back what a pod had.
    pub(crate) fn release(&self, uid: &str) {
        let mut state = self.lock();
        state.held.release(uid);
        if let Some(address) = state.addresses.remove(uid) {
            state.pool.release(address);
        }
    }

    /// What the node's object says by now: labels that people added, and the range that a controller gave.
    pub(crate) fn learn(&self, node: &core::Node) {
        let range = node.spec.as_ref().and_then(|spec| spec.pod_cidr.as_deref());
        let range = range.and_then(|range| range.parse::<Range>().ok());
        let mut state = self.lock();
        state.node.labels = node.metadata.labels.clone().unwrap_or_default();
        if let Some(range) = range.filter(|range| range != state.pool.range()) {
            let mut pool = Pool::new(range);
            let outside = state.addresses.values().filter(|address| pool.claim(**address).is_err()).count();
            if outside > 0 {
                tracing::info!(%range, pods = outside, "the node has a new pod range; pods that run keep their addresses");
            }
            state.pool = pool;
        }
        drop(state);
        self.has_learned.send_replace(true);
    }

    /// Completes once the node's object was seen.
    pub(crate) async fn learned(&self) {
        // It fails only where the sender is gone, which `self` keeps.
        self.has_learned.subscribe().wait_for(|learned| *learned).await.ok();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
