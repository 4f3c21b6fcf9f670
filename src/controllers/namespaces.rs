//! Empties a namespace that is being deleted, and lets it go once it is empty.
//!
//! Pods go first, and the rest only when no pod is left, as upstream since 1.33: a policy or a Secret must not vanish
//! while what it is for still runs. The contents are found by discovery, so that kinds which nobody here knows are
//! emptied, too. Follows upstream's `pkg/controller/namespace/deletion`.

mod conditions;

use std::time::Duration;

use base::clock;
use base::queue::Queue;
use base::shutdown::Shutdown;
use client::{Informer, Informers, Key, refusal, status};
use k8s_openapi::api::core::v1 as core;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::discovery::verbs;
use kube::{Api, Client, ResourceExt as _};

use crate::namespaces::conditions::Findings;
use crate::reconcile::{self, Next, Outcome};
use crate::resources::Kind;

/// The name that stands in `spec.finalizers` of a namespace until this controller has emptied it.
const FINALIZER: &str = "kubernetes";

/// How many namespaces are emptied at once, as upstream.
const WORKERS: usize = 10;

/// How soon a namespace is looked at again that has something left: finalizers and terminating pods need a while.
/// A pod that goes is heard of at once.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// How many objects of a kind are looked at for their finalizers; of the others only the number is told.
const LOOK_MAX: u32 = 500;

/// The controller.
pub(crate) struct Namespaces {
    client: Client,
    namespaces: Informer<core::Namespace>,
    pods: Informer<core::Pod>,
}

impl Namespaces {
    pub(crate) fn new(informers: &Informers) -> Self {
        Self { client: informers.client().clone(), namespaces: informers.of(), pods: informers.of() }
    }

    pub(crate) async fn run(self, shutdown: Shutdown) {
        let queue = Queue::new();
        let _changes = self.namespaces.subscribe({
            let queue = queue.clone();
            move |change| {
                if change.new.as_deref().is_some_and(is_ours_to_empty) {
                    queue.add(change.key.clone());
                }
            }
        });
        let _pods = self.pods.subscribe({
            let (queue, namespaces) = (queue.clone(), self.namespaces.clone());
            move |change| {
                let key = Key::of_cluster(&change.key.namespace);
                let is_gone = change.new.is_none();
                if is_gone && namespaces.get(&key).is_some_and(|namespace| is_ours_to_empty(&namespace)) {
                    queue.add(key);
                }
            }
        });
        reconcile::run(&queue, WORKERS, &shutdown, |key| self.sync(key)).await;
    }

    async fn sync(&self, key: Key) -> Outcome {
        let Some(namespace) = self.namespaces.get(&key).filter(|namespace| is_ours_to_empty(namespace)) else {
            return Ok(Next::Changed);
        };
        let findings = self.empty(&key.name).await;
        self.tell(&namespace, &findings).await?;
        if findings.is_empty() {
            self.finalize(&namespace).await?;
            return Ok(Next::Changed);
        }
        Ok(Next::After(LOOK_AGAIN))
    }

    /// Deletes what is in a namespace, and says what is left.
    async fn empty(&self, namespace: &str) -> Findings {
        let mut findings = Findings::default();
        let mut kinds = match Kind::discover(&self.client).await {
            Ok(kinds) => kinds,
            Err(error) => {
                findings.discovery_failed = Some(error.to_string());
                return findings;
            }
        };
        kinds.retain(|kind| kind.is_namespaced && kind.can(verbs::LIST));
        let (pods, others): (Vec<Kind>, Vec<Kind>) = kinds.into_iter().partition(|kind| kind.is_meant_by("v1", "Pod"));
        for kinds in [pods, others] {
            for kind in kinds {
                if let Err(error) = self.empty_of(&kind, namespace, &mut findings).await {
                    findings.failures.push(error.to_string());
                }
            }
            if !findings.is_empty() {
                break;
            }
        }
        findings
    }

    async fn empty_of(&self, kind: &Kind, namespace: &str, findings: &mut Findings) -> kube::Result<()> {
        let api = kind.metadata(&self.client, namespace);
        let page = ListParams::default().limit(LOOK_MAX);
        // The API server takes nothing new into a namespace that is being deleted, so what is empty stays so.
        let before = api.list(&page).await?;
        if before.items.is_empty() {
            return Ok(());
        }
        let objects = kind.objects(&self.client, &Key::new(namespace, ""));
        if kind.can(verbs::DELETE_COLLECTION) {
            objects.delete_collection(&DeleteParams::background(), &ListParams::default()).await?;
        } else {
            for object in before.items.iter().filter(|object| object.metadata.deletion_timestamp.is_none()) {
                refusal::found(objects.delete(&object.name_any(), &DeleteParams::background()).await)?;
            }
        }
        let left = api.list(&page).await?;
        let further = usize::try_from(left.metadata.remaining_item_count.unwrap_or(0)).unwrap_or(0);
        findings.remain(&kind.name(), left.items.len() + further);
        for object in &left.items {
            for finalizer in object.finalizers() {
                findings.wait_for(finalizer);
            }
        }
        Ok(())
    }

