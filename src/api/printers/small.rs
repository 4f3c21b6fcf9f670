//! Kinds whose columns are a line or two.

use jiff::Timestamp;
use serde_json::Value;

use super::{AGE, Column, NAME, NONE, age, few, items, name, pairs, text, text_at, wide};

/// Name and age: what any kind can show.
pub const PLAIN: &[Column] = &[NAME, AGE];

/// The cells under [`PLAIN`].
#[must_use]
pub fn plain(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![name(object), age(object, now)]
}

/// `ConfigMap`.
pub const CONFIG_MAP: &[Column] = &[NAME, text("Data", "How many keys it has."), AGE];

/// A config map's cells.
#[must_use]
pub fn config_map(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![name(object), (count(object, "data") + count(object, "binaryData")).into(), age(object, now)]
}

/// `Secret`.
pub const SECRET: &[Column] = &[NAME, text("Type", "What it is for."), text("Data", "How many keys it has."), AGE];

/// A secret's cells.
#[must_use]
pub fn secret(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![name(object), text_at(object, "/type", ""), count(object, "data").into(), age(object, now)]
}

/// `Namespace`.
pub const NAMESPACE: &[Column] = &[NAME, text("Status", "Whether it is active or going."), AGE];

/// A namespace's cells.
#[must_use]
pub fn namespace(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![name(object), text_at(object, "/status/phase", ""), age(object, now)]
}

/// `Lease`.
pub const LEASE: &[Column] = &[NAME, text("Holder", "Who holds it."), AGE];

/// A lease's cells.
#[must_use]
pub fn lease(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![name(object), text_at(object, "/spec/holderIdentity", ""), age(object, now)]
}

/// `Endpoints`.
pub const ENDPOINTS: &[Column] = &[NAME, text("Endpoints", "The addresses and ports behind the service."), AGE];

/// An endpoints' cells.
#[must_use]
pub fn endpoints(object: &Value, now: Timestamp) -> Vec<Value> {
    let mut all = Vec::new();
    for subset in items(object, "/subsets") {
        for address in items(subset, "/addresses").iter().filter_map(|address| address.get("ip")?.as_str()) {
            let ports = items(subset, "/ports");
            let with_port = |port: &Value| Some(format!("{address}:{}", port.get("port")?.as_u64()?));
            all.extend(ports.iter().filter_map(with_port));
            if ports.is_empty() {
                all.push(address.to_owned());
            }
        }
    }
    vec![name(object), few(all, NONE).into(), age(object, now)]
}

/// `PriorityClass`.
pub const PRIORITY_CLASS: &[Column] = &[
    NAME,
    Column { kind: "integer", ..text("Value", "The priority of its pods.") },
    Column { kind: "boolean", ..text("Global-Default", "Whether pods without a class get it.") },
    AGE,
    text("PreemptionPolicy", "Whether its pods may take others' place."),
];

/// A priority class' cells.
#[must_use]
pub fn priority_class(object: &Value, now: Timestamp) -> Vec<Value> {
    let value = object.get("value").cloned().unwrap_or_else(|| 0.into());
    let is_default = object.get("globalDefault").and_then(Value::as_bool).unwrap_or(false);
    vec![name(object), value, is_default.into(), age(object, now), text_at(object, "/preemptionPolicy", "")]
}

/// `RuntimeClass`.
pub const RUNTIME_CLASS: &[Column] = &[NAME, text("Handler", "The configuration of the node that it names."), AGE];

/// A runtime class' cells.
#[must_use]
pub fn runtime_class(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![name(object), text_at(object, "/handler", ""), age(object, now)]
}

/// `PodTemplate`.
pub const POD_TEMPLATE: &[Column] = &[
    NAME,
    text("Containers", "The names of its containers."),
    text("Images", "Their images."),
    text("Pod Labels", "The labels of its pods."),
];

/// A pod template's cells.
#[must_use]
pub fn pod_template(object: &Value, _now: Timestamp) -> Vec<Value> {
    let containers = |field: &str| {
        let containers = items(object, "/template/spec/containers");
        containers.iter().filter_map(|container| container.get(field)?.as_str()).collect::<Vec<_>>().join(",")
    };
    let labels = pairs(object, "/template/metadata/labels");
    vec![name(object), containers("name").into(), containers("image").into(), labels.into()]
}

/// `CertificateSigningRequest`.
pub const CERTIFICATE_SIGNING_REQUEST: &[Column] = &[
    NAME,
    AGE,
    text("SignerName", "Who is asked to sign."),
    text("Requestor", "Who asks."),
    text("RequestedDuration", "For how long the certificate is wanted."),
    text("Condition", "What became of the request."),
    wide("Usages", "What the certificate is for."),
];

/// A request's cells.
#[must_use]
pub fn certificate_signing_request(object: &Value, now: Timestamp) -> Vec<Value> {
    let seconds = object.pointer("/spec/expirationSeconds").and_then(Value::as_i64);
    let duration = seconds.map_or_else(|| NONE.to_owned(), super::age::human);
    let usages: Vec<&str> = items(object, "/spec/usages").iter().filter_map(Value::as_str).collect();
    vec![
        name(object),
        age(object, now),
        text_at(object, "/spec/signerName", NONE),
        text_at(object, "/spec/username", ""),
        duration.into(),
        condition(object).into(),
        usages.join(",").into(),
    ]
}

fn condition(request: &Value) -> String {
    let has = |kind: &str| {
        let conditions = items(request, "/status/conditions").iter();
        conditions.filter_map(|condition| condition.get("type")?.as_str()).any(|found| found == kind)
    };
    let mut words: Vec<&str> = ["Approved", "Denied", "Failed"].into_iter().filter(|kind| has(kind)).collect();
    if words.is_empty() {
        words.push("Pending");
    }
    if request.pointer("/status/certificate").and_then(Value::as_str).is_some_and(|pem| !pem.is_empty()) {
        words.push("Issued");
    }
    words.join(",")
}

fn count(object: &Value, field: &str) -> usize {
    object.get(field).and_then(Value::as_object).map_or(0, serde_json::Map::len)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn many_endpoints_are_counted() {
        let addresses: Vec<Value> = (1..=5).map(|n| json!({"ip": format!("10.0.0.{n}")})).collect();
        let object = json!({"subsets": [{"addresses": addresses, "ports": [{"port": 80}]}]});
        let cells = endpoints(&object, "2026-11-23T12:00:00Z".parse().unwrap());
        assert_eq!(cells[1], "10.0.0.1:80,10.0.0.2:80,10.0.0.3:80 + 2 more...");
    }

    #[test]
    fn a_request_says_what_became_of_it() {
        assert_eq!(condition(&json!({})), "Pending");
        let signed = json!({"status": {"conditions": [{"type": "Approved"}], "certificate": "pem"}});
        assert_eq!(condition(&signed), "Approved,Issued");
    }
}
