//! Deletes what no owner wants any more: background, foreground and orphan deletion, by `metadata.ownerReferences`.
//!
//! The metadata of all objects of all kinds that can be deleted is watched; the [`graph`] keeps who owns whom and says
//! whom a change concerns; for each of those the facts are fetched anew from the API server, for the graph may lag, and
//! [`plan`] decides. Follows upstream's `pkg/controller/garbagecollector`, whose rules and finalizers these are.
//!
//! Reading order: [`graph`], [`plan`], [`collector`] (facts, and carrying out), and here what is watched.

mod collector;
mod graph;
mod plan;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::queue::Queue;
use base::shutdown::Shutdown;
use client::Informer;
use client::events::{self, Source};
use client::informer::{Change, Subscription};
use futures::future;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Client;
use kube::discovery::verbs;
use kube::runtime::watcher::Config;
use tokio::sync::watch;

use crate::garbage::collector::Collector;
use crate::garbage::graph::{Graph, Node, Uid};
use crate::reconcile;
use crate::resources::{Kind, Metadata};

/// How many objects are looked at beside one another, as upstream's `--concurrent-gc-syncs`.
const WORKERS: usize = 20;

/// How often the server is asked what kinds there are, as upstream.
const DISCOVER_AGAIN: Duration = Duration::from_secs(30);

/// How long a kind may take until all its objects were seen, before it is gone on without it (upstream's
/// `initialSyncTimeout`). A kind that cannot be listed must not hold up the others for ever.
const SYNC_DEADLINE: Duration = Duration::from_secs(60);

/// The wait after the server did not tell what kinds there are, for the first time it is asked.
const DISCOVER_RETRY: Duration = Duration::from_secs(1);

/// Events come and go by themselves, and there are many (upstream ignores them, too).
const IGNORED: &str = "events";

/// The controller.
pub(crate) struct Garbage {
    client: Client,
    shared: Shared,
}

/// What watches and workers share.
#[derive(Clone)]
struct Shared {
    graph: Arc<Mutex<Graph>>,
    queue: Queue<Uid>,
}

/// A kind that is watched.
struct Watch {
    kind: Arc<Kind>,
    informer: Informer<Metadata>,
    _changes: Subscription,
}

impl Garbage {
    pub(crate) fn new(client: &Client) -> Self {
        Self { client: client.clone(), shared: Shared { graph: Arc::default(), queue: Queue::new() } }
    }

    pub(crate) async fn run(self, shutdown: Shutdown) {
        let (recorder, writer) =
            events::channel(Source { component: "garbage-collector-controller".to_owned(), host: String::new() });
        let (kinds, known) = watch::channel(None);
        let collector = Collector::new(self.client.clone(), recorder, self.shared.clone(), known);
        let work = async {
            // Before everything was seen once, what has an owner looks as if it had none.
            if shutdown.or(collector.ready()).await.is_some() {
                reconcile::run(&self.shared.queue, WORKERS, &shutdown, |uid| collector.sync(uid)).await;
            }
        };
        tokio::join!(writer.run(self.client.clone(), shutdown.clone()), shutdown.or(self.watch_all(&kinds)), work);
    }

    /// Watches all kinds that there are, for as long as they are. `kinds` is told of them once they were seen whole.
    async fn watch_all(&self, kinds: &watch::Sender<Option<Vec<Arc<Kind>>>>) {
        let mut watches: HashMap<(String, String), Watch> = HashMap::new();
        loop {
            match Kind::discover(&self.client).await {
                Ok(found) => self.follow(&mut watches, found),
                Err(error) => {
                    tracing::warn!(%error, "cannot ask what kinds there are; going on with those known");
                    tokio::time::sleep(if watches.is_empty() { DISCOVER_RETRY } else { DISCOVER_AGAIN }).await;
                    continue;
                }
            }
            let synced = future::join_all(watches.values().map(|watch| watch.informer.synced()));
            if tokio::time::timeout(SYNC_DEADLINE, synced).await.is_err() {
                let unseen: Vec<String> = watches
                    .values()
                    .filter(|watch| !watch.informer.is_synced())
                    .map(|watch| watch.kind.name())
                    .collect();
                tracing::warn!(kinds = unseen.join(", "), "some kinds cannot be listed; going on without them");
            }
            kinds.send_replace(Some(watches.values().map(|watch| Arc::clone(&watch.kind)).collect()));
            tokio::time::sleep(DISCOVER_AGAIN).await;
        }
    }

