//! Which requests wait for which.

use serde_json::Value;

use super::{part, set};
use crate::value::number;

/// A `FlowSchema`'s defaults.
pub fn flow_schema(object: &mut Value) {
    if let Some(spec) = part(object, "spec") {
        set_count(spec, "matchingPrecedence", 1000);
    }
}

/// A `PriorityLevelConfiguration`'s defaults.
pub fn priority_level(object: &mut Value) {
    let Some(spec) = part(object, "spec") else { return };
    if let Some(exempt) = part(spec, "exempt") {
        set(exempt, "nominalConcurrencyShares", 0);
        set(exempt, "lendablePercent", 0);
    }
    let Some(limited) = part(spec, "limited") else { return };
    set(limited, "nominalConcurrencyShares", 30);
    set(limited, "lendablePercent", 0);
    if let Some(queuing) = part(limited, "limitResponse").and_then(|response| part(response, "queuing")) {
        set_count(queuing, "handSize", 8);
        set_count(queuing, "queues", 64);
        set_count(queuing, "queueLengthLimit", 50);
    }
}

/// Sets a number that is unset or zero.
fn set_count(object: &mut Value, field: &str, count: i64) {
    if number(object, field).unwrap_or(0) == 0 {
        object[field] = count.into();
    }
}
