//! Ranges of revisions that a crash may have lost: kept until compaction has passed them, and never many.

use crate::disk::Range;

/// Ranges that are kept apart. Each unclean start adds one at most, so only a server that crashes over and over within
/// its history gets here; the oldest two then become one, and a few more watchers than needed must list again.
const RANGES_MAX: usize = 64;

/// Adds the range of this start to those of earlier ones, all in order.
pub(crate) fn add(ranges: &mut Vec<Range>, new: Range) {
    match ranges.last_mut() {
        // Nothing was stored between two crashes: they lost one range.
        Some(last) if new.0 <= last.1 => last.1 = new.1,
        _ => ranges.push(new),
    }
    while ranges.len() > RANGES_MAX {
        let oldest = ranges.remove(0);
        if let Some(next) = ranges.first_mut() {
            next.0 = oldest.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Revision;

    fn ranges(numbers: &[(u64, u64)]) -> Vec<Range> {
        numbers.iter().map(|(start, end)| (Revision(*start), Revision(*end))).collect()
    }

    #[track_caller]
    fn check(before: &[(u64, u64)], new: (u64, u64), expected: &[(u64, u64)]) {
        let mut found = ranges(before);
        add(&mut found, (Revision(new.0), Revision(new.1)));
        assert_eq!(found, ranges(expected));
    }

    #[test]
    fn a_crash_adds_a_range_and_another_before_any_write_extends_it() {
        check(&[], (3, 10), &[(3, 10)]);
        check(&[(3, 10)], (12, 20), &[(3, 10), (12, 20)]);
        check(&[(3, 10)], (3, 20), &[(3, 20)]);
        check(&[(3, 10)], (10, 20), &[(3, 20)]);
    }

    #[test]
    fn too_many_ranges_become_fewer_and_wider() {
        let many: Vec<(u64, u64)> = (0..RANGES_MAX as u64).map(|at| (at * 10, at * 10 + 5)).collect();
        let mut expected = many.clone();
        expected.splice(0..2, [(0, 15)]);
        expected.push((1000, 1005));
        check(&many, (1000, 1005), &expected);
    }
}
