//! Pods and templates of pods.
//!
//! Reading order: this file is the spec in upstream's order; `containers` with `env`, `mounts`, `probes`,
//! `resources` and `security`; `volumes` with `projected`; `affinity` and `dns`; then `update` (which fields may
//! change), `status`, and `warnings` (what is allowed and unwise). What cannot be true of Wasm is in
//! [`super::wasm`].

pub(super) mod affinity;
mod containers;
mod dns;
mod env;
mod mounts;
mod probes;
mod projected;
pub(super) mod resources;
mod security;
mod status;
mod update;
mod volumes;
mod warnings;

use serde_json::Value;

use super::checks::{in_range, invalid_each, label, labels, one_of, qualified_name, subdomain};
use super::field::{Error, ErrorList, Path};
use super::{tolerations, wasm};
use crate::value::{entries, has, list, number, part, text};
use crate::{meta, names};
use containers::Around;

pub use status::pod_status;
pub use update::pod_update;
pub use warnings::{in_job_template, in_spec, pod as pod_warnings, pod_template as pod_template_warnings};

/// When containers of a pod run again, in upstream's order.
const RESTART_POLICIES: [&str; 3] = ["Always", "OnFailure", "Never"];
/// Whether a pod may push others off a node, in upstream's order.
const PREEMPTION_POLICIES: [&str; 2] = ["PreemptLowerPriority", "Never"];

/// How dear a pod is to those who choose which to delete: a whole number of 32 bits.
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";
/// Marks the image that a node makes of a pod of its own.
const MIRROR: &str = "kubernetes.io/config.mirror";

/// What is wrong with a new Pod.
pub fn pod(object: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    check_pod(&mut errors, object);
    let spec = part(object, "spec");
    if !text(spec, "nodeName").is_empty() && has(spec, "schedulingGates") {
        errors.push(Error::forbidden("spec.nodeName", "cannot be set until all schedulingGates have been cleared"));
    }
    errors
}

/// What is wrong with a `PodTemplate`.
pub fn pod_template(object: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    check_template(&mut errors, &Path::new("template"), part(object, "template"));
    errors
}

/// What every template of pods must satisfy. As upstream, paths of its labels and annotations leave `metadata` out.
pub(super) fn check_template(errors: &mut ErrorList, path: &Path, template: &Value) {
    let metadata = part(template, "metadata");
    labels(errors, path, metadata, "labels");
    let annotations_path = path.child("annotations");
    for (key, _) in entries(metadata, "annotations") {
        invalid_each(errors, &annotations_path, key, names::qualified_name(&key.to_lowercase()));
    }
    annotations(errors, &annotations_path, template);
    check_spec(errors, &path.child("spec"), part(template, "spec"));
}

/// What is wrong with a changed `PodTemplate`.
pub fn pod_template_update(new: &Value, _old: &Value) -> ErrorList {
    pod_template(new)
}

/// What every pod must satisfy, a new one and a changed one.
fn check_pod(errors: &mut ErrorList, pod: &Value) {
    let (path, spec) = (Path::new("spec"), part(pod, "spec"));
    annotations(errors, &Path::new("metadata").child("annotations"), pod);
    check_spec(errors, &path, spec);
    if text(spec, "serviceAccountName").is_empty() {
        for (index, volume) in list(spec, "volumes").iter().enumerate() {
            let path = path.child("volumes").index(index).child("projected").child("sources");
            let sources = list(part(volume, "projected"), "sources").iter().enumerate();
            for (index, _) in sources.filter(|(_, source)| has(source, "serviceAccountToken")) {
                let path = path.index(index).child("serviceAccountToken");
                errors.push(Error::forbidden(path, "must not be specified when serviceAccountName is not set"));
            }
        }
    }
    for field in ["containers", "initContainers"] {
        for (index, container) in list(spec, field).iter().enumerate() {
            unpadded_image(errors, &path.child(field).index(index), container);
        }
    }
}

fn unpadded_image(errors: &mut ErrorList, path: &Path, container: &Value) {
    let image = text(container, "image");
    if image.trim() != image {
        let detail = "must not have leading or trailing whitespace";
        errors.push(Error::invalid(path.child("image"), image, detail));
    }
}

/// Annotations that mean something to pods.
fn annotations(errors: &mut ErrorList, path: &Path, pod: &Value) {
    if let Some(value) = meta::annotation(pod, MIRROR)
        && text(part(pod, "spec"), "nodeName").is_empty()
    {
        let detail = "must set spec.nodeName if mirror pod annotation is set";
        errors.push(Error::invalid(path.key(MIRROR), value, detail));
    }
    if let Some(cost) = meta::annotation(pod, DELETION_COST) {
        // A number is written in one way only: no plus, no zeros before it.
        let is_number = cost.parse::<i32>().is_ok_and(|number| number.to_string() == cost);
        if !is_number {
            errors.push(Error::invalid(path.key(DELETION_COST), cost, "must be a 32bit integer"));
        }
    }
}

