//! The one thread that writes: it takes what waits, commits it at once, tells subscribers, and acknowledges.
//!
//! ```text
//!            ┌────────────── waits for commands (or a second, while relaxed writes are pending)
//!            ▼
//!   take all that wait ─▶ check and number each ─▶ any durable? ──no──▶ pending, publish, acknowledge
//!                                                      │yes
//!                                                      ▼
//!                              one transaction: pending + these + a bite of compaction ─▶ publish, acknowledge
//!                                                      │failed
//!                                                      ▼
//!                                       reopen; not on the disk? ─▶ take the batch back, refuse it
//! ```
//!
//! Many writers share one fsync without any artificial delay: while one commit is on its way, the next batch gathers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base::clock::Instant;
use tokio::sync::{mpsc, oneshot};

use crate::disk::{self, Disk, Meta, OpenError, Snapshot};
use crate::index::{Index, Place, Superseded};
use crate::metrics::{Counters, Metrics};
use crate::subscription::{self, Batch, Subscription};
use crate::{Change, CommitError, Options, Revision, Urgency, Write};

/// Commands that wait for the writer; beyond it, callers wait to get into the queue.
const QUEUE_MAX: usize = 4096;

/// Writes in one commit. More gain nothing on the fsync and make the first of them wait.
const BATCH_MAX: usize = 1024;

/// Relaxed writes that wait for a commit; at the limit they get one of their own.
const PENDING_MAX: usize = 4096;

/// How long a relaxed write may wait for a commit.
const RELAXED_DELAY_MAX: Duration = Duration::from_secs(1);

/// How often an idle store looks for history to forget.
const COMPACTION_INTERVAL: Duration = Duration::from_secs(10);

/// Rows forgotten in one commit, so that compaction never holds up a writer for long.
const COMPACTION_ROWS_MAX: usize = 512;

/// How far the durable ceiling of revisions is kept ahead. After a crash the counter jumps this far at most.
const CEILING_STEP: u64 = 10_000;

/// What the writer is asked to do.
enum Command {
    Write(Write, oneshot::Sender<Result<Revision, CommitError>>),
    Subscribe(oneshot::Sender<Result<Subscription, CommitError>>),
    Snapshot(oneshot::Sender<Result<Snapshot, CommitError>>),
    Compact(Revision, oneshot::Sender<()>),
    Close(oneshot::Sender<()>),
}

/// How callers reach the writer.
#[derive(Clone, Debug)]
pub(crate) struct Handle {
    commands: mpsc::Sender<Command>,
    numbers: Arc<Numbers>,
    counters: Arc<Counters>,
}

/// What callers read without asking the writer.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    revision: AtomicU64,
    compacted: AtomicU64,
}

impl Numbers {
    pub(crate) fn revision(&self) -> Revision {
        Revision(self.revision.load(Ordering::Acquire))
    }

    pub(crate) fn compacted(&self) -> Revision {
        Revision(self.compacted.load(Ordering::Acquire))
    }
}

impl Handle {
    pub(crate) async fn commit(&self, write: Write) -> Result<Revision, CommitError> {
        self.ask(|reply| Command::Write(write, reply)).await?
    }

    pub(crate) async fn subscribe(&self) -> Result<Subscription, CommitError> {
        self.ask(Command::Subscribe).await?
    }

    pub(crate) async fn snapshot(&self) -> Result<Snapshot, CommitError> {
        self.ask(Command::Snapshot).await?
    }

    pub(crate) async fn compact(&self, revision: Revision) -> Result<(), CommitError> {
        self.ask(|reply| Command::Compact(revision, reply)).await
    }

    pub(crate) async fn close(&self) {
        // A store that is closed already has nothing more to write.
        let _ = self.ask(Command::Close).await;
    }

    pub(crate) fn numbers(&self) -> &Numbers {
        &self.numbers
    }

    pub(crate) fn metrics(&self) -> Metrics {
        self.counters.read()
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, CommitError> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.map_err(|_| CommitError::Closed)?;
        answer.await.map_err(|_| CommitError::Closed)
    }
}

/// What opening answers with: the handle, and the ranges that a crash may have lost.
type Opened = Result<(Handle, Vec<(Revision, Revision)>), OpenError>;

