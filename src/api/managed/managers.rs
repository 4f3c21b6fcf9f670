//! `metadata.managedFields`: who manages which fields, since when.

use serde_json::{Map, Value};

use super::fields::Fields;

/// Entries of updaters at once, as upstream; of more the oldest become one.
const UPDATERS_MAX: usize = 10;

/// The form in which fields are written.
const FIELDS_TYPE: &str = "FieldsV1";

/// Whom the fields of forgotten updaters belong to.
const ANCIENT: &str = "ancient-changes";

/// How a manager writes.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Operation {
    /// It says what it wants, and owns just that.
    Apply,
    /// It writes whole objects or patches, and owns what it changed.
    Update,
}

/// Who writes.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Actor {
    /// How.
    pub operation: Operation,
    /// Its name.
    pub manager: String,
    /// The version in which it writes: `apps/v1`.
    pub api_version: String,
    /// The part of the object that it writes; empty for the main one.
    pub subresource: String,
}

/// What one manager has.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Entry {
    pub(super) actor: Actor,
    /// When it last changed something, as RFC 3339.
    pub(super) time: Option<String>,
    pub(super) fields: Fields,
}

/// Everybody who has fields of one object.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Managers {
    pub(super) entries: Vec<Entry>,
}

impl Operation {
    fn as_str(self) -> &'static str {
        match self {
            Self::Apply => "Apply",
            Self::Update => "Update",
        }
    }
}

impl Actor {
    /// Whether both are one manager. An applier stays itself in whatever version it writes.
    pub(super) fn is(&self, other: &Self) -> bool {
        let is_one =
            (self.operation, &self.manager, &self.subresource) == (other.operation, &other.manager, &other.subresource);
        is_one && (self.operation == Operation::Apply || self.api_version == other.api_version)
    }

    /// Its name in what is said of conflicts.
    pub(super) fn spoken(&self) -> String {
        let mut text = Value::from(self.manager.as_str()).to_string();
        if !self.subresource.is_empty() {
            text += &format!(" with subresource {}", Value::from(self.subresource.as_str()));
        }
        if self.operation == Operation::Update {
            text += &format!(" using {}", self.api_version);
        }
        text
    }
}

impl Managers {
    /// Those that stand in `object`; none where what stands there cannot be read.
    #[must_use]
    pub fn of(object: &Value) -> Self {
        let listed = object.pointer("/metadata/managedFields").and_then(Value::as_array).into_iter().flatten();
        let entries: Option<Vec<Entry>> = listed.map(Entry::parse).collect();
        Self { entries: entries.unwrap_or_default() }
    }

    /// Those that a write leaves to start from: of what a client sent, unless it knows nothing of them; `None` where
    /// it asks for none (a list of one empty entry).
    #[must_use]
    pub fn before(sent: &Value, stored: &Value) -> Option<Self> {
        let list = sent.pointer("/metadata/managedFields").and_then(Value::as_array);
        let asks_for_none = list.is_some_and(|list| match list.as_slice() {
            [] => true,
            [Value::Object(only)] => only.values().all(super::is_bare),
            _ => false,
        });
        if asks_for_none {
            return None;
        }
        let sent = Self::of(sent).united();
        Some(if sent.entries.is_empty() { Self::of(stored) } else { sent })
    }

    /// Of entries that are of one manager the last counts: one of two may have been given the other's name.
    fn united(mut self) -> Self {
        let mut united: Vec<Entry> = Vec::with_capacity(self.entries.len());
        for entry in self.entries.drain(..) {
            united.retain(|known| !known.actor.is(&entry.actor));
            united.push(entry);
        }
        Self { entries: united }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Writes them into `object`, in upstream's order.
    pub fn put(mut self, object: &mut Value) {
        self.entries.sort_by(|left, right| {
            let (left_actor, right_actor) = (&left.actor, &right.actor);
            let of_time = (left_actor.operation, &left.time).cmp(&(right_actor.operation, &right.time));
            of_time.then_with(|| left_actor.cmp(right_actor))
        });
        let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return };
        if self.entries.is_empty() {
            metadata.remove("managedFields");
        } else {
            let entries: Vec<Value> = self.entries.iter().map(Entry::to_value).collect();
            metadata.insert("managedFields".into(), entries.into());
        }
    }

    pub(super) fn position(&self, actor: &Actor) -> Option<usize> {
        self.entries.iter().position(|entry| entry.actor.is(actor))
    }

    /// Takes the entry of `actor` out.
    pub(super) fn take(&mut self, actor: &Actor) -> Option<Entry> {
        self.position(actor).map(|at| self.entries.swap_remove(at))
    }

