//! Which requests wait for which, as `pkg/apis/flowcontrol/validation`.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::field::{Error, ErrorList, Path};
use crate::flow_control::{self, MANDATORY};
use crate::meta;
use crate::names::{self, NameRule};
use crate::value::{flag, has, list, number, part, text, texts};

const PRECEDENCE_MAX: i64 = 10_000;
const QUEUES_MAX: i64 = 10_000_000;
/// Bits of the hash that deals a hand of queues, as upstream.
const HASH_BITS_MAX: i64 = 60;
const METHODS: [&str; 2] = ["ByNamespace", "ByUser"];
const VERBS: [&str; 9] = ["create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch"];
/// Who asks: a kind, and the field that names one of it.
const SUBJECTS: [(&str, &str); 3] = [("Group", "group"), ("ServiceAccount", "serviceAccount"), ("User", "user")];

/// What is wrong with a `FlowSchema`.
pub fn flow_schema(object: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let (path, spec, name) = (Path::new("spec"), part(object, "spec"), meta::name(object));
    let (at, precedence) = (path.child("matchingPrecedence"), number(spec, "matchingPrecedence").unwrap_or(0));
    if precedence <= 0 {
        errors.push(Error::invalid(&at, precedence, "must be a positive value"));
    }
    if precedence > PRECEDENCE_MAX {
        errors.push(Error::invalid(&at, precedence, format!("must not be greater than {PRECEDENCE_MAX}")));
    }
    if precedence == 1 && name != "exempt" {
        let detail = "only the schema named 'exempt' may have matchingPrecedence 1";
        errors.push(Error::invalid(&at, precedence, detail));
    }
    let method = text(part(spec, "distinguisherMethod"), "type");
    if has(spec, "distinguisherMethod") && !METHODS.contains(&method) {
        let at = path.child("distinguisherMethod").child("type");
        errors.push(Error::not_supported(at, json!({"Type": method}), &METHODS));
    }
    let (at, level) =
        (path.child("priorityLevelConfiguration").child("name"), part(spec, "priorityLevelConfiguration"));
    let level = text(level, "name");
    if level.is_empty() {
        errors.push(Error::required(&at, "must reference a priority level"));
    } else {
        let wrong = NameRule::Subdomain.check(level).into_iter();
        errors.extend(wrong.map(|reason| Error::invalid(&at, level, reason)));
    }
    for (index, rule) in list(spec, "rules").iter().enumerate() {
        policy_rules(&mut errors, &path.child("rules").index(index), rule);
    }
    let fixed = flow_control::schemas().into_iter().find(|fixed| meta::name(fixed) == name);
    if fixed.is_some_and(|fixed| MANDATORY.contains(&name) && part(&fixed, "spec") != spec) {
        errors.push(Error::invalid(&path, spec.clone(), format!("spec of '{name}' must equal the fixed value")));
    }
    errors.extend(status(object));
    errors
}

/// What is wrong with a changed `FlowSchema`.
pub fn flow_schema_update(new: &Value, _old: &Value) -> ErrorList {
    flow_schema(new)
}

/// What is wrong with a `FlowSchema`'s or `PriorityLevelConfiguration`'s changed status.
pub fn status_update(new: &Value, _old: &Value) -> ErrorList {
    status(new)
}

/// What is wrong with a `PriorityLevelConfiguration`.
pub fn priority_level(object: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let (path, spec, name) = (Path::new("spec"), part(object, "spec"), meta::name(object));
    let kind = text(spec, "type");
    if (name == "exempt") != (kind == "Exempt") {
        let detail = "type must be 'Exempt' if and only if name is 'exempt'";
        errors.push(Error::invalid(path.child("type"), kind, detail));
    }
    match kind {
        "Exempt" => {
            if has(spec, "limited") {
                errors.push(Error::forbidden(path.child("limited"), "must be nil if the type is not Limited"));
            }
            shares(&mut errors, &path.child("exempt"), part(spec, "exempt"));
            lends(&mut errors, &path.child("exempt"), part(spec, "exempt"));
        }
        "Limited" => {
            if has(spec, "exempt") {
                errors.push(Error::forbidden(path.child("exempt"), "must be nil if the type is Limited"));
            }
            if has(spec, "limited") {
                limited(&mut errors, &path.child("limited"), part(spec, "limited"));
            } else {
                errors.push(Error::required(path.child("limited"), "must not be empty when type is Limited"));
            }
        }
        kind => errors.push(Error::not_supported(path.child("type"), kind, &["Exempt", "Limited"])),
    }
    mandatory_level(&mut errors, &path, spec, name);
    errors.extend(status(object));
    errors
}

