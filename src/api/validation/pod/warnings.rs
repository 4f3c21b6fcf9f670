//! What is allowed in a pod and unwise: told to whoever writes it, in upstream's words.

use std::collections::BTreeMap;

use serde_json::Value;

use super::resources;
use crate::meta;
use crate::names;
use crate::validation::field::{Path, quote};
use crate::value::{entries, has, list, number, part, text, texts};

/// Labels of nodes that have other names by now, and what upstream says of them.
const OLD_NODE_LABELS: [(&str, &str); 5] = [
    ("beta.kubernetes.io/arch", "deprecated since v1.14; use \"kubernetes.io/arch\" instead"),
    ("beta.kubernetes.io/instance-type", "deprecated since v1.17; use \"node.kubernetes.io/instance-type\" instead"),
    ("beta.kubernetes.io/os", "deprecated since v1.14; use \"kubernetes.io/os\" instead"),
    (
        "failure-domain.beta.kubernetes.io/region",
        "deprecated since v1.17; use \"topology.kubernetes.io/region\" instead",
    ),
    ("failure-domain.beta.kubernetes.io/zone", "deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead"),
];

/// Annotations that mean nothing any more.
const OLD_ANNOTATIONS: [(&str, &str); 3] = [
    (
        "scheduler.alpha.kubernetes.io/critical-pod",
        "non-functional in v1.16+; use the \"priorityClassName\" field instead",
    ),
    ("security.alpha.kubernetes.io/sysctls", "non-functional in v1.11+; use the \"sysctls\" field instead"),
    ("security.alpha.kubernetes.io/unsafe-sysctls", "non-functional in v1.11+; use the \"sysctls\" field instead"),
];

const SECCOMP_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP_CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";
const SECCOMP: &str = "non-functional in v1.27+; use the \"seccompProfile\" field instead";

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";
const NO_SELECTOR: &str = "a null labelSelector results in matching no pod";

/// What to tell of a Pod.
pub fn pod(object: &Value) -> Vec<String> {
    all(&Path::default(), object)
}

/// What to tell of a `PodTemplate`.
pub fn pod_template(object: &Value) -> Vec<String> {
    all(&Path::new("template"), part(object, "template"))
}

/// What to tell of the template of something that makes pods.
pub fn in_spec(object: &Value) -> Vec<String> {
    all(&Path::new("spec").child("template"), part(part(object, "spec"), "template"))
}

/// What to tell of the template of something that makes jobs.
pub fn in_job_template(object: &Value) -> Vec<String> {
    let path = Path::new("spec").child("jobTemplate").child("spec").child("template");
    all(&path, part(part(part(part(object, "spec"), "jobTemplate"), "spec"), "template"))
}

fn all(path: &Path, pod: &Value) -> Vec<String> {
    let mut warnings = Vec::new();
    let (metadata_path, path) = (path.child("metadata").child("annotations"), path.child("spec"));
    let spec = part(pod, "spec");
    node_labels(&mut warnings, &path, spec);
    for (key, why) in OLD_ANNOTATIONS.iter().filter(|(key, _)| meta::annotation(pod, key).is_some()) {
        warnings.push(format!("{}: {why}", metadata_path.key(key)));
    }
    twice(&mut warnings, &path, spec);
    whole_bytes(&mut warnings, &path.child("overhead"), part(spec, "overhead"));
    let has_profile = |object: &Value| has(part(object, "securityContext"), "seccompProfile");
    if !has_profile(spec) && meta::annotation(pod, SECCOMP_POD).is_some() {
        warnings.push(format!("{}: {SECCOMP}", metadata_path.key(SECCOMP_POD)));
    }
    for (path, container) in containers(&path, spec) {
        let key = format!("{SECCOMP_CONTAINER}{}", text(container, "name"));
        if !has_profile(container) && meta::annotation(pod, &key).is_some() {
            warnings.push(format!("{}: {SECCOMP}", metadata_path.key(&key)));
        }
        for field in ["limits", "requests"] {
            let amounts = part(part(container, "resources"), field);
            whole_bytes(&mut warnings, &path.child("resources").child(field), amounts);
        }
        hidden_variables(&mut warnings, &path.child("env"), list(container, "env"));
    }
    ports(&mut warnings, &path, spec);
    if number(spec, "terminationGracePeriodSeconds").is_some_and(|seconds| seconds < 0) {
        let path = path.child("terminationGracePeriodSeconds");
        warnings.push(format!("{path}: must be >= 0; negative values are invalid and will be treated as 1"));
    }
    missing_selectors(&mut warnings, &path.child("affinity"), part(spec, "affinity"));
    warnings
}