/// What is wrong with the spec of a pod or of a template.
fn check_spec(errors: &mut ErrorList, path: &Path, spec: &Value) {
    let grace_seconds = number(spec, "terminationGracePeriodSeconds");
    if grace_seconds.is_none() {
        errors.push(Error::required(path.child("terminationGracePeriodSeconds"), ""));
    }
    let volumes = volumes::check(errors, &path.child("volumes"), list(spec, "volumes"));
    let around = Around {
        volumes: &volumes,
        grace_seconds,
        restart_policy: text(spec, "restartPolicy"),
        host_users: part(spec, "hostUsers").as_bool().unwrap_or(true),
    };
    let containers = list(spec, "containers");
    containers::check(errors, &path.child("containers"), containers, around);
    let init = list(spec, "initContainers");
    containers::check_init(errors, &path.child("initContainers"), init, containers, around);
    one_of(errors, &path.child("restartPolicy"), around.restart_policy, &RESTART_POLICIES);
    dns::check_policy(errors, &path.child("dnsPolicy"), text(spec, "dnsPolicy"));
    labels(errors, path, spec, "nodeSelector");
    security::check_pod(errors, &path.child("securityContext"), part(spec, "securityContext"));
    affinity::check(errors, &path.child("affinity"), part(spec, "affinity"));
    dns::check(errors, path, spec);
    gates(errors, path, spec);
    let constraints = list(spec, "topologySpreadConstraints");
    affinity::check_spread(errors, &path.child("topologySpreadConstraints"), constraints);
    scalars(errors, path, spec);
    tolerations::check(errors, &path.child("tolerations"), list(spec, "tolerations"));
    dns::check_aliases(errors, &path.child("hostAliases"), list(spec, "hostAliases"));
    scheduling(errors, path, spec);
    wasm::refuse(errors, path, spec);
}

/// Conditions that others set before a pod is ready, and before it is scheduled.
fn gates(errors: &mut ErrorList, path: &Path, spec: &Value) {
    for (index, gate) in list(spec, "readinessGates").iter().enumerate() {
        let path = path.child("readinessGates").index(index).child("conditionType");
        qualified_name(errors, &path, text(gate, "conditionType"));
    }
    let gates = list(spec, "schedulingGates");
    for (index, gate) in gates.iter().enumerate() {
        let (path, name) = (path.child("schedulingGates").index(index), text(gate, "name"));
        qualified_name(errors, &path, name);
        if gates.iter().take(index).any(|other| text(other, "name") == name) {
            errors.push(Error::duplicate(path, name));
        }
    }
}

/// Names and numbers of the spec.
fn scalars(errors: &mut ErrorList, path: &Path, spec: &Value) {
    for field in ["serviceAccountName", "nodeName"].into_iter().filter(|field| !text(spec, field).is_empty()) {
        subdomain(errors, &path.child(field), text(spec, field));
    }
    if let Some(seconds) = number(spec, "activeDeadlineSeconds") {
        in_range(errors, &path.child("activeDeadlineSeconds"), seconds, 1, i64::from(i32::MAX));
    }
    for field in ["hostname", "subdomain"].into_iter().filter(|field| !text(spec, field).is_empty()) {
        label(errors, &path.child(field), text(spec, field));
    }
}

