//! Finds a node for each pod that has none: a queue, a snapshot, a decision, a binding.
//!
//! This floor must never decide within a task: `schedule` and the `plugins` are pure functions of a pod and a
//! snapshot, without clock or chance. It meets pods and nodes as objects alone, so that upstream's scheduler can stand
//! in its place.
//!
//! ```text
//!   informers ──▶ state (cache of nodes, queue of pods) ──▶ schedule(pod, snapshot) ──▶ assume ──▶ bind, apart
//!                        ▲                                        │ no node                           │ failed
//!                        └────────────────────────────────────────┴───────────────────────────────────┘
//! ```
//!
//! Reading order: `pod`, `node` and `resources` (what is known of each), `plugins` and `schedule` (the
//! decision), `queue` and `cache` (the values behind the lock), `state` (how changes enter them), `bind` (how
//! the answer reaches the API server), and below how they run.
//!
//! # Why
//!
//! Decisions are taken one after the other, each in some microseconds, and count what is assumed: so they never
//! contradict one another. Only the bindings, which cost a durable write each, run beside one another.

mod bind;
mod cache;
mod node;
mod plugins;
mod pod;
mod queue;
mod resources;
mod schedule;
mod state;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base::shutdown::Shutdown;
use base::task;
use client::events::{self, Recorder, Source};
use client::{Informer, Informers};
use k8s_openapi::api::core::v1 as core;
use kube::Client;
use tokio::sync::Semaphore;

use crate::bind::{Binder, Bound};
use crate::queue::Failure;
use crate::schedule::schedule;
use crate::state::{Knowledge, Turn};

/// The user that the scheduler is, as upstream's.
pub const USER: &str = "system:kube-scheduler";

/// The name that pods are given that do not choose their scheduler.
pub const DEFAULT_NAME: &str = "default-scheduler";

/// The most requests under way at once. A binding waits for an fsync that others share, so more of them cost the
/// server less each; at the limit no further pod is decided until one has ended.
const REQUESTS_MAX: usize = 256;

/// How long requests may take that are under way when the end is asked for.
const DRAIN_DEADLINE: Duration = Duration::from_secs(5);

/// A scheduler, before it runs.
pub struct Scheduler {
    client: Client,
    nodes: Informer<core::Node>,
    pods: Informer<core::Pod>,
    knowledge: Knowledge,
    name: String,
}

impl Scheduler {
    /// A scheduler of the pods that name `name` (see [`DEFAULT_NAME`]). It begins to read at once, so that those who
    /// share `informers`, and read less of pods and nodes than it does, find what it keeps of them.
    #[must_use]
    pub fn new(informers: &Informers, name: &str) -> Self {
        let (nodes, pods) = (informers.of(), informers.of_pruned(pod::prune));
        Self { client: informers.client().clone(), nodes, pods, knowledge: Knowledge::new(name), name: name.to_owned() }
    }

    /// How many pods wait for a node.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.knowledge.waiting()
    }

    /// Places pods until the end is asked for. May be run again after it has ended.
    pub async fn run(&self, shutdown: Shutdown) {
        let source = Source { component: self.name.clone(), host: String::new() };
        let (recorder, writer) = events::channel(source);
        tokio::join!(writer.run(self.client.clone(), shutdown.clone()), self.place(recorder, shutdown));
    }

    async fn place(&self, recorder: Recorder, shutdown: Shutdown) {
        let Self { nodes, pods, .. } = self;
        self.knowledge.clear();
        let knowledge = self.knowledge.clone();
        let _nodes = nodes.subscribe(move |change| knowledge.node_changed(change));
        let knowledge = self.knowledge.clone();
        let _pods = pods.subscribe(move |change| knowledge.pod_changed(change));
        // A decision on half the nodes would tell people what is not so.
        let synced = async { tokio::join!(nodes.synced(), pods.synced()) };
        if shutdown.or(synced).await.is_none() {
            return;
        }

        let binder = Binder::new(self.client.clone(), recorder, &self.name);
        let requests = Arc::new(Semaphore::new(REQUESTS_MAX));
        let mut start = 0_usize;
        loop {
            let next = async {
                // The room for the request first: a pod that was taken out is tried at once.
                let permit = Arc::clone(&requests).acquire_owned().await.ok()?;
                Some((permit, self.knowledge.next().await))
            };
            let Some(Some((permit, turn))) = shutdown.or(next).await else { break };
            let (knowledge, binder) = (self.knowledge.clone(), binder.clone());
            if let Some(request) = answer(turn, &mut start, knowledge, binder) {
                let request = async move {
                    request.await;
                    drop(permit);
                };
                task::spawn("binding", request).detach();
            }
        }
        let drained = requests.acquire_many(u32::try_from(REQUESTS_MAX).unwrap_or(u32::MAX));
        if tokio::time::timeout(DRAIN_DEADLINE, drained).await.is_err() {
            tracing::warn!("bindings were under way at the end; the next start finds how they ended");
        }
    }
}

