//! The differences that are known, each with the part that brings what is missing. The list holds exactly what is
//! there: a difference that it does not name fails, and so does a line that names none any more.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::difference::Difference;
use crate::table;

/// One line of `known.tsv`: exchanges, path, reason.
#[derive(Debug)]
pub(crate) struct Known {
    /// Names of exchanges; `*` is any.
    exchanges: Vec<String>,
    /// A difference's path, in which `*` stands for anything.
    path: String,
    line: String,
}

/// Reads a list.
pub(crate) fn read(file: &str) -> Vec<Known> {
    let text = std::fs::read_to_string(table::folder().join(file)).unwrap();
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(Known::parse).collect()
}

impl Known {
    fn parse(line: &str) -> Self {
        let columns: Vec<_> = line.split('\t').collect();
        let [exchanges, path, reason] = columns[..] else { panic!("not exchanges, path, reason: {line}") };
        assert!(!reason.is_empty(), "no reason: {line}");
        let exchanges = exchanges.split(',').map(str::to_owned).collect();
        Self { exchanges, path: path.to_owned(), line: line.to_owned() }
    }

    fn covers(&self, exchange: &str, difference: &Difference) -> bool {
        (exchange == "*" || exchange == difference.exchange) && matches(&self.path, &difference.path)
    }
}

/// Whether `text` is `pattern`, in which `*` stands for anything.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else { return pattern == text };
    let Some(rest) = text.strip_prefix(before) else { return false };
    let mut ends = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
    ends.any(|end| matches(after, &rest[end..]))
}

/// Fails with all that is not in the list, and all of the list that is not.
pub(crate) fn check(known: &[Known], differences: &[Difference]) {
    let is_known = |difference: &Difference| {
        known.iter().any(|line| line.exchanges.iter().any(|exchange| line.covers(exchange, difference)))
    };
    let mut report = String::new();
    let mut new: BTreeMap<(&str, &str, &str), Vec<&Difference>> = BTreeMap::new();
    for difference in differences.iter().filter(|difference| !is_known(difference)) {
        new.entry((&difference.table, &difference.exchange, &difference.request)).or_default().push(difference);
    }
    for ((table, exchange, request), differences) in new {
        writeln!(report, "{table} {exchange}: {request}").unwrap();
        for difference in differences {
            writeln!(report, "    {difference}").unwrap();
        }
    }
    for line in known {
        let gone = |exchange: &&String| !differences.iter().any(|difference| line.covers(exchange, difference));
        for exchange in line.exchanges.iter().filter(gone) {
            writeln!(report, "no longer differs, exchange {exchange}: {}", line.line).unwrap();
        }
    }
    assert!(report.is_empty(), "what is expected → what came\n{report}");
}
