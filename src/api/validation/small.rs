//! Kinds with a rule or two.

use serde_json::Value;

use super::checks::{immutable, invalid_each, labels, one_of, qualified_name};
use super::field::{Error, ErrorList, Path};
use super::pod::resources;
use super::tolerations;
use crate::meta;
use crate::names;
use crate::value::{flag, has, list, number, part, text, texts};

/// The largest priority that users may give.
const USER_PRIORITY_MAX: i64 = 1_000_000_000;
/// Names with this prefix are the cluster's own.
const SYSTEM_PREFIX: &str = "system-";
/// The cluster's own priority classes, with their values.
pub const SYSTEM_PRIORITY_CLASSES: [(&str, i64); 2] =
    [("system-node-critical", 2_000_001_000), ("system-cluster-critical", 2_000_000_000)];

/// Finalizers that need no domain.
const STANDARD_FINALIZERS: [&str; 3] = ["kubernetes", "orphan", "foregroundDeletion"];

/// What is wrong with a Namespace. As upstream, the path of an error does not say which finalizer.
pub fn namespace(object: &Value) -> ErrorList {
    finalizers(object, |path, _| path.clone())
}

/// What is wrong with a Namespace's new `spec.finalizers`.
pub fn namespace_finalize(new: &Value, _old: &Value) -> ErrorList {
    finalizers(new, Path::index)
}

fn finalizers(namespace: &Value, place: fn(&Path, usize) -> Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec").child("finalizers");
    for (index, finalizer) in texts(part(namespace, "spec"), "finalizers").enumerate() {
        let path = place(&path, index);
        qualified_name(&mut errors, &path, finalizer);
        if !finalizer.contains('/') && !STANDARD_FINALIZERS.contains(&finalizer) {
            let detail = "name is neither a standard finalizer name nor is it fully qualified";
            errors.push(Error::invalid(&path, finalizer, detail));
        }
    }
    errors
}

/// What is wrong with a Namespace's new status: its phase follows from whether it is being deleted.
pub fn namespace_status(new: &Value, _old: &Value) -> ErrorList {
    let phase = text(part(new, "status"), "phase");
    let (wanted, detail) = match meta::deletion_timestamp(new) {
        None => ("Active", "may only be 'Active' if `deletionTimestamp` is empty"),
        Some(_) => ("Terminating", "may only be 'Terminating' if `deletionTimestamp` is not empty"),
    };
    if phase == wanted { ErrorList::new() } else { vec![Error::invalid("status.Phase", phase, detail)] }
}

/// What is wrong with a Lease.
pub fn lease(object: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let (path, spec) = (Path::new("spec"), part(object, "spec"));
    if let Some(seconds) = number(spec, "leaseDurationSeconds").filter(|seconds| *seconds <= 0) {
        errors.push(Error::invalid(path.child("leaseDurationSeconds"), seconds, "must be greater than 0"));
    }
    if let Some(transitions) = number(spec, "leaseTransitions").filter(|transitions| *transitions < 0) {
        let detail = "must be greater than or equal to 0";
        errors.push(Error::invalid(path.child("leaseTransitions"), transitions, detail));
    }
    let strategy = text(spec, "strategy");
    if has(spec, "strategy") {
        let path = path.child("strategy").child("strategy");
        if strategy.contains('/') {
            qualified_name(&mut errors, &path, strategy);
        } else if strategy != "OldestEmulationVersion" {
            errors.push(Error::not_supported(path, strategy, &["OldestEmulationVersion"]));
        }
    }
    if strategy.is_empty() && !text(spec, "preferredHolder").is_empty() {
        let detail = "may only be specified if `strategy` is defined";
        errors.push(Error::forbidden(path.child("preferredHolder"), detail));
    }
    errors
}

/// What is wrong with a changed Lease.
pub fn lease_update(new: &Value, _old: &Value) -> ErrorList {
    lease(new)
}

/// What is wrong with a `PriorityClass`.
pub fn priority_class(object: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let (name, value) = (meta::name(object), number(object, "value").unwrap_or(0));
    if name.starts_with(SYSTEM_PREFIX) {
        if let Some(why) = not_a_system_class(name, value, flag(object, "globalDefault")) {
            let detail = format!(
                "priority class names with '{SYSTEM_PREFIX}' prefix are reserved for system use only. error: {why}"
            );
            errors.push(Error::forbidden("metadata.name", detail));
        }
    } else if value > USER_PRIORITY_MAX {
        let detail = format!("maximum allowed value of a user defined priority is {USER_PRIORITY_MAX}");
        errors.push(Error::forbidden("value", detail));
    }
    if has(object, "preemptionPolicy") {
        let supported = ["PreemptLowerPriority", "Never"];
        one_of(&mut errors, &Path::new("preemptionPolicy"), text(object, "preemptionPolicy"), &supported);
    }
    errors
}

