//! How long to wait before the next try: a law with a floor, a ceiling and a growth, and the state of one sequence.
//!
//! CrashLoopBackOff, image pulls, reconnects and requeues are all values of [`Law`].

use std::time::Duration;

use rand::RngExt as _;

use crate::clock::Instant;

/// The law of a growing wait. The n-th wait is `min × 2ⁿ`, never above `max`, then spread by `jitter`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Law {
    /// The first wait.
    pub min: Duration,
    /// No wait is longer, before jitter.
    pub max: Duration,
    /// Each wait is lengthened by a random part of itself up to this fraction (0.0 to 1.0).
    pub jitter: f64,
}

/// One sequence of tries under a [`Law`].
#[derive(Clone, Debug)]
pub struct Backoff {
    law: Law,
    tries: u32,
    last: Option<Instant>,
}

impl Law {
    /// A law without jitter, as upstream uses where people read the wait (CrashLoopBackOff).
    #[must_use]
    pub const fn exact(min: Duration, max: Duration) -> Self {
        Self { min, max, jitter: 0.0 }
    }

    /// A law for machines, spread by a half so that many do not come at once.
    #[must_use]
    pub const fn spread(min: Duration, max: Duration) -> Self {
        Self { min, max, jitter: 0.5 }
    }

    /// The wait after `tries` failures (0 is the first), without jitter.
    #[must_use]
    pub fn wait(&self, tries: u32) -> Duration {
        // 2^31 × 1 ms is 24 days: beyond every `max`, so the shift may stop there.
        self.min.saturating_mul(1 << tries.min(31)).min(self.max)
    }
}

impl Backoff {
    /// A sequence that has not failed yet.
    #[must_use]
    pub fn new(law: Law) -> Self {
        Self { law, tries: 0, last: None }
    }

    /// Counts a failure and says how long to wait. A sequence that was quiet for twice the longest wait starts anew,
    /// as upstream's `flowcontrol.Backoff` does.
    pub fn next_wait(&mut self) -> Duration {
        let now = Instant::now();
        if self.last.is_some_and(|last| now.duration_since(last) > self.law.max * 2) {
            self.tries = 0;
        }
        self.last = Some(now);
        let wait = self.law.wait(self.tries);
        self.tries = self.tries.saturating_add(1);
        wait + wait.mul_f64(self.law.jitter * rand::rng().random::<f64>())
    }

    /// Forgets all failures, after a success.
    pub fn reset(&mut self) {
        self.tries = 0;
    }

    /// How often it failed in a row.
    #[must_use]
    pub fn tries(&self) -> u32 {
        self.tries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CRASH_LOOP: Law = Law::exact(Duration::from_secs(10), Duration::from_secs(300));

    #[test]
    fn waits_double_up_to_the_ceiling() {
        let waits: Vec<u64> = (0..7).map(|n| CRASH_LOOP.wait(n).as_secs()).collect();
        assert_eq!(waits, [10, 20, 40, 80, 160, 300, 300]);
        assert_eq!(CRASH_LOOP.wait(u32::MAX).as_secs(), 300);
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_quiet_sequence_starts_anew() {
        let mut backoff = Backoff::new(CRASH_LOOP);
        assert_eq!(backoff.next_wait().as_secs(), 10);
        assert_eq!(backoff.next_wait().as_secs(), 20);
        tokio::time::advance(Duration::from_secs(601)).await;
        assert_eq!(backoff.next_wait().as_secs(), 10);
    }
}
