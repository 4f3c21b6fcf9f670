//! What expressions compute with.
//!
//! Values of objects are not converted up front: a list or map borrows its JSON and types what is taken out of it, by
//! its schema where there is one.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use serde_json::Value as Json;

use super::admission::authorizer::Check;
use super::decl::{Decl, FieldType, ListType, Shape};
use super::error::{Error, Outcome};
use super::functions::library::Library;
use super::functions::time::Point;
use super::meter::Meter;
use super::names;

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

/// A list of the input or made.
#[derive(Clone, Debug)]
pub(crate) enum List<'a> {
    /// From the input.
    Json(JsonList<'a>),
    /// Made by the expression.
    Owned(Arc<Vec<Value<'a>>>),
    /// One list after the other, so that adding costs the same however long they are; with how many items both have.
    Joined(Arc<(List<'a>, List<'a>)>, usize),
}

/// A list of the input.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JsonList<'a> {
    items: &'a [Json],
    decl: Option<&'a Decl>,
}

/// A map or object of the input or made.
#[derive(Clone, Debug)]
pub(crate) enum Mapping<'a> {
    /// From the input.
    Json(JsonMap<'a>),
    /// Made by the expression.
    Owned(Arc<BTreeMap<Key, (Value<'a>, Value<'a>)>>),
}

/// A map or object of the input.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JsonMap<'a> {
    fields: &'a serde_json::Map<String, Json>,
    decl: Option<&'a Decl>,
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

