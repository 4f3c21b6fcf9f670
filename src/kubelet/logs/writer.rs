//! From a guest to the disk: lines are cut and dated where they are written, and reach their file in the background.
//!
//! A guest that writes faster than the disk fills its buffer and then has to wait; a disk that refuses (it is full,
//! say) is tried again, so nothing that was taken is dropped. What waits for the disk is a queue of logs, each in it
//! at most once, worked off by a few tasks.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::queue::Queue;
use base::shutdown::Shutdown;
use bytes::Bytes;
use cap_std::fs::Dir;
use futures::FutureExt as _;
use tokio::sync::{Notify, broadcast};

use super::line::{self, Stream};
use super::records::Records;
use super::{Limits, Run, segment};

/// How many bytes of one log may wait for the disk. A guest that finds it full waits; large enough that a disk that
/// syncs for a few milliseconds holds up nobody.
const BUFFER_MAX: usize = 64 << 10;

/// How many pieces of output an attached client may lag behind before it is cut off: a client must not hold up the
/// guest.
const ATTACHED_MAX: usize = 256;

/// How long to wait before a disk that refused is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// How many logs are written to disk at once; more would only queue at the disk.
const FLUSHERS: usize = 2;

/// All logs that are being written.
#[derive(Debug)]
pub(crate) struct Logs {
    pods: Arc<Dir>,
    limits: Limits,
    pending: Queue<Log>,
    live: Mutex<HashMap<Run, Log>>,
}

/// One run's log; clones write to the same.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    run: Run,
    pending: Queue<Log>,
    state: Mutex<State>,
    /// Told when bytes have reached the disk, and at the close.
    flushed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Records that wait for the disk.
    records: Records,
    /// Bytes that are being written at this moment.
    in_flight: usize,
    /// Nothing more is coming.
    is_closed: bool,
    /// Who is attached.
    attached: Option<broadcast::Sender<(Stream, Bytes)>>,
    /// The segment that grows, and its size; `None` until the first write.
    segment: Option<(u32, u64)>,
}

impl Logs {
    /// Logs beneath `pods`, the folder of all pods. Nothing reaches the disk until [`Logs::flush`] runs.
    pub(crate) fn new(pods: Arc<Dir>, limits: Limits) -> Self {
        Self { pods, limits, pending: Queue::new(), live: Mutex::default() }
    }

    /// Begins the log of a run.
    pub(crate) fn open(&self, run: Run) -> Log {
        let state = Mutex::default();
        let shared = Shared { run: run.clone(), pending: self.pending.clone(), state, flushed: Notify::new() };
        let log = Log { shared: Arc::new(shared) };
        self.live().insert(run, log.clone());
        log
    }

    /// The log of a run that is being written.
    pub(crate) fn find(&self, run: &Run) -> Option<Log> {
        self.live().get(run).cloned()
    }

    /// Ends the log of a run: the rest of its lines is written, followers come to their end.
    pub(crate) fn close(&self, run: &Run) {
        if let Some(log) = self.live().remove(run) {
            log.close();
        }
    }

    /// The folder of all pods.
    pub(crate) fn pods(&self) -> &Arc<Dir> {
        &self.pods
    }

    /// Carries to the disk what is written, until the end is asked for and everything is there.
    pub(crate) async fn flush(self: Arc<Self>, shutdown: Shutdown) {
        let worker = || async {
            while let Some(log) = shutdown.or(self.pending.next()).await {
                self.flush_one(log).await;
            }
        };
        let workers: Vec<_> = (0..FLUSHERS).map(|_| worker()).collect();
        futures::future::join_all(workers).await;
        // What is due by now was written by guests that have ended; one try each.
        while let Some(log) = self.pending.next().now_or_never() {
            self.flush_one(log).await;
        }
    }

