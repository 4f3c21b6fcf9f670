//! What every object has: reading, writing and checking `metadata` of a value.
//!
//! Readers take what is absent for empty. Writers make what is missing on the way; where something stands that cannot
//! hold what is to be written (an object that is no object), they leave it alone: decoding has ruled that out.

mod validation;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value};

pub(crate) use validation::validate_embedded;
pub use validation::{validate_create, validate_update};

/// `kind`, or empty.
#[must_use]
pub fn kind(object: &Value) -> &str {
    object.get("kind").and_then(Value::as_str).unwrap_or_default()
}

/// `apiVersion`, or empty.
#[must_use]
pub fn api_version(object: &Value) -> &str {
    object.get("apiVersion").and_then(Value::as_str).unwrap_or_default()
}

/// `metadata.name`, or empty.
#[must_use]
pub fn name(object: &Value) -> &str {
    text(object, "name").unwrap_or_default()
}

/// `metadata.generateName`, or empty.
#[must_use]
pub fn generate_name(object: &Value) -> &str {
    text(object, "generateName").unwrap_or_default()
}

/// `metadata.namespace`, if it is set.
#[must_use]
pub fn namespace(object: &Value) -> Option<&str> {
    text(object, "namespace")
}

/// `metadata.uid`, if it is set.
#[must_use]
pub fn uid(object: &Value) -> Option<&str> {
    text(object, "uid")
}

/// `metadata.resourceVersion`, if it is set.
#[must_use]
pub fn resource_version(object: &Value) -> Option<&str> {
    text(object, "resourceVersion")
}

/// `metadata.generation`, if the kind has one.
#[must_use]
pub fn generation(object: &Value) -> Option<i64> {
    field(object, "generation").and_then(Value::as_i64)
}

/// `metadata.creationTimestamp`, if it is set.
#[must_use]
pub fn creation_timestamp(object: &Value) -> Option<&str> {
    text(object, "creationTimestamp")
}

/// `metadata.deletionTimestamp`, if the object is being deleted.
#[must_use]
pub fn deletion_timestamp(object: &Value) -> Option<&str> {
    text(object, "deletionTimestamp")
}

/// `metadata.deletionGracePeriodSeconds`, if the object is being deleted.
#[must_use]
pub fn deletion_grace_seconds(object: &Value) -> Option<i64> {
    field(object, "deletionGracePeriodSeconds").and_then(Value::as_i64)
}

/// Labels, sorted by key.
pub fn labels(object: &Value) -> impl Iterator<Item = (&str, &str)> {
    pairs(field(object, "labels"))
}

/// The value of a label.
#[must_use]
pub fn label<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    field(object, "labels")?.get(key)?.as_str()
}

/// Annotations, sorted by key.
pub fn annotations(object: &Value) -> impl Iterator<Item = (&str, &str)> {
    pairs(field(object, "annotations"))
}

/// The value of an annotation.
#[must_use]
pub fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    field(object, "annotations")?.get(key)?.as_str()
}

/// `metadata.ownerReferences`.
#[must_use]
pub fn owner_references(object: &Value) -> &[Value] {
    field(object, "ownerReferences").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The owner that controls the object, if any.
#[must_use]
pub fn controller(object: &Value) -> Option<&Value> {
    owner_references(object).iter().find(|owner| controller_name(owner).is_some())
}

/// `Kind/name` of an owner, if it is the one that controls.
fn controller_name(owner: &Value) -> Option<String> {
    owner.get("controller").and_then(Value::as_bool).filter(|is_controller| *is_controller)?;
    let text = |name: &str| owner.get(name).and_then(Value::as_str).unwrap_or_default();
    Some(format!("{}/{}", text("kind"), text("name")))
}

/// `metadata.finalizers`.
#[must_use]
pub fn finalizers(object: &Value) -> Vec<String> {
    let finalizers = field(object, "finalizers").and_then(Value::as_array).into_iter().flatten();
    finalizers.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// A field of `metadata`, as it stands.
#[must_use]
pub fn field<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    object.get("metadata")?.get(name)
}

/// Writes `metadata.name`.
pub fn set_name(object: &mut Value, name: &str) {
    set_in(object, "/metadata", "name", name.into());
}

/// Writes `metadata.namespace`.
pub fn set_namespace(object: &mut Value, namespace: &str) {
    set_in(object, "/metadata", "namespace", namespace.into());
}

/// Writes `metadata.generation`.
pub fn set_generation(object: &mut Value, generation: i64) {
    set_in(object, "/metadata", "generation", generation.into());
}

/// Writes an annotation.
pub fn set_annotation(object: &mut Value, key: &str, value: &str) {
    set_in(object, "/metadata/annotations", key, value.into());
}

/// Removes an annotation and hands back its value. No annotations left removes the field.
pub fn take_annotation(object: &mut Value, key: &str) -> Option<String> {
    let annotations = object.pointer_mut("/metadata/annotations")?.as_object_mut()?;
    let taken = annotations.remove(key);
    if annotations.is_empty() {
        remove(object, "annotations");
    }
    taken?.as_str().map(str::to_owned)
}

/// Writes `metadata.finalizers`; none of them removes the field.
pub fn set_finalizers(object: &mut Value, finalizers: &[String]) {
    if finalizers.is_empty() {
        remove(object, "finalizers");
    } else {
        set_in(object, "/metadata", "finalizers", finalizers.into());
    }
}

/// Writes that the object is being deleted, and when its grace ends.
pub fn set_deletion(object: &mut Value, until: Timestamp, grace_seconds: i64) {
    set_in(object, "/metadata", "deletionTimestamp", time(until).into());
    set_deletion_grace_seconds(object, grace_seconds);
}

/// Writes `metadata.deletionGracePeriodSeconds`.
pub fn set_deletion_grace_seconds(object: &mut Value, seconds: i64) {
    set_in(object, "/metadata", "deletionGracePeriodSeconds", seconds.into());
}

/// Writes a condition of `status.conditions`, in the place of the one of its type.
pub fn set_condition(object: &mut Value, condition: Value) {
    let Some(Value::Array(conditions)) = make(object, "/status/conditions", || Value::Array(Vec::new())) else {
        return;
    };
    match conditions.iter_mut().find(|old| old.get("type") == condition.get("type")) {
        Some(old) => *old = condition,
        None => conditions.push(condition),
    }
}

/// Removes a field of `metadata`.
pub fn remove(object: &mut Value, name: &str) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove(name);
    }
}

