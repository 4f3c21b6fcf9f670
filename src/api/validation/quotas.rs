//! What a namespace may use, and what each of its objects may, as `pkg/apis/core/validation`.

use std::collections::BTreeSet;

use serde_json::Value;

use super::checks::{immutable, qualified_name};
use super::field::{Error, ErrorList, Path};
use super::pod::resources::{amount, read};
use crate::quantity::Quantity;
use crate::value::{entries, has, list, part, text, texts};

/// What quotas can bound without a domain in its name.
const BOUNDED: [&str; 18] = [
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.storage",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "persistentvolumeclaims",
    "configmaps",
    "services.nodeports",
];
const LOAD_BALANCERS: &str = "services.loadbalancers";
/// What of it pods use.
const OF_PODS: [&str; 10] = [
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
];
/// The pods, or claims, that a quota is about.
const SCOPES: [&str; 7] = [
    "Terminating",
    "NotTerminating",
    "BestEffort",
    "NotBestEffort",
    "PriorityClass",
    "CrossNamespacePodAffinity",
    "VolumeAttributesClass",
];
const OPERATORS: [&str; 4] = ["In", "NotIn", "Exists", "DoesNotExist"];
/// What limits are about without a domain in its name.
const LIMITED: [&str; 3] = ["Pod", "Container", "PersistentVolumeClaim"];

/// What is wrong with a `ResourceQuota`.
pub fn resource_quota(object: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let (path, spec) = (Path::new("spec"), part(object, "spec"));
    amounts(&mut errors, &path, spec, "hard");
    scopes(&mut errors, &path, spec);
    scope_selector(&mut errors, &path, spec);
    amounts_of_status(&mut errors, object);
    errors
}

/// What is wrong with a changed `ResourceQuota`: what it is about stays.
pub fn resource_quota_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = resource_quota(new);
    let about = |quota| texts(part(quota, "spec"), "scopes").collect::<BTreeSet<_>>();
    if about(new) != about(old) {
        let path = Path::new("spec").child("scopes");
        immutable(&mut errors, &path, part(part(new, "spec"), "scopes"), &Value::Null);
    }
    errors
}

/// What is wrong with a `ResourceQuota`'s changed status.
pub fn resource_quota_status(new: &Value, _old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    amounts_of_status(&mut errors, new);
    errors
}

fn amounts_of_status(errors: &mut ErrorList, object: &Value) {
    for field in ["hard", "used"] {
        amounts(errors, &Path::new("status"), part(object, "status"), field);
    }
}

fn amounts(errors: &mut ErrorList, path: &Path, holder: &Value, field: &str) {
    let path = path.child(field);
    for (name, quantity) in entries(holder, field) {
        let path = path.key(name);
        qualified_name(errors, &path, name);
        if !name.contains('/') && !is_bounded(name) {
            errors.push(Error::invalid(&path, name, "must be a standard resource for quota"));
        }
        amount(errors, &path, name, quantity);
    }
}

fn is_bounded(name: &str) -> bool {
    BOUNDED.contains(&name)
        || name == LOAD_BALANCERS
        || name.strip_prefix("requests.").unwrap_or(name).starts_with("hugepages-")
}

/// Whether a scope can narrow what is counted of a resource.
fn applies(scope: &str, name: &str) -> bool {
    match scope {
        "BestEffort" => name == "pods",
        "VolumeAttributesClass" => matches!(name, "persistentvolumeclaims" | "requests.storage"),
        _ => OF_PODS.contains(&name),
    }
}

fn scopes(errors: &mut ErrorList, path: &Path, spec: &Value) {
    let (path, named) = (path.child("scopes"), part(spec, "scopes"));
    let scopes = texts(spec, "scopes");
    for scope in scopes.clone() {
        if !SCOPES.contains(&scope) {
            errors.push(Error::invalid(&path, named.clone(), "unsupported scope"));
        }
        let misplaced = entries(spec, "hard").filter(|(name, _)| is_bounded(name) && !applies(scope, name));
        errors.extend(misplaced.map(|_| Error::invalid(&path, named.clone(), "unsupported scope applied to resource")));
    }
    for pair in [["BestEffort", "NotBestEffort"], ["Terminating", "NotTerminating"]] {
        if pair.iter().all(|one| scopes.clone().any(|scope| scope == *one)) {
            errors.push(Error::invalid(&path, named.clone(), "conflicting scopes"));
        }
    }
}

