//! Taints and tolerations: which taint of a node which pod puts up with.

use k8s_openapi::api::core::v1::{Taint, Toleration};

/// Whether one of `tolerations` puts up with `taint`.
#[must_use]
pub fn is_tolerated(taint: &Taint, tolerations: &[Toleration]) -> bool {
    tolerations.iter().any(|toleration| tolerates(toleration, taint))
}

/// Whether `toleration` puts up with `taint`, as upstream's `ToleratesTaint`: an empty effect or key stands for all
/// of them, an absent operator for `Equal`.
#[must_use]
pub fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let matches = |wanted: &Option<String>, actual: &str| match wanted.as_deref() {
        None | Some("") => true,
        Some(wanted) => wanted == actual,
    };
    let is_same_value =
        || toleration.value.as_deref().unwrap_or_default() == taint.value.as_deref().unwrap_or_default();
    matches(&toleration.effect, &taint.effect)
        && matches(&toleration.key, &taint.key)
        && match toleration.operator.as_deref() {
            None | Some("" | "Equal") => is_same_value(),
            Some("Exists") => true,
            Some(_) => false,
        }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[track_caller]
    fn check(toleration: Value, expected: bool) {
        let taint = Taint {
            key: "dedicated".into(),
            value: Some("gpu".into()),
            effect: "NoSchedule".into(),
            ..Taint::default()
        };
        let parsed: Toleration = serde_json::from_value(toleration.clone()).unwrap();
        assert_eq!(tolerates(&parsed, &taint), expected, "{toleration}");
    }

    #[test]
    fn a_toleration_matches_by_key_value_and_effect() {
        check(json!({"key": "dedicated", "value": "gpu"}), true);
        check(json!({"key": "dedicated", "operator": "Equal", "value": "gpu", "effect": "NoSchedule"}), true);
        check(json!({"key": "dedicated", "operator": "Exists"}), true);
        check(json!({"operator": "Exists"}), true);
        check(json!({"key": "dedicated", "value": "cpu"}), false);
        check(json!({"key": "dedicated"}), false);
        check(json!({"key": "other", "operator": "Exists"}), false);
        check(json!({"key": "dedicated", "operator": "Exists", "effect": "NoExecute"}), false);
        check(json!({"key": "dedicated", "operator": "Lt", "value": "gpu"}), false);
    }
}
