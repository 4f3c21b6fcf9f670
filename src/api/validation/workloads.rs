//! Kinds that make pods: how many, from which template, and how they are replaced.

use serde_json::Value;

use super::checks::{count, label_selector, labels, one_of, share};
use super::field::{Error, ErrorList, Path};
use super::pod;
use crate::selectors::LabelSelector;
use crate::value::{entries, has, list, number, part, text};

const MISMATCH: &str = "`selector` does not match template `labels`";
const IMMUTABLE: &str = "field is immutable";

/// Fields of a stateful set that may change.
const STATEFUL_SET_CHANGEABLE: [&str; 7] = [
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
];

/// What is wrong with a `Deployment`.
pub fn deployment(object: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let (path, spec) = (Path::new("spec"), part(object, "spec"));
    count(&mut errors, &path, spec, "replicas");
    required_selector(&mut errors, &path, spec, "deployment");
    template(&mut errors, &path, spec, "ReplicaSet");
    deployment_strategy(&mut errors, &path.child("strategy"), part(spec, "strategy"));
    count(&mut errors, &path, spec, "minReadySeconds");
    count(&mut errors, &path, spec, "revisionHistoryLimit");
    if let Some(seconds) = number(spec, "progressDeadlineSeconds") {
        count(&mut errors, &path, spec, "progressDeadlineSeconds");
        if seconds <= number(spec, "minReadySeconds").unwrap_or(0) {
            let path = path.child("progressDeadlineSeconds");
            errors.push(Error::invalid(path, seconds, "must be greater than minReadySeconds"));
        }
    }
    errors
}

/// What is wrong with a changed `Deployment`.
pub fn deployment_update(new: &Value, old: &Value) -> ErrorList {
    with_immutable_selector(deployment(new), new, old)
}

/// What is wrong with a `Deployment`'s changed status.
pub fn deployment_status(new: &Value, _old: &Value) -> ErrorList {
    let counts = ["replicas", "updatedReplicas", "readyReplicas", "availableReplicas", "unavailableReplicas"];
    replica_status(new, &counts)
}

/// What is wrong with a `ReplicaSet`.
pub fn replica_set(object: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let (path, spec) = (Path::new("spec"), part(object, "spec"));
    count(&mut errors, &path, spec, "replicas");
    count(&mut errors, &path, spec, "minReadySeconds");
    required_selector(&mut errors, &path, spec, "replicaset");
    template(&mut errors, &path, spec, "ReplicaSet");
    errors
}

/// What is wrong with a changed `ReplicaSet`.
pub fn replica_set_update(new: &Value, old: &Value) -> ErrorList {
    with_immutable_selector(replica_set(new), new, old)
}

/// What is wrong with the changed status of a `ReplicaSet`, or of a `ReplicationController`.
pub fn replica_set_status(new: &Value, _old: &Value) -> ErrorList {
    replica_status(new, &["replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas"])
}

/// What is wrong with a `ReplicationController`.
pub fn replication_controller(object: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let (path, spec) = (Path::new("spec"), part(object, "spec"));
    count(&mut errors, &path, spec, "minReadySeconds");
    labels(&mut errors, &path, spec, "selector");
    if entries(spec, "selector").next().is_none() {
        errors.push(Error::required(path.child("selector"), ""));
    }
    count(&mut errors, &path, spec, "replicas");
    let path = path.child("template");
    if !has(spec, "template") {
        errors.push(Error::required(path, ""));
        return errors;
    }
    let (template, of_pods) = (part(spec, "template"), part(part(part(spec, "template"), "metadata"), "labels"));
    if entries(spec, "selector").any(|(key, value)| of_pods.get(key) != Some(value)) {
        errors.push(Error::invalid(path.child("metadata").child("labels"), of_pods.clone(), MISMATCH));
    }
    pod::check_template(&mut errors, &path, template);
    lasting(&mut errors, &path, template, "ReplicationController");
    errors
}

/// What is wrong with a changed `ReplicationController`.
pub fn replication_controller_update(new: &Value, _old: &Value) -> ErrorList {
    replication_controller(new)
}

