//! A token bucket: `rate` tokens flow in each second, at most `burst` lie in it, and taking may have to wait.
//!
//! The time is an argument, so the arithmetic is a pure value that a test drives.

use std::time::Duration;

use crate::clock::Instant;

/// See the module. Tokens may go below zero: whoever takes more than there is owes the rest and waits for it.
#[derive(Clone, Debug)]
pub struct Bucket {
    /// Tokens that flow in each second; above zero.
    rate: f64,
    /// The most that lie in it.
    burst: f64,
    /// Tokens at `at`; never above `burst`.
    tokens: f64,
    at: Instant,
}

impl Bucket {
    /// A full bucket.
    #[must_use]
    pub fn new(rate: f64, burst: f64, now: Instant) -> Self {
        debug_assert!(rate > 0.0 && burst > 0.0, "a bucket of rate {rate} and burst {burst} never fills");
        Self { rate, burst, tokens: burst, at: now }
    }

    /// Takes `amount` if that much is there.
    #[must_use]
    pub fn try_take(&mut self, amount: f64, now: Instant) -> bool {
        self.refill(now);
        let there = self.tokens >= amount;
        if there {
            self.tokens -= amount;
        }
        there
    }

    /// Takes `amount` whatever is there, and says how long the taker has to wait for what it owes.
    #[must_use]
    pub fn take(&mut self, amount: f64, now: Instant) -> Duration {
        self.refill(now);
        self.tokens -= amount;
        if self.tokens >= 0.0 { Duration::ZERO } else { Duration::from_secs_f64(-self.tokens / self.rate) }
    }

    /// Puts `amount` back that was taken and not used.
    pub fn put_back(&mut self, amount: f64) {
        self.tokens = (self.tokens + amount).min(self.burst);
    }

    fn refill(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.at);
        self.tokens = (self.tokens + elapsed.as_secs_f64() * self.rate).min(self.burst);
        self.at = self.at.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_debt_is_paid_by_waiting() {
        let start = Instant::now();
        let mut bucket = Bucket::new(10.0, 5.0, start);
        assert!(bucket.try_take(5.0, start));
        assert!(!bucket.try_take(1.0, start));
        assert_eq!(bucket.take(1.0, start), Duration::from_millis(100));
        assert!(bucket.try_take(4.0, start + Duration::from_secs(10)));
    }

    #[test]
    fn what_is_put_back_can_be_taken_again_and_never_overflows() {
        let start = Instant::now();
        let mut bucket = Bucket::new(1.0, 2.0, start);
        assert!(bucket.try_take(2.0, start));
        bucket.put_back(1.0);
        assert!(bucket.try_take(1.0, start) && !bucket.try_take(1.0, start));
        bucket.put_back(9.0);
        assert!(bucket.try_take(2.0, start) && !bucket.try_take(1.0, start));
    }
}
