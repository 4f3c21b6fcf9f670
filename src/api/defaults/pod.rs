//! Pods, and the templates of pods.

use serde_json::{Value, json};

use super::{each, part, set};

/// A pod's defaults.
pub fn pod(pod: &mut Value) {
    let Some(spec) = part(pod, "spec") else { return };
    set(spec, "enableServiceLinks", true);
    template_spec(spec);
    for containers in ["initContainers", "containers"] {
        let resources = each(spec, containers).filter_map(|container| part(container, "resources"));
        resources.for_each(requests_from_limits);
    }
}

/// The defaults of a `PodTemplate`.
pub fn pod_template(object: &mut Value) {
    if let Some(spec) = part(object, "template").and_then(|template| part(template, "spec")) {
        template_spec(spec);
    }
}

/// The defaults of a pod's spec in a template. What upstream sets only in the pod itself is left to the pod.
pub(crate) fn template_spec(spec: &mut Value) {
    set(spec, "dnsPolicy", "ClusterFirst");
    set(spec, "restartPolicy", "Always");
    set(spec, "terminationGracePeriodSeconds", 30);
    set(spec, "schedulerName", "default-scheduler");
    set(spec, "securityContext", json!({}));
    for (one, other) in [("serviceAccountName", "serviceAccount"), ("serviceAccount", "serviceAccountName")] {
        if let Some(account) = spec.get(one).filter(|account| account.is_string()).cloned() {
            set(spec, other, account);
        }
    }
    each(spec, "initContainers").for_each(container);
    each(spec, "containers").for_each(container);
    each(spec, "volumes").for_each(volume);
}

fn container(container: &mut Value) {
    let image = container.get("image").and_then(Value::as_str).unwrap_or_default();
    let policy = if is_latest(image) { "Always" } else { "IfNotPresent" };
    set(container, "imagePullPolicy", policy);
    set(container, "terminationMessagePath", "/dev/termination-log");
    set(container, "terminationMessagePolicy", "File");
    set(container, "resources", json!({}));
    each(container, "ports").for_each(|port| set(port, "protocol", "TCP"));
    each(container, "env").for_each(|variable| {
        if let Some(from) = part(variable, "valueFrom") {
            field_version(from);
        }
    });
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(found) = part(container, name) {
            probe(found);
        }
    }
}

/// Whether an image is pulled anew each time: its tag is `latest`, or it has neither tag nor digest.
fn is_latest(image: &str) -> bool {
    let last = image.rsplit('/').next().unwrap_or_default();
    !image.contains('@') && last.split_once(':').is_none_or(|(_, tag)| tag == "latest")
}

/// What is limited and not requested is requested as much as it is limited.
fn requests_from_limits(resources: &mut Value) {
    let limits: Vec<(String, Value)> = resources
        .get("limits")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    if !limits.is_empty()
        && let Some(requests) = super::made(resources, "requests")
    {
        limits.into_iter().for_each(|(name, quantity)| set(requests, &name, quantity));
    }
}

fn probe(probe: &mut Value) {
    set(probe, "timeoutSeconds", 1);
    set(probe, "periodSeconds", 10);
    set(probe, "successThreshold", 1);
    set(probe, "failureThreshold", 3);
    if let Some(http) = part(probe, "httpGet") {
        set(http, "path", "/");
        set(http, "scheme", "HTTP");
    }
    if let Some(grpc) = part(probe, "grpc") {
        set(grpc, "service", "");
    }
}

/// A field of the pod is named as version 1 has it.
fn field_version(source: &mut Value) {
    if let Some(field) = part(source, "fieldRef") {
        set(field, "apiVersion", "v1");
    }
}

fn volume(volume: &mut Value) {
    const MODE: i64 = 0o644;
    let has_source = volume.as_object().is_some_and(|fields| fields.len() > 1);
    if !has_source {
        set(volume, "emptyDir", json!({}));
    }
    for source in ["secret", "configMap", "downwardAPI", "projected"] {
        if let Some(source) = part(volume, source) {
            set(source, "defaultMode", MODE);
        }
    }
    if let Some(host_path) = part(volume, "hostPath") {
        set(host_path, "type", "");
    }
    if let Some(fields) = part(volume, "downwardAPI") {
        each(fields, "items").for_each(field_version);
    }
    let Some(projected) = part(volume, "projected") else { return };
    for source in each(projected, "sources") {
        if let Some(fields) = part(source, "downwardAPI") {
            each(fields, "items").for_each(field_version);
        }
        if let Some(token) = part(source, "serviceAccountToken") {
            set(token, "expirationSeconds", 3600);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_pod_becomes_what_upstream_makes_of_it() {
        let mut small = json!({"spec": {"containers": [{"name": "c", "image": "img"}], "volumes": [{"name": "v"}]}});
        pod(&mut small);
        let expected = json!({"spec": {
            "volumes": [{"name": "v", "emptyDir": {}}],
            "containers": [{"name": "c", "image": "img", "resources": {}, "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File", "imagePullPolicy": "Always"}],
            "restartPolicy": "Always", "terminationGracePeriodSeconds": 30, "dnsPolicy": "ClusterFirst",
            "securityContext": {}, "schedulerName": "default-scheduler", "enableServiceLinks": true}});
        assert_eq!(small, expected);
    }

    #[test]
    fn an_image_with_a_tag_is_pulled_once() {
        for (image, expected) in [
            ("a", true),
            ("a:latest", true),
            ("a:1", false),
            ("host:5000/a", true),
            ("host:5000/a:1", false),
            ("a@sha256:00", false),
        ] {
            assert_eq!(is_latest(image), expected, "{image}");
        }
    }

    #[test]
    fn limits_are_requests_where_nothing_else_is_said() {
        let mut resources = json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}});
        requests_from_limits(&mut resources);
        assert_eq!(resources["requests"], json!({"cpu": "500m", "memory": "1Gi"}));
    }
}
