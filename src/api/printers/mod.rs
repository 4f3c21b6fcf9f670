//! The columns in which objects are printed for people, as upstream's printers have them: a file a larger kind.

pub mod access;
pub mod age;
pub mod autoscaling;
pub mod devices;
pub mod event;
pub mod extensions;
pub mod flow_control;
pub mod networking;
pub mod node;
pub mod pod;
pub mod quotas;
pub mod service;
pub mod small;
pub mod storage;
pub mod volumes;
pub mod workloads;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::meta;

/// A column of a Table.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Column {
    /// Its heading.
    pub name: &'static str,
    /// The JSON type of its cells: `string`, `integer`, `number`, `boolean` or `date`.
    pub kind: &'static str,
    /// How the type is meant; `name` marks the column that identifies the object.
    pub format: &'static str,
    /// What the column tells.
    pub description: &'static str,
    /// 0 is always shown, more only when wide output is asked for.
    pub priority: i32,
}

impl Column {
    /// The column's definition as a Table has it.
    #[must_use]
    pub fn to_value(&self) -> Value {
        json!({"name": self.name, "type": self.kind, "format": self.format, "description": self.description,
            "priority": self.priority})
    }
}

/// What upstream prints for something that is not there.
pub(crate) const NONE: &str = "<none>";

/// What upstream prints for something that nobody has said yet.
pub(crate) const UNKNOWN: &str = "<unknown>";

/// The column that identifies an object.
pub(crate) const NAME: Column =
    Column { name: "Name", kind: "string", format: "name", description: "The name of the object.", priority: 0 };

/// The column that tells how long ago an object was made.
pub(crate) const AGE: Column = text("Age", "How long ago the object was created.");

/// A column of text that is always shown.
pub(crate) const fn text(name: &'static str, description: &'static str) -> Column {
    Column { name, kind: "string", format: "", description, priority: 0 }
}

/// A column of text for wide output.
pub(crate) const fn wide(name: &'static str, description: &'static str) -> Column {
    Column { priority: 1, ..text(name, description) }
}

/// The cell under [`NAME`].
pub(crate) fn name(object: &Value) -> Value {
    meta::name(object).into()
}

/// The cell under [`AGE`].
pub(crate) fn age(object: &Value, now: Timestamp) -> Value {
    age::since(meta::creation_timestamp(object), now).into()
}

/// A text at a JSON pointer; `otherwise` where there is none or it is empty.
pub(crate) fn text_at(object: &Value, pointer: &str, otherwise: &str) -> Value {
    let found = object.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
    found.unwrap_or(otherwise).into()
}

/// The items of a list at a JSON pointer.
pub(crate) fn items<'v>(object: &'v Value, pointer: &str) -> &'v [Value] {
    object.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// How many of a list are shown before the rest is counted.
const SHOWN: usize = 3;

/// The first few of a list, and how many more there are.
pub(crate) fn few(texts: impl IntoIterator<Item = String>, none: &str) -> String {
    let all: Vec<String> = texts.into_iter().collect();
    let shown = all.get(..SHOWN.min(all.len())).unwrap_or_default().join(",");
    match all.len() {
        0 => none.to_owned(),
        total if total > SHOWN => format!("{shown} + {} more...", total - SHOWN),
        _ => shown,
    }
}

/// A map as `key=value` pairs; [`NONE`] for an empty one.
pub(crate) fn pairs(object: &Value, pointer: &str) -> String {
    let map = object.pointer(pointer).and_then(Value::as_object).into_iter().flatten();
    let pairs: Vec<String> = map.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
    if pairs.is_empty() { NONE.to_owned() } else { pairs.join(",") }
}
