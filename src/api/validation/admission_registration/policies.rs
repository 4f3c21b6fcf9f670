//! Policies that look at requests by expressions.

use std::collections::HashSet;

use serde_json::Value;

use super::super::checks::{conditions, qualified_name};
use super::super::field::{Error, ErrorList, Path};
use super::conditions::match_conditions;
use super::expressions::Expressions;
use super::{FAILURE_POLICIES, REINVOCATION_POLICIES, required_word, rules, word};
use crate::cel::RESERVED;
use crate::cel::admission::Answers;
use crate::meta;
use crate::names;
use crate::value::{has, list, part, text};

const ANNOTATIONS_MAX: usize = 20;
const REASONS: [&str; 3] = ["Forbidden", "Invalid", "RequestEntityTooLarge"];
const PATCH_TYPES: [&str; 2] = ["ApplyConfiguration", "JSONPatch"];
/// What is wrong with a `ValidatingAdmissionPolicy`.
pub fn validating(object: &Value) -> ErrorList {
    check_validating(object, true)
}

/// What is wrong with a changed `ValidatingAdmissionPolicy`.
pub fn validating_update(new: &Value, old: &Value) -> ErrorList {
    check_validating(new, may_have_broken(new, old))
}

/// What is wrong with a `ValidatingAdmissionPolicy`'s changed status.
pub fn validating_status(new: &Value, _old: &Value) -> ErrorList {
    let (mut errors, path) = (ErrorList::new(), Path::new("status"));
    let status = part(new, "status");
    let at = path.child("typeChecking").child("expressionWarnings");
    for (index, warning) in list(part(status, "typeChecking"), "expressionWarnings").iter().enumerate() {
        for field in ["warning", "fieldRef"] {
            if text(warning, field).trim().is_empty() {
                errors.push(Error::required(at.index(index).child(field), ""));
            }
        }
    }
    conditions(&mut errors, &path.child("conditions"), list(status, "conditions"));
    errors
}

/// What is wrong with a `MutatingAdmissionPolicy`.
pub fn mutating(object: &Value) -> ErrorList {
    check_mutating(object, true)
}

/// What is wrong with a changed `MutatingAdmissionPolicy`.
pub fn mutating_update(new: &Value, old: &Value) -> ErrorList {
    check_mutating(new, may_have_broken(new, old))
}

/// Whether an update can have made valid conditions invalid.
fn may_have_broken(new: &Value, old: &Value) -> bool {
    let (new, old) = (part(new, "spec"), part(old, "spec"));
    ["paramKind", "matchConditions"].iter().any(|field| part(new, field) != part(old, field))
}

fn check_validating(object: &Value, checks_conditions: bool) -> ErrorList {
    let mut errors = ErrorList::new();
    let (path, spec) = (Path::new("spec"), part(object, "spec"));
    beginning(&mut errors, &path, spec);
    let expressions = middle(&mut errors, &path, spec, checks_conditions);
    let (validations, annotations) = (list(spec, "validations"), list(spec, "auditAnnotations"));
    if validations.is_empty() && annotations.is_empty() {
        for field in ["validations", "auditAnnotations"] {
            let detail = "validations or auditAnnotations must contain at least one item";
            errors.push(Error::required(path.child(field), detail));
        }
        return errors;
    }
    for (index, found) in validations.iter().enumerate() {
        validation(&mut errors, &path.child("validations").index(index), found, &expressions);
    }
    let path = path.child("auditAnnotations");
    if annotations.len() > ANNOTATIONS_MAX {
        let detail = format!("must not have more than {ANNOTATIONS_MAX} auditAnnotations");
        errors.push(Error::invalid(&path, annotations.to_vec(), detail));
    }
    let mut keys = HashSet::new();
    for (index, annotation) in annotations.iter().enumerate() {
        let (path, key) = (path.index(index), text(annotation, "key"));
        audit_annotation(&mut errors, &path, annotation, meta::name(object), &expressions);
        if !keys.insert(key) {
            errors.push(Error::duplicate(path.child("key"), key));
        }
    }
    errors
}

