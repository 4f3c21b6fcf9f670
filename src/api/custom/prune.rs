//! What a custom object holds that its schema does not know is dropped and told, as upstream's `pruning` does.

use serde_json::{Map, Value};

use super::structural::{Additional, Structural};
use crate::decode::{Complaints, Path};

/// Fields that every object has; an embedded one is checked by itself.
const META_FIELDS: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// Drops what `schema` does not know from a whole object, and tells it.
pub(super) fn prune(object: &mut Map<String, Value>, schema: &Structural, complaints: &mut Complaints) {
    let mut pruner = Pruner { path: Path::default(), complaints };
    if schema.keeps_unknown {
        pruner.keep_fields(object, schema);
    } else {
        pruner.fields(object, schema, true);
    }
}

struct Pruner<'c> {
    path: Path,
    complaints: &'c mut Complaints,
}

impl Pruner<'_> {
    /// A value that a schema describes, or (`None`) one of which nothing is known.
    fn value(&mut self, value: &mut Value, schema: Option<&Structural>) {
        match (value, schema) {
            (value, Some(schema)) if schema.keeps_unknown => self.keep(value, schema),
            (Value::Object(fields), Some(schema)) => self.fields(fields, schema, schema.is_embedded),
            (Value::Object(fields), None) => {
                for (name, _) in std::mem::take(fields) {
                    self.tell(&name);
                }
            }
            (Value::Array(items), schema) => {
                for (index, item) in items.iter_mut().enumerate() {
                    self.path.push_index(index);
                    self.value(item, schema.and_then(|schema| schema.items.as_deref()));
                    self.path.pop();
                }
            }
            _ => {}
        }
    }

    fn fields(&mut self, fields: &mut Map<String, Value>, schema: &Structural, is_object: bool) {
        let mut unknown = Vec::new();
        for (name, value) in fields.iter_mut() {
            if is_object && META_FIELDS.contains(&name.as_str()) {
                continue;
            }
            self.path.push_field(name);
            match (schema.properties.get(name.as_str()), &schema.additional) {
                (Some(property), _) => self.value(value, Some(property)),
                (None, Some(Additional::Of(values))) => self.value(value, Some(values)),
                (None, Some(Additional::Anything)) => self.value(value, None),
                (None, None) => unknown.push(name.clone()),
            }
            self.path.pop();
        }
        for name in unknown {
            fields.remove(&name);
            self.tell(&name);
        }
    }

    /// A value whose unknown fields stay; those that are known are looked into.
    fn keep(&mut self, value: &mut Value, schema: &Structural) {
        match value {
            Value::Object(fields) => self.keep_fields(fields, schema),
            Value::Array(items) => {
                let Some(item_schema) = schema.items.as_deref() else { return };
                for (index, item) in items.iter_mut().enumerate() {
                    self.path.push_index(index);
                    self.keep(item, item_schema);
                    self.path.pop();
                }
            }
            _ => {}
        }
    }

    fn keep_fields(&mut self, fields: &mut Map<String, Value>, schema: &Structural) {
        for (name, value) in fields.iter_mut() {
            if let Some(known) = schema.under(name) {
                self.path.push_field(name);
                self.value(value, Some(known));
                self.path.pop();
            }
        }
    }

    fn tell(&mut self, name: &str) {
        self.path.push_field(name);
        self.complaints.unknown(&self.path);
        self.path.pop();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(schema: &Value, object: Value, expected: &Value, told: &[&str]) {
        let mut complaints = Complaints::default();
        let Value::Object(mut fields) = object else { panic!("no object") };
        prune(&mut fields, &Structural::of(schema), &mut complaints);
        assert_eq!(Value::Object(fields), *expected);
        let told: Vec<String> = told.iter().map(|path| format!("unknown field \"{path}\"")).collect();
        assert_eq!(complaints.into_sentences(), told);
    }

    #[test]
    fn unknown_fields_go_at_every_depth() {
        let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
            "list": {"type": "array", "items": {"type": "object", "properties": {"a": {"type": "string"}}}},
            "map": {"type": "object", "additionalProperties": {"type": "object", "properties": {"a": {}}}}}}}});
        check(
            &schema,
            json!({"metadata": {"x": 1}, "spec": {"list": [{"a": "1", "b": 2}], "map": {"k": {"a": 1, "b": 2}}, "c": 3}, "d": 4}),
            &json!({"metadata": {"x": 1}, "spec": {"list": [{"a": "1"}], "map": {"k": {"a": 1}}}}),
            &["spec.list[0].b", "spec.map.k.b", "spec.c", "d"],
        );
    }

    #[test]
    fn what_is_to_be_kept_is_kept_but_for_what_is_described_below() {
        let schema = json!({"properties": {"spec": {"x-kubernetes-preserve-unknown-fields": true,
            "properties": {"known": {"type": "object", "properties": {"a": {}}}}}}});
        check(
            &schema,
            json!({"spec": {"any": {"thing": 1}, "known": {"a": 1, "b": 2}}}),
            &json!({"spec": {"any": {"thing": 1}, "known": {"a": 1}}}),
            &["spec.known.b"],
        );
    }
}
