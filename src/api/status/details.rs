//! The parts of a [`Status`](super::Status) below its message.

use serde_json::{Map, Value};

use crate::value::{list, number, text};

/// What a [`Status`](super::Status) is about. Empty parts are not printed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Details {
    /// The object's name.
    pub name: String,
    /// The API group.
    pub group: String,
    /// The plural of the resource, or the kind where the object itself is invalid.
    pub kind: String,
    /// The object's uid.
    pub uid: String,
    /// What was wrong in particular.
    pub causes: Vec<Cause>,
    /// When to try again; 0 for not at all.
    pub retry_after_seconds: u32,
}

/// One of several things that were wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct Cause {
    /// A word for machines.
    pub reason: String,
    /// A sentence for people.
    pub message: String,
    /// The field, if it is about one.
    pub field: String,
}

impl Details {
    pub(super) fn of(group: &str, kind: &str, name: &str) -> Self {
        Self { name: name.to_owned(), group: group.to_owned(), kind: kind.to_owned(), ..Self::default() }
    }

    pub(super) fn from_value(value: &Value) -> Self {
        let said = |name: &str| text(value, name).to_owned();
        let cause = |cause: &Value| {
            let said = |name: &str| text(cause, name).to_owned();
            Cause { reason: said("reason"), message: said("message"), field: said("field") }
        };
        let seconds = number(value, "retryAfterSeconds").and_then(|seconds| u32::try_from(seconds).ok());
        Self {
            name: said("name"),
            group: said("group"),
            kind: said("kind"),
            uid: said("uid"),
            causes: list(value, "causes").iter().map(cause).collect(),
            retry_after_seconds: seconds.unwrap_or(0),
        }
    }

    pub(super) fn to_value(&self) -> Value {
        let mut value = Map::new();
        for (key, text) in [("name", &self.name), ("group", &self.group), ("kind", &self.kind), ("uid", &self.uid)] {
            insert_text(&mut value, key, text);
        }
        if !self.causes.is_empty() {
            value.insert("causes".into(), self.causes.iter().map(Cause::to_value).collect());
        }
        if self.retry_after_seconds > 0 {
            value.insert("retryAfterSeconds".into(), self.retry_after_seconds.into());
        }
        Value::Object(value)
    }
}

impl Cause {
    pub(super) fn to_value(&self) -> Value {
        let mut value = Map::new();
        for (key, text) in [("reason", &self.reason), ("message", &self.message), ("field", &self.field)] {
            insert_text(&mut value, key, text);
        }
        Value::Object(value)
    }
}

pub(super) fn insert_text(map: &mut Map<String, Value>, key: &str, text: &str) {
    if !text.is_empty() {
        map.insert(key.to_owned(), text.into());
    }
}
