//! Events: when, what, about which object.

use jiff::Timestamp;
use serde_json::Value;

use super::{Column, NAME, UNKNOWN, age, name, text, text_at, wide};

/// The columns.
pub const COLUMNS: &[Column] = &[
    text("Last Seen", "When it happened last."),
    text("Type", "Whether it is normal or a warning."),
    text("Reason", "What happened, in a word."),
    text("Object", "To which object."),
    wide("Subobject", "To which part of it."),
    wide("Source", "Who says so."),
    text("Message", "What happened, in a sentence."),
    wide("First Seen", "When it happened first."),
    wide("Count", "How often."),
    Column { priority: 1, ..NAME },
];

/// An event's cells.
#[must_use]
pub fn cells(event: &Value, now: Timestamp) -> Vec<Value> {
    let time = |pointer: &str| event.pointer(pointer).and_then(Value::as_str);
    let first = time("/firstTimestamp").or(time("/eventTime"));
    let last = time("/series/lastObservedTime").or(time("/lastTimestamp")).or(first);
    let ago = |time: Option<&str>| time.map_or_else(|| UNKNOWN.to_owned(), |time| age::since(Some(time), now));
    let count = event.pointer("/series/count").or(event.get("count")).and_then(Value::as_i64).unwrap_or(1);
    vec![
        ago(last).into(),
        text_at(event, "/type", ""),
        text_at(event, "/reason", ""),
        object(event).into(),
        text_at(event, "/involvedObject/fieldPath", ""),
        source(event).into(),
        text_at(event, "/message", "").as_str().map_or(Value::Null, |message| message.trim().into()),
        ago(first).into(),
        count.max(1).into(),
        name(event),
    ]
}

fn object(event: &Value) -> String {
    let text =
        |field: &str| event.get("involvedObject").and_then(|about| about.get(field)?.as_str()).unwrap_or_default();
    let kind = text("kind").to_lowercase();
    if text("name").is_empty() { kind } else { format!("{kind}/{}", text("name")) }
}

fn source(event: &Value) -> String {
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
    let component = text("/source/component").or(text("/reportingComponent")).unwrap_or_default();
    let host = text("/source/host").or(text("/reportingInstance").filter(|instance| *instance != component));
    host.map_or_else(|| component.to_owned(), |host| format!("{component}, {host}"))
}
