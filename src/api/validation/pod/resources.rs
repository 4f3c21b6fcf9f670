//! Amounts of resources: what containers request and are limited to, what nodes offer.
//!
//! Claims of devices are not looked at: [`crate::validation::wasm`] refuses them.

use serde_json::Value;

use crate::names;
use crate::quantity::Quantity;
use crate::validation::checks::invalid_each;
use crate::validation::field::{Error, ErrorList, Path};
use crate::value::{entries, part};

/// What containers may ask for without a domain in its name, besides large pages of memory.
const STANDARD: [&str; 3] = ["cpu", "ephemeral-storage", "memory"];
/// What is counted: a part of one means nothing.
const COUNTED: [&str; 9] = [
    "configmaps",
    "persistentvolumeclaims",
    "pods",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "services",
    "services.loadbalancers",
    "services.nodeports",
];

/// What is wrong with the resources of a container.
pub(super) fn check(errors: &mut ErrorList, path: &Path, resources: &Value) {
    limits(errors, path, part(resources, "limits"));
    requests(errors, path, resources);
    let asks_for = |wanted: fn(&str) -> bool| {
        ["limits", "requests"].iter().any(|field| entries(resources, field).any(|(name, _)| wanted(name)))
    };
    if asks_for(is_huge_pages) && !asks_for(|name| matches!(name, "cpu" | "memory")) {
        errors.push(Error::forbidden(path, "HugePages require cpu or memory"));
    }
}

/// What is wrong with limits: those of a container, or a pod's overhead, which upstream checks as limits.
pub(in crate::validation) fn limits(errors: &mut ErrorList, path: &Path, limits: &Value) {
    let path = path.child("limits");
    for (name, quantity) in limits.as_object().into_iter().flatten() {
        container_resource(errors, &path.key(name), name);
        amount(errors, &path.key(name), name, quantity);
    }
}

/// What is wrong with requests: each by itself, and against its limit.
fn requests(errors: &mut ErrorList, path: &Path, resources: &Value) {
    let (limits_path, path) = (path.child("limits"), path.child("requests"));
    for (name, quantity) in entries(resources, "requests") {
        container_resource(errors, &path.key(name), name);
        amount(errors, &path.key(name), name, quantity);
        let Some(asked) = read(quantity) else { continue };
        match read(part(part(resources, "limits"), name)) {
            Some(limit) if asked != limit && !may_overcommit(name) => {
                let detail = format!("must be equal to {name} limit of {limit}");
                errors.push(Error::invalid(&path, asked.to_string(), detail));
            }
            Some(limit) if asked > limit => {
                let detail = format!("must be less than or equal to {name} limit of {limit}");
                errors.push(Error::invalid(&path, asked.to_string(), detail));
            }
            None if !may_overcommit(name) => {
                errors.push(Error::required(&limits_path, "Limit must be set for non overcommitable resources"));
            }
            Some(_) | None => {}
        }
    }
}

/// The name of something that containers can have.
fn container_resource(errors: &mut ErrorList, path: &Path, name: &str) {
    let wrong = names::qualified_name(name);
    let is_known = STANDARD.contains(&name) || is_huge_pages(name);
    if !wrong.is_empty() {
        invalid_each(errors, path, name, wrong);
    } else if !name.contains('/') && !is_known {
        errors.push(Error::invalid(path, name, "must be a standard resource for containers"));
    } else if !is_native(name) && !is_extended(name) {
        errors.push(Error::invalid(path, name, "doesn't follow extended resource name standard"));
    }
}

/// An amount that is not negative, and whole where it is counted.
pub(in crate::validation) fn amount(errors: &mut ErrorList, path: &Path, name: &str, quantity: &Value) {
    let Some(amount) = read(quantity) else { return };
    if amount.is_negative() {
        errors.push(Error::invalid(path, amount.to_string(), "must be greater than or equal to 0"));
    }
    if (COUNTED.contains(&name) || is_extended(name)) && amount.to_millis() % 1000 != 0 {
        errors.push(Error::invalid(path, amount.to_string(), "must be an integer"));
    }
}

/// A quantity; decoding lets in no other text.
pub(in crate::validation) fn read(quantity: &Value) -> Option<Quantity> {
    quantity.as_str()?.parse().ok()
}

fn is_huge_pages(name: &str) -> bool {
    name.starts_with("hugepages-")
}

/// Whether a name is Kubernetes' own.
fn is_native(name: &str) -> bool {
    !name.contains('/') || name.contains("kubernetes.io/")
}

/// Whether a name is that of something which nodes offer beyond Kubernetes' own resources.
fn is_extended(name: &str) -> bool {
    !is_native(name) && !name.starts_with("requests.") && names::qualified_name(&format!("requests.{name}")).is_empty()
}

/// Whether nodes may promise more of a resource than they have.
fn may_overcommit(name: &str) -> bool {
    is_native(name) && !is_huge_pages(name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::validation::testing;

    #[track_caller]
    fn check_resources(resources: Value, expected: &[&str]) {
        let mut errors = ErrorList::new();
        check(&mut errors, &Path::new("r"), &resources);
        testing::check(&errors, expected);
    }

    #[test]
    fn requests_stay_within_limits() {
        check_resources(
            json!({"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "2Gi"}}),
            &[],
        );
        check_resources(
            json!({"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}),
            &["r.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1"],
        );
        check_resources(
            json!({"requests": {"x.example/gpu": "1"}}),
            &["r.limits: Required value: Limit must be set for non overcommitable resources"],
        );
        check_resources(
            json!({"requests": {"x.example/gpu": "1"}, "limits": {"x.example/gpu": "2"}}),
            &["r.requests: Invalid value: \"1\": must be equal to x.example/gpu limit of 2"],
        );
    }

    #[test]
    fn only_what_containers_can_have_is_asked_for() {
        check_resources(
            json!({"limits": {"cpu": "-1", "pods": "1", "x.example/gpu": "500m"}}),
            &[
                "r.limits[cpu]: Invalid value: \"-1\": must be greater than or equal to 0",
                "r.limits[pods]: Invalid value: \"pods\": must be a standard resource for containers",
                "r.limits[x.example/gpu]: Invalid value: \"500m\": must be an integer",
            ],
        );
        check_resources(
            json!({"limits": {"hugepages-2Mi": "2Mi"}, "requests": {"hugepages-2Mi": "2Mi"}}),
            &["r: Forbidden: HugePages require cpu or memory"],
        );
    }
}