fn scope_selector(errors: &mut ErrorList, path: &Path, spec: &Value) {
    let (path, selector) = (path.child("scopeSelector").child("matchExpressions"), part(spec, "scopeSelector"));
    for (index, requirement) in list(selector, "matchExpressions").iter().enumerate() {
        let path = path.index(index);
        let (scope, operator) = (text(requirement, "scopeName"), text(requirement, "operator"));
        if !SCOPES.contains(&scope) {
            errors.push(Error::invalid(path.child("scopeName"), scope, "unsupported scope"));
        }
        for (name, _) in entries(spec, "hard").filter(|(name, _)| is_bounded(name) && !applies(scope, name)) {
            let detail = format!("unsupported scope applied to resource {name}");
            errors.push(Error::invalid(path.child("scopeName"), scope, detail));
        }
        let has_values = !list(requirement, "values").is_empty();
        let needs_exists = !matches!(scope, "PriorityClass" | "VolumeAttributesClass");
        match operator {
            "In" | "NotIn" if needs_exists => {
                let detail = "must be 'Exist' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity";
                errors.push(Error::invalid(path.child("operator"), operator, detail));
            }
            "In" | "NotIn" if !has_values => {
                let detail = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector";
                errors.push(Error::required(path.child("values"), detail));
            }
            "Exists" | "DoesNotExist" if has_values => {
                let detail = "must be no value when `operator` is 'Exists' or 'DoesNotExist' for scope selector";
                errors.push(Error::invalid(path.child("values"), part(requirement, "values").clone(), detail));
            }
            _ if OPERATORS.contains(&operator) => {}
            _ => errors.push(Error::invalid(path.child("operator"), operator, "not a valid selector operator")),
        }
    }
}

/// What is wrong with a `LimitRange`.
pub fn limit_range(object: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec").child("limits");
    let limits = list(part(object, "spec"), "limits");
    for (index, limit) in limits.iter().enumerate() {
        let (path, kind) = (path.index(index), text(limit, "type"));
        limited_type(&mut errors, &path.child("type"), kind);
        if limits.iter().take(index).any(|other| text(other, "type") == kind) {
            errors.push(Error::duplicate(path.child("type"), kind));
        }
        limit_names(&mut errors, &path, limit);
        let fields = ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"];
        let names: BTreeSet<&str> =
            fields.iter().flat_map(|field| entries(limit, field)).map(|(name, _)| name).collect();
        names.into_iter().for_each(|name| bounds(&mut errors, &path, limit, name));
    }
    errors
}

/// What is wrong with a changed `LimitRange`.
pub fn limit_range_update(new: &Value, _old: &Value) -> ErrorList {
    limit_range(new)
}

fn limited_type(errors: &mut ErrorList, path: &Path, kind: &str) {
    let before = errors.len();
    qualified_name(errors, path, kind);
    if errors.len() == before && !kind.contains('/') && !LIMITED.contains(&kind) {
        errors.push(Error::invalid(path, kind, "must be a standard limit type or fully qualified"));
    }
}

/// What a limit names is what its type can have.
fn limit_names(errors: &mut ErrorList, path: &Path, limit: &Value) {
    let kind = text(limit, "type");
    for field in ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"] {
        if kind == "Pod" && field.starts_with("default") {
            if has(limit, field) && entries(limit, field).count() > 0 {
                errors.push(Error::forbidden(path.child(field), "may not be specified when `type` is 'Pod'"));
            }
            continue;
        }
        for (name, _) in entries(limit, field) {
            let path = path.child(field).key(name);
            qualified_name(errors, &path, name);
            let is_known = match kind {
                "Pod" | "Container" => {
                    matches!(name, "cpu" | "memory" | "ephemeral-storage") || name.starts_with("hugepages-")
                }
                _ => is_bounded(name) || name == "storage",
            };
            if !name.contains('/') && !is_known {
                let detail = match kind {
                    "Pod" | "Container" => "must be a standard resource for containers",
                    _ => "must be a standard resource type or fully qualified",
                };
                errors.push(Error::invalid(&path, name, detail));
            }
        }
    }
    let says = |field: &str| has(part(limit, field), "storage");
    if kind == "PersistentVolumeClaim" && !says("min") && !says("max") {
        let detail = "either minimum or maximum storage value is required, but neither was provided";
        errors.push(Error::required(path.child("limits"), detail));
    }
}

