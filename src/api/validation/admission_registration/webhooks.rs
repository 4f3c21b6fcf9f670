//! Webhooks that look at requests.

use std::collections::HashSet;

use serde_json::Value;

use super::super::checks::{fully_qualified, label_selector};
use super::super::field::{Error, ErrorList, Path};
use super::super::webhook_client;
use super::conditions::match_conditions;
use super::{FAILURE_POLICIES, MATCH_POLICIES, REINVOCATION_POLICIES, rules, word};
use crate::names;
use crate::value::{has, list, number, part, text, texts};

const SIDE_EFFECTS: [&str; 4] = ["None", "NoneOnDryRun", "Some", "Unknown"];
const NO_SIDE_EFFECTS: [&str; 2] = ["None", "NoneOnDryRun"];
/// Versions of the question that this server can ask, or its predecessors could.
const REVIEW_VERSIONS: [&str; 2] = ["v1", "v1beta1"];
const TIMEOUT_SECONDS_MAX: i64 = 30;

/// What is asked of a configuration. What its predecessor did not satisfy either is not asked of an update.
struct Rules {
    no_side_effects: bool,
    known_versions: bool,
    unique_names: bool,
    valid_selectors: bool,
    conditions: bool,
}

/// What is wrong with a `ValidatingWebhookConfiguration` or a `MutatingWebhookConfiguration`.
pub fn configuration(object: &Value) -> ErrorList {
    let strict = Rules {
        no_side_effects: true,
        known_versions: true,
        unique_names: true,
        valid_selectors: true,
        conditions: true,
    };
    check(object, &strict)
}

/// What is wrong with a changed configuration.
pub fn configuration_update(new: &Value, old: &Value) -> ErrorList {
    let hooks = list(old, "webhooks");
    let known = |hook: &Value| texts(hook, "admissionReviewVersions").any(|version| REVIEW_VERSIONS.contains(&version));
    let mut names = HashSet::new();
    let conditions = |object| list(object, "webhooks").iter().map(|hook| part(hook, "matchConditions").clone());
    let ratchet = Rules {
        no_side_effects: hooks.iter().all(|hook| NO_SIDE_EFFECTS.contains(&text(hook, "sideEffects"))),
        known_versions: hooks.iter().all(|hook| known(hook) || list(hook, "admissionReviewVersions").is_empty()),
        unique_names: hooks.iter().all(|hook| names.insert(text(hook, "name"))),
        valid_selectors: hooks.iter().all(has_valid_selectors),
        conditions: !conditions(new).eq(conditions(old)),
    };
    check(new, &ratchet)
}

fn check(object: &Value, rules: &Rules) -> ErrorList {
    let (mut errors, mut names) = (ErrorList::new(), HashSet::new());
    for (index, hook) in list(object, "webhooks").iter().enumerate() {
        let (path, name) = (Path::new("webhooks").index(index), text(hook, "name"));
        webhook(&mut errors, &path, hook, rules);
        review_versions(&mut errors, &path.child("admissionReviewVersions"), hook, rules);
        if rules.unique_names && !name.is_empty() && !names.insert(name) {
            errors.push(Error::duplicate(path.child("name"), name));
        }
    }
    errors
}

fn webhook(errors: &mut ErrorList, path: &Path, hook: &Value, asked: &Rules) {
    fully_qualified(errors, &path.child("name"), text(hook, "name"));
    for (index, rule) in list(hook, "rules").iter().enumerate() {
        rules::rule(errors, &path.child("rules").index(index), rule);
    }
    word(errors, path, hook, "failurePolicy", &FAILURE_POLICIES);
    word(errors, path, hook, "matchPolicy", &MATCH_POLICIES);
    let allowed = if asked.no_side_effects { &NO_SIDE_EFFECTS[..] } else { &SIDE_EFFECTS[..] };
    if !has(hook, "sideEffects") {
        let detail = format!("must specify one of {}", allowed.join(", "));
        errors.push(Error::required(path.child("sideEffects"), detail));
    }
    word(errors, path, hook, "sideEffects", allowed);
    let seconds = number(hook, "timeoutSeconds").filter(|seconds| !(1..=TIMEOUT_SECONDS_MAX).contains(seconds));
    if let Some(seconds) = seconds {
        let detail = "the timeout value must be between 1 and 30 seconds";
        errors.push(Error::invalid(path.child("timeoutSeconds"), seconds, detail));
    }
    for field in ["namespaceSelector", "objectSelector"] {
        let mut wrong = ErrorList::new();
        label_selector(&mut wrong, &path.child(field), part(hook, field));
        errors.extend(wrong.into_iter().filter(|error| asked.valid_selectors || !is_of_a_value(error)));
    }
    word(errors, path, hook, "reinvocationPolicy", &REINVOCATION_POLICIES);
    webhook_client::client(errors, &path.child("clientConfig"), part(hook, "clientConfig"));
    if asked.conditions {
        match_conditions(errors, &path.child("matchConditions"), list(hook, "matchConditions"), false);
    }
}

fn has_valid_selectors(hook: &Value) -> bool {
    let mut errors = ErrorList::new();
    for field in ["namespaceSelector", "objectSelector"] {
        label_selector(&mut errors, &Path::default(), part(hook, field));
    }
    errors.is_empty()
}

