//! Creations of ConfigMaps, each acknowledged after it is on the disk, from as many clients as there are connections.

use std::time::Duration;

use anyhow::Result;
use base::clock::Instant;
use base::task;
use serde_json::json;

use crate::Bench;
use crate::cluster::Cluster;
use crate::connection::{Connection, Server};
use crate::report::Row;
use crate::samples::Samples;
use crate::usage::cpu;

/// Clients that write at once.
const CLIENTS: [usize; 3] = [1, PROMISED, 64];

/// The number of clients that design speaks of.
const PROMISED: usize = 32;

/// How long each number of clients writes.
const WINDOW: Duration = Duration::from_secs(5);

/// Five times the upper end of what kube-apiserver with etcd reaches with 32 clients.
const RATE_MIN: f64 = 5.0 * 399.0;

/// A fifth of the lower end of its p99.
const P99_MAX: Duration = Duration::from_micros(187_000 / 5);

/// Characters of each ConfigMap's value.
const VALUE_CHARS: usize = 1024;

/// Where they are.
const PATH: &str = "/api/v1/namespaces/default/configmaps";

pub(crate) async fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let cluster = Cluster::start(bench, "up", &[]).await?;
    let mut rows = Vec::new();
    for clients in CLIENTS {
        let before = cpu(cluster.process.id()?)?;
        let started = Instant::now();
        let writes = write(&cluster.server, clients, Until::Passed(WINDOW)).await?;
        let rate = writes.len() as f64 / started.elapsed().as_secs_f64();
        let spent = (cpu(cluster.process.id()?)? - before).as_secs_f64() / writes.len().max(1) as f64;
        let what = format!("durable writes, {clients} HTTP client{}", if clients == 1 { "" } else { "s" });
        let row = Row::new(what, format!("{rate:.0}/s, {writes}"));
        let note = format!("{:.0} µs of server CPU each", spent * 1e6);
        let row = match clients {
            1 => row.note(format!("{note}; a commit takes {:.2?}", bench.commit.p50())),
            PROMISED => row.note(note).target("≥ 1995/s, p99 ≤ 37 ms", rate >= RATE_MIN && writes.p99() <= P99_MAX),
            _ => row.note(note),
        };
        let row = row.value("rate_per_s", rate).value("server_cpu_s", spent);
        rows.push(row.value("p50_s", writes.p50().as_secs_f64()).value("p99_s", writes.p99().as_secs_f64()));
    }
    Ok(rows)
}

/// How long clients write.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Until {
    /// This much time has passed.
    Passed(Duration),
    /// Each has written this many.
    Written(usize),
}

/// Creates ConfigMaps from `clients` connections at once, and says how long each creation took.
pub(crate) async fn write(server: &Server, clients: usize, until: Until) -> Result<Samples> {
    let mut connections = Vec::new();
    for _ in 0..clients {
        connections.push(Connection::open(server).await?);
    }
    let started = Instant::now();
    let writing = connections.into_iter().enumerate().map(|(client, mut connection)| {
        task::spawn("writer", async move {
            let mut times = Vec::new();
            let value = "x".repeat(VALUE_CHARS);
            while match until {
                Until::Passed(time) => started.elapsed() < time,
                Until::Written(count) => times.len() < count,
            } {
                let name = format!("of-{clients}-{client}-{}", times.len());
                let map = json!({
                    "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"value": value},
                });
                let sent = Instant::now();
                connection.create(PATH, &map).await?;
                times.push(sent.elapsed());
            }
            anyhow::Ok(times)
        })
    });
    let mut times = Vec::new();
    for writer in writing.collect::<Vec<_>>() {
        times.extend(writer.await??);
    }
    Ok(Samples::new(times))
}
