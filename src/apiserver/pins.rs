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
    snapshot: Snapshot,
    until: Instant,
}

impl Pins {
    /// Keeps `snapshot` of `cache` for the time that its token is good.
    pub(crate) fn pin(&self, cache: &Cache, snapshot: &Snapshot) {
        let resource = name(cache);
        let now = Instant::now();
        let mut pins = self.lock();
        pins.retain(|pin| pin.until > now && !(pin.resource == resource && pin.snapshot.revision == snapshot.revision));
        if pins.len() == PINS_MAX {
            pins.pop_front();
        }
        pins.push_back(Pin { resource, snapshot: snapshot.clone(), until: now + PIN_DURATION });
    }

    /// The snapshot of `cache` at `revision`, if it is pinned still.
    pub(crate) fn find(&self, cache: &Cache, revision: Revision) -> Option<Snapshot> {
        let resource = name(cache);
        let now = Instant::now();
        let pins = self.lock();
        let pin =
            pins.iter().find(|pin| pin.until > now && pin.snapshot.revision == revision && pin.resource == resource)?;
        Some(pin.snapshot.clone())
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Pin>> {
        self.pins.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn name(cache: &Cache) -> (String, String) {
    let storage = &cache.resource().storage;
    (storage.group.to_string(), storage.plural.to_string())
}