/// What is wrong with a changed `PriorityLevelConfiguration`.
pub fn priority_level_update(new: &Value, _old: &Value) -> ErrorList {
    priority_level(new)
}

/// Mandatory levels are as they are, but for the seats of what is exempt.
fn mandatory_level(errors: &mut ErrorList, path: &Path, spec: &Value, name: &str) {
    let fixed = flow_control::levels().into_iter().find(|fixed| meta::name(fixed) == name);
    let Some(fixed) = fixed.filter(|_| MANDATORY.contains(&name)) else { return };
    let without_seats = |spec: &Value| {
        let mut spec = spec.clone();
        spec.as_object_mut().map(|fields| fields.remove("exempt"));
        spec
    };
    let (fixed, is_exempt) = (part(&fixed, "spec"), name == "exempt");
    let (is_same, except) = if is_exempt {
        (without_seats(fixed) == without_seats(spec), " except the 'spec.exempt' field")
    } else {
        (fixed == spec, "")
    };
    if !is_same {
        let detail = format!("spec of '{name}'{except} must equal the fixed value");
        errors.push(Error::invalid(path, spec.clone(), detail));
    }
}

/// The conditions of both kinds, one of each type.
fn status(object: &Value) -> ErrorList {
    let (mut errors, mut types) = (ErrorList::new(), HashSet::new());
    for (index, condition) in list(part(object, "status"), "conditions").iter().enumerate() {
        let (path, kind) =
            (Path::new("status").child("conditions").index(index).child("type"), text(condition, "type"));
        if !types.insert(kind) {
            errors.push(Error::duplicate(&path, kind));
        }
        if kind.is_empty() {
            errors.push(Error::required(path, "must not be empty"));
        }
    }
    errors
}

fn policy_rules(errors: &mut ErrorList, path: &Path, rule: &Value) {
    let at = path.child("subjects");
    if list(rule, "subjects").is_empty() {
        errors.push(Error::required(&at, "subjects must contain at least one value"));
    }
    for (index, found) in list(rule, "subjects").iter().enumerate() {
        subject(errors, &at.index(index), found);
    }
    let (resources, others) = (list(rule, "resourceRules"), list(rule, "nonResourceRules"));
    if resources.is_empty() && others.is_empty() {
        let detail = "at least one of resourceRules and nonResourceRules has to be non-empty";
        errors.push(Error::required(path, detail));
    }
    for (index, rule) in resources.iter().enumerate() {
        resource_rule(errors, &path.child("resourceRules").index(index), rule);
    }
    for (index, rule) in others.iter().enumerate() {
        let path = path.child("nonResourceRules").index(index);
        verbs(errors, &path, rule);
        if !all_or_some(errors, &path, rule, "nonResourceURLs", "non-resource URLs") {
            for (index, url) in texts(rule, "nonResourceURLs").enumerate() {
                url_path(errors, &path.child("nonResourceURLs").index(index), url);
            }
        }
    }
}

