//! Server-side apply: a manager says what it wants of an object, which is made if it is not there.

use std::sync::Arc;

use api::decode::{self as text, Parsed};
use api::managed::{ApplyError, Managers, Operation};
use api::meta;
use api::status::Status;
use bytes::Bytes;
use http::StatusCode;
use serde_json::Value;

use super::update::{self, Part};
use super::{Call, create, decode};
use crate::cache::Object;
use crate::conversion;
use crate::field_manager;
use crate::options::{FieldValidation, WriteOptions};
use crate::respond::Answer;

/// How often an application begins anew because the object came or went meanwhile.
const ROUNDS_MAX: usize = 8;

/// Applies the configuration in `body` to a part of the object that the path names.
pub(crate) async fn serve(call: &Call, body: &Bytes, part: Part, options: &WriteOptions) -> Result<Answer, Status> {
    let resource = &call.resource;
    let applied = read(call, body, options, &resource.api_version(), &resource.kind)?;
    for _ in 0..ROUNDS_MAX {
        match change(call, &applied, part, options).await {
            Err(status) if status.is_not_found() && part == Part::Main => {}
            changed => return changed,
        }
        match create(call, &applied, options).await {
            Err(status) if status.is_already_exists() => {}
            created => return created,
        }
    }
    Err(Status::conflict(
        &resource.group,
        &resource.plural,
        call.name()?,
        "the object comes and goes; please try again",
    ))
}

/// Reads the configuration: YAML, or JSON, which is YAML.
pub(super) fn read(
    call: &Call,
    body: &Bytes,
    options: &WriteOptions,
    api_version: &str,
    kind: &str,
) -> Result<Value, Status> {
    let undecoded = |error: text::DecodeError| {
        let error = error.to_string();
        Status::bad_request(format!("error decoding YAML: error converting YAML to JSON: {error}"))
    };
    let parsed = text::parse_yaml(body).map_err(undecoded)?;
    let mut applied = parsed.value;
    if !applied.is_object() {
        let found = text::go_kind(&applied);
        let message = format!("json: cannot unmarshal {found} into Go value of type map[string]interface {{}}");
        return Err(Status::bad_request(format!(
            "error decoding YAML: error unmarshaling JSON: while decoding JSON: {message}"
        )));
    }
    match options.field_validation {
        FieldValidation::Strict if !parsed.duplicates.is_empty() => {
            let found = parsed.duplicates.join(", ");
            return Err(Status::bad_request(format!("error strict decoding YAML: {found}")));
        }
        FieldValidation::Warn => parsed.duplicates.iter().for_each(|duplicate| decode::warn(call, duplicate)),
        FieldValidation::Strict | FieldValidation::Ignore => {}
    }
    check_kind(&applied, api_version, kind)?;
    update::check_identity(call, &mut applied)?;
    if applied.pointer("/metadata/managedFields").is_some_and(|managers| !managers.is_null()) {
        return Err(Status::bad_request("metadata.managedFields must be nil"));
    }
    Ok(applied)
}

fn check_kind(applied: &Value, wanted: &str, kind: &str) -> Result<(), Status> {
    let said = meta::api_version(applied);
    if said != wanted {
        return Err(Status::bad_request(format!(
            "Incorrect version specified in apply patch. Specified patch version: {said}, expected: {wanted}"
        )));
    }
    if meta::kind(applied) != kind {
        let kind = meta::kind(applied);
        return Err(Status::bad_request(format!("invalid object type: {wanted}, Kind={kind}")));
    }
    Ok(())
}

/// Applies to the object that is there.
async fn change(call: &Call, applied: &Value, part: Part, options: &WriteOptions) -> Result<Answer, Status> {
    let resource = &call.resource;
    let change = |current: Arc<Object>, old: Value| async move {
        let old = conversion::from_storage(&call.server, resource, old).await?;
        let (new, managers) = apply(call, part, &old, Managers::of(&old), applied, options)?;
        update::changed_to(call, part, (current, old), new, Some(managers), options.keep).await
    };
    let changed = call.objects().change(resource, call.namespace(), call.name()?, options.keep, change).await?;
    update::changed(call, changed).await
}

/// Makes the object that is not there yet.
async fn create(call: &Call, applied: &Value, options: &WriteOptions) -> Result<Answer, Status> {
    let resource = &call.resource;
    if let Some(uid) = meta::uid(applied).filter(|uid| !uid.is_empty()) {
        let why = format!("uid mismatch: the provided object specified uid {uid}, and no existing object was found");
        return Err(Status::conflict(&resource.group, &resource.plural, call.name()?, &why));
    }
    if meta::resource_version(applied).is_some() {
        return Err(Status::not_found(&resource.group, &resource.plural, call.name()?));
    }
    let empty = field_manager::on_write(call, Part::Main, Operation::Apply, |write| write.empty());
    let (object, managers) = apply(call, Part::Main, &empty, Managers::default(), applied, options)?;
    let value = create::create(call, object, options, Some(managers)).await?;
    Ok(Answer::Object { value, code: StatusCode::CREATED })
}

/// What `applied` makes of `live`, in canonical form, and who manages what then.
pub(super) fn apply(
    call: &Call,
    part: Part,
    live: &Value,
    managers: Managers,
    applied: &Value,
    options: &WriteOptions,
) -> Result<(Value, Managers), Status> {
    let done = field_manager::on_write(call, part, Operation::Apply, |write| {
        write.apply(live, managers, applied, options.force)
    });
    let done = done.map_err(|error| refused(applied, error))?;
    let expected = decode::Expected::of(&call.resource);
    let object = decode::typed(
        call,
        &expected,
        Parsed { value: done.object, duplicates: Vec::new() },
        None,
        FieldValidation::Ignore,
    )?;
    Ok((object, done.managers))
}

/// An application that cannot be, as upstream answers it.
fn refused(applied: &Value, error: ApplyError) -> Status {
    match error {
        ApplyError::Conflicts(conflicts) => Status::apply_conflict(conflicts),
        ApplyError::Unfit(_) => {
            let or_unknown = |text: &str| if text.is_empty() { "<unknown>".to_owned() } else { text.to_owned() };
            let namespace = meta::namespace(applied).unwrap_or_default();
            let api_version = meta::api_version(applied);
            let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
            let kind = format!("{}, Kind={}", [group, version].join("/"), meta::kind(applied));
            let name = or_unknown(meta::name(applied));
            Status::internal_plain(format!("failed to create typed patch object ({namespace}/{name}; {kind}): {error}"))
        }
    }
}