fn check_mutating(object: &Value, checks_conditions: bool) -> ErrorList {
    let mut errors = ErrorList::new();
    let (path, spec) = (Path::new("spec"), part(object, "spec"));
    beginning(&mut errors, &path, spec);
    rules::can_mutate(&mut errors, &path.child("matchConstraints"), part(spec, "matchConstraints"));
    let expressions = middle(&mut errors, &path, spec, checks_conditions);
    let mutations = list(spec, "mutations");
    if mutations.is_empty() {
        errors.push(Error::required(path.child("mutations"), "mutations must contain at least one item"));
    }
    for (index, found) in mutations.iter().enumerate() {
        mutation(&mut errors, &path.child("mutations").index(index), found, &expressions);
    }
    if text(spec, "reinvocationPolicy").is_empty() {
        errors.push(Error::required(path.child("reinvocationPolicy"), ""));
    } else {
        word(&mut errors, &path, spec, "reinvocationPolicy", &REINVOCATION_POLICIES);
    }
    errors
}

/// What happens when a policy fails, its parameters, and what it is about.
fn beginning(errors: &mut ErrorList, path: &Path, spec: &Value) {
    required_word(errors, path, spec, "failurePolicy", &FAILURE_POLICIES);
    if has(spec, "paramKind") {
        param_kind(errors, &path.child("paramKind"), part(spec, "paramKind"));
    }
    let (at, resources) = (path.child("matchConstraints"), part(spec, "matchConstraints"));
    if resources.is_null() {
        return errors.push(Error::required(at, ""));
    }
    rules::match_resources(errors, &at, resources);
    if list(resources, "resourceRules").is_empty() {
        errors.push(Error::required(at.child("resourceRules"), ""));
    }
}

/// The conditions and variables of a policy; what its other expressions may refer to.
fn middle(errors: &mut ErrorList, path: &Path, spec: &Value, checks_conditions: bool) -> Expressions {
    if checks_conditions {
        match_conditions(errors, &path.child("matchConditions"), list(spec, "matchConditions"), has(spec, "paramKind"));
    }
    let mut expressions = Expressions::new(has(spec, "paramKind"));
    for (index, variable) in list(spec, "variables").iter().enumerate() {
        let path = path.child("variables").index(index);
        let (at, name) = (path.child("name"), text(variable, "name"));
        if name.trim().is_empty() {
            errors.push(Error::required(at, "name is not specified"));
        } else if !is_cel_identifier(name) {
            errors.push(Error::invalid(at, name, "name is not a valid CEL identifier"));
        }
        expressions.variable(errors, &path.child("expression"), name, text(variable, "expression"));
    }
    expressions
}

/// The kind of the objects that tell a policy more.
fn param_kind(errors: &mut ErrorList, path: &Path, param: &Value) {
    let (at, version) = (path.child("apiVersion"), text(param, "apiVersion"));
    match version {
        "" => errors.push(Error::required(&at, "")),
        version if version.matches('/').count() > 1 => {
            errors.push(Error::invalid(&at, version, format!("unexpected GroupVersion string: {version}")));
        }
        version => {
            let (group, name) =
                if version == "/" { ("", "") } else { version.split_once('/').unwrap_or(("", version)) };
            let wrong = if group.is_empty() { vec![] } else { names::subdomain(group) };
            if !wrong.is_empty() {
                errors.push(Error::invalid(&at, group, wrong.join(",")));
            }
            let wrong = names::label_1035(name);
            if name.is_empty() {
                errors.push(Error::invalid(&at, version, "version must be specified"));
            } else if !wrong.is_empty() {
                errors.push(Error::invalid(&at, name, wrong.join(",")));
            }
        }
    }
    let (at, kind) = (path.child("kind"), text(param, "kind"));
    let wrong = names::label_1035(&kind.to_lowercase());
    if kind.is_empty() {
        errors.push(Error::required(at, ""));
    } else if !wrong.is_empty() {
        let detail = format!("may have mixed case, but should otherwise match: {}", wrong.join(","));
        errors.push(Error::invalid(at, kind, detail));
    }
}

