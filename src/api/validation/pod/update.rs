//! What of a pod may change: nearly nothing, since it runs somewhere.

use serde_json::Value;

use super::{MIRROR, check_pod};
use crate::meta;
use crate::validation::checks::in_range;
use crate::validation::field::{Error, ErrorList, Path};
use crate::validation::tolerations;
use crate::value::{entries, has, list, number, part, text};

/// How many differences of a spec an error tells; a client that sent another pod altogether need not read them all.
const DIFFERENCES_MAX: usize = 20;

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";

const CHANGEABLE: &str = "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

/// What is wrong with a changed Pod.
pub fn pod_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    check_pod(&mut errors, new);
    check_mirror(&mut errors, new, old);
    let (path, new, old) = (Path::new("spec"), part(new, "spec"), part(old, "spec"));
    for field in ["containers", "initContainers"] {
        if list(new, field).len() != list(old, field).len() {
            let detail = "pod updates may not add or remove containers";
            errors.push(Error::forbidden(path.child(field), detail));
            return errors;
        }
    }
    if !check_deadline(&mut errors, &path.child("activeDeadlineSeconds"), new, old) {
        return errors;
    }
    check_tolerations(&mut errors, &path.child("tolerations"), new, old);
    check_gates(&mut errors, &path.child("schedulingGates"), new, old);
    let mut kept = with_allowed_changes_undone(new, old);
    if has(old, "schedulingGates") {
        check_gated(&mut errors, &path, new, old);
        keep_node_choice(&mut kept, old);
    }
    if kept != *old {
        let mut differences = Vec::new();
        differ(&mut differences, &path, old, &kept);
        let detail = format!("{CHANGEABLE}\n{}\n", differences.join("\n"));
        errors.push(Error::forbidden(path, detail));
    }
    errors
}

/// A node's own mark stays as it is.
pub(super) fn check_mirror(errors: &mut ErrorList, new: &Value, old: &Value) {
    let (new, old) = (meta::annotation(new, MIRROR), meta::annotation(old, MIRROR));
    let detail = match (new, old) {
        (None, Some(_)) => "may not remove or update mirror pod annotation",
        (Some(new), Some(old)) if new != old => "may not remove or update mirror pod annotation",
        (Some(_), None) => "may not add mirror pod annotation",
        _ => return,
    };
    errors.push(Error::forbidden(Path::new("metadata").child("annotations").key(MIRROR), detail));
}

/// A deadline can be set and brought nearer. Answers whether what follows can be checked.
fn check_deadline(errors: &mut ErrorList, path: &Path, new: &Value, old: &Value) -> bool {
    let seconds = |spec| number(spec, "activeDeadlineSeconds");
    let count = errors.len();
    match (seconds(new), seconds(old)) {
        (Some(new), old) => {
            in_range(errors, path, new, 0, i64::from(i32::MAX));
            if errors.len() == count && old.is_some_and(|old| old < new) {
                errors.push(Error::invalid(path, new, "must be less than or equal to previous value"));
            }
            errors.len() == count
        }
        (None, Some(_)) => {
            let detail = "must not update from a positive integer to nil value";
            errors.push(Error::invalid(path, Value::Null, detail));
            true
        }
        (None, None) => true,
    }
}

/// Tolerations are added, and their seconds changed.
fn check_tolerations(errors: &mut ErrorList, path: &Path, new: &Value, old: &Value) {
    let after = list(new, "tolerations");
    let is_same = |old: &Value, new: &Value| {
        ["key", "operator", "value", "effect"].iter().all(|field| text(old, field) == text(new, field))
    };
    let is_kept = |old: &Value| after.iter().any(|new| is_same(old, new));
    if !list(old, "tolerations").iter().all(is_kept) {
        let detail = "existing toleration can not be modified except its tolerationSeconds";
        errors.push(Error::forbidden(path, detail));
        return;
    }
    tolerations::check(errors, path, after);
}

/// Gates are only ever opened.
fn check_gates(errors: &mut ErrorList, path: &Path, new: &Value, old: &Value) {
    let before = list(old, "schedulingGates");
    for (index, gate) in list(new, "schedulingGates").iter().enumerate() {
        let name = text(gate, "name");
        if !before.iter().any(|old| text(old, "name") == name) {
            let detail = format!("only deletion is allowed, but found new scheduling gate '{name}'");
            errors.push(Error::forbidden(path.index(index).child("name"), detail));
        }
    }
}

