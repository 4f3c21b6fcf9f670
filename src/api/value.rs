//! Reading values by the names of fields. What is absent reads as empty, so that rules need not ask twice.

use serde_json::{Map, Value};

static ABSENT: Value = Value::Null;

/// What a field holds; null where it is absent.
pub(crate) fn part<'v>(object: &'v Value, field: &str) -> &'v Value {
    object.get(field).unwrap_or(&ABSENT)
}

/// Whether a field is set.
pub(crate) fn has(object: &Value, field: &str) -> bool {
    !part(object, field).is_null()
}

/// A text, or an empty one.
pub(crate) fn text<'v>(object: &'v Value, field: &str) -> &'v str {
    part(object, field).as_str().unwrap_or_default()
}

/// A whole number, if it is set.
pub(crate) fn number(object: &Value, field: &str) -> Option<i64> {
    part(object, field).as_i64()
}

/// Whether a flag is raised.
pub(crate) fn flag(object: &Value, field: &str) -> bool {
    part(object, field).as_bool().unwrap_or(false)
}

/// The items of a list.
pub(crate) fn list<'v>(object: &'v Value, field: &str) -> &'v [Value] {
    part(object, field).as_array().map_or(&[], Vec::as_slice)
}

/// The texts in a list.
pub(crate) fn texts<'v>(object: &'v Value, field: &str) -> impl Iterator<Item = &'v str> + Clone {
    list(object, field).iter().filter_map(Value::as_str)
}

/// The entries of a map, sorted by key.
pub(crate) fn entries<'v>(object: &'v Value, field: &str) -> impl Iterator<Item = (&'v str, &'v Value)> + Clone {
    part(object, field).as_object().into_iter().flat_map(Map::iter).map(|(key, value)| (key.as_str(), value))
}
