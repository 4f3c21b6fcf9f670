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
//! Reading order: this file (what callers see), [`writer`] (the one thread that writes), [`index`] (which revision
//! each key is at, and which rows are history), [`disk`] (rows in redb), [`subscription`], [`backup`].
//!
//! # Why
//!
//! *One place for the bytes (2026-11-23).* A change is one row of a log by revision. The index of keys is rebuilt at
//! start by reading the log once, which the first subscriber has to do anyway; writing each object a second time
//! under its key would double what a commit writes.
//!
//! *One-phase commits (2026-11-23).* redb's quick repair saves a walk over the file after a crash and costs a second
//! fsync for each commit. Opening reads the whole log in any case, so the walk is a fraction of it, while the commit
//! is what every client waits for.

mod backup;
mod disk;
mod index;
mod metrics;
mod subscription;
mod writer;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;

pub use disk::{Backend, FORMAT, OpenError};
pub use metrics::{COMMIT_BUCKETS, Metrics};
pub use subscription::{Batch, Subscription};

/// The number of a change: one sequence for the whole store, never used twice.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Revision(pub u64);

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How a store is opened.
#[derive(Debug)]
pub struct Options {
    /// Where the bytes are.
    pub backend: Backend,
    /// Changes that are older may be forgotten once they are superseded. Upstream's default is five minutes.
    pub history_age_max: Duration,
    /// What superseded changes may weigh together, in bytes; beyond it the oldest are forgotten early.
    pub history_bytes_max: u64,
}

impl Options {
    /// A store in the file at `path`, made if it is not there, with the usual bounds.
    #[must_use]
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self {
            backend: Backend::File(path.into()),
            history_age_max: Duration::from_secs(5 * 60),
            history_bytes_max: 256 << 20,
        }
    }
}

/// What must be true of a key for a write to happen.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Expect {
    /// Nothing is there.
    Absent,
    /// What is there was written by this change.
    At(Revision),
    /// Nothing in particular.
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
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The key is not as expected; `current` is the change it stands at.
    #[error("the key is at {current:?}, which is not what the write expects")]
    Conflict {
        /// `None` when nothing is there.
        current: Option<Revision>,
    },
    /// The key is longer than [`KEY_BYTES_MAX`].
    #[error("a key of {0} bytes is too long")]
    KeyTooLong(usize),
    /// The disk is full. Nothing was changed; writes work again when there is space.
    #[error("the disk is full: free some space, writes then work again")]
    Full,
    /// The disk failed. Nothing was changed.
    #[error("the store could not write: {0}")]
    Failed(String),
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}

/// An open store; cheap to clone. It closes when [`Store::close`] is called; a process that just ends loses relaxed
/// writes of its last second, as a crash would.
#[derive(Clone, Debug)]
pub struct Store {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    writer: writer::Handle,
    /// Ranges of revisions that a crash may have lost, see [`Store::lost`].
    lost: Vec<(Revision, Revision)>,
}

impl Store {
    /// Opens a store, repairing it after a crash and migrating an older format.
    ///
    /// # Errors
    /// Each says what to do: another process has it open, it is of a newer format, it is broken, it cannot be read.
    pub async fn open(options: Options) -> Result<Self, OpenError> {
        let (sender, receiver) = oneshot::channel();
        let thread = std::thread::Builder::new().name("store".into());
        thread.spawn(move || writer::run(options, sender)).map_err(OpenError::Thread)?;
        let (writer, lost) = receiver.await.map_err(|_| OpenError::Panicked)??;
        Ok(Self { shared: Arc::new(Shared { writer, lost }) })
    }

    /// Writes, and answers with the change's revision once it is acknowledged as its [`Urgency`] asks. Dropping the
    /// future does not take the write back.
    ///
    /// # Errors
    /// When the key is not as expected, or the write could not be stored; then nothing has changed.
    pub async fn commit(&self, write: Write) -> Result<Revision, CommitError> {
        if write.key.len() > KEY_BYTES_MAX {
            return Err(CommitError::KeyTooLong(write.key.len()));
        }
        self.shared.writer.commit(write).await
    }

    /// The newest acknowledged or published change.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.shared.writer.numbers().revision()
    }

    /// Superseded changes up to here may be forgotten.
    #[must_use]
    pub fn compacted(&self) -> Revision {
        self.shared.writer.numbers().compacted()
    }

    /// Ranges (exclusive start, inclusive end) of revisions that were handed to relaxed writes before a crash and may
    /// be lost. They are kept until the store is compacted beyond them.
    #[must_use]
    pub fn lost(&self) -> &[(Revision, Revision)] {
        &self.shared.lost
    }

    /// Everything that is there and every change that is remembered, in order of revision, and then each change as it
    /// happens. A subscriber that does not read holds up writers, so it must do nothing but take changes in.
    ///
    /// # Errors
    /// When the store is closed or cannot be read.
    pub async fn subscribe(&self) -> Result<Subscription, CommitError> {
        self.shared.writer.subscribe().await
    }

    /// Forgets superseded changes up to `revision`, whatever their age.
    ///
    /// # Errors
    /// When the store is closed.
    pub async fn compact(&self, revision: Revision) -> Result<(), CommitError> {
        self.shared.writer.compact(revision).await
    }

    /// Writes a consistent copy to `path` while the store goes on. A store opened from it goes on at revisions far
    /// above all that were handed out since, so that no revision names two states.
    ///
    /// # Errors
    /// When the copy cannot be written; a file that was at `path` is then still there.
    pub async fn backup(&self, path: PathBuf) -> Result<(), backup::Error> {
        let snapshot = self.shared.writer.snapshot().await.map_err(|_| backup::Error::Closed)?;
        base::task::blocking(move || backup::write(&snapshot, &path)).await.map_err(|_| backup::Error::Closed)?
    }

    /// What the store has done so far.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.shared.writer.metrics()
    }

    /// Writes what is not yet written and closes the file. Writes that come later fail.
    pub async fn close(&self) {
        self.shared.writer.close().await;
    }
}

pub use backup::Error as BackupError;

#[cfg(test)]
mod tests;
