//! Kinds that make pods: how many they want, and how many there are.

use jiff::Timestamp;
use serde_json::Value;

use super::{AGE, Column, NAME, NONE, age, items, name, pairs, text, text_at, wide};
use crate::meta;
use crate::selectors::{LabelSelector, ParseError};

const CONTAINERS: Column = wide("Containers", "The names of the containers in the template.");
const IMAGES: Column = wide("Images", "Their images.");
const SELECTOR: Column = wide("Selector", "Which pods are its own.");
const READY: Column = text("Ready", "How many of the wanted pods are ready.");

const fn count(name: &'static str, description: &'static str) -> Column {
    Column { kind: "integer", ..text(name, description) }
}

/// `Scale`.
pub const SCALE: &[Column] =
    &[NAME, count("Desired", "How many pods are wanted."), count("Available", "How many pods there are."), AGE];

/// A scale's cells.
#[must_use]
pub fn scale(object: &Value, now: Timestamp) -> Vec<Value> {
    let wanted = number(object, "/spec/replicas").into();
    vec![name(object), wanted, number(object, "/status/replicas").into(), age(object, now)]
}

/// `Deployment`.
pub const DEPLOYMENT: &[Column] = &[
    NAME,
    READY,
    text("Up-to-date", "How many pods are of the present template."),
    text("Available", "How many pods are available."),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
];

/// A deployment's cells.
#[must_use]
pub fn deployment(object: &Value, now: Timestamp) -> Vec<Value> {
    let ready = format!("{}/{}", number(object, "/status/readyReplicas"), number(object, "/spec/replicas"));
    let mut cells = vec![name(object), ready.into()];
    cells.extend(["updatedReplicas", "availableReplicas"].map(|field| status(object, field)));
    cells.push(age(object, now));
    cells.extend(containers(object, "/spec/template"));
    cells.push(selector(object).into());
    cells
}

/// `ReplicaSet` and `ReplicationController`.
pub const REPLICA_SET: &[Column] = &[
    NAME,
    count("Desired", "How many pods are wanted."),
    count("Current", "How many there are."),
    count("Ready", "How many of them are ready."),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
];

/// A replica set's cells.
#[must_use]
pub fn replica_set(object: &Value, now: Timestamp) -> Vec<Value> {
    let mut cells = vec![name(object), number(object, "/spec/replicas").into()];
    cells.extend(["replicas", "readyReplicas"].map(|field| status(object, field)));
    cells.push(age(object, now));
    cells.extend(containers(object, "/spec/template"));
    cells.push(selector(object).into());
    cells
}

/// `StatefulSet`.
pub const STATEFUL_SET: &[Column] = &[NAME, READY, AGE, CONTAINERS, IMAGES];

/// A stateful set's cells.
#[must_use]
pub fn stateful_set(object: &Value, now: Timestamp) -> Vec<Value> {
    let ready = format!("{}/{}", number(object, "/status/readyReplicas"), number(object, "/spec/replicas"));
    let mut cells = vec![name(object), ready.into(), age(object, now)];
    cells.extend(containers(object, "/spec/template"));
    cells
}

/// `DaemonSet`.
pub const DAEMON_SET: &[Column] = &[
    NAME,
    count("Desired", "How many nodes should run a pod."),
    count("Current", "How many of them run one."),
    count("Ready", "How many of those are ready."),
    count("Up-to-date", "How many are of the present template."),
    count("Available", "How many are available."),
    text("Node Selector", "Which nodes run one."),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
];

/// A daemon set's cells.
#[must_use]
pub fn daemon_set(object: &Value, now: Timestamp) -> Vec<Value> {
    let counts = [
        "desiredNumberScheduled",
        "currentNumberScheduled",
        "numberReady",
        "updatedNumberScheduled",
        "numberAvailable",
    ];
    let mut cells = vec![name(object)];
    cells.extend(counts.map(|field| status(object, field)));
    cells.extend([pairs(object, "/spec/template/spec/nodeSelector").into(), age(object, now)]);
    cells.extend(containers(object, "/spec/template"));
    cells.push(selector(object).into());
    cells
}

/// `ControllerRevision`.
pub const CONTROLLER_REVISION: &[Column] =
    &[NAME, text("Controller", "Whose revision it is."), text("Revision", "Its number."), AGE];

/// A revision's cells.
#[must_use]
pub fn controller_revision(object: &Value, now: Timestamp) -> Vec<Value> {
    let owner = items(object, "/metadata/ownerReferences")
        .iter()
        .find(|owner| owner.get("controller").and_then(Value::as_bool) == Some(true));
    let controller = owner.map_or_else(
        || NONE.to_owned(),
        |owner| {
            let text = |field: &str| owner.get(field).and_then(Value::as_str).unwrap_or_default();
            let group = text("apiVersion").split_once('/').map_or("", |(group, _)| group);
            let kind = text("kind").to_lowercase();
            let kind = if group.is_empty() { kind } else { format!("{kind}.{group}") };
            format!("{kind}/{}", text("name"))
        },
    );
    vec![name(object), controller.into(), number(object, "/revision").into(), age(object, now)]
}

