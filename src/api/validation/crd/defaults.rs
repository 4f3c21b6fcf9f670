//! The defaults that a kind's schema gives: each must be a value that its own schema allows.

use serde_json::Value;

use super::super::field::{Error, ErrorList, Kind, Path};
use crate::decode::go_kind;
use crate::value::{entries, flag, has, part, text};

/// What pruning would change.
const UNKNOWN_FIELDS: &str = "must not have unknown fields";

/// All that is wrong with the defaults in a schema. Inside maps there are none.
pub(super) fn check(errors: &mut ErrorList, path: &Path, schema: &Value, must_be_pruned: bool) {
    if has(schema, "default") {
        let (path, default) = (path.child("default"), part(schema, "default"));
        if must_be_pruned && !is_pruned(schema, default) {
            errors.push(Error::invalid(&path, default.clone(), UNKNOWN_FIELDS));
        }
        value(errors, &path, "", schema, default);
    }
    if part(schema, "items").is_object() {
        check(errors, &path.child("items"), part(schema, "items"), must_be_pruned);
    }
    for (name, property) in entries(schema, "properties") {
        check(errors, &path.child("properties").key(name), property, must_be_pruned);
    }
}

/// Whether no default in a schema has fields that the schema does not know.
pub(super) fn are_pruned(schema: &Value) -> bool {
    let mut errors = ErrorList::new();
    check(&mut errors, &Path::default(), schema, true);
    errors.iter().all(|error| error.detail != UNKNOWN_FIELDS)
}

/// Whether a value has only fields that its schema knows.
fn is_pruned(schema: &Value, value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.iter().all(|(name, value)| {
            let property = part(part(schema, "properties"), name);
            match (property.is_object(), part(schema, "additionalProperties")) {
                (true, _) => is_pruned(property, value),
                (false, Value::Bool(allows)) => *allows || keeps_unknown(schema),
                (false, Value::Null) => keeps_unknown(schema),
                (false, all) => is_pruned(all, value),
            }
        }),
        Value::Array(items) => items.iter().all(|item| is_pruned(part(schema, "items"), item)),
        _ => true,
    }
}

fn keeps_unknown(schema: &Value) -> bool {
    flag(schema, "x-kubernetes-preserve-unknown-fields")
}

/// Whether a value is of its schema's type, all the way down: the place for all that a schema asks of values.
fn value(errors: &mut ErrorList, path: &Path, field: &str, schema: &Value, value: &Value) {
    let wanted = text(schema, "type");
    let found = kind_of(value);
    let is_fine = match wanted {
        "" => true,
        _ if value.is_null() => flag(schema, "nullable"),
        "number" => ["number", "integer"].contains(&found),
        wanted => wanted == found,
    };
    if !is_fine {
        let detail = format!("{field} in body must be of type {wanted}: \"{found}\"");
        return errors.push(Error::new(Kind::TypeInvalid, path, found, detail));
    }
    match value {
        Value::Object(fields) => {
            for (name, inner) in fields {
                let property = part(part(schema, "properties"), name);
                let schema = if property.is_object() { property } else { part(schema, "additionalProperties") };
                self::value(errors, path, &joined(field, name), schema, inner);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                self::value(errors, path, &format!("{field}[{index}]"), part(schema, "items"), item);
            }
        }
        _ => {}
    }
}

fn joined(field: &str, name: &str) -> String {
    if field.is_empty() { name.to_owned() } else { format!("{field}.{name}") }
}

/// What a schema calls a value.
fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.as_f64().is_some_and(|number| number.fract() == 0.0) => "integer",
        other => go_kind(other),
    }
}
