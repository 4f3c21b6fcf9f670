//! The canonical form of an object: what upstream would print after storing it.

use serde_json::{Map, Value};

use crate::schema::{Empty, Field, Id, Schemas, Type};

/// Drops what upstream leaves out and adds what it always prints (`status: {}`, `containers: null`), all the way down.
///
/// The object must have been decoded against the same definition; what a default or a strategy has added since may be
/// empty. Fields that the definition does not know are left alone.
pub fn canonicalize(schemas: &Schemas, id: Id, object: &mut Value) {
    if let Value::Object(fields) = object {
        complete(schemas, id, fields);
    }
}

fn complete(schemas: &Schemas, id: Id, object: &mut Map<String, Value>) {
    for field in &schemas.get(id).fields {
        if let Some(value) = object.get_mut(field.name.as_ref()) {
            settle(schemas, &field.kind, value);
        }
        let value = object.get(field.name.as_ref());
        let is_unset = value.is_none_or(Value::is_null);
        match field.empty {
            Empty::Omit if value.is_some_and(|value| is_empty(&field.kind, value)) => {
                object.remove(field.name.as_ref());
            }
            Empty::OmitUnset if value.is_some_and(Value::is_null) => {
                object.remove(field.name.as_ref());
            }
            Empty::Print if is_unset || is_bare_collection(field, value) => {
                object.insert(field.name.to_string(), zero(schemas, &field.kind));
            }
            Empty::Null if value.is_none() => {
                object.insert(field.name.to_string(), Value::Null);
            }
            Empty::Omit | Empty::OmitUnset | Empty::Print | Empty::Null => {}
        }
    }
}

/// Brings a value of any type into canonical form.
fn settle(schemas: &Schemas, kind: &Type, value: &mut Value) {
    match (kind, value) {
        (Type::Object(id) | Type::SchemaOr(id, _), Value::Object(fields)) => complete(schemas, *id, fields),
        (Type::SchemaOr(id, other), value) => settle(schemas, &other.kind(*id), value),
        (Type::List(item), Value::Array(items)) => items.iter_mut().for_each(|value| settle(schemas, item, value)),
        (Type::Map(item), Value::Object(map)) => map.values_mut().for_each(|value| settle(schemas, item, value)),
        _ => {}
    }
}

/// Whether Go's `omitempty` leaves the value out.
fn is_empty(kind: &Type, value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(is_set) => !is_set,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => matches!(kind, Type::Map(_)) && map.is_empty(),
    }
}

/// An empty list or map, which storing in protobuf makes unset.
fn is_bare_collection(field: &Field, value: Option<&Value>) -> bool {
    matches!(field.kind, Type::List(_) | Type::Map(_)) && value.is_some_and(|value| is_empty(&field.kind, value))
}

/// What upstream prints for an unset value of a type.
pub(super) fn zero(schemas: &Schemas, kind: &Type) -> Value {
    match kind {
        Type::Object(id) => {
            let mut fields = Map::new();
            complete(schemas, *id, &mut fields);
            Value::Object(fields)
        }
        Type::List(_) | Type::Map(_) | Type::Time | Type::MicroTime | Type::Bytes => Value::Null,
        Type::Raw | Type::Any | Type::Json | Type::SchemaOr(..) => Value::Null,
        Type::String => "".into(),
        Type::Int32 | Type::Int64 | Type::Number | Type::IntOrString => 0.into(),
        Type::Boolean => false.into(),
        Type::Quantity => "0".into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(definition: &str, mut object: Value, expected: &Value) {
        let schemas = Schemas::builtin();
        canonicalize(schemas, schemas.named(definition).unwrap(), &mut object);
        assert_eq!(object, *expected);
    }

    #[test]
    fn what_is_empty_is_left_out_or_printed_as_upstream_does() {
        check(
            "io.k8s.api.core.v1.Pod",
            json!({"metadata": {"name": "a", "labels": {}, "creationTimestamp": null},
                "spec": {"nodeName": "", "volumes": [], "containers": [{"name": "c", "image": "", "tty": false}], "hostPID": false,
                    "securityContext": {}, "terminationGracePeriodSeconds": 0}}),
            &json!({"metadata": {"name": "a"}, "status": {},
                "spec": {"containers": [{"name": "c", "resources": {}}], "securityContext": {}, "terminationGracePeriodSeconds": 0}}),
        );
        check(
            "io.k8s.api.core.v1.Pod",
            json!({}),
            &json!({"metadata": {}, "spec": {"containers": null}, "status": {}}),
        );
    }

    #[test]
    fn an_event_prints_its_unset_times_as_recorded() {
        check(
            "io.k8s.api.core.v1.Event",
            json!({"metadata": {}, "involvedObject": {}, "reason": "r"}),
            &json!({"metadata": {}, "involvedObject": {}, "reason": "r", "source": {}, "firstTimestamp": null,
                "lastTimestamp": null, "eventTime": null, "reportingComponent": "", "reportingInstance": ""}),
        );
    }

    #[test]
    fn a_services_status_has_its_load_balancer() {
        let service = json!({"metadata": {}, "spec": {}, "status": {"loadBalancer": {}}});
        check("io.k8s.api.core.v1.Service", json!({}), &service);
    }
}
