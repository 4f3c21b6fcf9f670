//! Pods that run and do nothing, and how they get there.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result};
use base::clock::Instant;
use base::task;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::connection::{Connection, Lines, Server};

/// Where they are.
const PATH: &str = "/api/v1/namespaces/default/pods";

/// Clients that create pods at once: enough that the server always has some to commit together.
const CREATORS: usize = 32;

/// What a watch says of a pod, and when.
#[derive(Debug, Deserialize)]
pub(crate) struct Seen {
    #[serde(rename = "object")]
    pub(crate) pod: Pod,
    #[serde(skip, default = "Instant::now")]
    pub(crate) at: Instant,
}

/// The fields of a pod that are measured by.
#[derive(Debug, Deserialize)]
pub(crate) struct Pod {
    pub(crate) metadata: Metadata,
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Metadata {
    pub(crate) name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    node_name: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Status {
    phase: String,
    container_statuses: Vec<ContainerStatus>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ContainerStatus {
    restart_count: u64,
    state: serde_json::Map<String, Value>,
}

impl Pod {
    pub(crate) fn is_bound(&self) -> bool {
        self.spec.node_name.is_some()
    }

    pub(crate) fn is_running(&self) -> bool {
        self.status.phase == "Running" && self.has_run_again(0)
    }

    /// Whether each container runs for at least the time after this many.
    pub(crate) fn has_run_again(&self, restarts: u64) -> bool {
        let containers = &self.status.container_statuses;
        !containers.is_empty()
            && containers.iter().all(|it| it.restart_count >= restarts && it.state.contains_key("running"))
    }
}

/// A watch of all pods.
pub(crate) struct Watch(Lines);

impl Watch {
    /// Begins after what is there now.
    pub(crate) async fn start(server: &Server) -> Result<Self> {
        let mut connection = Connection::open(server).await?;
        let revision = revision(&mut connection, PATH).await?;
        Ok(Self(connection.watch(PATH, &revision).await?))
    }

    pub(crate) async fn next(&mut self) -> Result<Seen> {
        let line = self.0.next().await?;
        let at = Instant::now();
        let seen: Seen = serde_json::from_slice(&line).with_context(|| String::from_utf8_lossy(&line).into_owned())?;
        Ok(Seen { at, ..seen })
    }

    /// Waits until `count` pods were seen to run, and says when the last was.
    pub(crate) async fn running(&mut self, count: usize) -> Result<Instant> {
        self.until(count, Pod::is_running).await
    }

    /// Waits until `count` pods were seen to be bound to a node, and says when the last was.
    pub(crate) async fn bound(&mut self, count: usize) -> Result<Instant> {
        self.until(count, Pod::is_bound).await
    }

    async fn until(&mut self, count: usize, is: impl Fn(&Pod) -> bool) -> Result<Instant> {
        let mut done = HashSet::new();
        loop {
            let seen = self.next().await.with_context(|| format!("{} of {count} pods got there", done.len()))?;
            if is(&seen.pod) {
                done.insert(seen.pod.metadata.name);
            }
            if done.len() >= count {
                return Ok(seen.at);
            }
        }
    }
}

/// The revision of a collection as it is now.
pub(crate) async fn revision(connection: &mut Connection, path: &str) -> Result<String> {
    let list = connection.get(&format!("{path}?limit=1")).await?;
    let revision = list.pointer("/metadata/resourceVersion").and_then(Value::as_str);
    Ok(revision.with_context(|| format!("{path} has no revision"))?.to_owned())
}

/// Creates one pod that sleeps.
pub(crate) async fn create(connection: &mut Connection, name: &str, image: &str) -> Result<()> {
    let container = json!({
        "name": "c", "image": format!("registry.minke.local/default/{image}"), "args": ["sleep", "1000000"],
        "imagePullPolicy": "IfNotPresent",
    });
    let pod =
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": [container]}});
    connection.create(PATH, &pod).await
}

/// Creates pods with these names and images from [`CREATORS`] connections at once.
pub(crate) async fn create_all(server: &Server, pods: Vec<(String, String)>) -> Result<()> {
    let (pods, taken) = (Arc::new(pods), Arc::new(AtomicUsize::new(0)));
    let mut creators = Vec::new();
    for _ in 0..CREATORS {
        let (server, pods, taken) = (server.clone(), Arc::clone(&pods), Arc::clone(&taken));
        creators.push(task::spawn("creator", async move {
            let mut connection = Connection::open(&server).await?;
            while let Some((name, image)) = pods.get(taken.fetch_add(1, Ordering::Relaxed)) {
                create(&mut connection, name, image).await?;
            }
            anyhow::Ok(())
        }));
    }
    for creator in creators {
        creator.await??;
    }
    Ok(())
}

/// Pushes a program that differs from `program` in nothing but a section that nobody reads.
pub(crate) async fn push_variant(cluster: &Cluster, program: &Path, name: &str) -> Result<()> {
    let mut bytes = tokio::fs::read(program).await?;
    // A custom section: its id, its size, the size of its name, its name.
    let length: u8 = name.len().try_into()?;
    bytes.extend([0, length + 1, length]);
    bytes.extend(name.as_bytes());
    let file = tempfile::NamedTempFile::new()?;
    tokio::fs::write(file.path(), bytes).await?;
    cluster.push(name, file.path()).await
}