/// A gated pod may be told more of which nodes it wants, never less.
fn check_gated(errors: &mut ErrorList, path: &Path, new: &Value, old: &Value) {
    let kept = entries(old, "nodeSelector").all(|(key, value)| part(part(new, "nodeSelector"), key) == value);
    if !kept {
        let detail = "only additions to spec.nodeSelector are allowed (no mutations or deletions)";
        errors.push(Error::invalid(path.child("nodeSelector"), part(new, "nodeSelector").clone(), detail));
    }
    let terms = |spec| list(part(part(part(spec, "affinity"), "nodeAffinity"), REQUIRED), "nodeSelectorTerms");
    let (before, after) = (terms(old), terms(new));
    let path = path.child("affinity").child("nodeAffinity").child(REQUIRED).child("nodeSelectorTerms");
    if !before.is_empty() && before.len() != after.len() {
        let detail = "no additions/deletions to non-empty NodeSelectorTerms list are allowed";
        errors.push(Error::invalid(path, after.to_vec(), detail));
        return;
    }
    for (index, (before, after)) in before.iter().zip(after).enumerate() {
        if !only_adds(before, after) {
            let detail = "only additions are allowed (no mutations or deletions)";
            errors.push(Error::invalid(path.index(index), after.clone(), detail));
        }
    }
}

/// Whether a term asks for all that it asked for; one that asked for nothing must stay so, since it matched nothing.
fn only_adds(before: &Value, after: &Value) -> bool {
    const FIELDS: [&str; 2] = ["matchExpressions", "matchFields"];
    let is_empty = |term: &Value| FIELDS.iter().all(|field| list(term, field).is_empty());
    let begins_alike = |field: &&str| list(after, field).starts_with(list(before, field));
    (!is_empty(before) || is_empty(after)) && FIELDS.iter().all(begins_alike)
}

/// The new spec with what may change as it was.
fn with_allowed_changes_undone(new: &Value, old: &Value) -> Value {
    let mut kept = new.clone();
    for field in ["containers", "initContainers"] {
        let containers = kept.get_mut(field).and_then(Value::as_array_mut).into_iter().flatten();
        for (container, old) in containers.zip(list(old, field)) {
            keep(container, old, "image");
        }
    }
    for field in ["activeDeadlineSeconds", "schedulingGates", "tolerations"] {
        keep(&mut kept, old, field);
    }
    let grace = |spec| number(spec, "terminationGracePeriodSeconds");
    if grace(old).is_some_and(|seconds| seconds < 0) && grace(new) == Some(1) {
        keep(&mut kept, old, "terminationGracePeriodSeconds");
    }
    kept
}

/// Leaves which nodes a gated pod wants as it was: that is checked by itself.
fn keep_node_choice(kept: &mut Value, old: &Value) {
    keep(kept, old, "nodeSelector");
    let (is_empty, was_empty) = (!has(kept, "affinity"), !has(old, "affinity"));
    match (is_empty, was_empty) {
        (true, true) => {}
        (true, false) => {
            let only_nodes = entries(old, "affinity").all(|(field, _)| field == "nodeAffinity");
            if only_nodes {
                keep(kept, old, "affinity");
            }
        }
        (false, true) => {
            let only_nodes = entries(kept, "affinity").all(|(field, _)| field == "nodeAffinity");
            if only_nodes {
                keep(kept, old, "affinity");
            }
        }
        (false, false) => {
            if let Some(affinity) = kept.get_mut("affinity") {
                keep(affinity, part(old, "affinity"), "nodeAffinity");
            }
        }
    }
}

/// Makes a field what it was.
fn keep(object: &mut Value, old: &Value, field: &str) {
    let Some(fields) = object.as_object_mut() else { return };
    match old.get(field) {
        Some(value) => fields.insert(field.to_owned(), value.clone()),
        None => fields.remove(field),
    };
}

