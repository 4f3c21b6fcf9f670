//! Many measurements of one thing.

use std::fmt;
use std::time::Duration;

/// Times, sorted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples(Vec<Duration>);

impl Samples {
    pub(crate) fn new(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self(times)
    }

    /// These and the others.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        Self::new(self.0)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The time that this part of a hundred does not exceed (nearest rank); zero without any.
    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0.get(rank - 1).copied().unwrap_or_default()
    }

    pub(crate) fn p50(&self) -> Duration {
        self.percentile(50)
    }

    pub(crate) fn p99(&self) -> Duration {
        self.percentile(99)
    }
}

impl fmt::Display for Samples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p50 {:.2?}, p99 {:.2?}", self.p50(), self.p99())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let samples = Samples::new((1..=200).rev().map(Duration::from_millis).collect());
        let check = |percent, expected| assert_eq!(samples.percentile(percent), Duration::from_millis(expected));
        check(0, 1);
        check(50, 100);
        check(99, 198);
        check(100, 200);
        assert_eq!(Samples::default().p50(), Duration::ZERO);
    }
}
