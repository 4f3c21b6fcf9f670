//! What is told to the API server after a decision: that a pod is bound, or why it is not.

use std::time::Duration;

use base::clock;
use client::events::{self, Recorder};
use client::{refusal, status};
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::api::PostParams;
use kube::core::Status;
use kube::{Api, Client};

use crate::pod::Pending;
use crate::schedule::Unfit;

/// How long one request may take; then the pod is tried again, and its informer says whether it was bound.
const REQUEST_DEADLINE: Duration = Duration::from_secs(30);

const SCHEDULED: &str = "Scheduled";
const FAILED_SCHEDULING: &str = "FailedScheduling";
const UNSCHEDULABLE: &str = "Unschedulable";
const SCHEDULER_ERROR: &str = "SchedulerError";

/// How a binding ended.
#[derive(Debug, PartialEq)]
pub(crate) enum Bound {
    /// The pod is bound.
    Yes,
    /// It is not, or nobody knows; it shall be tried again while it is there.
    No,
}

/// Speaks to the API server for the scheduler; cheap to clone.
#[derive(Clone)]
pub(crate) struct Binder {
    client: Client,
    recorder: Recorder,
    scheduler_name: String,
}

impl Binder {
    pub(crate) fn new(client: Client, recorder: Recorder, scheduler_name: &str) -> Self {
        Self { client, recorder, scheduler_name: scheduler_name.to_owned() }
    }

    /// Binds a pod to a node, and tells of it.
    pub(crate) async fn bind(&self, pending: &Pending, node: &str) -> Bound {
        let meta = &pending.pod.metadata;
        let (namespace, name) =
            (meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default());
        let binding = core::Binding {
            metadata: ObjectMeta {
                name: meta.name.clone(),
                namespace: meta.namespace.clone(),
                uid: meta.uid.clone(),
                ..ObjectMeta::default()
            },
            target: core::ObjectReference {
                kind: Some("Node".to_owned()),
                name: Some(node.to_owned()),
                ..core::ObjectReference::default()
            },
        };
        let api: Api<core::Pod> = Api::namespaced(self.client.clone(), namespace);
        let params = PostParams::default();
        let request = api.create_subresource::<_, Status>("binding", name, &params, &binding);
        match tokio::time::timeout(REQUEST_DEADLINE, request).await {
            Ok(Ok(_)) => {
                let message = format!("Successfully assigned {namespace}/{name} to {node}");
                self.recorder.normal(events::reference(&*pending.pod, None), SCHEDULED, message);
                Bound::Yes
            }
            Ok(Err(error)) if refusal::is_not_found(&error) => Bound::No,
            Ok(Err(error)) => {
                self.tell_failure(pending, SCHEDULER_ERROR, &format!("binding rejected: {error}")).await;
                Bound::No
            }
            Err(_) => {
                tracing::warn!(namespace, name, node, "the API server did not answer a binding in time");
                Bound::No
            }
        }
    }

    /// Tells that no node can take a pod: an Event and, where that is new, its `PodScheduled` condition.
    pub(crate) async fn tell_unfit(&self, pending: &Pending, unfit: &Unfit) {
        self.tell_failure(pending, UNSCHEDULABLE, &unfit.to_string()).await;
    }

    async fn tell_failure(&self, pending: &Pending, reason: &str, message: &str) {
        self.recorder.warning(events::reference(&*pending.pod, None), FAILED_SCHEDULING, message);
        let Some(condition) = condition(&pending.pod, reason, message) else { return };
        let meta = &pending.pod.metadata;
        let api: Api<core::Pod> = Api::namespaced(self.client.clone(), meta.namespace.as_deref().unwrap_or_default());
        let patch = serde_json::json!({ "conditions": [condition] });
        let name = meta.name.as_deref().unwrap_or_default();
        let request = status::patch(&api, name, &self.scheduler_name, &patch);
        match tokio::time::timeout(REQUEST_DEADLINE, request).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) if refusal::is_not_found(&error) => {}
            Ok(Err(error)) => tracing::warn!(name, %error, "cannot write why a pod has no node"),
            Err(_) => tracing::warn!(name, "the API server did not answer in time why a pod has no node"),
        }
    }
}

/// The condition that says why `pod` has no node; `None` where it says so already.
fn condition(pod: &core::Pod, reason: &str, message: &str) -> Option<core::PodCondition> {
    const POD_SCHEDULED: &str = "PodScheduled";
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let known = conditions.iter().find(|condition| condition.type_ == POD_SCHEDULED);
    let is_same = |known: &core::PodCondition| {
        known.status == "False" && known.reason.as_deref() == Some(reason) && known.message.as_deref() == Some(message)
    };
    if known.is_some_and(is_same) {
        return None;
    }
    let since = known.filter(|known| known.status == "False").and_then(|known| known.last_transition_time.clone());
    Some(core::PodCondition {
        type_: POD_SCHEDULED.to_owned(),
        status: "False".to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        observed_generation: pod.metadata.generation,
        last_transition_time: since.or_else(|| Some(Time(clock::now_seconds()))),
        ..core::PodCondition::default()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_condition_is_written_when_it_says_something_new() {
        let check = |conditions: Value, expected: bool| {
            let pod = json!({"metadata": {}, "status": {"conditions": conditions}});
            let pod: core::Pod = serde_json::from_value(pod).unwrap();
            assert_eq!(condition(&pod, UNSCHEDULABLE, "no room").is_some(), expected, "{conditions}");
        };
        let said = |status: &str, message: &str| json!([{"type": "PodScheduled", "status": status, "reason": UNSCHEDULABLE, "message": message}]);
        check(json!([]), true);
        check(said("False", "no room"), false);
        check(said("False", "no CPU"), true);
        check(said("True", "no room"), true);
    }

    #[test]
    fn a_condition_keeps_the_time_of_its_last_change() {
        let known = json!([{"type": "PodScheduled", "status": "False", "message": "old",
                            "lastTransitionTime": "2026-01-01T00:00:00Z"}]);
        let pod = serde_json::from_value(json!({"metadata": {}, "status": {"conditions": known}})).unwrap();
        let condition = condition(&pod, UNSCHEDULABLE, "new").unwrap();
        assert_eq!(condition.last_transition_time.unwrap().0.to_string(), "2026-01-01T00:00:00Z");
    }
}
