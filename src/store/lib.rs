//! A revisioned key-value store: bytes under keys, a number for each change, and every change told in order.
//!
//! This floor must never know a kind: it does not look into values, and of keys it knows no more than that they are
//! text. What a reader needs fast, the reader keeps ([`Store::subscribe`] tells it everything from the beginning).
//!
//! ```text
//!   commit ──▶ queue ──▶ writer thread: check against the index, number, one transaction, one fsync
//!                            │
//!                            ├──▶ subscription (in order of revision)
//!                            └──▶ acknowledgement
//! ```
//!
//! Reading order: this file (what callers see), `writer` (the one thread that writes), `index` (which change each key
//! is at, and which rows are history), `disk` (rows in redb), `lost` (what a crash may have taken), `subscription`,
//! `backup`, `metrics`.
//!
//! # Why
//!
//! *One place for the bytes (2026-11-23).* A change is one row of a log by revision. The index of keys is rebuilt at
//! start by reading the log once, which the first subscriber has to do anyway; writing each object a second time
//! under its key would double what a commit writes.
//!
//! *One-phase commits (2026-11-23).* redb survives a crash in two ways. A one-phase commit costs one fsync, and the
//! next start after a crash walks over the whole file. Quick repair saves that walk and pays a second fsync in each
//! commit. Measured with `examples/commit_cost.rs`, 100,000 objects of 1.5 KiB, an unoptimised build, the median of three
//! runs: a commit takes 0.40 ms against 0.71 ms, opening after a crash and reading every row 0.65 s against 0.41 s; the
//! whole store opens in 1.0 s after a crash and in 0.6 s after a peaceful end. Every client waits for each commit and
//! nobody for a quarter of a second after a crash, so commits are one-phase. What that gives up is the protection from
//! somebody who decides in which order pages reach the disk, and such a one owns the machine.
//!
//! *A failed disk stops the store (2026-11-23).* After an fsync that failed, the system may show as written what is not
//! on the disk, so trying again proves nothing. Only a disk that is full is tried again, since there redb fails before
//! it names the new state as the valid one, and that is looked up.
//!
//! *A slow subscriber holds up writers (2026-11-23).* The alternative, to drop its changes, would make the one reader
//! that all others read from start again from the beginning; so the writer waits, but not for ever.

mod backup;
mod disk;
mod index;
mod lost;
mod metrics;
mod restore;
mod subscription;
mod writer;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;

pub use backup::BackupError;
use disk::Range;
use disk::open::Backend;
pub use disk::open::OpenError;
pub use metrics::{COMMIT_BUCKETS, Metrics};
pub use restore::RestoreError;
pub use subscription::{Batch, Subscription};
use writer::History;

/// The number of a change: one sequence for the whole store, never used twice.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Revision(pub u64);

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How a store is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// The file, made readable by its owner alone if it is not there.
    pub path: PathBuf,
    /// Changes that are older may be forgotten once they are superseded. Upstream's default is five minutes.
    pub history_age_max: Duration,
    /// What superseded changes may weigh together, in bytes; beyond it the oldest are forgotten early.
    pub history_bytes_max: u64,
}

impl Options {
    /// A store in the file at `path`, with the usual bounds.
    #[must_use]
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), history_age_max: Duration::from_secs(5 * 60), history_bytes_max: 256 << 20 }
    }
}

/// What must be true of a key for a write to happen.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Expect {
    /// Nothing is there.
    Absent,
    /// What is there was written by this change.
    At(Revision),
    /// Nothing in particular; though a removal always needs something to remove.
    Any,
}

/// When a write may be acknowledged.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Urgency {
    /// Once it is on the disk.
    Durable,
    /// At once: it rides in the next commit, after a second at the latest. A crash in between forgets it, see
    /// [`Store::lost`].
    Relaxed,
}

/// One write.
#[derive(Clone, Debug)]
pub struct Write {
    /// Where; at most [`KEY_BYTES_MAX`] long.
    pub key: Arc<str>,
    /// On which condition.
    pub expect: Expect,
    /// What; `None` removes.
    pub value: Option<Bytes>,
    /// When it may be acknowledged.
    pub urgency: Urgency,
}

/// The longest key, in bytes. Names are at most 253 long and namespaces 63, so this is never met by an API object.
pub const KEY_BYTES_MAX: usize = 1024;

/// One change, as subscribers hear of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Change {
    /// Its number.
    pub revision: Revision,
    /// Where.
    pub key: Arc<str>,
    /// What is there now; `None` when it was removed.
    pub value: Option<Bytes>,
    /// The change that made the key in its present life (for a removal, the life that ended).
    pub created: Revision,
}

/// Why a write did not happen.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CommitError {
    /// The key is not as expected; `current` is the change it stands at.
    #[error("the key is at {current:?}, which is not what the write expects")]
    Conflict {
        /// `None` when nothing is there.
        current: Option<Revision>,
    },
    /// The key is longer than [`KEY_BYTES_MAX`].
    #[error("a key of {0} bytes is longer than {KEY_BYTES_MAX}")]
    KeyTooLong(usize),
    /// The disk is full. Nothing was changed; writes work again when there is space.
    #[error("the disk is full: free some space, writes then work again")]
    Full,
    /// The disk failed, and no write is taken until the store is opened again. Whether this one is on the disk shows
    /// then: as after a crash, one that was not acknowledged may have happened.
    #[error("the store cannot write ({0}): check the disk and start again")]
    Failed(String),
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}