/// What is wrong with a `StatefulSet`.
pub fn stateful_set(object: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let (path, spec) = (Path::new("spec"), part(object, "spec"));
    match text(spec, "podManagementPolicy") {
        "" => errors.push(Error::required(path.child("podManagementPolicy"), "")),
        "OrderedReady" | "Parallel" => {}
        other => {
            let detail = "must be 'OrderedReady' or 'Parallel'";
            errors.push(Error::invalid(path.child("podManagementPolicy"), other, detail));
        }
    }
    stateful_set_strategy(&mut errors, &path.child("updateStrategy"), part(spec, "updateStrategy"));
    let retention = part(spec, "persistentVolumeClaimRetentionPolicy");
    if !retention.is_null() {
        let path = path.child("persistentVolumeClaimRetentionPolicy");
        for field in ["whenDeleted", "whenScaled"] {
            if !["Retain", "Delete"].contains(&text(retention, field)) {
                let supported = ["Retain", "Delete"];
                errors.push(Error::not_supported(path.child(field), text(retention, field), &supported));
            }
        }
    }
    count(&mut errors, &path, spec, "replicas");
    count(&mut errors, &path, spec, "minReadySeconds");
    count(&mut errors, &path.child("ordinals"), part(spec, "ordinals"), "start");
    required_selector(&mut errors, &path, spec, "statefulset");
    template(&mut errors, &path, &with_claims_as_volumes(spec), "StatefulSet");
    errors
}

/// What is wrong with a changed `StatefulSet`.
pub fn stateful_set_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = stateful_set(new);
    let fixed = |object: &Value| {
        let mut spec = part(object, "spec").clone();
        for field in STATEFUL_SET_CHANGEABLE {
            spec.as_object_mut().map(|spec| spec.remove(field));
        }
        spec
    };
    if fixed(new) != fixed(old) {
        let (last, others) = STATEFUL_SET_CHANGEABLE.split_last().unwrap_or((&"", &[]));
        let others: Vec<String> = others.iter().map(|field| format!("'{field}'")).collect();
        let detail = format!(
            "updates to statefulset spec for fields other than {} and '{last}' are forbidden",
            others.join(", ")
        );
        errors.push(Error::forbidden("spec", detail));
    }
    errors
}

/// What is wrong with a `StatefulSet`'s changed status.
pub fn stateful_set_status(new: &Value, _old: &Value) -> ErrorList {
    let counts = ["replicas", "readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas"];
    replica_status(new, &counts)
}

/// What is wrong with a `DaemonSet`.
pub fn daemon_set(object: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let (path, spec) = (Path::new("spec"), part(object, "spec"));
    label_selector(&mut errors, &path.child("selector"), part(spec, "selector"));
    empty_selector(&mut errors, &path, spec, "daemonset");
    template(&mut errors, &path, spec, "DaemonSet");
    daemon_set_strategy(&mut errors, &path.child("updateStrategy"), part(spec, "updateStrategy"));
    count(&mut errors, &path, spec, "minReadySeconds");
    count(&mut errors, &path, spec, "revisionHistoryLimit");
    errors
}

/// What is wrong with a changed `DaemonSet`.
pub fn daemon_set_update(new: &Value, old: &Value) -> ErrorList {
    with_immutable_selector(daemon_set(new), new, old)
}

/// What is wrong with a `DaemonSet`'s changed status.
pub fn daemon_set_status(new: &Value, _old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let (path, status) = (Path::new("status"), part(new, "status"));
    for field in [
        "currentNumberScheduled",
        "numberMisscheduled",
        "desiredNumberScheduled",
        "numberReady",
        "observedGeneration",
        "updatedNumberScheduled",
        "numberAvailable",
        "numberUnavailable",
        "collisionCount",
    ] {
        count(&mut errors, &path, status, field);
    }
    errors
}

/// What is wrong with a `ControllerRevision`.
pub fn controller_revision(object: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    count(&mut errors, &Path::default(), object, "revision");
    if !has(object, "data") {
        errors.push(Error::required("data", "data is mandatory"));
    }
    errors
}

