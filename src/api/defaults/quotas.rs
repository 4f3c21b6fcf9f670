//! What objects of a namespace may use.

use serde_json::Value;

use super::{each, made, part};

/// A `LimitRange`'s defaults: a container's limit is the most that it may have, its request the limit or the least.
pub fn limit_range(object: &mut Value) {
    let Some(spec) = part(object, "spec") else { return };
    for limit in each(spec, "limits").filter(|limit| limit["type"] == "Container") {
        for (to, from) in [("default", "max"), ("defaultRequest", "default"), ("defaultRequest", "min")] {
            let from = limit.get(from).and_then(Value::as_object).cloned().unwrap_or_default();
            let Some(Value::Object(to)) = made(limit, to) else { continue };
            for (name, amount) in from {
                to.entry(name).or_insert(amount);
            }
        }
    }
}
