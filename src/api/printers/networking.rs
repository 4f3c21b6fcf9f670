//! Ingresses, their classes, network policies, slices of endpoints and disruption budgets.

use jiff::Timestamp;
use serde_json::Value;

use super::workloads::selector_of;
use super::{AGE, Column, NAME, NONE, age, few, items, name, text, text_at};

/// `Ingress`.
pub const INGRESS: &[Column] = &[
    NAME,
    text("Class", "The class of controllers that serve it."),
    text("Hosts", "The hosts that it is for."),
    text("Address", "Where it is reached."),
    text("Ports", "At which ports."),
    AGE,
];

/// An ingress' cells.
#[must_use]
pub fn ingress(object: &Value, now: Timestamp) -> Vec<Value> {
    let texts = |list: &[Value], fields: [&str; 2]| -> Vec<String> {
        let text = |item: &Value, field: &str| item.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        let found = list
            .iter()
            .map(|item| fields.iter().map(|field| text(item, field)).find(|text| !text.is_empty()).unwrap_or_default());
        found.filter(|text| !text.is_empty()).collect()
    };
    let hosts = few(texts(items(object, "/spec/rules"), ["host", "host"]), "*");
    let address = texts(items(object, "/status/loadBalancer/ingress"), ["ip", "hostname"]).join(",");
    let ports = if items(object, "/spec/tls").is_empty() { "80" } else { "80, 443" };
    let class = text_at(object, "/spec/ingressClassName", NONE);
    vec![name(object), class, hosts.into(), address.into(), ports.into(), age(object, now)]
}

/// `IngressClass`.
pub const INGRESS_CLASS: &[Column] = &[
    NAME,
    text("Controller", "What serves ingresses of the class."),
    text("Parameters", "The object that says more about the class."),
    AGE,
];

/// An ingress class' cells.
#[must_use]
pub fn ingress_class(object: &Value, now: Timestamp) -> Vec<Value> {
    let text = |field: &str| object.pointer(&format!("/spec/parameters/{field}")).and_then(Value::as_str);
    let parameters = match (text("kind"), text("apiGroup"), text("name")) {
        (Some(kind), Some(group), Some(name)) if !group.is_empty() => format!("{kind}.{group}/{name}"),
        (Some(kind), _, Some(name)) => format!("{kind}/{name}"),
        _ => NONE.to_owned(),
    };
    vec![name(object), text_at(object, "/spec/controller", ""), parameters.into(), age(object, now)]
}

/// `NetworkPolicy`.
pub const NETWORK_POLICY: &[Column] = &[NAME, text("Pod-Selector", "The pods that it is about."), AGE];

/// A network policy's cells.
#[must_use]
pub fn network_policy(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![name(object), selector_of(object.pointer("/spec/podSelector")).into(), age(object, now)]
}

/// `EndpointSlice`.
pub const ENDPOINT_SLICE: &[Column] = &[
    NAME,
    text("AddressType", "The kind of its addresses."),
    text("Ports", "Their ports."),
    text("Endpoints", "The addresses."),
    AGE,
];

/// A slice's cells.
#[must_use]
pub fn endpoint_slice(object: &Value, now: Timestamp) -> Vec<Value> {
    let ports = items(object, "/ports").iter().map(|port| match port.get("port").and_then(Value::as_i64) {
        Some(number) => number.to_string(),
        None => port.get("name").and_then(Value::as_str).filter(|name| !name.is_empty()).unwrap_or("*").to_owned(),
    });
    let addresses = items(object, "/endpoints").iter().flat_map(|endpoint| items(endpoint, "/addresses"));
    let addresses = addresses.filter_map(Value::as_str).map(str::to_owned);
    let kind = text_at(object, "/addressType", "");
    vec![name(object), kind, few(ports, "<unset>").into(), few(addresses, "<unset>").into(), age(object, now)]
}

/// `IPAddress`.
pub const IP_ADDRESS: &[Column] = &[NAME, text("ParentRef", "The object that has it."), AGE];

/// An address' cells.
#[must_use]
pub fn ip_address(object: &Value, now: Timestamp) -> Vec<Value> {
    let said = |field: &str| object.pointer(&format!("/spec/parentRef/{field}")).and_then(Value::as_str).unwrap_or("");
    let mut parent = said("resource").to_lowercase();
    for (separator, text) in [(".", said("group")), ("/", said("namespace")), ("/", said("name"))] {
        if !text.is_empty() {
            parent.push_str(separator);
            parent.push_str(text);
        }
    }
    let parent = if object.pointer("/spec/parentRef").is_some() { parent } else { NONE.to_owned() };
    vec![name(object), parent.into(), age(object, now)]
}

/// `ServiceCIDR`.
pub const SERVICE_CIDR: &[Column] = &[NAME, text("CIDRs", "The networks of which Services get addresses."), AGE];

/// A range's cells.
#[must_use]
pub fn service_cidr(object: &Value, now: Timestamp) -> Vec<Value> {
    let cidrs: Vec<&str> = items(object, "/spec/cidrs").iter().filter_map(Value::as_str).collect();
    vec![name(object), cidrs.join(",").into(), age(object, now)]
}

/// `PodDisruptionBudget`.
pub const POD_DISRUPTION_BUDGET: &[Column] = &[
    NAME,
    text("Min Available", "How many pods stay."),
    text("Max Unavailable", "How many may be missing."),
    Column { kind: "integer", ..text("Allowed Disruptions", "How many may go now.") },
    AGE,
];

/// A disruption budget's cells.
#[must_use]
pub fn pod_disruption_budget(object: &Value, now: Timestamp) -> Vec<Value> {
    let share = |field: &str| match object.pointer(&format!("/spec/{field}")) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => "N/A".to_owned(),
    };
    let allowed = object.pointer("/status/disruptionsAllowed").and_then(Value::as_i64).unwrap_or(0);
    vec![name(object), share("minAvailable").into(), share("maxUnavailable").into(), allowed.into(), age(object, now)]
}
