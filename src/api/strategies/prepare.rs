//! What a write keeps of the object as it was, and what a new object begins with.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::defaults::workloads::TEMPLATE_GENERATION;
use crate::{defaults, meta, value};

/// A status update changes anything but the spec: metadata, too.
pub(super) fn keep_spec(new: &mut Value, old: &Value) {
    put(new, "spec", old.get("spec").cloned());
}

/// A status update changes the status, and nothing of metadata but what the server writes (upstream's
/// `ResetObjectMetaForStatus`).
pub(super) fn keep_spec_and_metadata(new: &mut Value, old: &Value) {
    keep_spec(new, old);
    keep_metadata(new, old, &["labels", "annotations", "finalizers", "ownerReferences"]);
}

/// As [`keep_spec`]; who owns a definition, and what it is called by, stays.
pub(super) fn definition_status(new: &mut Value, old: &Value) {
    keep_spec(new, old);
    keep_metadata(new, old, &["labels", "annotations", "ownerReferences"]);
}

/// As [`keep_spec`]; labels stay.
pub(super) fn deployment_status(new: &mut Value, old: &Value) {
    keep_spec(new, old);
    keep_metadata(new, old, &["labels"]);
}

/// As [`keep_spec`]; owners stay, and a status without a class of service keeps the pod's, which never changes.
pub(super) fn pod_status(new: &mut Value, old: &Value) {
    keep_spec(new, old);
    keep_metadata(new, old, &["ownerReferences"]);
    let class = old.pointer("/status/qosClass").filter(|_| new.pointer("/status/qosClass").is_none());
    if let Some(class) = class {
        meta::set_at(new, "/status/qosClass", class.clone());
    }
}

fn keep_metadata(new: &mut Value, old: &Value, fields: &[&str]) {
    for field in fields {
        match meta::field(old, field) {
            Some(value) => meta::set_at(new, &format!("/metadata/{field}"), value.clone()),
            None => meta::remove(new, field),
        }
    }
}

/// As [`keep_spec`]; a verdict that was given is kept as it is, for only `approval` writes verdicts. One more
/// or one less is for validation to refuse.
pub(super) fn certificate_request_status(new: &mut Value, old: &Value) {
    keep_spec(new, old);
    for verdict in ["Approved", "Denied"] {
        let is_it = |condition: &&Value| value::text(condition, "type") == verdict;
        let given: Vec<&Value> = value::list(value::part(old, "status"), "conditions").iter().filter(is_it).collect();
        let told = new.pointer_mut("/status/conditions").and_then(Value::as_array_mut).into_iter().flatten();
        let told: Vec<&mut Value> = told.filter(|condition| value::text(condition, "type") == verdict).collect();
        if told.len() == given.len() {
            told.into_iter().zip(given).for_each(|(told, given)| *told = given.clone());
        }
    }
}

/// Conditions without times have them now; a condition that was so before became so when it did.
pub(super) fn stamp_conditions(new: &mut Value, old: &Value, now: Timestamp) {
    let before = value::list(value::part(old, "status"), "conditions");
    let conditions = new.pointer_mut("/status/conditions").and_then(Value::as_array_mut).into_iter().flatten();
    for condition in conditions {
        let is_it = |old: &&Value| ["type", "status"].iter().all(|field| old.get(field) == condition.get(field));
        let since =
            before.iter().find(is_it).map(|old| value::part(old, "lastTransitionTime")).filter(|at| !at.is_null());
        let since = since.cloned().unwrap_or_else(|| meta::time(now).into());
        for (field, time) in [("lastUpdateTime", meta::time(now).into()), ("lastTransitionTime", since)] {
            if value::part(condition, field).is_null() {
                meta::set_at(condition, &format!("/{field}"), time);
            }
        }
    }
}

/// An update changes anything but the status.
pub(super) fn keep_status(new: &mut Value, old: &Value) {
    put(new, "status", old.get("status").cloned());
}

/// An update changes metadata alone.
pub(super) fn keep_spec_and_status(new: &mut Value, old: &Value) {
    put(new, "spec", old.get("spec").cloned());
    keep_status(new, old);
}

/// An update keeps the status, and counts a generation when the spec changed.
pub(super) fn keep_status_and_count(new: &mut Value, old: &Value) {
    keep_status(new, old);
    let generation = meta::generation(old).unwrap_or(0);
    let changed = i64::from(new.get("spec") != old.get("spec"));
    meta::set_generation(new, generation + changed);
}

/// As [`keep_status_and_count`]; annotations count, too: controllers hand them on.
pub(super) fn changed_deployment(new: &mut Value, old: &Value) {
    keep_status(new, old);
    let annotations = |object: &Value| meta::field(object, "annotations").cloned();
    let changed = new.get("spec") != old.get("spec") || annotations(new) != annotations(old);
    meta::set_generation(new, meta::generation(old).unwrap_or(0) + i64::from(changed));
}