    /// Makes one entry of the oldest updaters until there are not too many.
    pub(super) fn cap(&mut self) {
        let is_updater = |entry: &Entry| entry.actor.operation == Operation::Update;
        let mut updaters: Vec<Entry> = self.entries.extract_if(.., |entry| is_updater(entry)).collect();
        updaters.sort_by(|left, right| (&left.time, &left.actor).cmp(&(&right.time, &right.actor)));
        let mut left = updaters.len();
        let mut kept: Vec<Entry> = Vec::with_capacity(left);
        for entry in updaters {
            let bucket = kept.iter_mut().find(|kept| kept.actor.api_version == entry.actor.api_version);
            match bucket {
                Some(bucket) if left > UPDATERS_MAX => {
                    left -= 1;
                    bucket.actor =
                        Actor { manager: ANCIENT.to_owned(), subresource: String::new(), ..bucket.actor.clone() };
                    bucket.fields = bucket.fields.union(&entry.fields);
                    bucket.time = entry.time;
                }
                _ => kept.push(entry),
            }
        }
        self.entries.extend(kept);
    }
}

impl Entry {
    fn parse(value: &Value) -> Option<Self> {
        let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        if text("fieldsType") != FIELDS_TYPE {
            return None;
        }
        let operation = match text("operation").as_str() {
            "Apply" => Operation::Apply,
            "Update" => Operation::Update,
            _ => return None,
        };
        let actor = Actor {
            operation,
            manager: text("manager"),
            api_version: text("apiVersion"),
            subresource: text("subresource"),
        };
        let fields = value.get("fieldsV1").map(Fields::parse).transpose().ok()?.unwrap_or_default();
        Some(Self { actor, time: Some(text("time")).filter(|time| !time.is_empty()), fields })
    }

    fn to_value(&self) -> Value {
        let Actor { operation, manager, api_version, subresource } = &self.actor;
        let mut entry = Map::new();
        let mut put = |name: &str, text: &str| {
            if !text.is_empty() {
                entry.insert(name.to_owned(), text.into());
            }
        };
        put("manager", manager);
        put("operation", operation.as_str());
        put("apiVersion", api_version);
        put("time", self.time.as_deref().unwrap_or_default());
        put("fieldsType", FIELDS_TYPE);
        put("subresource", subresource);
        entry.insert("fieldsV1".into(), self.fields.to_value());
        Value::Object(entry)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn of_too_many_updaters_the_oldest_become_one() {
        let entry = |n: usize| {
            json!({"manager": format!("m{n:02}"), "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1",
                "time": format!("2026-01-01T00:00:{n:02}Z"), "fieldsV1": {"f:data": {format!("f:{n:02}"): {}}}})
        };
        let listed: Vec<Value> = (0..12).map(entry).collect();
        let mut object = json!({"metadata": {"managedFields": listed}});
        let mut managers = Managers::of(&object);
        managers.cap();
        managers.put(&mut object);
        let list = object["metadata"]["managedFields"].as_array().unwrap();
        assert_eq!(list.len(), 10);
        assert_eq!(
            list[0],
            json!({"manager": "ancient-changes", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1",
                "time": "2026-01-01T00:00:02Z", "fieldsV1": {"f:data": {"f:00": {}, "f:01": {}, "f:02": {}}}})
        );
        assert_eq!(list[9], entry(11));
    }

    #[test]
    fn what_a_client_sends_counts_if_it_knows_of_managers() {
        let entry = |manager: &str, operation: &str| json!({"manager": manager, "operation": operation, "apiVersion": "v1", "fieldsType": "FieldsV1"});
        let stored = json!({"metadata": {"managedFields": [entry("a", "Apply")]}});
        let names = |sent: Value| {
            let managers = Managers::before(&sent, &stored)?;
            Some(managers.entries.into_iter().map(|entry| entry.actor.manager).collect::<String>())
        };
        let with = |list: Value| json!({"metadata": {"managedFields": list}});
        assert_eq!(names(json!({})).as_deref(), Some("a"));
        assert_eq!(names(with(json!([entry("b", "Update")]))).as_deref(), Some("b"));
        assert_eq!(names(with(json!([entry("b", "Update"), entry("b", "Update")]))).as_deref(), Some("b"));
        assert_eq!(names(with(json!([entry("b", "?")]))).as_deref(), Some("a"));
        assert_eq!(names(with(json!([]))), None);
        assert_eq!(names(with(json!([{}]))), None);
    }
}
