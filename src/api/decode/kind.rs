//! What a body says it is, against what is expected.

use std::fmt::Write as _;

use serde_json::Value;

use super::DecodeError;
use crate::scheme::{Scheme, api_version};
use crate::validation::field::quote;

/// How much of a body an error repeats, as upstream.
const SUMMARY_BYTES_MAX: usize = 30;

/// The struct into which upstream reads a body's kind, as its errors print it.
const TYPE_META: &str =
    "struct { APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }";

/// Checks that a value is an object of this kind. One that does not say what it is, is taken for it.
///
/// # Errors
/// Upstream's message, for a 400.
pub fn check_kind(value: &Value, group: &str, version: &str, kind: &str) -> Result<(), String> {
    let said_kind = text_field(value, "kind", kind)?;
    let said_version = text_field(value, "apiVersion", kind)?;
    let (mut said_group, mut said_version) = said_version.split_once('/').unwrap_or(("", said_version));
    if said_version.is_empty() {
        (said_group, said_version) = (group, version);
    }
    let said_kind = if said_kind.is_empty() { kind } else { said_kind };
    if (said_group, said_version, said_kind) == (group, version, kind) {
        return Ok(());
    }
    let why = match Scheme::builtin().by_kind(said_group, said_version, said_kind) {
        Some(_) => {
            let internal =
                |group: &str| group.split('.').next().filter(|word| !word.is_empty()).unwrap_or("core").to_owned();
            format!("converting ({said_version}.{said_kind}) to ({}.{kind}): unknown conversion", internal(group))
        }
        None => format!(
            "no kind {} is registered for version {} in scheme \"pkg/api/legacyscheme/scheme.go:30\"",
            quote(said_kind),
            quote(&api_version(said_group, said_version))
        ),
    };
    Err(format!("{said_kind} in version {} cannot be handled as a {kind}: {why}", quote(said_version)))
}

fn text_field<'a>(value: &'a Value, name: &str, kind: &str) -> Result<&'a str, String> {
    let wrong = |found: &Value, place: &str| {
        let why = format!("json: cannot unmarshal {} into Go {place}", go_kind(found));
        unrecognized(&DecodeError::Json(why), value.to_string().as_bytes(), kind)
    };
    match value {
        Value::Object(fields) => match fields.get(name) {
            None | Some(Value::Null) => Ok(""),
            Some(Value::String(text)) => Ok(text),
            Some(other) => Err(wrong(other, &format!("struct field .{name} of type string"))),
        },
        Value::Null => Ok(""),
        other => Err(wrong(other, &format!("value of type {TYPE_META}"))),
    }
}

/// What is answered to a body in which not even the kind could be read: what is wrong, and the body's beginning.
#[must_use]
pub fn unrecognized(error: &DecodeError, body: &[u8], kind: &str) -> String {
    let reading = match error {
        DecodeError::Json(_) => "couldn't get version/kind; json parse error: ",
        DecodeError::Yaml(_) | DecodeError::Protobuf(_) | DecodeError::Value(_) => "",
    };
    format!("the object provided is unrecognized (must be of type {kind}): {reading}{error} ({})", summarize(body))
}

fn summarize(body: &[u8]) -> String {
    let shown = body.get(..SUMMARY_BYTES_MAX).unwrap_or(body);
    let more = if body.len() > shown.len() { " ..." } else { "" };
    match body.first() {
        None => "<empty>".to_owned(),
        Some(b'{') => format!("{}{more}", String::from_utf8_lossy(shown)),
        Some(_) => {
            let mut hex = shown.iter().fold(String::new(), |mut hex, byte| {
                // Writing to a string cannot fail.
                _ = write!(hex, "{byte:02x}");
                hex
            });
            hex.push_str(more);
            hex
        }
    }
}

/// What Go calls a JSON value in its errors.
#[must_use]
pub fn go_kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Messages of a recorded kube-apiserver 1.36.2 to bodies sent as ConfigMaps.
    #[track_caller]
    fn refuse(value: &Value, expected: &str) {
        assert_eq!(check_kind(value, "", "v1", "ConfigMap").unwrap_err(), expected);
    }

    #[test]
    fn other_kinds_are_refused_as_recorded() {
        refuse(
            &json!({"apiVersion": "v1", "kind": "Secret"}),
            "Secret in version \"v1\" cannot be handled as a ConfigMap: converting (v1.Secret) to (core.ConfigMap): unknown conversion",
        );
        refuse(
            &json!({"apiVersion": "v2", "kind": "ConfigMap"}),
            "ConfigMap in version \"v2\" cannot be handled as a ConfigMap: no kind \"ConfigMap\" is registered for version \"v2\" in scheme \"pkg/api/legacyscheme/scheme.go:30\"",
        );
        refuse(
            &json!([]),
            "the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: json: cannot unmarshal array into Go value of type struct { APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" } (5b5d)",
        );
        assert_eq!(check_kind(&json!({"metadata": {}}), "", "v1", "ConfigMap"), Ok(()));
    }

    #[test]
    fn bodies_without_a_kind_are_refused_as_recorded() {
        let check = |body: &[u8], expected: &str| {
            let error = super::super::parse_json(body).unwrap_err();
            assert_eq!(unrecognized(&error, body, "ConfigMap"), expected);
        };
        check(
            b"{not json",
            "the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: invalid character 'n' looking for beginning of object key string ({not json)",
        );
        check(
            b"",
            "the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: unexpected end of JSON input (<empty>)",
        );
    }
}
