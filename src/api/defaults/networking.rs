//! What may speak to what, and how the world comes in.

use serde_json::{Value, json};

use super::{each, part, set};

/// A `NetworkPolicy`'s defaults: ports are of TCP, and it is about what comes in, and what goes out where it says so.
pub fn network_policy(object: &mut Value) {
    let Some(spec) = part(object, "spec") else { return };
    for direction in ["ingress", "egress"] {
        for rule in each(spec, direction) {
            each(rule, "ports").for_each(|port| set(port, "protocol", "TCP"));
        }
    }
    let is_empty = |value: Option<&Value>| value.and_then(Value::as_array).is_none_or(Vec::is_empty);
    if is_empty(spec.get("policyTypes")) {
        let types = if is_empty(spec.get("egress")) { json!(["Ingress"]) } else { json!(["Ingress", "Egress"]) };
        spec["policyTypes"] = types;
    }
}

/// An `IngressClass`' defaults: parameters are the cluster's.
pub fn ingress_class(object: &mut Value) {
    if let Some(parameters) = part(object, "spec").and_then(|spec| part(spec, "parameters")) {
        set(parameters, "scope", "Cluster");
    }
}

/// An `EndpointSlice`'s defaults.
pub fn endpoint_slice(object: &mut Value) {
    for port in each(object, "ports") {
        set(port, "name", "");
        set(port, "protocol", "TCP");
    }
}
