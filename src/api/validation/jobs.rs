//! Jobs and cron jobs.

use jiff::tz::TimeZoneDatabase;
use serde_json::Value;

use super::checks::{count, label_selector, one_of, qualified_name};
use super::field::{Error, ErrorList, Path};
use super::pod;
use crate::cron::Schedule;
use crate::meta;
use crate::selectors::LabelSelector;
use crate::value::{entries, flag, has, list, number, part, text};

const IMMUTABLE: &str = "field is immutable";
/// Pods of an indexed job, as upstream.
const INDEXED_MAX: i64 = 100_000;
/// Rules of a policy on failures, as upstream.
const RULES_MAX: usize = 20;
/// Exit codes of one rule, as upstream.
const EXIT_CODES_MAX: usize = 255;
/// Letters of a cron job's name: its jobs' names are longer by eleven.
const CRON_JOB_NAME_MAX: usize = 52;
/// Fields of a job that no update changes, besides its template.
const FIXED: [&str; 7] = [
    "selector",
    "podFailurePolicy",
    "successPolicy",
    "backoffLimitPerIndex",
    "managedBy",
    "completionMode",
    "manualSelector",
];

/// What is wrong with a `Job`.
pub fn job(object: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let (path, spec) = (Path::new("spec"), part(object, "spec"));
    if !flag(spec, "manualSelector") {
        generated_selector(&mut errors, object);
    }
    check_spec(&mut errors, &path, spec);
    if !has(spec, "selector") {
        errors.push(Error::required(path.child("selector"), ""));
        return errors;
    }
    label_selector(&mut errors, &path.child("selector"), part(spec, "selector"));
    let labels = entries(part(part(spec, "template"), "metadata"), "labels")
        .map(|(key, value)| (key.to_owned(), value.as_str().unwrap_or_default().to_owned()))
        .collect();
    if LabelSelector::from_value(part(spec, "selector")).is_ok_and(|selector| !selector.matches(&labels)) {
        let value = part(part(part(spec, "template"), "metadata"), "labels").clone();
        let path = path.child("template").child("metadata").child("labels");
        errors.push(Error::invalid(path, value, "`selector` does not match template `labels`"));
    }
    errors
}

/// What is wrong with a changed `Job`.
pub fn job_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = job(new);
    let (path, new, old) = (Path::new("spec"), part(new, "spec"), part(old, "spec"));
    let mut fixed = |field: &str| {
        if part(new, field) != part(old, field) {
            errors.push(Error::invalid(path.child(field), part(new, field).clone(), IMMUTABLE));
        }
    };
    // An indexed job grows and shrinks by both numbers at once.
    let is_elastic = text(new, "completionMode") == "Indexed"
        && has(new, "completions")
        && number(new, "completions") == number(new, "parallelism");
    if !is_elastic {
        fixed("completions");
    }
    FIXED.into_iter().for_each(&mut fixed);
    let never_started = flag(old, "suspend");
    if part(new, "template") != part(old, "template") && !(never_started && only_directives_differ(new, old)) {
        errors.push(Error::invalid(path.child("template"), part(new, "template").clone(), IMMUTABLE));
    }
    errors
}

/// What is wrong with a `Job`'s changed status.
pub fn job_status(new: &Value, _old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let (path, status) = (Path::new("status"), part(new, "status"));
    for field in ["active", "succeeded", "failed", "ready", "terminating"] {
        count(&mut errors, &path, status, field);
    }
    errors
}

/// What is wrong with a `CronJob`.
pub fn cron_job(object: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    if meta::name(object).len() > CRON_JOB_NAME_MAX {
        let detail = format!("must be no more than {CRON_JOB_NAME_MAX} characters");
        errors.push(Error::invalid("metadata.name", meta::name(object), detail));
    }
    let (path, spec) = (Path::new("spec"), part(object, "spec"));
    schedule(&mut errors, &path, spec);
    count(&mut errors, &path, spec, "startingDeadlineSeconds");
    if has(spec, "timeZone") {
        time_zone(&mut errors, &path.child("timeZone"), text(spec, "timeZone"));
    }
    let policies = ["Allow", "Forbid", "Replace"];
    one_of(&mut errors, &path.child("concurrencyPolicy"), text(spec, "concurrencyPolicy"), &policies);
    let template_path = path.child("jobTemplate").child("spec");
    let template = part(part(spec, "jobTemplate"), "spec");
    check_spec(&mut errors, &template_path, template);
    if flag(template, "manualSelector") {
        let supported = ["nil", "false"];
        errors.push(Error::not_supported(template_path.child("manualSelector"), true, &supported));
    }
    if has(template, "selector") {
        let detail = "`selector` will be auto-generated";
        errors.push(Error::invalid(template_path.child("selector"), part(template, "selector").clone(), detail));
    }
    count(&mut errors, &path, spec, "successfulJobsHistoryLimit");
    count(&mut errors, &path, spec, "failedJobsHistoryLimit");
    errors
}

