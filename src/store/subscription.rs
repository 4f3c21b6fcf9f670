//! A subscription: the log from its beginning, read from the disk, and then each batch as it is committed.
//!
//! The writer hands over a snapshot and registers the live channel in one step, so nothing is missed and nothing comes
//! twice. Replay and live batches go through bounded channels; the writer waits for a subscriber that does not read.

use tokio::sync::mpsc;

use crate::disk::Snapshot;
use crate::{Change, Revision};

/// Live batches that wait for a subscriber before the writer does.
const LIVE_BATCHES_MAX: usize = 1024;

/// Changes in a batch of the replay, and such batches that wait.
const REPLAY_CHANGES: usize = 256;
const REPLAY_BATCHES_MAX: usize = 16;

/// Changes in order, and how far they go.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Batch {
    /// In order of revision.
    pub changes: Vec<Change>,
    /// Every change up to here has been told.
    pub revision: Revision,
}

/// See the module. Dropping it ends it.
#[derive(Debug)]
pub struct Subscription {
    stage: Stage,
    replay: mpsc::Receiver<Told>,
    live: mpsc::Receiver<Batch>,
}

/// How far a subscription has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stage {
    /// The log is being read: goes on to `Live` at its end, and to `Broken` when it cannot be read.
    Replay,
    /// Each batch as it is committed, until the store is closed.
    Live,
    /// Changes are missing, so nothing more is told.
    Broken,
}

/// What the replay tells.
#[derive(Debug)]
enum Told {
    Changes(Batch),
    /// The log was read to its end.
    Everything,
}

impl Subscription {
    /// The next changes; `None` when the store was closed, or could not be read (which it has logged).
    pub async fn next(&mut self) -> Option<Batch> {
        if self.stage == Stage::Replay {
            match self.replay.recv().await {
                Some(Told::Changes(batch)) => return Some(batch),
                Some(Told::Everything) => self.stage = Stage::Live,
                None => self.stage = Stage::Broken,
            }
        }
        if self.stage == Stage::Live { self.live.recv().await } else { None }
    }
}

/// Starts the replay of `snapshot`, which holds everything up to `revision`, and answers with the live channel.
pub(crate) fn start(snapshot: Snapshot, revision: Revision) -> (mpsc::Sender<Batch>, Subscription) {
    let (live, live_receiver) = mpsc::channel(LIVE_BATCHES_MAX);
    let (replay, replay_receiver) = mpsc::channel(REPLAY_BATCHES_MAX);
    let subscription = Subscription { stage: Stage::Replay, replay: replay_receiver, live: live_receiver };
    let thread = std::thread::Builder::new().name("store replay".into());
    let started = thread.spawn(move || {
        if let Err(error) = tell_all(&snapshot, revision, &replay) {
            tracing::error!(%error, "the store's log could not be read");
        }
    });
    if let Err(error) = started {
        tracing::error!(%error, "the store's replay could not be started");
    }
    (live, subscription)
}

fn tell_all(snapshot: &Snapshot, revision: Revision, replay: &mpsc::Sender<Told>) -> Result<(), redb::Error> {
    let mut changes = Vec::with_capacity(REPLAY_CHANGES);
    let mut listens = true;
    snapshot.each(Revision(0), |change| {
        let so_far = change.revision;
        changes.push(change);
        if changes.len() == REPLAY_CHANGES {
            let full = std::mem::replace(&mut changes, Vec::with_capacity(REPLAY_CHANGES));
            listens = replay.blocking_send(Told::Changes(Batch { changes: full, revision: so_far })).is_ok();
        }
        Ok(listens)
    })?;
    if listens {
        // The last batch tells the store's revision even where the newest numbers hold no change. A subscriber that
        // is gone by now hears nothing.
        let _ = replay.blocking_send(Told::Changes(Batch { changes, revision }));
        let _ = replay.blocking_send(Told::Everything);
    }
    Ok(())
}