    async fn flush_one(&self, log: Log) {
        let (pods, limits, writing) = (Arc::clone(&self.pods), self.limits, log.clone());
        let result = base::task::blocking(move || writing.flush(&pods, limits)).await;
        self.pending.done(&log);
        match result {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                let Run { uid, container, .. } = &log.shared.run;
                tracing::warn!(%uid, %container, %error, "cannot write a container's log; trying again");
                self.pending.add_after(log, RETRY);
            }
            Err(error) => tracing::error!(%error, "a log's writer died"),
        }
    }

    fn live(&self) -> MutexGuard<'_, HashMap<Run, Log>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log {
    /// Takes what a guest wrote; it never waits. Callers ask [`Log::has_room`] first and wait for [`Log::room`].
    pub(crate) fn write(&self, stream: Stream, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let time = line::time(base::clock::now());
        {
            let mut state = self.lock();
            if let Some(attached) = &state.attached
                && attached.send((stream, Bytes::copy_from_slice(bytes))).is_err()
            {
                state.attached = None;
            }
            state.records.cut(&time, stream, bytes);
        }
        self.shared.pending.add(self.clone());
    }

    /// Whether a write would stay within the buffer.
    pub(crate) fn has_room(&self) -> bool {
        let state = self.lock();
        state.records.whole.len() + state.in_flight < BUFFER_MAX
    }

    /// Completes once there is room; safe to drop.
    pub(crate) async fn room(&self) {
        loop {
            let flushed = self.shared.flushed.notified();
            tokio::pin!(flushed);
            flushed.as_mut().enable();
            if self.has_room() {
                return;
            }
            flushed.await;
        }
    }

    /// What is written from now on, beside the disk.
    pub(crate) fn attach(&self) -> broadcast::Receiver<(Stream, Bytes)> {
        self.lock().attached.get_or_insert_with(|| broadcast::channel(ATTACHED_MAX).0).subscribe()
    }

    /// Whether nothing more is coming and everything is on disk.
    pub(crate) fn is_complete(&self) -> bool {
        let state = self.lock();
        state.is_closed && state.records.whole.is_empty() && state.in_flight == 0
    }

    /// Completes when something reached the disk since the last look, or nothing more will. `look` is asked between
    /// the registration and the wait, so that nothing is missed.
    pub(crate) async fn grown(&self, look: impl FnOnce() -> bool) {
        let flushed = self.shared.flushed.notified();
        tokio::pin!(flushed);
        flushed.as_mut().enable();
        if !look() && !self.is_complete() {
            flushed.await;
        }
    }

    /// Completes when everything is on disk; for a log that was closed.
    pub(crate) async fn complete(&self) {
        while !self.is_complete() {
            self.grown(|| false).await;
        }
    }

    fn close(&self) {
        {
            let mut state = self.lock();
            let time = line::time(base::clock::now());
            state.records.end_lines(&time);
            state.is_closed = true;
            state.attached = None;
        }
        self.shared.pending.add(self.clone());
        self.shared.flushed.notify_waiters();
    }

    /// Writes what waits, piece by piece until nothing does. Blocks on the disk.
    fn flush(&self, pods: &Dir, limits: Limits) -> io::Result<()> {
        let mut folder = None;
        loop {
            let (bytes, newest) = {
                let mut state = self.lock();
                let bytes = std::mem::take(&mut state.records.whole);
                state.in_flight = bytes.len();
                (bytes, state.segment)
            };
            if bytes.is_empty() {
                self.shared.flushed.notify_waiters();
                return Ok(());
            }
            let folder = match &folder {
                Some(folder) => folder,
                None => folder.insert(segment::open_folder(pods, &self.shared.run)?),
            };
            let result = segment::append(folder, &self.shared.run, newest, &bytes, limits);
            let mut state = self.lock();
            state.in_flight = 0;
            match result {
                Ok(segment) => state.segment = Some(segment),
                Err(error) => {
                    // Records written meanwhile come after those that failed.
                    let later = std::mem::replace(&mut state.records.whole, bytes);
                    state.records.whole.extend_from_slice(&later);
                    return Err(error);
                }
            }
            drop(state);
            self.shared.flushed.notify_waiters();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PartialEq for Log {
    fn eq(&self, other: &Self) -> bool {
        self.shared.run == other.shared.run
    }
}

impl Eq for Log {}

impl std::hash::Hash for Log {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.shared.run.hash(state);
    }
}

impl PartialOrd for Log {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Log {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.shared.run.cmp(&other.shared.run)
    }
}

#[cfg(test)]
mod tests {
    use cap_std::ambient_authority;

    use super::*;

    fn run() -> Run {
        Run { uid: "u".into(), container: "c".into(), run: 0 }
    }

    #[test]
    fn a_full_segment_is_followed_by_a_new_one_and_the_oldest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let pods = Dir::open_ambient_dir(folder.path(), ambient_authority()).unwrap();
        let logs = Logs::new(Arc::new(pods), Limits { segment_bytes: 100, segments: 2, dead_runs: 1 });
        let log = logs.open(run());
        for _ in 0..4 {
            log.write(Stream::Stdout, &[b'x'; 120]);
            log.write(Stream::Stdout, b"\n");
            log.flush(&logs.pods, logs.limits).unwrap();
        }
        let folder = logs.pods.open_dir(run().folder()).unwrap();
        assert_eq!(run().segments(&folder).unwrap(), [2, 3]);
    }

    #[tokio::test]
    async fn a_writer_that_fills_its_buffer_waits_for_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let pods = Dir::open_ambient_dir(folder.path(), ambient_authority()).unwrap();
        let logs = Arc::new(Logs::new(Arc::new(pods), Limits { segment_bytes: 1 << 20, segments: 2, dead_runs: 1 }));
        let log = logs.open(run());
        log.write(Stream::Stdout, &vec![b'\n'; BUFFER_MAX]);
        assert!(!log.has_room());

        let (_trigger, shutdown) = base::shutdown::channel();
        let _flusher = base::task::spawn("flush", Arc::clone(&logs).flush(shutdown));
        log.room().await;
        logs.close(&run());
        log.complete().await;
        assert!(log.has_room() && logs.find(&run()).is_none());
    }
}
