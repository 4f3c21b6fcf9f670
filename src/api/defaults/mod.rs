//! What a field holds when nobody set it, a function a kind, as upstream's `SetDefaults_*`.

pub mod access;
pub mod autoscaling;
pub mod devices;
pub mod extensions;
pub mod flow_control;
pub mod networking;
pub mod pod;
pub mod quotas;
pub mod service;
pub mod small;
pub mod storage;
pub mod volumes;
pub mod workloads;

use serde_json::{Map, Value};

/// Sets `field` of an object unless it is set.
pub(crate) fn set(object: &mut Value, field: &str, value: impl Into<Value>) {
    if let Some(fields) = object.as_object_mut() {
        let place = fields.entry(field).or_insert(Value::Null);
        if place.is_null() {
            *place = value.into();
        }
    }
}

/// The object in `field`, if there is one.
pub(crate) fn part<'v>(object: &'v mut Value, field: &str) -> Option<&'v mut Value> {
    object.get_mut(field).filter(|part| part.is_object())
}

/// The object in `field`, made if it is not there.
pub(crate) fn made<'v>(object: &'v mut Value, field: &str) -> Option<&'v mut Value> {
    let place = object.as_object_mut()?.entry(field).or_insert(Value::Null);
    if place.is_null() {
        *place = Value::Object(Map::new());
    }
    Some(place)
}

/// The items of the list in `field`.
pub(crate) fn each<'v>(object: &'v mut Value, field: &str) -> impl Iterator<Item = &'v mut Value> {
    object.get_mut(field).and_then(Value::as_array_mut).into_iter().flatten()
}
