//! What the scheduler knows of a node: the object, what it has, and what pods take of it.

use std::sync::Arc;

use k8s_openapi::api::core::v1 as core;

use crate::pod::{HostPort, Load};
use crate::resources::Resources;

/// A node with what is taken of it, by pods bound to it and by those about to be.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) name: Arc<str>,
    pub(crate) object: Arc<core::Node>,
    pub(crate) allocatable: Arc<Resources>,
    /// The sum of what its pods ask for.
    pub(crate) requested: Resources,
    /// The sum of what its pods are taken to need when nodes are compared.
    pub(crate) likely: Resources,
    /// The ports that its pods take, each as often as it is taken.
    pub(crate) ports: Vec<HostPort>,
}

impl Node {
    /// A node without pods.
    pub(crate) fn new(name: Arc<str>, object: Arc<core::Node>) -> Self {
        let allocatable = Arc::new(allocatable(&object));
        let (requested, likely) = (Resources::default(), Resources::default());
        Self { name, object, allocatable, requested, likely, ports: Vec::new() }
    }

    /// The object changed; its pods stay.
    pub(crate) fn update(&mut self, object: Arc<core::Node>) {
        self.allocatable = Arc::new(allocatable(&object));
        self.object = object;
    }

    pub(crate) fn add(&mut self, load: &Load) {
        self.requested.add(&load.requests);
        self.likely.add(&load.likely);
        self.ports.extend(load.ports.iter().cloned());
    }

    pub(crate) fn remove(&mut self, load: &Load) {
        self.requested.subtract(&load.requests);
        self.likely.subtract(&load.likely);
        for port in &load.ports {
            if let Some(index) = self.ports.iter().position(|taken| taken == port) {
                self.ports.swap_remove(index);
            }
        }
    }

    pub(crate) fn label(&self, key: &str) -> Option<&str> {
        self.object.metadata.labels.as_ref()?.get(key).map(String::as_str)
    }

    pub(crate) fn taints(&self) -> &[core::Taint] {
        self.object.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default()
    }

    pub(crate) fn is_unschedulable(&self) -> bool {
        self.object.spec.as_ref().and_then(|spec| spec.unschedulable).unwrap_or(false)
    }
}

/// Whether the change from `old` to `new` may let a pod onto the node that could not go there before. Heartbeats do
/// not.
pub(crate) fn may_help(old: &core::Node, new: &core::Node) -> bool {
    let spec = |node: &core::Node| node.spec.as_ref().map(|spec| (spec.taints.clone(), spec.unschedulable));
    spec(old) != spec(new) || old.metadata.labels != new.metadata.labels || allocatable(old) != allocatable(new)
}

fn allocatable(node: &core::Node) -> Resources {
    Resources::of_list(node.status.as_ref().and_then(|status| status.allocatable.as_ref()))
}