/// What is wrong with a changed `CronJob`.
pub fn cron_job_update(new: &Value, _old: &Value) -> ErrorList {
    cron_job(new)
}

fn schedule(errors: &mut ErrorList, path: &Path, spec: &Value) {
    let (path, schedule) = (path.child("schedule"), text(spec, "schedule"));
    if schedule.is_empty() {
        errors.push(Error::required(path, ""));
        return;
    }
    if schedule.contains("TZ") {
        let detail = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead";
        errors.push(Error::invalid(path, schedule, detail));
    } else if let Err(why) = Schedule::parse(schedule) {
        errors.push(Error::invalid(path, schedule, why));
    }
}

fn time_zone(errors: &mut ErrorList, path: &Path, zone: &str) {
    if zone.is_empty() {
        errors.push(Error::invalid(path, zone, "must be nil or non-empty string"));
    } else if zone.eq_ignore_ascii_case("local") {
        let detail = "must be an explicit time zone as defined in https://www.iana.org/time-zones";
        errors.push(Error::invalid(path, zone, detail));
    } else if TimeZoneDatabase::bundled().get(zone).is_err() {
        errors.push(Error::invalid(path, zone, format!("unknown time zone {zone}")));
    }
}

/// What is wrong with a job's spec, a job's own or a template's.
fn check_spec(errors: &mut ErrorList, path: &Path, spec: &Value) {
    for field in [
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
    ] {
        count(errors, path, spec, field);
    }
    if has(spec, "managedBy") {
        let (path, name) = (path.child("managedBy"), text(spec, "managedBy"));
        qualified_name(errors, &path, name);
        if !name.contains('/') {
            errors.push(Error::invalid(path, name, "should be a domain-prefixed path (such as \"acme.io/foo\")"));
        }
    }
    completion(errors, path, spec);
    let policy = text(part(part(spec, "template"), "spec"), "restartPolicy");
    failure_policy(errors, &path.child("podFailurePolicy"), spec, policy);
    if has(spec, "podReplacementPolicy") {
        let supported: &[&str] =
            if has(spec, "podFailurePolicy") { &["Failed"] } else { &["Failed", "TerminatingOrFailed"] };
        one_of(errors, &path.child("podReplacementPolicy"), text(spec, "podReplacementPolicy"), supported);
    }
    let path = path.child("template");
    pod::check_template(errors, &path, part(spec, "template"));
    let path = path.child("spec").child("restartPolicy");
    match policy {
        "" | "Always" => errors.push(Error::required(path, "valid values: \"OnFailure\", \"Never\"")),
        "OnFailure" | "Never" => {}
        other => errors.push(Error::not_supported(path, other, &["OnFailure", "Never"])),
    }
}

/// When the job is complete, and what only an indexed one may say.
fn completion(errors: &mut ErrorList, path: &Path, spec: &Value) {
    let mode = text(spec, "completionMode");
    if has(spec, "completionMode") {
        one_of(errors, &path.child("completionMode"), mode, &["NonIndexed", "Indexed"]);
    }
    if mode == "Indexed" {
        if !has(spec, "completions") {
            errors.push(Error::required(path.child("completions"), "when completion mode is Indexed"));
        }
        if let Some(parallelism) = number(spec, "parallelism").filter(|parallelism| *parallelism > INDEXED_MAX) {
            let detail = format!("must be less than or equal to {INDEXED_MAX} when completion mode is Indexed");
            errors.push(Error::invalid(path.child("parallelism"), parallelism, detail));
        }
        return;
    }
    for field in ["backoffLimitPerIndex", "maxFailedIndexes"].into_iter().filter(|field| has(spec, field)) {
        let value = part(spec, field).clone();
        errors.push(Error::invalid(path.child(field), value, "requires indexed completion mode"));
    }
    if has(spec, "successPolicy") {
        let value = part(spec, "successPolicy").clone();
        errors.push(Error::invalid(path.child("successPolicy"), value, "requires indexed completion mode"));
    }
}

fn failure_policy(errors: &mut ErrorList, path: &Path, spec: &Value, restart_policy: &str) {
    let policy = part(spec, "podFailurePolicy");
    if policy.is_null() {
        return;
    }
    if restart_policy != "Never" {
        let detail = "only supported when spec.template.spec.restartPolicy is Never";
        errors.push(Error::invalid(path, policy.clone(), detail));
    }
    let path = path.child("rules");
    let rules = list(policy, "rules");
    if rules.len() > RULES_MAX {
        errors.push(Error::too_many(&path, rules.len(), RULES_MAX));
    }
    for (index, rule) in rules.iter().enumerate() {
        failure_rule(errors, &path.index(index), spec, rule);
    }
}

