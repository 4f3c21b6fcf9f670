//! A request's body as an object of the expected kind, canonical, with unknown and duplicate fields handled as the
//! client asked.

use api::decode::{self, DecodeError};
use api::schema::{Id, Schemas};
use api::scheme::Resource;
use api::status::Status;
use bytes::Bytes;
use serde_json::Value;

use super::Call;
use crate::negotiate::{self, BodyFormat};
use crate::options::FieldValidation;

/// What a body is expected to be.
pub(crate) struct Expected<'a> {
    pub group: &'a str,
    pub version: &'a str,
    pub kind: &'a str,
    pub schema: Id,
}

impl<'a> Expected<'a> {
    pub(crate) fn of(resource: &'a Resource) -> Self {
        Self { group: &resource.group, version: &resource.version, kind: &resource.kind, schema: resource.schema }
    }
}

/// Reads an object from a body.
pub(crate) fn object(
    call: &Call,
    expected: &Expected<'_>,
    body: &Bytes,
    validation: FieldValidation,
) -> Result<Value, Status> {
    let Some(format) = negotiate::body_format(&call.parts.headers) else {
        return Err(Status::unsupported_body(negotiate::READABLE));
    };
    let parsed = match format {
        BodyFormat::Json => decode::parse_json(body),
        BodyFormat::Yaml => decode::parse_yaml(body),
        BodyFormat::Protobuf => decode::parse_protobuf(Schemas::builtin(), expected.schema, body),
    };
    let mut parsed = parsed.map_err(|error| unrecognized(&error, body, expected.kind))?;
    decode::check_kind(&parsed.value, expected.group, expected.version, expected.kind).map_err(Status::bad_request)?;
    name_kind(&mut parsed.value, expected);
    typed(call, expected, parsed.value, parsed.duplicates, validation)
}

/// A body may leave out what the path says already.
fn name_kind(object: &mut Value, expected: &Expected<'_>) {
    let Some(fields) = object.as_object_mut() else { return };
    let api_version = api::scheme::api_version(expected.group, expected.version);
    for (field, value) in [("apiVersion", api_version.as_str()), ("kind", expected.kind)] {
        if fields.get(field).and_then(Value::as_str).is_none_or(str::is_empty) {
            fields.insert(field.to_owned(), value.into());
        }
    }
}

/// Brings a parsed object into canonical form; `duplicates` are what its text held twice.
pub(crate) fn typed(
    call: &Call,
    expected: &Expected<'_>,
    value: Value,
    duplicates: Vec<String>,
    validation: FieldValidation,
) -> Result<Value, Status> {
    let cannot = |reason: &str| {
        let (version, kind) = (expected.version, expected.kind);
        Status::bad_request(format!("{kind} in version \"{version}\" cannot be handled as a {kind}: {reason}"))
    };
    let decoded = decode::decode(Schemas::builtin(), expected.schema, value, expected.kind)
        .map_err(|error| cannot(&error.to_string()))?;
    let mut complaints = duplicates;
    complaints.extend(decoded.unknown);
    match validation {
        FieldValidation::Ignore => {}
        FieldValidation::Warn => complaints.into_iter().for_each(|complaint| call.warn(complaint)),
        FieldValidation::Strict if complaints.is_empty() => {}
        FieldValidation::Strict => {
            return Err(cannot(&format!("strict decoding error: {}", complaints.join(", "))));
        }
    }
    Ok(decoded.object)
}

fn unrecognized(error: &DecodeError, body: &Bytes, kind: &str) -> Status {
    Status::bad_request(decode::unrecognized(error, body, kind))
}