/// Why a class with a system's name is not the cluster's own.
fn not_a_system_class(name: &str, value: i64, is_default: bool) -> Option<String> {
    let Some((_, known)) = SYSTEM_PRIORITY_CLASSES.iter().find(|(known, _)| *known == name) else {
        return Some(format!("{name} is not a known system priority class"));
    };
    if value != *known {
        return Some(format!("value of {name} PriorityClass must be {known}"));
    }
    is_default.then(|| format!("globalDefault of {name} PriorityClass must be false"))
}

/// What is wrong with a changed `PriorityClass`.
pub fn priority_class_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    if number(new, "value").unwrap_or(0) != number(old, "value").unwrap_or(0) {
        errors.push(Error::forbidden("value", "may not be changed in an update."));
    }
    let policy = |class| part(class, "preemptionPolicy");
    immutable(&mut errors, &Path::new("preemptionPolicy"), policy(new), policy(old));
    errors
}

/// What is wrong with a `RuntimeClass`.
pub fn runtime_class(object: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let handler = text(object, "handler");
    invalid_each(&mut errors, &Path::new("handler"), handler, names::label(handler));
    let overhead = Path::new("overhead");
    resources::limits(&mut errors, &overhead, part(part(object, "overhead"), "podFixed"));
    let (path, scheduling) = (Path::new("scheduling"), part(object, "scheduling"));
    labels(&mut errors, &path, scheduling, "nodeSelector");
    tolerations::check(&mut errors, &path.child("tolerations"), list(scheduling, "tolerations"));
    errors
}

/// What is wrong with a changed `RuntimeClass`.
pub fn runtime_class_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    immutable(&mut errors, &Path::new("handler"), part(new, "handler"), part(old, "handler"));
    errors
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::check;
    use super::*;

    #[test]
    fn a_namespaces_phase_follows_from_its_deletion() {
        check(&namespace_status(&json!({"status": {"phase": "Active"}}), &Value::Null), &[]);
        check(
            &namespace_status(&json!({"status": {"phase": "Terminating"}}), &Value::Null),
            &["status.Phase: Invalid value: \"Terminating\": may only be 'Active' if `deletionTimestamp` is empty"],
        );
        check(&namespace_finalize(&json!({"spec": {"finalizers": ["kubernetes", "x.example/y"]}}), &Value::Null), &[]);
        check(
            &namespace_finalize(&json!({"spec": {"finalizers": ["kubernetes", "x"]}}), &Value::Null),
            &[
                "spec.finalizers[1]: Invalid value: \"x\": name is neither a standard finalizer name nor is it fully qualified",
            ],
        );
        check(
            &namespace(&json!({"spec": {"finalizers": ["kubernetes", "x"]}})),
            &[
                "spec.finalizers: Invalid value: \"x\": name is neither a standard finalizer name nor is it fully qualified",
            ],
        );
    }

    #[test]
    fn a_lease_lasts_and_is_handed_on() {
        check(&lease(&json!({"spec": {"holderIdentity": "a", "leaseDurationSeconds": 10}})), &[]);
        check(
            &lease(&json!({"spec": {"leaseDurationSeconds": 0, "leaseTransitions": -1, "preferredHolder": "b"}})),
            &[
                "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0",
                "spec.leaseTransitions: Invalid value: -1: must be greater than or equal to 0",
                "spec.preferredHolder: Forbidden: may only be specified if `strategy` is defined",
            ],
        );
    }

    #[test]
    fn only_the_clusters_own_classes_are_above_users() {
        let class = |name: &str, value: i64| priority_class(&json!({"metadata": {"name": name}, "value": value}));
        check(&class("a", USER_PRIORITY_MAX), &[]);
        check(&class("system-node-critical", 2_000_001_000), &[]);
        check(
            &class("a", USER_PRIORITY_MAX + 1),
            &["value: Forbidden: maximum allowed value of a user defined priority is 1000000000"],
        );
        check(
            &class("system-a", 1),
            &[
                "metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only. error: system-a is not a known system priority class",
            ],
        );
        check(
            &priority_class_update(&json!({"value": 2}), &json!({"value": 1})),
            &["value: Forbidden: may not be changed in an update."],
        );
    }

    #[test]
    fn a_runtime_class_names_its_handler() {
        check(&runtime_class(&json!({"handler": "wasi"})), &[]);
        assert_eq!(runtime_class(&json!({"handler": "Wasi"})).len(), 1);
        check(
            &runtime_class_update(&json!({"handler": "b"}), &json!({"handler": "a"})),
            &["handler: Invalid value: \"b\": field is immutable"],
        );
    }
}