impl fmt::Debug for Scheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scheduler").field("name", &self.name).field("pods", &self.pods).finish_non_exhaustive()
    }
}

/// Decides about one pod. What remains to be told to the API server is the answer.
fn answer(
    turn: Turn,
    start: &mut usize,
    knowledge: Knowledge,
    binder: Binder,
) -> Option<impl Future<Output = ()> + Send + 'static> {
    let Turn { key, pending, snapshot } = turn;
    let decision = schedule(&pending, &snapshot, *start);
    // Without a snapshot in hand the cache changes in place.
    drop(snapshot);
    if let Ok(placement) = &decision {
        *start = start.wrapping_add(placement.examined);
        if !knowledge.assume(&key, &pending, placement) {
            return None;
        }
    }
    Some(async move {
        match decision {
            Ok(placement) => match binder.bind(&pending, &placement.node).await {
                Bound::Yes => knowledge.bound(&key),
                Bound::No => knowledge.failed(&key, &pending, Failure::Error),
            },
            Err(unfit) => {
                binder.tell_unfit(&pending, &unfit).await;
                knowledge.failed(&key, &pending, Failure::Unfit(unfit.rejecters));
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use base::shutdown;
    use client::testing::FakeServer;
    use serde_json::{Value, json};

    use super::*;

    fn node(cpu: &str) -> Value {
        json!({"status": {"allocatable": {"cpu": cpu, "memory": "4G", "pods": "10"}}})
    }

    fn pod(cpu: &str) -> Value {
        let containers = json!([{"name": "c", "resources": {"requests": {"cpu": cpu}}}]);
        json!({"spec": {"containers": containers, "schedulerName": DEFAULT_NAME}, "status": {"phase": "Pending"}})
    }

    fn path(name: &str) -> String {
        format!("/api/v1/namespaces/default/pods/{name}")
    }

    /// Runs a scheduler on `server` until what is returned is dropped.
    fn start(server: &FakeServer) -> shutdown::Trigger {
        let (trigger, shutdown) = shutdown::channel();
        let scheduler = Scheduler::new(&Informers::new(server.client()), DEFAULT_NAME);
        task::spawn("scheduler", async move { scheduler.run(shutdown).await }).detach();
        trigger
    }

    async fn is_on(server: &FakeServer, name: &str, node: &str) {
        server.wait(&path(name), |pod| pod.is_some_and(|pod| pod["spec"]["nodeName"] == node)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_pod_is_bound_to_the_node_that_has_room() {
        let server = FakeServer::default();
        server.put("/api/v1/nodes/small", node("1"));
        server.put("/api/v1/nodes/large", node("4"));
        server.put(&path("web"), pod("2"));
        let _running = start(&server);
        is_on(&server, "web", "large").await;
        server.wait("/api/v1/events/none", |_| !server.events().is_empty()).await;
        assert_eq!(server.events(), ["Scheduled Successfully assigned default/web to large"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pod_without_a_node_says_why_and_gets_the_next_one_that_comes() {
        let server = FakeServer::default();
        server.put("/api/v1/nodes/small", node("1"));
        server.put(&path("web"), pod("2"));
        let _running = start(&server);
        let is_told = |pod: Option<&Value>| pod.is_some_and(|pod| pod["status"]["conditions"][0]["status"] == "False");
        let told = server.wait(&path("web"), is_told).await.unwrap();
        let condition = &told["status"]["conditions"][0];
        assert_eq!(condition["reason"], "Unschedulable");
        assert_eq!(condition["message"], "0/1 nodes are available: 1 Insufficient cpu.");

        server.put("/api/v1/nodes/large", node("4"));
        is_on(&server, "web", "large").await;
    }

    #[tokio::test(start_paused = true)]
    async fn pods_do_not_get_more_than_there_is_and_the_next_one_gets_what_is_left_behind() {
        let server = FakeServer::default();
        server.put("/api/v1/nodes/only", node("4"));
        for name in ["a", "b", "c"] {
            server.put(&path(name), pod("2"));
        }
        let _running = start(&server);
        is_on(&server, "a", "only").await;
        is_on(&server, "b", "only").await;
        server.wait(&path("c"), |pod| pod.is_some_and(|pod| !pod["status"]["conditions"].is_null())).await;
        server.remove(&path("a"));
        is_on(&server, "c", "only").await;
    }
}
