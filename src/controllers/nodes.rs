//! The life of nodes: who has fallen silent, what keeps pods off a node, and whose pods have to go.
//!
//! ```text
//!   Lease renewed ──▶ health ──▶ conditions of the Node ──▶ taints of the Node ──▶ eviction: pods get a deletionTimestamp
//!                    (silence by our own clock)                                   pod_gc: pods of a Node that is gone go
//! ```
//!
//! Each step is a pure function in a file of its own (`health`, `taints`, `eviction`), and each reads objects alone, so
//! that any of them may be restarted, or done by upstream's controllers instead. `disruption` holds eviction back where
//! so many nodes are down that the fault is hardly theirs. `conditions` is the little they share.

pub(crate) mod conditions;
mod disruption;
pub(crate) mod eviction;
mod health;
pub(crate) mod lifecycle;
mod taints;

use std::time::Duration;

use k8s_openapi::api::core::v1 as core;

/// How nodes are watched over. The defaults are upstream's.
#[derive(Clone, Debug)]
pub struct Options {
    /// A node is `Unknown` that was silent for longer (`--node-monitor-grace-period`). It must be several times the
    /// interval at which leases are renewed.
    pub monitor_grace_period: Duration,
    /// The same for a node that has never told its status (`--node-startup-grace-period`).
    pub startup_grace_period: Duration,
    /// How many nodes in a second may begin to lose their pods (`--node-eviction-rate`), so that a fault which makes
    /// nodes look dead does not move everything at once.
    pub eviction_rate: f64,
    /// How long pods of a node whose object is gone are left alone: it may be made anew.
    pub orphan_grace_period: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            monitor_grace_period: Duration::from_secs(50),
            startup_grace_period: Duration::from_secs(60),
            eviction_rate: 0.1,
            orphan_grace_period: Duration::from_secs(40),
        }
    }
}

/// Drops of a node what no controller here reads: the images that it has are most of it.
pub(crate) fn prune(node: &mut core::Node) {
    node.metadata.annotations = None;
    if let Some(status) = &mut node.status {
        status.images = None;
        status.volumes_attached = None;
        status.volumes_in_use = None;
    }
}
