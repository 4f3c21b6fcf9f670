//! One pod of a cluster.

use k8s_openapi::api::core::v1 as core;
use kube::Api;
use kube::api::LogParams;
use serde_json::Value;

use super::Cluster;

/// A pod, by its name in the namespace `default`.
pub(crate) struct Pod<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) name: &'a str,
}

impl Pod<'_> {
    /// Waits until kubectl would show this status: a phase, or a reason such as `CrashLoopBackOff`.
    pub(crate) async fn is(&self, status: &str) -> Value {
        self.until(|pod| shown(pod) == status).await
    }

    /// Waits until the pod is as `is` wants it.
    pub(crate) async fn until(&self, is: impl Fn(&Value) -> bool) -> Value {
        self.cluster.until("Pod", self.name, is).await
    }

    /// Waits until the pod is gone.
    pub(crate) async fn is_gone(&self) {
        self.until(Value::is_null).await;
    }

    /// The log of its only container.
    pub(crate) async fn log(&self) -> String {
        self.log_of(&LogParams::default()).await
    }

    /// A log.
    pub(crate) async fn log_of(&self, params: &LogParams) -> String {
        let pods: Api<core::Pod> = Api::namespaced(self.cluster.client.clone(), "default");
        pods.logs(self.name, params).await.unwrap_or_else(|error| panic!("no log of {}: {error}", self.name))
    }
}

/// The column STATUS in short: a reason of a container that waits or ended, else the phase.
fn shown(pod: &Value) -> String {
    if pod["metadata"]["deletionTimestamp"].is_string() {
        return "Terminating".to_owned();
    }
    let statuses = ["initContainerStatuses", "containerStatuses"].map(|list| pod["status"][list].as_array());
    let mut reasons = statuses.into_iter().flatten().flatten().filter_map(|status| {
        let state = &status["state"];
        let reason = state["waiting"]["reason"].as_str().or(state["terminated"]["reason"].as_str())?;
        (reason != "Completed" && reason != "PodInitializing" && reason != "ContainerCreating")
            .then(|| reason.to_owned())
    });
    reasons.next().unwrap_or_else(|| pod["status"]["phase"].as_str().unwrap_or_default().to_owned())
}
