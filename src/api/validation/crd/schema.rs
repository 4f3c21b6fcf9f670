//! What the schema of a kind may say, level by level.

use serde_json::Value;

use super::super::field::{Error, ErrorList, Path};
use super::spec::Asked;
use super::walk::TYPES;
use super::{defaults, lists, structural};
use crate::cel;
use crate::value::{entries, flag, has, list, part, text};

/// What else a schema with a status beside it says, by upstream's names and ours.
const AT_ROOT: &str = "[Description Type Format Title Maximum ExclusiveMaximum Minimum ExclusiveMinimum MaxLength MinLength Pattern MaxItems MinItems UniqueItems MultipleOf Required Items Properties ExternalDocs Example XPreserveUnknownFields XValidations]";
/// What it does not say: what stands before the type in upstream's form, and what behind.
const BEFORE_TYPE: [&str; 3] = ["id", "$schema", "$ref"];
const NOT_AT_ROOT: [&str; 19] = [
    "nullable",
    "default",
    "maxProperties",
    "minProperties",
    "enum",
    "allOf",
    "oneOf",
    "anyOf",
    "not",
    "additionalProperties",
    "patternProperties",
    "dependencies",
    "additionalItems",
    "definitions",
    "x-kubernetes-embedded-resource",
    "x-kubernetes-int-or-string",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-list-type",
    "x-kubernetes-map-type",
];

/// How schemas are checked.
pub(super) struct Checked<'a> {
    pub(super) asked: &'a Asked,
    pub(super) is_structural: bool,
}

/// All that is wrong with the schema of a version, or of all.
pub(super) fn check(errors: &mut ErrorList, path: &Path, validation: &Value, has_status: bool, checked: &Checked<'_>) {
    let (at, schema) = (path.child("openAPIV3Schema"), part(validation, "openAPIV3Schema"));
    if schema.is_null() {
        return;
    }
    let mut found = ErrorList::new();
    if has_status {
        root(&mut found, &at, schema);
    }
    if flag(schema, "nullable") {
        found.push(Error::forbidden(at.child("nullable"), "nullable cannot be true at the root"));
    }
    let mut unsupported = None;
    if checked.is_structural {
        match structural::supported(schema) {
            // What the levels say of it is better told.
            Err(why) => unsupported = Some(Error::invalid(&at, "", why)),
            Ok(()) => {
                let wrong = structural::check(&at, schema);
                if wrong.is_empty() {
                    defaults::check(&mut found, &at, schema, checked.asked.pruned_defaults);
                }
                found.extend(wrong);
            }
        }
    }
    Level { asked: checked.asked, no_defaults: None, is_meta: false }.check(&mut found, &at, schema, true);
    if found.is_empty() {
        found.extend(unsupported);
    }
    if found.is_empty() {
        found.extend(cel::rules::check(schema, &at, checked.asked.rule_costs));
    }
    errors.append(&mut found);
}

/// What a schema may say at its root when the status has a place of its own: what holds without it.
fn root(errors: &mut ErrorList, path: &Path, schema: &Value) {
    let says = |field: &&str| has(schema, field);
    let kind = text(schema, "type");
    if !BEFORE_TYPE.iter().any(says) && !kind.is_empty() && kind != "object" {
        let detail =
            "only \"object\" is allowed as the type at the root of the schema if the status subresource is enabled";
        errors.push(Error::invalid(path.child("type"), kind, detail));
    } else if BEFORE_TYPE.iter().chain(&NOT_AT_ROOT).any(says) {
        let detail =
            format!("only {AT_ROOT} fields are allowed at the root of the schema if the status subresource is enabled");
        errors.push(Error::invalid(path, schema.clone(), detail));
    }
}

/// Where in a schema another stands.
#[derive(Clone)]
struct Level<'a> {
    asked: &'a Asked,
    /// Why there may be no defaults.
    no_defaults: Option<String>,
    /// Whether it is of metadata.
    is_meta: bool,
}