/// All containers with their paths, those first that run first.
fn containers<'v>(path: &Path, spec: &'v Value) -> Vec<(Path, &'v Value)> {
    let of = |field: &'static str| {
        let path = path.child(field);
        list(spec, field).iter().enumerate().map(move |(index, container)| (path.index(index), container))
    };
    of("initContainers").chain(of("containers")).collect()
}

/// Nodes chosen by labels that have other names by now.
fn node_labels(warnings: &mut Vec<String>, path: &Path, spec: &Value) {
    let old = |key: &str| OLD_NODE_LABELS.iter().find(|(old, _)| *old == key).map(|(_, why)| *why);
    for (key, _) in entries(spec, "nodeSelector") {
        warnings.extend(old(key).map(|why| format!("{}: {why}", path.child("nodeSelector").key(key))));
    }
    let (node_path, node) =
        (path.child("affinity").child("nodeAffinity"), part(part(spec, "affinity"), "nodeAffinity"));
    let mut expressions = |path: &Path, term: &Value, are_values_unchecked: bool| {
        for (index, expression) in list(term, "matchExpressions").iter().enumerate() {
            let (path, key) = (path.child("matchExpressions").index(index), text(expression, "key"));
            warnings.extend(old(key).map(|why| format!("{}: {key} is {why}", path.child("key"))));
            for (index, value) in texts(expression, "values").enumerate().filter(|_| are_values_unchecked) {
                let path = path.child("values").index(index);
                let wrong = names::label_value(value).into_iter();
                warnings.extend(wrong.map(|why| format!("{path}: {value} is invalid, {why}")));
            }
        }
    };
    for (index, term) in list(part(node, REQUIRED), "nodeSelectorTerms").iter().enumerate() {
        expressions(&node_path.child(REQUIRED).child("nodeSelectorTerms").index(index), term, false);
    }
    for (index, preferred) in list(node, PREFERRED).iter().enumerate() {
        expressions(&node_path.child(PREFERRED).index(index).child("preference"), part(preferred, "preference"), true);
    }
    for (index, constraint) in list(spec, "topologySpreadConstraints").iter().enumerate() {
        let (path, key) = (path.child("topologySpreadConstraints").index(index), text(constraint, "topologyKey"));
        warnings.extend(old(key).map(|why| format!("{}: {key} is {why}", path.child("topologyKey"))));
        if !has(constraint, "labelSelector") {
            warnings.push(format!("{}: {NO_SELECTOR}", path.child("labelSelector")));
        }
    }
}

/// Entries of lists that mean nothing the second time, and one without a name.
fn twice(warnings: &mut Vec<String>, path: &Path, spec: &Value) {
    for (field, key) in [("hostAliases", "ip"), ("imagePullSecrets", "name")] {
        let items = list(spec, field);
        for (index, item) in items.iter().enumerate() {
            let value = text(item, key);
            if items.iter().take(index).any(|other| text(other, key) == value) {
                let path = path.child(field).index(index).child(key);
                warnings.push(format!("{path}: duplicate {key} {}", quote(value)));
            }
        }
    }
    for (index, _) in
        list(spec, "imagePullSecrets").iter().enumerate().filter(|(_, secret)| text(secret, "name").is_empty())
    {
        let path = path.child("imagePullSecrets").index(index).child("name");
        warnings.push(format!("{path}: invalid empty name \"\""));
    }
}

