//! A request's body as an object of the expected kind, canonical, with unknown and duplicate fields handled as the
//! client asked.

use api::decode::{DecodeError, Parsed};
use api::patch::{Form, PatchError};
use api::schema::Root;
use api::scheme::Resource;
use api::status::Status;
use api::validation::field::{Error, ErrorList};
use api::{decode, meta, protobuf};
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
    let format = negotiate::body_format(&call.parts.headers);
    let parsed = match (format, expected.protobuf()) {
        (Some(BodyFormat::Json), _) => decode::parse_json(body),
        (Some(BodyFormat::Yaml), _) => decode::parse_yaml(body),
        (Some(BodyFormat::Protobuf), Some(root)) => protobuf::decode(root.id(), body),
        (None, Some(_)) => return Err(Status::unsupported_body(negotiate::MEDIA_TYPES)),
        (Some(BodyFormat::Protobuf) | None, None) => {
            return Err(Status::unsupported_body(negotiate::READABLE_CUSTOM));
        }
    };
    let mut parsed = parsed.map_err(|error| unrecognized(&error, body, expected.kind))?;
    if let Kind::Resource(resource) = &expected.body
        && resource.custom.is_some()
    {
        check_custom_kind(resource, &parsed.value, body)?;
    }
    decode::check_kind(&parsed.value, expected.group, expected.version, expected.kind).map_err(Status::bad_request)?;
    name_kind(&mut parsed.value, expected);
    // Of custom objects upstream tells what stands twice before it looks for what is unknown.
    let is_read_at_once = format == Some(BodyFormat::Json) && expected.protobuf().is_some();
    typed(call, expected, parsed, is_read_at_once.then_some(body), validation)
}

/// A custom object says what it is, and is what the path says.
fn check_custom_kind(resource: &Resource, value: &Value, body: &Bytes) -> Result<(), Status> {
    let (kind, version) = (meta::kind(value), meta::api_version(value));
    if value.is_object() && (kind.is_empty() || version.is_empty()) {
        let field = if kind.is_empty() { "Kind" } else { "apiVersion" };
        let why = format!("Object '{field}' is missing in '{}'", String::from_utf8_lossy(body));
        let kind = &resource.kind;
        return Err(Status::bad_request(format!(
            "the object provided is unrecognized (must be of type {kind}): {why}"
        )));
    }
    let wanted = resource.api_version();
    if !version.is_empty() && version != wanted {
        return Err(Status::bad_request(format!(
            "the API version in the data ({version}) does not match the expected API version ({wanted})"
        )));
    }
    if !kind.is_empty() && kind != resource.kind {
        return Err(not_its_kind(resource, value));
    }
    Ok(())
}

/// 422 for a custom object that says that it is something else.
pub(crate) fn not_its_kind(resource: &Resource, value: &Value) -> Status {
    let mut errors = ErrorList::new();
    let (kind, version) = (meta::kind(value), meta::api_version(value));
    if kind != resource.kind {
        errors.push(Error::invalid("kind", kind, format!("must be {}", resource.kind)));
    }
    let wanted = resource.api_version();
    if version != wanted {
        errors.push(Error::invalid("apiVersion", version, format!("must be {wanted}")));
    }
    Status::invalid(&resource.group, &resource.kind, meta::name(value), errors)
}

/// A body may leave out what the path says already.
pub(crate) fn name_kind(object: &mut Value, expected: &Expected<'_>) {
    let Some(fields) = object.as_object_mut() else { return };
    let api_version = api::scheme::api_version(expected.group, expected.version);
    for (field, value) in [("apiVersion", api_version.as_str()), ("kind", expected.kind)] {
        if fields.get(field).and_then(Value::as_str).is_none_or(str::is_empty) {
            fields.insert(field.to_owned(), value.into());
        }
    }
}

/// Brings a parsed object into canonical form. `text` is given where complaints are told in its order.
pub(crate) fn typed(
    call: &Call,
    expected: &Expected<'_>,
    parsed: Parsed,
    text: Option<&Bytes>,
    validation: FieldValidation,
) -> Result<Value, Status> {
    let cannot = |reason: &str| {
        let (version, kind) = (expected.version, expected.kind);
        Status::bad_request(format!("{kind} in version \"{version}\" cannot be handled as a {kind}: {reason}"))
    };
    // A list of managers that is empty says that there shall be none, and canonical forms have no empty lists.
    let has_no_managers = parsed.value.pointer("/metadata/managedFields") == Some(&Value::Array(Vec::new()));
    let mut decoded = expected.decode(parsed.value).map_err(|error| cannot(&error.to_string()))?;
    if has_no_managers {
        meta::set_at(&mut decoded.object, "/metadata/managedFields", Value::Array(Vec::new()));
    }
    let mut complaints = parsed.duplicates;
    complaints.extend(decoded.unknown);
    if let Some(text) = text.filter(|_| complaints.len() > 1) {
        complaints = decode::in_order(text, complaints);
    }
    match validation {
        FieldValidation::Ignore => {}
        FieldValidation::Warn => complaints.iter().for_each(|complaint| warn(call, complaint)),
        FieldValidation::Strict if complaints.is_empty() => {}
        FieldValidation::Strict => {
            return Err(cannot(&format!("strict decoding error: {}", complaints.join(", "))));
        }
    }
    Ok(decoded.object)
}

/// Warns of a complaint; each line of those about YAML is one.
pub(super) fn warn(call: &Call, complaint: &str) {
    match complaint.split_once('\n') {
        None => call.warn(complaint),
        Some((_, lines)) => lines.lines().for_each(|line| call.warn(line.trim_start())),
    }
}

fn unrecognized(error: &DecodeError, body: &Bytes, kind: &str) -> Status {
    Status::bad_request(decode::unrecognized(error, body, kind))
}
