//! Autoscalers.

use jiff::Timestamp;
use serde_json::Value;

use super::{AGE, Column, NAME, NONE, UNKNOWN, age, items, name, text};
use crate::value::{has, number, part};

/// `HorizontalPodAutoscaler`.
pub const AUTOSCALER: &[Column] = &[
    NAME,
    text("Reference", "What it scales."),
    text("Targets", "What it looks at: what is, and what is to be."),
    text("MinPods", "The fewest pods."),
    text("MaxPods", "The most pods."),
    text("Replicas", "How many pods there are."),
    AGE,
];

/// How many metrics are shown before the rest is counted.
const SHOWN: usize = 2;

/// An autoscaler's cells.
#[must_use]
pub fn autoscaler(object: &Value, now: Timestamp) -> Vec<Value> {
    let said = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let count = |pointer: &str| object.pointer(pointer).and_then(Value::as_i64);
    let fewest = count("/spec/minReplicas").map_or_else(|| "<unset>".to_owned(), |count| count.to_string());
    vec![
        name(object),
        format!("{}/{}", said("/spec/scaleTargetRef/kind"), said("/spec/scaleTargetRef/name")).into(),
        targets(object).into(),
        fewest.into(),
        count("/spec/maxReplicas").unwrap_or(0).into(),
        count("/status/currentReplicas").unwrap_or(0).into(),
        age(object, now),
    ]
}

fn targets(object: &Value) -> String {
    let current = items(object, "/status/currentMetrics");
    let metrics = items(object, "/spec/metrics").iter().enumerate();
    let told: Vec<String> =
        metrics.map(|(index, metric)| target(metric, current.get(index).unwrap_or(&Value::Null))).collect();
    let shown = told.get(..SHOWN.min(told.len())).unwrap_or_default().join(", ");
    match told.len() {
        0 => NONE.to_owned(),
        total if total > SHOWN => format!("{shown} + {} more...", total - SHOWN),
        _ => shown,
    }
}

/// What is and what is to be, of one metric.
fn target(metric: &Value, current: &Value) -> String {
    let field = match metric["type"].as_str() {
        Some("External") => "external",
        Some("Pods") => "pods",
        Some("Object") => "object",
        Some("Resource") => "resource",
        Some("ContainerResource") => "containerResource",
        _ => return "<unknown type>".to_owned(),
    };
    let (wanted, found) = (part(part(metric, field), "target"), part(part(current, field), "current"));
    let amount = |values: &Value, name: &str| values.get(name).and_then(Value::as_str).unwrap_or(UNKNOWN).to_owned();
    let has_average = has(wanted, "averageValue");
    if field == "resource" || field == "containerResource" {
        let name = part(part(metric, field), "name").as_str().unwrap_or_default();
        let percent = |values: &Value, none: &str| {
            number(values, "averageUtilization").map_or_else(|| none.to_owned(), |percent| format!("{percent}%"))
        };
        return match has_average {
            true => format!("{name}: {}/{}", amount(found, "averageValue"), amount(wanted, "averageValue")),
            false => format!("{name}: {}/{}", percent(found, UNKNOWN), percent(wanted, "<auto>")),
        };
    }
    match (field, has_average) {
        ("pods", _) => format!("{}/{}", amount(found, "averageValue"), amount(wanted, "averageValue")),
        (_, true) => format!("{}/{} (avg)", amount(found, "averageValue"), amount(wanted, "averageValue")),
        (_, false) => format!("{}/{}", amount(found, "value"), amount(wanted, "value")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn targets_are_told_in_upstreams_words() {
        let cpu = json!({"type": "Resource", "resource": {"name": "cpu", "target": {"averageUtilization": 80}}});
        let queue = json!({"type": "External", "external": {"target": {"averageValue": "30"}}});
        let of = |metrics: Value, current: Value| {
            targets(&json!({"spec": {"metrics": metrics}, "status": {"currentMetrics": current}}))
        };
        assert_eq!(of(json!([]), json!([])), "<none>");
        assert_eq!(of(json!([cpu]), json!([])), "cpu: <unknown>/80%");
        let now = json!([{"type": "Resource", "resource": {"current": {"averageUtilization": 50}}}]);
        assert_eq!(of(json!([cpu, queue]), now), "cpu: 50%/80%, <unknown>/30 (avg)");
        assert_eq!(of(json!([cpu, cpu, queue]), json!([])), "cpu: <unknown>/80%, cpu: <unknown>/80% + 1 more...");
    }
}
