//! Rows of the table, for people and as JSON.

use std::collections::BTreeMap;

use serde::Serialize;

/// Columns are at most this wide; a longer text wraps.
const COLUMN_CHARS_MAX: usize = 56;

/// Between two columns.
const GAP: &str = "  ";

/// One measured thing.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    what: String,
    measured: String,
    /// What design promises, if it does.
    target: Option<String>,
    verdict: Verdict,
    /// What explains it: of which parts it is made.
    note: String,
    /// The numbers, by a name that ends with their unit.
    values: BTreeMap<&'static str, f64>,
}

/// How a measurement stands to its target.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
enum Verdict {
    /// Nothing was promised.
    Told,
    /// As good as promised, or better.
    Met,
    /// Not as good.
    Missed,
    /// It could not be measured; the note says why.
    Failed,
}

impl Row {
    pub(crate) fn new(what: impl Into<String>, measured: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            measured: measured.into(),
            target: None,
            verdict: Verdict::Told,
            note: String::new(),
            values: BTreeMap::new(),
        }
    }

    /// The row of a case that could not be measured.
    pub(crate) fn failed(name: &str, error: &anyhow::Error) -> Self {
        Self { verdict: Verdict::Failed, note: format!("{error:#}"), ..Self::new(name, "") }
    }

    /// What was promised, and whether it is kept.
    pub(crate) fn target(self, target: impl Into<String>, is_met: bool) -> Self {
        let verdict = if is_met { Verdict::Met } else { Verdict::Missed };
        Self { target: Some(target.into()), verdict, ..self }
    }

    /// Of which parts the measurement is made.
    pub(crate) fn note(self, note: impl Into<String>) -> Self {
        Self { note: note.into(), ..self }
    }

    /// A number for programs; its name ends with its unit.
    pub(crate) fn value(mut self, name: &'static str, value: f64) -> Self {
        self.values.insert(name, value);
        self
    }

    fn cells(&self) -> [String; 4] {
        let verdict = match self.verdict {
            Verdict::Told => "",
            Verdict::Met => "met",
            Verdict::Missed => "MISSED",
            Verdict::Failed => "FAILED",
        };
        let separator = if verdict.is_empty() || self.note.is_empty() { "" } else { "; " };
        let verdict = format!("{verdict}{separator}{}", self.note);
        [self.what.clone(), self.measured.clone(), self.target.clone().unwrap_or_default(), verdict]
    }
}

/// The rows below one another, in columns as wide as they need.
pub(crate) fn table(rows: &[Row]) -> String {
    let head = ["what", "measured", "target", "verdict"].map(str::to_owned);
    let rows: Vec<[Vec<String>; 4]> =
        std::iter::once(head).chain(rows.iter().map(Row::cells)).map(|cells| cells.map(|cell| wrap(&cell))).collect();
    let mut widths = [0; 4];
    for (width, cell) in rows.iter().flat_map(|row| row.iter().enumerate()) {
        if let Some(width) = widths.get_mut(width) {
            *width = cell.iter().map(|line| line.chars().count()).fold(*width, usize::max);
        }
    }
    let mut text = String::new();
    for row in &rows {
        let height = row.iter().map(Vec::len).max().unwrap_or_default();
        for line in 0..height {
            let cells = row.iter().zip(widths).map(|(cell, width)| {
                let part = cell.get(line).map_or("", String::as_str);
                format!("{part:<width$}")
            });
            text.push_str(cells.collect::<Vec<_>>().join(GAP).trim_end());
            text.push('\n');
        }
    }
    text
}

/// Lines of at most [`COLUMN_CHARS_MAX`] characters, broken between words.
fn wrap(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= COLUMN_CHARS_MAX => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_long_texts_wrap() {
        let long = "word ".repeat(20);
        let rows = [
            Row::new("memory", "70 MB").target("≤ 80 MB", true),
            Row::new("time", "1 s").target("≤ 0.5 s", false).note(long.trim()),
            Row::failed("writes", &anyhow::anyhow!("no connection")),
        ];
        let text = table(&rows);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "what    measured  target   verdict");
        assert_eq!(lines[1], "memory  70 MB     ≤ 80 MB  met");
        assert!(lines[2].starts_with("time    1 s       ≤ 0.5 s  MISSED; word word"));
        assert!(lines[3].starts_with("                           word"));
        assert_eq!(*lines.last().unwrap(), "writes                     FAILED; no connection");
    }
}
