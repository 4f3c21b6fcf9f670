//! An Event's two forms: it is stored as a core Event and served as one of `events.k8s.io`, too.

use serde_json::{Map, Value};

/// Fields that hold the same under two names: of `events.k8s.io`, of the core group.
const RENAMED: [(&str, &str); 7] = [
    ("regarding", "involvedObject"),
    ("note", "message"),
    ("deprecatedSource", "source"),
    ("deprecatedFirstTimestamp", "firstTimestamp"),
    ("deprecatedLastTimestamp", "lastTimestamp"),
    ("deprecatedCount", "count"),
    ("reportingController", "reportingComponent"),
];

/// A core Event as one of `events.k8s.io/v1`.
#[must_use]
pub fn from_core(event: Value) -> Value {
    rename(event, "events.k8s.io/v1", |name| RENAMED.iter().find(|(_, core)| *core == name).map(|(new, _)| *new))
}

/// An Event of `events.k8s.io/v1` as a core Event.
#[must_use]
pub fn to_core(event: Value) -> Value {
    rename(event, "v1", |name| RENAMED.iter().find(|(new, _)| *new == name).map(|(_, core)| *core))
}

fn rename(event: Value, api_version: &str, new_name: impl Fn(&str) -> Option<&'static str>) -> Value {
    let Value::Object(fields) = event else { return event };
    let renamed = fields.into_iter().map(|(name, value)| match new_name(&name) {
        Some(new) => (new.to_owned(), value),
        None => (name, value),
    });
    let mut event: Map<String, Value> = renamed.collect();
    event.insert("apiVersion".to_owned(), api_version.into());
    Value::Object(event)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_goes_there_and_back() {
        let core = json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e"}, "message": "m", "count": 2,
            "involvedObject": {"kind": "Pod"}, "source": {}, "reportingComponent": "c", "reason": "r", "type": "Normal"});
        let new = json!({"apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "e"}, "note": "m",
            "deprecatedCount": 2, "regarding": {"kind": "Pod"}, "deprecatedSource": {}, "reportingController": "c",
            "reason": "r", "type": "Normal"});
        assert_eq!(from_core(core.clone()), new);
        assert_eq!(to_core(new), core);
    }
}
