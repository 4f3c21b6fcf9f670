//! Events about pods and the node, with upstream's involved object and source.

use client::events::{self, Recorder, Source};
use k8s_openapi::api::core::v1 as core;

pub(crate) use client::events::Writer;

/// Tells of pods and of the node; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Events {
    recorder: Recorder,
    node: String,
}

/// The Events of this node's kubelet, and what writes them.
pub(crate) fn channel(node: &str) -> (Events, Writer) {
    let source = Source { component: "kubelet".to_owned(), host: node.to_owned() };
    let (recorder, writer) = events::channel(source);
    (Events { recorder, node: node.to_owned() }, writer)
}

impl Events {
    /// Something about a pod, or one of its containers, that went as it should.
    pub(crate) fn normal(&self, pod: &core::Pod, container: Option<&str>, reason: &str, message: String) {
        self.recorder.normal(about(pod, container), reason, message);
    }

    /// Something about a pod, or one of its containers, that somebody may have to look at.
    pub(crate) fn warning(&self, pod: &core::Pod, container: Option<&str>, reason: &str, message: String) {
        self.recorder.warning(about(pod, container), reason, message);
    }

    /// Something about the node that went as it should.
    pub(crate) fn of_node(&self, reason: &str, message: &str) {
        let about = core::ObjectReference {
            kind: Some("Node".to_owned()),
            name: Some(self.node.clone()),
            // Upstream's kubelet gives its name here, and people select Events by it.
            uid: Some(self.node.clone()),
            ..core::ObjectReference::default()
        };
        self.recorder.normal(about, reason, message);
    }
}

fn about(pod: &core::Pod, container: Option<&str>) -> core::ObjectReference {
    let part = container.map(|name| {
        let init = pod.spec.iter().flat_map(|spec| spec.init_containers.iter().flatten());
        let list = if init.into_iter().any(|spec| spec.name == name) { "initContainers" } else { "containers" };
        format!("spec.{list}{{{name}}}")
    });
    events::reference(pod, part)
}