    /// Starts the watches of kinds that are new, and ends those of kinds that are no more.
    fn follow(&self, watches: &mut HashMap<(String, String), Watch>, found: Vec<Kind>) {
        let mut kept = HashMap::new();
        for kind in found {
            if !kind.can(verbs::LIST) || !kind.can(verbs::WATCH) || kind.resource.plural == IGNORED {
                continue;
            }
            let name = (kind.resource.group.clone(), kind.resource.plural.clone());
            let known = watches.remove(&name).filter(|watch| watch.kind.resource == kind.resource);
            let watch = known.unwrap_or_else(|| self.start(Arc::new(kind)));
            kept.insert(name, watch);
        }
        for gone in watches.drain() {
            self.shared.add_all(self.shared.graph().remove_kind(&gone.1.kind));
        }
        *watches = kept;
    }

    fn start(&self, kind: Arc<Kind>) -> Watch {
        let informer = Informer::start_pruned(kind.metadata(&self.client, ""), Config::default(), prune);
        let changes = informer.subscribe({
            let (shared, kind) = (self.shared.clone(), Arc::clone(&kind));
            move |change| shared.changed(&kind, change)
        });
        Watch { kind, informer, _changes: changes }
    }
}

/// Drops what the graph does not read: it has all kinds of objects, so this is what a cluster's size costs.
fn prune(object: &mut Metadata) {
    let metadata = std::mem::take(&mut object.metadata);
    object.types = None;
    object.metadata = ObjectMeta {
        name: metadata.name,
        namespace: metadata.namespace,
        uid: metadata.uid,
        resource_version: metadata.resource_version,
        deletion_timestamp: metadata.deletion_timestamp,
        finalizers: metadata.finalizers,
        owner_references: metadata.owner_references,
        ..ObjectMeta::default()
    };
}

impl Shared {
    fn changed(&self, kind: &Arc<Kind>, change: &Change<Metadata>) {
        let mut concerned = Vec::new();
        let mut graph = self.graph();
        let uid = |object: &Option<Arc<Metadata>>| object.as_ref().and_then(|object| Uid::of(&object.metadata));
        let (old, new) = (uid(&change.old), uid(&change.new));
        if let Some(old) = old.filter(|old| new.as_ref() != Some(old)) {
            concerned.extend(graph.remove(&old));
        }
        if let Some(object) = &change.new
            && let Some(node) = Node::of(Arc::clone(kind), change.key.clone(), &object.metadata)
        {
            concerned.extend(graph.apply(node));
        }
        drop(graph);
        self.add_all(concerned);
    }

    fn add_all(&self, uids: Vec<Uid>) {
        for uid in uids {
            self.queue.add(uid);
        }
    }

    fn graph(&self) -> MutexGuard<'_, Graph> {
        self.graph.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use base::shutdown::{self, Trigger};
    use base::task;
    use client::testing::FakeServer;
    use serde_json::{Value, json};

    use super::*;

    const MAPS: &str = "/api/v1/namespaces/a/configmaps";

    fn start(server: &FakeServer) -> Trigger {
        let (trigger, shutdown) = shutdown::channel();
        let controller = Garbage::new(&server.client());
        task::spawn("garbage collector", controller.run(shutdown)).detach();
        trigger
    }

    fn path(name: &str) -> String {
        format!("{MAPS}/{name}")
    }

    /// What is owned by the ConfigMaps `owners`.
    fn owned(owners: &[&str]) -> Value {
        let reference = |owner: &&str| {
            json!({"apiVersion": "v1", "kind": "ConfigMap", "name": owner, "uid": format!("uid-of-{owner}"),
                   "blockOwnerDeletion": true})
        };
        json!({"metadata": {"ownerReferences": owners.iter().map(reference).collect::<Vec<_>>()}})
    }

