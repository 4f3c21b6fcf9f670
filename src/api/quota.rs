//! What objects use of what a ResourceQuota bounds, and whether one more fits, as upstream's `pkg/quota/v1`.

use serde_json::Value;

use crate::amounts::{self, Amounts};
use crate::quantity::{Format, Quantity};
use crate::value::{has, list, part, text, texts};

/// What is counted of a kind under a name of its own, too: plural and name.
const COUNTED: [(&str, &str); 4] = [
    ("configmaps", "configmaps"),
    ("secrets", "secrets"),
    ("replicationcontrollers", "replicationcontrollers"),
    ("resourcequotas", "resourcequotas"),
];

/// What pods ask for under a name without `requests.`, too.
const PLAIN: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];

/// What containers must say when a quota bounds it.
const SAID: [&str; 6] = ["cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"];

/// The name under which objects of a resource are counted: `count/deployments.apps`.
#[must_use]
pub fn count_name(group: &str, plural: &str) -> String {
    if group.is_empty() { format!("count/{plural}") } else { format!("count/{plural}.{group}") }
}

/// Whether objects of a resource may use what a quota bounds by this name.
#[must_use]
pub fn concerns(group: &str, plural: &str, name: &str) -> bool {
    let is_storage = name.ends_with("requests.storage") || name.contains(".storageclass.storage.k8s.io/");
    name == count_name(group, plural)
        || match (group, plural) {
            ("", "pods") => {
                let is_asked = ["requests.", "limits.", "hugepages-"].iter().any(|prefix| name.starts_with(prefix));
                name == "pods" || PLAIN.contains(&name) || is_asked && !is_storage
            }
            ("", "services") => name == "services" || name.starts_with("services."),
            ("", "persistentvolumeclaims") => name == "persistentvolumeclaims" || is_storage,
            ("", plural) => COUNTED.iter().any(|(of, counted)| *of == plural && *counted == name),
            _ => false,
        }
}

/// What an object uses: `count/pods`, `requests.cpu`, `services.nodeports`, ….
#[must_use]
pub fn usage(group: &str, plural: &str, object: &Value) -> Amounts {
    let mut used = Amounts::new();
    used.insert(count_name(group, plural), one());
    match (group, plural) {
        ("", "pods") => of_pod(&mut used, object),
        ("", "services") => of_service(&mut used, object),
        ("", "persistentvolumeclaims") => of_claim(&mut used, object),
        ("", plural) => {
            used.extend(COUNTED.iter().filter(|(of, _)| *of == plural).map(|(_, name)| ((*name).to_owned(), one())));
        }
        _ => {}
    }
    used
}

fn count(number: usize) -> Quantity {
    Quantity::from_units(i64::try_from(number).unwrap_or(i64::MAX), Format::Decimal)
}

fn one() -> Quantity {
    count(1)
}

/// A pod that has ended uses nothing but its place.
fn of_pod(used: &mut Amounts, pod: &Value) {
    if matches!(text(part(pod, "status"), "phase"), "Succeeded" | "Failed") {
        return;
    }
    used.insert("pods".to_owned(), one());
    for (field, prefix) in [("requests", "requests."), ("limits", "limits.")] {
        for (name, amount) in amounts::of_pod(pod, field) {
            if field == "requests" && (PLAIN.contains(&name.as_str()) || name.starts_with("hugepages-")) {
                used.insert(name.clone(), amount);
            }
            used.insert(format!("{prefix}{name}"), amount);
        }
    }
}

fn of_service(used: &mut Amounts, service: &Value) {
    used.insert("services".to_owned(), one());
    let spec = part(service, "spec");
    let ports = list(spec, "ports");
    let node_ports = match text(spec, "type") {
        "NodePort" => ports.len(),
        "LoadBalancer" => {
            used.insert("services.loadbalancers".to_owned(), one());
            let allocates = part(spec, "allocateLoadBalancerNodePorts").as_bool().unwrap_or(true);
            if allocates { ports.len() } else { ports.iter().filter(|port| has(port, "nodePort")).count() }
        }
        _ => 0,
    };
    if node_ports > 0 {
        used.insert("services.nodeports".to_owned(), count(node_ports));
    }
}

fn of_claim(used: &mut Amounts, claim: &Value) {
    used.insert("persistentvolumeclaims".to_owned(), one());
    let asked = amounts::read(claim.pointer("/spec/resources/requests")).remove("storage");
    used.extend(asked.map(|asked| ("requests.storage".to_owned(), asked)));
    let class = text(part(claim, "spec"), "storageClassName");
    if !class.is_empty() {
        let of_class = |what: &str| format!("{class}.storageclass.storage.k8s.io/{what}");
        used.insert(of_class("persistentvolumeclaims"), one());
        used.extend(asked.map(|asked| (of_class("requests.storage"), asked)));
    }
}

