//! How the writer starts: it opens the file, reads the log once into the index, and finds out what a crash has lost.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use base::clock::Instant;
use tokio::sync::{mpsc, oneshot};

use super::handle::{Command, Handle, Numbers};
use super::{CEILING_STEP, COMPACTION_INTERVAL, Health, History, QUEUE_MAX, Writer};
use crate::disk::format::MIGRATIONS;
use crate::disk::open::{self, Backend, OpenError};
use crate::disk::{Meta, Range, Snapshot};
use crate::index::Index;
use crate::metrics::Counters;
use crate::{Revision, lost};

/// What opening answers with: the handle, and the ranges that crashes may have lost.
pub(crate) type Opened = Result<(Handle, Vec<Range>), OpenError>;

/// The writer's thread: opens the store, answers with its handle, and works until it is closed or every handle is gone.
pub(crate) fn run(
    backend: Backend,
    history: History,
    callers: tokio::runtime::Handle,
    opened: oneshot::Sender<Opened>,
) {
    let place = backend.to_string();
    let (commands, queue) = mpsc::channel(QUEUE_MAX);
    // redb checks what it reads, but where a broken file gets past that it panics: that too is a broken file.
    let writer = std::panic::catch_unwind(AssertUnwindSafe(|| open(backend, history, callers, commands)))
        .unwrap_or_else(|_| Err(open::broken(place, "reading it ended in a panic".to_owned())));
    match writer {
        Ok((writer, handle, lost)) => {
            if opened.send(Ok((handle, lost))).is_ok() {
                writer.work(queue);
            }
        }
        Err(error) => {
            // Whoever asked may have given up waiting: then nobody is to be told.
            let _ = opened.send(Err(error));
        }
    }
}

fn open(
    backend: Backend,
    history: History,
    callers: tokio::runtime::Handle,
    commands: mpsc::Sender<Command>,
) -> Result<(Writer, Handle, Vec<Range>), OpenError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(OpenError::Thread)?;
    let disk = open::open(backend, MIGRATIONS)?;
    let unopened = |error| disk.unopened(error);
    let snapshot = disk.snapshot().map_err(unopened)?;
    let index = read_index(&snapshot).map_err(unopened)?;
    let lost = snapshot.lost().map_err(unopened)?;
    let start = Start::after(snapshot.meta().map_err(unopened)?, snapshot.revision, lost);
    drop(snapshot);
    // From here on revisions are handed out, so the file must say that it is in use.
    disk.write(|tables| tables.set_lost(&start.lost).and_then(|()| tables.set_meta(start.meta))).map_err(unopened)?;

    let numbers = Arc::new(Numbers::default());
    let counters = Arc::new(Counters::default());
    counters.wrote(0, index.len());
    let handle = Handle { commands, numbers: Arc::clone(&numbers), counters: Arc::clone(&counters) };
    let writer = Writer {
        disk,
        index,
        health: Health::Writes,
        meta: start.meta,
        revision: start.revision,
        pending: Vec::new(),
        flush_due: None,
        subscribers: Vec::new(),
        history,
        compact_to: Revision(0),
        compactions: Vec::new(),
        compact_due: Instant::now() + COMPACTION_INTERVAL,
        numbers,
        counters,
        runtime,
        callers,
    };
    writer.publish_numbers();
    Ok((writer, handle, start.lost))
}

fn read_index(snapshot: &Snapshot) -> Result<Index, redb::Error> {
    let mut index = Index::default();
    let now = Instant::now();
    snapshot.each(|row| {
        index.read(row, now);
        Ok(true)
    })?;
    Ok(index)
}

/// Where a store goes on.
#[derive(Debug, Eq, PartialEq)]
struct Start {
    revision: Revision,
    meta: Meta,
    lost: Vec<Range>,
}

impl Start {
    /// After what the file says: its numbers, its newest change, and the ranges that earlier crashes may have lost.
    fn after(meta: Meta, newest: Revision, mut lost: Vec<Range>) -> Self {
        let mut revision = newest.max(meta.compacted);
        if meta.is_clean {
            revision = revision.max(meta.ceiling);
        } else if revision < meta.ceiling {
            // Anything up to the ceiling may have been handed out, and told to watchers.
            lost::add(&mut lost, (revision, meta.ceiling));
            revision = meta.ceiling;
        }
        lost.retain(|(_, end)| *end > meta.compacted);
        let ceiling = Revision(revision.0 + CEILING_STEP);
        Self { revision, meta: Meta { ceiling, is_clean: false, ..meta }, lost }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `(ceiling, compacted, is_clean)`, the newest change and what was lost before; the revision and what is lost now.
    #[track_caller]
    fn check(meta: (u64, u64, bool), newest: u64, lost: &[(u64, u64)], expected: (u64, &[(u64, u64)])) {
        let ranges = |numbers: &[(u64, u64)]| numbers.iter().map(|(a, b)| (Revision(*a), Revision(*b))).collect();
        let (ceiling, compacted, is_clean) = meta;
        let meta = Meta { ceiling: Revision(ceiling), compacted: Revision(compacted), is_clean };
        let (revision, lost_now) = expected;
        let ceiling = Revision(revision + CEILING_STEP);
        let expected = Start {
            revision: Revision(revision),
            meta: Meta { ceiling, is_clean: false, ..meta },
            lost: ranges(lost_now),
        };
        assert_eq!(Start::after(meta, Revision(newest), ranges(lost)), expected);
    }

    #[test]
    fn a_store_that_is_new_or_was_closed_goes_on_where_it_was() {
        check((0, 0, false), 0, &[], (0, &[]));
        check((7, 0, true), 7, &[], (7, &[]));
        // What was newest may be compacted away: its number is still not given again.
        check((9, 9, true), 7, &[], (9, &[]));
        check((9, 3, true), 7, &[], (9, &[]));
    }

    #[test]
    fn a_store_that_crashed_jumps_to_its_ceiling() {
        check((100, 0, false), 7, &[], (100, &[(7, 100)]));
        check((100, 0, false), 100, &[], (100, &[]));
        check((200, 0, false), 107, &[(7, 100)], (200, &[(7, 100), (107, 200)]));
        check((200, 0, false), 7, &[(7, 100)], (200, &[(7, 200)]));
    }

    #[test]
    fn what_was_lost_is_forgotten_once_it_is_compacted() {
        check((300, 100, true), 300, &[(7, 100), (107, 200)], (300, &[(107, 200)]));
    }
}
