//! How callers reach the writer.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use tokio::sync::{mpsc, oneshot};

use crate::disk::{Meta, Snapshot};
use crate::metrics::{Counters, Metrics};
use crate::subscription::Subscription;
use crate::{CommitError, Revision, Write};

/// Where the writer answers.
pub(super) type Reply<T> = oneshot::Sender<Result<T, CommitError>>;

/// What the writer is asked to do.
pub(super) enum Command {
    Write(Write, Reply<Revision>),
    Subscribe(Reply<Subscription>),
    Snapshot(Reply<Snapshot>),
    Compact(Revision, Reply<()>),
    Close(Reply<()>),
}

/// Sends commands to the writer; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Handle {
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) numbers: Arc<Numbers>,
    pub(super) counters: Arc<Counters>,
}

/// What callers read without asking the writer.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    revision: AtomicU64,
    compacted: AtomicU64,
    /// Why no write is taken any more.
    failure: OnceLock<String>,
}

impl Numbers {
    pub(crate) fn revision(&self) -> Revision {
        Revision(self.revision.load(Ordering::Acquire))
    }

    pub(crate) fn compacted(&self) -> Revision {
        Revision(self.compacted.load(Ordering::Acquire))
    }

    pub(super) fn fail(&self, reason: &str) {
        // The first one counts: what comes later follows from it.
        let _ = self.failure.set(reason.to_owned());
    }

    pub(super) fn set(&self, revision: Revision, meta: Meta) {
        self.revision.store(revision.0, Ordering::Release);
        self.compacted.store(meta.compacted.0, Ordering::Release);
    }
}

impl Handle {
    pub(crate) async fn commit(&self, write: Write) -> Result<Revision, CommitError> {
        self.ask(|reply| Command::Write(write, reply)).await
    }

    pub(crate) async fn subscribe(&self) -> Result<Subscription, CommitError> {
        self.ask(Command::Subscribe).await
    }

    pub(crate) async fn snapshot(&self) -> Result<Snapshot, CommitError> {
        self.ask(Command::Snapshot).await
    }

    pub(crate) async fn compact(&self, revision: Revision) -> Result<(), CommitError> {
        self.ask(|reply| Command::Compact(revision, reply)).await
    }

    pub(crate) async fn close(&self) -> Result<(), CommitError> {
        self.ask(Command::Close).await
    }

    pub(crate) fn numbers(&self) -> &Numbers {
        &self.numbers
    }

    pub(crate) fn check(&self) -> Result<(), CommitError> {
        match self.numbers.failure.get() {
            Some(reason) => Err(CommitError::Failed(reason.clone())),
            None if self.commands.is_closed() => Err(CommitError::Closed),
            None => Ok(()),
        }
    }

    pub(crate) fn metrics(&self) -> Metrics {
        self.counters.read()
    }

    /// Sends a command and waits for its answer. The writer answers everything it takes from the queue, and drops what
    /// is left in it when it ends, so nobody waits longer than the disk takes.
    async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, CommitError> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.map_err(|_| CommitError::Closed)?;
        answer.await.map_err(|_| CommitError::Closed)?
    }
}