/// Bytes are not counted in parts.
fn whole_bytes(warnings: &mut Vec<String>, path: &Path, amounts: &Value) {
    for name in ["memory", "ephemeral-storage"] {
        let Some(amount) = resources::read(part(amounts, name)) else { continue };
        if amount.to_millis() % 1000 != 0 {
            let value = quote(&amount.to_string());
            warnings.push(format!("{}: fractional byte value {value} is invalid, must be an integer", path.key(name)));
        }
    }
}

/// A variable set again without use of its first value hides it.
fn hidden_variables(warnings: &mut Vec<String>, path: &Path, variables: &[Value]) {
    for (index, variable) in variables.iter().enumerate() {
        let (name, value) = (text(variable, "name"), text(variable, "value"));
        let is_set_before = variables.iter().take(index).any(|other| text(other, "name") == name);
        let reference = format!("$({name})");
        let adds_to_it = value.contains(&reference) && value != reference && !has(variable, "valueFrom");
        if is_set_before && !adds_to_it {
            let (path, name) = (path.index(index), quote(name));
            warnings
                .push(format!("{path}: hides previous definition of {name}, which may be dropped when using apply"));
        }
    }
}

/// Ports that are the same, or may be.
fn ports(warnings: &mut Vec<String>, path: &Path, spec: &Value) {
    let mut seen: BTreeMap<(i64, &str), Vec<(Path, &Value)>> = BTreeMap::new();
    let host_port = |port: &Value| number(port, "hostPort").unwrap_or(0);
    for (path, container) in containers(path, spec) {
        for (index, port) in list(container, "ports").iter().enumerate() {
            let path = path.child("ports").index(index);
            let (number, protocol, host_ip) =
                (number(port, "containerPort").unwrap_or(0), text(port, "protocol"), text(port, "hostIP"));
            if !host_ip.is_empty() && host_port(port) == 0 {
                // Upstream prints its internal type, whose fields have Go's names.
                warnings.push(format!(
                    "{path}: hostIP set without hostPort: {{Name:{} HostPort:0 ContainerPort:{number} \
                     Protocol:{protocol} HostIP:{host_ip}}}",
                    text(port, "name")
                ));
            }
            let others = seen.entry((number, protocol)).or_default();
            for (other_path, other) in others.iter() {
                let is_one_unsaid = host_ip.is_empty() != text(other, "hostIP").is_empty();
                let is_same_host_port = host_port(port) == host_port(other);
                let how = if is_same_host_port && text(other, "hostIP") == host_ip {
                    "duplicate"
                } else if host_port(port) == 0 || host_port(other) == 0 {
                    "overlapping"
                } else if is_same_host_port && is_one_unsaid {
                    "dangerously ambiguous"
                } else {
                    continue;
                };
                warnings.push(format!("{path}: {how} port definition with {other_path}"));
            }
            others.push((path, port));
        }
    }
}

