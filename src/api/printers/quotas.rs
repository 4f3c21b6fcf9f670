//! What a namespace may use.

use jiff::Timestamp;
use serde_json::Value;

use super::{AGE, Column, NAME, age, name, text};

/// `ResourceQuota`.
pub const RESOURCE_QUOTA: &[Column] =
    &[NAME, text("Request", "What is used of what may be requested."), text("Limit", "What is used of limits."), AGE];

/// A quota's cells.
#[must_use]
pub fn resource_quota(object: &Value, now: Timestamp) -> Vec<Value> {
    let map = |field: &str| object.pointer(field).and_then(Value::as_object);
    let used = |name: &str| map("/status/used").and_then(|used| used.get(name)?.as_str()).unwrap_or("0");
    let told = |is_limit: bool| -> Value {
        let bounded = map("/status/hard").into_iter().flatten();
        let bounded = bounded.filter(|(name, _)| name.starts_with("limits") == is_limit);
        let told = bounded.map(|(name, hard)| format!("{name}: {}/{}", used(name), hard.as_str().unwrap_or("0")));
        told.collect::<Vec<_>>().join(", ").into()
    };
    vec![name(object), told(false), told(true), age(object, now)]
}