fn subject(errors: &mut ErrorList, path: &Path, subject: &Value) {
    let kind = text(subject, "kind");
    let Some((_, own)) = SUBJECTS.iter().find(|(name, _)| *name == kind) else {
        let kinds = SUBJECTS.map(|(name, _)| name);
        return errors.push(Error::not_supported(path.child("kind"), kind, &kinds));
    };
    let (at, named) = (path.child(own), part(subject, own));
    if named.is_null() {
        errors.push(Error::required(&at, format!("{own} is required when subject kind is '{kind}'")));
    } else {
        let name = text(named, "name");
        if name.is_empty() {
            errors.push(Error::required(at.child("name"), ""));
        } else if kind == "ServiceAccount" && name != "*" {
            let wrong = NameRule::Subdomain.check(name).into_iter();
            errors.extend(wrong.map(|reason| Error::invalid(at.child("name"), name, reason)));
        }
        if kind == "ServiceAccount" {
            let (at, namespace) = (at.child("namespace"), text(named, "namespace"));
            let wrong = if namespace.is_empty() { vec![] } else { names::label(namespace) };
            if namespace.is_empty() {
                errors.push(Error::required(&at, "must specify namespace for service account"));
            }
            errors.extend(wrong.into_iter().map(|reason| Error::invalid(&at, namespace, reason)));
        }
    }
    // Upstream looks at those of accounts before those of users before those of groups.
    for (other, field) in [("ServiceAccount", "serviceAccount"), ("User", "user"), ("Group", "group")] {
        if other != kind && has(subject, field) {
            let detail = format!("{field} is forbidden when subject kind is not '{other}'");
            errors.push(Error::forbidden(path.child(field), detail));
        }
    }
}

fn resource_rule(errors: &mut ErrorList, path: &Path, rule: &Value) {
    verbs(errors, path, rule);
    for (field, one, others) in [("apiGroups", "api group", "api groups"), ("resources", "resource", "resources")] {
        let at = path.child(field);
        if list(rule, field).is_empty() {
            errors.push(Error::required(at, format!("resource rules must supply at least one {one}")));
        } else {
            all_or_some(errors, path, rule, field, others);
        }
    }
    let at = path.child("namespaces");
    if list(rule, "namespaces").is_empty() && !flag(rule, "clusterScope") {
        let detail = "resource rules that are not cluster scoped must supply at least one namespace";
        errors.push(Error::required(at, detail));
    } else if !all_or_some(errors, path, rule, "namespaces", "namespaces") {
        for (index, namespace) in texts(rule, "namespaces").enumerate() {
            let detail = |reason| format!("each member of this list must be '*' or a DNS-1123 label; {reason}");
            let wrong = names::label(namespace).into_iter();
            errors.extend(wrong.map(|reason: String| Error::invalid(at.index(index), namespace, detail(reason))));
        }
    }
}

fn verbs(errors: &mut ErrorList, path: &Path, rule: &Value) {
    let at = path.child("verbs");
    if list(rule, "verbs").is_empty() {
        errors.push(Error::required(at, "verbs must contain at least one value"));
    } else if !all_or_some(errors, path, rule, "verbs", "verbs")
        && !texts(rule, "verbs").all(|verb| VERBS.contains(&verb))
    {
        errors.push(Error::not_supported(at, part(rule, "verbs").clone(), &VERBS));
    }
}

/// Whether a list names all by `*`, which then stands alone.
fn all_or_some(errors: &mut ErrorList, path: &Path, rule: &Value, field: &str, what: &str) -> bool {
    let names_all = texts(rule, field).any(|value| value == "*");
    if names_all && list(rule, field).len() > 1 {
        let detail = format!("if '*' is present, must not specify other {what}");
        errors.push(Error::invalid(path.child(field), part(rule, field).clone(), detail));
    } else if field == "nonResourceURLs" && list(rule, field).is_empty() {
        errors.push(Error::required(path.child(field), "nonResourceURLs must contain at least one value"));
    }
    names_all
}

/// A path, or all that begin with it.
fn url_path(errors: &mut ErrorList, at: &Path, path: &str) {
    let stars = path.matches('*').count();
    let detail = match path {
        "" => "must not be empty",
        "/" => return,
        path if !path.starts_with('/') => "must start with slash",
        path if path.contains(' ') => "must not contain white-space",
        path if path.contains("//") => "must not contain double slash",
        path if stars > 1 || (stars == 1 && !path.ends_with("/*")) => "wildcard can only do suffix matching",
        _ => return,
    };
    errors.push(Error::invalid(at, path, detail));
}