fn validation(errors: &mut ErrorList, path: &Path, validation: &Value, expressions: &Expressions) {
    expressions.validation(errors, &path.child("expression"), text(validation, "expression"));
    expressions.message(errors, &path.child("messageExpression"), text(validation, "messageExpression"));
    let (at, message) = (path.child("message"), text(validation, "message"));
    if !message.is_empty() && message.trim().is_empty() {
        errors.push(Error::invalid(at, message, "message must be non-empty if specified"));
    } else if message.trim().contains(['\n', '\r']) {
        errors.push(Error::invalid(at, message, "message must not contain line breaks"));
    }
    word(errors, path, validation, "reason", &REASONS);
}

fn audit_annotation(errors: &mut ErrorList, path: &Path, annotation: &Value, policy: &str, expressions: &Expressions) {
    let (at, key) = (path.child("key"), text(annotation, "key"));
    if policy.is_empty() {
        errors.push(Error::invalid(at, key, "requires metadata.name be non-empty"));
    } else {
        qualified_name(errors, &at, &format!("{policy}/{key}"));
    }
    expressions.annotation(errors, &path.child("valueExpression"), text(annotation, "valueExpression"));
}

/// A mutation is one of two, and says nothing of the other.
fn mutation(errors: &mut ErrorList, path: &Path, mutation: &Value, expressions: &Expressions) {
    let kind = text(mutation, "patchType");
    let (own, other) = match kind {
        "" => return errors.push(Error::required(path.child("patchType"), "")),
        "JSONPatch" => ("jsonPatch", "applyConfiguration"),
        "ApplyConfiguration" => ("applyConfiguration", "jsonPatch"),
        kind => return errors.push(Error::not_supported(path.child("patchType"), kind, &PATCH_TYPES)),
    };
    if has(mutation, own) {
        let expression = text(part(mutation, own), "expression");
        let answers = if own == "jsonPatch" { Answers::Patches } else { Answers::Object };
        expressions.mutation(errors, &path.child(own).child("expression"), expression, answers);
    } else {
        errors.push(Error::required(path.child(own), format!("must be specified when patchType is {kind}")));
    }
    if has(mutation, other) {
        let detail = format!("must not be specified when patchType is {kind}");
        errors.push(Error::invalid(path.child(other), format!("{{{other}}}"), detail));
    }
}

