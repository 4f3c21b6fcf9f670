//! Nodes: their taints, what they offer, their pod ranges and addresses.

use serde_json::{Value, json};

use super::checks::{cidr, is_dual_stack};
use super::field::{Error, ErrorList, Path};
use super::pod::resources;
use super::tolerations;
use crate::value::{entries, has, list, number, part, text, texts};

const POD_RANGE_FIXED: &str = "node updates may not change podCIDR except from \"\" to valid";

/// What is wrong with a new Node.
pub fn node(object: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let (path, spec) = (Path::new("metadata"), part(object, "spec"));
    tolerations::check_taints(&mut errors, &path.child("taints"), list(spec, "taints"));
    amounts(&mut errors, object);
    let swap = number(part(part(part(object, "status"), "nodeInfo"), "swap"), "capacity");
    if let Some(capacity) = swap.filter(|capacity| *capacity <= 0) {
        let path = path.child("nodeSwapStatus").child("capacity");
        errors.push(Error::invalid(path, capacity, "must be greater than zero"));
    }
    let ranges = Path::new("spec").child("podCIDRs");
    let networks: Vec<_> = texts(spec, "podCIDRs")
        .enumerate()
        .filter_map(|(index, range)| cidr(&mut errors, &ranges.index(index), range))
        .collect();
    if networks.len() > 1 && !is_dual_stack(&networks) {
        let detail = "may specify no more than one CIDR for each IP family";
        errors.push(Error::invalid(ranges, part(spec, "podCIDRs").clone(), detail));
    }
    errors
}

/// What is wrong with a changed Node, or its changed status.
pub fn node_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    amounts(&mut errors, new);
    let addresses = list(part(new, "status"), "addresses");
    for (index, address) in addresses.iter().enumerate() {
        if addresses.iter().take(index).any(|other| other == address) {
            // Upstream's errors print its internal type, whose fields have Go's names.
            let printed = json!({"Type": text(address, "type"), "Address": text(address, "address")});
            errors.push(Error::duplicate(Path::new("status").child("addresses").index(index), printed));
        }
    }
    let (new, old) = (part(new, "spec"), part(old, "spec"));
    let is_same_range = list(old, "podCIDRs") == list(new, "podCIDRs");
    if !list(old, "podCIDRs").is_empty() && !is_same_range {
        errors.push(Error::forbidden("spec.podCIDRs", POD_RANGE_FIXED));
    }
    if !text(old, "providerID").is_empty() && text(old, "providerID") != text(new, "providerID") {
        let detail = "node updates may not change providerID except from \"\" to valid";
        errors.push(Error::forbidden("spec.providerID", detail));
    }
    tolerations::check_taints(&mut errors, &Path::new("metadata").child("taints"), list(new, "taints"));
    if has(old, "externalID") != has(new, "externalID") || part(old, "externalID") != part(new, "externalID") {
        errors.push(Error::forbidden("spec.externalID", "may not be updated"));
    }
    errors
}

/// What to tell of a Node that is allowed.
pub fn warnings(node: &Value) -> Vec<String> {
    let spec = part(node, "spec");
    let said = [
        ("configSource", "the feature is removed"),
        ("externalID", "this field is deprecated, and is unused by Kubernetes"),
    ];
    said.iter().filter(|(field, _)| has(spec, field)).map(|(field, why)| format!("spec.{field}: {why}")).collect()
}

/// What a node offers is not negative, and whole where it is counted.
fn amounts(errors: &mut ErrorList, node: &Value) {
    for field in ["capacity", "allocatable"] {
        let path = Path::new("status").child(field);
        for (name, quantity) in entries(part(node, "status"), field) {
            resources::amount(errors, &path.child(name), name, quantity);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::check;
    use super::*;

    #[test]
    fn what_a_node_offers_is_counted_in_whole_pods() {
        check(&node(&json!({"status": {"capacity": {"cpu": "500m", "pods": "110"}}})), &[]);
        check(
            &node(&json!({"status": {"capacity": {"cpu": "-1", "pods": "1500m"}}})),
            &[
                "status.capacity.cpu: Invalid value: \"-1\": must be greater than or equal to 0",
                "status.capacity.pods: Invalid value: \"1500m\": must be an integer",
            ],
        );
    }

    #[test]
    fn pod_ranges_are_networks_and_stay() {
        let with = |ranges: Value| json!({"spec": {"podCIDRs": ranges}});
        check(&node(&with(json!(["10.0.0.0/24", "fd00::/64"]))), &[]);
        check(
            &node(&with(json!(["10.0.0.0/240"]))),
            &[
                "spec.podCIDRs[0]: Invalid value: \"10.0.0.0/240\": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)",
            ],
        );
        check(
            &node(&with(json!(["10.0.0.0/24", "10.1.0.0/24"]))),
            &[
                "spec.podCIDRs: Invalid value: [\"10.0.0.0/24\",\"10.1.0.0/24\"]: may specify no more than one CIDR for each IP family",
            ],
        );
        check(&node_update(&with(json!(["10.0.0.0/24"])), &json!({})), &[]);
        check(
            &node_update(&with(json!(["10.0.1.0/24"])), &with(json!(["10.0.0.0/24"]))),
            &["spec.podCIDRs: Forbidden: node updates may not change podCIDR except from \"\" to valid"],
        );
    }

    #[test]
    fn fields_of_old_are_told() {
        assert_eq!(warnings(&json!({"spec": {"podCIDR": "10.0.0.0/24"}})), Vec::<String>::new());
        assert_eq!(
            warnings(&json!({"spec": {"externalID": "x", "configSource": {}}})),
            [
                "spec.configSource: the feature is removed",
                "spec.externalID: this field is deprecated, and is unused by Kubernetes"
            ]
        );
    }

    #[test]
    fn an_address_stands_once() {
        let address = json!({"type": "InternalIP", "address": "10.0.0.1"});
        check(
            &node_update(&json!({"status": {"addresses": [address, address]}}), &json!({})),
            &["status.addresses[1]: Duplicate value: {\"Address\":\"10.0.0.1\",\"Type\":\"InternalIP\"}"],
        );
    }
}
