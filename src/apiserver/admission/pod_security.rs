//! `PodSecurity`: a namespace's labels say how much its pods may ask for: `enforce` refuses pods, `warn` tells whoever
//! writes them or what makes them. There is no audit log, so `audit` says nothing.
//!
//! The standards are [`api::pod_security`]'s; a version that is named is told and the newest is applied.

use api::meta;
use api::pod_security::{Level, violations};
use api::status::Status;
use api::validation::field::Error;
use serde_json::Value;

use crate::authorization::Facts as _;
use crate::verbs::Call;

const PREFIX: &str = "pod-security.kubernetes.io/";

/// Where the spec of pods is in what makes them.
const TEMPLATES: [(&str, &str); 8] = [
    ("cronjobs", "/spec/jobTemplate/spec/template/spec"),
    ("podtemplates", "/template/spec"),
    ("replicationcontrollers", "/spec/template/spec"),
    ("replicasets", "/spec/template/spec"),
    ("deployments", "/spec/template/spec"),
    ("statefulsets", "/spec/template/spec"),
    ("daemonsets", "/spec/template/spec"),
    ("jobs", "/spec/template/spec"),
];

/// Refuses a pod that violates what its namespace enforces, and warns of what it would violate.
pub(super) fn check(call: &Call, object: &Value) -> Result<(), Status> {
    let plural = &*call.resource.plural;
    let is_pod = call.resource.group.is_empty() && plural == "pods";
    let place = match is_pod {
        true => Some("/spec"),
        false => TEMPLATES.iter().find(|(made, _)| *made == plural).map(|(_, place)| *place),
    };
    let Some(spec) = place.and_then(|place| object.pointer(place)) else { return Ok(()) };
    let Some(namespace) = call.namespace().and_then(|name| call.server.object("", "namespaces", None, name)) else {
        return Ok(());
    };
    let found = |mode: &str| {
        let level = Level::parse(meta::label(&namespace, &format!("{PREFIX}{mode}"))?)?;
        let version = meta::label(&namespace, &format!("{PREFIX}{mode}-version")).unwrap_or("latest");
        let told = violations(spec, level);
        let level = meta::label(&namespace, &format!("{PREFIX}{mode}")).unwrap_or_default();
        (!told.is_empty()).then(|| format!("violate PodSecurity \"{level}:{version}\": {told}"))
    };
    if is_pod && let Some(why) = found("enforce") {
        let why = why.replacen("violate", "violates", 1);
        return Err(Status::forbidden("", "pods", meta::name(object), &why));
    }
    found("warn").into_iter().for_each(|why| call.warn(format!("would {why}")));
    Ok(())
}

/// A namespace names levels that there are.
pub(super) fn check_namespace(namespace: &Value) -> Result<(), Status> {
    let mut errors = Vec::new();
    for mode in ["enforce", "audit", "warn"] {
        let key = format!("{PREFIX}{mode}");
        if let Some(level) = meta::label(namespace, &key).filter(|level| Level::parse(level).is_none()) {
            let detail = "must be one of privileged, baseline, restricted";
            errors.push(Error::invalid(format!("metadata.labels[{key}]"), level, detail));
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(Status::invalid("", "Namespace", meta::name(namespace), errors)) }
}