    /// Writes what was found into the conditions, where that is news.
    async fn tell(&self, namespace: &core::Namespace, findings: &Findings) -> kube::Result<()> {
        let known = namespace.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
        let Some(conditions) = conditions::plan(known, findings, clock::now_seconds()) else { return Ok(()) };
        let api: Api<core::Namespace> = Api::all(self.client.clone());
        let patch = serde_json::json!({ "conditions": conditions });
        refusal::found(status::patch(&api, &namespace.name_any(), "namespace-controller", &patch).await)?;
        Ok(())
    }

    /// Takes our name out of `spec.finalizers`; when none is left there, the API server lets the namespace go.
    async fn finalize(&self, namespace: &core::Namespace) -> kube::Result<()> {
        let api: Api<core::Namespace> = Api::all(self.client.clone());
        let name = namespace.name_any();
        refusal::retry_on_conflict(|| async {
            let Some(mut current) = api.get_opt(&name).await? else { return Ok(()) };
            if current.metadata.uid != namespace.metadata.uid || !is_ours_to_empty(&current) {
                return Ok(());
            }
            if let Some(finalizers) = current.spec.as_mut().and_then(|spec| spec.finalizers.as_mut()) {
                finalizers.retain(|finalizer| finalizer != FINALIZER);
            }
            let answer = api.replace_subresource("finalize", &name, &PostParams::default(), &current).await;
            refusal::found(answer).map(drop)
        })
        .await
    }
}

/// Whether a namespace is being deleted and waits for us.
fn is_ours_to_empty(namespace: &core::Namespace) -> bool {
    let finalizers = namespace.spec.as_ref().and_then(|spec| spec.finalizers.as_deref()).unwrap_or_default();
    namespace.metadata.deletion_timestamp.is_some() && finalizers.iter().any(|finalizer| finalizer == FINALIZER)
}

#[cfg(test)]
mod tests {
    use base::shutdown::{self, Trigger};
    use base::task;
    use client::testing::FakeServer;
    use serde_json::json;

    use super::*;

    const DELETED: &str = "2026-01-01T00:00:00Z";

    fn start(server: &FakeServer) -> Trigger {
        let (trigger, shutdown) = shutdown::channel();
        let controller = Namespaces::new(&Informers::new(server.client()));
        task::spawn("namespaces", controller.run(shutdown)).detach();
        trigger
    }

    fn delete(server: &FakeServer) {
        let namespace = json!({"metadata": {"deletionTimestamp": DELETED}, "spec": {"finalizers": [FINALIZER]}});
        server.put("/api/v1/namespaces/old", namespace);
    }

    #[tokio::test(start_paused = true)]
    async fn a_deleted_namespace_is_emptied_and_goes_and_others_stay() {
        let server = FakeServer::default();
        server.put("/api/v1/namespaces/old/configmaps/a", json!({}));
        server.put("/api/v1/namespaces/old/pods/b", json!({}));
        server.put("/api/v1/namespaces/kept/configmaps/a", json!({}));
        delete(&server);
        // Others write to the namespace as well.
        server.refuse("PUT /api/v1/namespaces/old/finalize", 409, 2);
        let _running = start(&server);
        server.gone("/api/v1/namespaces/old").await;
        assert_eq!(server.object("/api/v1/namespaces/old/configmaps/a"), None);
        assert_eq!(server.object("/api/v1/namespaces/old/pods/b"), None);
        assert!(server.object("/api/v1/namespaces/kept/configmaps/a").is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_pod_needs_stays_until_the_pod_is_gone() {
        let server = FakeServer::default();
        server.put("/api/v1/namespaces/old/configmaps/a", json!({}));
        server.put("/api/v1/namespaces/old/pods/b", json!({"spec": {"nodeName": "n"}}));
        delete(&server);
        let _running = start(&server);
        let told = server
            .wait("/api/v1/namespaces/old", |namespace| {
                namespace.is_some_and(|namespace| !namespace["status"]["conditions"].is_null())
            })
            .await
            .unwrap();
        let conditions = told["status"]["conditions"].as_array().unwrap();
        let remaining = conditions.iter().find(|condition| condition["type"] == "NamespaceContentRemaining").unwrap();
        assert_eq!(remaining["message"], "Some resources are remaining: pods. has 1 resource instances");
        assert!(server.object("/api/v1/namespaces/old/configmaps/a").is_some());

        server.remove("/api/v1/namespaces/old/pods/b");
        server.gone("/api/v1/namespaces/old").await;
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_deleted_is_told_and_tried_again() {
        let server = FakeServer::default();
        server.put("/api/v1/namespaces/old/configmaps/a", json!({}));
        delete(&server);
        server.refuse("DELETE /api/v1/namespaces/old/configmaps", 500, 2);
        let _running = start(&server);
        let has_failed = |namespace: Option<&serde_json::Value>| {
            let conditions = namespace.unwrap()["status"]["conditions"].as_array().cloned().unwrap_or_default();
            conditions.iter().any(|one| one["type"] == "NamespaceDeletionContentFailure" && one["status"] == "True")
        };
        server.wait("/api/v1/namespaces/old", has_failed).await;
        server.gone("/api/v1/namespaces/old").await;
    }
}