/// Whether an error of a selector is of a value in an expression.
fn is_of_a_value(error: &Error) -> bool {
    error.path.contains(".values[")
}

fn review_versions(errors: &mut ErrorList, path: &Path, hook: &Value, asked: &Rules) {
    let versions = list(hook, "admissionReviewVersions");
    if versions.is_empty() {
        let detail = format!("must specify one of {}", REVIEW_VERSIONS.join(", "));
        return errors.push(Error::required(path, detail));
    }
    known_versions(errors, path, hook, "admissionReviewVersions", asked.known_versions);
}

/// A list of versions of a question, of which this server knows one.
pub(in super::super) fn known_versions(
    errors: &mut ErrorList,
    path: &Path,
    object: &Value,
    field: &str,
    must_know_one: bool,
) {
    let mut seen = HashSet::new();
    for (index, version) in texts(object, field).enumerate() {
        let at = path.index(index);
        if !seen.insert(version) {
            errors.push(Error::invalid(at, version, "duplicate version"));
            continue;
        }
        errors.extend(names::label_1035(version).into_iter().map(|reason| Error::invalid(&at, version, reason)));
    }
    if must_know_one && !seen.iter().any(|version| REVIEW_VERSIONS.contains(version)) {
        let detail = format!("must include at least one of {}", REVIEW_VERSIONS.join(", "));
        errors.push(Error::invalid(path, list(object, field).to_vec(), detail));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::testing::check;
    use super::*;

    fn hook(changes: Value) -> Value {
        let mut hook = json!({"name": "a.b.example", "sideEffects": "None", "admissionReviewVersions": ["v1"],
            "clientConfig": {"url": "https://a.example"}, "rules": [{"operations": ["CREATE"], "apiGroups": [""],
                "apiVersions": ["v1"], "resources": ["pods"], "scope": "*"}]});
        if let (Value::Object(hook), Value::Object(changes)) = (&mut hook, changes) {
            hook.extend(changes);
        }
        hook
    }

    fn of(hooks: &[Value]) -> Value {
        json!({"webhooks": hooks})
    }

    #[test]
    fn a_webhook_says_what_it_looks_at() {
        check(&configuration(&of(&[hook(json!({}))])), &[]);
        check(
            &configuration(&of(&[hook(json!({"name": "a.b", "sideEffects": "Some", "timeoutSeconds": 31,
                "failurePolicy": "Odd", "admissionReviewVersions": ["v2", "v2"]}))])),
            &[
                "webhooks[0].name: Invalid value: \"a.b\": should be a domain with at least three segments separated by dots",
                "webhooks[0].failurePolicy: Unsupported value: \"Odd\": supported values: \"Fail\", \"Ignore\"",
                "webhooks[0].sideEffects: Unsupported value: \"Some\": supported values: \"None\", \"NoneOnDryRun\"",
                "webhooks[0].timeoutSeconds: Invalid value: 31: the timeout value must be between 1 and 30 seconds",
                "webhooks[0].admissionReviewVersions[1]: Invalid value: \"v2\": duplicate version",
                "webhooks[0].admissionReviewVersions: Invalid value: [\"v2\",\"v2\"]: must include at least one of v1, v1beta1",
            ],
        );
        check(
            &configuration(&of(&[
                hook(json!({})),
                hook(json!({"rules": [{"operations": ["*", "GET"], "apiGroups": [],
                "apiVersions": [""], "resources": ["*", "pods", "a/*", "a/b"], "scope": "All"}]})),
            ])),
            &[
                "webhooks[1].rules[0].operations: Invalid value: [\"*\",\"GET\"]: if '*' is present, must not specify other operations",
                "webhooks[1].rules[0].operations[1]: Unsupported value: \"GET\": supported values: \"*\", \"CONNECT\", \"CREATE\", \"DELETE\", \"UPDATE\"",
                "webhooks[1].rules[0].apiGroups: Required value",
                "webhooks[1].rules[0].apiVersions[0]: Required value",
                "webhooks[1].rules[0].resources[3]: Invalid value: \"a/b\": if 'a/*' is present, must not specify a/b",
                "webhooks[1].rules[0].resources: Invalid value: [\"*\",\"pods\",\"a/*\",\"a/b\"]: if '*' is present, must not specify other resources without subresources",
                "webhooks[1].rules[0].scope: Unsupported value: \"All\": supported values: \"*\", \"Cluster\", \"Namespaced\"",
                "webhooks[1].name: Duplicate value: \"a.b.example\"",
            ],
        );
    }

    #[test]
    fn what_was_wrong_before_may_stay() {
        let old = of(&[hook(json!({"sideEffects": "Some", "matchConditions": [{"name": "a", "expression": ""}]}))]);
        check(&configuration_update(&old, &old), &[]);
        let new = of(&[hook(json!({"matchConditions": [{"name": "a b", "expression": " "}]}))]);
        let errors = configuration_update(&new, &old);
        assert_eq!(errors.len(), 2);
        check(&errors[..1].to_vec(), &["webhooks[0].matchConditions[0].expression: Required value"]);
    }
}
