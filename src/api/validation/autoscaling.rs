//! Autoscalers, as `pkg/apis/autoscaling/validation`.

use serde_json::Value;

use super::checks::{invalid_each, label_selector};
use super::field::{Error, ErrorList, Path};
use super::pod::resources::read;
use crate::names::NameRule;
use crate::value::{has, list, number, part, text};

/// What a metric is of, with the field that says more.
const SOURCES: [(&str, &str); 5] = [
    ("ContainerResource", "containerResource"),
    ("External", "external"),
    ("Object", "object"),
    ("Pods", "pods"),
    ("Resource", "resource"),
];
const WINDOW_SECONDS_MAX: i64 = 3600;
const PERIOD_SECONDS_MAX: i64 = 1800;

/// What is wrong with a `HorizontalPodAutoscaler`.
pub fn autoscaler(object: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let (path, spec) = (Path::new("spec"), part(object, "spec"));
    let (min, max) = (number(spec, "minReplicas"), number(spec, "maxReplicas").unwrap_or(0));
    if let Some(min) = min.filter(|min| *min < 1) {
        errors.push(Error::invalid(path.child("minReplicas"), min, "must be greater than or equal to 1"));
    }
    let at = path.child("maxReplicas");
    match max {
        0 => errors.push(Error::required(&at, "must be set and greater than 0")),
        max if max < 0 => errors.push(Error::invalid(&at, max, "must be greater than 0")),
        _ => {}
    }
    if min.is_some_and(|min| max < min) {
        errors.push(Error::invalid(&at, max, "must be greater than or equal to `minReplicas`"));
    }
    reference(&mut errors, &path.child("scaleTargetRef"), part(spec, "scaleTargetRef"));
    for (index, found) in list(spec, "metrics").iter().enumerate() {
        metric(&mut errors, &path.child("metrics").index(index), found);
    }
    for direction in ["scaleUp", "scaleDown"] {
        let rules = part(part(spec, "behavior"), direction);
        if !rules.is_null() {
            scaling_rules(&mut errors, &path.child("behavior").child(direction), rules);
        }
    }
    errors
}

/// What is wrong with a changed `HorizontalPodAutoscaler`.
pub fn autoscaler_update(new: &Value, _old: &Value) -> ErrorList {
    autoscaler(new)
}

/// What is wrong with a `HorizontalPodAutoscaler`'s changed status.
pub fn autoscaler_status(new: &Value, _old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    for field in ["currentReplicas", "desiredReplicas"] {
        super::checks::count(&mut errors, &Path::new("status"), part(new, "status"), field);
    }
    errors
}

/// An object by its kind, name and version.
fn reference(errors: &mut ErrorList, path: &Path, object: &Value) {
    for field in ["kind", "name"] {
        let (path, found) = (path.child(field), text(object, field));
        if found.is_empty() {
            errors.push(Error::required(path, ""));
        } else {
            invalid_each(errors, &path, found, NameRule::PathSegment.check(found));
        }
    }
    let (path, version) = (path.child("apiVersion"), text(object, "apiVersion"));
    if version.matches('/').count() > 1 {
        errors.push(Error::invalid(path, version, format!("unexpected GroupVersion string: {version}")));
    } else if !version.contains('/') && text(object, "kind") != "ReplicationController" {
        errors.push(Error::invalid(path, version, "apiVersion must specify API group"));
    }
}

fn metric(errors: &mut ErrorList, path: &Path, metric: &Value) {
    let kind = text(metric, "type");
    if kind.is_empty() {
        errors.push(Error::required(path.child("type"), "must specify a metric source type"));
    }
    let wanted = SOURCES.iter().find(|(name, _)| *name == kind).map(|(_, field)| *field);
    if wanted.is_none() {
        errors.push(Error::not_supported(path.child("type"), kind, &SOURCES.map(|(name, _)| name)));
    }
    let present: Vec<&str> = SOURCES.iter().map(|(_, field)| *field).filter(|field| has(metric, field)).collect();
    if let Some(first) = present.first() {
        source(errors, &path.child(first), first, part(metric, first));
    }
    if let Some(wanted) = wanted.filter(|wanted| !has(metric, wanted)) {
        let detail = "must populate information for the given metric source";
        errors.push(Error::required(path.child(wanted), detail));
    }
    if present.len() > 1 {
        for other in present.into_iter().filter(|field| Some(*field) != wanted) {
            errors.push(Error::forbidden(path.child(other), "must populate the given metric source only"));
        }
    }
}

