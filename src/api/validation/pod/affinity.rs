//! Which nodes a pod wants, and which other pods it wants near or far.

use serde_json::Value;

use crate::names;
use crate::validation::checks::{label_selector, label_values, node_requirement, qualified_name};
use crate::validation::field::{Error, ErrorList, Path};
use crate::value::{entries, has, list, number, part, text, texts};

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

const NO_SELECTOR: &str = "must not be specified when labelSelector is not set";

/// What is wrong with a pod's affinity.
pub(super) fn check(errors: &mut ErrorList, path: &Path, affinity: &Value) {
    node_affinity(errors, &path.child("nodeAffinity"), part(affinity, "nodeAffinity"));
    for kind in ["podAffinity", "podAntiAffinity"] {
        pod_affinity(errors, &path.child(kind), part(affinity, kind));
    }
}

fn node_affinity(errors: &mut ErrorList, path: &Path, affinity: &Value) {
    let required = part(affinity, REQUIRED);
    if !required.is_null() {
        node_selector(errors, &path.child(REQUIRED), required);
    }
    for (index, preferred) in list(affinity, PREFERRED).iter().enumerate() {
        let path = path.child(PREFERRED).index(index);
        weight(errors, &path, preferred);
        let (path, term) = (path.child("preference"), part(preferred, "preference"));
        for (index, requirement) in list(term, "matchExpressions").iter().enumerate() {
            node_requirement(errors, &path.child("matchExpressions").index(index), requirement);
        }
        node_fields(errors, &path, term);
    }
}

/// Terms of which a node satisfies one.
pub(in super::super) fn node_selector(errors: &mut ErrorList, path: &Path, selector: &Value) {
    let terms_path = path.child("nodeSelectorTerms");
    let terms = list(selector, "nodeSelectorTerms");
    if terms.is_empty() {
        errors.push(Error::required(&terms_path, "must have at least one node selector term"));
    }
    for (index, term) in terms.iter().enumerate() {
        let path = terms_path.index(index);
        for (index, requirement) in list(term, "matchExpressions").iter().enumerate() {
            let path = path.child("matchExpressions").index(index);
            node_requirement(errors, &path, requirement);
            label_values(errors, &path, requirement);
        }
        node_fields(errors, &path, term);
    }
}

/// Requirements on fields of a node: only its name can be asked for.
fn node_fields(errors: &mut ErrorList, path: &Path, term: &Value) {
    for (index, requirement) in list(term, "matchFields").iter().enumerate() {
        let path = path.child("matchFields").index(index);
        let (operator, key) = (text(requirement, "operator"), text(requirement, "key"));
        match operator {
            "In" | "NotIn" if list(requirement, "values").len() != 1 => {
                let detail = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector";
                errors.push(Error::required(path.child("values"), detail));
            }
            "In" | "NotIn" => {}
            other => errors.push(Error::invalid(path.child("operator"), other, "not a valid selector operator")),
        }
        if key != "metadata.name" {
            errors.push(Error::invalid(path.child("key"), key, "not a valid field selector key"));
            continue;
        }
        for (index, name) in texts(requirement, "values").enumerate() {
            let path = path.child("values").index(index);
            errors.extend(names::subdomain(name).into_iter().map(|reason| Error::invalid(&path, name, reason)));
        }
    }
}

fn pod_affinity(errors: &mut ErrorList, path: &Path, affinity: &Value) {
    for (index, term) in list(affinity, REQUIRED).iter().enumerate() {
        pod_term(errors, &path.child(REQUIRED).index(index), term);
    }
    for (index, preferred) in list(affinity, PREFERRED).iter().enumerate() {
        let path = path.child(PREFERRED).index(index);
        weight(errors, &path, preferred);
        pod_term(errors, &path.child("podAffinityTerm"), part(preferred, "podAffinityTerm"));
    }
}

fn weight(errors: &mut ErrorList, path: &Path, preferred: &Value) {
    let weight = number(preferred, "weight").unwrap_or(0);
    if !(1..=100).contains(&weight) {
        errors.push(Error::invalid(path.child("weight"), weight, "must be in the range 1-100"));
    }
}