/// What is wrong with a changed `ControllerRevision`.
pub fn controller_revision_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = controller_revision(new);
    if part(new, "data") != part(old, "data") {
        errors.push(Error::invalid("data", part(new, "data").clone(), IMMUTABLE));
    }
    errors
}

fn required_selector(errors: &mut ErrorList, path: &Path, spec: &Value, kind: &str) {
    if !has(spec, "selector") {
        errors.push(Error::required(path.child("selector"), ""));
        return;
    }
    label_selector(errors, &path.child("selector"), part(spec, "selector"));
    empty_selector(errors, path, spec, kind);
}

fn empty_selector(errors: &mut ErrorList, path: &Path, spec: &Value, kind: &str) {
    let selector = part(spec, "selector");
    let is_empty = entries(selector, "matchLabels").next().is_none() && list(selector, "matchExpressions").is_empty();
    if has(spec, "selector") && is_empty {
        let detail = format!("empty selector is invalid for {kind}");
        errors.push(Error::invalid(path.child("selector"), selector.clone(), detail));
    }
}

/// The template is a pod's, lasts, and is selected.
fn template(errors: &mut ErrorList, path: &Path, spec: &Value, owner: &str) {
    let (selector, template) = (part(spec, "selector"), part(spec, "template"));
    let of_pods = part(part(template, "metadata"), "labels");
    let labels = entries(part(template, "metadata"), "labels")
        .map(|(key, value)| (key.to_owned(), value.as_str().unwrap_or_default().to_owned()))
        .collect();
    match LabelSelector::from_value(selector) {
        Err(_) => {
            errors.push(Error::invalid(path.child("selector"), selector.clone(), "invalid label selector"));
            return;
        }
        // No selector selects nothing, an empty one everything.
        Ok(parsed) if selector.is_null() || !parsed.matches(&labels) => {
            let path = path.child("template").child("metadata").child("labels");
            errors.push(Error::invalid(path, of_pods.clone(), MISMATCH));
        }
        Ok(_) => {}
    }
    let path = path.child("template");
    pod::check_template(errors, &path, template);
    lasting(errors, &path, template, owner);
}

/// Its pods run until somebody ends them.
fn lasting(errors: &mut ErrorList, path: &Path, template: &Value, owner: &str) {
    let (path, spec) = (path.child("spec"), part(template, "spec"));
    let policy = text(spec, "restartPolicy");
    if !["", "Always"].contains(&policy) {
        errors.push(Error::not_supported(path.child("restartPolicy"), policy, &["Always"]));
    }
    if has(spec, "activeDeadlineSeconds") {
        let detail = format!("activeDeadlineSeconds in {owner} is not Supported");
        errors.push(Error::forbidden(path.child("activeDeadlineSeconds"), detail));
    }
}

fn deployment_strategy(errors: &mut ErrorList, path: &Path, strategy: &Value) {
    let (rolling_path, rolling) = (path.child("rollingUpdate"), part(strategy, "rollingUpdate"));
    match text(strategy, "type") {
        "Recreate" if !rolling.is_null() => {
            let detail = "may not be specified when strategy `type` is 'Recreate'";
            errors.push(Error::forbidden(rolling_path, detail));
        }
        "Recreate" => {}
        "RollingUpdate" if rolling.is_null() => {
            errors.push(Error::required(rolling_path, "this should be defaulted and never be nil"));
        }
        "RollingUpdate" => {
            let unavailable = share(errors, &rolling_path, rolling, "maxUnavailable");
            let surge = share(errors, &rolling_path, rolling, "maxSurge");
            if unavailable == Some(0) && surge == Some(0) {
                let value = part(rolling, "maxUnavailable").clone();
                let detail = "may not be 0 when `maxSurge` is 0";
                errors.push(Error::invalid(rolling_path.child("maxUnavailable"), value, detail));
            }
        }
        "" => errors.push(Error::required(path.child("type"), "")),
        _ => errors.push(Error::not_supported(path, strategy.clone(), &["Recreate", "RollingUpdate"])),
    }
}