/// Terms about other pods that select none of them.
fn missing_selectors(warnings: &mut Vec<String>, path: &Path, affinity: &Value) {
    for kind in ["podAffinity", "podAntiAffinity"] {
        let (path, affinity) = (path.child(kind), part(affinity, kind));
        for (index, term) in list(affinity, REQUIRED).iter().enumerate() {
            if !has(term, "labelSelector") {
                let path = path.child(REQUIRED).index(index).child("labelSelector");
                warnings.push(format!("{path}: {NO_SELECTOR}"));
            }
        }
        for (index, preferred) in list(affinity, PREFERRED).iter().enumerate() {
            if !has(part(preferred, "podAffinityTerm"), "labelSelector") {
                let path = path.child(PREFERRED).index(index).child("podAffinityTerm").child("labelSelector");
                warnings.push(format!("{path}: {NO_SELECTOR}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(spec: Value, expected: &[&str]) {
        assert_eq!(pod(&json!({"spec": spec})), expected);
    }

    #[test]
    fn an_ordinary_pod_is_not_warned_of() {
        check(json!({"containers": [{"name": "a", "ports": [{"containerPort": 80, "protocol": "TCP"}]}]}), &[]);
    }

    #[test]
    fn ports_that_are_the_same_are_told_as_a_recorded_upstream_told_them() {
        let container = |name: &str, port: Value| json!({"name": name, "ports": [port]});
        let port = |fields: Value| {
            let mut port = json!({"containerPort": 80, "protocol": "TCP"});
            port.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            port
        };
        let two =
            |one: Value, other: Value| json!({"containers": [container("a", port(one)), container("b", port(other))]});
        let template = json!({"template": {"spec": two(json!({}), json!({}))}});
        assert_eq!(
            pod_template(&template),
            [
                "template.spec.containers[1].ports[0]: duplicate port definition with template.spec.containers[0].ports[0]"
            ]
        );
        check(
            two(json!({"hostPort": 80}), json!({})),
            &["spec.containers[1].ports[0]: overlapping port definition with spec.containers[0].ports[0]"],
        );
        check(
            two(json!({"hostPort": 80}), json!({"hostPort": 80, "hostIP": "1.1.1.1"})),
            &["spec.containers[1].ports[0]: dangerously ambiguous port definition with spec.containers[0].ports[0]"],
        );
        check(two(json!({"hostPort": 80}), json!({"hostPort": 81})), &[]);
        check(
            json!({"containers": [container("a", port(json!({"hostIP": "1.1.1.1"})))]}),
            &[
                "spec.containers[0].ports[0]: hostIP set without hostPort: {Name: HostPort:0 ContainerPort:80 Protocol:TCP HostIP:1.1.1.1}",
            ],
        );
    }

    #[test]
    fn a_variable_that_hides_another_is_told() {
        let with =
            |variable: Value| json!({"containers": [{"name": "a", "env": [{"name": "X", "value": "1"}, variable]}]});
        let hidden =
            ["spec.containers[0].env[1]: hides previous definition of \"X\", which may be dropped when using apply"];
        check(with(json!({"name": "Y", "value": "1"})), &[]);
        check(with(json!({"name": "X", "value": "$(X):2"})), &[]);
        check(with(json!({"name": "X", "value": "2"})), &hidden);
        check(with(json!({"name": "X", "value": "$(X)"})), &hidden);
        check(with(json!({"name": "X", "valueFrom": {}})), &hidden);
    }

    #[test]
    fn old_words_are_told() {
        check(
            json!({"nodeSelector": {"beta.kubernetes.io/os": "linux"}, "terminationGracePeriodSeconds": -1,
                "imagePullSecrets": [{"name": "a"}, {"name": "a"}, {}], "overhead": {"memory": "1500m"},
                "topologySpreadConstraints": [{"topologyKey": "failure-domain.beta.kubernetes.io/zone"}]}),
            &[
                "spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use \"kubernetes.io/os\" instead",
                "spec.topologySpreadConstraints[0].topologyKey: failure-domain.beta.kubernetes.io/zone is deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead",
                "spec.topologySpreadConstraints[0].labelSelector: a null labelSelector results in matching no pod",
                "spec.imagePullSecrets[1].name: duplicate name \"a\"",
                "spec.imagePullSecrets[2].name: invalid empty name \"\"",
                "spec.overhead[memory]: fractional byte value \"1500m\" is invalid, must be an integer",
                "spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1",
            ],
        );
        let annotated = json!({"metadata": {"annotations": {SECCOMP_POD: "x", OLD_ANNOTATIONS[0].0: ""}}, "spec": {}});
        assert_eq!(
            pod(&annotated),
            [
                "metadata.annotations[scheduler.alpha.kubernetes.io/critical-pod]: non-functional in v1.16+; use the \"priorityClassName\" field instead",
                "metadata.annotations[seccomp.security.alpha.kubernetes.io/pod]: non-functional in v1.27+; use the \"seccompProfile\" field instead",
            ]
        );
        check(
            json!({"affinity": {"podAffinity": {REQUIRED: [{}], PREFERRED: [{"podAffinityTerm": {}}]}}}),
            &[
                "spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].labelSelector: a null labelSelector results in matching no pod",
                "spec.affinity.podAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].podAffinityTerm.labelSelector: a null labelSelector results in matching no pod",
            ],
        );
    }
}