fn source(errors: &mut ErrorList, path: &Path, field: &str, source: &Value) {
    let (at, target) = (path.child("target"), part(source, "target"));
    let (has_value, has_average) = (has(target, "value"), has(target, "averageValue"));
    match field {
        "object" | "external" | "pods" => {
            if field == "object" {
                reference(errors, &path.child("describedObject"), part(source, "describedObject"));
            }
            identifier(errors, &path.child("metric"), part(source, "metric"));
        }
        _ => {
            if text(source, "name").is_empty() {
                errors.push(Error::required(path.child("name"), "must specify a resource name"));
            }
            if field == "containerResource" && text(source, "container").is_empty() {
                errors.push(Error::required(path.child("container"), "must specify a container"));
            }
        }
    }
    metric_target(errors, &at, target);
    match field {
        "object" if !has_value && !has_average => {
            errors.push(Error::required(at.child("averageValue"), "must set either a target value or averageValue"));
        }
        "external" if !has_value && !has_average => {
            let detail = "must set either a target value for metric or a per-pod target";
            errors.push(Error::required(at.child("averageValue"), detail));
        }
        "external" if has_value && has_average => {
            let detail = "may not set both a target value for metric and a per-pod target";
            errors.push(Error::forbidden(at.child("value"), detail));
        }
        "pods" if !has_average => {
            errors.push(Error::required(at.child("averageValue"), "must specify a positive target averageValue"));
        }
        "resource" | "containerResource" => match (has(target, "averageUtilization"), has_average) {
            (false, false) => {
                let detail = "must set either a target raw value or a target utilization";
                errors.push(Error::required(at.child("averageUtilization"), detail));
            }
            (true, true) => {
                let detail = "may not set both a target raw value and a target utilization";
                errors.push(Error::forbidden(at.child("averageValue"), detail));
            }
            _ => {}
        },
        _ => {}
    }
}

fn identifier(errors: &mut ErrorList, path: &Path, metric: &Value) {
    let name = text(metric, "name");
    if name.is_empty() {
        errors.push(Error::required(path.child("name"), "must specify a metric name"));
    } else {
        invalid_each(errors, &path.child("name"), name, NameRule::PathSegment.check(name));
    }
    label_selector(errors, &path.child("selector"), part(metric, "selector"));
}

fn metric_target(errors: &mut ErrorList, path: &Path, target: &Value) {
    let kind = text(target, "type");
    if kind.is_empty() {
        errors.push(Error::required(path.child("type"), "must specify a metric target type"));
    }
    if !["Utilization", "Value", "AverageValue"].contains(&kind) {
        let detail = "must be either Utilization, Value, or AverageValue";
        errors.push(Error::invalid(path.child("type"), kind, detail));
    }
    for field in ["value", "averageValue"] {
        let amount = read(part(target, field)).filter(|amount| amount.is_negative() || amount.is_zero());
        if let Some(amount) = amount {
            errors.push(Error::invalid(path.child(field), amount.to_string(), "must be positive"));
        }
    }
    if let Some(percent) = number(target, "averageUtilization").filter(|percent| *percent < 1) {
        errors.push(Error::invalid(path.child("averageUtilization"), percent, "must be greater than 0"));
    }
}

