//! The rules in CEL that values of a kind must satisfy.

use serde_json::Value;

use super::super::field::{Error, ErrorList, Path};
use super::{field_path, structural};
use crate::value::{has, list, text};

const REASONS: [&str; 4] = ["FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"];

/// The rules of a schema are written out, and say what is wrong in a line.
pub(super) fn check(errors: &mut ErrorList, path: &Path, schema: &Value) {
    for (index, rule) in list(schema, "x-kubernetes-validations").iter().enumerate() {
        one(errors, &path.child("x-kubernetes-validations").index(index), rule, schema);
    }
}

fn one(errors: &mut ErrorList, path: &Path, rule: &Value, schema: &Value) {
    let said = |field: &str| text(rule, field).trim();
    let has_lines = |text: &str| text.contains(['\n', '\r']);
    let (at, message) = (path.child("message"), text(rule, "message"));
    if said("rule").is_empty() {
        errors.push(Error::required(path.child("rule"), "rule is not specified"));
    } else if !message.is_empty() && said("message").is_empty() {
        errors.push(Error::invalid(at, message, "must be non-empty if specified"));
    } else if has_lines(said("message")) {
        errors.push(Error::invalid(at, message, "must not contain line breaks"));
    } else if has_lines(said("rule")) && said("message").is_empty() {
        errors.push(Error::required(at, "message must be specified if rule contains line breaks"));
    }
    if !text(rule, "messageExpression").is_empty() && said("messageExpression").is_empty() {
        let detail = "messageExpression must be non-empty if specified";
        errors.push(Error::required(path.child("messageExpression"), detail));
    }
    if has(rule, "reason") && !REASONS.contains(&text(rule, "reason")) {
        errors.push(Error::not_supported(path.child("reason"), text(rule, "reason"), &REASONS));
    }
    let (at, field) = (path.child("fieldPath"), text(rule, "fieldPath"));
    if field.is_empty() {
        return;
    }
    if said("fieldPath").is_empty() {
        errors.push(Error::invalid(&at, field, "must be non-empty if specified"));
    }
    if has_lines(field) {
        errors.push(Error::invalid(&at, field, "must not contain line breaks"));
    }
    let is_found = || field_path::find(schema, field, field_path::Notation::Brackets).is_ok();
    if structural::supported(schema).is_ok() && !is_found() {
        errors.push(Error::invalid(at, field, "must be a valid path"));
    }
}
