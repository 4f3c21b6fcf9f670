//! Roles and who has them, as `pkg/apis/rbac/validation`.

use serde_json::Value;

use super::checks::{invalid_each, label_selector};
use super::field::{Error, ErrorList, Path};
use crate::names::NameRule;
use crate::value::{has, list, part, text};

/// The group of roles.
pub const GROUP: &str = "rbac.authorization.k8s.io";

/// What is wrong with a `Role`.
pub fn role(object: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    rules(&mut errors, object, true);
    errors
}

/// What is wrong with a changed `Role`.
pub fn role_update(new: &Value, _old: &Value) -> ErrorList {
    role(new)
}

/// What is wrong with a `ClusterRole`.
pub fn cluster_role(object: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    rules(&mut errors, object, false);
    let aggregation = part(object, "aggregationRule");
    if aggregation.is_object() {
        let path = Path::new("aggregationRule").child("clusterRoleSelectors");
        let selectors = list(aggregation, "clusterRoleSelectors");
        if selectors.is_empty() {
            let detail = "at least one clusterRoleSelector required if aggregationRule is non-nil";
            errors.push(Error::required(&path, detail));
        }
        for (index, selector) in selectors.iter().enumerate() {
            label_selector(&mut errors, &path.index(index), selector);
        }
    }
    errors
}

/// What is wrong with a changed `ClusterRole`.
pub fn cluster_role_update(new: &Value, _old: &Value) -> ErrorList {
    cluster_role(new)
}

/// What is wrong with a `RoleBinding`.
pub fn role_binding(object: &Value) -> ErrorList {
    binding(object, &["Role", "ClusterRole"], true)
}

/// What is wrong with a changed `RoleBinding`.
pub fn role_binding_update(new: &Value, old: &Value) -> ErrorList {
    same_role(role_binding(new), new, old)
}

/// What is wrong with a `ClusterRoleBinding`.
pub fn cluster_role_binding(object: &Value) -> ErrorList {
    binding(object, &["ClusterRole"], false)
}

/// What is wrong with a changed `ClusterRoleBinding`.
pub fn cluster_role_binding_update(new: &Value, old: &Value) -> ErrorList {
    same_role(cluster_role_binding(new), new, old)
}

fn rules(errors: &mut ErrorList, object: &Value, is_namespaced: bool) {
    for (index, rule) in list(object, "rules").iter().enumerate() {
        policy_rule(errors, &Path::new("rules").index(index), rule, is_namespaced);
    }
}

/// A rule is of resources or of paths, and says what may be done.
pub(super) fn policy_rule(errors: &mut ErrorList, path: &Path, rule: &Value, is_namespaced: bool) {
    if list(rule, "verbs").is_empty() {
        errors.push(Error::required(path.child("verbs"), "verbs must contain at least one value"));
    }
    let is_empty = |field: &str| list(rule, field).is_empty();
    if !is_empty("nonResourceURLs") {
        let (path, urls) = (path.child("nonResourceURLs"), part(rule, "nonResourceURLs"));
        if is_namespaced {
            let detail = "namespaced rules cannot apply to non-resource URLs";
            errors.push(Error::invalid(&path, urls.clone(), detail));
        }
        if !(is_empty("apiGroups") && is_empty("resources") && is_empty("resourceNames")) {
            let detail = "rules cannot apply to both regular resources and non-resource URLs";
            errors.push(Error::invalid(&path, urls.clone(), detail));
        }
        return;
    }
    if is_empty("apiGroups") {
        let detail = "resource rules must supply at least one api group";
        errors.push(Error::required(path.child("apiGroups"), detail));
    }
    if is_empty("resources") {
        let detail = "resource rules must supply at least one resource";
        errors.push(Error::required(path.child("resources"), detail));
    }
}

fn binding(object: &Value, kinds: &[&str], is_namespaced: bool) -> ErrorList {
    let mut errors = ErrorList::new();
    let (path, role) = (Path::new("roleRef"), part(object, "roleRef"));
    group(&mut errors, &path, role);
    if !kinds.contains(&text(role, "kind")) {
        errors.push(Error::not_supported(path.child("kind"), text(role, "kind"), kinds));
    }
    let (path, name) = (path.child("name"), text(role, "name"));
    if name.is_empty() {
        errors.push(Error::required(path, ""));
    } else {
        invalid_each(&mut errors, &path, name, NameRule::PathSegment.check(name));
    }
    for (index, found) in list(object, "subjects").iter().enumerate() {
        subject(&mut errors, &Path::new("subjects").index(index), found, is_namespaced);
    }
    errors
}

