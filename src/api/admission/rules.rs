//! Which requests a webhook or policy is asked about.

use serde_json::Value;

use super::{Attributes, labels};
use crate::scheme::{Resource, Scheme};
use crate::selectors::LabelSelector;
use crate::value::{has, list, part, text, texts};

/// Whether one of `rules` names the request as `resource`, which is the request's own or another form of it.
#[must_use]
pub fn matches(rules: &[Value], attributes: &Attributes<'_>, resource: &Resource) -> bool {
    rules.iter().any(|rule| names(rule, attributes, resource))
}

fn names(rule: &Value, attributes: &Attributes<'_>, resource: &Resource) -> bool {
    let has_word = |field: &str, word: &str| texts(rule, field).any(|found| found == "*" || found == word);
    has_word("operations", attributes.operation.as_str())
        && has_word("apiGroups", &resource.group)
        && has_word("apiVersions", &resource.version)
        && is_within(text(rule, "scope"), attributes)
        && texts(rule, "resources").any(|named| is_named(named, &resource.plural, attributes.subresource))
        && (!has(rule, "resourceNames")
            || list(rule, "resourceNames").is_empty()
            || texts(rule, "resourceNames").any(|name| name == attributes.name))
}

fn is_named(named: &str, plural: &str, subresource: &str) -> bool {
    let (resource, part) = named.split_once('/').unwrap_or((named, ""));
    (resource == "*" || resource == plural) && (part == "*" || part == subresource)
}

fn is_within(scope: &str, attributes: &Attributes<'_>) -> bool {
    let has_namespace = !attributes.is_of_namespace() && !attributes.namespace.is_empty();
    match scope {
        "Namespaced" => has_namespace,
        "Cluster" => !has_namespace,
        _ => true,
    }
}

/// The form of the request that `rules` name: its own, or another in which the same objects are served where
/// `matchPolicy` is `Equivalent`.
#[must_use]
pub fn matched<'s>(
    rules: &[Value],
    is_equivalent: bool,
    attributes: &Attributes<'s>,
    scheme: &'s Scheme,
) -> Option<&'s Resource> {
    if matches(rules, attributes, attributes.resource) {
        return Some(attributes.resource);
    }
    if !is_equivalent {
        return None;
    }
    let others = scheme.resources().map(AsRef::as_ref).filter(|row| {
        row.storage == attributes.resource.storage && row.api_version() != attributes.resource.api_version()
    });
    others.into_iter().find(|row| matches(rules, attributes, row))
}

/// Whether the selectors of a webhook or policy cover the request; `namespace` is the namespace that it is in.
///
/// # Errors
/// Upstream's message when a selector cannot be read.
pub fn selects(hook: &Value, attributes: &Attributes<'_>, namespace: Option<&Value>) -> Result<bool, String> {
    let selector = |field: &str| {
        LabelSelector::from_value(part(hook, field)).map_err(|error| format!("invalid label selector: {error}"))
    };
    if has(hook, "namespaceSelector") {
        let wanted = selector("namespaceSelector")?;
        // A request about a namespace counts by the labels that it will have.
        let own = attributes.is_of_namespace().then(|| attributes.object.or(attributes.old)).flatten();
        if let Some(namespace) = own.or(namespace).filter(|_| !wanted.is_empty())
            && !wanted.matches(&labels(namespace))
        {
            return Ok(false);
        }
    }
    if has(hook, "objectSelector") {
        let wanted = selector("objectSelector")?;
        let is_meant = |object: Option<&Value>| object.is_some_and(|object| wanted.matches(&labels(object)));
        return Ok(wanted.is_empty() || is_meant(attributes.object) || is_meant(attributes.old));
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Operation;
    use super::*;

    fn check(rule: Value, plural: &str, subresource: &str, expected: bool) {
        let scheme = Scheme::builtin();
        let resource = scheme.resources().find(|row| row.plural == plural).unwrap();
        let attributes = Attributes {
            operation: Operation::Create,
            resource,
            subresource,
            kind: resource.group_version_kind(),
            namespace: if plural == "nodes" { "" } else { "n" },
            name: "a",
            object: None,
            old: None,
            options: &Value::Null,
            is_dry_run: false,
            user: &Value::Null,
        };
        let mut whole = json!({"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"]});
        whole.as_object_mut().unwrap().extend(rule.as_object().unwrap().clone());
        assert_eq!(matches(&[whole], &attributes, resource), expected, "{rule} {plural}/{subresource}");
    }

    #[test]
    fn rules_name_requests_as_upstreams_do() {
        check(json!({}), "pods", "", true);
        check(json!({}), "pods", "status", false);
        check(json!({"resources": ["*/*"]}), "pods", "status", true);
        check(json!({"resources": ["pods/*"]}), "pods", "status", true);
        check(json!({"resources": ["*/status"]}), "pods", "status", true);
        check(json!({"resources": ["*/status"]}), "pods", "", false);
        check(json!({"operations": ["UPDATE"]}), "pods", "", false);
        check(json!({"apiGroups": ["apps"]}), "deployments", "", true);
        check(json!({"apiGroups": ["apps"]}), "pods", "", false);
        check(json!({"scope": "Cluster"}), "nodes", "", true);
        check(json!({"scope": "Cluster"}), "namespaces", "", true);
        check(json!({"scope": "Namespaced"}), "namespaces", "", false);
        check(json!({"scope": "Namespaced"}), "pods", "", true);
        check(json!({"resourceNames": ["b"]}), "pods", "", false);
    }
}
