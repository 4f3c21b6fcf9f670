//! PATCH: a change of parts, applied to whatever the object is now.
//!
//! A patch without `resourceVersion` is applied anew when another writer was faster, as often as it takes; one that
//! names a version conflicts.

use api::decode as text;
use api::patch;
use api::schema::Schemas;
use api::status::Status;
use bytes::Bytes;
use serde_json::Value;

use super::update::{self, Part};
use super::{Call, apply, decode};
use crate::conversion;
use crate::negotiate::{self, PatchKind};
use crate::objects::Change;
use crate::options::WriteOptions;
use crate::respond::Answer;

/// Patches the object that the path names.
pub(crate) async fn serve(call: &Call, body: Bytes) -> Result<Answer, Status> {
    serve_part(call, body, Part::Main).await
}

/// The same for one part of it.
pub(crate) async fn serve_part(call: &Call, body: Bytes, part: Part) -> Result<Answer, Status> {
    let Some(kind) = negotiate::patch_kind(&call.parts.headers) else {
        return Err(Status::unsupported_patch());
    };
    let options = WriteOptions::read_patch(&call.query, kind)?;
    if kind == PatchKind::Apply {
        return Box::pin(apply::serve(call, &body, part, &options)).await;
    }
    let patch = read(kind, &body)?;
    let resource = &call.resource;
    let expected = decode::Expected::of(resource);
    let changed = call.objects().change(resource, call.namespace(), call.name()?, options.keep, |current, old| {
        let old = conversion::from_storage(resource, old);
        let patched = patched(call, kind, &old, &patch)?;
        let mut new = decode::typed(call, &expected, patched, Vec::new(), options.field_validation)
            .map_err(|status| unfit(&status, &patch))?;
        update::check_identity(call, &mut new)?;
        update::check_version(call, current, &old, &new)?;
        match update::transition(call, part, old.clone(), new, None)? {
            Change::Put(new) if conversion::from_storage(resource, new.clone()) == old => Ok(Change::Nothing(new)),
            change => Ok(change),
        }
    });
    Ok(update::changed(call, changed.await?))
}

/// Reads a patch's text.
pub(super) fn read(kind: PatchKind, body: &Bytes) -> Result<Value, Status> {
    let parsed = text::parse_json(body);
    let value = parsed.map_err(|error| Status::bad_request(format!("error decoding patch: {error}")))?.value;
    match (kind, &value) {
        (PatchKind::Json, Value::Array(_)) | (PatchKind::Merge | PatchKind::Strategic, Value::Object(_)) => Ok(value),
        (PatchKind::Apply, _) => Err(Status::unsupported_patch()),
        (PatchKind::Json, other) => Err(Status::bad_request(format!(
            "error decoding patch: json: cannot unmarshal {} into Go value of type []handlers.jsonPatchOp",
            text::go_kind(other)
        ))),
        (PatchKind::Merge | PatchKind::Strategic, other) => Err(Status::bad_request(format!(
            "error decoding patch: json: cannot unmarshal {} into Go value of type map[string]interface {{}}",
            text::go_kind(other)
        ))),
    }
}

fn patched(call: &Call, kind: PatchKind, old: &Value, patch: &Value) -> Result<Value, Status> {
    match kind {
        PatchKind::Json => patch::json_patch(old, patch).map_err(Status::from),
        PatchKind::Apply => Err(Status::unsupported_patch()),
        PatchKind::Merge => {
            let mut new = old.clone();
            patch::merge_patch(&mut new, patch);
            Ok(new)
        }
        PatchKind::Strategic => {
            patch::strategic(Schemas::builtin(), call.resource.schema, old, patch).map_err(Status::from)
        }
    }
}

/// A patched object that no longer decodes: 422 on the patch, as upstream.
pub(super) fn unfit(status: &Status, patch: &Value) -> Status {
    let reason = status
        .message
        .split_once("cannot be handled as a ")
        .map_or(&*status.message, |(_, rest)| rest.split_once(": ").map_or(rest, |(_, reason)| reason));
    let error = api::validation::field::Error::invalid("patch", patch.to_string(), reason);
    Status::invalid("", "", "", vec![error])
}
