//! Services: what kind, which addresses, which ports.

use jiff::Timestamp;
use serde_json::Value;

use super::{AGE, Column, NAME, NONE, age, items, name, pairs, text, text_at, wide};

/// The columns.
pub const COLUMNS: &[Column] = &[
    NAME,
    text("Type", "How the service is reached."),
    text("Cluster-IP", "Its address in the cluster."),
    text("External-IP", "Its addresses outside."),
    text("Port(s)", "Its ports, with node ports behind a colon."),
    AGE,
    wide("Selector", "The labels of its pods."),
];

/// A service's cells.
#[must_use]
pub fn cells(service: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        name(service),
        text_at(service, "/spec/type", "ClusterIP"),
        text_at(service, "/spec/clusterIP", NONE),
        external(service).into(),
        ports(service).into(),
        age(service, now),
        pairs(service, "/spec/selector").into(),
    ]
}

fn external(service: &Value) -> String {
    let texts = |pointer: &str, field: Option<&str>| -> Vec<String> {
        let texts = items(service, pointer).iter().filter_map(|item| match field {
            Some(field) => item.get(field)?.as_str(),
            None => item.as_str(),
        });
        texts.map(str::to_owned).collect()
    };
    let given = texts("/spec/externalIPs", None);
    let join = |addresses: Vec<String>| if addresses.is_empty() { NONE.to_owned() } else { addresses.join(",") };
    match service.pointer("/spec/type").and_then(Value::as_str) {
        Some("LoadBalancer") => {
            let mut addresses = texts("/status/loadBalancer/ingress", Some("ip"));
            addresses.extend(texts("/status/loadBalancer/ingress", Some("hostname")));
            addresses.extend(given);
            if addresses.is_empty() { "<pending>".to_owned() } else { addresses.join(",") }
        }
        Some("ExternalName") => {
            service.pointer("/spec/externalName").and_then(Value::as_str).unwrap_or_default().to_owned()
        }
        _ => join(given),
    }
}

fn ports(service: &Value) -> String {
    let port = |port: &Value| {
        let number = |field: &str| port.get(field).and_then(Value::as_u64).unwrap_or(0);
        let protocol = port.get("protocol").and_then(Value::as_str).unwrap_or("TCP");
        match number("nodePort") {
            0 => format!("{}/{protocol}", number("port")),
            node_port => format!("{}:{node_port}/{protocol}", number("port")),
        }
    };
    let ports: Vec<String> = items(service, "/spec/ports").iter().map(port).collect();
    if ports.is_empty() { NONE.to_owned() } else { ports.join(",") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn addresses_and_ports_are_upstreams() {
        let service = json!({"spec": {"type": "LoadBalancer", "ports": [{"port": 80, "nodePort": 30007},
            {"port": 53, "protocol": "UDP"}]}});
        assert_eq!((external(&service), ports(&service)), ("<pending>".into(), "80:30007/TCP,53/UDP".into()));
        assert_eq!(external(&json!({"spec": {"type": "ClusterIP"}})), "<none>");
    }
}