    async fn delete(server: &FakeServer, name: &str, policy: &str) {
        let api: kube::Api<k8s_openapi::api::core::v1::ConfigMap> = kube::Api::namespaced(server.client(), "a");
        let params = match policy {
            "Foreground" => kube::api::DeleteParams::foreground(),
            "Orphan" => kube::api::DeleteParams::orphan(),
            _ => kube::api::DeleteParams::background(),
        };
        api.delete(name, &params).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_lost_its_owner_is_deleted_and_so_is_what_that_owned() {
        let server = FakeServer::default();
        server.put(&path("owner"), json!({}));
        server.put(&path("child"), owned(&["owner"]));
        server.put(&path("grandchild"), owned(&["child"]));
        server.put(&path("free"), json!({}));
        let _running = start(&server);
        delete(&server, "owner", "Background").await;
        server.gone(&path("grandchild")).await;
        assert_eq!(server.object(&path("child")), None);
        assert!(server.object(&path("free")).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn an_owner_that_goes_last_waits_for_its_children() {
        let server = FakeServer::default();
        server.put(&path("owner"), json!({}));
        let mut held = owned(&["owner"]);
        held["metadata"]["finalizers"] = json!(["example.com/hold"]);
        server.put(&path("child"), held);
        let _running = start(&server);
        delete(&server, "owner", "Foreground").await;
        let is_deleted =
            |child: Option<&Value>| child.is_some_and(|child| child["metadata"]["deletionTimestamp"].is_string());
        let mut child = server.wait(&path("child"), is_deleted).await.unwrap();
        assert!(server.object(&path("owner")).is_some(), "the owner went before its child");

        child["metadata"]["finalizers"] = json!([]);
        server.put(&path("child"), child);
        server.remove(&path("child"));
        server.gone(&path("owner")).await;
    }

    #[tokio::test(start_paused = true)]
    async fn orphans_stay_and_name_no_owner() {
        let server = FakeServer::default();
        server.put(&path("owner"), json!({}));
        server.put(&path("child"), owned(&["owner"]));
        let running = start(&server);
        // The collector lets go of those children that it has seen.
        server.wait(&path("owner"), |owner| owner.is_some()).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        delete(&server, "owner", "Orphan").await;
        server.gone(&path("owner")).await;
        let child = server.object(&path("child")).unwrap();
        assert!(child["metadata"]["ownerReferences"].is_null(), "{child}");
        drop(running);
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_another_owner_stays_and_forgets_the_one_that_went() {
        let server = FakeServer::default();
        server.put(&path("owner"), json!({}));
        server.put(&path("other"), json!({}));
        server.put(&path("child"), owned(&["owner", "other"]));
        let _running = start(&server);
        delete(&server, "owner", "Background").await;
        let names_one = |child: Option<&Value>| {
            child.is_some_and(|child| {
                child["metadata"]["ownerReferences"].as_array().is_some_and(|list| list.len() == 1)
            })
        };
        let child = server.wait(&path("child"), names_one).await.unwrap();
        assert_eq!(child["metadata"]["ownerReferences"][0]["name"], "other");
    }

    #[tokio::test(start_paused = true)]
    async fn an_owner_in_another_namespace_is_none() {
        let server = FakeServer::default();
        server.put("/api/v1/namespaces/b/configmaps/owner", json!({}));
        server.put(&path("child"), owned(&["owner"]));
        let _running = start(&server);
        server.gone(&path("child")).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_kind_that_cannot_be_listed_does_not_hold_up_the_others() {
        let server = FakeServer::default();
        server.refuse("GET /api/v1/nodes", 500, usize::MAX);
        server.put(&path("child"), owned(&["gone"]));
        let _running = start(&server);
        tokio::time::sleep(SYNC_DEADLINE).await;
        server.gone(&path("child")).await;
    }

    #[tokio::test(start_paused = true)]
    async fn an_owner_that_comes_and_goes_unseen_is_found_gone_later() {
        let server = FakeServer::default();
        // Nodes cannot be watched, but be asked for one by one.
        server.refuse("GET /api/v1/nodes", 500, usize::MAX);
        server.put("/api/v1/nodes/owner", json!({}));
        let reference = json!({"apiVersion": "v1", "kind": "Node", "name": "owner", "uid": "uid-of-owner"});
        server.put(&path("child"), json!({"metadata": {"ownerReferences": [reference]}}));
        let _running = start(&server);
        tokio::time::sleep(SYNC_DEADLINE * 2).await;
        assert!(server.object(&path("child")).is_some(), "deleted although its owner is there");
        server.remove("/api/v1/nodes/owner");
        server.gone(&path("child")).await;
    }

    #[tokio::test(start_paused = true)]
    async fn writes_that_others_got_in_before_are_tried_again() {
        let server = FakeServer::default();
        server.put(&path("owner"), json!({}));
        server.put(&path("child"), owned(&["owner"]));
        for request in ["PATCH owner", "DELETE child"] {
            let (method, name) = request.split_once(' ').unwrap();
            server.refuse(&format!("{method} {}", path(name)), 409, 2);
        }
        let _running = start(&server);
        tokio::time::sleep(Duration::from_secs(1)).await;
        delete(&server, "owner", "Foreground").await;
        server.gone(&path("owner")).await;
        assert_eq!(server.object(&path("child")), None);
    }
}
