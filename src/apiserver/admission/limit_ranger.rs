//! `LimitRanger`: what a namespace's LimitRanges say of pods and claims: defaults for containers, and bounds.
//!
//! Words as upstream's (`plugin/pkg/admission/limitranger`).

use api::amounts::{self, Amounts};
use api::meta;
use api::quantity::Quantity;
use api::scheme::Scheme;
use api::status::Status;
use serde_json::Value;

use super::in_namespace;
use crate::verbs::Call;

const ANNOTATION: &str = "kubernetes.io/limit-ranger";

/// Gives a new pod's containers what they do not say, and refuses what is out of bounds.
pub(super) fn admit_pod(call: &Call, pod: &mut Value) -> Result<(), Status> {
    let ranges = ranges(call)?;
    for range in &ranges {
        set_defaults(pod, range);
    }
    check(call, pod, &ranges, pod_errors)
}

/// Refuses a claim that is out of bounds.
pub(super) fn check_claim(call: &Call, claim: &Value) -> Result<(), Status> {
    check(call, claim, &ranges(call)?, claim_errors)
}

fn ranges(call: &Call) -> Result<Vec<Value>, Status> {
    match Scheme::builtin().resource("", "v1", "limitranges") {
        Some(resource) => in_namespace(call, resource),
        None => Ok(Vec::new()),
    }
}

fn check(
    call: &Call,
    object: &Value,
    ranges: &[Value],
    errors: fn(&Value, &Value) -> Vec<String>,
) -> Result<(), Status> {
    for range in ranges {
        let errors = errors(object, range);
        let why = match errors.as_slice() {
            [] => continue,
            [one] => one.clone(),
            several => format!("[{}]", several.join(", ")),
        };
        return Err(Status::forbidden("", &call.resource.plural, meta::name(object), &why));
    }
    Ok(())
}

/// Fills in requests and limits, and tells of it in an annotation.
fn set_defaults(pod: &mut Value, range: &Value) {
    let limits = limits_of(range, "Container");
    let merged = |field: &str| {
        let mut all = serde_json::Map::new();
        for limit in &limits {
            all.extend(limit.get(field).and_then(Value::as_object).cloned().unwrap_or_default());
        }
        all
    };
    let (limits, requests) = (merged("default"), merged("defaultRequest"));
    if limits.is_empty() && requests.is_empty() {
        return;
    }
    let mut told = Vec::new();
    for (list, word) in [("/spec/containers", "container"), ("/spec/initContainers", "init container")] {
        for container in pod.pointer_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            let name = container.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
            for (field, defaults, what) in [("requests", &requests, "request"), ("limits", &limits, "limit")] {
                let path = format!("/resources/{field}");
                let said = container.pointer(&path).and_then(Value::as_object).cloned().unwrap_or_default();
                let mut set = Vec::new();
                for (resource, amount) in defaults.iter().filter(|(resource, _)| !said.contains_key(*resource)) {
                    meta::set_in(container, &path, resource, amount.clone());
                    set.push(resource.as_str());
                }
                if !set.is_empty() {
                    told.push(format!("{} {what} for {word} {name}", set.join(", ")));
                }
            }
        }
    }
    if !told.is_empty() {
        meta::set_annotation(pod, ANNOTATION, &format!("LimitRanger plugin set: {}", told.join("; ")));
    }
}

fn pod_errors(pod: &Value, range: &Value) -> Vec<String> {
    let containers = |list: &str| pod.pointer(list).and_then(Value::as_array).cloned().unwrap_or_default();
    let (main, init) = (containers("/spec/containers"), containers("/spec/initContainers"));
    let mut errors = Vec::new();
    for limit in limits_of(range, "Container") {
        for container in main.iter().chain(&init) {
            let (requests, limits) =
                (amounts::of_container(container, "requests"), amounts::of_container(container, "limits"));
            errors.extend(bounds(limit, "Container", &requests, &limits));
        }
    }
    for limit in limits_of(range, "Pod") {
        errors.extend(bounds(limit, "Pod", &amounts::of_pod(pod, "requests"), &amounts::of_pod(pod, "limits")));
    }
    errors
}

fn claim_errors(claim: &Value, range: &Value) -> Vec<String> {
    let asked = amounts::read(claim.pointer("/spec/resources/requests"));
    let mut errors = Vec::new();
    for limit in limits_of(range, "PersistentVolumeClaim") {
        for (name, least) in amounts::read(limit.get("min")) {
            errors.extend(below(&name, "PersistentVolumeClaim", least, asked.get(&name).copied(), None));
        }
        for (name, most) in amounts::read(limit.get("max")) {
            match asked.get(&name) {
                None => errors.push(format!(
                    "maximum {name} usage per PersistentVolumeClaim is {most}.  No request is specified"
                )),
                Some(asked) if *asked > most => errors
                    .push(format!("maximum {name} usage per PersistentVolumeClaim is {most}, but request is {asked}")),
                Some(_) => {}
            }
        }
    }
    errors
}

