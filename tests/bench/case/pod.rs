//! From a pod's creation until a watcher sees it run, one pod after the other on an idle cluster.

use std::time::Duration;

use anyhow::Result;
use base::clock::Instant;

use crate::Bench;
use crate::cluster::Cluster;
use crate::commits;
use crate::connection::Connection;
use crate::pods::{self, Watch};
use crate::report::Row;
use crate::samples::Samples;

/// Pods whose artifact is there and compiled.
const CACHED: usize = 200;

/// Pods whose artifact is in the registry and nowhere else; each is one more compilation.
const UNCACHED: usize = 20;

/// Three commits of the same disk and this much may pass until half of the pods run.
const P50_BEYOND_COMMITS_MAX: Duration = Duration::from_millis(3);

/// A pod needs three: it is created, bound, and reported as running.
const COMMITS: u32 = 3;

/// What may pass until all but the slowest hundredth run.
const P99_MAX: Duration = Duration::from_millis(50);

/// When things happened to one pod, counted from its creation's first byte.
struct Way {
    created: Duration,
    bound: Duration,
    running: Duration,
}

pub(crate) async fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let cluster = Cluster::start(bench, "up", &[]).await?;
    let hello = bench.guest("hello");
    cluster.push("hello", &hello).await?;
    let mut clients = (Connection::open(&cluster.server).await?, Watch::start(&cluster.server).await?);
    way(&mut clients, "first", "hello").await?;
    // The disk as it is now: other work on the machine may have begun or ended since the start.
    let before = commits::measure(&bench.folder).await?;
    let mut cached = Vec::new();
    for number in 0..CACHED {
        cached.push(way(&mut clients, &format!("cached-{number}"), "hello").await?);
    }
    let commits = before.and(commits::measure(&bench.folder).await?);
    let mut uncached = Vec::new();
    for number in 0..UNCACHED {
        let name = format!("uncached-{number}");
        pods::push_variant(&cluster, &hello, &name).await?;
        uncached.push(way(&mut clients, &name, &name).await?);
    }
    let commit = commits.p50();
    let p50_max = commit * COMMITS + P50_BEYOND_COMMITS_MAX;
    let (row, running) = row("create → Running, artifact cached", &cached);
    let is_met = running.p50() <= p50_max && running.p99() <= P99_MAX;
    let row = row.target("p50 ≤ 3 commits + 3 ms, p99 ≤ 50 ms", is_met);
    let commits = Row::new("one durable commit of the same disk", commits.to_string());
    let commits = commits.note(format!("3 of them + 3 ms = {p50_max:.2?}")).value("p50_s", commit.as_secs_f64());
    Ok(vec![row, self::row("create → Running, artifact pulled and compiled", &uncached).0, commits])
}

async fn way((connection, watch): &mut (Connection, Watch), name: &str, image: &str) -> Result<Way> {
    let started = Instant::now();
    pods::create(connection, name, image).await?;
    let created = started.elapsed();
    let mut bound = None;
    loop {
        let seen = watch.next().await?;
        if seen.pod.metadata.name != name {
            continue;
        }
        if seen.pod.is_bound() {
            bound.get_or_insert(seen.at - started);
        }
        if seen.pod.is_running() {
            let running = seen.at - started;
            return Ok(Way { created, bound: bound.unwrap_or(running), running });
        }
    }
}

fn row(what: &str, ways: &[Way]) -> (Row, Samples) {
    let samples = |part: fn(&Way) -> Duration| Samples::new(ways.iter().map(part).collect());
    let (created, bound) = (samples(|way| way.created), samples(|way| way.bound));
    let running = samples(|way| way.running);
    let row = Row::new(format!("{what} ({} pods)", ways.len()), running.to_string());
    let row = row.note(format!("p50: created after {:.2?}, bound {:.2?}", created.p50(), bound.p50()));
    let row = row.value("p50_s", running.p50().as_secs_f64()).value("p99_s", running.p99().as_secs_f64());
    (row.value("created_p50_s", created.p50().as_secs_f64()).value("bound_p50_s", bound.p50().as_secs_f64()), running)
}
