//! PUT of an object: the whole of it is replaced, if it is still the one that the client read.

use std::sync::Arc;

use api::admission::Operation;
use api::managed::Managers;
use api::meta;
use api::scheme::{Resource, Scope};
use api::status::Status;
use base::clock;
use bytes::Bytes;
use http::StatusCode;
use serde_json::Value;

use super::subresources::scale;
use super::{Call, create, decode};
use crate::admission::{self, extend};
use crate::cache::Object;
use crate::conversion;
use crate::field_manager;
use crate::objects::{Change, Changed};
use crate::options::{Keep, WriteOptions};
use crate::respond::Answer;
use crate::server::ApiServer;

/// Which part of an object a write is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Part {
    /// All but the status.
    Main,
    /// The status alone.
    Status,
    /// The conditions of a certificate request alone, and its verdict among them.
    Approval,
    /// A namespace's `spec.finalizers` alone.
    Finalizers,
    /// The number of replicas alone.
    Scale,
}

impl Part {
    /// The subresource that writes it; empty for the main one.
    pub(crate) fn subresource(self) -> &'static str {
        match self {
            Self::Main => "",
            Self::Status => "status",
            Self::Approval => "approval",
            Self::Finalizers => "finalize",
            Self::Scale => "scale",
        }
    }
}

/// Replaces the object by the one in the body.
pub(crate) async fn serve(call: &Call, body: Bytes) -> Result<Answer, Status> {
    let options = WriteOptions::read(&call.query, "UpdateOptions")?;
    let mut new = decode::object(call, &decode::Expected::of(&call.resource), &body, options.field_validation)?;
    check_identity(call, &mut new)?;
    match replace(call, &new, Part::Main, &options).await {
        Err(status) if status.is_not_found() && call.resource.strategy.allows_create_on_update => {
            if meta::uid(&new).is_some_and(|uid| !uid.is_empty()) {
                return Err(status);
            }
            let value = create::create(call, new, &options, None).await?;
            Ok(Answer::Object { value, code: StatusCode::CREATED })
        }
        replaced => Ok(super::object(replaced?)),
    }
}

/// Replaces one part of the object that the path names.
pub(crate) async fn replace(call: &Call, new: &Value, part: Part, options: &WriteOptions) -> Result<Value, Status> {
    let resource = &call.resource;
    let change = |current: Arc<Object>, old: Value| async move {
        check_version(call, &current, &old, new)?;
        let old = conversion::from_storage(&call.server, resource, old).await?;
        transition(call, part, (old, new.clone()), None, options.keep).await
    };
    let changed = call.objects().change(resource, call.namespace(), call.name()?, options.keep, change).await?;
    conversion::from_storage(&call.server, resource, changed.into_value()).await
}

/// What becomes of `old` when a patch makes `new` of it, if it is still the one that the client read.
pub(crate) async fn changed_to(
    call: &Call,
    part: Part,
    (current, old): (Arc<Object>, Value),
    mut new: Value,
    managers: Option<Managers>,
    keep: Keep,
) -> Result<Change, Status> {
    check_identity(call, &mut new)?;
    check_version(call, &current, &old, &new)?;
    transition(call, part, (old, new), managers, keep).await
}

/// The object that replaces `old` when a client sends `new`: metadata that clients do not own is carried over, the
/// strategy keeps what this part may not change, admission may add, and everything is checked. Who manages what then is
/// found by comparing both, unless the caller knows.
pub(crate) async fn transition(
    call: &Call,
    part: Part,
    (old, mut new): (Value, Value),
    managers: Option<Managers>,
    keep: Keep,
) -> Result<Change, Status> {
    let resource = &call.resource;
    meta::fill_update(&mut new, &old);
    resource.set_defaults(&mut new);
    let managers = managers.unwrap_or_else(|| field_manager::of_updated(call, part, &old, &new));
    let change =
        extend::Change { operation: Operation::Update, subresource: part.subresource(), keep, old: Some(&old) };
    // Who may change a scale was asked about it as a scale.
    if part != Part::Scale {
        extend::mutate(call, &change, Some(&mut new)).await?;
    }
    match part {
        Part::Main | Part::Scale => resource.prepare_update(&mut new, &old),
        Part::Status => resource.prepare_status(&mut new, &old, clock::now_seconds()),
        Part::Approval => {
            new = conversion::with_conditions_alone(new, &old);
            resource.stamp_status(&mut new, &old, clock::now_seconds());
        }
        Part::Finalizers => new = conversion::with_finalizers_alone(new, &old),
    }
    admission::admit_update(call, part, &mut new, &old)?;
    managers.put(&mut new);
    let mut errors = meta::validate_update(&new, &old, resource);
    errors.extend(match part {
        Part::Main | Part::Scale => resource.validate_update(&new, &old),
        Part::Status => resource.validate_status(&new, &old),
        Part::Approval => api::validation::certificate_signing_request::request_update(&new, &old),
        Part::Finalizers => api::validation::small::namespace_finalize(&new, &old),
    });
    if !errors.is_empty() {
        return Err(Status::invalid(&resource.group, &resource.kind, meta::name(&new), errors));
    }
    if part == Part::Scale {
        let (new, old) = (scale::of(resource, &new), scale::of(resource, &old));
        extend::validate(call, &extend::Change { old: Some(&old), ..change }, Some(&new)).await?;
    } else {
        extend::validate(call, &change, Some(&new)).await?;
    }
    if part == Part::Main {
        resource.warnings(&new, Some(&old)).into_iter().for_each(|warning| call.warn(warning));
    }
    settle(&call.server, resource, new).await
}

