//! What extends the API: webhooks and policies that look at requests.

use jiff::Timestamp;
use serde_json::Value;

use super::{AGE, Column, NAME, age, items, name, text, text_at};
use crate::value::{entries, has, list, part, texts};

const UNSET: &str = "<unset>";

const fn count(name: &'static str, description: &'static str) -> Column {
    Column { kind: "integer", ..text(name, description) }
}

/// Configurations of webhooks.
pub const WEBHOOKS: &[Column] = &[NAME, count("Webhooks", "How many webhooks it has."), AGE];

/// A configuration's cells.
#[must_use]
pub fn webhooks(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![name(object), items(object, "/webhooks").len().into(), age(object, now)]
}

const PARAM_KIND: Column = text("ParamKind", "The kind of the objects that tell it more.");

/// `ValidatingAdmissionPolicy`.
pub const VALIDATING_POLICY: &[Column] = &[NAME, count("Validations", "How many rules it has."), PARAM_KIND, AGE];

/// A validating policy's cells.
#[must_use]
pub fn validating_policy(object: &Value, now: Timestamp) -> Vec<Value> {
    policy(object, "/spec/validations", now)
}

/// `MutatingAdmissionPolicy`.
pub const MUTATING_POLICY: &[Column] = &[NAME, count("Mutations", "How many changes it makes."), PARAM_KIND, AGE];

/// A mutating policy's cells.
#[must_use]
pub fn mutating_policy(object: &Value, now: Timestamp) -> Vec<Value> {
    policy(object, "/spec/mutations", now)
}

fn policy(object: &Value, counted: &str, now: Timestamp) -> Vec<Value> {
    let text = |field: &str| text_at(object, &format!("/spec/paramKind/{field}"), "");
    let kind = match object.pointer("/spec/paramKind") {
        Some(_) => format!("{}/{}", told(&text("apiVersion")), told(&text("kind"))),
        None => UNSET.to_owned(),
    };
    vec![name(object), items(object, counted).len().into(), kind.into(), age(object, now)]
}

/// Bindings of policies.
pub const POLICY_BINDING: &[Column] =
    &[NAME, text("PolicyName", "The policy that holds."), text("ParamRef", "The objects that tell it more."), AGE];

/// A binding's cells.
#[must_use]
pub fn policy_binding(object: &Value, now: Timestamp) -> Vec<Value> {
    let param = part(part(object, "spec"), "paramRef");
    let said = |field: &str| crate::value::text(param, field);
    let param = match (said("namespace"), said("name")) {
        (_, "") if has(param, "selector") => selector(part(param, "selector")),
        (_, "") => UNSET.to_owned(),
        // It cannot be told whether the parameters are in namespaces.
        ("", name) => format!("*/{name}"),
        (namespace, name) => format!("{namespace}/{name}"),
    };
    vec![name(object), text_at(object, "/spec/policyName", ""), param.into(), age(object, now)]
}

/// `APIService`.
pub const API_SERVICE: &[Column] =
    &[NAME, text("Service", "The service that serves it."), text("Available", "Whether it is served."), AGE];

/// An API service's cells.
#[must_use]
pub fn api_service(object: &Value, now: Timestamp) -> Vec<Value> {
    let service = part(part(object, "spec"), "service");
    let said = |field: &str| crate::value::text(service, field);
    let place = if service.is_null() { "Local".to_owned() } else { format!("{}/{}", said("namespace"), said("name")) };
    let conditions = items(object, "/status/conditions").iter();
    let available = conditions.into_iter().find(|condition| crate::value::text(condition, "type") == "Available");
    let available =
        match available.map(|found| (crate::value::text(found, "status"), crate::value::text(found, "reason"))) {
            None => "Unknown".to_owned(),
            Some((status, reason)) if status == "True" || reason.is_empty() => status.to_owned(),
            Some((status, reason)) => format!("{status} ({reason})"),
        };
    vec![name(object), place.into(), available.into(), age(object, now)]
}

/// A label selector as Go prints the struct.
fn selector(selector: &Value) -> String {
    let labels: String =
        entries(selector, "matchLabels").map(|(key, value)| format!("{key}: {},", told(value))).collect();
    let expressions = list(selector, "matchExpressions").iter().map(|expression| {
        let said = |field: &str| crate::value::text(expression, field);
        let values: Vec<&str> = texts(expression, "values").collect();
        let (key, operator, values) = (said("key"), said("operator"), values.join(" "));
        format!("LabelSelectorRequirement{{Key:{key},Operator:{operator},Values:[{values}],}},")
    });
    let expressions: String = expressions.collect();
    format!(
        "&LabelSelector{{MatchLabels:map[string]string{{{labels}}},MatchExpressions:[]LabelSelectorRequirement{{{expressions}}},}}"
    )
}

fn told(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_binding_tells_where_its_parameters_are() {
        let check = |param: Value, expected: &str| {
            let cells = policy_binding(&json!({"spec": {"paramRef": param}}), "2026-11-23T12:00:00Z".parse().unwrap());
            assert_eq!(cells[2], expected);
        };
        check(Value::Null, "<unset>");
        check(json!({"name": "a"}), "*/a");
        check(json!({"name": "a", "namespace": "n"}), "n/a");
        check(
            json!({"selector": {"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "c", "operator": "Exists"}]}}),
            "&LabelSelector{MatchLabels:map[string]string{a: b,},MatchExpressions:[]LabelSelectorRequirement{LabelSelectorRequirement{Key:c,Operator:Exists,Values:[],},},}",
        );
    }
}