fn failure_rule(errors: &mut ErrorList, path: &Path, spec: &Value, rule: &Value) {
    let actions: &[&str] = if has(spec, "backoffLimitPerIndex") {
        &["Count", "FailIndex", "FailJob", "Ignore"]
    } else {
        &["Count", "FailJob", "Ignore"]
    };
    one_of(errors, &path.child("action"), text(rule, "action"), actions);
    let codes = part(rule, "onExitCodes");
    if !codes.is_null() {
        exit_codes(errors, &path.child("onExitCodes"), spec, codes);
    }
    for (index, condition) in list(rule, "onPodConditions").iter().enumerate() {
        let path = path.child("onPodConditions").index(index);
        qualified_name(errors, &path.child("type"), text(condition, "type"));
        one_of(errors, &path.child("status"), text(condition, "status"), &["False", "True", "Unknown"]);
    }
    match (codes.is_null(), list(rule, "onPodConditions").is_empty()) {
        (false, false) => {
            let detail = "specifying both OnExitCodes and OnPodConditions is not supported";
            errors.push(Error::invalid(path, rule.clone(), detail));
        }
        (true, true) => {
            let detail = "specifying one of OnExitCodes and OnPodConditions is required";
            errors.push(Error::invalid(path, rule.clone(), detail));
        }
        _ => {}
    }
}

fn exit_codes(errors: &mut ErrorList, path: &Path, spec: &Value, codes: &Value) {
    let operator = text(codes, "operator");
    one_of(errors, &path.child("operator"), operator, &["In", "NotIn"]);
    if has(codes, "containerName") {
        let name = text(codes, "containerName");
        let template = part(part(spec, "template"), "spec");
        let containers = ["containers", "initContainers"].into_iter().flat_map(|field| list(template, field));
        if !containers.into_iter().any(|container| text(container, "name") == name) {
            let detail = "must be one of the container or initContainer names in the pod template";
            errors.push(Error::invalid(path.child("containerName"), name, detail));
        }
    }
    let (path, values) = (path.child("values"), list(codes, "values"));
    if values.is_empty() {
        errors.push(Error::invalid(&path, values.to_vec(), "at least one value is required"));
    } else if values.len() > EXIT_CODES_MAX {
        errors.push(Error::too_many(&path, values.len(), EXIT_CODES_MAX));
    }
    for (index, value) in values.iter().enumerate() {
        if operator == "In" && value.as_i64() == Some(0) {
            errors.push(Error::invalid(path.index(index), 0, "must not be 0 for the In operator"));
        }
        if values.iter().take(index).any(|other| other == value) {
            errors.push(Error::duplicate(path.index(index), value.clone()));
        }
    }
}

/// The labels and the selector that a job got, for who set some of them by hand.
fn generated_selector(errors: &mut ErrorList, job: &Value) {
    let (spec, uid, name) = (part(job, "spec"), meta::uid(job).unwrap_or_default(), meta::name(job));
    let labels = part(part(part(spec, "template"), "metadata"), "labels");
    let path = Path::new("spec").child("template").child("metadata").child("labels");
    for (label, value) in [("controller-uid", uid), ("job-name", name)] {
        for label in [format!("batch.kubernetes.io/{label}"), label.to_owned()] {
            if text(labels, &label) != value {
                let detail = format!("must be '{value}'");
                errors.push(Error::invalid(path.key(&label), labels.clone(), detail));
            }
        }
    }
    let selector = part(spec, "selector");
    let wanted = serde_json::json!({"matchLabels": {"batch.kubernetes.io/controller-uid": uid}});
    let older = serde_json::json!({"matchLabels": {"controller-uid": uid}});
    if *selector != wanted && *selector != older {
        errors.push(Error::invalid("spec.selector", selector.clone(), "`selector` not auto-generated"));
    }
}

/// Whether templates differ only in where and with what a suspended job's pods will run.
fn only_directives_differ(new: &Value, old: &Value) -> bool {
    let rest = |spec: &Value| {
        let mut template = part(spec, "template").clone();
        for map in ["labels", "annotations"] {
            if let Some(metadata) = template.get_mut("metadata").and_then(Value::as_object_mut) {
                metadata.remove(map);
            }
        }
        if let Some(spec) = template.get_mut("spec").and_then(Value::as_object_mut) {
            for field in ["nodeSelector", "affinity", "tolerations", "schedulingGates"] {
                spec.remove(field);
            }
            for containers in ["containers", "initContainers"] {
                for container in spec.get_mut(containers).and_then(Value::as_array_mut).into_iter().flatten() {
                    container.as_object_mut().map(|container| container.remove("resources"));
                }
            }
        }
        template
    };
    rest(new) == rest(old)
}
