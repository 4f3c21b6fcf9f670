//! How many pods may be missing at once.

use serde_json::Value;

use super::checks::{count, label_selector, share};
use super::field::{Error, ErrorList, Path};
use crate::value::{has, part, text};

/// What is wrong with a `PodDisruptionBudget`.
pub fn pod_disruption_budget(object: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let (path, spec) = (Path::new("spec"), part(object, "spec"));
    if has(spec, "minAvailable") && has(spec, "maxUnavailable") {
        let detail = "minAvailable and maxUnavailable cannot be both set";
        errors.push(Error::invalid(&path, spec.clone(), detail));
    }
    for field in ["minAvailable", "maxUnavailable"] {
        share(&mut errors, &path, spec, field);
    }
    label_selector(&mut errors, &path.child("selector"), part(spec, "selector"));
    let (path, policy) = (path.child("unhealthyPodEvictionPolicy"), text(spec, "unhealthyPodEvictionPolicy"));
    let supported = ["AlwaysAllow", "IfHealthyBudget"];
    if has(spec, "unhealthyPodEvictionPolicy") && !supported.contains(&policy) {
        errors.push(Error::not_supported(path, policy, &supported));
    }
    errors
}

/// What is wrong with a changed `PodDisruptionBudget`.
pub fn pod_disruption_budget_update(new: &Value, _old: &Value) -> ErrorList {
    pod_disruption_budget(new)
}

/// What is wrong with a `PodDisruptionBudget`'s changed status.
pub fn pod_disruption_budget_status(new: &Value, _old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let (path, status) = (Path::new("status"), part(new, "status"));
    for field in ["disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"] {
        count(&mut errors, &path, status, field);
    }
    errors
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::check;
    use super::*;

    #[test]
    fn a_budget_says_one_thing() {
        check(&pod_disruption_budget(&json!({"spec": {"minAvailable": "50%"}})), &[]);
        check(
            &pod_disruption_budget(&json!({"spec": {"maxUnavailable": "150%", "unhealthyPodEvictionPolicy": "Odd"}})),
            &[
                "spec.maxUnavailable: Invalid value: \"150%\": must not be greater than 100%",
                "spec.unhealthyPodEvictionPolicy: Unsupported value: \"Odd\": supported values: \"AlwaysAllow\", \"IfHealthyBudget\"",
            ],
        );
        check(
            &pod_disruption_budget(&json!({"spec": {"minAvailable": -1, "maxUnavailable": 1}})),
            &[
                "spec: Invalid value: {\"maxUnavailable\":1,\"minAvailable\":-1}: minAvailable and maxUnavailable cannot be both set",
                "spec.minAvailable: Invalid value: -1: must be greater than or equal to 0",
            ],
        );
    }
}
