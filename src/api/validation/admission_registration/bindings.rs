//! Where policies hold.

use std::collections::HashSet;

use serde_json::Value;

use super::super::checks::label_selector;
use super::super::field::{Error, ErrorList, Path};
use super::rules;
use crate::names::NameRule;
use crate::value::{has, list, part, text, texts};

const ACTIONS: [&str; 3] = ["Audit", "Deny", "Warn"];
const NOT_FOUND_ACTIONS: [&str; 2] = ["Deny", "Allow"];

/// What is wrong with a `ValidatingAdmissionPolicyBinding`.
pub fn validating(object: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let (path, spec) = (Path::new("spec"), part(object, "spec"));
    beginning(&mut errors, &path, spec);
    // Upstream misspells this path.
    rules::match_resources(&mut errors, &path.child("matchResouces"), part(spec, "matchResources"));
    actions(&mut errors, &path.child("validationActions"), spec);
    errors
}

/// What is wrong with a changed `ValidatingAdmissionPolicyBinding`.
pub fn validating_update(new: &Value, _old: &Value) -> ErrorList {
    validating(new)
}

/// What is wrong with a `MutatingAdmissionPolicyBinding`.
pub fn mutating(object: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let (path, spec) = (Path::new("spec"), part(object, "spec"));
    beginning(&mut errors, &path, spec);
    let (path, resources) = (path.child("matchResources"), part(spec, "matchResources"));
    rules::match_resources(&mut errors, &path, resources);
    rules::can_mutate(&mut errors, &path, resources);
    errors
}

/// What is wrong with a changed `MutatingAdmissionPolicyBinding`.
pub fn mutating_update(new: &Value, _old: &Value) -> ErrorList {
    mutating(new)
}

/// The policy, and what tells it more.
fn beginning(errors: &mut ErrorList, path: &Path, spec: &Value) {
    let (at, policy) = (path.child("policyName"), text(spec, "policyName"));
    if policy.is_empty() {
        errors.push(Error::required(at, ""));
    } else {
        let wrong = NameRule::Subdomain.check(policy).into_iter();
        errors.extend(wrong.map(|reason| Error::invalid(&at, policy, reason)));
    }
    if has(spec, "paramRef") {
        param_ref(errors, &path.child("paramRef"), part(spec, "paramRef"));
    }
}

/// Parameters by name or by labels, and what becomes of requests when there are none.
fn param_ref(errors: &mut ErrorList, path: &Path, param: &Value) {
    const EITHER: &str = "name and selector are mutually exclusive";
    let (name, has_selector) = (text(param, "name"), has(param, "selector"));
    if !name.is_empty() {
        let wrong = NameRule::PathSegment.check(name).into_iter();
        errors.extend(wrong.map(|reason| Error::invalid(path.child("name"), name, reason)));
        if has_selector {
            errors.push(Error::forbidden(path.child("name"), EITHER));
        }
    }
    if has_selector {
        label_selector(errors, &path.child("selector"), part(param, "selector"));
        if !name.is_empty() {
            errors.push(Error::forbidden(path.child("selector"), EITHER));
        }
    } else if name.is_empty() {
        errors.push(Error::required(path, "one of name or selector must be specified"));
    }
    let (at, action) = (path.child("parameterNotFoundAction"), text(param, "parameterNotFoundAction"));
    if action.is_empty() {
        errors.push(Error::required(at, ""));
    } else if !NOT_FOUND_ACTIONS.contains(&action) {
        errors.push(Error::not_supported(at, action, &NOT_FOUND_ACTIONS));
    }
}

/// What happens to requests that a policy does not like.
fn actions(errors: &mut ErrorList, path: &Path, spec: &Value) {
    let mut seen = HashSet::new();
    for (index, action) in texts(spec, "validationActions").enumerate() {
        if !ACTIONS.contains(&action) {
            errors.push(Error::not_supported(path.index(index), action, &ACTIONS));
        }
        if !seen.insert(action) {
            errors.push(Error::duplicate(path.index(index), action));
        }
    }
    if seen.contains("Deny") && seen.contains("Warn") {
        let detail = "must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)";
        errors.push(Error::invalid(path, list(spec, "validationActions").to_vec(), detail));
    }
    if seen.is_empty() {
        errors.push(Error::required(path, "at least one validation action is required"));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::testing::check;
    use super::*;

    #[test]
    fn a_binding_names_its_policy_and_what_follows() {
        check(&validating(&json!({"spec": {"policyName": "p", "validationActions": ["Deny"]}})), &[]);
        check(
            &validating(&json!({"spec": {"paramRef": {"name": "a", "selector": {}}, "matchResources": {},
                "validationActions": ["Deny", "Warn", "Warn"]}})),
            &[
                "spec.policyName: Required value",
                "spec.paramRef.name: Forbidden: name and selector are mutually exclusive",
                "spec.paramRef.selector: Forbidden: name and selector are mutually exclusive",
                "spec.paramRef.parameterNotFoundAction: Required value",
                "spec.matchResouces.matchPolicy: Required value",
                "spec.matchResouces.namespaceSelector: Required value",
                "spec.matchResouces.objectSelector: Required value",
                "spec.validationActions[2]: Duplicate value: \"Warn\"",
                "spec.validationActions: Invalid value: [\"Deny\",\"Warn\",\"Warn\"]: must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)",
            ],
        );
        check(
            &mutating(&json!({"spec": {"policyName": "p", "paramRef": {"parameterNotFoundAction": "Odd"}}})),
            &[
                "spec.paramRef: Required value: one of name or selector must be specified",
                "spec.paramRef.parameterNotFoundAction: Unsupported value: \"Odd\": supported values: \"Deny\", \"Allow\"",
            ],
        );
    }
}