/// A line for each field that is not what it was: `-` with the old value, `+` with the new one.
fn differ(lines: &mut Vec<String>, path: &Path, old: &Value, new: &Value) {
    if old == new || lines.len() >= DIFFERENCES_MAX {
        return;
    }
    match (old, new) {
        (Value::Object(before), Value::Object(after)) => {
            let added = after.keys().filter(|field| !before.contains_key(*field));
            for field in before.keys().chain(added) {
                differ(lines, &path.child(field), part(old, field), part(new, field));
            }
        }
        (Value::Array(before), Value::Array(after)) if before.len() == after.len() => {
            for (index, (before, after)) in before.iter().zip(after).enumerate() {
                differ(lines, &path.index(index), before, after);
            }
        }
        _ => {
            let said = |sign: char, value: &Value| (!value.is_null()).then(|| format!("{sign} {path}: {value}"));
            lines.extend(said('-', old));
            lines.extend(said('+', new));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::with;
    use super::*;
    use crate::validation::testing;

    #[track_caller]
    fn check(new: Value, old: Value, expected: &[&str]) {
        testing::check(&pod_update(&with(new), &with(old)), expected);
    }

    #[track_caller]
    fn forbidden(new: Value, old: Value, differences: &str) {
        let expected = format!("spec: Forbidden: {CHANGEABLE}\n{differences}\n");
        check(new, old, &[&expected]);
    }

    #[test]
    fn images_deadlines_and_tolerations_change() {
        let image = |image: &str| {
            let mut containers = with(json!({}))["spec"]["containers"].clone();
            containers[0]["image"] = image.into();
            json!({"containers": containers})
        };
        check(image("j"), image("i"), &[]);
        check(
            image(" j"),
            image("i"),
            &["spec.containers[0].image: Invalid value: \" j\": must not have leading or trailing whitespace"],
        );
        check(json!({"activeDeadlineSeconds": 5}), json!({}), &[]);
        check(json!({"activeDeadlineSeconds": 5}), json!({"activeDeadlineSeconds": 10}), &[]);
        check(json!({"tolerations": [{"key": "a"}]}), json!({}), &[]);
        check(
            json!({"tolerations": [{"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}]}),
            json!({"tolerations": [{"key": "a", "operator": "Exists", "effect": "NoExecute"}]}),
            &[],
        );
        check(json!({"terminationGracePeriodSeconds": 1}), json!({"terminationGracePeriodSeconds": -1}), &[]);
    }

    #[test]
    fn a_later_deadline_and_a_lost_toleration_are_refused() {
        check(
            json!({"activeDeadlineSeconds": 11}),
            json!({"activeDeadlineSeconds": 10}),
            &["spec.activeDeadlineSeconds: Invalid value: 11: must be less than or equal to previous value"],
        );
        check(
            json!({}),
            json!({"activeDeadlineSeconds": 10}),
            &["spec.activeDeadlineSeconds: Invalid value: null: must not update from a positive integer to nil value"],
        );
        check(
            json!({}),
            json!({"tolerations": [{"key": "a"}]}),
            &["spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds"],
        );
        check(
            json!({"initContainers": [{"name": "i", "image": "i", "imagePullPolicy": "Always",
                "terminationMessagePolicy": "File"}]}),
            json!({}),
            &["spec.initContainers: Forbidden: pod updates may not add or remove containers"],
        );
    }

    #[test]
    fn what_else_changed_is_told_with_its_values() {
        forbidden(json!({"nodeName": "x"}), json!({}), "+ spec.nodeName: \"x\"");
        forbidden(
            json!({"dnsPolicy": "Default", "hostname": "h"}),
            json!({"nodeName": "x"}),
            "- spec.dnsPolicy: \"ClusterFirst\"\n+ spec.dnsPolicy: \"Default\"\n- spec.nodeName: \"x\"\n+ spec.hostname: \"h\"",
        );
    }

    #[test]
    fn gates_open_and_meanwhile_nodes_are_narrowed_down() {
        let gated = |mut fields: Value| {
            fields["schedulingGates"] = json!([{"name": "g"}]);
            fields
        };
        check(json!({}), gated(json!({})), &[]);
        check(
            gated(json!({})),
            json!({}),
            &["spec.schedulingGates[0].name: Forbidden: only deletion is allowed, but found new scheduling gate 'g'"],
        );
        check(gated(json!({"nodeSelector": {"a": "b", "c": "d"}})), gated(json!({"nodeSelector": {"a": "b"}})), &[]);
        check(
            gated(json!({"nodeSelector": {"c": "d"}})),
            gated(json!({"nodeSelector": {"a": "b"}})),
            &[
                "spec.nodeSelector: Invalid value: {\"c\":\"d\"}: only additions to spec.nodeSelector are allowed (no mutations or deletions)",
            ],
        );
        let affinity = |requirements: Value| {
            gated(
                json!({"affinity": {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": [{"matchExpressions": requirements}]}}}}),
            )
        };
        let (one, other) = (json!({"key": "a", "operator": "Exists"}), json!({"key": "b", "operator": "Exists"}));
        check(affinity(json!([one])), gated(json!({})), &[]);
        check(affinity(json!([one, other])), affinity(json!([one])), &[]);
        check(
            affinity(json!([other])),
            affinity(json!([one])),
            &[
                "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0]: Invalid value: {\"matchExpressions\":[{\"key\":\"b\",\"operator\":\"Exists\"}]}: only additions are allowed (no mutations or deletions)",
            ],
        );
    }

    #[test]
    fn a_nodes_own_mark_stays() {
        let mirror = |value: Option<&str>| {
            let mut pod = with(json!({"nodeName": "n"}));
            if let Some(value) = value {
                pod["metadata"]["annotations"] = json!({MIRROR: value});
            }
            pod
        };
        for (new, old, expected) in [
            (None, Some("a"), "may not remove or update mirror pod annotation"),
            (Some("b"), Some("a"), "may not remove or update mirror pod annotation"),
            (Some("a"), None, "may not add mirror pod annotation"),
        ] {
            let expected = format!("metadata.annotations[{MIRROR}]: Forbidden: {expected}");
            testing::check(&pod_update(&mirror(new), &mirror(old)), &[&expected]);
        }
    }
}
