//! What a schema says that an object holds when nobody set it, as upstream's `defaulting` does.

use serde_json::{Map, Value};

use super::structural::{Additional, Structural};

/// Drops nulls that may not stand, and sets what nobody set. The object's own `metadata` is left alone.
pub(super) fn default(object: &mut Map<String, Value>, schema: &Structural) {
    fields(object, schema);
}

fn value(value: &mut Value, schema: &Structural) {
    match value {
        Value::Object(object) => fields(object, schema),
        Value::Array(items) => {
            let Some(item_schema) = schema.items.as_deref() else { return };
            for item in items {
                if is_wrong_null(item, item_schema) {
                    *item = item_schema.default.clone().unwrap_or_default();
                }
                self::value(item, item_schema);
            }
        }
        _ => {}
    }
}

fn fields(object: &mut Map<String, Value>, schema: &Structural) {
    object.retain(|name, value| {
        let known = schema.under(name);
        known.is_none_or(|known| known.default.is_some() || !is_wrong_null(value, known))
    });
    for (name, property) in &schema.properties {
        let Some(default) = &property.default else { continue };
        let found = object.get(&**name);
        if found.is_none_or(|found| is_wrong_null(found, property)) {
            object.insert(name.to_string(), default.clone());
        }
    }
    for (name, found) in object.iter_mut() {
        match (schema.properties.get(name.as_str()), &schema.additional) {
            (Some(property), _) => value(found, property),
            (None, Some(Additional::Of(values))) => {
                if is_wrong_null(found, values) {
                    *found = values.default.clone().unwrap_or_default();
                }
                value(found, values);
            }
            (None, _) => {}
        }
    }
}

/// Whether this is a null that counts as unset.
fn is_wrong_null(value: &Value, schema: &Structural) -> bool {
    value.is_null() && !schema.is_nullable
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_nobody_set_is_set_and_wrong_nulls_go() {
        let schema = Structural::of(&json!({"properties": {"spec": {"type": "object", "default": {}, "properties": {
            "replicas": {"type": "integer", "default": 1},
            "nullable": {"type": "string", "nullable": true, "default": "x"},
            "plain": {"type": "string"},
            "list": {"type": "array", "items": {"type": "object", "properties": {"port": {"default": 80}}}},
            "map": {"additionalProperties": {"type": "integer", "default": 7}}}}}}));
        let check = |object: Value, expected: Value| {
            let Value::Object(mut fields) = object else { panic!("no object") };
            default(&mut fields, &schema);
            assert_eq!(Value::Object(fields), expected);
        };
        check(json!({}), json!({"spec": {"replicas": 1, "nullable": "x"}}));
        check(
            json!({"spec": {"replicas": null, "nullable": null, "plain": null, "list": [{}, {"port": 1}], "map": {"a": null}}}),
            json!({"spec": {"replicas": 1, "nullable": null, "list": [{"port": 80}, {"port": 1}], "map": {"a": 7}}}),
        );
    }
}
