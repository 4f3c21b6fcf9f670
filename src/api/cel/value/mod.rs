//! What expressions compute with.
//!
//! Values of objects are not converted up front: a list or map borrows its JSON and types what is taken out of it, by
//! its schema where there is one.

mod list;
mod map;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use serde_json::Value as Json;

use super::admission::authorizer::Check;
use super::decl::{Decl, Shape};
use super::error::{Error, Outcome};
use super::functions::library::Library;
use super::functions::time::Point;
use super::meter::Meter;
pub(crate) use list::{JsonList, List};
pub(crate) use map::{JsonMap, Mapping};

/// A value.
#[derive(Clone, Debug)]
pub(crate) enum Value<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A whole number without a sign.
    Uint(u64),
    /// Any number.
    Double(f64),
    /// Text.
    String(Text<'a>),
    /// Bytes.
    Bytes(Arc<[u8]>),
    /// A span of time in nanoseconds, as Go has it.
    Duration(i64),
    /// A point in time.
    Timestamp(Point),
    /// Items in order.
    List(List<'a>),
    /// Values by keys, or an object.
    Map(Mapping<'a>),
    /// A type as a value.
    Type(Text<'a>),
    /// A value, or none.
    Optional(Option<Arc<Value<'a>>>),
    /// A value of one of the libraries.
    Library(Library),
    /// What asks for permissions.
    Check(Arc<Check<'a>>),
    /// An object that the expression made, by its type's name.
    Object(Arc<str>, Arc<BTreeMap<Box<str>, Value<'a>>>),
}

/// Text, of the input or made.
#[derive(Clone, Debug)]
pub(crate) enum Text<'a> {
    /// From the input.
    Borrowed(&'a str),
    /// Made by the expression or part of it.
    Owned(Arc<str>),
}

/// A key of a map, or an item of a set; numbers of the same value are the same.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Key {
    /// `true` or `false`
    Bool(bool),
    /// A whole number.
    Number(i128),
    /// Any text.
    String(Box<str>),
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Borrowed(text) => text,
            Self::Owned(text) => text,
        }
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::String(Text::Borrowed(text))
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Self::String(Text::Owned(text.into()))
    }
}

impl From<bool> for Value<'_> {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl<'a> From<Vec<Value<'a>>> for Value<'a> {
    fn from(items: Vec<Value<'a>>) -> Self {
        Self::List(List::Owned(Arc::new(items)))
    }
}

impl<'a> Value<'a> {
    /// JSON without a schema.
    pub(super) fn of_json(json: &'a Json) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(value) => Self::Bool(*value),
            Json::Number(number) => match number.as_i64() {
                Some(number) => Self::Int(number),
                None => Self::Double(number.as_f64().unwrap_or(f64::NAN)),
            },
            Json::String(text) => text.as_str().into(),
            Json::Array(items) => Self::List(List::Json(JsonList { items, decl: None })),
            Json::Object(fields) => Self::Map(Mapping::Json(JsonMap { fields, decl: None })),
        }
    }

    /// JSON as a schema says that it is.
    pub(super) fn typed(json: &'a Json, decl: &'a Decl) -> Outcome<'a> {
        let invalid =
            |wanted: &str| Err(Error::failed(format!("invalid data, expected {wanted}, got {}", go_type(json))));
        if json.is_null() {
            if decl.is_nullable {
                return Ok(Self::Null);
            }
            return Err(Error::failed("invalid data, got null for schema with nullable=false"));
        }
        Ok(match (&decl.shape, json) {
            (Shape::IntOrString, Json::String(text)) | (Shape::String, Json::String(text)) => text.as_str().into(),
            (Shape::IntOrString | Shape::Int, Json::Number(number)) if number.is_i64() => {
                Self::Int(number.as_i64().unwrap_or_default())
            }
            (Shape::Bool, Json::Bool(value)) => Self::Bool(*value),
            (Shape::Double, Json::Number(number)) => Self::Double(number.as_f64().unwrap_or(f64::NAN)),
            (Shape::List(..), Json::Array(items)) => Self::List(List::Json(JsonList { items, decl: Some(decl) })),
            (Shape::Map(_) | Shape::Object(_), Json::Object(fields)) => {
                Self::Map(Mapping::Json(JsonMap { fields, decl: Some(decl) }))
            }
            (Shape::Bytes | Shape::Duration | Shape::Date | Shape::Timestamp, Json::String(text)) => {
                return super::functions::formats::typed_text(&decl.shape, text);
            }
            (Shape::IntOrString, _) => {
                let message = "invalid data, expected XIntOrString value to be either a string or integer";
                return Err(Error::failed(message));
            }
            (Shape::Int, _) => return invalid("int"),
            (Shape::Bool, _) => return invalid("bool"),
            (Shape::Double, _) => return invalid("float"),
            (Shape::List(..), _) => {
                return Err(Error::failed("invalid data, expected an array for the provided schema with type=array"));
            }
            (Shape::Map(_) | Shape::Object(_), _) => {
                return Err(Error::failed("invalid data, expected a map for the provided schema with type=object"));
            }
            _ => return invalid("string"),
        })
    }

    fn of(json: &'a Json, decl: Option<&'a Decl>) -> Outcome<'a> {
        match decl {
            Some(decl) => Self::typed(json, decl),
            None => Ok(Self::of_json(json)),
        }
    }

    /// The name of the type at run time.
    pub(super) fn type_name(&self) -> &str {
        match self {
            Self::Null => "null_type",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Uint(_) => "uint",
            Self::Double(_) => "double",
            Self::String(_) => "string",
            Self::Bytes(_) => "bytes",
            Self::Duration(_) => "google.protobuf.Duration",
            Self::Timestamp(_) => "google.protobuf.Timestamp",
            Self::List(_) => "list",
            Self::Map(_) => "map",
            Self::Type(_) => "type",
            Self::Optional(_) => "optional_type",
            Self::Library(value) => value.type_name(),
            Self::Check(check) => check.type_name(),
            Self::Object(name, _) => name,
        }
    }

    /// How large costs see this: items, entries, characters or bytes, and 1 for what has no size.
    pub(super) fn size(&self, meter: &mut Meter) -> u64 {
        match self {
            Self::String(text) => {
                meter.work(text.len() as u64 / 16);
                text.chars().count() as u64
            }
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::List(list) => list.len() as u64,
            Self::Map(map) => map.len() as u64,
            Self::Optional(Some(inner)) => inner.size(meter),
            Self::Library(value) => value.size(),
            _ => 1,
        }
    }

    /// This as a key, if it can be one. Whole doubles are the number they are.
    pub(super) fn key(&self) -> Option<Key> {
        Some(match self {
            Self::Bool(value) => Key::Bool(*value),
            Self::Int(number) => Key::Number(i128::from(*number)),
            Self::Uint(number) => Key::Number(i128::from(*number)),
            #[expect(clippy::cast_possible_truncation, reason = "it is a whole number well within")]
            Self::Double(number) if number.fract() == 0.0 && number.abs() < 1e19 => Key::Number(*number as i128),
            Self::String(text) => Key::String(text.deref().into()),
            _ => return None,
        })
    }

    /// Whether two values are equal; those of different types are not, but numbers may be.
    pub(super) fn equals(&self, other: &Self, meter: &mut Meter) -> Result<bool, Error> {
        meter.step()?;
        Ok(match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(one), Self::Bool(two)) => one == two,
            (Self::String(one), Self::String(two)) => {
                meter.work(one.len().min(two.len()) as u64 / 64);
                one.deref() == two.deref()
            }
            (Self::Bytes(one), Self::Bytes(two)) => one == two,
            (Self::Duration(one), Self::Duration(two)) => one == two,
            (Self::Timestamp(one), Self::Timestamp(two)) => one == two,
            (Self::Type(one), Self::Type(two)) => one.deref() == two.deref(),
            (Self::Library(one), Self::Library(two)) => one == two,
            (Self::Optional(one), Self::Optional(two)) => match (one, two) {
                (Some(one), Some(two)) => one.equals(two, meter)?,
                (None, None) => true,
                _ => false,
            },
            (Self::List(one), Self::List(two)) => one.equals(two, meter)?,
            (Self::Map(one), Self::Map(two)) => one.equals(two, meter)?,
            (Self::Check(one), Self::Check(two)) => Arc::ptr_eq(one, two),
            (Self::Object(name, one), Self::Object(other, two)) => {
                if name != other || one.len() != two.len() {
                    return Ok(false);
                }
                for (field, value) in one.iter() {
                    match two.get(field) {
                        Some(other) if value.equals(other, meter)? => {}
                        _ => return Ok(false),
                    }
                }
                true
            }
            _ => self.compare_numbers(other) == Some(std::cmp::Ordering::Equal),
        })
    }

    /// The order of two numbers of whatever types; none if one is not a number.
    pub(super) fn compare_numbers(&self, other: &Self) -> Option<std::cmp::Ordering> {
        let whole = |value: &Self| match value {
            Self::Int(number) => Some(i128::from(*number)),
            Self::Uint(number) => Some(i128::from(*number)),
            _ => None,
        };
        match (self, other) {
            (Self::Double(one), Self::Double(two)) => one.partial_cmp(two),
            (Self::Double(one), two) => compare_double(*one, whole(two)?),
            (one, Self::Double(two)) => compare_double(*two, whole(one)?).map(std::cmp::Ordering::reverse),
            (one, two) => Some(whole(one)?.cmp(&whole(two)?)),
        }
    }
}

/// A double beside a whole number.
fn compare_double(double: f64, whole: i128) -> Option<std::cmp::Ordering> {
    if double.is_nan() {
        return None;
    }
    if double.abs() >= 1e20 {
        return double.partial_cmp(&0.0);
    }
    #[expect(clippy::cast_possible_truncation, reason = "it is well within")]
    let floor = double.floor() as i128;
    Some(floor.cmp(&whole).then(if double.fract() == 0.0 {
        std::cmp::Ordering::Equal
    } else {
        std::cmp::Ordering::Greater
    }))
}

fn go_type(json: &Json) -> &'static str {
    match json {
        Json::Null => "<nil>",
        Json::Bool(_) => "bool",
        Json::Number(number) if number.is_i64() => "int64",
        Json::Number(_) => "float64",
        Json::String(_) => "string",
        Json::Array(_) => "[]interface {}",
        Json::Object(_) => "map[string]interface {}",
    }
}
