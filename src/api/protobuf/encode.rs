//! From JSON to messages, in one pass over text or values.
//!
//! A visitor follows the layout: what it reads it writes at the end of `out`, in the order of JSON's names, and
//! remembers where each field begins and ends. When an object ends, its fields are gathered in the order of their
//! numbers, which costs two copies of its bytes and no allocation.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::layout::{Layouts, Leaf, Message, Part, write_int_or_string};
use super::{EncodeError, envelope, wire};
use crate::decode::DEPTH_MAX;
use crate::schema::{Id, Other, Type};

/// Go's zero time, 0001-01-01T00:00:00Z, which protobuf writes as an empty message.
const ZERO_TIME_SECONDS: i64 = -62_135_596_800;

/// An object or list with its envelope; `kind` and `apiVersion` say what it is.
///
/// # Errors
/// When the kind has no message, or a field holds what its type cannot.
pub fn encode(value: &Value) -> Result<Vec<u8>, EncodeError> {
    let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    let id = Layouts::builtin().root(api_version, kind).ok_or_else(|| EncodeError::Unknown(kind.to_owned()))?;
    Ok(envelope(api_version, kind, &write(id, value)?))
}

/// The message of an object's `PartialObjectMetadata`, from the JSON text of the object, whatever kind it has.
///
/// # Errors
/// When the text is no object with metadata.
pub fn metadata_message(text: &[u8]) -> Result<Vec<u8>, EncodeError> {
    message(Layouts::builtin().partial(), text)
}

/// The message of an object of the builtin type `id`, from its JSON text.
///
/// # Errors
/// When the text is no such object.
pub fn message(id: Id, text: &[u8]) -> Result<Vec<u8>, EncodeError> {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let out = write(id, &mut deserializer)?;
    deserializer.end()?;
    Ok(out)
}

/// The message of what a deserializer holds.
pub(super) fn write<'de, D>(id: Id, deserializer: D) -> Result<Vec<u8>, D::Error>
where
    D: Deserializer<'de>,
{
    let layouts = Layouts::builtin();
    let mut writer =
        Writer { layouts, out: Vec::with_capacity(1024), scratch: Vec::new(), spans: Vec::new(), depth: 0 };
    deserializer.deserialize_map(Fields { writer: &mut writer, message: layouts.get(id), number: None })?;
    Ok(writer.out)
}

struct Writer {
    layouts: &'static Layouts,
    out: Vec<u8>,
    /// The objects that are being gathered.
    scratch: Vec<u8>,
    /// Where the fields of the objects that are being read stand in `out`: a row of leaves an object.
    spans: Vec<Span>,
    depth: usize,
}

/// A field's bytes; empty when it is unset.
#[derive(Clone, Copy, Default)]
struct Span {
    start: usize,
    end: usize,
}

impl Writer {
    /// Puts the fields of an object, which were written from `start` on, in the order of their numbers; before them the
    /// head of the field that holds the object, if one does.
    fn gather(&mut self, message: &Message, number: Option<u32>, start: usize, spans: usize) {
        let from = self.scratch.len();
        self.collect(message, &message.parts, spans);
        self.out.truncate(start);
        if let Some(number) = number {
            wire::write_head(&mut self.out, number, self.scratch.len() - from);
        }
        self.out.extend_from_slice(self.scratch.get(from..).unwrap_or_default());
        self.scratch.truncate(from);
        self.spans.truncate(spans);
    }

    fn collect(&mut self, message: &Message, parts: &[Part], spans: usize) {
        for part in parts {
            match part {
                Part::Leaf(place) => {
                    let Some(leaf) = message.leaves.get(*place) else { continue };
                    let span = self.spans.get(spans + place).copied().unwrap_or_default();
                    let written = self.out.get(span.start..span.end).filter(|written| !written.is_empty());
                    self.scratch.extend_from_slice(written.unwrap_or(&leaf.unset));
                }
                Part::Embedded { number, parts } => {
                    let start = self.scratch.len();
                    self.collect(message, parts, spans);
                    wire::enclose(&mut self.scratch, start, *number);
                }
            }
        }
    }
}

