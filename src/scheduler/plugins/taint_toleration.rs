//! Taints keep pods away that do not tolerate them: `NoSchedule` and `NoExecute` for sure, `PreferNoSchedule` where
//! there is another node. A node that is not ready, or under pressure, is tainted, too.

use api::taints;
use k8s_openapi::api::core::v1::{Taint, Toleration};

use super::Reason;
use crate::node::Node;
use crate::pod::Pending;

const REASON: &str = "node(s) had untolerated taint(s)";

pub(super) fn check(pod: &Pending, node: &Node) -> Vec<Reason> {
    let keeps_away = |taint: &Taint| {
        matches!(taint.effect.as_str(), "NoSchedule" | "NoExecute") && !taints::is_tolerated(taint, pod.tolerations())
    };
    if node.taints().iter().any(keeps_away) { vec![REASON.into()] } else { Vec::new() }
}

/// How many taints would rather not have the pod.
pub(super) fn score(pod: &Pending, node: &Node) -> i64 {
    const PREFER: &str = "PreferNoSchedule";
    let is_meant = |toleration: &&Toleration| matches!(toleration.effect.as_deref(), None | Some("" | PREFER));
    let is_tolerated = |taint: &Taint| {
        pod.tolerations().iter().filter(is_meant).any(|toleration| taints::tolerates(toleration, taint))
    };
    let unwilling = node.taints().iter().filter(|taint| taint.effect == PREFER && !is_tolerated(taint));
    i64::try_from(unwilling.count()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::testing::{node, pod};
    use super::*;

    fn tainted(effect: &str) -> Node {
        node(json!({"spec": {"taints": [{"key": "dedicated", "value": "gpu", "effect": effect}]}}))
    }

    fn tolerations() -> Value {
        json!({"tolerations": [{"key": "dedicated", "operator": "Exists"}]})
    }

    #[test]
    fn only_taints_that_forbid_keep_a_pod_away() {
        for (effect, expected) in [("NoSchedule", true), ("NoExecute", true), ("PreferNoSchedule", false)] {
            assert_eq!(check(&pod(json!({})), &tainted(effect)) == [REASON], expected, "{effect}");
            assert!(check(&pod(tolerations()), &tainted(effect)).is_empty(), "{effect}");
        }
    }

    #[test]
    fn taints_that_would_rather_not_are_counted() {
        assert_eq!(score(&pod(json!({})), &tainted("PreferNoSchedule")), 1);
        assert_eq!(score(&pod(tolerations()), &tainted("PreferNoSchedule")), 0);
        assert_eq!(score(&pod(json!({})), &tainted("NoSchedule")), 0);
    }
}
