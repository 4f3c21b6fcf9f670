//! A batch's way to the disk: gathered, numbered, written, and acknowledged or taken back.

use base::clock::Instant;

use super::handle::Reply;
use super::{
    BATCH_BYTES_MAX, BATCH_MAX, CEILING_STEP, COMPACTION_INTERVAL, COMPACTION_ROWS_MAX, Health, PENDING_MAX,
    RELAXED_DELAY_MAX, Writer,
};
use crate::disk::{self, Meta};
use crate::index::{Place, Superseded};
use crate::{Change, CommitError, Revision, Urgency, Write};

/// Writes that go one way together.
#[derive(Default)]
pub(super) struct Gathered {
    numbered: Vec<Numbered>,
    /// Writes that were refused because of what others of the batch, or earlier changes, did. They are answered with
    /// the batch: if that is taken back, their refusal was for nothing.
    refused: Vec<(Reply<Revision>, CommitError)>,
    bytes: usize,
    has_durable: bool,
}

/// A write that has its number and is not acknowledged yet.
struct Numbered {
    change: Change,
    /// Where the key stood before.
    old: Option<Place>,
    reply: Reply<Revision>,
}

impl Gathered {
    pub(super) fn is_full(&self) -> bool {
        self.numbered.len() + self.refused.len() >= BATCH_MAX || self.bytes >= BATCH_BYTES_MAX
    }

    fn acknowledge(self) {
        // Whoever no longer waits for the acknowledgement reads the change like everybody.
        for numbered in self.numbered {
            let _ = numbered.reply.send(Ok(numbered.change.revision));
        }
        for (reply, error) in self.refused {
            let _ = reply.send(Err(error));
        }
    }
}

impl Health {
    /// Why a commit need not be tried now.
    pub(super) fn refusal(&self, now: Instant) -> Option<CommitError> {
        match self {
            Self::Writes => None,
            Self::Full { until } => (now < *until).then_some(CommitError::Full),
            Self::Failed { reason } => Some(CommitError::Failed(reason.clone())),
        }
    }
}

impl Writer {
    /// Checks a write and gives it its revision, or refuses it.
    pub(super) fn number(&mut self, write: Write, reply: Reply<Revision>, batch: &mut Gathered) {
        if let Err(current) = self.index.check(&write) {
            batch.refused.push((reply, CommitError::Conflict { current }));
            return;
        }
        batch.bytes += write.key.len() + write.value.as_ref().map_or(0, bytes::Bytes::len);
        batch.has_durable |= write.urgency == Urgency::Durable;
        self.revision.0 += 1;
        let (change, old) = self.index.apply(write, self.revision, Instant::now());
        batch.numbered.push(Numbered { change, old, reply });
    }

    /// Makes a batch durable if any of it asks for that, and acknowledges it.
    pub(super) fn finish(&mut self, batch: Gathered) {
        if !batch.numbered.is_empty() {
            let changes: Vec<Change> = batch.numbered.iter().map(|numbered| numbered.change.clone()).collect();
            if self.must_commit(&batch) {
                if let Err(error) = self.commit(&changes) {
                    return self.take_back(batch, &error);
                }
            } else {
                self.flush_due.get_or_insert_with(|| Instant::now() + RELAXED_DELAY_MAX);
                self.pending.extend(changes.iter().cloned());
            }
            self.counters.wrote(changes.len(), self.index.len());
            self.publish(changes);
        }
        if batch.numbered.len() + batch.refused.len() > 1 {
            self.callers.spawn(async move { batch.acknowledge() });
        } else {
            batch.acknowledge();
        }
    }

    /// Whether a batch needs a commit of its own. Even a relaxed one does where no durable ceiling covers its numbers,
    /// and where the disk failed: there the numbers that were taken back may name changes on the disk.
    fn must_commit(&self, batch: &Gathered) -> bool {
        batch.has_durable
            || self.pending.len() + batch.numbered.len() > PENDING_MAX
            || self.flush_due.is_some_and(|due| due <= Instant::now())
            || self.revision > self.meta.ceiling
            || matches!(self.health, Health::Failed { .. })
    }

