//! One minute of a soak, and what the last minutes are beside early ones.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use super::tally::Counts;
use crate::report::Row;
use crate::samples::Samples;
use crate::usage::megabytes;

/// Minutes that are compared: by then what is kept for some minutes has been let go for the first time.
const EARLY: Range<usize> = 4..10;

/// How many minutes at the end are compared with those.
const LATE: usize = 5;

/// The most by which file and memory may be larger, and a p99 longer.
const SIZE_GROWTH_MAX: f64 = 1.10;
const TIME_GROWTH_MAX: f64 = 1.25;

/// What a minute was like.
#[derive(Debug)]
pub(super) struct Minute {
    pub(super) number: usize,
    pub(super) store_bytes: u64,
    pub(super) rss_bytes: i64,
    /// The server's, of one core.
    pub(super) cpu_percent: f64,
    pub(super) counts: Counts,
}

impl fmt::Display for Minute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "minute {}: {}; {}", self.number, self.measured(), self.note())
    }
}

impl Minute {
    pub(super) fn row(&self) -> Row {
        let Counts { writes, renewals, errors, .. } = &self.counts;
        let row = Row::new(format!("minute {}", self.number), self.measured()).note(self.note());
        let row = row.value("store_bytes", self.store_bytes as f64).value("rss_bytes", self.rss_bytes as f64);
        let row = row.value("cpu_percent", self.cpu_percent).value("errors", *errors as f64);
        let row = row.value("p50_s", writes.p50().as_secs_f64()).value("p99_s", writes.p99().as_secs_f64());
        row.value("renewal_p50_s", renewals.p50().as_secs_f64()).value("renewal_p99_s", renewals.p99().as_secs_f64())
    }

    fn measured(&self) -> String {
        let (file, memory) = (self.store_bytes as f64 / 1e6, megabytes(self.rss_bytes));
        format!("file {file:.1} MB, {memory} resident, writes {}, {} errors", self.counts.writes, self.counts.errors)
    }

    fn note(&self) -> String {
        let Counts { writes, renewals, lists, events, watches, first_error, .. } = &self.counts;
        let error = first_error.as_ref().map(|error| format!("; {error}")).unwrap_or_default();
        format!(
            "{} writes; {} renewals {renewals}; {} lists p50 {:.2?}; {events} events; {watches} watches ended; {:.0} % \
             of a core{error}",
            writes.len(),
            renewals.len(),
            lists.len(),
            lists.p50(),
            self.cpu_percent
        )
    }
}

/// What held and what did not. Of a soak that is too short for the minutes that are meant, its second and its last third
/// are compared.
pub(super) fn compare(minutes: &[Minute]) -> Vec<Row> {
    let (early, late) = windows(minutes.len());
    let (Some(before), Some(after)) = (minutes.get(early.clone()), minutes.get(late.clone())) else {
        return Vec::new();
    };
    if before.is_empty() || after.is_empty() {
        return Vec::new();
    }
    let which = format!("minutes {}–{} beside {}–{}", late.start + 1, late.end, early.start + 1, early.end);
    let file = [before, after].map(|part| mean(part, |minute| minute.store_bytes as f64));
    let memory = [before, after].map(|part| mean(part, |minute| minute.rss_bytes as f64));
    let p99 = |of: fn(&Counts) -> &Samples| {
        [before, after].map(|part| {
            let samples = part.iter().map(|minute| of(&minute.counts).clone());
            samples.fold(Samples::default(), Samples::and).p99().as_secs_f64()
        })
    };
    let size = |value: f64| megabytes(value as i64);
    let time = |value: f64| format!("{:.2?}", Duration::from_secs_f64(value));
    let errors: usize = minutes.iter().map(|minute| minute.counts.errors).sum();
    let none = Row::new("errors in all", errors.to_string()).target("none", errors == 0);
    vec![
        growth("size of the file", file, size, (SIZE_GROWTH_MAX, "within 10 %")).note(which.clone()),
        growth("memory", memory, size, (SIZE_GROWTH_MAX, "within 10 %")).note(which.clone()),
        growth("p99 of writes", p99(|counts| &counts.writes), time, (TIME_GROWTH_MAX, "within 25 %"))
            .note(which.clone()),
        growth("p99 of renewals", p99(|counts| &counts.renewals), time, (TIME_GROWTH_MAX, "within 25 %")).note(which),
        none,
    ]
}

/// The minutes that are compared, as indices.
fn windows(count: usize) -> (Range<usize>, Range<usize>) {
    if count >= EARLY.end + LATE {
        return (EARLY, count - LATE..count);
    }
    (count / 3..count * 2 / 3, count * 2 / 3..count)
}

fn mean(minutes: &[Minute], of: impl Fn(&Minute) -> f64) -> f64 {
    minutes.iter().map(of).sum::<f64>() / minutes.len().max(1) as f64
}

fn growth(
    what: &str,
    [before, after]: [f64; 2],
    text: impl Fn(f64) -> String,
    (most, target): (f64, &'static str),
) -> Row {
    let percent = (after / before - 1.0) * 100.0;
    let row = Row::new(what, format!("{} → {} ({percent:+.1} %)", text(before), text(after)));
    row.target(target, after <= before * most).value("growth_percent", percent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_five_minutes_stand_beside_the_fifth_to_tenth() {
        let check = |count, early, late| assert_eq!(windows(count), (early, late), "{count}");
        check(30, 4..10, 25..30);
        check(15, 4..10, 10..15);
        check(9, 3..6, 6..9);
        check(1, 0..0, 0..1);
    }

    #[test]
    fn what_grows_beyond_its_bound_is_missed() {
        let verdict = |after| {
            let row = growth("memory", [100.0, after], |value| value.to_string(), (1.1, "within 10 %"));
            crate::report::table(&[row]).contains("MISSED")
        };
        assert!(!verdict(109.0));
        assert!(!verdict(50.0));
        assert!(verdict(111.0));
    }
}