/// What a value is written as.
#[derive(Clone, Copy)]
enum Place<'l> {
    /// A field of an object: nothing is written for `null`.
    Field(&'l Leaf),
    /// An item of a list or the value of a map's entry, under this number; `null` is the empty value.
    Item(&'l Type, u32),
}

impl<'l> Place<'l> {
    fn number(self) -> u32 {
        match self {
            Self::Field(leaf) => leaf.number,
            Self::Item(_, number) => number,
        }
    }

    fn kind(self) -> &'l Type {
        match self {
            Self::Field(leaf) => &leaf.kind,
            Self::Item(kind, _) => kind,
        }
    }

    /// Whether a list here is a message around its items.
    fn is_wrapped(self) -> bool {
        match self {
            Self::Field(leaf) => leaf.is_wrapped,
            Self::Item(..) => true,
        }
    }
}

/// The fields of an object.
struct Fields<'w> {
    writer: &'w mut Writer,
    message: &'static Message,
    /// The number of the field that holds the object.
    number: Option<u32>,
}

impl<'de> Visitor<'de> for Fields<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { writer, message, number } = self;
        if writer.depth == DEPTH_MAX {
            return Err(A::Error::custom("objects lie too deep in one another"));
        }
        writer.depth += 1;
        let (start, spans) = (writer.out.len(), writer.spans.len());
        writer.spans.resize(spans + message.leaves.len(), Span::default());
        let mut hint = 0;
        while let Some(place) = map.next_key_seed(Name { message, hint: &mut hint })? {
            let Some((place, leaf)) = place.and_then(|place| Some((place, message.leaves.get(place)?))) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let start = writer.out.len();
            map.next_value_seed(Content { writer, place: Place::Field(leaf) })?;
            let end = writer.out.len();
            if let Some(span) = writer.spans.get_mut(spans + place) {
                *span = Span { start, end };
            }
        }
        writer.gather(message, number, start, spans);
        writer.depth -= 1;
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Fields<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

/// The name of a field: its place in the message.
struct Name<'h> {
    message: &'static Message,
    hint: &'h mut usize,
}

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field's name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.message.place(name, self.hint))
    }
}

/// A value of any type.
struct Content<'w> {
    writer: &'w mut Writer,
    place: Place<'static>,
}

impl<'de> DeserializeSeed<'de> for Content<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if !matches!(self.place.kind(), Type::Raw | Type::Json) {
            return deserializer.deserialize_any(self);
        }
        // A value that lies in memory has no text to lend.
        let text = <Box<RawValue> as serde::Deserialize>::deserialize(deserializer)?;
        if text.get() == "null" {
            return self.visit_unit();
        }
        let (out, length, number) = (&mut self.writer.out, text.get().len(), self.place.number());
        wire::write_head(out, number, wire::head_size(1, length) + length);
        wire::write_bytes(out, 1, text.get().as_bytes());
        Ok(())
    }
}