/// Whether a quota is about an object: all its scopes hold.
#[must_use]
pub fn is_about(quota: &Value, group: &str, plural: &str, object: &Value) -> bool {
    let spec = part(quota, "spec");
    let is_pod = (group, plural) == ("", "pods");
    let holds = |scope: &str| is_pod && in_scope(object, scope);
    texts(spec, "scopes").all(holds)
        && list(part(spec, "scopeSelector"), "matchExpressions").iter().all(|requirement| {
            let (scope, operator) = (text(requirement, "scopeName"), text(requirement, "operator"));
            let named = |value: &str| texts(requirement, "values").any(|found| found == value);
            let value = match (scope, is_pod) {
                ("PriorityClass", true) => text(part(object, "spec"), "priorityClassName"),
                ("VolumeAttributesClass", false) if plural == "persistentvolumeclaims" => {
                    text(part(object, "spec"), "volumeAttributesClassName")
                }
                _ => return holds(scope),
            };
            match operator {
                "In" => named(value),
                "NotIn" => !named(value),
                "DoesNotExist" => value.is_empty(),
                _ => !value.is_empty(),
            }
        })
}

fn in_scope(pod: &Value, scope: &str) -> bool {
    let spec = part(pod, "spec");
    let asks = |field: &str| !amounts::of_pod(pod, field).is_empty();
    match scope {
        "Terminating" => has(spec, "activeDeadlineSeconds"),
        "NotTerminating" => !has(spec, "activeDeadlineSeconds"),
        "BestEffort" => !asks("requests") && !asks("limits"),
        "NotBestEffort" => asks("requests") || asks("limits"),
        "PriorityClass" => !text(spec, "priorityClassName").is_empty(),
        "CrossNamespacePodAffinity" => crosses_namespaces(part(spec, "affinity")),
        _ => false,
    }
}

/// Whether some affinity looks at pods of other namespaces.
fn crosses_namespaces(affinity: &Value) -> bool {
    match affinity {
        Value::Object(fields) => {
            !list(affinity, "namespaces").is_empty()
                || has(affinity, "namespaceSelector")
                || fields.values().any(crosses_namespaces)
        }
        Value::Array(items) => items.iter().any(crosses_namespaces),
        _ => false,
    }
}

/// What a quota's status says is used, after `new` comes in place of `old` (nothing, for a new object).
///
/// # Errors
/// Upstream's words, where it does not fit.
pub fn charged(quota: &Value, new: &Amounts, old: &Amounts) -> Result<Amounts, String> {
    let hard = amounts::read(quota.pointer("/status/hard"));
    let used = amounts::read(quota.pointer("/status/used"));
    let nothing = count(0);
    let (mut after, mut exceeded) = (used.clone(), Vec::new());
    for (name, amount) in new.iter().filter(|(name, _)| hard.contains_key(*name)) {
        let before = old.get(name).copied().unwrap_or(nothing);
        if *amount <= before {
            continue;
        }
        let more = amount.minus(before);
        let total = used.get(name).copied().unwrap_or(nothing).plus(more);
        if hard.get(name).is_some_and(|hard| total > *hard) {
            exceeded.push((name, more));
        }
        after.insert(name.clone(), total);
    }
    if exceeded.is_empty() {
        return Ok(after);
    }
    let told = |value: &dyn Fn(&str) -> Quantity, wanted: &[(&String, Quantity)]| {
        wanted.iter().map(|(name, _)| format!("{name}={}", value(name))).collect::<Vec<_>>().join(",")
    };
    let of = |amounts: &Amounts, name: &str| amounts.get(name).copied().unwrap_or(nothing);
    let requested: Vec<String> = exceeded.iter().map(|(name, more)| format!("{name}={more}")).collect();
    Err(format!(
        "exceeded quota: {}, requested: {}, used: {}, limited: {}",
        crate::meta::name(quota),
        requested.join(","),
        told(&|name| of(&used, name), &exceeded),
        told(&|name| of(&hard, name), &exceeded),
    ))
}

