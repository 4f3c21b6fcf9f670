//! Lists whose items are told apart must not hold one twice (upstream's `listtype`).

use serde_json::{Map, Value};

use super::structural::{Structural, keys_of};
use super::validate::is_equal;
use crate::schema::ListType;
use crate::validation::field::{Error, ErrorList, Path};

/// What stands twice in lists of the types `set` and `map`.
pub(super) fn duplicates(object: &Value, schema: &Structural) -> ErrorList {
    let mut errors = ErrorList::new();
    look(object, schema, &Path::default(), &mut errors);
    errors
}

fn look(value: &Value, schema: &Structural, path: &Path, errors: &mut ErrorList) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if let Some(property) = schema.properties.get(name.as_str()) {
                    look(value, property, &path.child(name), errors);
                } else if let Some(values) = schema.under(name) {
                    look(value, values, &path.key(name), errors);
                }
            }
        }
        Value::Array(items) => {
            let Some(item_schema) = schema.items.as_deref() else { return };
            match &schema.list {
                ListType::Atomic => {}
                ListType::Set => values(items, path, errors),
                ListType::Map(keys) => keyed(items, keys, item_schema, path, errors),
            }
            for (index, item) in items.iter().enumerate() {
                look(item, item_schema, &path.index(index), errors);
            }
        }
        _ => {}
    }
}

fn values(items: &[Value], path: &Path, errors: &mut ErrorList) {
    for (index, item) in items.iter().enumerate() {
        let before = items.get(..index).unwrap_or_default();
        if before.iter().any(|other| is_equal(other, item)) {
            errors.push(Error::duplicate(path.index(index), item.clone()));
        }
    }
}

fn keyed(items: &[Value], keys: &[Box<str>], schema: &Structural, path: &Path, errors: &mut ErrorList) {
    let mut seen: Vec<Map<String, Value>> = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let Some(own) = keys_of(keys, schema, item) else { continue };
        if seen.contains(&own) {
            errors.push(Error::duplicate(path.index(index), Value::Object(own)));
        } else {
            seen.push(own);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_stands_twice_is_told_with_its_keys() {
        let schema = Structural::of(&json!({"properties": {
            "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
            "ports": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["port", "protocol"],
                "items": {"type": "object", "properties": {"port": {"type": "integer"},
                    "protocol": {"type": "string", "default": "TCP"}}}}}}));
        let object = json!({"set": ["a", "b", "a"], "ports": [{"port": 1}, {"port": 1, "protocol": "UDP"}, {"port": 1, "protocol": "TCP"}]});
        let found: Vec<String> = duplicates(&object, &schema).iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            ["ports[2]: Duplicate value: {\"port\":1,\"protocol\":\"TCP\"}", "set[2]: Duplicate value: \"a\"",]
        );
    }
}
