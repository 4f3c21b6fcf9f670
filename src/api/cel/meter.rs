//! What an evaluation has cost, and where it stops.

use super::error::Error;

/// How much one evaluation may cost; upstream's number.
pub const CALL_COST_MAX: u64 = 1_000_000;

/// How much work one evaluation may do beside what it is charged for. Costs are upstream's, and upstream charges too
/// little for some of what walks over its input (a set's sum, a large object's equality, a long text's size) because a
/// request's deadline ends it there. A step is some ten nanoseconds, so this is a fraction of a second; what is honest
/// stays far below.
const WORK_MAX: u64 = 10_000_000;

/// Counts the cost of an evaluation.
#[derive(Debug)]
pub(super) struct Meter {
    cost: u64,
    cost_max: u64,
    work: u64,
    /// The last pattern that was no constant, since a pattern is often applied to many texts.
    pub(super) pattern: Option<(Box<str>, super::functions::regex::Pattern)>,
}

impl Meter {
    pub(super) fn new(cost_max: u64) -> Self {
        Self { cost: 0, cost_max, work: 0, pattern: None }
    }

    pub(super) fn cost(&self) -> u64 {
        self.cost
    }

    /// Charges for something.
    pub(super) fn charge(&mut self, cost: u64) -> Result<(), Error> {
        self.cost = self.cost.saturating_add(cost);
        if self.cost > self.cost_max || self.work > WORK_MAX { Err(Error::OverBudget) } else { Ok(()) }
    }

    /// Notes steps of work; the next charge or step sees whether it was too much.
    pub(super) fn work(&mut self, steps: u64) {
        self.work = self.work.saturating_add(steps);
    }

    /// One step of work.
    pub(super) fn step(&mut self) -> Result<(), Error> {
        self.work += 1;
        if self.work > WORK_MAX { Err(Error::OverBudget) } else { Ok(()) }
    }
}
