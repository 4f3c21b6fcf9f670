//! A map that forgets what was not used for long, so that it stays bounded.

use std::collections::HashMap;
use std::hash::Hash;

/// Holds at least the `HALF_MAX` values used last, and at most twice as many: when the young half is full, it
/// becomes the old half, and what was in that is forgotten. What is used is young again.
#[derive(Debug)]
pub(super) struct Recent<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
}

/// How many values are kept at least, about as many as client-go's caches of Events (4,096).
const HALF_MAX: usize = 4096;

impl<K, V> Default for Recent<K, V> {
    fn default() -> Self {
        Self { young: HashMap::new(), old: HashMap::new() }
    }
}

impl<K: Clone + Eq + Hash, V> Recent<K, V> {
    /// The value of `key`, made by `new` where there is none.
    pub(super) fn get_or_insert(&mut self, key: &K, new: impl FnOnce() -> V) -> &mut V {
        if !self.young.contains_key(key) {
            if self.young.len() >= HALF_MAX {
                self.old = std::mem::take(&mut self.young);
            }
            let value = self.old.remove(key).unwrap_or_else(new);
            return self.young.entry(key.clone()).or_insert(value);
        }
        self.young.entry(key.clone()).or_insert_with(new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays_and_what_is_not_is_forgotten() {
        let mut recent = Recent::default();
        *recent.get_or_insert(&usize::MAX, || 0) = 7;
        for key in 0..3 * HALF_MAX {
            recent.get_or_insert(&key, || 0);
            assert_eq!(*recent.get_or_insert(&usize::MAX, || 0), 7, "after {key}");
            assert!(recent.young.len() + recent.old.len() <= 2 * HALF_MAX);
        }
        assert_eq!(*recent.get_or_insert(&0, || 5), 5, "0 was not forgotten");
    }
}
