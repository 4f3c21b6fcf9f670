//! Structural schemas: every value has one type, told outside of what only restricts values.

use serde_json::Value;

use super::super::field::{Error, ErrorList, Path};
use super::junctors;
use crate::value::{entries, flag, has, list, part, text};

/// Where in a schema another stands.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Level {
    Root,
    Item,
    Field,
}

const EMBEDDED: &str = "x-kubernetes-embedded-resource";
const INT_OR_STRING: &str = "x-kubernetes-int-or-string";
const PRESERVES: &str = "x-kubernetes-preserve-unknown-fields";

/// Whether a schema is structural.
pub(super) fn is_structural(schema: &Value) -> bool {
    supported(schema).is_ok() && check(&Path::default(), schema).is_empty()
}

/// What keeps a schema from being structural, in order of the text.
pub(super) fn check(path: &Path, schema: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    invariants(&mut errors, path, schema, Level::Root);
    junctors::complete(&mut errors, path, schema);
    errors.sort_by_cached_key(Error::to_string);
    errors
}

/// Whether a schema says only what structural ones know.
///
/// # Errors
/// Upstream's message when it says more.
pub(super) fn supported(schema: &Value) -> Result<(), String> {
    if !schema.is_object() {
        return Ok(());
    }
    for (field, is_set) in [
        ("id", !text(schema, "id").is_empty()),
        ("schema", !text(schema, "$schema").is_empty()),
        ("$ref", !text(schema, "$ref").is_empty()),
        ("patternProperties", has(schema, "patternProperties")),
        ("dependencies", has(schema, "dependencies")),
        ("additionalItems", has(schema, "additionalItems")),
        ("definitions", has(schema, "definitions")),
    ] {
        if is_set {
            return Err(format!("OpenAPIV3Schema '{field}' is not supported"));
        }
    }
    supported(part(schema, "not"))?;
    for field in ["allOf", "anyOf", "oneOf"] {
        list(schema, field).iter().try_for_each(supported)?;
    }
    if has(schema, PRESERVES) && !flag(schema, PRESERVES) {
        return Err(format!("internal error: '{PRESERVES}' must be true or undefined"));
    }
    if !list(schema, "items").is_empty() {
        return Err("OpenAPIV3Schema 'items' must be a schema, but is an array".to_owned());
    }
    supported(part(schema, "items"))?;
    entries(schema, "properties").try_for_each(|(_, property)| supported(property))?;
    supported(part(schema, "additionalProperties"))
}

fn invariants(errors: &mut ErrorList, path: &Path, schema: &Value, level: Level) {
    let (kind, items, all) = (text(schema, "type"), part(schema, "items"), part(schema, "additionalProperties"));
    match (kind, items.is_object()) {
        ("array", false) => errors.push(Error::required(path.child("items"), "must be specified")),
        (_, false) => {}
        (_, true) => invariants(errors, &path.child("items"), items, Level::Item),
    }
    for (name, property) in entries(schema, "properties") {
        invariants(errors, &path.child("properties").key(name), property, Level::Field);
    }
    if !all.is_null() && level == Level::Root {
        errors.push(Error::forbidden(path.child("additionalProperties"), "must not be used at the root"));
    }
    if all.is_object() {
        invariants(errors, &path.child("additionalProperties"), all, Level::Field);
    }
    for field in [PRESERVES, EMBEDDED] {
        if flag(schema, INT_OR_STRING) && flag(schema, field) {
            let detail = "must be false if x-kubernetes-int-or-string is true";
            errors.push(Error::invalid(path.child(field), true, detail));
        }
    }
    junctors::check(errors, path, schema);
    types(errors, path, schema, level);
    let has_meta = level == Level::Root || flag(schema, EMBEDDED);
    metadata(errors, &path.child("properties"), part(schema, "properties"), has_meta, level);
    if flag(schema, EMBEDDED) && !flag(schema, PRESERVES) && !has(schema, "properties") {
        let detail =
            "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields";
        errors.push(Error::required(path.child("properties"), detail));
    }
}

/// The type of a schema is told, and objects are objects.
fn types(errors: &mut ErrorList, path: &Path, schema: &Value, level: Level) {
    let (at, kind) = (path.child("type"), text(schema, "type"));
    if flag(schema, EMBEDDED) && kind != "object" {
        let detail = "must be object if x-kubernetes-embedded-resource is true";
        errors.push(match kind {
            "" => Error::required(&at, detail),
            kind => Error::invalid(&at, kind, detail),
        });
    } else if kind.is_empty() && !flag(schema, INT_OR_STRING) && !flag(schema, PRESERVES) {
        let place = match level {
            Level::Root => "at the root",
            Level::Item => "for specified array items",
            Level::Field => "for specified object fields",
        };
        errors.push(Error::required(&at, format!("must not be empty {place}")));
    }
    if flag(schema, EMBEDDED) && has(schema, "additionalProperties") {
        let detail = "must not be used if x-kubernetes-embedded-resource is set";
        errors.push(Error::forbidden(path.child("additionalProperties"), detail));
    }
    if level == Level::Root && !kind.is_empty() && kind != "object" {
        errors.push(Error::invalid(at, kind, "must be object at the root"));
    }
}

/// What every object has is known already: only names may be restricted.
fn metadata(errors: &mut ErrorList, path: &Path, properties: &Value, has_meta: bool, level: Level) {
    for field in ["kind", "apiVersion"] {
        let kind = text(part(properties, field), "type");
        if has_meta && has(properties, field) && kind != "string" {
            errors.push(Error::invalid(path.key(field).child("type"), kind, "must be string"));
        }
    }
    let (path, metadata) = (path.key("metadata"), part(properties, "metadata"));
    if metadata.is_null() {
        return;
    }
    let kind = text(metadata, "type");
    if has_meta && kind != "object" {
        errors.push(Error::invalid(path.child("type"), kind, "must be object"));
    }
    let is_plain = |field: &str| match field {
        "type" | "default" => true,
        "properties" => entries(metadata, field).all(|(name, _)| ["name", "generateName"].contains(&name)),
        _ => false,
    };
    let says_more = entries(properties, "metadata").any(|(field, _)| !is_plain(field));
    if level == Level::Root && says_more {
        let detail = "must not specify anything other than name and generateName, but metadata is implicitly specified";
        errors.push(Error::forbidden(path, detail));
    }
}
