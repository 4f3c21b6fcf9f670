//! Ready again after `kill -9`: with many objects, and with pods that have to run again.

use std::time::Duration;

use anyhow::Result;
use base::clock::Instant;

use super::writes::{self, Until};
use crate::Bench;
use crate::cluster::Cluster;
use crate::pods::{self, Watch};
use crate::report::Row;
use crate::usage::{Usage, cpu, megabytes};

/// Objects in the store.
const OBJECTS: usize = 100_000;

/// Clients that write them.
const CLIENTS: usize = 64;

/// Pods on the node.
const PODS: usize = 100;

/// What either may take.
const READY_AFTER_MAX: Duration = Duration::from_secs(5);

pub(crate) async fn measure(bench: &Bench) -> Result<Vec<Row>> {
    Ok(vec![with_objects(bench).await?, with_pods(bench).await?])
}

async fn with_objects(bench: &Bench) -> Result<Row> {
    let cluster = Cluster::start(bench, "up", &[]).await?;
    writes::write(&cluster.server, CLIENTS, Until::Written(OBJECTS.div_ceil(CLIENTS))).await?;
    let cluster = Cluster::start_in(bench, cluster.kill().await?, "up", &[]).await?;
    let (ready_after, spent) = (cluster.ready_after, cpu(cluster.process.id()?)?);
    let usage = Usage::of(cluster.process.id()?)?;
    let row = Row::new("kill -9 with 100,000 objects → /readyz ok", format!("{ready_after:.2?}"));
    let row = row.target("≤ 5 s", ready_after <= READY_AFTER_MAX);
    let row = row.note(format!("{spent:.2?} of CPU; then {} resident", megabytes(usage.rss)));
    Ok(row.value("ready_after_s", ready_after.as_secs_f64()).value("rss_bytes", usage.rss as f64))
}

async fn with_pods(bench: &Bench) -> Result<Row> {
    let cluster = Cluster::start(bench, "up", &[]).await?;
    cluster.push("hello", &bench.guest("hello")).await?;
    let mut watch = Watch::start(&cluster.server).await?;
    let names = (0..PODS).map(|number| (format!("pod-{number}"), "hello".to_owned())).collect();
    pods::create_all(&cluster.server, names).await?;
    watch.running(PODS).await?;
    let data = cluster.kill().await?;
    let started = Instant::now();
    let cluster = Cluster::start_in(bench, data, "up", &[]).await?;
    let path = "/api/v1/namespaces/default/pods";
    let runs_again = |pods: &serde_json::Value| {
        let pods: Option<Vec<pods::Pod>> = pods.get("items").and_then(|it| serde_json::from_value(it.clone()).ok());
        pods.is_some_and(|pods| pods.iter().all(|pod| pod.has_run_again(1)))
    };
    cluster.until(path, runs_again).await?;
    let took = started.elapsed();
    let row = Row::new(format!("kill -9 with {PODS} pods → all run again"), format!("{took:.2?}"));
    let row = row.target("≤ 5 s", took <= READY_AFTER_MAX);
    let row = row.note(format!("/readyz was ok after {:.2?}", cluster.ready_after));
    Ok(row.value("running_after_s", took.as_secs_f64()))
}
