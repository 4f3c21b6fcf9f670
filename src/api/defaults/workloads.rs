//! Kinds that make pods.

use serde_json::{Value, json};

use super::{made, part, pod, set};

/// How many old revisions are kept.
const REVISIONS: i64 = 10;

/// Counts the templates that a daemon set has had, for clients older than revisions; the server sets it.
pub(crate) const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

/// A `Deployment`'s defaults.
pub fn deployment(object: &mut Value) {
    let Some(spec) = made(object, "spec") else { return };
    template(spec);
    set(spec, "replicas", 1);
    set(spec, "revisionHistoryLimit", REVISIONS);
    set(spec, "progressDeadlineSeconds", 600);
    if let Some(strategy) = made(spec, "strategy") {
        rolling(strategy, &json!({"maxUnavailable": "25%", "maxSurge": "25%"}));
    }
}

/// A `ReplicaSet`'s defaults.
pub fn replica_set(object: &mut Value) {
    let Some(spec) = made(object, "spec") else { return };
    template(spec);
    set(spec, "replicas", 1);
}

/// A `ReplicationController`'s defaults: labels and selector are its template's labels.
pub fn replication_controller(object: &mut Value) {
    let labels = object.pointer("/spec/template/metadata/labels").filter(|labels| is_filled(labels)).cloned();
    if let Some(labels) = labels {
        if let Some(metadata) =
            made(object, "metadata").filter(|metadata| !metadata.get("labels").is_some_and(is_filled))
        {
            metadata["labels"] = labels.clone();
        }
        if let Some(spec) = part(object, "spec").filter(|spec| !spec.get("selector").is_some_and(is_filled)) {
            spec["selector"] = labels;
        }
    }
    let Some(spec) = made(object, "spec") else { return };
    template(spec);
    set(spec, "replicas", 1);
}

/// A `StatefulSet`'s defaults.
pub fn stateful_set(object: &mut Value) {
    let Some(spec) = made(object, "spec") else { return };
    template(spec);
    set(spec, "podManagementPolicy", "OrderedReady");
    if let Some(strategy) = made(spec, "updateStrategy") {
        rolling(strategy, &json!({"partition": 0}));
    }
    if let Some(retention) = made(spec, "persistentVolumeClaimRetentionPolicy") {
        set(retention, "whenDeleted", "Retain");
        set(retention, "whenScaled", "Retain");
    }
    set(spec, "replicas", 1);
    set(spec, "revisionHistoryLimit", REVISIONS);
    for claim in super::each(spec, "volumeClaimTemplates") {
        set(claim, "apiVersion", "v1");
        set(claim, "kind", "PersistentVolumeClaim");
        if let Some(spec) = made(claim, "spec") {
            set(spec, "volumeMode", "Filesystem");
        }
        if let Some(status) = made(claim, "status") {
            set(status, "phase", "Pending");
        }
    }
}

/// A `DaemonSet`'s defaults.
pub fn daemon_set(object: &mut Value) {
    let Some(spec) = made(object, "spec") else { return };
    template(spec);
    if let Some(strategy) = made(spec, "updateStrategy") {
        rolling(strategy, &json!({"maxUnavailable": 1, "maxSurge": 0}));
    }
    set(spec, "revisionHistoryLimit", REVISIONS);
    if crate::meta::annotation(object, TEMPLATE_GENERATION).is_none() {
        crate::meta::set_annotation(object, TEMPLATE_GENERATION, "0");
    }
}

/// A `Job`'s defaults.
pub fn job(object: &mut Value) {
    if let Some(spec) = made(object, "spec") {
        job_spec(spec);
        set_job_numbers(spec);
    }
}

/// A `CronJob`'s defaults. Those of its jobs are set when it makes them; only their pods' are set here, as upstream.
pub fn cron_job(object: &mut Value) {
    let Some(spec) = made(object, "spec") else { return };
    set(spec, "concurrencyPolicy", "Allow");
    set(spec, "suspend", false);
    set(spec, "successfulJobsHistoryLimit", 3);
    set(spec, "failedJobsHistoryLimit", 1);
    if let Some(spec) = made(spec, "jobTemplate").and_then(|template| made(template, "spec")) {
        job_spec(spec);
    }
}

fn job_spec(spec: &mut Value) {
    template(spec);
    let Some(policy) = part(spec, "podFailurePolicy") else { return };
    for rule in super::each(policy, "rules") {
        super::each(rule, "onPodConditions").for_each(|condition| set(condition, "status", "True"));
    }
}

fn set_job_numbers(spec: &mut Value) {
    let is_set = |spec: &Value, field: &str| spec.get(field).is_some_and(|value| !value.is_null());
    if !is_set(spec, "completions") && !is_set(spec, "parallelism") {
        set(spec, "completions", 1);
    }
    set(spec, "parallelism", 1);
    let per_index = is_set(spec, "backoffLimitPerIndex");
    set(spec, "backoffLimit", if per_index { i32::MAX } else { 6 });
    set(spec, "completionMode", "NonIndexed");
    set(spec, "suspend", false);
    set(spec, "manualSelector", false);
    let replacement = if is_set(spec, "podFailurePolicy") { "Failed" } else { "TerminatingOrFailed" };
    set(spec, "podReplacementPolicy", replacement);
}

/// A strategy rolls unless it says otherwise, and then has `defaults`.
fn rolling(strategy: &mut Value, defaults: &Value) {
    set(strategy, "type", "RollingUpdate");
    if strategy.get("type").and_then(Value::as_str) != Some("RollingUpdate") {
        return;
    }
    let Some(update) = made(strategy, "rollingUpdate") else { return };
    for (field, value) in defaults.as_object().into_iter().flatten() {
        set(update, field, value.clone());
    }
}

fn template(spec: &mut Value) {
    if let Some(spec) = part(spec, "template").and_then(|template| made(template, "spec")) {
        pod::template_spec(spec);
    }
}

fn is_filled(value: &Value) -> bool {
    value.as_object().is_some_and(|entries| !entries.is_empty())
}