/// The seats of a level, and how many of a hundred it lends.
fn shares(errors: &mut ErrorList, path: &Path, level: &Value) {
    if let Some(seats) = number(level, "nominalConcurrencyShares").filter(|seats| *seats < 0) {
        let at = path.child("nominalConcurrencyShares");
        errors.push(Error::invalid(at, seats, "must be a non-negative integer"));
    }
}

fn lends(errors: &mut ErrorList, path: &Path, level: &Value) {
    if let Some(lent) = number(level, "lendablePercent").filter(|lent| !(0..=100).contains(lent)) {
        errors.push(Error::invalid(path.child("lendablePercent"), lent, "must be between 0 and 100, inclusive"));
    }
}

fn limited(errors: &mut ErrorList, path: &Path, level: &Value) {
    shares(errors, path, level);
    let (at, response) = (path.child("limitResponse"), part(level, "limitResponse"));
    let (queuing_at, queuing) = (at.child("queuing"), part(response, "queuing"));
    match (text(response, "type"), queuing.is_null()) {
        ("Reject", false) => {
            let detail = "must be nil if limited.limitResponse.type is not Limited";
            errors.push(Error::forbidden(queuing_at, detail));
        }
        ("Reject", true) => {}
        ("Queue", true) => {
            let detail = "must not be empty if limited.limitResponse.type is Limited";
            errors.push(Error::required(queuing_at, detail));
        }
        ("Queue", false) => queues(errors, &queuing_at, queuing),
        (other, _) => errors.push(Error::not_supported(at.child("type"), other, &["Queue", "Reject"])),
    }
    lends(errors, path, level);
    if let Some(limit) = number(level, "borrowingLimitPercent").filter(|limit| *limit < 0) {
        let detail = "if specified, must be a non-negative integer";
        errors.push(Error::invalid(path.child("borrowingLimitPercent"), limit, detail));
    }
}

