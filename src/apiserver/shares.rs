//! Shares of what there is not enough of for everybody: so much at once, and so much of one caller, so that whoever is
//! slow or greedy is told to come again and nobody else is.
//!
//! Who holds nothing may take one share that is larger than the bounds, if there is room for any: else what is large
//! (the list of a hundred thousand objects) could never be had.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How much there is, and of whom; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Shares {
    all_max: usize,
    each_max: usize,
    taken: Arc<Mutex<Taken>>,
}

/// `all` is the sum over `each`, which names only those who have something.
#[derive(Debug, Default)]
struct Taken {
    all: usize,
    each: HashMap<String, usize>,
}

/// What one caller has; it is given back when dropped.
#[derive(Debug)]
pub(crate) struct Share {
    of: Shares,
    user: String,
    amount: usize,
}

impl Shares {
    /// `all_max` together, `each_max` for one caller.
    pub(crate) fn new(all_max: usize, each_max: usize) -> Self {
        Self { all_max, each_max, taken: Arc::default() }
    }

    /// A share for `user`; `None` when they have theirs, or everybody together.
    pub(crate) fn take(&self, user: &str, amount: usize) -> Option<Share> {
        self.lock().add(self, user, amount).then(|| Share { of: self.clone(), user: user.to_owned(), amount })
    }

    /// How much is taken.
    pub(crate) fn taken(&self) -> usize {
        self.lock().all
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        // The sums are changed in steps that cannot panic halfway.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn add(&mut self, bounds: &Shares, user: &str, amount: usize) -> bool {
        let own = self.each.get(user).copied().unwrap_or_default();
        let is_full = self.all >= bounds.all_max || own >= bounds.each_max;
        let is_too_much = own > 0 && own.saturating_add(amount) > bounds.each_max;
        if is_full || is_too_much {
            return false;
        }
        self.all += amount;
        *self.each.entry(user.to_owned()).or_default() += amount;
        true
    }
}

impl Share {
    /// Takes more to the same share; whether there was more.
    pub(crate) fn grow(&mut self, amount: usize) -> bool {
        let is_there = self.of.lock().add(&self.of, &self.user, amount);
        self.amount += if is_there { amount } else { 0 };
        is_there
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut taken = self.of.lock();
        taken.all = taken.all.saturating_sub(self.amount);
        match taken.each.get_mut(&self.user) {
            Some(own) if *own > self.amount => *own -= self.amount,
            _ => {
                taken.each.remove(&self.user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_caller_cannot_take_everything() {
        let shares = Shares::new(3, 2);
        let first = shares.take("a", 1).unwrap();
        let mut second = shares.take("a", 1).unwrap();
        assert!(shares.take("a", 1).is_none() && !second.grow(1));
        let _third = shares.take("b", 1).unwrap();
        assert!(shares.take("c", 1).is_none());
        drop(first);
        assert!(shares.take("c", 1).is_some());
        assert_eq!(shares.taken(), 2);
    }

    #[test]
    fn what_is_larger_than_the_bounds_can_be_had_alone() {
        let shares = Shares::new(10, 4);
        let large = shares.take("a", 50).unwrap();
        assert!(shares.take("a", 1).is_none() && shares.take("b", 1).is_none());
        drop(large);
        assert!(shares.take("b", 1).is_some());
        assert_eq!(shares.taken(), 0);
    }
}