fn pod_term(errors: &mut ErrorList, path: &Path, term: &Value) {
    for selector in ["labelSelector", "namespaceSelector"] {
        label_selector(errors, &path.child(selector), part(term, selector));
    }
    for namespace in texts(term, "namespaces") {
        let path = path.child("namespace");
        errors.extend(names::label(namespace).into_iter().map(|reason| Error::invalid(&path, namespace, reason)));
    }
    label_keys(errors, path, term);
    let (path, key) = (path.child("topologyKey"), text(term, "topologyKey"));
    if key.is_empty() {
        errors.push(Error::required(&path, "can not be empty"));
    }
    qualified_name(errors, &path, key);
}

/// Keys whose values are taken from the pod itself: each is a label's, and they do not contradict one another.
fn label_keys(errors: &mut ErrorList, path: &Path, term: &Value) {
    let selector = part(term, "labelSelector");
    for field in ["matchLabelKeys", "mismatchLabelKeys"].into_iter().filter(|field| has(term, field)) {
        let path = path.child(field);
        if selector.is_null() {
            errors.push(Error::forbidden(path, NO_SELECTOR));
            continue;
        }
        for (index, key) in texts(term, field).enumerate() {
            qualified_name(errors, &path.index(index), key);
        }
    }
    let keys: Vec<&str> = texts(term, "matchLabelKeys").collect();
    let mut selected: Vec<&str> = entries(selector, "matchLabels").map(|(key, _)| key).collect();
    for expression in list(selector, "matchExpressions") {
        let key = text(expression, "key");
        if let Some(index) = keys.iter().position(|wanted| *wanted == key).filter(|_| selected.contains(&key)) {
            errors.push(Error::invalid(path.index(index), key, "exists in both matchLabelKeys and labelSelector"));
        }
        selected.push(key);
    }
    for (index, key) in keys.iter().enumerate() {
        if texts(term, "mismatchLabelKeys").any(|other| other == *key) {
            let detail = "exists in both matchLabelKeys and mismatchLabelKeys";
            errors.push(Error::invalid(path.child("matchLabelKeys").index(index), *key, detail));
        }
    }
}

/// What is wrong with how a pod is spread among others of its kind.
pub(super) fn check_spread(errors: &mut ErrorList, path: &Path, constraints: &[Value]) {
    const POLICIES: [&str; 2] = ["Honor", "Ignore"];
    const ACTIONS: [&str; 2] = ["DoNotSchedule", "ScheduleAnyway"];
    for (index, constraint) in constraints.iter().enumerate() {
        let path = path.index(index);
        let (key, action) = (text(constraint, "topologyKey"), text(constraint, "whenUnsatisfiable"));
        let skew = number(constraint, "maxSkew").unwrap_or(0);
        if skew <= 0 {
            errors.push(Error::invalid(path.child("maxSkew"), skew, "must be greater than zero"));
        }
        if key.is_empty() {
            errors.push(Error::required(path.child("topologyKey"), "can not be empty"));
        }
        if !ACTIONS.contains(&action) {
            errors.push(Error::not_supported(path.child("whenUnsatisfiable"), action, &ACTIONS));
        }
        let is_same = |other: &Value| text(other, "topologyKey") == key && text(other, "whenUnsatisfiable") == action;
        if constraints.iter().skip(index + 1).any(is_same) {
            let path = path.child("{topologyKey, whenUnsatisfiable}");
            errors.push(Error::duplicate(path, format!("{{{key}, {action}}}")));
        }
        min_domains(errors, &path.child("minDomains"), constraint, action);
        for field in ["nodeAffinityPolicy", "nodeTaintsPolicy"].into_iter().filter(|field| has(constraint, field)) {
            let policy = text(constraint, field);
            if !POLICIES.contains(&policy) {
                errors.push(Error::not_supported(path.child(field), policy, &POLICIES));
            }
        }
        spread_keys(errors, &path.child("matchLabelKeys"), constraint);
        label_selector(errors, &path.child("labelSelector"), part(constraint, "labelSelector"));
    }
}

fn min_domains(errors: &mut ErrorList, path: &Path, constraint: &Value, action: &str) {
    let Some(count) = number(constraint, "minDomains") else { return };
    if count <= 0 {
        errors.push(Error::invalid(path, count, "must be greater than zero"));
    }
    if action != "DoNotSchedule" {
        let detail = format!("can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}");
        errors.push(Error::invalid(path, count, detail));
    }
}