/// An update counts a generation when the spec changed; the kind has no status.
pub(super) fn count_spec(new: &mut Value, old: &Value) {
    let changed = i64::from(new.get("spec") != old.get("spec"));
    meta::set_generation(new, meta::generation(old).unwrap_or(0) + changed);
}

/// An update counts a generation when the webhooks changed.
pub(super) fn count_webhooks(new: &mut Value, old: &Value) {
    let changed = i64::from(new.get("webhooks") != old.get("webhooks"));
    meta::set_generation(new, meta::generation(old).unwrap_or(0) + changed);
}

/// A new definition of a kind has the version in which its objects are stored, and nothing accepted yet.
pub(super) fn new_definition(definition: &mut Value) {
    new_workload(definition);
    store_version(definition);
}

/// As [`keep_status_and_count`]; another version in which objects are stored is added to those in which some are.
pub(super) fn changed_definition(new: &mut Value, old: &Value) {
    keep_status_and_count(new, old);
    store_version(new);
}

fn store_version(definition: &mut Value) {
    let versions = value::list(value::part(definition, "spec"), "versions");
    let Some(version) = versions.iter().find(|version| value::flag(version, "storage")) else { return };
    let name = value::part(version, "name").clone();
    if !value::list(value::part(definition, "status"), "storedVersions").contains(&name) {
        meta::push_at(definition, "/status/storedVersions", name);
    }
}

/// What this server serves itself is there from the first moment.
pub(super) fn new_api_service(service: &mut Value) {
    without_status(service);
    if value::part(value::part(service, "spec"), "service").is_null() {
        let now = meta::creation_timestamp(service).map(str::to_owned);
        let condition = json!({"type": "Available", "status": "True", "lastTransitionTime": now, "reason": "Local",
            "message": "Local APIServices are always available"});
        put(service, "status", Some(json!({"conditions": [condition]})));
    }
}

/// An update counts a generation when anything but metadata changed, or labels.
pub(super) fn count_endpoints(new: &mut Value, old: &Value) {
    let differs = |field: &str| new.get(field) != old.get(field);
    let labels = |object: &Value| object.pointer("/metadata/labels").cloned();
    let changed = i64::from(differs("endpoints") || differs("ports") || labels(new) != labels(old));
    meta::set_generation(new, meta::generation(old).unwrap_or(0) + changed);
}

/// A new object has no status yet.
pub(super) fn without_status(new: &mut Value) {
    put(new, "status", None);
}

/// A new object of a kind that counts generations.
pub(super) fn first_generation(new: &mut Value) {
    meta::set_generation(new, 1);
}

/// A new pod waits, in the class of service that its resources give it.
pub(super) fn new_pod(pod: &mut Value) {
    first_generation(pod);
    let class = qos_class(pod);
    put(pod, "status", Some(json!({"phase": "Pending", "qosClass": class})));
}

/// A new object that makes pods has no status, and its first generation.
pub(super) fn new_workload(new: &mut Value) {
    without_status(new);
    first_generation(new);
}

/// A new set of replicas has none.
pub(super) fn new_replica_set(set: &mut Value) {
    new_workload(set);
    put(set, "status", Some(json!({"replicas": 0})));
}

/// A new stateful set has no replicas.
pub(super) fn new_stateful_set(set: &mut Value) {
    new_workload(set);
    put(set, "status", Some(json!({"replicas": 0, "availableReplicas": 0})));
}

/// A new daemon set is on no node.
pub(super) fn new_daemon_set(set: &mut Value) {
    new_workload(set);
    let status =
        json!({"currentNumberScheduled": 0, "numberMisscheduled": 0, "desiredNumberScheduled": 0, "numberReady": 0});
    put(set, "status", Some(status));
    meta::set_annotation(set, TEMPLATE_GENERATION, "1");
}

/// A changed daemon set counts its templates.
pub(super) fn changed_daemon_set(new: &mut Value, old: &Value) {
    keep_status_and_count(new, old);
    let before: i64 = meta::annotation(old, TEMPLATE_GENERATION).and_then(|text| text.parse().ok()).unwrap_or(1);
    let template = |set: &Value| set.pointer("/spec/template").cloned();
    let generation = before + i64::from(template(new) != template(old));
    meta::set_annotation(new, TEMPLATE_GENERATION, &generation.to_string());
}