/// One of those who get a role.
fn subject(errors: &mut ErrorList, path: &Path, subject: &Value, is_namespaced: bool) {
    let name = text(subject, "name");
    if name.is_empty() {
        errors.push(Error::required(path.child("name"), ""));
    }
    match text(subject, "kind") {
        "ServiceAccount" => {
            if !name.is_empty() {
                invalid_each(errors, &path.child("name"), name, NameRule::Subdomain.check(name));
            }
            if has(subject, "apiGroup") && !text(subject, "apiGroup").is_empty() {
                errors.push(Error::not_supported(path.child("apiGroup"), text(subject, "apiGroup"), &[""]));
            }
            if !is_namespaced && text(subject, "namespace").is_empty() {
                errors.push(Error::required(path.child("namespace"), ""));
            }
        }
        "User" | "Group" => group(errors, path, subject),
        other => {
            let supported = ["ServiceAccount", "User", "Group"];
            errors.push(Error::not_supported(path.child("kind"), other, &supported));
        }
    }
}

/// What is named is of the roles' own group.
fn group(errors: &mut ErrorList, path: &Path, object: &Value) {
    let found = text(object, "apiGroup");
    if found != GROUP {
        errors.push(Error::not_supported(path.child("apiGroup"), found, &[GROUP]));
    }
}

fn same_role(mut errors: ErrorList, new: &Value, old: &Value) -> ErrorList {
    let (new, old) = (part(new, "roleRef"), part(old, "roleRef"));
    if new != old {
        errors.push(Error::invalid("roleRef", new.clone(), "cannot change roleRef"));
    }
    errors
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::check;
    use super::*;

    #[test]
    fn a_rule_is_of_resources_or_of_paths() {
        let role_of = |rule: Value| role(&json!({"rules": [rule]}));
        check(&role_of(json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]})), &[]);
        check(
            &role_of(json!({})),
            &[
                "rules[0].verbs: Required value: verbs must contain at least one value",
                "rules[0].apiGroups: Required value: resource rules must supply at least one api group",
                "rules[0].resources: Required value: resource rules must supply at least one resource",
            ],
        );
        let path = json!({"verbs": ["get"], "nonResourceURLs": ["/healthz"]});
        check(
            &role_of(path.clone()),
            &[
                "rules[0].nonResourceURLs: Invalid value: [\"/healthz\"]: namespaced rules cannot apply to non-resource URLs",
            ],
        );
        check(&cluster_role(&json!({"rules": [path]})), &[]);
        check(
            &cluster_role(&json!({"aggregationRule": {}})),
            &[
                "aggregationRule.clusterRoleSelectors: Required value: at least one clusterRoleSelector required if aggregationRule is non-nil",
            ],
        );
    }

    #[test]
    fn a_binding_names_its_role_for_good() {
        let binding = |role: &str| {
            json!({"roleRef": {"apiGroup": GROUP, "kind": "Role", "name": role},
                "subjects": [{"kind": "User", "apiGroup": GROUP, "name": "alice"}]})
        };
        check(&role_binding_update(&binding("a"), &binding("a")), &[]);
        check(
            &role_binding_update(&binding("b"), &binding("a")),
            &[
                "roleRef: Invalid value: {\"apiGroup\":\"rbac.authorization.k8s.io\",\"kind\":\"Role\",\"name\":\"b\"}: cannot change roleRef",
            ],
        );
        check(
            &cluster_role_binding(&json!({"roleRef": {"apiGroup": GROUP, "kind": "Role", "name": ""},
                "subjects": [{"kind": "ServiceAccount", "name": "a"}, {"kind": "Robot", "name": ""}]})),
            &[
                "roleRef.kind: Unsupported value: \"Role\": supported values: \"ClusterRole\"",
                "roleRef.name: Required value",
                "subjects[0].namespace: Required value",
                "subjects[1].name: Required value",
                "subjects[1].kind: Unsupported value: \"Robot\": supported values: \"ServiceAccount\", \"User\", \"Group\"",
            ],
        );
    }
}
