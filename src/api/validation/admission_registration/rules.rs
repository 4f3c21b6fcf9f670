//! Which requests are meant.

use std::collections::HashSet;

use serde_json::Value;

use super::super::checks::label_selector;
use super::super::field::{Error, ErrorList, Path};
use super::{MATCH_POLICIES, required_word, word};
use crate::names::NameRule;
use crate::value::{has, list, part, texts};

const OPERATIONS: [&str; 5] = ["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];
/// What is deleted cannot be changed.
const MUTATING_OPERATIONS: [&str; 4] = ["*", "CONNECT", "CREATE", "UPDATE"];
const SCOPES: [&str; 3] = ["*", "Cluster", "Namespaced"];

/// A rule: what is done to which resources.
pub(super) fn rule(errors: &mut ErrorList, path: &Path, rule: &Value) {
    all_or_some(errors, path, rule, "operations", "operations");
    for (index, operation) in texts(rule, "operations").enumerate() {
        if !OPERATIONS.contains(&operation) {
            errors.push(Error::not_supported(path.child("operations").index(index), operation, &OPERATIONS));
        }
    }
    all_or_some(errors, path, rule, "apiGroups", "API groups");
    all_or_some(errors, path, rule, "apiVersions", "API versions");
    for (index, version) in texts(rule, "apiVersions").enumerate() {
        if version.is_empty() {
            errors.push(Error::required(path.child("apiVersions").index(index), ""));
        }
    }
    resources(errors, &path.child("resources"), rule);
    word(errors, path, rule, "scope", &SCOPES);
}

/// A list that has something, and nothing beside `*`.
fn all_or_some(errors: &mut ErrorList, path: &Path, rule: &Value, field: &str, what: &str) {
    let (path, values) = (path.child(field), list(rule, field));
    if values.is_empty() {
        errors.push(Error::required(&path, ""));
    }
    if values.len() > 1 && texts(rule, field).any(|value| value == "*") {
        let detail = format!("if '*' is present, must not specify other {what}");
        errors.push(Error::invalid(path, values.to_vec(), detail));
    }
}

fn resources(errors: &mut ErrorList, path: &Path, rule: &Value) {
    let all = list(rule, "resources");
    if all.is_empty() {
        errors.push(Error::required(path, ""));
    }
    let (mut whole, mut parts_of_all) = (HashSet::new(), HashSet::new());
    let mut has_plain = false;
    for (index, named) in texts(rule, "resources").enumerate() {
        let at = path.index(index);
        if named.is_empty() {
            errors.push(Error::required(at, ""));
            continue;
        }
        let Some((resource, part)) = named.split_once('/') else {
            has_plain = named != "*";
            continue;
        };
        if whole.contains(resource) {
            let detail = format!("if '{resource}/*' is present, must not specify {named}");
            errors.push(Error::invalid(&at, named, detail));
        }
        if parts_of_all.contains(part) {
            let detail = format!("if '*/{part}' is present, must not specify {named}");
            errors.push(Error::invalid(&at, named, detail));
        }
        if part == "*" {
            whole.insert(resource);
        }
        if resource == "*" {
            parts_of_all.insert(part);
        }
    }
    let names = |wanted: &str| texts(rule, "resources").any(|named| named == wanted);
    if all.len() > 1 && names("*/*") {
        let detail = "if '*/*' is present, must not specify other resources";
        errors.push(Error::invalid(path, all.to_vec(), detail));
    }
    if names("*") && has_plain {
        let detail = "if '*' is present, must not specify other resources without subresources";
        errors.push(Error::invalid(path, all.to_vec(), detail));
    }
}

/// What a policy or binding is about; null is everything.
pub(super) fn match_resources(errors: &mut ErrorList, path: &Path, resources: &Value) {
    if resources.is_null() {
        return;
    }
    required_word(errors, path, resources, "matchPolicy", &MATCH_POLICIES);
    for field in ["namespaceSelector", "objectSelector"] {
        if has(resources, field) {
            label_selector(errors, &path.child(field), part(resources, field));
        } else {
            errors.push(Error::required(path.child(field), ""));
        }
    }
    for field in ["resourceRules", "excludeResourceRules"] {
        for (index, rule) in list(resources, field).iter().enumerate() {
            named_rule(errors, &path.child(field).index(index), rule);
        }
    }
}

/// What a policy that changes objects is about.
pub(super) fn can_mutate(errors: &mut ErrorList, path: &Path, resources: &Value) {
    let operations = list(resources, "resourceRules").iter().flat_map(|rule| texts(rule, "operations"));
    for operation in operations.filter(|operation| !MUTATING_OPERATIONS.contains(operation)) {
        let path = path.child("resourceRules").child("operations");
        errors.push(Error::not_supported(path, operation, &MUTATING_OPERATIONS));
    }
}

/// A rule about objects of these names.
fn named_rule(errors: &mut ErrorList, path: &Path, named: &Value) {
    let mut seen = HashSet::new();
    for (index, name) in texts(named, "resourceNames").enumerate() {
        let at = path.child("resourceNames").index(index);
        let wrong = NameRule::PathSegment.check(name).into_iter();
        errors.extend(wrong.map(|reason| Error::invalid(&at, name, reason)));
        if !seen.insert(name) {
            errors.push(Error::duplicate(at, name));
        }
    }
    rule(errors, path, named);
}
