//! Field errors: what is wrong with which field, in upstream's words.
//!
//! All errors of an object are collected and told at once; [`crate::status::Status::invalid`] turns a list into a 422.

use std::fmt;

use serde_json::Value;

/// All that is wrong with an object.
pub type ErrorList = Vec<Error>;

/// One thing wrong with one field.
#[derive(Clone, Debug, PartialEq)]
pub struct Error {
    /// What sort of error.
    pub kind: Kind,
    /// The field, in the form of [`Path`].
    pub path: String,
    /// What the field holds; not printed for kinds that need no value.
    pub bad_value: Value,
    /// What to know beyond the kind; may be empty.
    pub detail: String,
    /// Whether the value is left out of the message, as large ones are.
    pub hides_value: bool,
}

/// The sorts of field errors.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// A value names something that does not exist.
    NotFound,
    /// The field must be set.
    Required,
    /// The value must be unique and is not.
    Duplicate,
    /// The value does not satisfy its rules.
    Invalid,
    /// The value is not one of those allowed.
    NotSupported,
    /// The field must not be set (in this way, by this caller).
    Forbidden,
    /// The value is too long; it is not printed.
    TooLong,
    /// The list holds too much.
    TooMany,
    /// Something failed while checking.
    Internal,
    /// The value has a type that the field cannot hold.
    TypeInvalid,
}

impl Kind {
    /// The reason in a Status cause.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::NotFound => "FieldValueNotFound",
            Self::Required => "FieldValueRequired",
            Self::Duplicate => "FieldValueDuplicate",
            Self::Invalid => "FieldValueInvalid",
            Self::NotSupported => "FieldValueNotSupported",
            Self::Forbidden => "FieldValueForbidden",
            Self::TooLong => "FieldValueTooLong",
            Self::TooMany => "FieldValueTooMany",
            Self::Internal => "InternalError",
            Self::TypeInvalid => "FieldValueTypeInvalid",
        }
    }

    /// How a message begins.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::NotFound => "Not found",
            Self::Required => "Required value",
            Self::Duplicate => "Duplicate value",
            Self::Invalid | Self::TypeInvalid => "Invalid value",
            Self::NotSupported => "Unsupported value",
            Self::Forbidden => "Forbidden",
            Self::TooLong => "Too long",
            Self::TooMany => "Too many",
            Self::Internal => "Internal error",
        }
    }

    fn shows_value(self) -> bool {
        !matches!(self, Self::Required | Self::Forbidden | Self::TooLong | Self::Internal)
    }
}

impl Error {
    /// An error of any kind.
    pub fn new(kind: Kind, path: impl Into<String>, bad_value: impl Into<Value>, detail: impl Into<String>) -> Self {
        let (path, bad_value, detail) = (path.into(), bad_value.into(), detail.into());
        Self { kind, path, bad_value, detail, hides_value: false }
    }

    /// The field must be set; `detail` may be empty.
    pub fn required(path: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(Kind::Required, path, "", detail)
    }