impl<'de> Visitor<'de> for Content<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a value of type {:?}", self.place.kind())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        // Bytes are the one type that Go leaves out of a map's entry.
        if let Place::Item(kind, number) = self.place
            && *kind != Type::Bytes
        {
            self.writer.layouts.write_zero(kind, number, &mut self.writer.out);
        }
        Ok(())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        match self.place.kind() {
            Type::Boolean => wire::write_number(&mut self.writer.out, self.place.number(), value.into()),
            Type::SchemaOr(_, Other::Boolean) => {
                let start = self.writer.out.len();
                wire::write_number(&mut self.writer.out, 1, value.into());
                wire::enclose(&mut self.writer.out, start, self.place.number());
            }
            _ => return Err(E::invalid_type(serde::de::Unexpected::Bool(value), &self)),
        }
        Ok(())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        let (out, number) = (&mut self.writer.out, self.place.number());
        match self.place.kind() {
            Type::Int32 | Type::Int64 => wire::write_number(out, number, value),
            Type::IntOrString => write_int_or_string(out, number, value, None),
            #[expect(clippy::cast_precision_loss, reason = "the number is a float in Go, and was read as one")]
            Type::Number => wire::write_double(out, number, value as f64),
            _ => return Err(E::invalid_type(serde::de::Unexpected::Signed(value), &self)),
        }
        Ok(())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        let unexpected = serde::de::Unexpected::Unsigned(value);
        match i64::try_from(value) {
            Ok(value) => self.visit_i64(value),
            Err(_) => Err(E::invalid_value(unexpected, &self)),
        }
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        match self.place.kind() {
            Type::Number => wire::write_double(&mut self.writer.out, self.place.number(), value),
            _ => return Err(E::invalid_type(serde::de::Unexpected::Float(value), &self)),
        }
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        let (out, number) = (&mut self.writer.out, self.place.number());
        match self.place.kind() {
            Type::String => wire::write_bytes(out, number, text.as_bytes()),
            Type::Quantity => {
                wire::write_head(out, number, wire::head_size(1, text.len()) + text.len());
                wire::write_bytes(out, 1, text.as_bytes());
            }
            Type::IntOrString => write_int_or_string(out, number, 0, Some(text)),
            Type::Bytes => {
                let start = out.len();
                STANDARD.decode_vec(text, out).map_err(E::custom)?;
                wire::enclose(out, start, number);
            }
            Type::Time | Type::MicroTime => write_time(out, number, text).map_err(E::custom)?,
            _ => return Err(E::invalid_type(serde::de::Unexpected::Str(text), &self)),
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let start = self.writer.out.len();
        let item = match self.place.kind() {
            Type::List(item) => item,
            Type::SchemaOr(id, Other::Schemas) => {
                let message = self.writer.layouts.get(*id);
                while items.next_element_seed(Fields { writer: &mut *self.writer, message, number: Some(2) })?.is_some()
                {
                }
                wire::enclose(&mut self.writer.out, start, self.place.number());
                return Ok(());
            }
            Type::SchemaOr(_, Other::Texts) => {
                let place = Place::Item(&Type::String, 2);
                while items.next_element_seed(Content { writer: &mut *self.writer, place })?.is_some() {}
                wire::enclose(&mut self.writer.out, start, self.place.number());
                return Ok(());
            }
            _ => return Err(A::Error::invalid_type(serde::de::Unexpected::Seq, &self)),
        };
        // Around its items such a list is a message of one field.
        let number = if self.place.is_wrapped() { 1 } else { self.place.number() };
        let place = Place::Item(item, number);
        while items.next_element_seed(Content { writer: &mut *self.writer, place })?.is_some() {}
        if self.place.is_wrapped() {
            wire::enclose(&mut self.writer.out, start, self.place.number());
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        match self.place.kind() {
            Type::Object(id) => {
                let message = self.writer.layouts.get(*id);
                Fields { writer: self.writer, message, number: Some(self.place.number()) }.visit_map(map)?;
            }
            Type::SchemaOr(id, other) => {
                let (start, message) = (self.writer.out.len(), self.writer.layouts.get(*id));
                // Where a flag may stand, a schema raises it.
                let number = if *other == Other::Boolean { 2 } else { 1 };
                if number == 2 {
                    wire::write_number(&mut self.writer.out, 1, 1);
                }
                Fields { writer: &mut *self.writer, message, number: Some(number) }.visit_map(map)?;
                wire::enclose(&mut self.writer.out, start, self.place.number());
            }
            // Keys come sorted, as upstream writes them: both texts and values are of sorted maps.
            Type::Map(item) => loop {
                let start = self.writer.out.len();
                if map.next_key_seed(Key { out: &mut self.writer.out })?.is_none() {
                    break;
                }
                map.next_value_seed(Content { writer: &mut *self.writer, place: Place::Item(item, 2) })?;
                wire::enclose(&mut self.writer.out, start, self.place.number());
            },
            _ => return Err(A::Error::invalid_type(serde::de::Unexpected::Map, &self)),
        }
        Ok(())
    }
}

/// The key of a map's entry, in the entry's first field.
struct Key<'o> {
    out: &'o mut Vec<u8>,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<(), E> {
        wire::write_bytes(self.out, 1, key.as_bytes());
        Ok(())
    }
}

/// `Time` and `MicroTime`: seconds and nanoseconds; nothing for the zero time.
fn write_time(out: &mut Vec<u8>, number: u32, text: &str) -> Result<(), jiff::Error> {
    let at: Timestamp = text.parse()?;
    // Nanoseconds count forward, before 1970 too.
    let (mut seconds, mut nanos) = (at.as_second(), at.subsec_nanosecond());
    if nanos < 0 {
        seconds -= 1;
        nanos += 1_000_000_000;
    }
    let start = out.len();
    if (seconds, nanos) != (ZERO_TIME_SECONDS, 0) {
        wire::write_number(out, 1, seconds);
        wire::write_number(out, 2, nanos.into());
    }
    wire::enclose(out, start, number);
    Ok(())
}
