//! Services and their endpoints.

use serde_json::{Value, json};

use super::{each, made, part, set};
use crate::meta;

/// A service's defaults.
pub fn service(service: &mut Value) {
    let Some(spec) = made(service, "spec") else { return };
    set(spec, "sessionAffinity", "None");
    set(spec, "type", "ClusterIP");
    if spec.get("sessionAffinity").and_then(Value::as_str) == Some("ClientIP") {
        set(spec, "sessionAffinityConfig", json!({"clientIP": {"timeoutSeconds": 10800}}));
    }
    each(spec, "ports").for_each(|port| {
        set(port, "protocol", "TCP");
        let is_unset = port.get("targetPort").is_none_or(|target| target.is_null() || *target == 0 || *target == "");
        if let Some(number) = port.get("port").filter(|_| is_unset).cloned() {
            meta::set_at(port, "/targetPort", number);
        }
    });
    let kind = spec.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
    if kind != "ExternalName" {
        set(spec, "internalTrafficPolicy", "Cluster");
    }
    if kind == "NodePort" || kind == "LoadBalancer" {
        set(spec, "externalTrafficPolicy", "Cluster");
    }
    if kind == "LoadBalancer" {
        set(spec, "allocateLoadBalancerNodePorts", true);
        ingress_modes(service);
    }
}

/// An address of a load balancer is the load balancer's own, unless it says otherwise.
fn ingress_modes(service: &mut Value) {
    let Some(balancer) = part(service, "status").and_then(|status| part(status, "loadBalancer")) else { return };
    for ingress in each(balancer, "ingress") {
        if ingress.get("ip").and_then(Value::as_str).is_some_and(|ip| !ip.is_empty()) {
            set(ingress, "ipMode", "VIP");
        }
    }
}

/// The defaults of `Endpoints`.
pub fn endpoints(endpoints: &mut Value) {
    for subset in each(endpoints, "subsets") {
        each(subset, "ports").for_each(|port| set(port, "protocol", "TCP"));
    }
}

/// A service without a status gets an empty one.
pub fn status(service: &mut Value) {
    set(service, "status", json!({"loadBalancer": {}}));
    if let Some(status) = part(service, "status") {
        set(status, "loadBalancer", json!({}));
    }
}