/// An open store; cheap to clone. It closes when [`Store::close`] is called, or soon after its last handle is dropped;
/// a process that just ends loses relaxed writes of its last second, as a crash would.
///
/// The store has a thread of its own, whose timers do not follow a test's paused clock.
#[derive(Clone, Debug)]
pub struct Store {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    writer: writer::Handle,
    /// What earlier crashes may have lost, as it was found at the start.
    lost: Vec<Range>,
}

impl Store {
    /// Opens a store, repairing it after a crash and migrating an older format.
    ///
    /// # Errors
    /// Each says what to do: another process has it open, it is of a newer format, it is broken, it cannot be read.
    pub async fn open(options: Options) -> Result<Self, OpenError> {
        let history = History { age_max: options.history_age_max, bytes_max: options.history_bytes_max };
        Self::open_on(Backend::File(options.path), history).await
    }

    /// Puts a copy of `backup` where a store is then opened at `path`. The copy gets that name when it was read through
    /// and is on the disk; else nothing is there.
    ///
    /// # Errors
    /// When a store is there already, or the backup cannot be read, is broken, or is of a newer format.
    pub async fn restore(backup: impl Into<PathBuf>, path: impl Into<PathBuf>) -> Result<(), RestoreError> {
        let (backup, path) = (backup.into(), path.into());
        let restored = base::task::blocking(move || restore::restore(&backup, &path)).await;
        restored.unwrap_or(Err(RestoreError::GivenUp))
    }

    async fn open_on(backend: Backend, history: History) -> Result<Self, OpenError> {
        let (sender, receiver) = oneshot::channel();
        let thread = std::thread::Builder::new().name("store".into());
        let callers = tokio::runtime::Handle::current();
        thread.spawn(move || writer::run(backend, history, callers, sender)).map_err(OpenError::Thread)?;
        let ended = |_| OpenError::Thread(std::io::Error::other("it ended without an answer"));
        let (writer, lost) = receiver.await.map_err(ended)??;
        Ok(Self { shared: Arc::new(Shared { writer, lost }) })
    }

    /// Writes, and answers with the change's revision once it is acknowledged as its [`Urgency`] asks; subscribers have
    /// been sent the change by then. Dropping the future does not take the write back.
    ///
    /// # Errors
    /// When the key is not as expected, or the write could not be stored.
    pub async fn commit(&self, write: Write) -> Result<Revision, CommitError> {
        if write.key.len() > KEY_BYTES_MAX {
            return Err(CommitError::KeyTooLong(write.key.len()));
        }
        self.shared.writer.commit(write).await
    }

    /// The newest change that was published.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.shared.writer.numbers().revision()
    }

    /// Superseded changes up to here may be forgotten; what lives is always there.
    #[must_use]
    pub fn compacted(&self) -> Revision {
        self.shared.writer.numbers().compacted()
    }

    /// Ranges (exclusive start, inclusive end) of revisions that were handed out before a crash and may be lost, all of
    /// them of relaxed writes. They are kept until the store is compacted beyond them, at most 64.
    #[must_use]
    pub fn lost(&self) -> Vec<(Revision, Revision)> {
        let compacted = self.compacted();
        self.shared.lost.iter().copied().filter(|(_, end)| *end > compacted).collect()
    }

    /// Everything that is there and every change that is remembered, in order of revision, and then each change as it
    /// happens. A subscriber that does not read holds up writers, so it must do nothing but take changes in; after 30
    /// seconds the store gives it up. The subscription of a store that is closed, or cannot be read, has ended.
    pub async fn subscribe(&self) -> Subscription {
        let subscribed = self.shared.writer.subscribe().await;
        subscribed
            .inspect_err(|error| tracing::error!(%error, "nobody can subscribe"))
            .unwrap_or_else(|_| Subscription::ended())
    }

    /// Forgets superseded changes up to `upto`, whatever their age. Writers are not held up meanwhile.
    ///
    /// # Errors
    /// When the store is closed or cannot write.
    pub async fn compact(&self, upto: Revision) -> Result<(), CommitError> {
        self.shared.writer.compact(upto).await
    }

    /// Writes a consistent copy to `path` while the store goes on. A store opened from it goes on at revisions far
    /// above all that were handed out since, so that no revision names two states.
    ///
    /// # Errors
    /// When the copy cannot be written; a file that was at `path` is then still there.
    pub async fn backup(&self, path: impl Into<PathBuf>) -> Result<(), BackupError> {
        let path = path.into();
        let snapshot = self.shared.writer.snapshot().await;
        let snapshot = snapshot.map_err(|source| BackupError::Store { path: path.clone(), source })?;
        let copied = path.clone();
        let written = base::task::blocking(move || backup::write(&snapshot, &copied)).await;
        written.map_err(|_| BackupError::GivenUp { path })?
    }

    /// Whether the store goes on. A disk that is full is no failure: what is there is still read, and writes work again
    /// when there is space.
    ///
    /// # Errors
    /// When the disk failed or the store is closed, and it has to be opened again.
    pub fn check(&self) -> Result<(), CommitError> {
        self.shared.writer.check()
    }

    /// What the store has done so far.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.shared.writer.metrics()
    }

    /// Writes what is not yet written and closes the file, which is free to be opened again afterwards. Writes that come
    /// later fail, and subscriptions end.
    ///
    /// # Errors
    /// When not everything could be written: the next start then takes the end for a crash.
    pub async fn close(&self) -> Result<(), CommitError> {
        match self.shared.writer.close().await {
            // Somebody else closed it first, who was told how that went.
            Err(CommitError::Closed) | Ok(()) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests;