/// What requests and limits are out of the bounds of one limit.
fn bounds(limit: &Value, kind: &str, requests: &Amounts, limits: &Amounts) -> Vec<String> {
    let mut errors = Vec::new();
    for (name, least) in amounts::read(limit.get("min")) {
        errors.extend(below(&name, kind, least, requests.get(&name).copied(), limits.get(&name).copied()));
    }
    for (name, most) in amounts::read(limit.get("max")) {
        let (asked, bound) = (requests.get(&name), limits.get(&name));
        let told = format!("maximum {name} usage per {kind} is {most}");
        match bound {
            None => errors.push(format!("{told}.  No limit is specified")),
            Some(bound) if *bound > most => errors.push(format!("{told}, but limit is {bound}")),
            Some(_) => {
                errors.extend(
                    asked.filter(|asked| **asked > most).map(|asked| format!("{told}, but request is {asked}")),
                );
            }
        }
    }
    for (name, most) in amounts::read(limit.get("maxLimitRequestRatio")) {
        let told = format!("{name} max limit to request ratio per {kind} is {most}");
        let given = |amounts: &Amounts| amounts.get(&name).copied().filter(|amount| !amount.is_zero());
        match (given(requests), given(limits)) {
            (None, _) => errors.push(format!("{told}, but no request is specified or request is 0")),
            (_, None) => errors.push(format!("{told}, but no limit is specified or limit is 0")),
            (Some(request), Some(bound)) => {
                #[expect(clippy::cast_precision_loss, reason = "a ratio of two amounts, as upstream computes it")]
                let [ratio, most] =
                    [bound.to_millis() as f64 / request.to_millis() as f64, most.to_millis() as f64 / 1000.0];
                if ratio > most {
                    errors.push(format!("{told}, but provided ratio is {ratio:.6}"));
                }
            }
        }
    }
    errors
}

fn below(name: &str, kind: &str, least: Quantity, asked: Option<Quantity>, bound: Option<Quantity>) -> Option<String> {
    let told = format!("minimum {name} usage per {kind} is {least}");
    match (asked, bound) {
        (None, _) => Some(format!("{told}.  No request is specified")),
        (Some(asked), _) if asked < least => Some(format!("{told}, but request is {asked}")),
        (_, Some(bound)) if bound < least => Some(format!("{told}, but limit is {bound}")),
        _ => None,
    }
}

/// The limits of a range that are about a type.
fn limits_of<'v>(range: &'v Value, kind: &str) -> Vec<&'v Value> {
    let limits = range.pointer("/spec/limits").and_then(Value::as_array).into_iter().flatten();
    limits.filter(|limit| limit.get("type").and_then(Value::as_str) == Some(kind)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn range(limit: Value) -> Value {
        json!({"spec": {"limits": [limit]}})
    }

    fn pod(resources: Value) -> Value {
        json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "resources": resources}]}})
    }

    #[test]
    fn a_container_that_says_nothing_gets_the_defaults() {
        let range = range(
            json!({"type": "Container", "default": {"cpu": "1", "memory": "1Gi"}, "defaultRequest": {"cpu": "500m"}}),
        );
        let mut given = pod(json!({"limits": {"cpu": "2"}}));
        set_defaults(&mut given, &range);
        let resources = &given["spec"]["containers"][0]["resources"];
        assert_eq!(*resources, json!({"limits": {"cpu": "2", "memory": "1Gi"}, "requests": {"cpu": "500m"}}));
        let told = "LimitRanger plugin set: cpu request for container c; memory limit for container c";
        assert_eq!(meta::annotation(&given, ANNOTATION), Some(told));
    }

    #[test]
    fn what_is_out_of_bounds_is_told_in_upstreams_words() {
        let check = |limit: Value, resources: Value, expected: &[&str]| {
            assert_eq!(pod_errors(&pod(resources), &range(limit)), expected);
        };
        let least = json!({"type": "Container", "min": {"cpu": "1"}});
        check(least.clone(), json!({"requests": {"cpu": "1"}}), &[]);
        check(least.clone(), json!({}), &["minimum cpu usage per Container is 1.  No request is specified"]);
        check(
            least,
            json!({"requests": {"cpu": "500m"}}),
            &["minimum cpu usage per Container is 1, but request is 500m"],
        );
        let most = json!({"type": "Pod", "max": {"memory": "1Gi"}});
        check(most.clone(), json!({}), &["maximum memory usage per Pod is 1Gi.  No limit is specified"]);
        check(most, json!({"limits": {"memory": "2Gi"}}), &["maximum memory usage per Pod is 1Gi, but limit is 2Gi"]);
        let ratio = json!({"type": "Container", "maxLimitRequestRatio": {"cpu": "2"}});
        check(
            ratio,
            json!({"limits": {"cpu": "3"}, "requests": {"cpu": "1"}}),
            &["cpu max limit to request ratio per Container is 2, but provided ratio is 3.000000"],
        );
    }

    #[test]
    fn a_claim_is_bounded_by_what_it_asks_for() {
        let claim = |size: &str| json!({"spec": {"resources": {"requests": {"storage": size}}}});
        let range =
            range(json!({"type": "PersistentVolumeClaim", "min": {"storage": "1Gi"}, "max": {"storage": "2Gi"}}));
        assert_eq!(claim_errors(&claim("1Gi"), &range), Vec::<String>::new());
        let told = "maximum storage usage per PersistentVolumeClaim is 2Gi, but request is 3Gi";
        assert_eq!(claim_errors(&claim("3Gi"), &range), [told]);
    }
}
