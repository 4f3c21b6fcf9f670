//! Events end: an hour after their last change, or earlier where there are too many.
//!
//! Each change of an Event is noted with the time at which it was seen, on the clock that nobody can set; so the order
//! of changes is the order of ends, and the oldest note is all that has to be looked at. What a start finds counts from
//! the date that the server gave it when it was made.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use api::meta;
use api::scheme::{Resource, Scheme};
use base::clock::{self, Instant};
use base::shutdown::Shutdown;
use futures::StreamExt as _;
use jiff::Timestamp;
use store::Revision;

use crate::cache::{Interest, Object, Subscription};
use crate::objects::{Change, Objects};
use crate::options::Keep;

/// Events that are kept: beyond it the oldest ends early. A cluster of a thousand nodes tells some hundred thousand an
/// hour in its worst one; each weighs about a kilobyte.
const EVENTS_MAX: usize = 200_000;

/// Removals that are under way at once: enough to fill one commit.
const REMOVALS_MAX: usize = 64;

/// Events that end together at least wait for one another this long, so that a commit takes many.
const ROUND: Duration = Duration::from_secs(10);

/// A change of an Event.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Note {
    key: Arc<str>,
    revision: Revision,
    ends: Instant,
}

/// Ends Events until `shutdown`.
pub(crate) async fn run(objects: Objects, ttl: Duration, shutdown: Shutdown) {
    while shutdown.or(follow(&objects, ttl)).await == Some(Followed::CutOff) {}
}

/// Why a watch was given up.
#[derive(Debug, Eq, PartialEq)]
enum Followed {
    /// It fell behind, and begins anew.
    CutOff,
    /// There are no Events.
    Nothing,
}

/// Ends what is there and what comes.
async fn follow(objects: &Objects, ttl: Duration) -> Followed {
    let Some(events) = Scheme::builtin().resource("", "v1", "events") else { return Followed::Nothing };
    let Ok(cache) = objects.cache(events) else { return Followed::Nothing };
    let (snapshot, mut changes) = cache.watch_all(objects.caches().applied(), Interest::default());
    let (now, date) = (Instant::now(), clock::now());
    let found = snapshot.objects.values().map(|event| note(event, now + ttl.saturating_sub(age(event, date))));
    let mut notes: Vec<Note> = found.collect();
    notes.sort_by_key(|note| note.ends);
    let mut notes = VecDeque::from(notes);
    drop(snapshot);
    loop {
        if !take_in(&mut changes, &mut notes, ttl).await {
            return Followed::CutOff;
        }
        let over = over(&mut notes, Instant::now());
        let removals: Vec<_> = over.into_iter().map(|note| remove(objects.clone(), Arc::clone(events), note)).collect();
        futures::stream::iter(removals).buffer_unordered(REMOVALS_MAX).collect::<()>().await;
    }
}

/// Notes changes for one round; `false` when the watch was cut off.
async fn take_in(changes: &mut Subscription, notes: &mut VecDeque<Note>, ttl: Duration) -> bool {
    let round = Instant::now() + ROUND;
    loop {
        match tokio::time::timeout_at(round, changes.next()).await {
            Err(_) => return true,
            Ok(None) => return false,
            Ok(Some(change)) if change.is_deletion => {}
            Ok(Some(change)) => notes.push_back(note(&change.object, Instant::now() + ttl)),
        }
        if notes.len() > EVENTS_MAX {
            return true;
        }
    }
}

/// The notes whose time has come, and the oldest of those that are too many.
fn over(notes: &mut VecDeque<Note>, now: Instant) -> Vec<Note> {
    let ended = notes.partition_point(|note| note.ends <= now);
    let excess = notes.len().saturating_sub(EVENTS_MAX);
    notes.drain(..ended.max(excess)).collect()
}

fn note(event: &Object, ends: Instant) -> Note {
    Note { key: Arc::clone(&event.key), revision: event.revision, ends }
}

/// How long an Event is there already, as far as its date tells.
fn age(event: &Object, now: Timestamp) -> Duration {
    let made = event.to_value().ok().and_then(|event| meta::creation_timestamp(&event)?.parse::<Timestamp>().ok());
    // A date of the future, from before somebody set the clock back, counts as now.
    made.and_then(|made| now.duration_since(made).try_into().ok()).unwrap_or_default()
}

/// Removes an Event unless it changed since: then it has a later note.
async fn remove(objects: Objects, events: Arc<Resource>, note: Note) {
    let Some((namespace, name)) = note.key.split_once('/') else { return };
    let revision = note.revision;
    let removed = objects.change(&events, Some(namespace), name, Keep::Stored, |current, value| async move {
        Ok(if current.revision == revision { Change::Remove(value) } else { Change::Nothing(value) })
    });
    match removed.await {
        Err(status) if !status.is_not_found() => {
            tracing::warn!(event = %note.key, error = status.message, "an Event whose time is over stays");
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_over_when_their_time_has_come_or_there_are_too_many() {
        let now = Instant::now();
        let note =
            |seconds| Note { key: "n/e".into(), revision: Revision(1), ends: now + Duration::from_secs(seconds) };
        let mut notes: VecDeque<Note> = [1, 2, 3].map(note).into();
        assert_eq!(over(&mut notes, now), []);
        assert_eq!(over(&mut notes, now + Duration::from_secs(2)), [note(1), note(2)]);
        assert_eq!(notes, [note(3)]);
        notes.extend((0..EVENTS_MAX).map(|_| note(9)));
        assert_eq!(over(&mut notes, now), [note(3)]);
    }
}
