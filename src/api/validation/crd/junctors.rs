//! `allOf`, `anyOf`, `oneOf` and `not`: what stands in them restricts values, and says nothing of their types.

use serde_json::{Value, json};

use super::super::field::{Error, ErrorList, Path};
use crate::value::{entries, has, list, part, text};

/// Fields that must not stand in a junctor, and what is said of them.
const FORBIDDEN: [(&str, &str); 12] = [
    ("type", "must be empty to be structural"),
    ("default", "must be undefined to be structural"),
    ("title", "must be empty to be structural"),
    ("description", "must be empty to be structural"),
    ("nullable", "must be false to be structural"),
    ("x-kubernetes-preserve-unknown-fields", "must be false to be structural"),
    ("x-kubernetes-embedded-resource", "must be false to be structural"),
    ("x-kubernetes-int-or-string", "must be false to be structural"),
    ("x-kubernetes-list-map-keys", "must be empty to be structural"),
    ("x-kubernetes-list-type", "must be undefined to be structural"),
    ("x-kubernetes-map-type", "must be undefined to be structural"),
    ("x-kubernetes-validations", "must be empty to be structural"),
];

/// What in the junctors of a schema is not structural. The two ways to say that something is a number or a text are.
pub(super) fn check(errors: &mut ErrorList, path: &Path, schema: &Value) {
    let skipped = if is_int_or_string(schema) {
        Skipped::AnyOf
    } else if list(schema, "allOf").first().is_some_and(is_int_or_string) {
        Skipped::AnyOfInFirst
    } else {
        Skipped::Nothing
    };
    values(errors, path, schema, skipped);
}

/// What is looked past.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Skipped {
    Nothing,
    AnyOf,
    AnyOfInFirst,
}

fn is_int_or_string(schema: &Value) -> bool {
    *part(schema, "anyOf") == json!([{"type": "integer"}, {"type": "string"}])
}

fn values(errors: &mut ErrorList, path: &Path, schema: &Value, skipped: Skipped) {
    if skipped != Skipped::AnyOf {
        for (index, inner) in list(schema, "anyOf").iter().enumerate() {
            nested(errors, &path.child("anyOf").index(index), inner, Skipped::Nothing);
        }
    }
    for (index, inner) in list(schema, "allOf").iter().enumerate() {
        let is_skipped = index == 0 && skipped == Skipped::AnyOfInFirst;
        let skipped = if is_skipped { Skipped::AnyOf } else { Skipped::Nothing };
        nested(errors, &path.child("allOf").index(index), inner, skipped);
    }
    for (index, inner) in list(schema, "oneOf").iter().enumerate() {
        nested(errors, &path.child("oneOf").index(index), inner, Skipped::Nothing);
    }
    nested(errors, &path.child("not"), part(schema, "not"), Skipped::Nothing);
    let pattern = text(schema, "pattern");
    if let Err(why) = regex::Regex::new(pattern) {
        let why = why.to_string();
        let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ");
        let detail = format!("must be a valid regular expression, but isn't: {why}");
        errors.push(Error::invalid(path.child("pattern"), pattern, detail));
    }
}

fn nested(errors: &mut ErrorList, path: &Path, schema: &Value, skipped: Skipped) {
    if !schema.is_object() {
        return;
    }
    values(errors, path, schema, skipped);
    nested(errors, &path.child("items"), part(schema, "items"), Skipped::Nothing);
    for (name, property) in entries(schema, "properties") {
        nested(errors, &path.child("properties").key(name), property, Skipped::Nothing);
    }
    let all = part(schema, "additionalProperties");
    if all.is_object() || *all == Value::Bool(true) {
        let detail = "must be undefined to be structural";
        errors.push(Error::forbidden(path.child("additionalProperties"), detail));
    }
    for (field, detail) in FORBIDDEN {
        let value = part(schema, field);
        if has(schema, field) && *value != Value::Bool(false) {
            errors.push(Error::forbidden(path.child(field), detail));
        }
    }
    if has(part(schema, "properties"), "metadata") {
        let detail = "must not be specified in a nested context";
        errors.push(Error::forbidden(path.child("properties").key("metadata"), detail));
    }
}

/// What a junctor restricts has a type outside of it.
pub(super) fn complete(errors: &mut ErrorList, path: &Path, schema: &Value) {
    counterparts(errors, schema, schema, path, path);
}

/// Each part of `value`'s junctors, at `told`, has its counterpart in `schema`, at `path`.
fn counterparts(errors: &mut ErrorList, value: &Value, schema: &Value, path: &Path, told: &Path) {
    counterpart(errors, part(value, "not"), schema, path, &told.child("not"));
    for field in ["allOf", "anyOf", "oneOf"] {
        for (index, inner) in list(value, field).iter().enumerate() {
            counterpart(errors, inner, schema, path, &told.child(field).index(index));
        }
    }
}

fn counterpart(errors: &mut ErrorList, value: &Value, schema: &Value, path: &Path, told: &Path) {
    if !value.is_object() {
        return;
    }
    if !schema.is_object() {
        return errors.push(Error::required(path, format!("because it is defined in {told}")));
    }
    counterparts(errors, value, schema, path, told);
    counterpart(errors, part(value, "items"), part(schema, "items"), &path.child("items"), &told.child("items"));
    for (name, property) in entries(value, "properties") {
        let within = |path: &Path| path.child("properties").key(name);
        counterpart(errors, property, part(part(schema, "properties"), name), &within(path), &within(told));
    }
}