    /// Takes a batch back that could not be stored, newest first.
    fn take_back(&mut self, batch: Gathered, error: &CommitError) {
        for numbered in batch.numbered.into_iter().rev() {
            self.index.undo(&numbered.change, numbered.old);
            // Nobody was told of the number. It is given again only where the change is known not to be on the disk:
            // else the disk's health lets no further commit pass.
            self.revision.0 -= 1;
            let _ = numbered.reply.send(Err(error.clone()));
        }
        for (reply, _) in batch.refused {
            let _ = reply.send(Err(error.clone()));
        }
    }

    /// Stores what is pending.
    pub(super) fn flush(&mut self) -> Result<(), CommitError> {
        if self.pending.is_empty() { Ok(()) } else { self.commit(&[]) }
    }

    /// Writes pending and new changes, and a bite of compaction, in one transaction.
    pub(super) fn commit(&mut self, changes: &[Change]) -> Result<(), CommitError> {
        let now = Instant::now();
        if let Some(refusal) = self.health.refusal(now) {
            self.wait_after_failure(now);
            return Err(refusal);
        }
        let rows = self.index.forget(&self.horizon(now), COMPACTION_ROWS_MAX);
        let meta = self.next_meta(&rows);
        if let Err(error) = self.write(changes, &rows, meta) {
            self.index.remember(rows);
            return Err(self.fail(changes, &error));
        }
        self.counters.committed(now.elapsed(), self.disk.file_bytes());
        if let Health::Full { .. } = std::mem::replace(&mut self.health, Health::Writes) {
            tracing::info!("the disk has space again, writes are taken");
        }
        self.meta = meta;
        self.pending.clear();
        self.flush_due = None;
        // A full bite means that more is to be forgotten: the next time that nobody waits for the writer.
        self.compact_due = if rows.len() == COMPACTION_ROWS_MAX { now } else { now + COMPACTION_INTERVAL };
        self.publish_numbers();
        Ok(())
    }

    /// The numbers after a commit that forgets `rows`.
    fn next_meta(&self, rows: &[Superseded]) -> Meta {
        let mut meta = self.meta;
        if let Some(newest) = rows.last() {
            meta.compacted = meta.compacted.max(newest.by);
        }
        if self.revision.0 + CEILING_STEP / 2 > meta.ceiling.0 {
            meta.ceiling = Revision(self.revision.0 + CEILING_STEP);
        }
        meta
    }

    fn write(&self, changes: &[Change], rows: &[Superseded], meta: Meta) -> Result<(), redb::Error> {
        self.disk.write(|tables| {
            self.pending.iter().chain(changes).try_for_each(|change| tables.put(change))?;
            rows.iter().try_for_each(|row| tables.remove(row.row))?;
            if meta == self.meta { Ok(()) } else { tables.set_meta(meta) }
        })
    }

    /// After a commit that failed: opens the file anew, since redb does nothing more after an error, and decides how
    /// the store goes on.
    fn fail(&mut self, changes: &[Change], error: &redb::Error) -> CommitError {
        let newest = changes.last().or(self.pending.last()).map(|change| change.revision);
        let is_absent = self.disk.reopen().is_ok()
            && newest.is_none_or(|newest| self.disk.holds(newest).is_ok_and(|is_there| !is_there));
        let now = Instant::now();
        let refused = unwritten(error);
        self.health = if matches!(refused, CommitError::Full) && is_absent {
            if let Health::Writes = self.health {
                tracing::error!(%error, "the disk is full, writes are refused until there is space");
            }
            Health::Full { until: now + RELAXED_DELAY_MAX }
        } else {
            tracing::error!(%error, "the disk failed, writes are refused until the store is opened again");
            self.numbers.fail(&error.to_string());
            Health::Failed { reason: error.to_string() }
        };
        self.wait_after_failure(now);
        self.health.refusal(now).unwrap_or(refused)
    }

    /// Sets when the next commit that nobody asks for is tried.
    fn wait_after_failure(&mut self, now: Instant) {
        self.compact_due = now + COMPACTION_INTERVAL;
        let has_hope = !matches!(self.health, Health::Failed { .. });
        self.flush_due = (has_hope && !self.pending.is_empty()).then_some(now + RELAXED_DELAY_MAX);
    }
}

/// A failed write by what the caller can do about it.
pub(super) fn unwritten(error: &redb::Error) -> CommitError {
    if disk::is_full(error) { CommitError::Full } else { CommitError::Failed(error.to_string()) }
}

/// A failed read.
pub(super) fn unread(error: &redb::Error) -> CommitError {
    CommitError::Failed(error.to_string())
}
