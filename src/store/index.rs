//! Which change each key is at, and which rows of the log are history.
//!
//! `keys` is canonical; `history` lists the rows that a later change superseded, oldest first, and when. A row may be
//! forgotten once the change that superseded it is older than the horizon: until then a watcher that resumes needs it
//! to know what the object was before.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use base::clock::Instant;

use crate::disk::row::Row;
use crate::{Change, Expect, Revision, Write};

/// What a row weighs beside its key and value: its own head and redb's, and its place in `history`.
const ROW_OVERHEAD_BYTES: u64 = 64;

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
    revision: Revision,
    created: Revision,
    bytes: u64,
}

/// A row that is history.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Superseded {
    /// The row.
    pub row: Revision,
    /// The change that made it history; a removal supersedes also itself.
    pub by: Revision,
    at: Instant,
    bytes: u64,
}

/// Up to where history may be forgotten: a row goes when any of these says so.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Horizon {
    /// What was superseded up to this change.
    pub revision: Revision,
    /// What was superseded before this time.
    pub before: Option<Instant>,
    /// The oldest, while all weigh more.
    pub bytes_max: u64,
}

/// A change as the index sees it: a row without its value.
struct Step<'k> {
    key: &'k Arc<str>,
    revision: Revision,
    created: Revision,
    is_removal: bool,
    value_bytes: usize,
}

impl Index {
    /// How many keys hold something.
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

    /// Makes the change of a write that was checked, and takes it in. The place that it replaces is handed back, for
    /// [`Index::undo`].
    pub(crate) fn apply(&mut self, write: Write, revision: Revision, now: Instant) -> (Change, Option<Place>) {
        let old = self.keys.get(&write.key).copied();
        let created = old.map_or(revision, |old| old.created);
        let change = Change { revision, key: write.key, value: write.value, created };
        let is_removal = change.value.is_none();
        let value_bytes = change.value.as_ref().map_or(0, bytes::Bytes::len);
        self.take_in(&Step { key: &change.key, revision, created, is_removal, value_bytes }, now);
        (change, old)
    }

    /// Takes in a row of the log. What it supersedes counts as superseded now: how long ago it was is not known.
    pub(crate) fn read(&mut self, row: Row<'_>, now: Instant) {
        let Row { revision, created, is_removal, key, value } = row;
        self.take_in(&Step { key: &Arc::from(key), revision, created, is_removal, value_bytes: value.len() }, now);
    }

    fn take_in(&mut self, step: &Step<'_>, at: Instant) {
        let &Step { key, revision, created, is_removal, value_bytes } = step;
        let bytes = ROW_OVERHEAD_BYTES + key.len() as u64 + value_bytes as u64;
        let old = if is_removal {
            self.keys.remove(key)
        } else {
            self.keys.insert(Arc::clone(key), Place { revision, created, bytes })
        };
        if let Some(old) = old {
            self.supersede(Superseded { row: old.revision, by: revision, at, bytes: old.bytes });
        }
        if is_removal {
            self.supersede(Superseded { row: revision, by: revision, at, bytes });
        }
    }

    /// Takes back the newest change, which was not stored.
    pub(crate) fn undo(&mut self, change: &Change, old: Option<Place>) {
        while let Some(newest) = self.history.pop_back_if(|newest| newest.by == change.revision) {
            self.history_bytes -= newest.bytes;
        }
        match old {
            Some(old) => self.keys.insert(Arc::clone(&change.key), old),
            None => self.keys.remove(&change.key),
        };
    }

    /// Whether any row may be forgotten.
    pub(crate) fn has_due(&self, horizon: &Horizon) -> bool {
        self.history.front().is_some_and(|oldest| {
            oldest.by <= horizon.revision
                || horizon.before.is_some_and(|before| oldest.at < before)
                || self.history_bytes > horizon.bytes_max
        })
    }

    /// Takes out rows that may be forgotten, oldest first, at most `max`.
    pub(crate) fn forget(&mut self, horizon: &Horizon, max: usize) -> Vec<Superseded> {
        let mut rows = Vec::new();
        while rows.len() < max && self.has_due(horizon) {
            let Some(oldest) = self.history.pop_front() else { break };
            self.history_bytes -= oldest.bytes;
            rows.push(oldest);
        }
        rows
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Urgency;

    fn write(key: &str, value: Option<&'static str>) -> Write {
        let value = value.map(|value| bytes::Bytes::from_static(value.as_bytes()));
        Write { key: key.into(), expect: Expect::Any, value, urgency: Urgency::Durable }
    }

    /// An index after writes, the first at revision 1; each a second after the one before it.
    fn index(start: Instant, writes: &[(&str, Option<&'static str>)]) -> Index {
        let mut index = Index::default();
        for (at, (key, value)) in (1..).zip(writes) {
            index.apply(write(key, *value), Revision(at), start + Duration::from_secs(at));
        }
        index
    }

    fn horizon(revision: u64) -> Horizon {
        Horizon { revision: Revision(revision), before: None, bytes_max: u64::MAX }
    }

    fn rows(forgotten: &[Superseded]) -> Vec<u64> {
        forgotten.iter().map(|row| row.row.0).collect()
    }

    const LIFE: [(&str, Option<&str>); 5] =
        [("a", Some("1")), ("a", Some("2")), ("b", Some("1")), ("b", None), ("a", Some("3"))];

    #[test]
    fn what_was_superseded_up_to_the_horizon_is_forgotten_and_what_lives_is_not() {
        let check = |horizon: Horizon, max, expected: &[u64]| {
            assert_eq!(rows(&index(Instant::now(), &LIFE).forget(&horizon, max)), expected);
        };
        check(horizon(0), 10, &[]);
        check(horizon(1), 10, &[]);
        check(horizon(2), 10, &[1]);
        check(horizon(4), 10, &[1, 3, 4]);
        check(horizon(5), 10, &[1, 3, 4, 2]);
        check(horizon(5), 2, &[1, 3]);
    }

    #[test]
    fn age_and_weight_forget_the_oldest_first() {
        let start = Instant::now();
        let by_age = Horizon { before: Some(start + Duration::from_secs(4)), ..horizon(0) };
        assert_eq!(rows(&index(start, &LIFE).forget(&by_age, 10)), [1], "1 was superseded in second 2, 3 in second 4");
        let by_weight = Horizon { bytes_max: 2 * (ROW_OVERHEAD_BYTES + 2), ..horizon(0) };
        assert_eq!(rows(&index(start, &LIFE).forget(&by_weight, 10)), [1, 3]);
    }

    #[test]
    fn a_change_that_was_not_stored_leaves_no_trace() {
        let now = Instant::now();
        for undone in [write("a", Some("9")), write("a", None), write("new", Some("1"))] {
            let mut index = index(now, &LIFE);
            let (keys, history, bytes) = (index.keys.clone(), index.history.clone(), index.history_bytes);
            let (change, old) = index.apply(undone, Revision(6), now);
            index.undo(&change, old);
            assert_eq!((index.keys, index.history, index.history_bytes), (keys, history, bytes), "{change:?}");
        }
    }

    #[test]
    fn rows_that_are_remembered_again_are_forgotten_in_the_same_order() {
        let mut index = index(Instant::now(), &LIFE);
        let rows = index.forget(&horizon(5), 3);
        index.remember(rows.clone());
        assert_eq!(index.forget(&horizon(5), 3), rows);
    }
}
