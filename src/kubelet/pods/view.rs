//! How a pod is at one moment, for who serves its logs and streams.

use std::sync::Arc;

use k8s_openapi::api::core::v1 as core;

use super::state::{Run, State};
use crate::containers::Running;

/// One pod.
#[derive(Clone, Debug)]
pub(crate) struct View {
    /// The object as last seen.
    pub(crate) pod: Arc<core::Pod>,
    /// Its containers, in the order of their slots.
    pub(crate) containers: Vec<Container>,
}

/// One container.
#[derive(Clone, Debug)]
pub(crate) struct Container {
    /// Its name.
    pub(crate) name: Arc<str>,
    /// Which run is the present or, when it waits, the last one; `None` when it never ran.
    pub(crate) run: Option<u32>,
    /// Why it waits, if it does.
    pub(crate) waits: Option<String>,
    /// Its sandbox, if it runs.
    pub(crate) running: Option<Running>,
}

impl View {
    /// The view of `state`; `running` is by slot.
    pub(crate) fn new(pod: &Arc<core::Pod>, state: &State, running: &[Option<Running>]) -> Self {
        let containers = state.containers.iter().zip(running).map(|(container, running)| Container {
            name: Arc::clone(&container.name),
            run: match &container.run {
                Run::Running { .. } => Some(container.restarts),
                Run::Exited { how, .. } => Some(how.run),
                Run::Waiting { .. } => container.last.as_ref().map(|last| last.run),
            },
            waits: match &container.run {
                Run::Waiting { why: Some(why), .. } => Some(why.reason.clone()),
                Run::Waiting { why: None, .. } => Some(super::status::ordinary_wait(state).to_owned()),
                Run::Running { .. } | Run::Exited { .. } => None,
            },
            running: running.clone(),
        });
        Self { pod: Arc::clone(pod), containers: containers.collect() }
    }

    /// The container of this name.
    pub(crate) fn container(&self, name: &str) -> Option<&Container> {
        self.containers.iter().find(|container| &*container.name == name)
    }
}
