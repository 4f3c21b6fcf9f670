//! The defaults that a kind's schema gives: each must be a value that its own schema allows.

use serde_json::Value;

use super::super::field::{Error, ErrorList, Path};
use crate::custom;
use crate::value::{entries, flag, has, part};

/// What pruning would change.
const UNKNOWN_FIELDS: &str = "must not have unknown fields";

/// All that is wrong with the defaults in a schema. Inside maps there are none.
pub(super) fn check(errors: &mut ErrorList, path: &Path, schema: &Value, must_be_pruned: bool) {
    if has(schema, "default") {
        let (path, default) = (path.child("default"), part(schema, "default"));
        if must_be_pruned && !is_pruned(schema, default) {
            errors.push(Error::invalid(&path, default.clone(), UNKNOWN_FIELDS));
        }
        errors.extend(custom::validate_default(default, schema, &path));
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
