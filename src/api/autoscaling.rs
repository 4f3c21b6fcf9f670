//! An autoscaler's two forms: it is stored as `autoscaling/v2` and served as `v1`, too.
//!
//! What `v1` has no field for stands in annotations there, as upstream's conversions have it
//! (`pkg/apis/autoscaling/v1/conversion.go`).

use serde_json::{Map, Value, json};

use crate::meta;
use crate::value::{part, text};

const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const CURRENT_METRICS: &str = "autoscaling.alpha.kubernetes.io/current-metrics";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";

/// What an autoscaler looks at when nobody says: CPU at this part of what is requested, in percent.
const CPU_PERCENT: i64 = 80;

/// The metric that is looked at when none is named.
#[must_use]
pub fn default_metric() -> Value {
    cpu(CPU_PERCENT)
}

fn cpu(percent: i64) -> Value {
    json!({"type": "Resource", "resource": {"name": "cpu",
        "target": {"type": "Utilization", "averageUtilization": percent}}})
}

fn is_of_cpu(metric: &Value) -> bool {
    text(metric, "type") == "Resource" && text(part(metric, "resource"), "name") == "cpu"
}

/// Whether a metric of `v2` is what `v1` has a field for.
fn is_cpu(metric: &Value) -> bool {
    is_of_cpu(metric) && metric.pointer("/resource/target/averageUtilization").is_some()
}

/// An autoscaler of `autoscaling/v2` as one of `v1`.
#[must_use]
pub fn to_v1(mut autoscaler: Value) -> Value {
    meta::set_at(&mut autoscaler, "/apiVersion", "autoscaling/v1".into());
    let Some(spec) = autoscaler.get_mut("spec").and_then(Value::as_object_mut) else { return autoscaler };
    let (metrics, behavior) = (taken(spec, "metrics"), spec.remove("behavior"));
    let (cpu, others): (Vec<Value>, Vec<Value>) = metrics.into_iter().partition(is_cpu);
    if let Some(percent) = cpu.first().and_then(|cpu| cpu.pointer("/resource/target/averageUtilization")) {
        spec.insert("targetCPUUtilizationPercentage".to_owned(), percent.clone());
    }
    let mut told = vec![(METRICS, others.iter().map(metric_to_v1).collect::<Vec<_>>())];
    if let Some(status) = autoscaler.get_mut("status").and_then(Value::as_object_mut) {
        let current = taken(status, "currentMetrics");
        let percent = current
            .iter()
            .find(|metric| is_of_cpu(metric))
            .and_then(|cpu| cpu.pointer("/resource/current/averageUtilization"));
        if let Some(percent) = percent {
            status.insert("currentCPUUtilizationPercentage".to_owned(), percent.clone());
        }
        told.push((CURRENT_METRICS, current.iter().map(current_to_v1).collect()));
        told.push((CONDITIONS, taken(status, "conditions")));
    }
    for (annotation, values) in told.into_iter().filter(|(_, values)| !values.is_empty()) {
        meta::set_annotation(&mut autoscaler, annotation, &Value::Array(values).to_string());
    }
    if let Some(behavior) = behavior {
        meta::set_annotation(&mut autoscaler, BEHAVIOR, &behavior.to_string());
    }
    autoscaler
}

/// An autoscaler of `autoscaling/v1` as one of `v2`. Annotations that cannot be read are dropped, as upstream drops
/// them.
#[must_use]
pub fn to_v2(mut autoscaler: Value) -> Value {
    meta::set_at(&mut autoscaler, "/apiVersion", "autoscaling/v2".into());
    let mut said = |annotation: &str| {
        let text = meta::take_annotation(&mut autoscaler, annotation)?;
        serde_json::from_str::<Value>(&text).ok()
    };
    let (metrics, current, conditions, behavior) =
        (said(METRICS), said(CURRENT_METRICS), said(CONDITIONS), said(BEHAVIOR));
    let items = |value: Option<Value>| match value {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    };
    if let Some(spec) = autoscaler.get_mut("spec").and_then(Value::as_object_mut) {
        let percent = spec.remove("targetCPUUtilizationPercentage").and_then(|percent| percent.as_i64());
        let mut metrics: Vec<Value> = items(metrics).iter().map(metric_to_v2).collect();
        metrics.extend(percent.map(cpu));
        if metrics.is_empty() {
            metrics.push(default_metric());
        }
        spec.insert("metrics".to_owned(), Value::Array(metrics));
        if let Some(behavior) = behavior {
            spec.insert("behavior".to_owned(), behavior);
        }
    }
    if let Some(status) = autoscaler.get_mut("status").and_then(Value::as_object_mut) {
        let percent = status.remove("currentCPUUtilizationPercentage").and_then(|percent| percent.as_i64());
        let mut current: Vec<Value> = items(current).iter().map(current_to_v2).collect();
        if let Some(percent) = percent.filter(|_| current.is_empty()) {
            current.push(json!({"type": "Resource", "resource": {"name": "cpu",
                "current": {"averageUtilization": percent}}}));
        }
        status.insert("currentMetrics".to_owned(), if current.is_empty() { Value::Null } else { current.into() });
        let conditions = items(conditions);
        if !conditions.is_empty() {
            status.insert("conditions".to_owned(), conditions.into());
        }
    }
    autoscaler
}

fn taken(holder: &mut Map<String, Value>, field: &str) -> Vec<Value> {
    match holder.remove(field) {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    }
}

/// The field that says more about a metric of this type.
fn field_of(metric: &Value) -> &'static str {
    match metric["type"].as_str().unwrap_or_default() {
        "Object" => "object",
        "Pods" => "pods",
        "External" => "external",
        "ContainerResource" => "containerResource",
        _ => "resource",
    }
}

