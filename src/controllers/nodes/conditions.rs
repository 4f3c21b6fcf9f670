//! Conditions and taints of nodes, read and compared.

use k8s_openapi::api::core::v1 as core;

pub(crate) const READY: &str = "Ready";

/// The effect of a taint that drives pods away.
pub(super) const NO_EXECUTE: &str = "NoExecute";

/// Somebody has said that the node is off and will not come back by itself, so that its pods may be given up.
pub(crate) const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";

/// What a condition says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Status {
    True,
    False,
    Unknown,
}

/// A condition of a node; one that it does not have is unknown.
pub(crate) fn status(node: &core::Node, kind: &str) -> Status {
    match condition(node, kind).map(|condition| condition.status.as_str()) {
        Some("True") => Status::True,
        Some("False") => Status::False,
        _ => Status::Unknown,
    }
}

pub(super) fn condition<'a>(node: &'a core::Node, kind: &str) -> Option<&'a core::NodeCondition> {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    conditions.iter().find(|condition| condition.type_ == kind)
}

pub(crate) fn taints(node: &core::Node) -> &[core::Taint] {
    node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default()
}
