//! Numbers that look random, the same in each run.

/// Knuth's linear congruence, of which the upper half is used.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    /// A number below `bound`, or 0 where there is none.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.roll(bound.max(1) as u64)).unwrap()
    }

    pub(crate) fn pick<'v, V: ?Sized>(&mut self, values: &[&'v V]) -> &'v V {
        values[self.below(values.len())]
    }

    pub(crate) fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| u8::try_from(self.roll(256)).unwrap()).collect()
    }
}
