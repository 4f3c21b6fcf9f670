//! Devices: what drivers offer, and who claims what of it, as `pkg/apis/resource/validation`.
//!
//! Reading order: [`claims`], [`claim_status`], [`slices`].

pub mod claim_status;
pub mod claims;
pub mod slices;

use std::collections::HashSet;

use serde_json::Value;

use super::checks::{invalid_each, qualified_name};
use super::field::{Error, ErrorList, Kind, Path};
use crate::names;
use crate::value::{list, text};

/// Bytes in the name of a driver, of a pool, and of an attribute without its domain, as upstream.
const DRIVER_BYTES_MAX: usize = 63;
const POOL_BYTES_MAX: usize = names::SUBDOMAIN_BYTES_MAX;
const ID_BYTES_MAX: usize = 32;
/// Bytes of what only a driver understands.
const PARAMETERS_BYTES_MAX: usize = 10 << 10;
const EFFECTS: [&str; 2] = ["NoExecute", "NoSchedule"];

/// At most so many, each told apart by a key.
fn limited_set<'v>(
    errors: &mut ErrorList,
    path: &Path,
    keys: impl Iterator<Item = &'v str>,
    field: &str,
    max: Option<usize>,
) {
    let (mut seen, mut count, mut twice) = (HashSet::new(), 0, ErrorList::new());
    for (index, key) in keys.enumerate() {
        count = index + 1;
        if !seen.insert(key) {
            let at = path.index(index);
            twice.push(Error::duplicate(if field.is_empty() { at } else { at.child(field) }, key));
        }
    }
    limited(errors, path, count, max.unwrap_or(usize::MAX));
    errors.append(&mut twice);
}

fn limited(errors: &mut ErrorList, path: &Path, count: usize, max: usize) {
    if count > max {
        errors.push(Error::too_many(path, count, max));
    }
}

fn driver_name(errors: &mut ErrorList, path: &Path, name: &str) {
    if name.is_empty() {
        errors.push(Error::required(path, ""));
    }
    if name.len() > DRIVER_BYTES_MAX {
        errors.push(Error::too_long(path, "", DRIVER_BYTES_MAX));
    }
    invalid_each(errors, path, name, names::subdomain(&name.to_lowercase()));
}

fn pool_name(errors: &mut ErrorList, path: &Path, name: &str) {
    if name.is_empty() {
        return errors.push(Error::required(path, ""));
    }
    if name.len() > POOL_BYTES_MAX {
        errors.push(Error::too_long(path, "", POOL_BYTES_MAX));
    }
    name.split('/').for_each(|part| invalid_each(errors, path, part, names::subdomain(part)));
}

/// The name of an attribute, with or without a driver before it.
fn attribute_name(errors: &mut ErrorList, path: &Path, name: &str) {
    match name.split_once('/') {
        _ if name.is_empty() => errors.push(Error::required(path, "name required")),
        None => identifier(errors, path, name),
        Some((domain, id)) => {
            if domain.is_empty() {
                errors.push(Error::required(path, "the domain must not be empty"));
            } else {
                driver_name(errors, path, domain);
            }
            if id.is_empty() {
                errors.push(Error::required(path, "the name must not be empty"));
            } else {
                identifier(errors, path, id);
            }
        }
    }
}

fn identifier(errors: &mut ErrorList, path: &Path, id: &str) {
    const MESSAGE: &str = "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric characters or '_'";
    if id.len() > ID_BYTES_MAX {
        errors.push(Error::too_long(path, "", ID_BYTES_MAX));
    }
    let is_identifier = id.starts_with(|first: char| first == '_' || first.is_ascii_alphabetic())
        && id.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric());
    if !is_identifier {
        let detail = names::form(MESSAGE, "[A-Za-z_][A-Za-z0-9_]*", &["my_name", "MY_NAME", "MyName"]);
        errors.push(Error::new(Kind::TypeInvalid, path, id, detail));
    }
}

/// What only a driver understands: an object, and not a large one.
fn parameters(errors: &mut ErrorList, path: &Path, parameters: &Value) {
    if parameters.is_null() {
        errors.push(Error::required(path, ""));
    } else if parameters.to_string().len() > PARAMETERS_BYTES_MAX {
        errors.push(Error::too_long(path, "", PARAMETERS_BYTES_MAX));
    } else if !parameters.is_object() {
        errors.push(Error::invalid(path, "<value omitted>", "parameters must be a valid JSON object"));
    }
}

fn taints(errors: &mut ErrorList, path: &Path, taints: &[Value]) {
    for (index, taint) in taints.iter().enumerate() {
        let path = path.index(index);
        qualified_name(errors, &path.child("key"), text(taint, "key"));
        let value = text(taint, "value");
        invalid_each(errors, &path.child("value"), value, names::label_value(value));
        super::checks::one_of(errors, &path.child("effect"), text(taint, "effect"), &EFFECTS);
    }
}

fn tolerations(errors: &mut ErrorList, path: &Path, object: &Value) {
    for (index, toleration) in list(object, "tolerations").iter().enumerate() {
        let path = path.child("tolerations").index(index);
        let (key, value, effect) = (text(toleration, "key"), text(toleration, "value"), text(toleration, "effect"));
        if !key.is_empty() {
            qualified_name(errors, &path.child("key"), key);
        }
        match text(toleration, "operator") {
            "Exists" if !value.is_empty() => {
                errors.push(Error::invalid(path.child("value"), value, "must be empty for operator `Exists`"));
            }
            "Exists" => {}
            "Equal" => invalid_each(errors, &path.child("value"), value, names::label_value(value)),
            "" => errors.push(Error::required(path.child("operator"), "")),
            other => errors.push(Error::not_supported(path.child("operator"), other, &["Equal", "Exists"])),
        }
        if !effect.is_empty() && !EFFECTS.contains(&effect) {
            errors.push(Error::not_supported(path.child("effect"), effect, &EFFECTS));
        }
    }
}
