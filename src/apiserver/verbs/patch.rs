//! PATCH: a change of parts, applied to whatever the object is now.
//!
//! A patch without `resourceVersion` is applied anew when another writer was faster, as often as it takes; one that
//! names a version conflicts.

use std::sync::Arc;

use api::decode as text;
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
    let patch = read(&body)?;
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

/// Reads a patch's text.
pub(super) fn read(body: &Bytes) -> Result<Value, Status> {
    let parsed = text::parse_json(body);
    Ok(parsed.map_err(|error| Status::bad_request(format!("error decoding patch: {error}")))?.value)
}

/// `old` with `patch`, decoded anew.
pub(super) fn patched(
    call: &Call,
    expected: &decode::Expected<'_>,
    form: Form,
    old: &Value,
    patch: &Value,
    options: &WriteOptions,
) -> Result<Value, Status> {
    let patched = expected.patched(form, old, patch)?;
    let decoded = decode::typed(call, expected, patched, Vec::new(), options.field_validation);
    decoded.map_err(|status| unfit(&status, patch))
}

/// A patched object that no longer decodes: 422 on the patch, as upstream.
fn unfit(status: &Status, patch: &Value) -> Status {
    let reason = status
        .message
        .split_once("cannot be handled as a ")
        .map_or(&*status.message, |(_, rest)| rest.split_once(": ").map_or(rest, |(_, reason)| reason));
    let error = api::validation::field::Error::invalid("patch", patch.to_string(), reason);
    Status::invalid("", "", "", vec![error])
}