/// What a pod's containers must say because a quota bounds it; upstream's words where one does not.
#[must_use]
pub fn unsaid(quota: &Value, pod: &Value) -> Option<String> {
    let hard = amounts::read(quota.pointer("/status/hard"));
    let mut missing = Vec::new();
    for name in hard.keys().filter(|name| SAID.contains(&name.as_str())) {
        let (field, resource) = name.split_once('.').unwrap_or(("requests", name));
        let containers = ["/spec/containers", "/spec/initContainers"].into_iter();
        let containers = containers.flat_map(|list| pod.pointer(list).and_then(Value::as_array).into_iter().flatten());
        let silent: Vec<&str> = containers
            .filter(|container| !amounts::of_container(container, field).contains_key(resource))
            .map(|container| text(container, "name"))
            .collect();
        if !silent.is_empty() {
            missing.push(format!("{name} for: {}", silent.join(",")));
        }
    }
    (!missing.is_empty())
        .then(|| format!("failed quota: {}: must specify {}", crate::meta::name(quota), missing.join("; ")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(group: &str, plural: &str, object: Value, expected: Value) {
        let told: Value =
            usage(group, plural, &object).iter().map(|(name, used)| (name.clone(), json!(used.to_string()))).collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn objects_use_what_quotas_count() {
        let pod = |phase: &str| {
            json!({"status": {"phase": phase}, "spec": {"containers": [{"resources": {
            "requests": {"cpu": "500m"}, "limits": {"cpu": "1"}}}]}})
        };
        check(
            "",
            "pods",
            pod("Running"),
            json!({"count/pods": "1", "pods": "1", "cpu": "500m", "requests.cpu": "500m", "limits.cpu": "1"}),
        );
        check("", "pods", pod("Succeeded"), json!({"count/pods": "1"}));
        let service = json!({"spec": {"type": "LoadBalancer", "ports": [{}, {}]}});
        check(
            "",
            "services",
            service,
            json!({"count/services": "1", "services": "1", "services.loadbalancers": "1", "services.nodeports": "2"}),
        );
        let claim = json!({"spec": {"storageClassName": "fast", "resources": {"requests": {"storage": "1Gi"}}}});
        check(
            "",
            "persistentvolumeclaims",
            claim,
            json!({"count/persistentvolumeclaims": "1", "persistentvolumeclaims": "1",
            "requests.storage": "1Gi", "fast.storageclass.storage.k8s.io/persistentvolumeclaims": "1",
            "fast.storageclass.storage.k8s.io/requests.storage": "1Gi"}),
        );
        check("", "secrets", json!({}), json!({"count/secrets": "1", "secrets": "1"}));
        check("apps", "deployments", json!({}), json!({"count/deployments.apps": "1"}));
    }

    #[test]
    fn one_more_fits_or_is_refused_in_upstreams_words() {
        let quota = json!({"metadata": {"name": "q"}, "status": {"hard": {"pods": "2", "requests.cpu": "1"}, "used": {"pods": "1", "requests.cpu": "800m"}}});
        let pod = |cpu: &str| {
            usage("", "pods", &json!({"spec": {"containers": [{"resources": {"requests": {"cpu": cpu}}}]}}))
        };
        let none = Amounts::new();
        assert_eq!(charged(&quota, &pod("100m"), &none).unwrap()["requests.cpu"].to_string(), "900m");
        let refused = charged(&quota, &pod("300m"), &none).unwrap_err();
        assert_eq!(
            refused,
            "exceeded quota: q, requested: requests.cpu=300m, used: requests.cpu=800m, limited: requests.cpu=1"
        );
        assert!(charged(&quota, &pod("300m"), &pod("200m")).is_ok(), "only what is more counts");
    }

    #[test]
    fn a_quota_is_about_what_its_scopes_say() {
        let quota = |spec: Value| json!({"spec": spec});
        let pod = json!({"spec": {"priorityClassName": "high", "containers": [{}]}});
        let about = |spec: Value| is_about(&quota(spec), "", "pods", &pod);
        assert!(about(json!({})) && about(json!({"scopes": ["BestEffort", "NotTerminating"]})));
        assert!(!about(json!({"scopes": ["NotBestEffort"]})));
        let selector = |operator: &str| json!({"scopeSelector": {"matchExpressions": [{"scopeName": "PriorityClass", "operator": operator, "values": ["high"]}]}});
        assert!(about(selector("In")) && !about(selector("NotIn")));
        assert!(!is_about(&quota(json!({"scopes": ["BestEffort"]})), "", "secrets", &json!({})));
    }

    #[test]
    fn containers_say_what_a_quota_bounds() {
        let quota = json!({"metadata": {"name": "q"}, "status": {"hard": {"limits.cpu": "1", "pods": "3"}}});
        let pod = |resources: Value| json!({"spec": {"containers": [{"name": "c", "resources": resources}]}});
        assert_eq!(unsaid(&quota, &pod(json!({"limits": {"cpu": "1"}}))), None);
        assert_eq!(unsaid(&quota, &pod(json!({}))).unwrap(), "failed quota: q: must specify limits.cpu for: c");
    }
}
