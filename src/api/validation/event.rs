//! Events, in both forms: core Events are taken nearly as they come, those of `events.k8s.io` must be whole.

use serde_json::Value;

use super::checks::{immutable, invalid_each, qualified_name, subdomain};
use super::field::{Error, ErrorList, Path};
use crate::events;
use crate::meta;
use crate::names;
use crate::value::{has, number, part, text};

/// Bytes of `reportingInstance`, `action` and `reason`.
const WORD_BYTES_MAX: usize = 128;
/// Bytes of the message.
const NOTE_BYTES_MAX: usize = 1024;

/// Fields of an event that no update through `events.k8s.io` changes, by their core names.
const FIXED: [&str; 14] = [
    "involvedObject",
    "reason",
    "message",
    "source",
    "firstTimestamp",
    "lastTimestamp",
    "count",
    "reason",
    "type",
    "eventTime",
    "action",
    "related",
    "reportingComponent",
    "reportingInstance",
];

/// What is wrong with a core Event.
pub fn core(event: &Value) -> ErrorList {
    lenient(event, "reportingComponent")
}

/// What is wrong with a changed core Event.
pub fn core_update(new: &Value, _old: &Value) -> ErrorList {
    core(new)
}

/// What is wrong with an Event of `events.k8s.io`.
pub fn strict(event: &Value) -> ErrorList {
    let event = &events::to_core(event.clone());
    let mut errors = lenient(event, "reportingController");
    let name = meta::name(event);
    invalid_each(&mut errors, &Path::new("metadata").child("name"), name, names::subdomain(name));
    check_series(&mut errors, event);
    if !has(event, "eventTime") {
        errors.push(Error::required("eventTime", ""));
    }
    let kind = text(event, "type");
    if !matches!(kind, "Normal" | "Warning") {
        errors.push(Error::invalid("type", "", format!("has invalid value: {kind}")));
    }
    let source = part(event, "source");
    let is_set = [
        ("firstTimestamp", has(event, "firstTimestamp")),
        ("lastTimestamp", has(event, "lastTimestamp")),
        ("count", number(event, "count").unwrap_or(0) != 0),
        ("source", ["component", "host"].iter().any(|field| !text(source, field).is_empty())),
    ];
    let set = is_set.into_iter().filter(|(_, is_set)| *is_set);
    errors.extend(set.map(|(field, _)| Error::invalid(field, "", "needs to be unset")));
    errors
}

/// What is wrong with a changed Event of `events.k8s.io`: only its series goes on.
pub fn strict_update(new: &Value, old: &Value) -> ErrorList {
    let (new, old) = (&events::to_core(new.clone()), &events::to_core(old.clone()));
    let mut errors = lenient(new, "reportingController");
    if part(new, "series") != part(old, "series") {
        check_series(&mut errors, new);
    }
    for field in FIXED {
        let shown = if field == "reportingComponent" { "reportingController" } else { field };
        immutable(&mut errors, &Path::new(shown), part(new, field), part(old, field));
    }
    errors
}

fn check_series(errors: &mut ErrorList, event: &Value) {
    let series = part(event, "series");
    if series.is_null() {
        return;
    }
    if number(series, "count").unwrap_or(0) < 2 {
        errors.push(Error::invalid("series.count", "", "should be at least 2"));
    }
    if !has(series, "lastObservedTime") {
        errors.push(Error::required("series.lastObservedTime", ""));
    }
}

/// What every event must satisfy; those with an `eventTime` are new ones, of which more is asked.
fn lenient(event: &Value, controller_field: &str) -> ErrorList {
    let mut errors = ErrorList::new();
    let namespace = meta::namespace(event).unwrap_or_default();
    let about = text(part(event, "involvedObject"), "namespace");
    let is_new = has(event, "eventTime");
    let matches = match about {
        "" if is_new => matches!(namespace, "default" | "kube-system"),
        "" => matches!(namespace, "" | "default"),
        about => is_new || about == namespace,
    };
    if !matches {
        errors.push(Error::invalid("involvedObject.namespace", about, "does not match event.namespace"));
    }
    if is_new {
        check_words(&mut errors, event, controller_field);
    }
    subdomain(&mut errors, &Path::new("namespace"), namespace);
    errors
}

fn check_words(errors: &mut ErrorList, event: &Value, controller_field: &str) {
    let too_long = |field: &str, max: usize| Error::invalid(field, "", format!("can have at most {max} characters"));
    let controller = text(event, "reportingComponent");
    if controller.is_empty() {
        errors.push(Error::required(controller_field, ""));
    }
    qualified_name(errors, &Path::new(controller_field), controller);
    for field in ["reportingInstance", "action", "reason"] {
        match text(event, field).len() {
            0 => errors.push(Error::required(field, "")),
            1..=WORD_BYTES_MAX => {}
            _ => errors.push(too_long(field, WORD_BYTES_MAX)),
        }
    }
    if text(event, "message").len() > NOTE_BYTES_MAX {
        errors.push(too_long("message", NOTE_BYTES_MAX));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::check;
    use super::*;

    fn whole() -> Value {
        json!({"metadata": {"name": "e", "namespace": "n"}, "regarding": {"kind": "Pod", "namespace": "n", "name": "p"},
            "eventTime": "2026-11-23T12:00:00.000000Z", "reportingController": "minke.dev/kubelet",
            "reportingInstance": "i", "action": "Pull", "reason": "Pulled", "type": "Normal"})
    }

    #[test]
    fn an_old_event_is_in_the_namespace_of_what_it_is_about() {
        let about = |namespace: &str| {
            core(&json!({"metadata": {"name": "_", "namespace": "n"}, "involvedObject": {"namespace": namespace}}))
        };
        check(&about("n"), &[]);
        check(&about("m"), &["involvedObject.namespace: Invalid value: \"m\": does not match event.namespace"]);
        check(&about(""), &["involvedObject.namespace: Invalid value: \"\": does not match event.namespace"]);
    }

    #[test]
    fn an_event_of_the_new_group_is_whole() {
        check(&strict(&whole()), &[]);
        let mut event = whole();
        event["action"] = "".into();
        event["deprecatedCount"] = 3.into();
        event["type"] = "Odd".into();
        check(
            &strict(&event),
            &[
                "action: Required value",
                "type: Invalid value: \"\": has invalid value: Odd",
                "count: Invalid value: \"\": needs to be unset",
            ],
        );
    }

    #[test]
    fn only_the_series_of_an_event_goes_on() {
        let mut next = whole();
        next["series"] = json!({"count": 2, "lastObservedTime": "2026-11-23T12:01:00.000000Z"});
        check(&strict_update(&next, &whole()), &[]);
        next["note"] = "other".into();
        check(&strict_update(&next, &whole()), &["message: Invalid value: \"other\": field is immutable"]);
    }
}
