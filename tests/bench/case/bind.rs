//! Pods created, scheduled, bound and seen, all of it durable, on a control plane whose node is an object and nothing
//! more: what a pod costs the server before any node has to do something for it.

use std::time::Duration;

use anyhow::Result;
use base::clock::Instant;
use serde_json::{Value, json};

use crate::Bench;
use crate::cluster::{Cluster, SETTLE};
use crate::connection::Connection;
use crate::pods::{self, Watch};
use crate::report::Row;
use crate::usage::{Usage, cpu};

/// Pods that are bound: some seconds of work, within which nobody misses the node's Lease.
const PODS: usize = 10_000;

/// What design allows the server per 1000 pods, and the rate that it asks for on two cores.
const CPU_PER_1000_MAX: Duration = Duration::from_millis(250);
const RATE_MIN: f64 = 2_500.0;

pub(crate) async fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let cluster = Cluster::start(bench, "server", &[]).await?;
    Connection::open(&cluster.server).await?.create("/api/v1/nodes", &node()).await?;
    let is_free = |node: &Value| node.pointer("/spec/taints").is_none();
    cluster.until("/api/v1/nodes/paper", is_free).await?;
    let mut watch = Watch::start(&cluster.server).await?;
    let (before, empty) = (cpu(cluster.process.id()?)?, Usage::of(cluster.process.id()?)?);
    let started = Instant::now();
    let names = (0..PODS).map(|number| (format!("pod-{number}"), "hello".to_owned())).collect();
    let ((), last) = tokio::try_join!(pods::create_all(&cluster.server, names), watch.bound(PODS))?;
    let rate = PODS as f64 / (last - started).as_secs_f64();
    let spent = (cpu(cluster.process.id()?)? - before) * 1000 / u32::try_from(PODS)?;
    tokio::time::sleep(SETTLE).await;
    let each = (Usage::of(cluster.process.id()?)? - empty).pss as f64 / PODS as f64;
    let row = Row::new(format!("{PODS} pods created, scheduled, bound, seen"), format!("{rate:.0} pods/s"));
    let row = row.target("≥ 2,500 pods/s", rate >= RATE_MIN).note("with 32 clients and the watcher on the same cores");
    let cpu = Row::new("server CPU for it, per 1000 pods", format!("{spent:.2?}"));
    let cpu = cpu.target("≤ 0.25 s", spent <= CPU_PER_1000_MAX);
    let memory = Row::new("server memory for a bound pod", format!("{:.1} KiB", each / 1024.0));
    let memory = memory.note("objects, Events, caches and the history of the last minutes").value("pss_bytes", each);
    Ok(vec![row.value("rate_per_s", rate), cpu.value("server_cpu_s", spent.as_secs_f64()), memory])
}

/// A node that says it is ready and has room for all.
fn node() -> Value {
    let room = json!({"cpu": "1000", "memory": "1000Gi", "pods": "20000"});
    let ready = json!({"type": "Ready", "status": "True", "reason": "KubeletReady"});
    json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": "paper"},
        "status": {"capacity": room, "allocatable": room, "conditions": [ready]},
    })
}
