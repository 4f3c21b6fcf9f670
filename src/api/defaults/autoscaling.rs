//! Autoscalers.

use serde_json::{Value, json};

use super::{part, set};
use crate::autoscaling::default_metric;

/// The defaults of an `autoscaling/v2` autoscaler.
pub fn autoscaler(object: &mut Value) {
    let Some(spec) = part(object, "spec") else { return };
    set(spec, "minReplicas", 1);
    if spec.get("metrics").and_then(Value::as_array).is_none_or(Vec::is_empty) {
        spec["metrics"] = json!([default_metric()]);
    }
    let Some(behavior) = part(spec, "behavior") else { return };
    let doubled = json!({"type": "Percent", "value": 100, "periodSeconds": 15});
    let up = json!({"stabilizationWindowSeconds": 0, "selectPolicy": "Max",
        "policies": [{"type": "Pods", "value": 4, "periodSeconds": 15}, doubled]});
    let down = json!({"selectPolicy": "Max", "policies": [doubled]});
    for (direction, rules) in [("scaleUp", up), ("scaleDown", down)] {
        set(behavior, direction, json!({}));
        let Some(said) = part(behavior, direction) else { continue };
        for (field, value) in rules.as_object().into_iter().flatten() {
            set(said, field, value.clone());
        }
    }
}

/// The defaults of an `autoscaling/v1` autoscaler; what it looks at is said when it is stored.
pub fn autoscaler_v1(object: &mut Value) {
    if let Some(spec) = part(object, "spec") {
        set(spec, "minReplicas", 1);
    }
}