/// The writer's thread: opens the store, answers with its handle, and works until it is closed or every handle is gone.
pub(crate) fn run(options: Options, opened: oneshot::Sender<Opened>) {
    let (commands, queue) = mpsc::channel(QUEUE_MAX);
    match Writer::open(options, commands) {
        Ok((writer, handle, lost)) => {
            if opened.send(Ok((handle, lost))).is_ok() {
                writer.work(queue);
            }
        }
        Err(error) => {
            // Nobody waits for the answer any more: nobody is to be told.
            let _ = opened.send(Err(error));
        }
    }
}

struct Writer {
    disk: Disk,
    index: Index,
    meta: Meta,
    revision: Revision,
    /// Relaxed changes that are published and not on the disk yet, oldest first.
    pending: Vec<Change>,
    pending_since: Option<Instant>,
    subscribers: Vec<mpsc::Sender<Batch>>,
    /// History up to here is to be forgotten, whatever its age.
    compact_to: Revision,
    history_age_max: Duration,
    history_bytes_max: u64,
    numbers: Arc<Numbers>,
    counters: Arc<Counters>,
}

/// A write that was numbered and is not acknowledged yet.
struct Numbered {
    change: Change,
    old: Option<Place>,
    reply: oneshot::Sender<Result<Revision, CommitError>>,
}

impl Writer {
    fn open(
        options: Options,
        commands: mpsc::Sender<Command>,
    ) -> Result<(Self, Handle, Vec<(Revision, Revision)>), OpenError> {
        let place = disk::place(&options.backend);
        let disk = Disk::open(options.backend)?;
        let io = |error| disk::describe(place.clone(), error);
        let snapshot = disk.snapshot().map_err(io)?;
        let meta = snapshot.meta().map_err(io)?;
        let mut index = Index::default();
        let now = Instant::now();
        let read = snapshot.each_head(|revision, is_removal, created, key, bytes| {
            index.take_in(&Arc::from(key), revision, created, is_removal, bytes as u64, now);
        });
        read.map_err(io)?;

        let numbers = Arc::new(Numbers::default());
        let counters = Arc::new(Counters::default());
        let mut writer = Self {
            disk,
            index,
            meta,
            revision: snapshot.revision.max(meta.compacted),
            pending: Vec::new(),
            pending_since: None,
            subscribers: Vec::new(),
            compact_to: Revision(0),
            history_age_max: options.history_age_max,
            history_bytes_max: options.history_bytes_max,
            numbers: Arc::clone(&numbers),
            counters: Arc::clone(&counters),
        };
        let lost = writer.begin(&snapshot).map_err(io)?;
        drop(snapshot);
        writer.publish_numbers();
        Ok((writer, Handle { commands, numbers, counters }, lost))
    }

    /// Writes that the store is in use, jumping over revisions that a crash may have lost.
    fn begin(&mut self, snapshot: &Snapshot) -> Result<Vec<(Revision, Revision)>, redb::Error> {
        let mut lost = snapshot.lost()?;
        let range = (self.revision, self.meta.ceiling);
        let jumps = !self.meta.is_clean && range.0 < range.1;
        if jumps {
            lost.push(range);
            self.revision = self.meta.ceiling;
        }
        self.meta.is_clean = false;
        self.meta.ceiling = Revision(self.revision.0 + CEILING_STEP);
        let meta = self.meta;
        self.disk.write(|tables| {
            if jumps {
                tables.add_lost(range.0, range.1)?;
            }
            tables.forget_lost(meta.compacted)?;
            tables.set_meta(meta)
        })?;
        lost.retain(|(_, end)| *end > meta.compacted);
        Ok(lost)
    }

    fn work(mut self, mut queue: mpsc::Receiver<Command>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let Ok(runtime) = runtime else {
            tracing::error!("the store's thread has no timer and ends");
            return;
        };
        loop {
            let wait = self
                .pending_since
                .map_or(COMPACTION_INTERVAL, |since| RELAXED_DELAY_MAX.saturating_sub(since.elapsed()));
            let command = runtime.block_on(async { tokio::time::timeout(wait, queue.recv()).await });
            match command {
                Ok(Some(Command::Close(reply))) => {
                    self.end();
                    drop(self);
                    // The caller may have given up waiting; the store is closed all the same.
                    let _ = reply.send(());
                    return;
                }
                Ok(Some(command)) => self.carry_out(command, &mut queue),
                Ok(None) => return self.end(),
                Err(_) => self.tick(),
            }
        }
    }