/// The bounds of one resource agree with one another.
fn bounds(errors: &mut ErrorList, path: &Path, limit: &Value, name: &str) {
    let get = |field: &str| read(part(part(limit, field), name));
    let (min, max, ratio) = (get("min"), get("max"), get("maxLimitRequestRatio"));
    let (default, request) = (get("default"), get("defaultRequest"));
    let mut ordered =
        |small: Option<Quantity>, great: Option<Quantity>, at: &str, shown: Option<Quantity>, words: [&str; 2]| {
            if let (Some(small), Some(great), Some(shown)) = (small, great, shown)
                && small > great
            {
                let detail = format!("{} value {small} is greater than {} value {great}", words[0], words[1]);
                errors.push(Error::invalid(path.child(at).key(name), shown.to_string(), detail));
            }
        };
    ordered(min, max, "min", min, ["min", "max"]);
    ordered(min, request, "defaultRequest", request, ["min", "default request"]);
    ordered(request, max, "defaultRequest", request, ["default request", "max"]);
    ordered(request, default, "defaultRequest", request, ["default request", "default limit"]);
    ordered(min, default, "default", min, ["min", "default"]);
    ordered(default, max, "default", max, ["default", "max"]);
    let Some(ratio) = ratio else { return };
    let at = path.child("maxLimitRequestRatio").key(name);
    if ratio.to_millis() < 1000 {
        errors.push(Error::invalid(&at, ratio.to_string(), format!("ratio {ratio} is less than 1")));
    }
    if let (Some(min), Some(max)) = (min, max) {
        #[expect(clippy::cast_precision_loss, reason = "a ratio of two amounts, as upstream computes it")]
        let [greatest, asked] = [max.to_millis() as f64 / min.to_millis() as f64, ratio.to_millis() as f64 / 1000.0];
        if asked > greatest {
            let detail = format!("ratio {ratio} is greater than max/min = {greatest:.6}");
            errors.push(Error::invalid(&at, ratio.to_string(), detail));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::check;
    use super::*;

    #[test]
    fn a_quota_bounds_what_can_be_counted() {
        let quota = |spec: Value| resource_quota(&json!({"spec": spec}));
        check(&quota(json!({"hard": {"count/secrets": "1", "requests.cpu": "1500m"}})), &[]);
        check(
            &quota(json!({"hard": {"apples": "1", "pods": "1500m", "memory": "-1"}})),
            &[
                "spec.hard[apples]: Invalid value: \"apples\": must be a standard resource for quota",
                "spec.hard[memory]: Invalid value: \"-1\": must be greater than or equal to 0",
                "spec.hard[pods]: Invalid value: \"1500m\": must be an integer",
            ],
        );
        check(
            &quota(json!({"hard": {"pods": "1"}, "scopes": ["BestEffort", "NotBestEffort"]})),
            &["spec.scopes: Invalid value: [\"BestEffort\",\"NotBestEffort\"]: conflicting scopes"],
        );
        check(
            &quota(json!({"hard": {"secrets": "1"}, "scopes": ["Terminating"]})),
            &["spec.scopes: Invalid value: [\"Terminating\"]: unsupported scope applied to resource"],
        );
    }

    #[test]
    fn limits_agree_with_one_another() {
        let limits = |limit: Value| limit_range(&json!({"spec": {"limits": [limit]}}));
        check(&limits(json!({"type": "Container", "max": {"cpu": "2"}, "default": {"cpu": "1"}})), &[]);
        check(
            &limits(json!({"type": "Container", "max": {"cpu": "1"}, "min": {"cpu": "2"}})),
            &["spec.limits[0].min[cpu]: Invalid value: \"2\": min value 2 is greater than max value 1"],
        );
        check(
            &limits(json!({"type": "Pod", "default": {"cpu": "1"}})),
            &["spec.limits[0].default: Forbidden: may not be specified when `type` is 'Pod'"],
        );
        check(
            &limits(json!({"type": "Boat"})),
            &["spec.limits[0].type: Invalid value: \"Boat\": must be a standard limit type or fully qualified"],
        );
    }
}