/// `Job`.
pub const JOB: &[Column] = &[
    NAME,
    text("Status", "How it stands."),
    text("Completions", "How many pods succeeded, of how many wanted."),
    text("Duration", "How long it has been running, or ran."),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
];

/// A job's cells.
#[must_use]
pub fn job(object: &Value, now: Timestamp) -> Vec<Value> {
    let succeeded = number(object, "/status/succeeded");
    let parallelism = number(object, "/spec/parallelism");
    let completions = match object.pointer("/spec/completions").and_then(Value::as_i64) {
        Some(wanted) => format!("{succeeded}/{wanted}"),
        None if parallelism > 1 => format!("{succeeded}/1 of {parallelism}"),
        None => format!("{succeeded}/1"),
    };
    let time = |pointer: &str| object.pointer(pointer).and_then(Value::as_str)?.parse::<Timestamp>().ok();
    let duration = match (time("/status/startTime"), time("/status/completionTime")) {
        (None, _) => String::new(),
        (Some(start), end) => super::age::human(end.unwrap_or(now).as_second() - start.as_second()),
    };
    let mut cells =
        vec![name(object), job_status(object).into(), completions.into(), duration.into(), age(object, now)];
    cells.extend(containers(object, "/spec/template"));
    cells.push(selector(object).into());
    cells
}

/// How a job stands, in upstream's order of importance.
fn job_status(job: &Value) -> &'static str {
    let is = |kind: &str| {
        items(job, "/status/conditions").iter().any(|condition| {
            condition.get("type").and_then(Value::as_str) == Some(kind)
                && condition.get("status").and_then(Value::as_str) == Some("True")
        })
    };
    if is("Complete") {
        "Complete"
    } else if is("Failed") {
        "Failed"
    } else if meta::deletion_timestamp(job).is_some() {
        "Terminating"
    } else if is("Suspended") {
        "Suspended"
    } else if is("FailureTarget") {
        "FailureTarget"
    } else if is("SuccessCriteriaMet") {
        "SuccessCriteriaMet"
    } else {
        "Running"
    }
}

/// `CronJob`.
pub const CRON_JOB: &[Column] = &[
    NAME,
    text("Schedule", "When it makes a job."),
    text("Timezone", "In which zone's time that is."),
    Column { kind: "boolean", ..text("Suspend", "Whether it rests.") },
    count("Active", "How many of its jobs run."),
    text("Last Schedule", "How long ago it made one."),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
];

/// A cron job's cells.
#[must_use]
pub fn cron_job(object: &Value, now: Timestamp) -> Vec<Value> {
    let is_suspended = object.pointer("/spec/suspend").and_then(Value::as_bool).unwrap_or(false);
    let last = object.pointer("/status/lastScheduleTime").and_then(Value::as_str);
    let last = last.map_or_else(|| NONE.to_owned(), |at| super::age::since(Some(at), now));
    let mut cells = vec![
        name(object),
        text_at(object, "/spec/schedule", ""),
        text_at(object, "/spec/timeZone", NONE),
        if is_suspended { "True" } else { "False" }.into(),
        items(object, "/status/active").len().into(),
        last.into(),
        age(object, now),
    ];
    cells.extend(containers(object, "/spec/jobTemplate/spec/template"));
    cells.push(selector_of(object.pointer("/spec/jobTemplate/spec/selector")).into());
    cells
}

fn number(object: &Value, pointer: &str) -> i64 {
    object.pointer(pointer).and_then(Value::as_i64).unwrap_or(0)
}

fn status(object: &Value, field: &str) -> Value {
    object.get("status").and_then(|status| status.get(field)).and_then(Value::as_i64).unwrap_or(0).into()
}

/// Names and images of a template's containers.
fn containers(object: &Value, template: &str) -> [Value; 2] {
    let containers = items(object.pointer(template).unwrap_or(&Value::Null), "/spec/containers");
    ["name", "image"].map(|field| {
        let texts = containers.iter().map(|container| container.get(field).and_then(Value::as_str).unwrap_or_default());
        texts.collect::<Vec<_>>().join(",").into()
    })
}

fn selector(object: &Value) -> String {
    spoken(LabelSelector::of_replicas(object))
}

/// A label selector as kubectl writes it.
pub(super) fn selector_of(selector: Option<&Value>) -> String {
    spoken(LabelSelector::from_value(selector.unwrap_or(&Value::Null)))
}

fn spoken(selector: Result<LabelSelector, ParseError>) -> String {
    match selector {
        Ok(selector) if selector.is_empty() => NONE.to_owned(),
        Ok(selector) => selector.to_string(),
        Err(_) => "<error>".to_owned(),
    }
}