fn is_cel_identifier(name: &str) -> bool {
    name.starts_with(|first: char| first == '_' || first.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric())
        && !RESERVED.contains(&name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::testing::check;
    use super::*;

    fn policy(changes: Value) -> Value {
        let mut spec = json!({"failurePolicy": "Fail", "matchConstraints": {"matchPolicy": "Equivalent",
            "namespaceSelector": {}, "objectSelector": {}, "resourceRules": [{"operations": ["CREATE"],
            "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}]}});
        if let (Value::Object(spec), Value::Object(changes)) = (&mut spec, changes) {
            spec.extend(changes);
        }
        json!({"metadata": {"name": "p.example"}, "spec": spec})
    }

    #[test]
    fn a_policy_says_what_it_wants() {
        check(&validating(&policy(json!({"validations": [{"expression": "true"}]}))), &[]);
        check(
            &validating(&json!({"metadata": {"name": "p"}, "spec": {}})),
            &[
                "spec.failurePolicy: Required value",
                "spec.matchConstraints: Required value",
                "spec.validations: Required value: validations or auditAnnotations must contain at least one item",
                "spec.auditAnnotations: Required value: validations or auditAnnotations must contain at least one item",
            ],
        );
        check(
            &validating(&policy(
                json!({"paramKind": {"apiVersion": "a/b/c", "kind": "1"}, "variables": [{"name": "if"}],
                "validations": [{"messageExpression": " ", "message": "a\nb", "reason": "Odd"}],
                "auditAnnotations": [{"key": "a", "valueExpression": ""}, {"key": "a", "valueExpression": "'x'"}]}),
            )),
            &[
                "spec.paramKind.apiVersion: Invalid value: \"a/b/c\": unexpected GroupVersion string: a/b/c",
                "spec.paramKind.kind: Invalid value: \"1\": may have mixed case, but should otherwise match: a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')",
                "spec.variables[0].name: Invalid value: \"if\": name is not a valid CEL identifier",
                "spec.variables[0].expression: Required value: expression is not specified",
                "spec.validations[0].expression: Required value: expression is not specified",
                "spec.validations[0].messageExpression: Invalid value: \" \": must be non-empty if specified",
                "spec.validations[0].message: Invalid value: \"a\\nb\": message must not contain line breaks",
                "spec.validations[0].reason: Unsupported value: \"Odd\": supported values: \"Forbidden\", \"Invalid\", \"RequestEntityTooLarge\"",
                "spec.auditAnnotations[0].valueExpression: Required value: valueExpression is not specified",
                "spec.auditAnnotations[1].key: Duplicate value: \"a\"",
            ],
        );
    }

    #[test]
    fn a_policy_that_changes_objects_says_how() {
        let mutation =
            json!({"patchType": "JSONPatch", "jsonPatch": {"expression": "[JSONPatch{op: 'remove', path: '/a'}]"}});
        check(&mutating(&policy(json!({"reinvocationPolicy": "Never", "mutations": [mutation]}))), &[]);
        check(
            &mutating(&policy(json!({"mutations": [{}, {"patchType": "Odd"},
                {"patchType": "JSONPatch", "applyConfiguration": {"expression": "Object{}"}}]}))),
            &[
                "spec.mutations[0].patchType: Required value",
                "spec.mutations[1].patchType: Unsupported value: \"Odd\": supported values: \"ApplyConfiguration\", \"JSONPatch\"",
                "spec.mutations[2].jsonPatch: Required value: must be specified when patchType is JSONPatch",
                "spec.mutations[2].applyConfiguration: Invalid value: \"{applyConfiguration}\": must not be specified when patchType is JSONPatch",
                "spec.reinvocationPolicy: Required value",
            ],
        );
        let mut deletes = policy(json!({"reinvocationPolicy": "Never", "mutations": [mutation]}));
        deletes["spec"]["matchConstraints"]["resourceRules"][0]["operations"] = json!(["DELETE"]);
        check(
            &mutating(&deletes),
            &[
                "spec.matchConstraints.resourceRules.operations: Unsupported value: \"DELETE\": supported values: \"*\", \"CONNECT\", \"CREATE\", \"UPDATE\"",
            ],
        );
    }

    #[test]
    fn the_status_of_a_policy_tells_what_was_found() {
        let status = |status: Value| validating_status(&json!({"status": status}), &Value::Null);
        check(
            &status(
                json!({"typeChecking": {"expressionWarnings": [{"fieldRef": "spec.validations[0].expression", "warning": "w"}]}}),
            ),
            &[],
        );
        check(
            &status(
                json!({"typeChecking": {"expressionWarnings": [{}]}, "conditions": [{"type": "A", "status": "Odd", "reason": "1"}]}),
            ),
            &[
                "status.typeChecking.expressionWarnings[0].warning: Required value",
                "status.typeChecking.expressionWarnings[0].fieldRef: Required value",
                "status.conditions[0].status: Unsupported value: \"Odd\": supported values: \"False\", \"True\", \"Unknown\"",
                "status.conditions[0].lastTransitionTime: Required value",
                "status.conditions[0].reason: Invalid value: \"1\": a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric characters or '_,:', and must end with an alphanumeric character or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName',  or 'ReasonA,ReasonB',  or 'ReasonA:ReasonB', regex used for validation is '[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?')",
            ],
        );
    }
}
