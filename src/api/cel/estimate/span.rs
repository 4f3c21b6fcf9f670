//! The least and the most of costs and sizes.

use super::super::cost::{CHARACTER, scale};

/// The least and the most of something.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::cel) struct Span {
    pub(in crate::cel) min: u64,
    pub(in crate::cel) max: u64,
}

impl Span {
    pub(super) const ZERO: Self = Self::fixed(0);
    pub(super) const ONE: Self = Self::fixed(1);
    pub(super) const UNKNOWN: Self = Self { min: 0, max: u64::MAX };
    /// What nothing was added to yet by [`Span::union`].
    pub(super) const NOTHING: Self = Self { min: u64::MAX, max: 0 };

    pub(super) const fn fixed(size: u64) -> Self {
        Self { min: size, max: size }
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self { min: self.min.saturating_add(other.min), max: self.max.saturating_add(other.max) }
    }

    pub(super) fn times(self, other: Self) -> Self {
        Self { min: self.min.saturating_mul(other.min), max: self.max.saturating_mul(other.max) }
    }

    pub(super) fn scale(self, factor: f64) -> Self {
        Self { min: scale(self.min, factor), max: scale(self.max, factor) }
    }

    pub(super) fn union(self, other: Self) -> Self {
        Self { min: self.min.min(other.min), max: self.max.max(other.max) }
    }
}

/// What comparing two texts or lists costs: the shorter one is read.
pub(super) fn compare(one: Span, two: Span) -> Span {
    let max = one.max.min(two.max);
    Span { min: u64::from(max > 0), max }.scale(CHARACTER)
}

/// `size / by`, rounded up.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "upstream computes so, and the cast saturates"
)]
pub(super) fn divide_up(size: u64, by: u64) -> u64 {
    (size as f64 / by as f64).ceil() as u64
}