impl<'a> List<'a> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Json(list) => list.items.len(),
            Self::Owned(items) => items.len(),
            Self::Joined(_, length) => *length,
        }
    }

    pub(super) fn item(&self, index: usize) -> Option<Outcome<'a>> {
        match self {
            Self::Json(list) => Some(Value::of(list.items.get(index)?, list.item_decl())),
            Self::Owned(items) => items.get(index).cloned().map(Ok),
            Self::Joined(both, _) => match index.checked_sub(both.0.len()) {
                Some(index) => both.1.item(index),
                None => both.0.item(index),
            },
        }
    }

    /// The items in order. Joined lists may share parts, so that all items may be many more than memory holds.
    pub(super) fn iter(&self) -> Items<'_, 'a> {
        Items { parts: vec![self], index: 0 }
    }

    /// The JSON and its schema, if this is of the input.
    fn declared(&self) -> Option<(JsonList<'a>, &'a ListType)> {
        let Self::Json(list) = self else {
            return None;
        };
        match &list.decl?.shape {
            Shape::List(_, list_type) => Some((*list, list_type)),
            _ => None,
        }
    }

    fn equals(&self, other: &Self, meter: &mut Meter) -> Result<bool, Error> {
        if self.len() != other.len() {
            return Ok(false);
        }
        match self.declared() {
            Some((_, ListType::Set)) => {
                if let (Some(one), Some(two)) = (self.keys(meter)?, other.keys(meter)?) {
                    return Ok(one == two);
                }
            }
            Some((_, ListType::Map(names))) => return self.equals_by_keys(other, names, meter),
            _ => {}
        }
        for (one, two) in self.iter().zip(other.iter()) {
            if !one?.equals(&two?, meter)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// All items as keys, if all can be.
    fn keys(&self, meter: &mut Meter) -> Result<Option<std::collections::BTreeSet<Key>>, Error> {
        let mut keys = std::collections::BTreeSet::new();
        for item in self.iter() {
            meter.step()?;
            match item?.key() {
                Some(key) => keys.insert(key),
                None => return Ok(None),
            };
        }
        Ok(Some(keys))
    }

    fn by_names(&self, names: &[Box<str>], meter: &mut Meter) -> Result<BTreeMap<Vec<Option<Key>>, Value<'a>>, Error> {
        let mut items = BTreeMap::new();
        for item in self.iter() {
            meter.step()?;
            let item = item?;
            items.insert(item_key(&item, names)?, item);
        }
        Ok(items)
    }

    fn equals_by_keys(&self, other: &Self, names: &[Box<str>], meter: &mut Meter) -> Result<bool, Error> {
        let (one, two) = (self.by_names(names, meter)?, other.by_names(names, meter)?);
        for (key, value) in &one {
            match two.get(key) {
                Some(other) if value.equals(other, meter)? => {}
                _ => return Ok(false),
            }
        }
        Ok(one.len() == two.len())
    }

    /// Both lists as one. Of a set each item is kept once; in a list by keys the later item takes the earlier's place.
    pub(super) fn join(self, other: Self, meter: &mut Meter) -> Result<Self, Error> {
        match self.declared() {
            Some((_, ListType::Set)) => {
                if let Some(mut keys) = self.keys(meter)? {
                    let mut items: Vec<_> = self.iter().collect::<Result<_, _>>()?;
                    for item in other.iter() {
                        meter.step()?;
                        let item = item?;
                        if item.key().is_none_or(|key| keys.insert(key)) {
                            items.push(item);
                        }
                    }
                    return Ok(Self::Owned(Arc::new(items)));
                }
            }
            Some((_, ListType::Map(names))) => {
                let mut items: Vec<_> = self.iter().collect::<Result<_, _>>()?;
                let mut places = BTreeMap::new();
                for (place, item) in items.iter().enumerate() {
                    meter.step()?;
                    places.insert(item_key(item, names)?, place);
                }
                for item in other.iter() {
                    meter.step()?;
                    let item = item?;
                    match places.get(&item_key(&item, names)?).and_then(|place| items.get_mut(*place)) {
                        Some(old) => *old = item,
                        None => items.push(item),
                    }
                }
                return Ok(Self::Owned(Arc::new(items)));
            }
            _ => {}
        }
        if self.len() == 0 {
            return Ok(other);
        }
        if other.len() == 0 {
            return Ok(self);
        }
        let length = self.len().saturating_add(other.len());
        Ok(Self::Joined(Arc::new((self, other)), length))
    }

    /// Whether an item equals the value; an item that cannot be compared matters only if none does.
    pub(super) fn contains(&self, value: &Value<'a>, meter: &mut Meter) -> Result<bool, Error> {
        let mut failure = None;
        for item in self.iter() {
            match item.and_then(|item| item.equals(value, meter)) {
                Ok(true) => return Ok(true),
                Ok(false) => {}
                Err(Error::OverBudget) => return Err(Error::OverBudget),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        failure.map_or(Ok(false), Err)
    }
}

/// Walks over the items of a list.
pub(super) struct Items<'l, 'a> {
    /// What is still to be walked over, the next part last.
    parts: Vec<&'l List<'a>>,
    index: usize,
}

impl<'a> Iterator for Items<'_, 'a> {
    type Item = Outcome<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.parts.pop()? {
                List::Joined(both, _) => self.parts.extend([&both.1, &both.0]),
                part => {
                    if let Some(item) = part.item(self.index) {
                        self.index += 1;
                        self.parts.push(part);
                        return Some(item);
                    }
                    self.index = 0;
                }
            }
        }
    }
}

/// The keys of an item of a list by keys.
fn item_key(item: &Value<'_>, names: &[Box<str>]) -> Result<Vec<Option<Key>>, Error> {
    let mut key = Vec::with_capacity(names.len());
    for name in names {
        let value = match item {
            Value::Map(map) => map.get_raw(name)?,
            _ => None,
        };
        key.push(value.and_then(|value| value.key()));
    }
    Ok(key)
}

impl<'a> JsonList<'a> {
    fn item_decl(&self) -> Option<&'a Decl> {
        self.decl.and_then(Decl::element).map(AsRef::as_ref)
    }
}

