//! `scale`: how many replicas an object has, as the one kind that everything with replicas shares.

use api::managed::Managers;
use api::meta;
use api::schema::Schemas;
use api::selectors::LabelSelector;
use api::status::Status;
use api::validation::field::Error;
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::super::patch;
use super::super::update::{self, Part};
use super::super::{Call, apply, decode};
use crate::negotiate::PatchKind;
use crate::objects;
use crate::options::WriteOptions;
use crate::request_info::Verb;
use crate::respond::Answer;

const DEFINITION: &str = "io.k8s.api.autoscaling.v1.Scale";

/// Reads or changes the scale of the object that the path names.
pub(super) async fn serve(call: &Call, body: Bytes) -> Result<Answer, Status> {
    match call.request.verb {
        Verb::Get => {
            let found = call.objects().find(&call.resource, call.namespace(), call.name()?)?;
            let object = found.to_value().map_err(objects::unreadable)?;
            Ok(super::super::object(scale(&object)))
        }
        Verb::Update => {
            let options = WriteOptions::read(&call.query, "UpdateOptions")?;
            let new = decode::object(call, &expected()?, &body, options.field_validation)?;
            change(call, &options, |_| Ok(new.clone())).await
        }
        Verb::Patch => {
            let (kind, options) = patch::asked(call)?;
            match kind {
                PatchKind::Apply => apply_scale(call, &body, &options).await,
                PatchKind::Of(form) => {
                    let (patch, expected) = (patch::read(&body)?, expected()?);
                    let patched = |old: &Value| patch::patched(call, &expected, form, old, &patch, &options);
                    change(call, &options, patched).await
                }
            }
        }
        _ => Err(Status::method_not_supported()),
    }
}

/// Applies a scale: its manager then owns the replicas of the object, for this subresource.
async fn apply_scale(call: &Call, body: &Bytes, options: &WriteOptions) -> Result<Answer, Status> {
    let resource = &call.resource;
    let applied = apply::read(call, body, options, "autoscaling/v1", "Scale")?;
    let mut part = json!({"apiVersion": resource.api_version(), "kind": resource.kind, "metadata": {}, "spec": {}});
    meta::set_name(&mut part, call.name()?);
    if let Some(replicas) = applied.pointer("/spec/replicas") {
        meta::set_at(&mut part, "/spec/replicas", replicas.clone());
    }
    let changed = call.objects().change(resource, call.namespace(), call.name()?, options.keep, |current, old| {
        update::check_version(call, current, &old, &applied)?;
        let (new, managers) = apply::apply(call, Part::Scale, &old, Managers::of(&old), &part, options)?;
        check(call, &new)?;
        update::transition(call, Part::Scale, old, new, Some(managers))
    });
    Ok(super::super::object(scale(&changed.await?.into_value())))
}

/// Changes the scale by a function of what it is now.
async fn change(
    call: &Call,
    options: &WriteOptions,
    mut change: impl FnMut(&Value) -> Result<Value, Status>,
) -> Result<Answer, Status> {
    let resource = &call.resource;
    let changed = call.objects().change(resource, call.namespace(), call.name()?, options.keep, |current, old| {
        let mut wanted = change(&scale(&old))?;
        update::check_identity(call, &mut wanted)?;
        update::check_version(call, current, &old, &wanted)?;
        check(call, &wanted)?;
        let mut new = old.clone();
        let replicas = wanted.pointer("/spec/replicas").cloned().unwrap_or_else(|| 0.into());
        meta::set_at(&mut new, "/spec/replicas", replicas);
        update::transition(call, Part::Scale, old, new, None)
    });
    Ok(super::super::object(scale(&changed.await?.into_value())))
}

fn expected() -> Result<decode::Expected<'static>, Status> {
    let schema = Schemas::builtin().named(DEFINITION).ok_or_else(|| Status::internal("the schema has no Scale"))?;
    Ok(decode::Expected { group: "autoscaling", version: "v1", kind: "Scale", schema })
}

fn check(call: &Call, scale: &Value) -> Result<(), Status> {
    let replicas = scale.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(0);
    if replicas >= 0 {
        return Ok(());
    }
    let errors = vec![Error::invalid("spec.replicas", replicas, "must be greater than or equal to 0")];
    Err(Status::invalid("autoscaling", "Scale", call.name()?, errors))
}

/// The scale of an object.
fn scale(object: &Value) -> Value {
    let mut metadata = Map::new();
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = object.pointer(&format!("/metadata/{field}")) {
            metadata.insert(field.to_owned(), value.clone());
        }
    }
    let number = |pointer: &str| object.pointer(pointer).and_then(Value::as_i64).unwrap_or(0);
    let spec = match number("/spec/replicas") {
        0 => json!({}),
        replicas => json!({ "replicas": replicas }),
    };
    let mut status = json!({"replicas": number("/status/replicas")});
    let selector = LabelSelector::of_replicas(object).map(|selector| selector.to_string()).unwrap_or_default();
    if !selector.is_empty() {
        meta::set_at(&mut status, "/selector", selector.into());
    }
    json!({"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata, "spec": spec, "status": status})
}
