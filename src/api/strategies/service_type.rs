//! What a Service loses when it becomes one of another type, as upstream's `dropTypeDependentFields`: what only the old
//! type needed, if the same request did not change it. Left there, it would be refused, and a change of the type alone
//! would never pass.

use serde_json::{Map, Value, json};

use super::prepare;
use crate::services::{Kind, is_externally_accessible, needs_health_check};
use crate::value::{list, part};

/// Whether a Service needs some of its fields.
type Needs = fn(&Value) -> bool;

/// Who needs fields, and the fields: those of one row are dropped together.
const DEPENDENT: [(Needs, &[&str]); 7] = [
    (needs_address, &["clusterIP", "clusterIPs"]),
    (needs_address, &["ipFamilies"]),
    (needs_address, &["ipFamilyPolicy"]),
    (needs_health_check, &["healthCheckNodePort"]),
    (is_balancer, &["allocateLoadBalancerNodePorts"]),
    (is_balancer, &["loadBalancerClass"]),
    (is_externally_accessible, &["externalTrafficPolicy"]),
];

/// An update keeps the status, and drops what goes with the old type.
pub(super) fn prepare_update(new: &mut Value, old: &Value) {
    prepare::keep_status(new, old);
    let dropped: Vec<&str> = DEPENDENT
        .iter()
        .filter(|(needs, fields)| needs(old) && !needs(new) && fields.iter().all(|field| is_same(new, old, field)))
        .flat_map(|(_, fields)| fields.iter().copied())
        .collect();
    let drops_node_ports = needs_node_ports(old) && !needs_node_ports(new) && !has_new_node_ports(new, old);
    let loses_balancer = !is_balancer(new);

    if let Some(spec) = new.get_mut("spec").and_then(Value::as_object_mut) {
        dropped.into_iter().for_each(|field| drop(spec.remove(field)));
        if drops_node_ports {
            each_port(spec).for_each(|port| drop(port.remove("nodePort")));
        }
    }
    if loses_balancer && let Some(status) = new.get_mut("status").and_then(Value::as_object_mut) {
        status.insert("loadBalancer".into(), json!({}));
    }
}

fn each_port(spec: &mut Map<String, Value>) -> impl Iterator<Item = &mut Map<String, Value>> {
    let ports = spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten();
    ports.filter_map(Value::as_object_mut)
}

fn needs_address(service: &Value) -> bool {
    Kind::of(service) != Kind::ExternalName
}

fn is_balancer(service: &Value) -> bool {
    Kind::of(service) == Kind::LoadBalancer
}

fn needs_node_ports(service: &Value) -> bool {
    matches!(Kind::of(service), Kind::NodePort | Kind::LoadBalancer)
}

fn is_same(new: &Value, old: &Value, field: &str) -> bool {
    part(part(new, "spec"), field) == part(part(old, "spec"), field)
}

/// Whether a service asks for a node port that it did not have.
fn has_new_node_ports(new: &Value, old: &Value) -> bool {
    let ports = |service| -> Vec<u64> {
        let ports = list(part(service, "spec"), "ports").iter();
        ports.filter_map(|port| part(port, "nodePort").as_u64()).filter(|port| *port > 0).collect()
    };
    let had = ports(old);
    ports(new).iter().any(|port| !had.contains(port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(old: Value, changes: &[(&str, Value)], expected: Value) {
        let old = json!({"spec": old, "status": {"loadBalancer": {}}});
        let mut new = old.clone();
        for (field, value) in changes {
            new["spec"][*field] = value.clone();
        }
        prepare_update(&mut new, &old);
        assert_eq!(new["spec"], expected, "{changes:?}");
    }

    #[test]
    fn what_goes_with_the_old_type_goes() {
        let node_port = || {
            json!({"type": "NodePort", "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"],
                "externalTrafficPolicy": "Cluster", "ports": [{"port": 80, "nodePort": 30001}]})
        };
        let address = json!({"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"]});
        let mut inside = address.clone();
        inside["type"] = "ClusterIP".into();
        inside["ports"] = json!([{"port": 80}]);
        check(node_port(), &[("type", "ClusterIP".into())], inside);
        check(
            node_port(),
            &[("type", "ExternalName".into())],
            json!({"type": "ExternalName", "ports": [{"port": 80}]}),
        );
        check(node_port(), &[], node_port());
    }

    #[test]
    fn what_the_request_changes_as_well_is_left_to_be_refused() {
        let old =
            json!({"type": "NodePort", "externalTrafficPolicy": "Cluster", "ports": [{"port": 80, "nodePort": 30001}]});
        let ports = json!([{"port": 80, "nodePort": 30002}]);
        let expected = json!({"type": "ClusterIP", "externalTrafficPolicy": "Local", "ports": ports});
        let changes =
            [("type", "ClusterIP".into()), ("externalTrafficPolicy", "Local".into()), ("ports", ports.clone())];
        check(old, &changes, expected);
    }

    #[test]
    fn a_service_that_is_no_load_balancer_has_no_address_of_one() {
        let old =
            json!({"spec": {"type": "LoadBalancer"}, "status": {"loadBalancer": {"ingress": [{"ip": "1.2.3.4"}]}}});
        let mut new = json!({"spec": {"type": "ClusterIP"}});
        prepare_update(&mut new, &old);
        assert_eq!(new["status"], json!({"loadBalancer": {}}));
    }
}
