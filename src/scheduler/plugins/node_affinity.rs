//! The labels of the node that a pod asks for: its nodeSelector, its required and its preferred node affinity.

use k8s_openapi::api::core::v1 as core;

use super::Reason;
use crate::node::Node;
use crate::pod::Pending;

const REASON: &str = "node(s) didn't match Pod's node affinity/selector";

pub(super) fn check(pod: &Pending, node: &Node) -> Vec<Reason> {
    let Some(spec) = pod.spec() else { return Vec::new() };
    if matches(spec, node) { Vec::new() } else { vec![REASON.into()] }
}

/// The sum of the weights of the preferences that the node meets.
pub(super) fn score(pod: &Pending, node: &Node) -> i64 {
    let preferred = pod.spec().and_then(affinity);
    let preferred =
        preferred.and_then(|affinity| affinity.preferred_during_scheduling_ignored_during_execution.as_ref());
    // An empty preference is no preference, as upstream has it.
    let met = preferred.into_iter().flatten().filter(|term| meets(&term.preference, node));
    met.map(|term| i64::from(term.weight)).sum()
}

/// Whether a pod of this spec may be on this node.
pub(crate) fn matches(spec: &core::PodSpec, node: &Node) -> bool {
    let selector = spec.node_selector.iter().flatten();
    let is_selected = selector.into_iter().all(|(key, value)| node.label(key) == Some(value));
    let required =
        affinity(spec).and_then(|affinity| affinity.required_during_scheduling_ignored_during_execution.as_ref());
    is_selected && required.is_none_or(|selector| selector.node_selector_terms.iter().any(|term| meets(term, node)))
}

fn affinity(spec: &core::PodSpec) -> Option<&core::NodeAffinity> {
    spec.affinity.as_ref()?.node_affinity.as_ref()
}

/// Whether a node meets all of a term; a term without requirements is met by none.
fn meets(term: &core::NodeSelectorTerm, node: &Node) -> bool {
    let labels = term.match_expressions.as_deref().unwrap_or_default();
    let fields = term.match_fields.as_deref().unwrap_or_default();
    let name =
        |requirement: &core::NodeSelectorRequirement| (requirement.key == "metadata.name").then_some(&*node.name);
    !(labels.is_empty() && fields.is_empty())
        && labels.iter().all(|requirement| is_met(requirement, node.label(&requirement.key)))
        && fields.iter().all(|requirement| is_met(requirement, name(requirement)))
}

fn is_met(requirement: &core::NodeSelectorRequirement, value: Option<&str>) -> bool {
    let values = requirement.values.as_deref().unwrap_or_default();
    let is_listed = || value.is_some_and(|value| values.iter().any(|listed| listed == value));
    let compared = || {
        let value: i64 = value?.parse().ok()?;
        let bound: i64 = values.first()?.parse().ok()?;
        Some(value.cmp(&bound))
    };
    match requirement.operator.as_str() {
        "In" => is_listed(),
        "NotIn" => !is_listed(),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => compared().is_some_and(std::cmp::Ordering::is_gt),
        "Lt" => compared().is_some_and(std::cmp::Ordering::is_lt),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::testing::{node, pod};
    use super::*;

    fn labelled() -> Node {
        node(json!({"metadata": {"name": "node-1", "labels": {"disk": "ssd", "cores": "8"}}}))
    }

    #[track_caller]
    fn check_term(term: Value, expected: bool) {
        let required = json!({"nodeSelectorTerms": [term]});
        let spec = json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}});
        assert_eq!(check(&pod(spec), &labelled()).is_empty(), expected, "{term}");
    }

    #[test]
    fn every_operator_does_what_it_says() {
        let expression = |key: &str, operator: &str, values: Value| json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]});
        check_term(expression("disk", "In", json!(["hdd", "ssd"])), true);
        check_term(expression("disk", "In", json!(["hdd"])), false);
        check_term(expression("disk", "NotIn", json!(["hdd"])), true);
        check_term(expression("none", "NotIn", json!(["hdd"])), true);
        check_term(expression("disk", "Exists", json!(null)), true);
        check_term(expression("none", "Exists", json!(null)), false);
        check_term(expression("none", "DoesNotExist", json!(null)), true);
        check_term(expression("cores", "Gt", json!(["4"])), true);
        check_term(expression("cores", "Lt", json!(["8"])), false);
        check_term(expression("disk", "Gt", json!(["4"])), false);
        check_term(json!({}), false);
    }

    #[test]
    fn fields_name_the_node_itself() {
        let field = |name: &str| json!({"matchFields": [{"key": "metadata.name", "operator": "In", "values": [name]}]});
        check_term(field("node-1"), true);
        check_term(field("node-2"), false);
    }

    #[test]
    fn a_selector_needs_every_label() {
        assert!(check(&pod(json!({"nodeSelector": {"disk": "ssd", "cores": "8"}})), &labelled()).is_empty());
        assert_eq!(check(&pod(json!({"nodeSelector": {"disk": "ssd", "cores": "4"}})), &labelled()), [REASON]);
    }

    #[test]
    fn preferences_add_their_weights() {
        let term = |weight, value: &str| json!({"weight": weight, "preference": {"matchExpressions": [{"key": "disk", "operator": "In", "values": [value]}]}});
        let preferred = json!([term(10, "ssd"), term(20, "hdd"), term(5, "ssd")]);
        let spec =
            json!({"affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}}});
        assert_eq!(score(&pod(spec), &labelled()), 15);
    }
}