/// A change that leaves a deleted object without finalizers and without grace removes it.
pub(crate) async fn settle(server: &ApiServer, resource: &Resource, new: Value) -> Result<Change, Status> {
    let is_deleted = meta::deletion_timestamp(&new).is_some();
    let is_waiting = !meta::finalizers(&new).is_empty() || conversion::awaits_finalize(resource, &new);
    let has_grace = meta::deletion_grace_seconds(&new).is_some_and(|seconds| seconds > 0);
    let stored = conversion::to_storage(server, resource, new).await?;
    Ok(if is_deleted && !is_waiting && !has_grace { Change::Remove(stored) } else { Change::Put(stored) })
}

/// The name and namespace in the body are those of the path.
pub(crate) fn check_identity(call: &Call, new: &mut Value) -> Result<(), Status> {
    let name = call.name()?;
    let said = meta::name(new).to_owned();
    if said.is_empty() {
        meta::set_name(new, name);
    } else if said != name {
        let text = format!("the name of the object ({said}) does not match the name on the URL ({name})");
        return Err(Status::bad_request(text));
    }
    if call.resource.scope == Scope::Cluster {
        // What has no namespace loses what it says of one, as upstream.
        meta::remove(new, "namespace");
    } else if let Some(wanted) = call.namespace() {
        match meta::namespace(new).filter(|said| !said.is_empty()) {
            None => meta::set_namespace(new, wanted),
            Some(said) if said == wanted => {}
            Some(said) => {
                let text =
                    format!("the namespace of the object ({said}) does not match the namespace on the URL ({wanted})");
                return Err(Status::bad_request(text));
            }
        }
    }
    Ok(())
}

/// The object must still be the one that the client read: same uid, same version, where the client says them.
pub(crate) fn check_version(call: &Call, current: &Object, old: &Value, new: &Value) -> Result<(), Status> {
    let resource = &call.resource;
    let conflict = |text: &str| Status::conflict(&resource.group, &resource.plural, current.name(), text);
    let uid = meta::uid(new).unwrap_or_default();
    let stored = meta::uid(old).unwrap_or_default();
    if !uid.is_empty() && uid != stored {
        return Err(conflict(&format!(
            "StorageError: invalid object, Code: 4, Key: /registry/{}/{}, ResourceVersion: 0, AdditionalErrorMsg: \
             Precondition failed: UID in precondition: {uid}, UID in object meta: {stored}",
            resource.plural, current.key
        )));
    }
    match meta::resource_version(new).unwrap_or_default() {
        "" | "0" if !resource.strategy.allows_unconditional_update => {
            let errors = vec![api::validation::field::Error::invalid(
                "metadata.resourceVersion",
                0,
                "must be specified for an update",
            )];
            Err(Status::invalid(&resource.group, &resource.kind, current.name(), errors))
        }
        "" | "0" => Ok(()),
        version if version == current.revision.0.to_string() => Ok(()),
        version if version.parse::<u64>().is_err() => {
            let quoted = Value::from(version);
            Err(Status::internal_plain(format!("strconv.ParseUint: parsing {quoted}: invalid syntax")))
        }
        _ => Err(Status::modified(&resource.group, &resource.plural, current.name())),
    }
}

/// The instant that a write stamps into objects.
pub(crate) fn stamp() -> jiff::Timestamp {
    clock::now_seconds()
}

/// A change that was made, as the verb's answer.
pub(crate) async fn changed(call: &Call, changed: Changed) -> Result<Answer, Status> {
    Ok(super::object(conversion::from_storage(&call.server, &call.resource, changed.into_value()).await?))
}
