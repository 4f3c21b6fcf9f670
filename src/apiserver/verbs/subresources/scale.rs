//! `scale`: how many replicas an object has, as the one kind that everything with replicas shares.

use std::sync::Arc;

use api::admission::Operation;
use api::managed::Managers;
use api::meta;
use api::scheme::Resource;
use api::selectors::LabelSelector;
use api::status::Status;
use api::validation::field::Error;
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::super::patch;
use super::super::update::{self, Part};
use super::super::{Call, apply, decode};
use crate::admission::extend;
use crate::cache::Object;
use crate::conversion;
use crate::negotiate::PatchKind;
use crate::objects;
use crate::options::WriteOptions;
use crate::request_info::Verb;
use crate::respond::Answer;

/// Reads or changes the scale of the object that the path names.
pub(super) async fn serve(call: &Call, body: Bytes) -> Result<Answer, Status> {
    match call.request.verb {
        Verb::Get => {
            let found = call.objects().find(&call.resource, call.namespace(), call.name()?)?;
            answer(call, found.to_value().map_err(objects::unreadable)?).await
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
                    let (patch, expected) = (patch::read(form, &body)?, expected()?);
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
        meta::set_at(&mut part, wanted_at(resource), replicas.clone());
    }
    let (applied, part) = (&applied, &part);
    let change = |current: Arc<Object>, old: Value| async move {
        update::check_version(call, &current, &old, applied)?;
        let old = conversion::from_storage(&call.server, resource, old).await?;
        let (mut new, managers) = apply::apply(call, Part::Scale, &old, Managers::of(&old), part, options)?;
        let scale = admitted(call, &old, of(resource, &new), options).await?;
        set_wanted(resource, &mut new, &scale);
        update::transition(call, Part::Scale, (old, new), Some(managers), options.keep).await
    };
    let changed = call.objects().change(resource, call.namespace(), call.name()?, options.keep, change).await?;
    answer(call, changed.into_value()).await
}

/// Changes the scale by a function of what it is now.
async fn change(
    call: &Call,
    options: &WriteOptions,
    change: impl Fn(&Value) -> Result<Value, Status> + Sync,
) -> Result<Answer, Status> {
    let resource = &call.resource;
    let change = &change;
    let change = |current: Arc<Object>, old: Value| async move {
        let old = conversion::from_storage(&call.server, resource, old).await?;
        let mut wanted = change(&of(resource, &old))?;
        update::check_identity(call, &mut wanted)?;
        update::check_version(call, &current, &old, &wanted)?;
        let wanted = admitted(call, &old, wanted, options).await?;
        let mut new = old.clone();
        set_wanted(resource, &mut new, &wanted);
        update::transition(call, Part::Scale, (old, new), None, options.keep).await
    };
    let changed = call.objects().change(resource, call.namespace(), call.name()?, options.keep, change).await?;
    answer(call, changed.into_value()).await
}

/// The scale as policies and webhooks leave it, checked.
async fn admitted(call: &Call, old: &Value, mut wanted: Value, options: &WriteOptions) -> Result<Value, Status> {
    let old = of(&call.resource, old);
    let change = extend::Change {
        operation: Operation::Update,
        subresource: Part::Scale.subresource(),
        keep: options.keep,
        old: Some(&old),
    };
    extend::mutate(call, &change, Some(&mut wanted)).await?;
    check(call, &wanted)?;
    Ok(wanted)
}

fn set_wanted(resource: &Resource, object: &mut Value, scale: &Value) {
    let replicas = scale.pointer("/spec/replicas").cloned().unwrap_or_else(|| 0.into());
    meta::set_at(object, wanted_at(resource), replicas);
}

fn expected() -> Result<decode::Expected<'static>, Status> {
    decode::Expected::builtin("autoscaling", "v1", "Scale")
}

fn check(call: &Call, scale: &Value) -> Result<(), Status> {
    let replicas = scale.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(0);
    if replicas >= 0 {
        return Ok(());
    }
    let errors = vec![Error::invalid("spec.replicas", replicas, "must be greater than or equal to 0")];
    Err(Status::invalid("autoscaling", "Scale", call.name()?, errors))
}

/// The scale of an object as it is stored.
async fn answer(call: &Call, stored: Value) -> Result<Answer, Status> {
    let object = conversion::from_storage(&call.server, &call.resource, stored).await?;
    Ok(super::super::object(of(&call.resource, &object)))
}

/// Where the number of replicas that are wanted is.
fn wanted_at(resource: &Resource) -> &str {
    resource.scale().map_or("/spec/replicas", |scale| &scale.wanted)
}

/// The scale of an object.
pub(crate) fn of(resource: &Resource, object: &Value) -> Value {
    let mut metadata = Map::new();
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = object.pointer(&format!("/metadata/{field}")) {
            metadata.insert(field.to_owned(), value.clone());
        }
    }
    let number = |pointer: &str| object.pointer(pointer).and_then(Value::as_i64).unwrap_or(0);
    let own = resource.scale();
    let spec = match number(wanted_at(resource)) {
        0 => json!({}),
        replicas => json!({ "replicas": replicas }),
    };
    let mut status = json!({"replicas": number(own.map_or("/status/replicas", |scale| &scale.found))});
    let selector = match own {
        Some(scale) => object.pointer(&scale.selector).and_then(Value::as_str).unwrap_or_default().to_owned(),
        None => LabelSelector::of_replicas(object).map(|selector| selector.to_string()).unwrap_or_default(),
    };
    if !selector.is_empty() {
        meta::set_at(&mut status, "/selector", selector.into());
    }
    json!({"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata, "spec": spec, "status": status})
}