/// Names of the same thing: the field; in `v2`; in `v1`.
const TARGETS: [(&str, &str, &str); 8] = [
    ("object", "value", "targetValue"),
    ("object", "averageValue", "averageValue"),
    ("pods", "averageValue", "targetAverageValue"),
    ("external", "value", "targetValue"),
    ("external", "averageValue", "targetAverageValue"),
    ("resource", "averageUtilization", "targetAverageUtilization"),
    ("resource", "averageValue", "targetAverageValue"),
    ("containerResource", "averageUtilization", "targetAverageUtilization"),
];

/// The name in `v1` of what `v2` says in the target of a metric.
fn v1_name(field: &str, name: &str) -> String {
    let field = if field == "containerResource" { "resource" } else { field };
    let found = TARGETS.iter().find(|(of, v2, _)| *of == field && *v2 == name);
    found.map_or_else(|| name.to_owned(), |(_, _, v1)| (*v1).to_owned())
}

/// A metric without its type's own names: what both forms say alike, and the numbers of its target.
fn metric_to_v1(metric: &Value) -> Value {
    renamed_to_v1(metric, "target", v1_name)
}

fn current_to_v1(metric: &Value) -> Value {
    renamed_to_v1(metric, "current", |_, name| {
        let name = if name == "value" { "currentValue".to_owned() } else { name.to_owned() };
        match name.strip_prefix("average") {
            Some(rest) => format!("currentAverage{rest}"),
            None => name,
        }
    })
}

fn renamed_to_v1(metric: &Value, numbers: &str, name: impl Fn(&str, &str) -> String) -> Value {
    let field = field_of(metric);
    let mut source = metric[field].as_object().cloned().unwrap_or_default();
    if let Some(Value::Object(said)) = source.remove(numbers) {
        let kept = said.into_iter().filter(|(key, _)| key != "type");
        source.extend(kept.map(|(key, value)| (name(field, &key), value)));
    }
    if let Some(Value::Object(mut said)) = source.remove("metric") {
        source.extend(said.remove("name").map(|name| ("metricName".to_owned(), name)));
        let selector = if field == "external" { "metricSelector" } else { "selector" };
        source.extend(said.remove("selector").map(|found| (selector.to_owned(), found)));
    }
    if let Some(object) = source.remove("describedObject") {
        source.insert("target".to_owned(), object);
    }
    json!({"type": metric["type"], field: source})
}

fn metric_to_v2(metric: &Value) -> Value {
    renamed_to_v2(metric, "target", |field, key| {
        let field = if field == "containerResource" { "resource" } else { field };
        TARGETS.iter().find(|(of, _, v1)| *of == field && *v1 == key).map(|(_, v2, _)| (*v2).to_owned())
    })
}

fn current_to_v2(metric: &Value) -> Value {
    renamed_to_v2(metric, "current", |_, key| match key.strip_prefix("currentAverage") {
        Some(rest) => Some(format!("average{rest}")),
        None => (key == "currentValue").then(|| "value".to_owned()),
    })
}

fn renamed_to_v2(metric: &Value, numbers: &str, name: impl Fn(&str, &str) -> Option<String>) -> Value {
    let field = field_of(metric);
    let (mut source, mut said, mut identifier) = (Map::new(), Map::new(), Map::new());
    for (key, value) in metric[field].as_object().cloned().unwrap_or_default() {
        match (key.as_str(), name(field, &key)) {
            (_, Some(name)) => drop(said.insert(name, value)),
            ("metricName", None) => drop(identifier.insert("name".to_owned(), value)),
            ("selector" | "metricSelector", None) => drop(identifier.insert("selector".to_owned(), value)),
            ("target", None) => drop(source.insert("describedObject".to_owned(), value)),
            (_, None) => drop(source.insert(key, value)),
        }
    }
    if numbers == "target" {
        let kind = ["averageUtilization", "averageValue"].into_iter().find(|key| said.contains_key(*key));
        let kind = kind.map_or("Value", |key| if key == "averageValue" { "AverageValue" } else { "Utilization" });
        said.insert("type".to_owned(), kind.into());
    }
    source.insert(numbers.to_owned(), Value::Object(said));
    if !identifier.is_empty() {
        source.insert("metric".to_owned(), Value::Object(identifier));
    }
    json!({"type": metric["type"], field: source})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_autoscaler_goes_there_and_back() {
        let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"});
        let external = json!({"type": "External", "external": {"metric": {"name": "queue", "selector": {"matchLabels": {"a": "b"}}},
            "target": {"type": "AverageValue", "averageValue": "30"}}});
        let v2 = json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "h"},
            "spec": {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 3, "metrics": [external, cpu(50)],
                "behavior": {"scaleDown": {"stabilizationWindowSeconds": 9}}},
            "status": {"desiredReplicas": 2, "currentMetrics": null}});
        let v1 = to_v1(v2.clone());
        assert_eq!(
            v1["spec"],
            json!({"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 3, "targetCPUUtilizationPercentage": 50})
        );
        let told = meta::annotation(&v1, METRICS).unwrap();
        let expected = json!([{"type": "External", "external": {"metricName": "queue",
            "metricSelector": {"matchLabels": {"a": "b"}}, "targetAverageValue": "30"}}]);
        assert_eq!(serde_json::from_str::<Value>(told).unwrap(), expected);
        assert_eq!(to_v2(v1), v2);
    }

    #[test]
    fn an_autoscaler_that_names_no_metric_looks_at_the_cpu() {
        let v2 = to_v2(json!({"apiVersion": "autoscaling/v1", "spec": {"maxReplicas": 3}}));
        assert_eq!(v2["spec"]["metrics"], json!([default_metric()]));
    }
}
