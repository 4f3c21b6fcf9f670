//! What the store has done, in numbers that only grow.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the buckets of commit durations, in seconds.
pub const COMMIT_BUCKETS: [f64; 12] =
    [0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.024];

/// A moment's numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics {
    /// Transactions that reached the disk.
    pub commits: u64,
    /// Writes that were acknowledged.
    pub writes: u64,
    /// Keys that hold something.
    pub keys: u64,
    /// The file's size, in bytes.
    pub file_bytes: u64,
    /// Commits by duration: as many as took at most the bound of the same place in [`COMMIT_BUCKETS`], and last, all.
    pub commit_buckets: [u64; COMMIT_BUCKETS.len() + 1],
    /// What all commits took together.
    pub commit_seconds: f64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    writes: AtomicU64,
    keys: AtomicU64,
    file_bytes: AtomicU64,
    commit_buckets: [AtomicU64; COMMIT_BUCKETS.len() + 1],
    commit_micros: AtomicU64,
}

impl Counters {
    pub(crate) fn wrote(&self, writes: usize, keys: usize) {
        self.writes.fetch_add(writes as u64, Ordering::Relaxed);
        self.keys.store(keys as u64, Ordering::Relaxed);
    }

    pub(crate) fn committed(&self, took: Duration, file_bytes: u64) {
        self.file_bytes.store(file_bytes, Ordering::Relaxed);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.commit_micros.fetch_add(micros, Ordering::Relaxed);
        let bounds = COMMIT_BUCKETS.iter().map(|bound| took.as_secs_f64() <= *bound).chain([true]);
        for (bucket, _) in self.commit_buckets.iter().zip(bounds).filter(|(_, is_within)| *is_within) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn read(&self) -> Metrics {
        let commit_buckets =
            std::array::from_fn(|at| self.commit_buckets.get(at).map_or(0, |bucket| bucket.load(Ordering::Relaxed)));
        let micros = Duration::from_micros(self.commit_micros.load(Ordering::Relaxed));
        Metrics {
            commits: commit_buckets.last().copied().unwrap_or(0),
            writes: self.writes.load(Ordering::Relaxed),
            keys: self.keys.load(Ordering::Relaxed),
            file_bytes: self.file_bytes.load(Ordering::Relaxed),
            commit_buckets,
            commit_seconds: micros.as_secs_f64(),
        }
    }
}