/// Queues of which each flow gets a hand.
fn queues(errors: &mut ErrorList, path: &Path, queuing: &Value) {
    let count = |field: &str| number(queuing, field).unwrap_or(0);
    let (length, queues, hand) = (count("queueLengthLimit"), count("queues"), count("handSize"));
    if length <= 0 {
        errors.push(Error::invalid(path.child("queueLengthLimit"), length, "must be positive"));
    }
    let at = path.child("queues");
    if queues <= 0 {
        errors.push(Error::invalid(at, queues, "must be positive"));
    } else if queues > QUEUES_MAX {
        errors.push(Error::invalid(at, queues, format!("must not be greater than {QUEUES_MAX}")));
    }
    let at = path.child("handSize");
    #[expect(clippy::cast_precision_loss, reason = "both are of 32 bits")]
    let bits = ((queues.max(1) as f64).log2() * hand as f64).ceil();
    #[expect(clippy::cast_precision_loss, reason = "a small constant")]
    let max = HASH_BITS_MAX as f64;
    if hand <= 0 {
        errors.push(Error::invalid(at, hand, "must be positive"));
    } else if hand > queues {
        errors.push(Error::invalid(at, hand, format!("should not be greater than queues ({queues})")));
    } else if bits > max {
        let detail = format!(
            "required entropy bits of deckSize {queues} and handSize {hand} should not be greater than {HASH_BITS_MAX}"
        );
        errors.push(Error::invalid(at, hand, detail));
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::check;
    use super::*;

    fn named(name: &str, spec: Value) -> Value {
        json!({"metadata": {"name": name}, "spec": spec})
    }

    #[test]
    fn a_schema_says_whose_requests_go_where() {
        let rule = json!({"subjects": [{"kind": "User", "group": {"name": "a"}}, {"kind": "Robot"}],
            "resourceRules": [{"verbs": ["get", "odd"], "apiGroups": ["*", ""], "resources": []}],
            "nonResourceRules": [{"verbs": ["*", "get"], "nonResourceURLs": ["a", "/a*"]}]});
        let spec = json!({"matchingPrecedence": 1, "distinguisherMethod": {"type": "Odd"}, "rules": [rule, {}]});
        check(
            &flow_schema(&named("a", spec)),
            &[
                "spec.matchingPrecedence: Invalid value: 1: only the schema named 'exempt' may have matchingPrecedence 1",
                "spec.distinguisherMethod.type: Unsupported value: {\"Type\":\"Odd\"}: supported values: \"ByNamespace\", \"ByUser\"",
                "spec.priorityLevelConfiguration.name: Required value: must reference a priority level",
                "spec.rules[0].subjects[0].user: Required value: user is required when subject kind is 'User'",
                "spec.rules[0].subjects[0].group: Forbidden: group is forbidden when subject kind is not 'Group'",
                "spec.rules[0].subjects[1].kind: Unsupported value: \"Robot\": supported values: \"Group\", \"ServiceAccount\", \"User\"",
                "spec.rules[0].resourceRules[0].verbs: Unsupported value: [\"get\",\"odd\"]: supported values: \"create\", \"delete\", \"deletecollection\", \"get\", \"list\", \"patch\", \"proxy\", \"update\", \"watch\"",
                "spec.rules[0].resourceRules[0].apiGroups: Invalid value: [\"*\",\"\"]: if '*' is present, must not specify other api groups",
                "spec.rules[0].resourceRules[0].resources: Required value: resource rules must supply at least one resource",
                "spec.rules[0].resourceRules[0].namespaces: Required value: resource rules that are not cluster scoped must supply at least one namespace",
                "spec.rules[0].nonResourceRules[0].verbs: Invalid value: [\"*\",\"get\"]: if '*' is present, must not specify other verbs",
                "spec.rules[0].nonResourceRules[0].nonResourceURLs[0]: Invalid value: \"a\": must start with slash",
                "spec.rules[0].nonResourceRules[0].nonResourceURLs[1]: Invalid value: \"/a*\": wildcard can only do suffix matching",
                "spec.rules[1].subjects: Required value: subjects must contain at least one value",
                "spec.rules[1]: Required value: at least one of resourceRules and nonResourceRules has to be non-empty",
            ],
        );
    }

    #[test]
    fn a_level_has_seats_and_queues() {
        let queuing = json!({"queues": 1024, "handSize": 8, "queueLengthLimit": 0});
        let limited = json!({"nominalConcurrencyShares": -1, "lendablePercent": 101,
            "limitResponse": {"type": "Queue", "queuing": queuing}});
        check(
            &priority_level(&named("a", json!({"type": "Limited", "limited": limited, "exempt": {}}))),
            &[
                "spec.exempt: Forbidden: must be nil if the type is Limited",
                "spec.limited.nominalConcurrencyShares: Invalid value: -1: must be a non-negative integer",
                "spec.limited.limitResponse.queuing.queueLengthLimit: Invalid value: 0: must be positive",
                "spec.limited.limitResponse.queuing.handSize: Invalid value: 8: required entropy bits of deckSize 1024 and handSize 8 should not be greater than 60",
                "spec.limited.lendablePercent: Invalid value: 101: must be between 0 and 100, inclusive",
            ],
        );
        check(
            &priority_level(&named("a", json!({"type": "Exempt"}))),
            &["spec.type: Invalid value: \"Exempt\": type must be 'Exempt' if and only if name is 'exempt'"],
        );
        let seats = json!({"type": "Exempt", "exempt": {"nominalConcurrencyShares": 5, "lendablePercent": 0}});
        check(&priority_level(&named("exempt", seats)), &[]);
        let errors = priority_level(&named(
            "catch-all",
            json!({"type": "Limited", "limited": {"limitResponse": {"type": "Reject"}}}),
        ));
        assert_eq!(errors[0].detail, "spec of 'catch-all' must equal the fixed value");
    }
}