/// Writes the field at a path of field names (`/spec/nodeName`).
pub fn set_at(object: &mut Value, path: &str, value: Value) {
    if let Some(place) = make(object, path, || Value::Null) {
        *place = value;
    }
}

/// Writes a value under a key of the map at a path.
pub fn set_in(object: &mut Value, path: &str, key: &str, value: Value) {
    if let Some(Value::Object(map)) = make(object, path, || Value::Object(Map::new())) {
        map.insert(key.to_owned(), value);
    }
}

/// Appends to the list at a path.
pub fn push_at(object: &mut Value, path: &str, value: Value) {
    if let Some(Value::Array(list)) = make(object, path, || Value::Array(Vec::new())) {
        list.push(value);
    }
}

/// The value at a path, made by `empty` where there is none; `None` when something on the way is no object.
fn make<'a>(object: &'a mut Value, path: &str, empty: fn() -> Value) -> Option<&'a mut Value> {
    let mut place = object;
    for name in path.split('/').skip(1) {
        if place.is_null() {
            *place = Value::Object(Map::new());
        }
        place = place.as_object_mut()?.entry(name).or_insert(Value::Null);
    }
    if place.is_null() {
        *place = empty();
    }
    Some(place)
}

/// Writes what the server decides about a new object: uid, creation time, and nothing left of an earlier life.
pub fn fill_create(object: &mut Value, uid: &str, created: Timestamp) {
    for name in ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"] {
        remove(object, name);
    }
    set_in(object, "/metadata", "uid", uid.into());
    set_in(object, "/metadata", "creationTimestamp", time(created).into());
}

/// Keeps of the old object what no update may change: creation, deletion, and what was left out.
///
/// As upstream's `rest.BeforeUpdate`: an update that says nothing about `uid` or `generation` keeps them, one that
/// says something else is found by [`validate_update`].
pub fn fill_update(new: &mut Value, old: &Value) {
    for name in ["creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation"] {
        keep(new, old, name);
    }
    if uid(new).is_none() {
        keep(new, old, "uid");
    }
}

fn keep(new: &mut Value, old: &Value, name: &str) {
    match field(old, name) {
        Some(value) => set_in(new, "/metadata", name, value.clone()),
        None => remove(new, name),
    }
}

/// A point in time as `metav1.Time` prints it: UTC, whole seconds.
#[must_use]
pub fn time(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A point in time as `metav1.MicroTime` prints it: UTC, six digits.
#[must_use]
pub fn micro_time(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

/// A text of `metadata`, if it is set and not empty.
fn text<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    field(object, name).and_then(Value::as_str).filter(|text| !text.is_empty())
}

fn pairs(value: Option<&Value>) -> impl Iterator<Item = (&str, &str)> {
    let map = value.and_then(Value::as_object).into_iter().flatten();
    map.filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_new_object_gets_what_the_server_decides() {
        let mut object = json!({"metadata": {"name": "a", "deletionTimestamp": "2020-01-01T00:00:00Z"}});
        fill_create(&mut object, "u", Timestamp::from_second(0).unwrap());
        assert_eq!(object["metadata"], json!({"name": "a", "uid": "u", "creationTimestamp": "1970-01-01T00:00:00Z"}));
    }

    #[test]
    fn an_update_cannot_rewrite_history() {
        let old = json!({"metadata": {"uid": "u", "creationTimestamp": "c", "generation": 3}});
        let mut new = json!({"metadata": {"creationTimestamp": "other", "deletionTimestamp": "d"}});
        fill_update(&mut new, &old);
        assert_eq!(new, old);
    }

    #[test]
    fn writers_make_what_is_missing() {
        let mut object = json!({"spec": null});
        set_at(&mut object, "/spec/nodeName", "n".into());
        set_in(&mut object, "/spec/nodeSelector", "a/b", "c".into());
        push_at(&mut object, "/spec/tolerations", 1.into());
        set_condition(&mut object, json!({"type": "A", "status": "False"}));
        set_condition(&mut object, json!({"type": "A", "status": "True"}));
        assert_eq!(
            object,
            json!({"spec": {"nodeName": "n", "nodeSelector": {"a/b": "c"}, "tolerations": [1]},
                "status": {"conditions": [{"type": "A", "status": "True"}]}})
        );
    }

    #[test]
    fn times_are_printed_as_upstream_prints_them() {
        let at: Timestamp = "2026-11-23T08:51:13.123456789Z".parse().unwrap();
        assert_eq!(time(at), "2026-11-23T08:51:13Z");
        assert_eq!(micro_time(at), "2026-11-23T08:51:13.123456Z");
    }
}
