//! The connections of nodes, by node.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tunnel::Tunnel;

/// Which nodes are connected; cheap to clone. It holds one connection a node, so it is bounded by the nodes there are.
#[derive(Clone, Debug, Default)]
pub struct Nodes {
    tunnels: Arc<Mutex<HashMap<String, Tunnel>>>,
}

impl Nodes {
    /// Takes in a node's newest connection; an older one is dropped, since a node dials again only when it lost it.
    pub(crate) fn connect(&self, node: &str, tunnel: Tunnel) {
        let mut tunnels = self.lock();
        tunnels.retain(|_, tunnel| !tunnel.is_closed());
        tunnels.insert(node.to_owned(), tunnel);
    }

    /// The connection of a node, while it is alive.
    pub(crate) fn find(&self, node: &str) -> Option<Tunnel> {
        self.lock().get(node).filter(|tunnel| !tunnel.is_closed()).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Tunnel>> {
        self.tunnels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