fn spread_keys(errors: &mut ErrorList, path: &Path, constraint: &Value) {
    let selector = part(constraint, "labelSelector");
    if selector.is_null() && has(constraint, "matchLabelKeys") {
        errors.push(Error::forbidden(path, NO_SELECTOR));
    }
    let is_selected = |key: &str| {
        entries(selector, "matchLabels").any(|(selected, _)| selected == key)
            || list(selector, "matchExpressions").iter().any(|expression| text(expression, "key") == key)
    };
    for (index, key) in texts(constraint, "matchLabelKeys").enumerate() {
        qualified_name(errors, &path.index(index), key);
        if is_selected(key) {
            errors.push(Error::invalid(path.index(index), key, "exists in both matchLabelKeys and labelSelector"));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::validation::testing;

    #[track_caller]
    fn affinity(affinity: Value, expected: &[&str]) {
        let mut errors = ErrorList::new();
        check(&mut errors, &Path::new("a"), &affinity);
        testing::check(&errors, expected);
    }

    #[track_caller]
    fn spread(constraints: Value, expected: &[&str]) {
        let mut errors = ErrorList::new();
        check_spread(&mut errors, &Path::new("t"), constraints.as_array().unwrap());
        testing::check(&errors, expected);
    }

    #[test]
    fn a_node_is_chosen_by_labels_and_by_name() {
        let terms = |term: Value| json!({"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": [term]}}});
        affinity(terms(json!({"matchExpressions": [{"key": "a", "operator": "Gt", "values": ["1"]}]})), &[]);
        affinity(terms(json!({"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n"]}]})), &[]);
        affinity(
            json!({"nodeAffinity": {REQUIRED: {}, PREFERRED: [{"weight": 0, "preference": {}}]}}),
            &[
                "a.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms: Required value: must have at least one node selector term",
                "a.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight: Invalid value: 0: must be in the range 1-100",
            ],
        );
        affinity(
            terms(json!({"matchExpressions": [{"key": "a", "operator": "In"}, {"key": "a", "operator": "Odd"}],
                "matchFields": [{"key": "x", "operator": "Exists"}]})),
            &[
                "a.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
                "a.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[1].operator: Invalid value: \"Odd\": not a valid selector operator",
                "a.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchFields[0].operator: Invalid value: \"Exists\": not a valid selector operator",
                "a.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchFields[0].key: Invalid value: \"x\": not a valid field selector key",
            ],
        );
    }

    #[test]
    fn pods_are_near_by_a_topology() {
        let term = |term: Value| json!({"podAntiAffinity": {REQUIRED: [term]}});
        affinity(term(json!({"topologyKey": "zone", "labelSelector": {"matchLabels": {"a": "b"}}})), &[]);
        affinity(
            term(json!({"topologyKey": "zone", "matchLabelKeys": ["a"]})),
            &[
                "a.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].matchLabelKeys: Forbidden: must not be specified when labelSelector is not set",
            ],
        );
        affinity(
            term(json!({"topologyKey": "zone", "labelSelector": {"matchLabels": {"a": "b"}}, "matchLabelKeys": ["c"],
                "mismatchLabelKeys": ["c"]})),
            &[
                "a.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].matchLabelKeys[0]: Invalid value: \"c\": exists in both matchLabelKeys and mismatchLabelKeys",
            ],
        );
    }

    #[test]
    fn spreading_is_bounded_and_said_once() {
        let one = json!({"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", "minDomains": 2});
        spread(json!([one]), &[]);
        spread(
            json!([one, one]),
            &["t[0].{topologyKey, whenUnsatisfiable}: Duplicate value: \"{zone, DoNotSchedule}\""],
        );
        spread(
            json!([{"whenUnsatisfiable": "ScheduleAnyway", "minDomains": 1, "nodeTaintsPolicy": "Odd", "matchLabelKeys": ["a"],
                "labelSelector": {"matchLabels": {"a": "b"}}}]),
            &[
                "t[0].maxSkew: Invalid value: 0: must be greater than zero",
                "t[0].topologyKey: Required value: can not be empty",
                "t[0].minDomains: Invalid value: 1: can only use minDomains if whenUnsatisfiable=DoNotSchedule, not ScheduleAnyway",
                "t[0].nodeTaintsPolicy: Unsupported value: \"Odd\": supported values: \"Honor\", \"Ignore\"",
                "t[0].matchLabelKeys[0]: Invalid value: \"a\": exists in both matchLabelKeys and labelSelector",
            ],
        );
    }
}
