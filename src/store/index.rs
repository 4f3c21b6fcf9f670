//! Which change each key is at, and which rows of the log are history.
//!
//! `keys` is canonical; `history` lists the rows that a later change superseded, oldest first, and when. A row may be
//! forgotten once the change that superseded it is older than the horizon: until then a watcher that resumes needs it
//! to know what the object was before.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use base::clock::Instant;

use crate::{Change, Expect, Revision, Write};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Index {
    keys: HashMap<Arc<str>, Place>,
    history: VecDeque<Superseded>,
    history_bytes: u64,
}

/// Where a key stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Place {
    pub revision: Revision,
    pub created: Revision,
    bytes: u64,
}

/// A row that is history.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Superseded {
    /// The row.
    pub row: Revision,
    /// The change that made it history; a removal supersedes also itself.
    by: Revision,
    at: Instant,
    bytes: u64,
}

impl Index {
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether `write` may happen; if not, where its key stands.
    pub(crate) fn check(&self, write: &Write) -> Result<(), Option<Revision>> {
        let current = self.keys.get(&write.key).map(|place| place.revision);
        let is_expected = match write.expect {
            // There is nothing to remove, whatever was expected.
            _ if write.value.is_none() && current.is_none() => false,
            Expect::Absent => current.is_none(),
            Expect::At(revision) => current == Some(revision),
            Expect::Any => true,
        };
        if is_expected { Ok(()) } else { Err(current) }
    }

    /// Numbers a write that was checked, and takes it in. The place that it replaces is handed back, for
    /// [`Index::undo`].
    pub(crate) fn apply(&mut self, write: Write, revision: Revision, now: Instant) -> (Change, Option<Place>) {
        let old = self.keys.get(&write.key).copied();
        let created = old.map_or(revision, |old| old.created);
        let change = Change { revision, key: write.key, value: write.value, created };
        let bytes = change.value.as_ref().map_or(0, |value| value.len() as u64);
        self.take_in(&change.key, revision, created, change.value.is_none(), bytes, now);
        (change, old)
    }

    /// Takes in a row of the log.
    pub(crate) fn take_in(
        &mut self,
        key: &Arc<str>,
        revision: Revision,
        created: Revision,
        is_removal: bool,
        bytes: u64,
        at: Instant,
    ) {
        let old = if is_removal {
            self.keys.remove(key)
        } else {
            self.keys.insert(Arc::clone(key), Place { revision, created, bytes })
        };
        if let Some(old) = old {
            self.supersede(Superseded { row: old.revision, by: revision, at, bytes: old.bytes });
        }
        if is_removal {
            self.supersede(Superseded { row: revision, by: revision, at, bytes: 0 });
        }
    }

    /// Takes back the newest change, which was not stored.
    pub(crate) fn undo(&mut self, change: &Change, old: Option<Place>) {
        while self.history.back().is_some_and(|newest| newest.by == change.revision) {
            if let Some(newest) = self.history.pop_back() {
                self.history_bytes -= newest.bytes;
            }
        }
        match old {
            Some(old) => self.keys.insert(Arc::clone(&change.key), old),
            None => self.keys.remove(&change.key),
        };
    }

    /// How many rows are history.
    pub(crate) fn history_len(&self) -> usize {
        self.history.len()
    }

    /// Whether any row may be forgotten, see [`Index::forget`].
    pub(crate) fn has_due(&self, revision: Revision, before: Option<Instant>, bytes_max: u64) -> bool {
        self.history.front().is_some_and(|oldest| {
            oldest.by <= revision || before.is_some_and(|before| oldest.at < before) || self.history_bytes > bytes_max
        })
    }

    /// Takes out rows that may be forgotten, at most `max`: those superseded before `before` or up to `revision`, and
    /// the oldest while history weighs more than `bytes_max`. Answers with them and the revision up to which history
    /// then has gaps.
    pub(crate) fn forget(
        &mut self,
        revision: Revision,
        before: Option<Instant>,
        bytes_max: u64,
        max: usize,
    ) -> Option<(Vec<Superseded>, Revision)> {
        let mut rows = Vec::new();
        while rows.len() < max && self.has_due(revision, before, bytes_max) {
            let Some(oldest) = self.history.pop_front() else { break };
            self.history_bytes -= oldest.bytes;
            rows.push(oldest);
        }
        let compacted = rows.last()?.by;
        Some((rows, compacted))
    }

    /// Puts rows back that could not be forgotten after all.
    pub(crate) fn remember(&mut self, rows: Vec<Superseded>) {
        for row in rows.into_iter().rev() {
            self.history_bytes += row.bytes;
            self.history.push_front(row);
        }
    }

    fn supersede(&mut self, row: Superseded) {
        self.history_bytes += row.bytes;
        self.history.push_back(row);
    }
}
