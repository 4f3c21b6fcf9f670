//! Devices and claims of them.

use jiff::Timestamp;
use serde_json::Value;

use super::{AGE, Column, NAME, age, items, name, text, text_at};
use crate::meta;

/// `ResourceClaim`.
pub const CLAIM: &[Column] = &[NAME, text("State", "What became of the claim."), AGE];

/// A claim's cells.
#[must_use]
pub fn claim(object: &Value, now: Timestamp) -> Vec<Value> {
    let (is_deleted, is_given) =
        (meta::deletion_timestamp(object).is_some(), object.pointer("/status/allocation").is_some());
    let is_reserved = is_given && !items(object, "/status/reservedFor").is_empty();
    let states = [
        (is_deleted, "deleted"),
        (!is_given && !is_deleted, "pending"),
        (is_given, "allocated"),
        (is_reserved, "reserved"),
    ];
    let states: Vec<&str> = states.into_iter().filter(|(is, _)| *is).map(|(_, state)| state).collect();
    vec![name(object), states.join(",").into(), age(object, now)]
}

/// `ResourceSlice`.
pub const SLICE: &[Column] = &[
    NAME,
    text("Node", "The node that has the devices."),
    text("Driver", "The driver that offers them."),
    text("Pool", "The pool that they are of."),
    AGE,
];

/// A slice's cells.
#[must_use]
pub fn slice(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        name(object),
        text_at(object, "/spec/nodeName", ""),
        text_at(object, "/spec/driver", ""),
        text_at(object, "/spec/pool/name", ""),
        age(object, now),
    ]
}
