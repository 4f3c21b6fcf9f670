//! What was measured of one thing on one product, and what five times as good as that is.

use std::time::Duration;

use anyhow::{Error, Result};

use crate::report::Row;
use crate::samples::Samples;
use crate::usage::megabytes;

/// How much better than upstream's each figure is to be.
const FACTOR: u32 = 5;

/// One thing; what is not there was not measured.
#[derive(Clone, Debug, Default)]
pub(super) struct Figure {
    pub(super) what: String,
    /// A second.
    pub(super) rate: Option<f64>,
    pub(super) p50: Option<Duration>,
    pub(super) p99: Option<Duration>,
    /// CPU time of the server, for a thousand of it.
    pub(super) cpu: Option<Duration>,
    /// Memory of the server.
    pub(super) bytes: Option<i64>,
    pub(super) note: String,
    /// Of figures that were measured elsewhere, in their own words; the numbers are the better ends.
    pub(super) range: String,
    /// Why it could not be measured.
    pub(super) failure: Option<String>,
}

impl Figure {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), ..Self::default() }
    }

    /// Waits for the figure and says it at once, since the whole takes minutes; what fails is a figure, too.
    pub(super) async fn measured(what: String, measuring: impl Future<Output = Result<Self>>) -> Self {
        let figure = measuring.await.unwrap_or_else(|error| Self::failed(what, &error));
        eprintln!("  {}: {}", figure.what, figure.failure.clone().unwrap_or_else(|| figure.text()));
        figure
    }

    pub(super) fn failed(what: impl Into<String>, error: &Error) -> Self {
        Self { failure: Some(format!("{error:#}")), ..Self::new(what) }
    }

    pub(super) fn rate(self, rate: f64) -> Self {
        Self { rate: Some(rate), ..self }
    }

    pub(super) fn times(self, times: &Samples) -> Self {
        Self { p50: Some(times.p50()), p99: Some(times.p99()), ..self }
    }

    pub(super) fn p50(self, time: Duration) -> Self {
        Self { p50: Some(time), ..self }
    }

    /// CPU time for so many.
    pub(super) fn cpu(self, spent: Duration, count: usize) -> Self {
        Self { cpu: Some(spent.mul_f64(1000.0 / count.max(1) as f64)), ..self }
    }

    pub(super) fn bytes(self, bytes: i64) -> Self {
        Self { bytes: Some(bytes), ..self }
    }

    pub(super) fn note(self, note: impl Into<String>) -> Self {
        Self { note: note.into(), ..self }
    }

    /// Its row, beside upstream's figure of the same, if there is one.
    pub(super) fn row(&self, upstream: Option<&Self>) -> Row {
        if let Some(failure) = &self.failure {
            return Row::failed(&self.what, &Error::msg(failure.clone()));
        }
        let notes = [self.note.clone(), upstream.map_or_else(String::new, Self::as_upstream)];
        let notes: Vec<String> = notes.into_iter().filter(|note| !note.is_empty()).collect();
        let mut row = Row::new(&self.what, self.text()).note(notes.join("; "));
        let goals = upstream.map(|upstream| self.goals(upstream)).unwrap_or_default();
        if !goals.is_empty() {
            let texts: Vec<&str> = goals.iter().map(|(text, _)| text.as_str()).collect();
            row = row.target(texts.join(", "), goals.iter().all(|(_, is_met)| *is_met));
        }
        let values = [
            ("rate_per_s", self.rate),
            ("p50_s", self.p50.map(|time| time.as_secs_f64())),
            ("p99_s", self.p99.map(|time| time.as_secs_f64())),
            ("server_cpu_s", self.cpu.map(|time| time.as_secs_f64())),
            ("rss_bytes", self.bytes.map(|bytes| bytes as f64)),
        ];
        let there = values.into_iter().filter_map(|(name, value)| Some((name, value?)));
        there.fold(row, |row, (name, value)| row.value(name, value))
    }

    /// What is asked of it beside upstream's, and whether it is so. Where only the half of upstream's times is known,
    /// that counts.
    fn goals(&self, upstream: &Self) -> Vec<(String, bool)> {
        let mut goals = Vec::new();
        if let (Some(ours), Some(theirs)) = (self.rate, upstream.rate) {
            let least = theirs * f64::from(FACTOR);
            goals.push((format!("≥ {least:.0}/s"), ours >= least));
        }
        let times = match upstream.p99 {
            Some(theirs) => self.p99.map(|ours| ("p99", ours, theirs)),
            None => self.p50.zip(upstream.p50).map(|(ours, theirs)| ("p50", ours, theirs)),
        };
        if let Some((name, ours, theirs)) = times {
            let most = theirs / FACTOR;
            goals.push((format!("{name} ≤ {most:.1?}"), ours <= most));
        }
        if let (Some(ours), Some(theirs)) = (self.bytes, upstream.bytes) {
            let most = theirs / i64::from(FACTOR);
            goals.push((format!("≤ {}", megabytes(most)), ours <= most));
        }
        goals
    }

    fn as_upstream(&self) -> String {
        match (&self.failure, self.range.is_empty()) {
            (Some(failure), _) => format!("upstream failed: {failure}"),
            (None, true) => format!("upstream: {}", self.text()),
            (None, false) => format!("upstream: {}", self.range),
        }
    }

    fn text(&self) -> String {
        let parts = [
            self.rate.map(|rate| format!("{rate:.0}/s")),
            self.p50.map(|time| format!("p50 {time:.2?}")),
            self.p99.map(|time| format!("p99 {time:.2?}")),
            self.bytes.map(|bytes| format!("{} resident", megabytes(bytes))),
            self.cpu.map(|time| format!("{:.2} CPU s per 1,000", time.as_secs_f64())),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_five_times_as_good_as_upstream() {
        let check = |ours: Figure, theirs: Figure, expected: &[(&str, bool)]| {
            let goals = ours.goals(&theirs);
            let goals: Vec<(&str, bool)> = goals.iter().map(|(text, is_met)| (text.as_str(), *is_met)).collect();
            assert_eq!(goals, expected);
        };
        let ms = |times: &[u64]| Samples::new(times.iter().copied().map(Duration::from_millis).collect());
        let new = || Figure::new("create");
        check(new().rate(2000.0), new().rate(400.0), &[("≥ 2000/s", true)]);
        check(new().rate(1999.0), new().rate(400.0), &[("≥ 2000/s", false)]);
        check(new().times(&ms(&[1, 30])), new().times(&ms(&[1, 100])), &[("p99 ≤ 20.0ms", false)]);
        check(new().times(&ms(&[1, 30])), new().p50(Duration::from_millis(5)), &[("p50 ≤ 1.0ms", true)]);
        check(new().bytes(10_000_000), new().bytes(49_000_000), &[("≤ 9.8 MB", false)]);
        check(new().rate(1.0), new(), &[]);
    }
}