    /// The value does not satisfy its rules.
    pub fn invalid(path: impl Into<String>, value: impl Into<Value>, detail: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, path, value, detail)
    }

    /// As [`Error::invalid`], of a value that is not told.
    pub fn invalid_unshown(path: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { hides_value: true, ..Self::new(Kind::Invalid, path, Value::Null, detail) }
    }

    /// As [`Error::duplicate`], of a value that is not told.
    pub fn duplicate_unshown(path: impl Into<String>) -> Self {
        Self { hides_value: true, ..Self::new(Kind::Duplicate, path, Value::Null, "") }
    }

    /// The value is not one of `supported`, which are listed in the given order.
    pub fn not_supported(path: impl Into<String>, value: impl Into<Value>, supported: &[&str]) -> Self {
        let supported: Vec<String> = supported.iter().map(|value| quote(value)).collect();
        let detail = match supported.as_slice() {
            [] => String::new(),
            values => format!("supported values: {}", values.join(", ")),
        };
        Self::new(Kind::NotSupported, path, value, detail)
    }

    /// The field must not be set.
    pub fn forbidden(path: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(Kind::Forbidden, path, "", detail)
    }

    /// The value occurs twice.
    pub fn duplicate(path: impl Into<String>, value: impl Into<Value>) -> Self {
        Self::new(Kind::Duplicate, path, value, "")
    }

    /// The value is longer than `max_bytes`; it is not printed.
    pub fn too_long(path: impl Into<String>, value: impl Into<Value>, max_bytes: usize) -> Self {
        let unit = if max_bytes == 1 { "byte" } else { "bytes" };
        Self::new(Kind::TooLong, path, value, format!("may not be more than {max_bytes} {unit}"))
    }

    /// The list has `found` items, more than `max`.
    pub fn too_many(path: impl Into<String>, found: usize, max: usize) -> Self {
        let unit = if max == 1 { "item" } else { "items" };
        Self::new(Kind::TooMany, path, found, format!("must have at most {max} {unit}"))
    }

    /// The value names something that does not exist.
    pub fn not_found(path: impl Into<String>, value: impl Into<Value>) -> Self {
        Self::new(Kind::NotFound, path, value, "")
    }

    /// Something failed while checking.
    pub fn internal(path: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(Kind::Internal, path, "", detail)
    }

    /// The message without its field, as a Status cause has it.
    #[must_use]
    pub fn body(&self) -> String {
        let mut text = self.kind.text().to_owned();
        if self.kind.shows_value() && !self.hides_value {
            text.push_str(": ");
            match &self.bad_value {
                Value::String(value) => text.push_str(&quote(value)),
                other => text.push_str(&go_json(other)),
            }
        }
        if !self.detail.is_empty() {
            text.push_str(": ");
            text.push_str(&self.detail);
        }
        text
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.body())
    }
}

impl std::error::Error for Error {}

/// A field's place in an object: `spec.containers[0].env[KEY]`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Path(String);

impl Path {
    /// A path that begins with this field.
    #[must_use]
    pub fn new(field: &str) -> Self {
        Self(field.to_owned())
    }

    /// A field of this object.
    #[must_use]
    pub fn child(&self, field: &str) -> Self {
        if self.0.is_empty() { Self::new(field) } else { Self(format!("{}.{field}", self.0)) }
    }

    /// An item of this list.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        Self(format!("{}[{index}]", self.0))
    }

    /// A value of this map.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        Self(format!("{}[{key}]", self.0))
    }

    /// The path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Path> for String {
    fn from(path: Path) -> Self {
        path.0
    }
}

impl From<&Path> for String {
    fn from(path: &Path) -> Self {
        path.0.clone()
    }
}

/// A value as Go's `encoding/json` writes it: safe to stand in a web page.
fn go_json(value: &Value) -> String {
    value.to_string().replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

/// A text in quotes as Go's `%q` writes it.
#[must_use]
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            c if (c as u32) < 0x20 || c == '\u{7f}' => out.push_str(&format!("\\x{:02x}", c as u32)),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(error: &Error, expected: &str) {
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn messages_are_those_of_upstream() {
        let path = Path::new("spec").child("containers").index(0).child("env").key("A");
        check(&Error::required(&path, ""), "spec.containers[0].env[A]: Required value");
        check(&Error::required("spec.x", "name it"), "spec.x: Required value: name it");
        check(&Error::invalid("spec.x", "a\"b", "no"), "spec.x: Invalid value: \"a\\\"b\": no");
        check(&Error::invalid("spec.x", 5, "must be 4"), "spec.x: Invalid value: 5: must be 4");
        check(&Error::invalid("spec.x", json!({"a": 1}), ""), "spec.x: Invalid value: {\"a\":1}");
        check(&Error::invalid("spec.x", json!(["a > b"]), ""), "spec.x: Invalid value: [\"a \\u003e b\"]");
        check(
            &Error::not_supported("spec.x", "a", &["b", "c"]),
            "spec.x: Unsupported value: \"a\": supported values: \"b\", \"c\"",
        );
        check(&Error::too_long("x", "aaa", 253), "x: Too long: may not be more than 253 bytes");
        check(&Error::too_many("x", 5, 4), "x: Too many: 5: must have at most 4 items");
        check(&Error::forbidden("x", "no"), "x: Forbidden: no");
        check(&Error::duplicate("x", "a"), "x: Duplicate value: \"a\"");
        check(&Error::not_found("x", "a"), "x: Not found: \"a\"");
        check(&Error::internal("x", "oh"), "x: Internal error: oh");
    }
}
