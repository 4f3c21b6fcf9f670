//! Admission by what extends the server: policies and webhooks, in upstream's order.

use api::admission::{Attributes, Operation};
use api::meta;
use api::scheme::{GroupVersionKind, Resource};
use api::status::Status;
use serde_json::{Map, Value, json};

use crate::options::Keep;
use crate::request_info::Verb;
use crate::verbs::{Call, decode};
use crate::{policies, webhooks};

/// What is done to an object, as policies and webhooks are told.
pub(crate) struct Change<'a> {
    pub operation: Operation,
    /// The part that is written; empty for the object itself.
    pub subresource: &'a str,
    pub keep: Keep,
    pub old: Option<&'a Value>,
}

impl<'a> Change<'a> {
    /// What is asked for and not stored.
    pub(crate) fn of_request(subresource: &'a str, keep: Keep) -> Self {
        Self { operation: Operation::Create, subresource, keep, old: None }
    }

    /// A connection to the object that the path names.
    pub(crate) fn of_connection(subresource: &'a str) -> Self {
        Self { operation: Operation::Connect, subresource, keep: Keep::Stored, old: None }
    }
}

/// Has policies and webhooks change the object; whether one did. Of what is about to go there is none, and nothing to
/// change: only webhooks are asked.
pub(crate) async fn mutate(call: &Call, change: &Change<'_>, mut object: Option<&mut Value>) -> Result<bool, Status> {
    if !policies::may_mutate(call) && !webhooks::may_mutate(call) {
        return Ok(false);
    }
    let (options, user) = (options(call, change), call.user.to_value());
    let name = name(call, change, object.as_deref()).to_owned();
    let attributes = attributes(call, change, &name, (&options, &user));
    let by_policies = match &mut object {
        Some(object) => policies::mutate(call, &attributes, object).await?,
        None => false,
    };
    Ok(webhooks::mutate(call, &attributes, object).await? || by_policies)
}

/// Has policies and webhooks look at what is about to be stored; `None` for what is about to go.
pub(crate) async fn validate(call: &Call, change: &Change<'_>, object: Option<&Value>) -> Result<(), Status> {
    if !policies::may_validate(call) && !webhooks::may_validate(call) {
        return Ok(());
    }
    let (options, user) = (options(call, change), call.user.to_value());
    let attributes = attributes(call, change, name(call, change, object), (&options, &user));
    let attributes = Attributes { object, ..attributes };
    policies::validate(call, &attributes).await?;
    webhooks::validate(call, &attributes).await
}

/// Has policies and webhooks change, then look at, what is asked for and not stored: a review, a token, a binding, an
/// eviction, a connection.
pub(crate) async fn admit(call: &Call, change: &Change<'_>, object: &mut Value) -> Result<(), Status> {
    mutate(call, change, Some(object)).await?;
    validate(call, change, Some(object)).await
}

/// Asks webhooks and policies about the end of `old`.
pub(crate) async fn admit_deletion(call: &Call, keep: Keep, old: &Value) -> Result<(), Status> {
    let change = Change { operation: Operation::Delete, subresource: "", keep, old: Some(old) };
    mutate(call, &change, None).await?;
    validate(call, &change, None).await
}

/// Whether anybody is asked about deletions.
pub(crate) fn is_asked(call: &Call) -> bool {
    webhooks::may_mutate(call) || policies::may_validate(call) || webhooks::may_validate(call)
}

/// An object that a policy or webhook changed as one of its kind, with defaults.
///
/// # Errors
/// What keeps it from being one, as a text.
pub(crate) fn read(attributes: &Attributes<'_>, changed: Value) -> Result<Value, String> {
    let (resource, kind) = (attributes.resource, &attributes.kind);
    if kind.kind == resource.kind {
        let mut object = resource.decode(changed).map_err(|error| error.to_string())?.object;
        resource.set_defaults(&mut object);
        return Ok(object);
    }
    match decode::Expected::builtin(&kind.group, &kind.version, &kind.kind) {
        Ok(expected) => expected.decode(changed).map(|decoded| decoded.object).map_err(|error| error.to_string()),
        // The options of a connection are in no schema.
        Err(_) => Ok(changed),
    }
}

/// The name that a request is about; empty where it is still to be generated.
fn name<'v>(call: &'v Call, change: &Change<'v>, object: Option<&'v Value>) -> &'v str {
    let of_object = || object.or(change.old).map(meta::name).unwrap_or_default();
    call.request.name.as_deref().unwrap_or_else(of_object)
}

/// A request as they are told of it, without its object.
fn attributes<'a>(
    call: &'a Call,
    change: &Change<'a>,
    name: &'a str,
    (options, user): (&'a Value, &'a Value),
) -> Attributes<'a> {
    let resource: &Resource = &call.resource;
    let is_namespace = resource.group.is_empty() && resource.plural == "namespaces";
    let part = resource.subresource(change.subresource);
    Attributes {
        operation: change.operation,
        resource,
        subresource: change.subresource,
        kind: part.map_or_else(|| resource.group_version_kind(), |part| GroupVersionKind::clone(&part.kind)),
        namespace: if is_namespace { name } else { call.namespace().unwrap_or_default() },
        name,
        object: None,
        old: change.old,
        options,
        is_dry_run: change.keep == Keep::DryRun,
        user,
    }
}

/// The request's own options, as `meta.k8s.io/v1` has them; a connection has none beside its object.
fn options(call: &Call, change: &Change<'_>) -> Value {
    if change.operation == Operation::Connect {
        return Value::Null;
    }
    let kind = match call.request.verb {
        Verb::Create => "CreateOptions",
        Verb::Update => "UpdateOptions",
        Verb::Patch => "PatchOptions",
        Verb::Delete | Verb::DeleteCollection => "DeleteOptions",
        Verb::Get | Verb::List | Verb::Watch => "GetOptions",
    };
    let mut options = Map::new();
    options.insert("apiVersion".to_owned(), "meta.k8s.io/v1".into());
    options.insert("kind".to_owned(), kind.into());
    if change.keep == Keep::DryRun {
        options.insert("dryRun".to_owned(), json!(["All"]));
    }
    for name in ["fieldManager", "fieldValidation"] {
        options.extend(call.query.find(name).map(|value| (name.to_owned(), value.into())));
    }
    Value::Object(options)
}