    fn carry_out(&mut self, command: Command, queue: &mut mpsc::Receiver<Command>) {
        let mut next = Some(command);
        let mut batch = Vec::new();
        while let Some(command) = next.take() {
            match command {
                Command::Write(write, reply) => {
                    self.number(write, reply, &mut batch);
                    next = if batch.len() < BATCH_MAX { queue.try_recv().ok() } else { None };
                }
                other => {
                    self.finish(std::mem::take(&mut batch));
                    self.answer(other);
                }
            }
        }
        self.finish(batch);
    }

    /// Checks a write and gives it its revision, or refuses it.
    fn number(
        &mut self,
        write: Write,
        reply: oneshot::Sender<Result<Revision, CommitError>>,
        batch: &mut Vec<(Numbered, Urgency)>,
    ) {
        if let Err(current) = self.index.check(&write) {
            let _ = reply.send(Err(CommitError::Conflict { current }));
            return;
        }
        let urgency = write.urgency;
        self.revision.0 += 1;
        let (change, old) = self.index.apply(write, self.revision, Instant::now());
        batch.push((Numbered { change, old, reply }, urgency));
    }

    /// Makes a batch durable if any of it asks for that, and acknowledges it.
    fn finish(&mut self, batch: Vec<(Numbered, Urgency)>) {
        if batch.is_empty() {
            return;
        }
        let must_commit = batch.iter().any(|(_, urgency)| *urgency == Urgency::Durable)
            || self.pending.len() + batch.len() > PENDING_MAX
            || self.revision >= self.meta.ceiling;
        let batch: Vec<Numbered> = batch.into_iter().map(|(numbered, _)| numbered).collect();
        let changes: Vec<Change> = batch.iter().map(|numbered| numbered.change.clone()).collect();
        if must_commit {
            if let Err(error) = self.commit(&changes) {
                self.take_back(batch, &error);
                return;
            }
        } else {
            self.pending_since.get_or_insert_with(Instant::now);
            self.pending.extend(changes.iter().cloned());
        }
        self.counters.wrote(batch.len(), self.index.len());
        self.publish(changes);
        for numbered in batch {
            // Whoever no longer waits for the acknowledgement reads the change like everybody.
            let _ = numbered.reply.send(Ok(numbered.change.revision));
        }
    }

    /// Writes pending and new changes, and a bite of compaction, in one transaction.
    fn commit(&mut self, changes: &[Change]) -> Result<(), CommitError> {
        let horizon = Instant::now().checked_sub(self.history_age_max);
        let forgotten = self.index.forget(self.compact_to, horizon, self.history_bytes_max, COMPACTION_ROWS_MAX);
        let mut meta = self.meta;
        if self.revision.0 + CEILING_STEP / 2 > meta.ceiling.0 {
            meta.ceiling = Revision(self.revision.0 + CEILING_STEP);
        }
        let (rows, compacted) = forgotten.unwrap_or_default();
        meta.compacted = meta.compacted.max(compacted);
        let written = self.write(changes, &rows, meta);
        match written {
            Ok(()) => {
                self.meta = meta;
                self.pending.clear();
                self.pending_since = None;
                Ok(())
            }
            Err(error) => {
                self.index.remember(rows);
                self.recover(changes, meta, error)
            }
        }
    }

    fn write(&mut self, changes: &[Change], rows: &[Superseded], meta: Meta) -> Result<(), redb::Error> {
        let started = Instant::now();
        let old = self.meta;
        self.disk.write(|tables| {
            for change in self.pending.iter().chain(changes) {
                tables.put(change)?;
            }
            for row in rows {
                tables.remove(row.row)?;
            }
            if meta.compacted != old.compacted {
                tables.forget_lost(meta.compacted)?;
            }
            if meta != old { tables.set_meta(meta) } else { Ok(()) }
        })?;
        self.counters.committed(started.elapsed(), self.disk.file_bytes());
        Ok(())
    }

