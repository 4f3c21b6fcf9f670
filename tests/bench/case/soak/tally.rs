//! What all the clients of a soak did since somebody asked last.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::samples::Samples;

/// Counted by everybody, taken once a minute; so it holds no more than a minute's requests.
#[derive(Debug, Default)]
pub(super) struct Tally(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    writes: Vec<Duration>,
    renewals: Vec<Duration>,
    lists: Vec<Duration>,
    events: usize,
    watches: usize,
    errors: usize,
    first_error: Option<String>,
}

/// What one client did.
#[derive(Clone, Copy, Debug)]
pub(super) enum Did {
    /// Created, changed or deleted an object.
    Write(Duration),
    /// Renewed a lease.
    Renew(Duration),
    /// Listed a collection to its last page.
    List(Duration),
    /// Heard of a change.
    Hear,
    /// Watched, and went.
    Watch,
}

/// What all did in a minute.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) writes: Samples,
    pub(super) renewals: Samples,
    pub(super) lists: Samples,
    pub(super) events: usize,
    pub(super) watches: usize,
    pub(super) errors: usize,
    /// The first of them.
    pub(super) first_error: Option<String>,
}

impl Tally {
    pub(super) fn count(&self, did: Did) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match did {
            Did::Write(time) => state.writes.push(time),
            Did::Renew(time) => state.renewals.push(time),
            Did::List(time) => state.lists.push(time),
            Did::Hear => state.events += 1,
            Did::Watch => state.watches += 1,
        }
    }

    pub(super) fn count_error(&self, error: &anyhow::Error) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.errors += 1;
        state.first_error.get_or_insert_with(|| format!("{error:#}"));
    }

    /// Everything since the last time.
    pub(super) fn take(&self) -> Counts {
        let state = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        Counts {
            writes: Samples::new(state.writes),
            renewals: Samples::new(state.renewals),
            lists: Samples::new(state.lists),
            events: state.events,
            watches: state.watches,
            errors: state.errors,
            first_error: state.first_error,
        }
    }
}
