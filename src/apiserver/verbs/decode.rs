//! A request's body as an object of the expected kind, canonical, with unknown and duplicate fields handled as the
//! client asked.

use api::decode::DecodeError;
use api::patch::{Form, PatchError};
use api::schema::Root;
use api::scheme::Resource;
use api::status::Status;
use api::{decode, protobuf};
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
    body: Kind<'a>,
}

/// What reads a body.
enum Kind<'a> {
    Resource(&'a Resource),
    /// A builtin type that is no resource of its own.
    Type(Root),
}

impl<'a> Expected<'a> {
    pub(crate) fn of(resource: &'a Resource) -> Self {
        let body = Kind::Resource(resource);
        Self { group: &resource.group, version: &resource.version, kind: &resource.kind, body }
    }

    /// The body of a subresource that has a kind of its own; `group` is its package in OpenAPI, too.
    pub(crate) fn builtin(group: &'a str, version: &'a str, kind: &'a str) -> Result<Self, Status> {
        let package = match group.split('.').next() {
            None | Some("") => "core",
            Some(package) => package,
        };
        let root = Root::builtin(&format!("io.k8s.api.{package}.{version}.{kind}"));
        let root = root.ok_or_else(|| Status::internal(format!("the schema has no {kind}")))?;
        Ok(Self { group, version, kind, body: Kind::Type(root) })
    }

    pub(crate) fn decode(&self, value: Value) -> Result<decode::Decoded, DecodeError> {
        match &self.body {
            Kind::Resource(resource) => resource.decode(value),
            Kind::Type(root) => decode::decode(root.schemas(), root.id(), value, self.kind),
        }
    }

    /// The type by which protobuf is read; custom kinds have none.
    fn protobuf(&self) -> Option<&Root> {
        match &self.body {
            Kind::Resource(resource) => resource.custom.is_none().then_some(&resource.schema),
            Kind::Type(root) => Some(root),
        }
    }

    /// `old` with `patch`.
    pub(crate) fn patched(&self, form: Form, old: &Value, patch: &Value) -> Result<Value, PatchError> {
        match &self.body {
            Kind::Resource(resource) => resource.patched(form, old, patch),
            Kind::Type(root) => form.patched(root.schemas(), root.id(), old, patch),
        }
    }
}

/// Reads an object from a body.
pub(crate) fn object(
    call: &Call,
    expected: &Expected<'_>,
    body: &Bytes,
    validation: FieldValidation,
) -> Result<Value, Status> {
    let parsed = match (negotiate::body_format(&call.parts.headers), expected.protobuf()) {
        (Some(BodyFormat::Json), _) => decode::parse_json(body),
        (Some(BodyFormat::Yaml), _) => decode::parse_yaml(body),
        (Some(BodyFormat::Protobuf), Some(root)) => protobuf::decode(root.id(), body),
        (None, Some(_)) => return Err(Status::unsupported_body(negotiate::MEDIA_TYPES)),
        (Some(BodyFormat::Protobuf) | None, None) => {
            return Err(Status::unsupported_body(negotiate::READABLE_CUSTOM));
        }
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
    let decoded = expected.decode(value).map_err(|error| cannot(&error.to_string()))?;
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
