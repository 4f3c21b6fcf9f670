//! The fields by which objects can be selected, besides name and namespace.

use serde_json::Value;

/// A pod's fields.
pub(super) const POD: &[&str] = &[
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "spec.hostNetwork",
    "status.phase",
    "status.podIP",
    "status.nominatedNodeName",
];

/// An event's fields.
pub(super) const EVENT: &[&str] = &[
    "involvedObject.kind",
    "involvedObject.namespace",
    "involvedObject.name",
    "involvedObject.uid",
    "involvedObject.apiVersion",
    "involvedObject.resourceVersion",
    "involvedObject.fieldPath",
    "reason",
    "reportingComponent",
    "source",
    "type",
];

/// A text at a JSON pointer; empty where there is none.
pub(super) fn text(object: &Value, pointer: &str) -> String {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// A flag at a JSON pointer, as text.
pub(super) fn flag(object: &Value, pointer: &str) -> String {
    object.pointer(pointer).and_then(Value::as_bool).unwrap_or(false).to_string()
}

/// A whole number at a JSON pointer, as text.
pub(super) fn count(object: &Value, pointer: &str) -> String {
    object.pointer(pointer).and_then(Value::as_i64).unwrap_or(0).to_string()
}

/// Selectable fields of `events.k8s.io` Events that are called as in core.
pub(super) const EVENTS_EVENT: &[&str] = &["reason", "source", "type"];

/// The others, with core's names for them.
pub(super) const EVENTS_EVENT_STORED: &[(&str, &str)] = &[
    ("regarding.kind", "involvedObject.kind"),
    ("regarding.namespace", "involvedObject.namespace"),
    ("regarding.name", "involvedObject.name"),
    ("regarding.uid", "involvedObject.uid"),
    ("regarding.apiVersion", "involvedObject.apiVersion"),
    ("regarding.resourceVersion", "involvedObject.resourceVersion"),
    ("regarding.fieldPath", "involvedObject.fieldPath"),
    ("reportingController", "reportingComponent"),
];

/// How many replicas there are.
pub(super) fn replicas(object: &Value) -> Vec<(&'static str, String)> {
    vec![("status.replicas", count(object, "/status/replicas"))]
}

/// The values of [`POD`].
pub(super) fn pod(pod: &Value) -> Vec<(&'static str, String)> {
    let value = |name: &str| match name {
        "spec.hostNetwork" => flag(pod, "/spec/hostNetwork"),
        name => text(pod, &pointer(name)),
    };
    POD.iter().map(|name| (*name, value(name))).collect()
}

/// The values of [`EVENT`].
pub(super) fn event(event: &Value) -> Vec<(&'static str, String)> {
    let value = |name: &str| match name {
        "source" => {
            let component = text(event, "/source/component");
            if component.is_empty() { text(event, "/reportingComponent") } else { component }
        }
        name => text(event, &pointer(name)),
    };
    EVENT.iter().map(|name| (*name, value(name))).collect()
}

/// `spec.nodeName` as a JSON pointer.
fn pointer(name: &str) -> String {
    format!("/{}", name.replace('.', "/"))
}
