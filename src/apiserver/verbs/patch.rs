//! PATCH: a change of parts, applied to whatever the object is now.
//!
//! A patch without `resourceVersion` is applied anew when another writer was faster, as often as it takes; one that
//! names a version conflicts.

use std::sync::Arc;

use api::decode::{self as text, Parsed};
use api::meta;
use api::patch::Form;
use api::status::Status;
use bytes::Bytes;
use serde_json::Value;

use super::update::{self, Part};
use super::{Call, apply, decode};
use crate::cache::Object;
use crate::conversion;
use crate::negotiate::{self, PatchKind};
use crate::options::WriteOptions;
use crate::respond::Answer;

/// Patches the object that the path names.
pub(crate) async fn serve(call: &Call, body: Bytes) -> Result<Answer, Status> {
    serve_part(call, body, Part::Main).await
}

/// The same for one part of it.
pub(crate) async fn serve_part(call: &Call, body: Bytes, part: Part) -> Result<Answer, Status> {
    let (kind, options) = asked(call)?;
    let form = match kind {
        PatchKind::Apply => return Box::pin(apply::serve(call, &body, part, &options)).await,
        PatchKind::Of(form) => form,
    };
    let patch = read(form, &body)?;
    let resource = &call.resource;
    let expected = decode::Expected::of(resource);
    let (expected, patch, options) = (&expected, &patch, &options);
    let change = |current: Arc<Object>, old: Value| async move {
        let old = conversion::from_storage(&call.server, resource, old).await?;
        let new = patched(call, expected, form, &old, patch, options)?;
        update::changed_to(call, part, (current, old), new, None, options.keep).await
    };
    let changed = call.objects().change(resource, call.namespace(), call.name()?, options.keep, change).await?;
    update::changed(call, changed).await
}

/// What a PATCH asks for.
pub(super) fn asked(call: &Call) -> Result<(PatchKind, WriteOptions), Status> {
    let kind = negotiate::patch_kind(&call.parts.headers).ok_or_else(Status::unsupported_patch)?;
    if kind == PatchKind::Of(Form::Strategic) && !call.resource.takes_strategic_patches() {
        return Err(Status::unsupported_custom_patch());
    }
    Ok((kind, WriteOptions::read_patch(&call.query, kind)?))
}

/// A patch, and what upstream's decoder complains of in its text.
pub(super) struct Patch {
    value: Value,
    complaints: Vec<String>,
}

/// What an operation of a JSON patch may say.
const OPERATION: [&str; 4] = ["op", "path", "from", "value"];

/// Reads a patch's text.
pub(super) fn read(form: Form, body: &Bytes) -> Result<Patch, Status> {
    let parsed = text::parse_json(body);
    let parsed = parsed.map_err(|error| Status::bad_request(format!("error decoding patch: {error}")))?;
    let (value, mut complaints) = (parsed.value, parsed.duplicates);
    if form == Form::Json {
        for (at, operation) in value.as_array().into_iter().flatten().enumerate() {
            let names = operation.as_object().into_iter().flat_map(serde_json::Map::keys);
            let unknown = names.filter(|name| !OPERATION.contains(&name.as_str()));
            complaints.extend(unknown.map(|name| format!("unknown field \"[{at}].{name}\"")));
        }
        complaints = text::in_order(body, complaints).into_iter().map(|told| format!("json patch {told}")).collect();
    }
    Ok(Patch { value, complaints })
}

/// `old` with `patch`, decoded anew.
pub(super) fn patched(
    call: &Call,
    expected: &decode::Expected<'_>,
    form: Form,
    old: &Value,
    patch: &Patch,
    options: &WriteOptions,
) -> Result<Value, Status> {
    let mut value = expected.patched(form, old, &patch.value)?;
    let shown = match form {
        Form::Strategic => go_value(&patch.value),
        Form::Json | Form::Merge => value.to_string(),
    };
    keep_kind(call, expected, form, &mut value).map_err(|status| unfit(form, &status, &shown))?;
    let parsed = Parsed { value, duplicates: patch.complaints.clone() };
    let decoded = decode::typed(call, expected, parsed, None, options.field_validation);
    decoded.map_err(|status| unfit(form, &status, &shown))
}

/// A patch changes an object, and not what it is.
fn keep_kind(call: &Call, expected: &decode::Expected<'_>, form: Form, value: &mut Value) -> Result<(), Status> {
    let is_custom = call.resource.custom.is_some() && call.resource.kind == expected.kind;
    if is_custom {
        let is_kept = meta::kind(value) == expected.kind && meta::api_version(value) == call.resource.api_version();
        return if is_kept { Ok(()) } else { Err(decode::not_its_kind(&call.resource, value)) };
    }
    if form == Form::Strategic
        && let Some(fields) = value.as_object_mut()
    {
        // What is merged into an object of a type stays of that type.
        fields.remove("kind");
        fields.remove("apiVersion");
    }
    text::check_kind(value, expected.group, expected.version, expected.kind).map_err(Status::bad_request)?;
    decode::name_kind(value, expected);
    Ok(())
}

/// A patched object that no longer decodes: 422 on the patch, as upstream.
fn unfit(form: Form, status: &Status, shown: &str) -> Status {
    if status.code == 422 {
        return status.clone();
    }
    let reason = status
        .message
        .split_once("cannot be handled as a ")
        .map_or(&*status.message, |(_, rest)| rest.split_once(": ").map_or(rest, |(_, reason)| reason));
    let reason = if form == Form::Strategic { unrestored(reason) } else { reason.to_owned() };
    let error = api::validation::field::Error::invalid("patch", shown, reason);
    Status::invalid("", "", "", vec![error])
}

/// What upstream says of a value of another type where it is no text that is decoded: of a strategic patch.
fn unrestored(reason: &str) -> String {
    let told = reason.strip_prefix("json: cannot unmarshal ").and_then(|rest| {
        let (found, rest) = rest.split_once(" into Go ")?;
        let (_, wanted) = rest.rsplit_once(" of type ")?;
        let found = match found {
            "object" => "map",
            "array" => "slice",
            "number" => "int64",
            other => other,
        };
        Some(match wanted {
            wanted if wanted.starts_with("map[") => format!("cannot restore map from {found}"),
            wanted if wanted.starts_with("[]") => format!("cannot restore slice from {found}"),
            wanted if wanted.contains('.') => format!("cannot restore struct from: {found}"),
            wanted => format!("cannot convert {found} to {wanted}"),
        })
    });
    told.unwrap_or_else(|| reason.to_owned())
}

/// A value as Go prints maps and slices.
fn go_value(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(go_value).collect::<Vec<_>>().join(" ")),
        Value::Object(fields) => {
            let fields: Vec<String> =
                fields.iter().map(|(name, value)| format!("{name}:{}", go_value(value))).collect();
            format!("map[{}]", fields.join(" "))
        }
        scalar => scalar.to_string(),
    }
}