    /// After a failed commit: opens the file anew and looks whether the commit reached the disk after all.
    fn recover(&mut self, changes: &[Change], meta: Meta, error: redb::Error) -> Result<(), CommitError> {
        tracing::error!(%error, "a commit failed, the store is opened anew");
        let refused = disk::unwritten(&error);
        self.disk.reopen().map_err(|error| CommitError::Failed(error.to_string()))?;
        let newest = changes.last().or(self.pending.last()).map(|change| change.revision);
        match newest.map(|newest| disk::holds(&self.disk, newest)) {
            Some(Ok(true)) => {
                self.meta = meta;
                self.pending.clear();
                self.pending_since = None;
                Ok(())
            }
            Some(Err(error)) => Err(disk::unwritten(&error)),
            Some(Ok(false)) | None => Err(refused),
        }
    }

    /// Takes a batch back that could not be stored, newest first.
    fn take_back(&mut self, batch: Vec<Numbered>, error: &CommitError) {
        for numbered in batch.into_iter().rev() {
            self.index.undo(&numbered.change, numbered.old);
            // The same number may be given again: nobody was told of it, and it is not on the disk.
            self.revision.0 -= 1;
            let refused = match error {
                CommitError::Full => CommitError::Full,
                other => CommitError::Failed(other.to_string()),
            };
            let _ = numbered.reply.send(Err(refused));
        }
    }

    fn answer(&mut self, command: Command) {
        match command {
            Command::Write(..) | Command::Close(_) => {}
            Command::Subscribe(reply) => {
                let subscribed = self.flush().and_then(|()| self.subscribe());
                let _ = reply.send(subscribed);
            }
            Command::Snapshot(reply) => {
                let snapshot = self.flush().and_then(|()| self.disk.snapshot().map_err(|e| disk::unwritten(&e)));
                let _ = reply.send(snapshot);
            }
            Command::Compact(revision, reply) => {
                self.compact_to = self.compact_to.max(revision.min(self.revision));
                while self.compact_bite() == COMPACTION_ROWS_MAX {}
                let _ = reply.send(());
            }
        }
    }

    fn subscribe(&mut self) -> Result<Subscription, CommitError> {
        let snapshot = self.disk.snapshot().map_err(|error| disk::unwritten(&error))?;
        let (sender, subscription) = subscription::start(snapshot, self.revision);
        self.subscribers.push(sender);
        Ok(subscription)
    }

    /// What is done when nothing else is: pending writes are stored, old history is forgotten.
    fn tick(&mut self) {
        if let Err(error) = self.flush() {
            tracing::warn!(%error, "relaxed writes are not stored yet");
        }
        self.compact_bite();
    }

    fn flush(&mut self) -> Result<(), CommitError> {
        if self.pending.is_empty() { Ok(()) } else { self.commit(&[]).inspect(|()| self.publish_numbers()) }
    }

    /// Forgets some history in a commit of its own; answers how many rows.
    fn compact_bite(&mut self) -> usize {
        let before = self.index.history_len();
        let horizon = Instant::now().checked_sub(self.history_age_max);
        if !self.index.has_due(self.compact_to, horizon, self.history_bytes_max) {
            return 0;
        }
        match self.commit(&[]) {
            Ok(()) => {
                self.publish_numbers();
                before - self.index.history_len()
            }
            Err(error) => {
                tracing::warn!(%error, "history could not be forgotten yet");
                0
            }
        }
    }

    /// Tells subscribers, waiting for one that is slow, and drops those that are gone.
    fn publish(&mut self, changes: Vec<Change>) {
        let batch = Batch { changes, revision: self.revision };
        self.subscribers.retain(|subscriber| subscriber.blocking_send(batch.clone()).is_ok());
        self.publish_numbers();
    }

    fn publish_numbers(&self) {
        self.numbers.revision.store(self.revision.0, Ordering::Release);
        self.numbers.compacted.store(self.meta.compacted.0, Ordering::Release);
    }

    /// Stores what is pending and marks the store as closed in peace.
    fn end(&mut self) {
        let closed = self.flush().and_then(|()| {
            let meta = Meta { is_clean: true, ceiling: self.revision, ..self.meta };
            self.disk.write(|tables| tables.set_meta(meta)).map_err(|error| disk::unwritten(&error))
        });
        if let Err(error) = closed {
            tracing::error!(%error, "the store could not be closed in peace");
        }
    }
}
