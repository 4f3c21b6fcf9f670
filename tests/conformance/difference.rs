//! Where two answers differ, as lines that a person reads: `spec.containers[c].image: "a" → "b"`.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;

use crate::exchange::Answer;

/// Characters of a value that a line shows.
const SHOWN_MAX: usize = 240;

/// Stands last where the answer goes on and the rest is not looked at.
const MORE: &str = "…";

/// One difference between what is expected and what came.
#[derive(Debug)]
pub(crate) struct Difference {
    /// The table's and exchange's name.
    pub(crate) table: String,
    pub(crate) exchange: String,
    /// The request, for people.
    pub(crate) request: String,
    /// `code`, `header NAME`, or a path into the body.
    pub(crate) path: String,
    pub(crate) expected: Option<Value>,
    pub(crate) ours: Option<Value>,
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [expected, ours] = [&self.expected, &self.ours].map(|value| match value {
            Some(value) => value.to_string(),
            None => "(absent)".to_owned(),
        });
        let same = expected.chars().zip(ours.chars()).take_while(|(one, other)| one == other).count();
        write!(formatter, "{}: {} → {}", self.path, shown(&expected, same), shown(&ours, same))
    }
}

/// As much of a value as a line shows, from a little before the place where the other side goes its own way.
fn shown(text: &str, same: usize) -> String {
    let skipped = if text.chars().count() > SHOWN_MAX { same.saturating_sub(SHOWN_MAX / 4) } else { 0 };
    let (before, after) =
        (if skipped > 0 { "…" } else { "" }, if text.chars().count() > skipped + SHOWN_MAX { "…" } else { "" });
    let part: String = text.chars().skip(skipped).take(SHOWN_MAX).collect();
    format!("{before}{part}{after}")
}

/// A place and what stands there on both sides.
pub(crate) type Place = (String, Option<Value>, Option<Value>);

/// All places at which two answers differ.
pub(crate) fn between(expected: &Answer, ours: &Answer) -> Vec<Place> {
    let mut places = Vec::new();
    compare("code", Some(&Value::from(expected.code)), Some(&Value::from(ours.code)), &mut places);
    for name in crate::exchange::HEADERS {
        let values = |answer: &Answer| -> Vec<Value> {
            answer.headers.iter().filter(|(own, _)| own == name).map(|(_, value)| Value::from(value.as_str())).collect()
        };
        compare(&format!("header {name}"), Some(&values(expected).into()), Some(&values(ours).into()), &mut places);
    }
    let (left, right) = match expected.body.split_last() {
        Some((last, first)) if last == MORE => (first, &ours.body[..first.len().min(ours.body.len())]),
        _ => (&expected.body[..], &ours.body[..]),
    };
    let count = left.len().max(right.len());
    for index in 0..count {
        let path = if count == 1 { String::new() } else { format!("#{index}") };
        compare(&path, left.get(index), right.get(index), &mut places);
    }
    places
}

fn compare(path: &str, expected: Option<&Value>, ours: Option<&Value>, into: &mut Vec<Place>) {
    if expected == ours {
        return;
    }
    match (expected, ours) {
        (Some(Value::Object(left)), Some(Value::Object(right))) => {
            let names: BTreeSet<_> = left.keys().chain(right.keys()).collect();
            let dot = if path.is_empty() { "" } else { "." };
            for name in names {
                compare(&format!("{path}{dot}{name}"), left.get(name), right.get(name), into);
            }
        }
        (Some(Value::Array(left)), Some(Value::Array(right))) if has_objects(left) && has_objects(right) => {
            match (by_name(left), by_name(right)) {
                (Some(left), Some(right)) => compare_named(path, &left, &right, into),
                _ => {
                    for index in 0..left.len().max(right.len()) {
                        compare(&format!("{path}[{index}]"), left.get(index), right.get(index), into);
                    }
                }
            }
        }
        _ => into.push((path.to_owned(), expected.cloned(), ours.cloned())),
    }
}

fn has_objects(items: &[Value]) -> bool {
    items.iter().any(|item| item.is_object() || item.is_array())
}

/// Where items of lists have names, in API objects and in discovery.
const NAMES: [&str; 5] = ["/name", "/metadata/name", "/resource", "/subresource", "/object/metadata/name"];

/// Items by their names, if each has its own.
fn by_name(items: &[Value]) -> Option<Vec<(&str, &Value)>> {
    let mut named = Vec::new();
    for item in items {
        let name = NAMES.iter().find_map(|place| item.pointer(place));
        named.push((name?.as_str()?, item));
    }
    let names: BTreeSet<_> = named.iter().map(|(name, _)| name).collect();
    (names.len() == named.len()).then_some(named)
}

fn compare_named(path: &str, left: &[(&str, &Value)], right: &[(&str, &Value)], into: &mut Vec<Place>) {
    let find = |side: &[(&str, &'_ Value)], name: &str| side.iter().position(|(own, _)| *own == name);
    for (name, item) in left {
        compare(&format!("{path}[{name}]"), Some(item), find(right, name).map(|at| right[at].1), into);
    }
    for (name, item) in right.iter().filter(|(name, _)| find(left, name).is_none()) {
        compare(&format!("{path}[{name}]"), None, Some(item), into);
    }
    let order = |side: &[(&str, &Value)], other: &[(&str, &Value)]| -> Vec<Value> {
        side.iter().filter(|(name, _)| find(other, name).is_some()).map(|(name, _)| Value::from(*name)).collect()
    };
    compare(&format!("{path}(order)"), Some(&order(left, right).into()), Some(&order(right, left).into()), into);
}
