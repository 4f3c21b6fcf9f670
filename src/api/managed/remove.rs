//! Taking fields away.

use serde_json::{Map, Value};

use super::fields::{self, Fields, Node};
use super::shape::{Place, Shape, items};

/// `value` without these fields and what is in them. What loses its last part becomes `null`, an item of a list `{}`.
pub(super) fn without(place: Place<'_>, value: &Value, fields: &Fields) -> Value {
    match place.shape_of([value]) {
        Shape::Leaf => value.clone(),
        Shape::Struct(_) | Shape::Map(_) => {
            let Some(parts) = value.as_object() else { return value.clone() };
            let mut left = Map::new();
            for (name, value) in parts {
                let node = fields.get(&fields::field(name));
                if let Some(value) = beneath(place.under(name), value, node) {
                    left.insert(name.clone(), value);
                }
            }
            if left.is_empty() && !parts.is_empty() { Value::Null } else { Value::Object(left) }
        }
        Shape::Set | Shape::Keyed(..) => {
            let inner = match place.shape() {
                Shape::Keyed(_, item_type) => Some(place.of_item(item_type)),
                _ => None,
            };
            let before = items(&place, Some(value));
            let left: Vec<Value> = before
                .iter()
                .filter_map(|(element, item)| beneath(inner, item, fields.get(element)))
                // An item stays one without parts: defaults may name it.
                .map(|item| if item.is_null() { Value::Object(Map::new()) } else { item })
                .collect();
            if left.is_empty() && !before.is_empty() { Value::Null } else { Value::Array(left) }
        }
    }
}

fn beneath(place: Option<Place<'_>>, value: &Value, node: Option<&Node>) -> Option<Value> {
    match (node, place) {
        (Some(node), _) if node.is_member => None,
        (Some(node), Some(place)) if !node.inner.is_empty() => Some(without(place, value, &node.inner)),
        _ => Some(value.clone()),
    }
}

/// The same fields, with each object's named field that has parts in the set a member itself: who owns all parts of
/// such a field owns it.
pub(super) fn with_named(place: Place<'_>, fields: &Fields) -> Fields {
    let mut all = Fields::default();
    for (element, node) in fields.nodes() {
        let (is_named, inner) = match (place.shape(), element.strip_prefix("f:")) {
            (Shape::Struct(definition), Some(name)) => (definition.field(name).is_some(), place.under(name)),
            (Shape::Map(_), Some(name)) => (false, place.under(name)),
            (Shape::Keyed(_, item_type), None) => (false, Some(place.of_item(item_type))),
            _ => (false, None),
        };
        let inner = inner.map_or_else(|| node.inner.clone(), |place| with_named(place, &node.inner));
        all.put(element.into(), Node { is_member: node.is_member || is_named, inner });
    }
    all
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::schema::{Schemas, Type};

    #[test]
    fn fields_are_taken_away_with_all_in_them() {
        let schemas = Schemas::builtin();
        let kind = Type::Object(schemas.named("io.k8s.api.core.v1.Pod").unwrap());
        let place = Place::root(schemas, &kind);
        let pod = json!({"metadata": {"labels": {"a": "1"}, "name": "p", "finalizers": ["x", "y"]},
            "spec": {"containers": [{"name": "a", "image": "1"}, {"name": "b"}]}});
        let fields = json!({
            "f:metadata": {"f:labels": {"f:a": {}}, "f:finalizers": {"v:\"x\"": {}}},
            "f:spec": {"f:containers": {"k:{\"name\":\"a\"}": {"f:image": {}}, "k:{\"name\":\"b\"}": {".": {}, "f:name": {}}}}});
        let fields = Fields::parse(&fields).unwrap();
        assert_eq!(
            without(place, &pod, &fields),
            json!({"metadata": {"labels": null, "name": "p", "finalizers": ["y"]},
                "spec": {"containers": [{"name": "a"}]}})
        );
        let named = with_named(place, &fields).to_value();
        assert_eq!(
            named["f:metadata"],
            json!({".": {}, "f:labels": {".": {}, "f:a": {}}, "f:finalizers": {".": {}, "v:\"x\"": {}}})
        );
    }
}
