//! What decides where a pod goes: filters say which nodes cannot take it and why, scores say which of the others is
//! best. Each is a pure function in a file of its own; the two tables here are all there is to wire.
//!
//! Order, names, weights and reasons are upstream's default profile, as far as its plugins are here. Preemption,
//! topology spread, affinity between pods and volumes come with the issues that bring what they need. `NodeName` is
//! not here: it would reject pods that name a node, and those are never ours to place.

mod balanced_allocation;
mod least_allocated;
pub(crate) mod node_affinity;
mod node_ports;
mod node_resources_fit;
mod node_unschedulable;
mod taint_toleration;

use std::borrow::Cow;

use crate::node::Node;
use crate::pod::Pending;

/// Why a node cannot take a pod, in the words that people read in its Events.
pub(crate) type Reason = Cow<'static, str>;

/// The best score of one plugin.
pub(crate) const SCORE_MAX: i64 = 100;

/// Says why a node cannot take a pod; no reason where it can.
pub(crate) struct Filter {
    pub(crate) check: fn(&Pending, &Node) -> Vec<Reason>,
    /// Whether a pod that leaves its node may change the answer. A change of the node always may.
    pub(crate) is_about_pods: bool,
}

/// Says how well a node suits a pod.
pub(crate) struct Score {
    pub(crate) score: fn(&Pending, &Node) -> i64,
    pub(crate) scale: Scale,
    pub(crate) weight: i64,
}

/// How the scores of a plugin become numbers up to [`SCORE_MAX`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Scale {
    /// They are.
    AsIs,
    /// The largest among the nodes becomes the best.
    LargestIsBest,
    /// The largest among the nodes becomes nothing, and nothing becomes the best.
    LargestIsWorst,
}

/// In the order in which they are asked; the first that objects is the one that is heard.
pub(crate) const FILTERS: [Filter; 5] = [
    Filter { check: node_unschedulable::check, is_about_pods: false },
    Filter { check: taint_toleration::check, is_about_pods: false },
    Filter { check: node_affinity::check, is_about_pods: false },
    Filter { check: node_ports::check, is_about_pods: true },
    Filter { check: node_resources_fit::check, is_about_pods: true },
];

/// What nodes are compared by.
pub(crate) const SCORES: [Score; 4] = [
    Score { score: taint_toleration::score, scale: Scale::LargestIsWorst, weight: 3 },
    Score { score: node_affinity::score, scale: Scale::LargestIsBest, weight: 2 },
    Score { score: least_allocated::score, scale: Scale::AsIs, weight: 1 },
    Score { score: balanced_allocation::score, scale: Scale::AsIs, weight: 1 },
];

/// Some of the [`FILTERS`], by their place in the table.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Rejecters(u8);

const _: () = assert!(FILTERS.len() <= 8, "a bit for each filter");

impl Rejecters {
    pub(crate) fn insert(&mut self, filter: usize) {
        self.0 |= 1 << filter;
    }

    /// Whether one of them looks at the pods of a node.
    pub(crate) fn are_about_pods(self) -> bool {
        FILTERS.iter().enumerate().any(|(index, filter)| filter.is_about_pods && self.0 & (1 << index) != 0)
    }
}

#[cfg(test)]
pub(crate) mod testing {
    //! Nodes and pods for the tables of the plugins.

    use std::sync::Arc;

    use serde_json::{Value, json};

    use crate::node::Node;
    use crate::pod::Pending;

    /// A node that looks like this, with four CPUs, 4 GB and room for 10 pods unless it says otherwise.
    pub(crate) fn node(mut object: Value) -> Node {
        if object["metadata"]["name"].is_null() {
            object["metadata"]["name"] = json!("node");
        }
        if object["status"]["allocatable"].is_null() {
            object["status"]["allocatable"] = json!({"cpu": "4", "memory": "4G", "pods": "10"});
        }
        let name = object["metadata"]["name"].as_str().unwrap().into();
        Node::new(name, Arc::new(serde_json::from_value(object).unwrap()))
    }

    /// A pod with this spec.
    pub(crate) fn pod(mut spec: Value) -> Pending {
        if spec["containers"].is_null() {
            spec["containers"] = json!([]);
        }
        let pod = json!({"metadata": {"name": "pod", "namespace": "default", "uid": "pod"}, "spec": spec});
        Pending::new(Arc::new(serde_json::from_value(pod).unwrap()))
    }

    /// A pod that asks for this much.
    pub(crate) fn pod_of(cpu: &str, memory: &str) -> Pending {
        pod(json!({"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu, "memory": memory}}}]}))
    }
}