impl<'a> JsonMap<'a> {
    /// The schema of a field by its name in JSON, and whether it has one (or the map none at all).
    fn field_decl(&self, name: &str) -> Option<Option<&'a Decl>> {
        let Some(decl) = self.decl else {
            return Some(None);
        };
        match &decl.shape {
            Shape::Map(value) => Some(Some(value)),
            Shape::Object(object) => match &object.fields.get(names::escape(name)?.as_str())?.decl {
                FieldType::Declared(decl) => Some(Some(decl)),
                FieldType::Plain(_) => Some(None),
            },
            _ => None,
        }
    }

    /// A field by its name in JSON.
    fn raw(&self, name: &str) -> Option<Outcome<'a>> {
        let json = self.fields.get(name)?;
        Some(Value::of(json, self.field_decl(name)?))
    }

    /// A field of an object by its identifier, or an entry of a map by its key.
    fn find(&self, name: &str) -> Option<Outcome<'a>> {
        let Some(decl) = self.decl else {
            return self.fields.get(name).map(|json| Ok(Value::of_json(json)));
        };
        match &decl.shape {
            Shape::Map(value) => self.fields.get(name).map(|json| Value::typed(json, value)),
            Shape::Object(object) => {
                let field = object.fields.get(name)?;
                let json = self.fields.get(field.name.as_ref())?;
                Some(match &field.decl {
                    FieldType::Declared(decl) => Value::typed(json, decl),
                    FieldType::Plain(_) => Ok(Value::of_json(json)),
                })
            }
            _ => None,
        }
    }

    fn keys(self) -> impl Iterator<Item = Value<'a>> {
        let is_object = self.decl.is_some_and(|decl| matches!(decl.shape, Shape::Object(_)));
        self.fields.keys().filter_map(move |name| {
            if !is_object {
                return Some(name.as_str().into());
            }
            self.field_decl(name)?;
            Some(names::escape(name)?.into())
        })
    }
}

impl<'a> Mapping<'a> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Json(map) => map.fields.len(),
            Self::Owned(entries) => entries.len(),
        }
    }

    /// The value of a key; an object's keys are identifiers.
    pub(super) fn find(&self, key: &Value<'_>) -> Option<Outcome<'a>> {
        match self {
            Self::Json(map) => match key {
                Value::String(name) => map.find(name),
                _ => None,
            },
            Self::Owned(entries) => entries.get(&key.key()?).map(|(_, value)| Ok(value.clone())),
        }
    }

    /// The value of a text that is a key.
    pub(super) fn find_named(&self, name: &str) -> Option<Outcome<'a>> {
        match self {
            Self::Json(map) => map.find(name),
            Self::Owned(entries) => entries.get(&Key::String(name.into())).map(|(_, value)| Ok(value.clone())),
        }
    }

    /// As [`Mapping::find_named`], by the name in JSON.
    fn get_raw(&self, name: &str) -> Result<Option<Value<'a>>, Error> {
        match self {
            Self::Json(map) => map.raw(name),
            Self::Owned(_) => self.find_named(name),
        }
        .transpose()
    }

    pub(super) fn keys(&self) -> Box<dyn Iterator<Item = Value<'a>> + '_> {
        match self {
            Self::Json(map) => Box::new(map.keys()),
            Self::Owned(entries) => Box::new(entries.values().map(|(key, _)| key.clone())),
        }
    }

    fn equals(&self, other: &Self, meter: &mut Meter) -> Result<bool, Error> {
        if self.len() != other.len() {
            return Ok(false);
        }
        if let (Self::Json(one), Self::Json(two)) = (self, other) {
            return one.equals(two, meter);
        }
        for key in self.keys() {
            let (Some(one), Some(two)) = (self.find(&key), other.find(&key)) else {
                return Ok(false);
            };
            if !one?.equals(&two?, meter)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl<'a> JsonMap<'a> {
    fn equals(&self, other: &Self, meter: &mut Meter) -> Result<bool, Error> {
        for (name, json) in self.fields {
            let Some(found) = other.fields.get(name) else {
                return Ok(false);
            };
            let is_equal = match self.raw(name).zip(other.raw(name)) {
                Some((one, two)) => one?.equals(&two?, meter)?,
                // No schema names it, so it is compared as it is.
                None => Value::of_json(json).equals(&Value::of_json(found), meter)?,
            };
            if !is_equal {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
