//! What the API server is told of pods: the newest status of each, sooner or later, and the word that a pod may go.
//!
//! Workers hand their statuses in and never wait. Each pod has at most one waiting status (a newer one replaces it),
//! so the box is bounded by the pods; while the API server is away they stay here and are sent when it is back.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::backoff::{Backoff, Law};
use base::queue::Queue;
use base::shutdown::Shutdown;
use k8s_openapi::api::core::v1 as core;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Api, Client};
use serde_json::{Value, json};

/// How many requests are under way at once. The API server commits what arrives together with one fsync, so a few
/// in flight keep it busy; more would only queue there.
const SENDERS: usize = 16;

/// How long one request may take, until it counts as failed and is tried again.
const REQUEST_DEADLINE: Duration = Duration::from_secs(30);

/// How long the daemon's end waits for statuses that have not been sent.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// The wait after a request that failed.
const RETRY: Law = Law::spread(Duration::from_millis(200), Duration::from_secs(10));

/// The box; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Statuses {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    due: Queue<Arc<str>>,
    waiting: Mutex<HashMap<Arc<str>, Waiting>>,
}

/// What is to be said of one pod.
#[derive(Debug)]
struct Waiting {
    namespace: String,
    name: String,
    /// The patch of its status, if it was not sent yet.
    patch: Option<Value>,
    /// Afterwards its object is to be deleted.
    is_ended: bool,
    retry: Backoff,
}

/// What became of one request.
#[derive(Debug)]
enum Outcome {
    Sent,
    /// There is no such pod any more.
    Gone,
    Failed(String),
}

impl Statuses {
    /// An empty box.
    pub(crate) fn new() -> Self {
        Self { shared: Arc::new(Shared { due: Queue::new(), waiting: Mutex::default() }) }
    }

    /// The newest status of a pod.
    pub(crate) fn set(&self, pod: &core::Pod, status: &core::PodStatus) {
        self.change(pod, |waiting| waiting.patch = Some(patch(pod, status)));
    }

    /// Nothing of the pod is left on this node: once its last status is sent, its object is deleted.
    pub(crate) fn end(&self, pod: &core::Pod) {
        self.change(pod, |waiting| waiting.is_ended = true);
    }

    /// Sends until the end is asked for, then what is left, within a short time.
    pub(crate) async fn run(self, client: Client, shutdown: Shutdown) {
        let sender = || async {
            while let Some(uid) = shutdown.or(self.shared.due.next()).await {
                self.send(&client, uid).await;
            }
        };
        futures::future::join_all((0..SENDERS).map(|_| sender())).await;
        let last = async {
            let uids: Vec<Arc<str>> = self.lock().keys().cloned().collect();
            futures::future::join_all(uids.into_iter().map(|uid| self.send(&client, uid))).await;
        };
        if tokio::time::timeout(LAST_WORDS, last).await.is_err() {
            tracing::warn!(pods = self.lock().len(), "the API server did not take the last statuses in time");
        }
    }

    fn change(&self, pod: &core::Pod, change: impl FnOnce(&mut Waiting)) {
        let uid: Arc<str> = Arc::from(pod.metadata.uid.as_deref().unwrap_or_default());
        let mut waiting = self.lock();
        change(waiting.entry(Arc::clone(&uid)).or_insert_with(|| Waiting {
            namespace: pod.metadata.namespace.clone().unwrap_or_default(),
            name: pod.metadata.name.clone().unwrap_or_default(),
            patch: None,
            is_ended: false,
            retry: Backoff::new(RETRY),
        }));
        drop(waiting);
        self.shared.due.add(uid);
    }

    async fn send(&self, client: &Client, uid: Arc<str>) {
        let Some((namespace, name, patch)) = self.take(&uid) else {
            self.shared.due.done(&uid);
            return;
        };
        let api: Api<core::Pod> = Api::namespaced(client.clone(), &namespace);
        let request = async {
            match &patch {
                Some(patch) => send_patch(&api, &name, patch).await,
                None => send_delete(&api, &name, &uid).await,
            }
        };
        let late = || Outcome::Failed(format!("no answer within {} s", REQUEST_DEADLINE.as_secs()));
        let outcome = tokio::time::timeout(REQUEST_DEADLINE, request).await.unwrap_or_else(|_| late());
        self.settle(&uid, patch, outcome);
        self.shared.due.done(&uid);
    }

    /// What to send next for a pod: its status, or its end when that was said.
    fn take(&self, uid: &Arc<str>) -> Option<(String, String, Option<Value>)> {
        let mut waiting = self.lock();
        let entry = waiting.get_mut(uid)?;
        Some((entry.namespace.clone(), entry.name.clone(), entry.patch.take()))
    }