fn scaling_rules(errors: &mut ErrorList, path: &Path, rules: &Value) {
    if let Some(window) = number(rules, "stabilizationWindowSeconds") {
        let path = path.child("stabilizationWindowSeconds");
        if window < 0 {
            errors.push(Error::invalid(path, window, "must be greater than or equal to zero"));
        } else if window > WINDOW_SECONDS_MAX {
            let detail = format!("must be less than or equal to {WINDOW_SECONDS_MAX}");
            errors.push(Error::invalid(path, window, detail));
        }
    }
    let choice = text(rules, "selectPolicy");
    if has(rules, "selectPolicy") && !["Disabled", "Max", "Min"].contains(&choice) {
        errors.push(Error::not_supported(path.child("selectPolicy"), choice, &["Disabled", "Max", "Min"]));
    }
    let (path, policies) = (path.child("policies"), list(rules, "policies"));
    if policies.is_empty() {
        errors.push(Error::required(&path, "must specify at least one Policy"));
    }
    for (index, policy) in policies.iter().enumerate() {
        let (path, kind) = (path.index(index), text(policy, "type"));
        if !["Percent", "Pods"].contains(&kind) {
            errors.push(Error::not_supported(path.child("type"), kind, &["Percent", "Pods"]));
        }
        for field in ["value", "periodSeconds"] {
            let found = number(policy, field).unwrap_or(0);
            if found <= 0 {
                errors.push(Error::invalid(path.child(field), found, "must be greater than zero"));
            } else if field == "periodSeconds" && found > PERIOD_SECONDS_MAX {
                let detail = format!("must be less than or equal to {PERIOD_SECONDS_MAX}");
                errors.push(Error::invalid(path.child(field), found, detail));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::check;
    use super::*;

    fn autoscaler_of(changes: Value) -> ErrorList {
        let mut spec = json!({"maxReplicas": 3, "minReplicas": 1,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}});
        crate::patch::merge_patch(&mut spec, &changes);
        autoscaler(&json!({"spec": spec}))
    }

    #[test]
    fn an_autoscaler_scales_something_between_two_numbers() {
        check(&autoscaler_of(json!({})), &[]);
        check(
            &autoscaler_of(json!({"minReplicas": 4})),
            &["spec.maxReplicas: Invalid value: 3: must be greater than or equal to `minReplicas`"],
        );
        check(
            &autoscaler_of(json!({"scaleTargetRef": {"apiVersion": "v1", "kind": "Pod"}})),
            &["spec.scaleTargetRef.apiVersion: Invalid value: \"v1\": apiVersion must specify API group"],
        );
        check(&autoscaler_of(json!({"scaleTargetRef": {"apiVersion": "v1", "kind": "ReplicationController"}})), &[]);
    }

    #[test]
    fn a_metric_is_of_one_source_with_one_target() {
        let metrics = |metric: Value| autoscaler_of(json!({"metrics": [metric]}));
        let cpu = json!({"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}});
        check(&metrics(json!({"type": "Resource", "resource": cpu})), &[]);
        check(
            &metrics(json!({"type": "Pods", "resource": cpu})),
            &["spec.metrics[0].pods: Required value: must populate information for the given metric source"],
        );
        check(
            &metrics(
                json!({"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Value", "value": "0"}}}),
            ),
            &[
                "spec.metrics[0].resource.target.value: Invalid value: \"0\": must be positive",
                "spec.metrics[0].resource.target.averageUtilization: Required value: must set either a target raw value or a target utilization",
            ],
        );
    }

    #[test]
    fn behaviour_is_bounded() {
        let up = json!({"behavior": {"scaleUp": {"stabilizationWindowSeconds": 4000, "selectPolicy": "Odd",
            "policies": [{"type": "Pods", "value": 0, "periodSeconds": 2000}]}}});
        check(
            &autoscaler_of(up),
            &[
                "spec.behavior.scaleUp.stabilizationWindowSeconds: Invalid value: 4000: must be less than or equal to 3600",
                "spec.behavior.scaleUp.selectPolicy: Unsupported value: \"Odd\": supported values: \"Disabled\", \"Max\", \"Min\"",
                "spec.behavior.scaleUp.policies[0].value: Invalid value: 0: must be greater than zero",
                "spec.behavior.scaleUp.policies[0].periodSeconds: Invalid value: 2000: must be less than or equal to 1800",
            ],
        );
    }
}