/// A new job finds its pods by its uid, unless it says how itself.
pub(super) fn new_job(job: &mut Value) {
    new_workload(job);
    let is_manual = job.pointer("/spec/manualSelector").and_then(Value::as_bool).unwrap_or(false);
    if !is_manual {
        let (name, uid) = (meta::name(job).to_owned(), meta::uid(job).unwrap_or_default().to_owned());
        for (label, value) in [("job-name", &name), ("controller-uid", &uid)] {
            for label in [format!("batch.kubernetes.io/{label}"), label.to_owned()] {
                put_new(job, "/spec/template/metadata/labels", &label, value);
            }
        }
        put_new(job, "/spec/selector/matchLabels", "batch.kubernetes.io/controller-uid", &uid);
    }
    let has_labels =
        job.pointer("/metadata/labels").and_then(Value::as_object).is_some_and(|labels| !labels.is_empty());
    if let (false, Some(labels)) = (has_labels, job.pointer("/spec/template/metadata/labels").cloned()) {
        meta::set_at(job, "/metadata/labels", labels);
    }
}

fn put_new(object: &mut Value, path: &str, key: &str, value: &str) {
    if object.pointer(path).and_then(|map| map.get(key)).is_none() {
        meta::set_in(object, path, key, value.into());
    }
}

/// A new service has no address outside yet.
pub(super) fn new_service(service: &mut Value) {
    without_status(service);
    defaults::service::status(service);
}

/// How long a pod's end may take: not at all where it never ran or has ended.
pub(super) fn pod_grace_seconds(pod: &Value) -> Option<i64> {
    let text = |pointer: &str| pod.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let is_over = matches!(text("/status/phase"), "Succeeded" | "Failed");
    if text("/spec/nodeName").is_empty() || is_over {
        return Some(0);
    }
    Some(pod.pointer("/spec/terminationGracePeriodSeconds").and_then(Value::as_i64).unwrap_or(30))
}

/// `Guaranteed` when every container's cpu and memory are limited and requested alike, `BestEffort` when none says
/// anything of them, else `Burstable`.
fn qos_class(pod: &Value) -> &'static str {
    let lists = ["/spec/initContainers", "/spec/containers"];
    let containers = lists.iter().filter_map(|list| pod.pointer(list).and_then(Value::as_array)).flatten();
    let (mut says_any, mut says_all) = (false, true);
    for container in containers {
        for resource in ["cpu", "memory"] {
            let of = |kind: &str| container.pointer(&format!("/resources/{kind}/{resource}")).and_then(Value::as_str);
            let (request, limit) = (of("requests"), of("limits"));
            let is_set = |quantity: Option<&str>| quantity.is_some_and(|quantity| quantity != "0");
            says_any |= is_set(request) || is_set(limit);
            says_all &= is_set(limit) && request == limit;
        }
    }
    match (says_any, says_all) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

fn put(object: &mut Value, field: &str, value: Option<Value>) {
    let Some(fields) = object.as_object_mut() else { return };
    match value {
        Some(value) => fields.insert(field.to_owned(), value),
        None => fields.remove(field),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(resources: &Value) -> Value {
        json!({"spec": {"containers": [{"resources": resources}]}})
    }

    #[test]
    fn the_class_of_service_follows_from_the_resources() {
        let both = json!({"cpu": "1", "memory": "1Gi"});
        for (resources, expected) in [
            (json!({}), "BestEffort"),
            (json!({"requests": {"cpu": "1"}}), "Burstable"),
            (json!({"requests": both, "limits": both}), "Guaranteed"),
            (json!({"requests": {"cpu": "1"}, "limits": both}), "Burstable"),
        ] {
            assert_eq!(qos_class(&pod(&resources)), expected, "{resources}");
        }
    }

    #[test]
    fn a_pod_that_never_ran_ends_at_once() {
        let bound =
            json!({"spec": {"nodeName": "n", "terminationGracePeriodSeconds": 5}, "status": {"phase": "Running"}});
        let ended = json!({"spec": {"nodeName": "n"}, "status": {"phase": "Failed"}});
        assert_eq!(pod_grace_seconds(&json!({"spec": {}})), Some(0));
        assert_eq!(pod_grace_seconds(&bound), Some(5));
        assert_eq!(pod_grace_seconds(&ended), Some(0));
    }

    #[test]
    fn a_changed_spec_is_a_new_generation() {
        let old = json!({"metadata": {"generation": 3}, "spec": {"a": 1}, "status": {"b": 1}});
        let mut same = json!({"metadata": {"labels": {"x": "y"}}, "spec": {"a": 1}});
        keep_status_and_count(&mut same, &old);
        assert_eq!((meta::generation(&same), &same["status"]), (Some(3), &json!({"b": 1})));
        let mut changed = json!({"metadata": {}, "spec": {"a": 2}});
        keep_status_and_count(&mut changed, &old);
        assert_eq!(meta::generation(&changed), Some(4));
    }
}
