//! A subscription: the log from its beginning, read from the disk, and then each batch as it is committed.
//!
//! The writer hands over a snapshot and registers the live channel in one step, so nothing is missed and nothing comes
//! twice. Replay and live batches go through bounded channels; the writer waits for a subscriber that does not read.

use tokio::sync::mpsc;

use crate::disk::Snapshot;
use crate::{Change, Revision};

/// Live batches that wait for a subscriber before the writer does.
pub(crate) const LIVE_BATCHES_MAX: usize = 1024;

/// Changes in a batch of the replay, and what their values may weigh; the change that gets over it is the last.
const REPLAY_CHANGES_MAX: usize = 256;
const REPLAY_BYTES_MAX: usize = 1 << 20;

/// Batches of the replay that wait for a subscriber before the reading of the log does.
const REPLAY_BATCHES_MAX: usize = 4;

/// Changes in order, and how far they go.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Batch {
    /// In order of revision; none in a batch that only tells how far.
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
    /// The log is being read: goes on to `Live` at its end, and to `Ended` when it cannot be read.
    Replay,
    /// Each batch as it is committed, until the store is closed: then `Ended`.
    Live,
    /// Changes are missing, or there are none any more.
    Ended,
}

/// What the replay tells.
#[derive(Debug)]
enum Told {
    Changes(Batch),
    /// The log was read to its end.
    Everything,
}

impl Subscription {
    /// The next changes; `None` when the store was closed or could not be read (which it has logged), or when this
    /// subscriber was so slow that the store gave it up. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Batch> {
        loop {
            self.stage = match self.stage {
                Stage::Replay => match self.replay.recv().await {
                    Some(Told::Changes(batch)) => return Some(batch),
                    Some(Told::Everything) => Stage::Live,
                    None => Stage::Ended,
                },
                Stage::Live => match self.live.recv().await {
                    Some(batch) => return Some(batch),
                    None => Stage::Ended,
                },
                Stage::Ended => return None,
            }
        }
    }

    /// One that never tells anything: that of a store that is closed.
    pub(crate) fn ended() -> Self {
        Self { stage: Stage::Ended, replay: mpsc::channel(1).1, live: mpsc::channel(1).1 }
    }
}

/// Starts the replay of `snapshot`, which holds everything up to `revision`, and answers with the live channel.
pub(crate) fn start(snapshot: Snapshot, revision: Revision) -> std::io::Result<(mpsc::Sender<Batch>, Subscription)> {
    let (live, live_receiver) = mpsc::channel(LIVE_BATCHES_MAX);
    let (replay, replay_receiver) = mpsc::channel(REPLAY_BATCHES_MAX);
    let thread = std::thread::Builder::new().name("store replay".into());
    thread.spawn(move || {
        if let Err(error) = tell_all(&snapshot, revision, &replay) {
            tracing::error!(%error, "the store's log could not be read");
        }
    })?;
    Ok((live, Subscription { stage: Stage::Replay, replay: replay_receiver, live: live_receiver }))
}

fn tell_all(snapshot: &Snapshot, revision: Revision, replay: &mpsc::Sender<Told>) -> Result<(), redb::Error> {
    let mut changes = Vec::new();
    let mut bytes = 0;
    let mut listens = true;
    snapshot.each(|row| {
        bytes += row.value.len();
        changes.push(row.to_change());
        if changes.len() == REPLAY_CHANGES_MAX || bytes >= REPLAY_BYTES_MAX {
            bytes = 0;
            let batch = Batch { changes: std::mem::take(&mut changes), revision: row.revision };
            listens = replay.blocking_send(Told::Changes(batch)).is_ok();
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
