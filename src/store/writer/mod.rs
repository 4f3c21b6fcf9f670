//! The one thread that writes: it takes what waits, commits it at once, tells subscribers, and acknowledges.
//!
//! ```text
//!            ┌───────── waits for commands, or until pending changes or compaction are due
//!            ▼
//!   take all that wait ─▶ check and number each ─▶ any durable? ──no──▶ pending, publish, acknowledge
//!                                                      │yes
//!                                                      ▼
//!                              one transaction: pending + these + a bite of compaction ─▶ publish, acknowledge
//!                                                      │failed
//!                                                      ▼
//!                                    take the batch back, refuse it, see `Health`
//! ```
//!
//! Many writers share one fsync without any artificial delay: while one commit is on its way, the next batch gathers.
//!
//! Reading order: this file (the loop, and all state), [`commit`] (a batch's way to the disk), [`start`], [`handle`].

mod commit;
mod handle;
mod start;

use std::sync::Arc;
use std::time::Duration;

use base::clock::Instant;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use self::commit::Gathered;
pub(crate) use self::handle::Handle;
use self::handle::{Command, Numbers, Reply};
pub(crate) use self::start::run;
use crate::disk::{Disk, Meta, Snapshot};
use crate::index::{Horizon, Index};
use crate::metrics::Counters;
use crate::subscription::{self, Batch, Subscription};
use crate::{Change, CommitError, Revision};

/// Commands that wait for the writer; beyond it, callers wait to get into the queue. A commit takes a few milliseconds,
/// so this is what a flood of small requests brings up meanwhile.
const QUEUE_MAX: usize = 4096;

/// Writes in one commit. More gain nothing on the fsync and make the first of them wait.
const BATCH_MAX: usize = 1024;

/// What the keys and values of one commit may weigh; the write that gets over it is the last of its batch. redb keeps
/// half of its cache for pages that it has yet to write, and this is that half.
const BATCH_BYTES_MAX: usize = 8 << 20;

/// Relaxed changes that wait for a commit; at the limit they get one of their own.
const PENDING_MAX: usize = 4096;

/// How long a relaxed change may wait for a commit, and how long after a commit that failed the next is tried.
const RELAXED_DELAY_MAX: Duration = Duration::from_secs(1);

/// How often an idle store looks for history to forget.
const COMPACTION_INTERVAL: Duration = Duration::from_secs(10);

/// Rows forgotten in one commit, so that compaction never holds up a writer for long: removing this many costs about as
/// much as writing a batch.
const COMPACTION_ROWS_MAX: usize = 512;

/// How far the durable ceiling of revisions is kept ahead. After a crash the counter jumps this far at most, and every
/// half of it costs one more small row in a commit.
const CEILING_STEP: u64 = 10_000;

/// How long the writer waits for a subscriber that does not read, before it ends that subscription. Readers only copy
/// into memory, so one that is this late is stuck, and writers must not be stuck with it.
const SUBSCRIBER_DEADLINE: Duration = Duration::from_secs(30);

/// How much history is kept, see [`crate::Options`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct History {
    pub age_max: Duration,
    pub bytes_max: u64,
}

/// Whether the disk takes writes.
#[derive(Debug)]
enum Health {
    /// It does. A commit that fails leads to `Full` or `Failed`.
    Writes,
    /// It was full, and what did not fit was taken back. Commits are refused until the given time, because each try
    /// costs a repair; then one is tried, which leads to `Writes` or here again.
    Full { until: Instant },
    /// It failed so that nobody knows what it holds: after an fsync that failed, the system may show as written what is
    /// not on the disk. Every commit is refused until the process starts again and reads what is really there.
    Failed { reason: String },
}

struct Writer {
    disk: Disk,
    index: Index,
    health: Health,
    /// The numbers as they are on the disk.
    meta: Meta,
    /// The newest number that was given.
    revision: Revision,
    /// Relaxed changes that are published and not on the disk yet, oldest first.
    pending: Vec<Change>,
    /// When they are to be on the disk; `None` when there are none, or no hope.
    flush_due: Option<Instant>,
    subscribers: Vec<mpsc::Sender<Batch>>,
    history: History,
    /// History up to here is to be forgotten, whatever its age.
    compact_to: Revision,
    /// Who waits for that.
    compactions: Vec<Reply<()>>,
    /// When to look for history to forget.
    compact_due: Instant,
    numbers: Arc<Numbers>,
    counters: Arc<Counters>,
    /// Timers for a thread that is no task.
    runtime: tokio::runtime::Runtime,
    /// The runtime of those who write. A batch of them is answered by one task there: from this thread each answer would
    /// wake another of its threads.
    callers: tokio::runtime::Handle,
}

impl Writer {
    fn work(mut self, mut queue: mpsc::Receiver<Command>) {
        loop {
            let wait = self.wait(Instant::now());
            let command = self.runtime.block_on(async { tokio::time::timeout(wait, queue.recv()).await });
            let closing = match command {
                Ok(Some(command)) => self.carry_out(command, &mut queue),
                Ok(None) => {
                    // It has logged why, and nobody is left to be told.
                    let _ = self.end();
                    return;
                }
                Err(_) => {
                    self.tick(Instant::now());
                    None
                }
            };
            if let Some(reply) = closing {
                let closed = self.end();
                // Whoever closes may want to open again: the file must be free before they hear of it.
                drop((self, queue));
                let _ = reply.send(closed);
                return;
            }
            self.answer_compactions();
        }
    }