/// How dear a pod is, and what it needs of its node beyond its containers.
fn scheduling(errors: &mut ErrorList, path: &Path, spec: &Value) {
    if !text(spec, "priorityClassName").is_empty() {
        subdomain(errors, &path.child("priorityClassName"), text(spec, "priorityClassName"));
    }
    if has(spec, "runtimeClassName") {
        subdomain(errors, &path.child("runtimeClassName"), text(spec, "runtimeClassName"));
    }
    if has(spec, "preemptionPolicy") {
        let policy = text(spec, "preemptionPolicy");
        one_of(errors, &path.child("preemptionPolicy"), policy, &PREEMPTION_POLICIES);
    }
    resources::limits(errors, &path.child("overhead"), part(spec, "overhead"));
    let system = text(part(spec, "os"), "name");
    match (has(spec, "os"), system) {
        (false, _) | (true, "linux") => {}
        (true, "") => errors.push(Error::required(path.child("os").child("name"), "cannot be empty")),
        (true, other) => errors.push(Error::not_supported(path.child("os"), other, &["linux"])),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing;
    use super::*;

    /// A pod's spec that is whole but for what `fields` say otherwise; null takes away.
    pub(super) fn with(fields: Value) -> Value {
        let mut whole = json!({"restartPolicy": "Always", "dnsPolicy": "ClusterFirst", "terminationGracePeriodSeconds": 30,
            "schedulerName": "default-scheduler", "securityContext": {}, "serviceAccountName": "default",
            "containers": [{"name": "c", "image": "i", "resources": {}, "imagePullPolicy": "Always",
                "terminationMessagePolicy": "File", "terminationMessagePath": "/dev/termination-log"}]});
        let spec = whole.as_object_mut().unwrap();
        for (field, value) in fields.as_object().unwrap().clone() {
            if value.is_null() {
                spec.remove(&field)
            } else {
                spec.insert(field, value)
            };
        }
        json!({"metadata": {"name": "p"}, "spec": whole})
    }

    #[track_caller]
    fn check(fields: Value, expected: &[&str]) {
        testing::check(&pod(&with(fields)), expected);
    }

    #[test]
    fn a_small_pod_is_whole() {
        check(json!({}), &[]);
    }

    #[test]
    fn pods_are_refused_as_a_recorded_upstream_refused_them() {
        check(json!({"containers": null}), &["spec.containers: Required value"]);
        check(
            json!({"restartPolicy": "Sometimes"}),
            &[
                "spec.restartPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"OnFailure\", \"Never\"",
            ],
        );
        let container = |fields: Value| {
            let mut container = with(json!({}))["spec"]["containers"][0].clone();
            container.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            container
        };
        check(
            json!({"containers": [container(json!({"image": ""})), container(json!({}))]}),
            &["spec.containers[0].image: Required value", "spec.containers[1].name: Duplicate value: \"c\""],
        );
        check(
            json!({"containers": [container(json!({"volumeMounts": [{"name": "v", "mountPath": "/v"}]}))]}),
            &["spec.containers[0].volumeMounts[0].name: Not found: \"v\""],
        );
        check(
            json!({"containers": [container(json!({"name": "C", "ports": [{"containerPort": 70000, "protocol": "TCP"}]}))]}),
            &[
                "spec.containers[0].name: Invalid value: \"C\": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
                "spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
            ],
        );
        check(
            json!({"volumes": [{"name": "v", "emptyDir": {}, "configMap": {"name": "a"}}]}),
            &["spec.volumes[0].configMap: Forbidden: may not specify more than 1 volume type"],
        );
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once_in_upstreams_order() {
        check(
            json!({"terminationGracePeriodSeconds": null, "dnsPolicy": "", "nodeSelector": {"a/b/c": ""},
                "activeDeadlineSeconds": 0, "hostname": "a.b", "preemptionPolicy": "Odd", "os": {"name": "windows"},
                "tolerations": [{"operator": "Odd"}], "hostNetwork": true}),
            &[
                "spec.terminationGracePeriodSeconds: Required value",
                "spec.dnsPolicy: Required value",
                "spec.nodeSelector: Invalid value: \"a/b/c\": a valid label key must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",
                "spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive",
                "spec.hostname: Invalid value: \"a.b\": must not contain dots",
                "spec.tolerations[0].operator: Invalid value: \"Odd\": operator must be Exists when `key` is empty, which means \"match all values and all keys\"",
                "spec.tolerations[0].operator: Unsupported value: \"Odd\": supported values: \"Equal\", \"Exists\"",
                "spec.preemptionPolicy: Unsupported value: \"Odd\": supported values: \"PreemptLowerPriority\", \"Never\"",
                "spec.os: Unsupported value: \"windows\": supported values: \"linux\"",
                "spec.hostNetwork: Forbidden: a Wasm pod has no host network namespace: use hostPort",
            ],
        );
    }

    #[test]
    fn a_gated_pod_has_no_node_yet() {
        check(json!({"schedulingGates": [{"name": "x.example/g"}]}), &[]);
        check(
            json!({"schedulingGates": [{"name": "g"}, {"name": "g"}], "nodeName": "n"}),
            &[
                "spec.schedulingGates[1]: Duplicate value: \"g\"",
                "spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared",
            ],
        );
    }

    #[test]
    fn annotations_that_mean_something_are_read() {
        let annotated = |key: &str, value: &str| {
            let mut object = with(json!({}));
            object["metadata"]["annotations"] = json!({key: value});
            pod(&object)
        };
        testing::check(&annotated(DELETION_COST, "-5"), &[]);
        for wrong in ["+5", "05", "x", "2147483648"] {
            let expected =
                format!("metadata.annotations[{DELETION_COST}]: Invalid value: {wrong:?}: must be a 32bit integer");
            testing::check(&annotated(DELETION_COST, wrong), &[&expected]);
        }
        testing::check(
            &annotated(MIRROR, "x"),
            &[
                "metadata.annotations[kubernetes.io/config.mirror]: Invalid value: \"x\": must set spec.nodeName if mirror pod annotation is set",
            ],
        );
    }

    #[test]
    fn a_template_is_checked_as_the_pods_that_it_makes() {
        let template =
            |fields: Value| json!({"template": {"metadata": {"labels": {"a": "b c"}}, "spec": with(fields)["spec"]}});
        let errors = pod_template(&template(json!({"restartPolicy": "", "hostPID": true})));
        let paths: Vec<&str> = errors.iter().map(|error| error.path.as_str()).collect();
        assert_eq!(paths, ["template.labels", "template.spec.restartPolicy", "template.spec.hostPID"]);
    }
}
