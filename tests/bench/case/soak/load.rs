//! The clients of a soak. Each goes on after an error, which is counted, on a new connection.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use base::clock::Instant;
use base::task::{self, Task};
use bytes::Bytes;
use http::Method;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout_at};

use super::tally::{Did, Tally};
use crate::connection::{Connection, Server};
use crate::objects::{CONFIG_MAPS, Kind, LEASES, PODS, WIDGETS};
use crate::pods::revision;

/// Clients that renew leases; together two hundred a second.
const RENEWERS: usize = 4;

/// Leases of each, every one renewed once a second.
const LEASES_EACH: usize = 50;

/// What changes, and steps a second: a third of them each creates, changes and deletes.
const CHURN: [(Kind, u32); 3] = [(CONFIG_MAPS, 30), (PODS, 30), (WIDGETS, 15)];

/// Objects of a kind that wait for their change, and as many for their end.
const WAITING: usize = 100;

/// How long a watcher of each kind stays. They differ, so that not all come at once.
const WATCHED: [(Kind, u64); 6] =
    [(LEASES, 31), (CONFIG_MAPS, 23), (CONFIG_MAPS, 41), (PODS, 29), (PODS, 47), (WIDGETS, 37)];

/// Between two lists.
const LIST_PAUSE: Duration = Duration::from_secs(5);

/// Objects of a page: little, so that a list has several.
const PAGE: usize = 50;

/// How long a client pauses after an error.
const ERROR_PAUSE: Duration = Duration::from_secs(1);

/// Starts all clients; they end when the tasks are dropped.
pub(super) fn start(server: &Server, tally: &Arc<Tally>) -> Vec<Task<()>> {
    let renewals = (0..RENEWERS).map(|client| Work::Renew { client, round: 0 });
    let churn = CHURN.into_iter().map(|(kind, rate)| Work::Churn(Churn::new(kind), rate));
    let watches = WATCHED.into_iter().map(|(kind, seconds)| Work::Watch(kind, Duration::from_secs(seconds)));
    let works = renewals.chain(churn).chain(watches).chain([Work::List]);
    let clients = works.map(|work| Client { server: server.clone(), tally: Arc::clone(tally), work });
    clients.map(|client| task::spawn("client", client.run())).collect()
}

/// One client.
struct Client {
    server: Server,
    tally: Arc<Tally>,
    work: Work,
}

/// What a client does.
enum Work {
    Renew { client: usize, round: usize },
    Churn(Churn, u32),
    Watch(Kind, Duration),
    List,
}

impl Client {
    async fn run(mut self) {
        loop {
            if let Err(error) = self.work().await {
                self.tally.count_error(&error);
                sleep(ERROR_PAUSE).await;
            }
        }
    }

    /// Works until something goes wrong, or a watcher has stayed long enough.
    async fn work(&mut self) -> Result<()> {
        let Self { server, tally, work } = self;
        match work {
            Work::Renew { client, round } => {
                *round += 1;
                renew(server, tally, &format!("node-{client}-{round}")).await
            }
            Work::Churn(churn, rate) => churn.run(server, tally, *rate).await,
            Work::Watch(kind, stay) => watch(server, tally, *kind, *stay).await,
            Work::List => list(server, tally).await,
        }
    }
}

/// Ticks so many times a second; what was missed is not made up for.
fn ticks(rate: u32) -> tokio::time::Interval {
    let mut ticks = interval(Duration::from_secs(1) / rate);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// Makes leases, and renews each once a second until something goes wrong.
async fn renew(server: &Server, tally: &Tally, prefix: &str) -> Result<()> {
    let mut connection = Connection::open(server).await?;
    let mut leases = Vec::with_capacity(LEASES_EACH);
    for number in 0..LEASES_EACH {
        let name = format!("{prefix}-{number}");
        let body = LEASES.object(&name);
        leases.push((name, connection.ask(Method::POST, LEASES.path, Some(body.into())).await?));
    }
    let mut ticks = ticks(u32::try_from(LEASES_EACH)?);
    for turns in 0.. {
        for (name, last) in &mut leases {
            ticks.tick().await;
            let body = LEASES.next(std::str::from_utf8(last)?, turns);
            let sent = Instant::now();
            *last = connection.ask(Method::PUT, &LEASES.path_of(name), Some(body.into())).await?;
            tally.count(Did::Renew(sent.elapsed()));
        }
    }
    Ok(())
}

/// Objects of a kind that come, change and go.
struct Churn {
    kind: Kind,
    step: usize,
    /// Created: what the server answered.
    young: VecDeque<(String, Bytes)>,
    /// Changed.
    old: VecDeque<String>,
}

impl Churn {
    fn new(kind: Kind) -> Self {
        Self { kind, step: 0, young: VecDeque::new(), old: VecDeque::new() }
    }

    async fn run(&mut self, server: &Server, tally: &Tally, rate: u32) -> Result<()> {
        let mut connection = Connection::open(server).await?;
        let mut ticks = ticks(rate);
        loop {
            ticks.tick().await;
            let sent = Instant::now();
            if self.step(&mut connection).await? {
                tally.count(Did::Write(sent.elapsed()));
            }
        }
    }

    /// Makes one write; false if there is nothing to write yet.
    async fn step(&mut self, connection: &mut Connection) -> Result<bool> {
        self.step += 1;
        match self.step % 3 {
            0 => {
                let name = format!("churned-{}", self.step);
                let body = self.kind.object(&name);
                let answer = connection.ask(Method::POST, self.kind.path, Some(body.into())).await?;
                self.young.push_back((name, answer));
            }
            1 if self.young.len() > WAITING => {
                let (name, object) = self.young.pop_front().context("nothing waits")?;
                let body = self.kind.next(std::str::from_utf8(&object)?, 0);
                connection.ask(Method::PUT, &self.kind.path_of(&name), Some(body.into())).await?;
                self.old.push_back(name);
            }
            2 if self.old.len() > WAITING => {
                let name = self.old.pop_front().context("nothing waits")?;
                connection.ask(Method::DELETE, &self.kind.path_of(&name), None).await?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// Watches for a while.
async fn watch(server: &Server, tally: &Tally, kind: Kind, stay: Duration) -> Result<()> {
    let end = Instant::now() + stay;
    let mut connection = Connection::open(server).await?;
    let revision = revision(&mut connection, kind.path).await?;
    let mut lines = connection.watch(kind.path, &revision).await?;
    while let Ok(line) = timeout_at(end, lines.next()).await {
        line?;
        tally.count(Did::Hear);
    }
    tally.count(Did::Watch);
    Ok(())
}

/// Lists every kind to its last page, again and again.
async fn list(server: &Server, tally: &Tally) -> Result<()> {
    let mut connection = Connection::open(server).await?;
    loop {
        for kind in [LEASES, CONFIG_MAPS, PODS, WIDGETS] {
            let mut path = format!("{}?limit={PAGE}", kind.path);
            let (mut time, started) = (Duration::ZERO, Instant::now());
            loop {
                let page = connection.get(&path).await?;
                time += started.elapsed() - time;
                match page.pointer("/metadata/continue").and_then(|token| token.as_str()).filter(|it| !it.is_empty()) {
                    Some(token) => path = format!("{}?limit={PAGE}&continue={token}", kind.path),
                    None => break,
                }
            }
            tally.count(Did::List(time));
        }
        sleep(LIST_PAUSE).await;
    }
}
