//! Snapshots that a handed-out `continue` token keeps alive, so that a list in pages shows one revision to its end
//! however much is written meanwhile.
//!
//! Pins are few and short: at the limit the oldest goes, and its token then gets 410 with a token that goes on at the
//! newest revision, as upstream's compaction does.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::clock::Instant;
use store::Revision;

use crate::cache::{Cache, Snapshot};

/// Pinned snapshots in all. A snapshot shares all that did not change since, so this bounds the memory of lists that
/// nobody finishes.
const PINS_MAX: usize = 256;

/// How long a token is good for at least; upstream compacts after five minutes.
const PIN_DURATION: Duration = Duration::from_secs(6 * 60);

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Pins {
    pins: Mutex<VecDeque<Pin>>,
}

#[derive(Debug)]
struct Pin {
    /// Group and plural of the stored resource.
    resource: (String, String),
    pinned: Pinned,
    until: Instant,
}

/// What a token leads to.
#[derive(Clone, Debug)]
pub(crate) struct Pinned {
    pub snapshot: Snapshot,
    /// What was left of the list whose page was shown last, if that was counted.
    pub left: Option<Left>,
}

/// How many objects of a list are still to be shown.
#[derive(Clone, Debug)]
pub(crate) struct Left {
    pub namespace: Option<String>,
    /// The key at which the next page begins.
    pub from: String,
    pub count: usize,
}

impl Pins {
    /// Keeps a snapshot of `cache` for the time that its token is good.
    pub(crate) fn pin(&self, cache: &Cache, pinned: Pinned) {
        let resource = name(cache);
        let now = Instant::now();
        let mut pins = self.lock();
        let revision = pinned.snapshot.revision;
        pins.retain(|pin| pin.until > now && !(pin.resource == resource && pin.pinned.snapshot.revision == revision));
        if pins.len() == PINS_MAX {
            pins.pop_front();
        }
        pins.push_back(Pin { resource, pinned, until: now + PIN_DURATION });
    }

    /// The snapshot of `cache` at `revision`, if it is pinned still.
    pub(crate) fn find(&self, cache: &Cache, revision: Revision) -> Option<Pinned> {
        let resource = name(cache);
        let now = Instant::now();
        let pins = self.lock();
        let is_it =
            |pin: &&Pin| pin.until > now && pin.pinned.snapshot.revision == revision && pin.resource == resource;
        pins.iter().find(is_it).map(|pin| pin.pinned.clone())
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Pin>> {
        self.pins.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn name(cache: &Cache) -> (String, String) {
    let storage = &cache.resource().storage;
    (storage.group.to_string(), storage.plural.to_string())
}
