//! Snapshots that a handed-out `continue` token keeps alive, so that a list in pages shows one revision to its end
//! however much is written meanwhile.
//!
//! Pins are few and short, and what they keep alive is bounded: at a limit the oldest goes, and its token then gets 410
//! with a token that goes on at the newest revision, as upstream's compaction does.

use std::collections::VecDeque;
use std::time::Duration;

use base::clock::Instant;
use store::Revision;

use super::Snapshot;

/// Pinned snapshots of one resource.
const PINS_MAX: usize = 64;

/// Bytes of superseded objects that the pins of one resource keep alive.
const PINNED_BYTES_MAX: u64 = 64 << 20;

/// How long a token is good for, from the first page of its list on; upstream compacts after five minutes.
const PIN_DURATION: Duration = Duration::from_secs(6 * 60);

/// The pins of a cache, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Pins {
    pins: VecDeque<(Pinned, Instant)>,
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
    /// Keeps a snapshot for the time that its token is good.
    pub(super) fn add(&mut self, pinned: Pinned) {
        let now = Instant::now();
        self.forget_old();
        let is_it = |(pin, _): &&mut (Pinned, Instant)| pin.snapshot.revision == pinned.snapshot.revision;
        if let Some((known, _)) = self.pins.iter_mut().find(is_it) {
            // Its time runs from the first page on.
            known.left = pinned.left;
            return;
        }
        if self.pins.len() == PINS_MAX {
            self.pins.pop_front();
        }
        self.pins.push_back((pinned, now + PIN_DURATION));
    }

    /// What is pinned at a revision, if it still is.
    pub(super) fn find(&self, revision: Revision) -> Option<Pinned> {
        let now = Instant::now();
        let is_it = |(pin, until): &&(Pinned, Instant)| *until > now && pin.snapshot.revision == revision;
        self.pins.iter().find(is_it).map(|(pin, _)| pin.clone())
    }

    /// Lets go of those that keep too much alive, now that so many bytes were superseded in all.
    pub(super) fn trim(&mut self, superseded: u64) {
        if !self.pins.is_empty() {
            self.pins.retain(|(pin, _)| superseded - pin.snapshot.superseded <= PINNED_BYTES_MAX);
        }
    }

    /// Lets go of those whose time is over.
    pub(super) fn forget_old(&mut self) {
        let now = Instant::now();
        self.pins.retain(|(_, until)| *until > now);
    }
}
