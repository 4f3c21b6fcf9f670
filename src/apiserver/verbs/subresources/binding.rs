//! `pods/binding`, and `bindings` of old: the scheduler says on which node a pod runs. A pod is bound once.

use api::meta;
use api::scheme::Resource;
use api::status::Status;
use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::{Call, decode, update};
use crate::admission::extend;
use crate::admission::pods::label_by_node;
use crate::objects::Change;
use crate::options::WriteOptions;
use crate::respond::Answer;

/// Binds the pod that the path names to the node in the body.
pub(super) async fn serve(call: &Call, body: Bytes) -> Result<Answer, Status> {
    let options = WriteOptions::read(&call.query, "CreateOptions")?;
    let expected = decode::Expected::builtin("", "v1", "Binding")?;
    let mut binding = decode::object(call, &expected, &body, options.field_validation)?;
    if meta::name(&binding) != call.name()? {
        return Err(Status::bad_request("name in URL does not match name in Binding object"));
    }
    extend::admit(call, &extend::Change::of_request("binding", options.keep), &mut binding).await?;
    bound(call, &call.resource, &binding, &options).await
}

/// Binds the pod that the binding names.
pub(in super::super) async fn bound(
    call: &Call,
    pods: &Resource,
    binding: &Value,
    options: &WriteOptions,
) -> Result<Answer, Status> {
    let target = binding.get("target").cloned().unwrap_or_default();
    let node = target.get("name").and_then(Value::as_str).unwrap_or_default();
    check(binding, &target, node)?;
    let now = update::stamp();
    let bound = call.objects().change(pods, call.namespace(), meta::name(binding), options.keep, |_, old| async move {
        let mut bound = bind(pods, &old, binding, node, now)?;
        if let Change::Put(pod) = &mut bound {
            label_by_node(call, pod, node);
        }
        Ok(bound)
    });
    bound.await?;
    Ok(Answer::created())
}

fn check(binding: &Value, target: &Value, node: &str) -> Result<(), Status> {
    use api::validation::field::Error;
    let mut errors = Vec::new();
    match target.get("kind").and_then(Value::as_str).unwrap_or_default() {
        "" | "Node" => {}
        other => errors.push(Error::not_supported("target.kind", other, &["Node", "<empty>"])),
    }
    if node.is_empty() {
        errors.push(Error::required("target.name", ""));
    }
    if errors.is_empty() { Ok(()) } else { Err(Status::invalid("", "Binding", meta::name(binding), errors)) }
}

/// The pod after the binding: its node, the binding's annotations and the condition `PodScheduled`.
fn bind(resource: &Resource, old: &Value, binding: &Value, node: &str, now: Timestamp) -> Result<Change, Status> {
    let name = meta::name(old);
    let conflict = |text: &str| Err(Status::conflict(&resource.group, "pods/binding", name, text));
    let uid = meta::uid(binding).unwrap_or_default();
    if !uid.is_empty() && meta::uid(old) != Some(uid) {
        let found = meta::uid(old).unwrap_or_default();
        return conflict(&format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {found}"));
    }
    if meta::deletion_timestamp(old).is_some() {
        return conflict(&format!("pod {name} is being deleted, cannot be assigned to a host"));
    }
    if let Some(bound) = old.pointer("/spec/nodeName").and_then(Value::as_str).filter(|bound| !bound.is_empty()) {
        return conflict(&format!("pod {name} is already assigned to node \"{bound}\""));
    }
    if old.pointer("/spec/schedulingGates").and_then(Value::as_array).is_some_and(|gates| !gates.is_empty()) {
        return conflict(&format!("pod {name} has non-empty .spec.schedulingGates"));
    }
    let mut new = old.clone();
    meta::set_at(&mut new, "/spec/nodeName", node.into());
    for (key, value) in binding.pointer("/metadata/annotations").and_then(Value::as_object).into_iter().flatten() {
        meta::set_annotation(&mut new, key, value.as_str().unwrap_or_default());
    }
    let condition = json!({"type": "PodScheduled", "status": "True", "lastProbeTime": null,
        "lastTransitionTime": meta::time(now)});
    meta::set_condition(&mut new, condition);
    Ok(Change::Put(new))
}
