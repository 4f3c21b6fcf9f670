//! Writes of every sort, from one client and from many, each answered after it is on the disk.

use std::time::Duration;

use anyhow::{Result, bail};
use base::clock::Instant;
use base::task;
use bytes::Bytes;
use http::Method;

use super::figure::Figure;
use crate::connection::{Call, Connection, JSON, Server};
use crate::objects::{Kind, PODS};
use crate::peer::Peer;
use crate::samples::Samples;

/// How long each number of clients writes.
const WINDOW: Duration = Duration::from_secs(3);

/// Clients that write at once.
const CLIENTS: [usize; 3] = [1, REFERENCE_CLIENTS, 64];

/// The number of clients that upstream's known figures are of: creations of pods, and of nothing else.
const REFERENCE_CLIENTS: usize = 32;

/// Clients that create what another measurement needs.
const CREATORS: usize = 64;

/// A sort of write.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Verb {
    /// A new object each time.
    Create,
    /// What the last answer said, with a label changed: the revision is compared.
    Update,
    /// A merge patch of a label.
    Patch,
    /// The whole object as its applier wants it, with a label changed.
    Apply,
}

/// The name of a row.
pub(super) fn what(kind: Kind, verb: Verb, clients: usize) -> String {
    let plural = if clients == 1 { "" } else { "s" };
    format!("{}: {}, {clients} client{plural}", kind.plural, verb.name())
}

/// Every verb, from one client and from many.
pub(super) async fn measure(peer: &Peer, kind: Kind) -> Vec<Figure> {
    let mut figures = Vec::new();
    for verb in [Verb::Create, Verb::Update, Verb::Patch, Verb::Apply] {
        for clients in CLIENTS {
            if clients == REFERENCE_CLIENTS && (kind.path, verb) != (PODS.path, Verb::Create) {
                continue;
            }
            let writing = write(peer, kind, verb, clients);
            figures.push(Figure::measured(what(kind, verb, clients), writing).await);
        }
    }
    figures
}

/// Creates `PREFIX-0` to `PREFIX-COUNT` from many clients at once, and says at what cost.
pub(super) async fn create_many(peer: &Peer, kind: Kind, numbers: std::ops::Range<usize>) -> Result<Figure> {
    let (before, started) = (peer.cpu()?, Instant::now());
    let mut creating = Vec::new();
    for client in 0..CREATORS {
        let server = peer.server().clone();
        let own = numbers.clone().skip(client).step_by(CREATORS);
        creating.push(task::spawn("creator", async move {
            let mut connection = Connection::open(&server).await?;
            let mut times = Vec::with_capacity(own.len());
            for number in own {
                let body = kind.object(&format!("many-{number}"));
                let sent = Instant::now();
                connection.ask(Method::POST, kind.path, Some(body.into())).await?;
                times.push(sent.elapsed());
            }
            anyhow::Ok(times)
        }));
    }
    let mut times = Vec::new();
    for creator in creating {
        times.extend(creator.await??);
    }
    let rate = times.len() as f64 / started.elapsed().as_secs_f64();
    let spent = peer.cpu()? - before;
    let figure = Figure::new(format!("{}: {} created by {CREATORS} clients", kind.plural, numbers.end));
    Ok(figure.rate(rate).cpu(spent, times.len()).times(&Samples::new(times)))
}

async fn write(peer: &Peer, kind: Kind, verb: Verb, clients: usize) -> Result<Figure> {
    let mut writers = Vec::new();
    for number in 0..clients {
        writers.push(Writer::new(peer.server(), kind, verb, format!("{}-{clients}-{number}", verb.name())).await?);
    }
    let (before, started) = (peer.cpu()?, Instant::now());
    let writing = writers.into_iter().map(|mut writer| {
        task::spawn("writer", async move {
            let mut times = Vec::new();
            while started.elapsed() < WINDOW {
                times.push(writer.write().await?);
            }
            anyhow::Ok(times)
        })
    });
    let mut times = Vec::new();
    for writer in writing.collect::<Vec<_>>() {
        times.extend(writer.await??);
    }
    let rate = times.len() as f64 / started.elapsed().as_secs_f64();
    let spent = peer.cpu()? - before;
    let figure = Figure::new(what(kind, verb, clients)).rate(rate).cpu(spent, times.len());
    Ok(figure.times(&Samples::new(times)))
}

/// A client and the object that it changes.
struct Writer {
    connection: Connection,
    kind: Kind,
    verb: Verb,
    name: String,
    path: String,
    /// Changes so far.
    turns: u64,
    /// The last answer, for updates.
    last: Bytes,
}

impl Writer {
    async fn new(server: &Server, kind: Kind, verb: Verb, name: String) -> Result<Self> {
        let path = match verb {
            Verb::Create => kind.path.to_owned(),
            Verb::Update | Verb::Patch => kind.path_of(&name),
            Verb::Apply => format!("{}?fieldManager=bench", kind.path_of(&name)),
        };
        let connection = Connection::open(server).await?;
        let mut writer = Self { connection, kind, verb, name, path, turns: 0, last: Bytes::new() };
        match verb {
            Verb::Create => {}
            Verb::Update | Verb::Patch => {
                let body = writer.kind.object(&writer.name);
                writer.last = writer.connection.ask(Method::POST, kind.path, Some(body.into())).await?;
            }
            Verb::Apply => {
                writer.write().await?;
            }
        }
        Ok(writer)
    }

    /// Writes once, and says how long the answer took.
    async fn write(&mut self) -> Result<Duration> {
        let (method, content_type, body) = match self.verb {
            Verb::Create => (Method::POST, JSON, self.kind.object(&format!("{}-{}", self.name, self.turns))),
            Verb::Update => (Method::PUT, JSON, self.kind.next(std::str::from_utf8(&self.last)?, self.turns)),
            Verb::Patch => (Method::PATCH, "application/merge-patch+json", self.kind.patch(self.turns + 1)),
            Verb::Apply => {
                let object = self.kind.object(&self.name);
                (Method::PATCH, "application/apply-patch+yaml", self.kind.changed(&object, self.turns + 1))
            }
        };
        self.turns += 1;
        let call = Call { method, content_type, body: body.into(), ..Call::get(&self.path) };
        let sent = Instant::now();
        let answer = self.connection.call(call).await?;
        let time = sent.elapsed();
        if self.verb == Verb::Update {
            if answer == self.last {
                bail!("an update changed nothing");
            }
            self.last = answer;
        }
        Ok(time)
    }
}

impl Verb {
    fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Apply => "apply",
        }
    }
}