impl Level<'_> {
    fn check(&self, errors: &mut ErrorList, path: &Path, schema: &Value, is_root: bool) {
        if !schema.is_object() {
            return;
        }
        self.forbidden(errors, path, schema);
        if flag(schema, "uniqueItems") {
            let detail = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
            errors.push(Error::forbidden(path.child("uniqueItems"), detail));
        }
        self.inner(errors, path, schema, is_root);
        let preserves = "x-kubernetes-preserve-unknown-fields";
        if has(schema, preserves) && !flag(schema, preserves) {
            errors.push(Error::invalid(path.child(preserves), false, "must be true or undefined"));
        }
        lists::check(errors, path, schema, self.asked);
    }

    /// The schemas inside.
    fn inner(&self, errors: &mut ErrorList, path: &Path, schema: &Value, is_root: bool) {
        let all = part(schema, "additionalProperties");
        if has(schema, "properties") && !all.is_null() && *all != Value::Bool(true) {
            let detail = "additionalProperties and properties are mutual exclusive";
            errors.push(Error::forbidden(path.child("additionalProperties"), detail));
        }
        let mut level = self.clone();
        if self.is_meta {
            level.no_defaults = Some("inside additionalProperties applying to object metadata".to_owned());
        }
        level.check(errors, &path.child("additionalProperties"), all, false);
        let has_meta = is_root || flag(schema, "x-kubernetes-embedded-resource");
        for (name, property) in entries(schema, "properties") {
            let mut level = self.clone();
            if has_meta && ["metadata", "kind", "apiVersion"].contains(&name) {
                level.is_meta = true;
                if is_root {
                    level.no_defaults = Some(format!("in top-level {name}"));
                }
            }
            level.check(errors, &path.child("properties").key(name), property, false);
        }
        self.check(errors, &path.child("not"), part(schema, "not"), false);
        for field in ["allOf", "oneOf", "anyOf"] {
            for (index, inner) in list(schema, field).iter().enumerate() {
                self.check(errors, &path.child(field).index(index), inner, false);
            }
        }
        for (name, inner) in entries(schema, "definitions") {
            self.check(errors, &path.child("definitions").key(name), inner, false);
        }
        self.check(errors, &path.child("items"), part(schema, "items"), false);
        for (index, inner) in list(schema, "items").iter().enumerate() {
            self.check(errors, &path.child("items").index(index), inner, false);
        }
        for (name, inner) in entries(schema, "dependencies") {
            self.check(errors, &path.child("dependencies").key(name), inner, false);
        }
    }

    /// What no schema may say.
    fn forbidden(&self, errors: &mut ErrorList, path: &Path, schema: &Value) {
        let kind = text(schema, "type");
        if self.asked.valid_types && !kind.is_empty() && !TYPES.contains(&kind) {
            errors.push(Error::not_supported(path.child("type"), kind, &TYPES));
        }
        if let Some(why) = self.no_defaults.as_deref().filter(|_| has(schema, "default")) {
            errors.push(Error::forbidden(path.child("default"), format!("must not be set {why}")));
        }
        let unsupported =
            ["id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref"].into_iter();
        for field in unsupported.filter(|field| has(schema, field)) {
            errors.push(Error::forbidden(path.child(field), format!("{field} is not supported")));
        }
        if kind == "null" {
            let detail = "type cannot be set to null, use nullable as an alternative";
            errors.push(Error::forbidden(path.child("type"), detail));
        }
        if !list(schema, "items").is_empty() {
            let detail = "items must be a schema object and not an array";
            errors.push(Error::forbidden(path.child("items"), detail));
        }
        let embedded = "x-kubernetes-embedded-resource";
        if self.is_meta && flag(schema, embedded) {
            errors.push(Error::forbidden(path.child(embedded), "must not be used inside of resource meta"));
        }
    }
}
