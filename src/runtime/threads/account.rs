//! What a sandbox used of the CPU, and when it may go on.
//!
//! Two laws meet here. The limit is a token bucket over measured CPU time: whoever owes waits until the debt is paid.
//! The share is virtual time: CPU time divided by weight, and the run queue polls the least first, so that under
//! contention each gets CPU in proportion to its request.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::bucket::Bucket;
use base::clock::Instant;

/// How long an unused CPU limit is saved up: upstream's CFS period. A sandbox may run that much of its limit at full
/// speed, then waits.
const BURST: Duration = Duration::from_millis(100);

/// The weight of a sandbox that requests no CPU, in millicores: the least that upstream gives (2 of 1024 shares).
const WEIGHT_MIN: u32 = 2;

/// The CPU account of one sandbox, shared by all its tasks.
#[derive(Debug)]
pub(crate) struct Account {
    /// CPU time used since the start, in nanoseconds; behind by at most the slice that runs.
    used_ns: AtomicU64,
    /// Millicores requested, at least [`WEIGHT_MIN`].
    weight: u32,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// CPU time divided by weight: nanoseconds that one whole core would have taken.
    virtual_ns: u64,
    /// Tokens are seconds of CPU; `None` without a limit.
    bucket: Option<Bucket>,
    /// No poll before, when in debt.
    not_before: Option<Instant>,
}

/// Where a task of an account stands in the run queue.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Place {
    /// It may run; the least goes first.
    Ready(u64),
    /// It owes CPU time and waits.
    Paused(Instant),
}

impl Account {
    /// A new account: `request` and `limit` in millicores.
    pub(crate) fn new(request: u32, limit: Option<u32>, now: Instant) -> Self {
        let bucket = limit.map(|limit| {
            let rate = f64::from(limit.max(1)) / 1000.0;
            Bucket::new(rate, rate * BURST.as_secs_f64(), now)
        });
        Self {
            used_ns: AtomicU64::new(0),
            weight: request.max(WEIGHT_MIN),
            state: Mutex::new(State { virtual_ns: 0, bucket, not_before: None }),
        }
    }

    /// CPU time used so far.
    pub(crate) fn used(&self) -> Duration {
        Duration::from_nanos(self.used_ns.load(Ordering::Relaxed))
    }

    /// Books `cpu`, which ended `now`.
    pub(crate) fn charge(&self, cpu: Duration, now: Instant) {
        let ns = u64::try_from(cpu.as_nanos()).unwrap_or(u64::MAX);
        self.used_ns.fetch_add(ns, Ordering::Relaxed);
        let mut state = self.lock();
        state.virtual_ns = state.virtual_ns.saturating_add(ns.saturating_mul(1000) / u64::from(self.weight));
        if let Some(bucket) = &mut state.bucket {
            let wait = bucket.take(cpu.as_secs_f64(), now);
            state.not_before = (!wait.is_zero()).then(|| now + wait);
        }
    }

    /// Drops limit and debt.
    pub(crate) fn forgive(&self) {
        let mut state = self.lock();
        state.bucket = None;
        state.not_before = None;
    }

    /// Where its tasks stand. `floor` is the virtual time that the queue has reached: whoever slept does not come
    /// back with all that time saved up.
    pub(crate) fn place(&self, floor: u64, now: Instant) -> Place {
        let mut state = self.lock();
        if let Some(until) = state.not_before.filter(|until| *until > now) {
            return Place::Paused(until);
        }
        state.virtual_ns = state.virtual_ns.max(floor);
        Place::Ready(state.virtual_ns)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_limit_lets_a_burst_through_and_then_holds_the_rate() {
        let start = Instant::now();
        let account = Account::new(0, Some(100), start);
        account.charge(10 * MS, start);
        assert_eq!(account.place(0, start), Place::Ready(5_000_000_000));
        account.charge(2 * MS, start);
        assert_eq!(account.place(0, start), Place::Paused(start + 20 * MS));
        assert!(matches!(account.place(0, start + 21 * MS), Place::Ready(_)));
        assert_eq!(account.used(), 12 * MS);
    }

    #[test]
    fn virtual_time_runs_slower_for_those_who_requested_more() {
        let start = Instant::now();
        let [small, large] = [100, 1000].map(|request| Account::new(request, None, start));
        small.charge(MS, start);
        large.charge(10 * MS, start);
        assert_eq!(small.place(0, start), large.place(0, start));
    }

    #[test]
    fn sleeping_saves_no_virtual_time_up() {
        let start = Instant::now();
        let account = Account::new(1000, None, start);
        assert_eq!(account.place(77, start), Place::Ready(77));
        assert_eq!(account.place(50, start), Place::Ready(77));
    }
}
