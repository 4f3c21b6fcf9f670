//! From a write until its watchers hear of it; every watcher has a connection of its own.

use anyhow::{Context as _, Result};
use base::clock::Instant;
use base::task::{self, Task};
use http::Method;
use tokio::sync::mpsc;

use crate::Bench;
use crate::cluster::{Cluster, DEADLINE};
use crate::connection::{Connection, Server};
use crate::objects::{CONFIG_MAPS, Kind};
use crate::pods::revision;
use crate::report::Row;
use crate::samples::Samples;
use crate::usage::cpu;

/// Watchers, and writes that are watched.
const SIZES: [(usize, usize); 3] = [(1, 300), (100, 200), (1000, 60)];

/// How long deliveries took.
pub(super) struct Deliveries {
    /// From the write's first byte until a watcher has read it, for every watcher.
    pub(super) all: Samples,
    /// The same until the last watcher has.
    pub(super) last: Samples,
    /// From the write's first byte until its answer.
    pub(super) answers: Samples,
}

pub(crate) async fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let cluster = Cluster::start(bench, "up", &[]).await?;
    let mut rows = Vec::new();
    for (watchers, writes) in SIZES {
        let audience = Audience::open(&cluster.server, CONFIG_MAPS, watchers, writes).await?;
        let before = cpu(cluster.process.id()?)?;
        let Deliveries { all, last, answers } = audience.deliver().await?;
        let spent = (cpu(cluster.process.id()?)? - before).as_secs_f64() / all.len().max(1) as f64;
        let plural = if watchers == 1 { "" } else { "s" };
        let row = Row::new(format!("write → seen by {watchers} watcher{plural}"), all.to_string()).note(format!(
            "the last of them: {last}; the writer's own answer: {answers}; {:.0} µs of server CPU a delivery",
            spent * 1e6
        ));
        let row = row.value("p50_s", all.p50().as_secs_f64()).value("p99_s", all.p99().as_secs_f64());
        let row = row.value("last_p50_s", last.p50().as_secs_f64()).value("last_p99_s", last.p99().as_secs_f64());
        rows.push(row.value("answer_p50_s", answers.p50().as_secs_f64()));
    }
    Ok(rows)
}

/// Watchers that wait for what a writer creates.
pub(super) struct Audience {
    kind: Kind,
    watchers: usize,
    writes: usize,
    writer: Connection,
    hearing: mpsc::Receiver<Instant>,
    watching: Vec<Task<Result<()>>>,
}

impl Audience {
    /// Opens a watch for each.
    pub(super) async fn open(server: &Server, kind: Kind, watchers: usize, writes: usize) -> Result<Self> {
        let mut writer = Connection::open(server).await?;
        let revision = revision(&mut writer, kind.path).await?;
        let (heard, hearing) = mpsc::channel(watchers);
        let ours = format!("\"name\":\"{}", name(watchers, ""));
        let mut watching = Vec::new();
        for _ in 0..watchers {
            let mut lines = Connection::open(server).await?.watch(kind.path, &revision).await?;
            let (heard, ours) = (heard.clone(), ours.clone());
            watching.push(task::spawn("watcher", async move {
                let mut heard_of = 0;
                while heard_of < writes {
                    let line = lines.next().await?;
                    let at = Instant::now();
                    // Controllers write here, too.
                    if line.windows(ours.len()).any(|part| part == ours.as_bytes()) {
                        heard.send(at).await?;
                        heard_of += 1;
                    }
                }
                anyhow::Ok(())
            }));
        }
        Ok(Self { kind, watchers, writes, writer, hearing, watching })
    }

    /// Creates one object after the other, each when all have heard of the one before.
    pub(super) async fn deliver(self) -> Result<Deliveries> {
        let Self { kind, watchers, writes, mut writer, mut hearing, watching } = self;
        let (mut all, mut last, mut answers) = (Vec::new(), Vec::new(), Vec::new());
        for number in 0..writes {
            let body = kind.object(&name(watchers, number));
            let sent = Instant::now();
            writer.ask(Method::POST, kind.path, Some(body.into())).await?;
            answers.push(sent.elapsed());
            let mut times = Vec::with_capacity(watchers);
            while times.len() < watchers {
                let at = tokio::time::timeout(DEADLINE, hearing.recv()).await.context("a watcher hears nothing")?;
                times.push(at.context("the watchers ended")? - sent);
            }
            last.extend(times.iter().max());
            all.extend(times);
        }
        for watcher in watching {
            watcher.await??;
        }
        Ok(Deliveries { all: Samples::new(all), last: Samples::new(last), answers: Samples::new(answers) })
    }
}

/// The name of an object that is written for this many watchers.
fn name(watchers: usize, number: impl std::fmt::Display) -> String {
    format!("to-{watchers}-{number}")
}