    fn settle(&self, uid: &Arc<str>, sent: Option<Value>, outcome: Outcome) {
        let mut waiting = self.lock();
        let Some(entry) = waiting.get_mut(uid) else { return };
        match outcome {
            Outcome::Gone => {
                waiting.remove(uid);
            }
            Outcome::Sent => {
                let was_end = sent.is_none();
                entry.retry.reset();
                if was_end || (entry.patch.is_none() && !entry.is_ended) {
                    waiting.remove(uid);
                } else {
                    self.shared.due.add(Arc::clone(uid));
                }
            }
            Outcome::Failed(error) => {
                let wait = entry.retry.next_wait();
                let Waiting { namespace, name, .. } = entry;
                tracing::warn!(%namespace, %name, %error, "cannot tell the API server of a pod; trying again");
                entry.patch = entry.patch.take().or(sent);
                self.shared.due.add_after(Arc::clone(uid), wait);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Waiting>> {
        self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn send_patch(api: &Api<core::Pod>, name: &str, patch: &Value) -> Outcome {
    let params = PatchParams { field_manager: Some("kubelet".to_owned()), ..PatchParams::default() };
    outcome(api.patch_status(name, &params, &Patch::Strategic(patch)).await.map(drop))
}

async fn send_delete(api: &Api<core::Pod>, name: &str, uid: &str) -> Outcome {
    let same = Preconditions { uid: Some(uid.to_owned()), resource_version: None };
    let params = DeleteParams::default().grace_period(0).preconditions(same);
    outcome(api.delete(name, &params).await.map(drop))
}

fn outcome(result: kube::Result<()>) -> Outcome {
    match result {
        Ok(()) => Outcome::Sent,
        // Conflict is the answer to the uid of an object that has made room for another of its name.
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Outcome::Gone,
        Err(error) => Outcome::Failed(error.to_string()),
    }
}

/// The strategic merge patch that makes the object's status this one. Conditions of other owners stay; what is no
/// longer said is taken back; the uid holds it to this very pod.
fn patch(pod: &core::Pod, status: &core::PodStatus) -> Value {
    let mut status = serde_json::to_value(status).unwrap_or_default();
    if let Some(fields) = status.as_object_mut() {
        for absent in ["reason", "message", "podIP", "podIPs", "initContainerStatuses"] {
            fields.entry(absent).or_insert(Value::Null);
        }
        for addresses in ["podIPs", "hostIPs"] {
            if let Some(Value::Array(list)) = fields.get_mut(addresses) {
                list.insert(0, json!({"$patch": "replace"}));
            }
        }
    }
    json!({"metadata": {"uid": pod.metadata.uid}, "status": status})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod() -> core::Pod {
        serde_json::from_value(json!({"metadata": {"name": "web", "namespace": "ns", "uid": "u"}})).unwrap()
    }

    fn phase(phase: &str) -> core::PodStatus {
        core::PodStatus { phase: Some(phase.to_owned()), ..core::PodStatus::default() }
    }

    #[test]
    fn only_the_newest_status_waits_and_the_end_comes_after_it() {
        let statuses = Statuses::new();
        let uid: Arc<str> = Arc::from("u");
        statuses.set(&pod(), &phase("Running"));
        statuses.set(&pod(), &phase("Succeeded"));
        statuses.end(&pod());

        let (_, _, sent) = statuses.take(&uid).unwrap();
        assert_eq!(sent.as_ref().unwrap()["status"]["phase"], "Succeeded");
        statuses.settle(&uid, sent, Outcome::Sent);
        let (_, _, end) = statuses.take(&uid).unwrap();
        assert_eq!(end, None);
        statuses.settle(&uid, end, Outcome::Sent);
        assert!(statuses.lock().is_empty());
    }

    #[test]
    fn what_failed_is_kept_unless_something_newer_came() {
        let statuses = Statuses::new();
        let uid: Arc<str> = Arc::from("u");
        statuses.set(&pod(), &phase("Pending"));
        let (_, _, sent) = statuses.take(&uid).unwrap();
        statuses.settle(&uid, sent, Outcome::Failed("away".to_owned()));
        assert_eq!(statuses.take(&uid).unwrap().2.unwrap()["status"]["phase"], "Pending");

        statuses.set(&pod(), &phase("Running"));
        statuses.settle(&uid, Some(json!({"status": {"phase": "Pending"}})), Outcome::Failed("away".to_owned()));
        assert_eq!(statuses.take(&uid).unwrap().2.unwrap()["status"]["phase"], "Running");
        statuses.settle(&uid, None, Outcome::Gone);
        assert!(statuses.lock().is_empty());
    }

    #[test]
    fn a_patch_takes_back_what_is_no_longer_said() {
        let status =
            core::PodStatus { pod_ips: Some(vec![core::PodIP { ip: "100.64.0.1".to_owned() }]), ..phase("Running") };
        let patch = patch(&pod(), &status);
        assert_eq!(patch["metadata"], json!({"uid": "u"}));
        assert_eq!(patch["status"]["reason"], Value::Null);
        assert_eq!(patch["status"]["podIPs"], json!([{"$patch": "replace"}, {"ip": "100.64.0.1"}]));
    }
}