    /// How long there is nothing to do but for commands.
    fn wait(&self, now: Instant) -> Duration {
        let due = self.flush_due.map_or(self.compact_due, |flush| flush.min(self.compact_due));
        due.saturating_duration_since(now)
    }

    /// Carries out a command, and with a write all that wait behind it. Hands back who asks to close the store.
    fn carry_out(&mut self, command: Command, queue: &mut mpsc::Receiver<Command>) -> Option<Reply<()>> {
        let mut batch = Gathered::default();
        let mut next = Some(command);
        while let Some(command) = next.take() {
            match command {
                Command::Write(write, reply) => {
                    self.number(write, reply, &mut batch);
                    next = if batch.is_full() { None } else { queue.try_recv().ok() };
                }
                // What else is asked sees what was written before it.
                Command::Subscribe(reply) => {
                    self.finish(std::mem::take(&mut batch));
                    // Whoever no longer waits for an answer is not told, here and below.
                    let _ = reply.send(self.subscribe());
                }
                Command::Snapshot(reply) => {
                    self.finish(std::mem::take(&mut batch));
                    let _ = reply.send(self.snapshot());
                }
                Command::Compact(revision, reply) => {
                    self.finish(std::mem::take(&mut batch));
                    self.compact_to = self.compact_to.max(revision.min(self.revision));
                    self.compactions.push(reply);
                    self.compact_due = Instant::now();
                }
                Command::Close(reply) => {
                    self.finish(batch);
                    return Some(reply);
                }
            }
        }
        self.finish(batch);
        None
    }

    /// Everything that was published, as it is on the disk.
    fn snapshot(&mut self) -> Result<Snapshot, CommitError> {
        self.flush()?;
        self.disk.snapshot().map_err(|error| commit::unread(&error))
    }

    /// A subscription to everything from the beginning: the log on the disk, then the pending changes, then what comes.
    fn subscribe(&mut self) -> Result<Subscription, CommitError> {
        let snapshot = self.disk.snapshot().map_err(|error| commit::unread(&error))?;
        let on_disk = self.pending.first().map_or(self.revision, |first| Revision(first.revision.0 - 1));
        let (sender, subscription) =
            subscription::start(snapshot, on_disk).map_err(|error| CommitError::Failed(error.to_string()))?;
        let pending = Batch { changes: self.pending.clone(), revision: self.revision };
        // The channel is empty and its other end is in hand, so this cannot fail.
        let _ = sender.try_send(pending);
        self.subscribers.push(sender);
        Ok(subscription)
    }

    /// What is done when no command waits: pending changes are stored, history is forgotten.
    fn tick(&mut self, now: Instant) {
        let flushes = self.flush_due.is_some_and(|due| due <= now);
        let compacts = self.compact_due <= now && self.index.has_due(&self.horizon(now));
        if flushes || compacts {
            // A failure is logged where the disk's health changes, and tried again when it is due.
            let _ = self.commit(&[]);
        } else if self.compact_due <= now {
            self.compact_due = now + COMPACTION_INTERVAL;
        }
    }

    fn horizon(&self, now: Instant) -> Horizon {
        let before = now.checked_sub(self.history.age_max);
        Horizon { revision: self.compact_to, before, bytes_max: self.history.bytes_max }
    }

    /// Answers who waits for a compaction, once it is done or the disk refuses.
    fn answer_compactions(&mut self) {
        let asked = Horizon { revision: self.compact_to, before: None, bytes_max: u64::MAX };
        let refusal = self.health.refusal(Instant::now());
        if refusal.is_none() && self.index.has_due(&asked) {
            return;
        }
        for reply in self.compactions.drain(..) {
            let _ = reply.send(refusal.clone().map_or(Ok(()), Err));
        }
    }

    /// Tells subscribers, and drops those that are gone or stuck.
    fn publish(&mut self, changes: Vec<Change>) {
        let batch = Batch { changes, revision: self.revision };
        let runtime = &self.runtime;
        self.subscribers.retain(|subscriber| match subscriber.try_send(batch.clone()) {
            Ok(()) => true,
            Err(TrySendError::Closed(_)) => false,
            Err(TrySendError::Full(batch)) => {
                let sent = runtime.block_on(subscriber.send_timeout(batch, SUBSCRIBER_DEADLINE));
                sent.inspect_err(|_| tracing::error!("a subscriber stopped reading, its subscription is ended")).is_ok()
            }
        });
        self.publish_numbers();
    }

    fn publish_numbers(&self) {
        self.numbers.set(self.revision, self.meta);
    }

    /// Stores what is pending and marks the store as closed in peace.
    fn end(&mut self) -> Result<(), CommitError> {
        if let Health::Full { .. } = self.health {
            // There may be space by now, and there is no later.
            self.health = Health::Writes;
        }
        let closed = self.flush().and_then(|()| {
            let meta = Meta { is_clean: true, ceiling: self.revision, ..self.meta };
            self.disk.write(|tables| tables.set_meta(meta)).map_err(|error| commit::unwritten(&error))
        });
        closed.inspect_err(|error| tracing::error!(%error, "the store could not be closed in peace"))
    }
}
