//! Who owns what of the lists and maps of a kind.

use std::collections::HashSet;

use serde_json::Value;

use super::super::field::{Error, ErrorList, Path};
use super::spec::Asked;
use crate::value::{flag, has, list, part, text, texts};

const LIST_TYPE: &str = "x-kubernetes-list-type";
const MAP_TYPE: &str = "x-kubernetes-map-type";
const KEYS: &str = "x-kubernetes-list-map-keys";

/// Whether it is a set whose items have owners of their own.
pub(super) fn is_set_of_parts(schema: &Value) -> bool {
    let items = part(schema, "items");
    text(schema, LIST_TYPE) == "set"
        && match text(items, "type") {
            "array" => has(items, LIST_TYPE) && text(items, LIST_TYPE) != "atomic",
            "object" => text(items, MAP_TYPE) != "atomic",
            _ => false,
        }
}

/// Whether items have the keys by which they are told apart.
pub(super) fn has_keys(schema: &Value) -> bool {
    let mut errors = ErrorList::new();
    keys_are_set(&mut errors, &Path::default(), schema);
    errors.is_empty()
}

/// What a schema says of a list or map.
pub(super) fn check(errors: &mut ErrorList, path: &Path, schema: &Value, asked: &Asked) {
    let (kind, items) = (text(schema, "type"), part(schema, "items"));
    typed(errors, path, schema, MAP_TYPE, "object");
    if has(schema, MAP_TYPE) && !["atomic", "granular"].contains(&text(schema, MAP_TYPE)) {
        let found = text(schema, MAP_TYPE);
        errors.push(Error::not_supported(path.child(MAP_TYPE), found, &["atomic", "granular"]));
    }
    typed(errors, path, schema, LIST_TYPE, "array");
    if kind == "array" && asked.atomic_sets && is_set_of_parts(schema) {
        let field = if text(items, "type") == "array" { LIST_TYPE } else { MAP_TYPE };
        let detail = "must be atomic as item of a list with x-kubernetes-list-type=set";
        errors.push(Error::invalid(path.child("items").child(field), part(items, LIST_TYPE).clone(), detail));
    }
    if has(schema, LIST_TYPE) && !["atomic", "set", "map"].contains(&text(schema, LIST_TYPE)) {
        let found = text(schema, LIST_TYPE);
        errors.push(Error::not_supported(path.child(LIST_TYPE), found, &["atomic", "set", "map"]));
    }
    if !list(schema, KEYS).is_empty() && text(schema, LIST_TYPE) != "map" {
        let detail = "must be map if x-kubernetes-list-map-keys is non-empty";
        errors.push(match text(schema, LIST_TYPE) {
            "" => Error::required(path.child(LIST_TYPE), detail),
            found => Error::invalid(path.child(LIST_TYPE), found, detail),
        });
    }
    if text(schema, LIST_TYPE) == "map" {
        keyed(errors, path, schema);
    }
    if asked.keyed_lists {
        keys_are_set(errors, path, schema);
    }
}

/// Only lists have a list type, and only maps a map type.
fn typed(errors: &mut ErrorList, path: &Path, schema: &Value, field: &str, wanted: &str) {
    if !has(schema, field) || text(schema, "type") == wanted {
        return;
    }
    let (path, detail) = (path.child("type"), format!("must be {wanted} if {field} is specified"));
    errors.push(match text(schema, "type") {
        "" => Error::required(path, detail),
        found => Error::invalid(path, found, detail),
    });
}

/// A list whose items are told apart by keys.
fn keyed(errors: &mut ErrorList, path: &Path, schema: &Value) {
    let (at, items) = (path.child("items"), part(schema, "items"));
    if list(schema, KEYS).is_empty() {
        errors.push(Error::required(path.child(KEYS), "must not be empty if x-kubernetes-list-type is map"));
    }
    if items.is_null() {
        return errors.push(Error::required(at, "must have a schema if x-kubernetes-list-type is map"));
    }
    if !items.is_object() {
        let detail = "must only have a single schema if x-kubernetes-list-type is map";
        return errors.push(Error::invalid(at, items.clone(), detail));
    }
    let kind = text(items, "type");
    if kind != "object" {
        let detail = "must be object if parent array's x-kubernetes-list-type is map";
        return errors.push(Error::invalid(at.child("type"), kind, detail));
    }
    let mut seen = HashSet::new();
    for key in texts(schema, KEYS) {
        let property = part(part(items, "properties"), key);
        if property.is_null() {
            let detail = "entries must all be names of item properties";
            errors.push(Error::invalid(path.child(KEYS), part(schema, KEYS).clone(), detail));
        } else if ["array", "object"].contains(&text(property, "type")) {
            let detail = "must be a scalar type if parent array's x-kubernetes-list-type is map";
            errors.push(Error::invalid(at.child("properties").key(key).child("type"), kind, detail));
        }
        if !seen.insert(key) {
            let detail = "must not contain duplicate entries";
            errors.push(Error::invalid(path.child(KEYS), part(schema, KEYS).clone(), detail));
        }
    }
}

/// Items of sets and maps are something, and so are the keys by which those of maps are told apart.
fn keys_are_set(errors: &mut ErrorList, path: &Path, schema: &Value) {
    let (at, items, kind) = (path.child("items"), part(schema, "items"), text(schema, LIST_TYPE));
    if !items.is_object() || !["set", "map"].contains(&kind) {
        return;
    }
    if flag(items, "nullable") {
        let detail = format!("cannot be nullable when x-kubernetes-list-type is {kind}");
        errors.push(Error::forbidden(at.child("nullable"), detail));
    }
    if kind == "set" {
        return;
    }
    for key in texts(schema, KEYS) {
        let (at, property) = (at.child("properties").key(key), part(part(items, "properties"), key));
        if property.is_null() {
            continue;
        }
        if !texts(items, "required").any(|required| required == key) && !has(property, "default") {
            let detail =
                "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property";
            errors.push(Error::required(at.child("default"), detail));
        }
        if flag(property, "nullable") {
            let detail = "this property is in x-kubernetes-list-map-keys, so it cannot be nullable";
            errors.push(Error::forbidden(at.child("nullable"), detail));
        }
    }
}