fn stateful_set_strategy(errors: &mut ErrorList, path: &Path, strategy: &Value) {
    let (rolling_path, rolling) = (path.child("rollingUpdate"), part(strategy, "rollingUpdate"));
    match text(strategy, "type") {
        "" => errors.push(Error::required(path, "")),
        "OnDelete" => {
            if !rolling.is_null() {
                let detail = "only allowed for updateStrategy 'RollingUpdate'";
                errors.push(Error::invalid(rolling_path, rolling.clone(), detail));
            }
        }
        "RollingUpdate" => {
            count(errors, &rolling_path, rolling, "partition");
            if has(rolling, "maxUnavailable") && share(errors, &rolling_path, rolling, "maxUnavailable") == Some(0) {
                let value = part(rolling, "maxUnavailable").clone();
                errors.push(Error::invalid(rolling_path.child("maxUnavailable"), value, "cannot be 0"));
            }
        }
        _ => errors.push(Error::invalid(path, strategy.clone(), "must be 'RollingUpdate' or 'OnDelete'")),
    }
}

fn daemon_set_strategy(errors: &mut ErrorList, path: &Path, strategy: &Value) {
    let (rolling_path, rolling) = (path.child("rollingUpdate"), part(strategy, "rollingUpdate"));
    one_of(errors, &path.child("type"), text(strategy, "type"), &["RollingUpdate", "OnDelete"]);
    if text(strategy, "type") != "RollingUpdate" {
        return;
    }
    if rolling.is_null() {
        errors.push(Error::required(rolling_path, ""));
        return;
    }
    let unavailable = share(errors, &rolling_path, rolling, "maxUnavailable").unwrap_or(0);
    let surge = share(errors, &rolling_path, rolling, "maxSurge").unwrap_or(0);
    if unavailable > 0 && surge > 0 {
        let value = part(rolling, "maxSurge").clone();
        let detail = "may not be set when maxUnavailable is non-zero";
        errors.push(Error::invalid(rolling_path.child("maxSurge"), value, detail));
    } else if unavailable == 0 && surge == 0 {
        errors.push(Error::required(rolling_path.child("maxUnavailable"), "cannot be 0 when maxSurge is 0"));
    }
}

fn with_immutable_selector(mut errors: ErrorList, new: &Value, old: &Value) -> ErrorList {
    let selector = |object| part(part(object, "spec"), "selector").clone();
    if selector(new) != selector(old) {
        errors.push(Error::invalid("spec.selector", selector(new), IMMUTABLE));
    }
    errors
}

/// Counts of a status: none negative, and none of the parts larger than the whole.
fn replica_status(object: &Value, counts: &[&str]) -> ErrorList {
    let mut errors = ErrorList::new();
    let (path, status) = (Path::new("status"), part(object, "status"));
    for field in counts.iter().chain(&["observedGeneration", "collisionCount"]) {
        count(&mut errors, &path, status, field);
    }
    let of = |field: &str| number(status, field).unwrap_or(0);
    let parts = counts.iter().filter(|field| !["replicas", "unavailableReplicas"].contains(field));
    for field in parts.filter(|field| of(field) > of("replicas")) {
        errors.push(Error::invalid(path.child(field), of(field), "cannot be greater than status.replicas"));
    }
    if of("availableReplicas") > of("readyReplicas") {
        let detail = "cannot be greater than readyReplicas";
        errors.push(Error::invalid(path.child("availableReplicas"), of("availableReplicas"), detail));
    }
    errors
}

/// The claims that a stateful set makes are volumes of its pods.
fn with_claims_as_volumes(spec: &Value) -> Value {
    let mut spec = spec.clone();
    let names: Vec<String> = list(&spec, "volumeClaimTemplates")
        .iter()
        .map(|claim| text(part(claim, "metadata"), "name").to_owned())
        .filter(|name| !name.is_empty())
        .collect();
    for name in names {
        let volumes = part(part(&spec, "template"), "spec");
        if !list(volumes, "volumes").iter().any(|volume| text(volume, "name") == name) {
            let claim = serde_json::json!({"name": name, "persistentVolumeClaim": {"claimName": name}});
            crate::meta::push_at(&mut spec, "/template/spec/volumes", claim);
        }
    }
    spec
}
