//! From messages to the values that the same objects have in JSON.
//!
//! Unknown fields are skipped, as protobuf asks. [`crate::decode`] then brings the value into canonical form, which
//! leaves out what JSON does not show: protobuf writes every field that Go cannot leave unset.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::MAGIC;
use super::layout::{Layouts, Leaf, Message, Part};
use super::wire::{Broken, Data, Field, Fields, Numbers};
use crate::decode::{DEPTH_MAX, DecodeError, Parsed};
use crate::meta;
use crate::schema::{Id, Other, Type};

/// Reads an object of the builtin type `id` from its envelope.
///
/// # Errors
/// When the bytes are cut short, are no envelope, or hold a field in another form than its type's.
pub fn decode(id: Id, bytes: &[u8]) -> Result<Parsed, DecodeError> {
    let value = Envelope::read(bytes)?.open(id)?;
    Ok(Parsed { value, duplicates: Vec::new() })
}

/// Reads an object or list of the kind that its envelope names.
///
/// # Errors
/// As [`decode()`], and when the kind has no message.
pub fn decode_any(bytes: &[u8]) -> Result<Value, DecodeError> {
    let envelope = Envelope::read(bytes)?;
    let id = Layouts::builtin().root(&envelope.api_version, &envelope.kind);
    let id = id.ok_or_else(|| broken(&format!("no message is known for {:?}", envelope.kind)))?;
    envelope.open(id)
}

/// What stands around an object.
struct Envelope<'b> {
    api_version: String,
    kind: String,
    message: &'b [u8],
}

impl<'b> Envelope<'b> {
    fn read(bytes: &'b [u8]) -> Result<Self, DecodeError> {
        let Some(fields) = bytes.strip_prefix(MAGIC) else {
            return Err(broken("the body does not begin with the bytes of Kubernetes' protobuf"));
        };
        let mut envelope = Self { api_version: String::new(), kind: String::new(), message: &[] };
        for field in Fields(fields) {
            match field? {
                Field { number: 1, data: Data::Bytes(type_meta) } => envelope.read_type_meta(type_meta)?,
                Field { number: 2, data: Data::Bytes(message) } => envelope.message = message,
                _ => {}
            }
        }
        Ok(envelope)
    }

    fn read_type_meta(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        for field in Fields(bytes) {
            match field? {
                Field { number: 1, data: Data::Bytes(text) } => self.api_version = utf8(text)?,
                Field { number: 2, data: Data::Bytes(text) } => self.kind = utf8(text)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// The object within, which is of the type `id`.
    fn open(self, id: Id) -> Result<Value, DecodeError> {
        let layouts = Layouts::builtin();
        let mut object = Reader { layouts, message: layouts.get(id) }.message(self.message, 0)?;
        object.insert("apiVersion".into(), self.api_version.into());
        object.insert("kind".into(), self.kind.into());
        Ok(Value::Object(object))
    }
}

/// Reads messages of one definition.
#[derive(Clone, Copy)]
struct Reader {
    layouts: &'static Layouts,
    message: &'static Message,
}

impl Reader {
    fn message(self, bytes: &[u8], depth: usize) -> Result<Map<String, Value>, DecodeError> {
        let mut fields = Map::new();
        self.read(&self.message.parts, bytes, depth, &mut fields)?;
        Ok(fields)
    }

    /// Reads a message whose fields go into an object: the object's own, or one that Go embeds in it.
    fn read(
        self,
        parts: &'static [Part],
        bytes: &[u8],
        depth: usize,
        out: &mut Map<String, Value>,
    ) -> Result<(), DecodeError> {
        if depth > DEPTH_MAX {
            return Err(broken("messages lie too deep in one another"));
        }
        let leaves = &self.message.leaves;
        for field in Fields(bytes) {
            let Field { number, data } = field?;
            match (Part::find(parts, leaves, number), data) {
                (Some(Part::Embedded { parts, .. }), Data::Bytes(bytes)) => self.read(parts, bytes, depth + 1, out)?,
                (Some(Part::Leaf(place)), data) => {
                    if let Some(leaf) = leaves.get(*place) {
                        self.put(out, leaf, data, depth)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Writes a field into the object; a repeated one is appended.
    fn put(self, out: &mut Map<String, Value>, leaf: &Leaf, data: Data<'_>, depth: usize) -> Result<(), DecodeError> {
        let place = out.entry(leaf.name).or_insert(Value::Null);
        match &leaf.kind {
            Type::List(item) if !leaf.is_wrapped => {
                if !place.is_array() {
                    *place = Value::Array(Vec::new());
                }
                let Some(items) = place.as_array_mut() else { return Ok(()) };
                match (item.as_ref(), data) {
                    // Upstream writes each number by itself, and reads those too that others pack together.
                    (Type::Int32 | Type::Int64 | Type::Boolean, Data::Bytes(packed)) => {
                        for number in Numbers(packed) {
                            items.push(self.value(item, Data::Number(number?), depth)?);
                        }
                    }
                    (item, data) => items.push(self.value(item, data, depth)?),
                }
            }
            Type::Map(item) => {
                let (key, read) = self.pair(item, data, depth)?;
                if !place.is_object() {
                    *place = Value::Object(Map::new());
                }
                if let Some(map) = place.as_object_mut() {
                    map.insert(key, read);
                }
            }
            single => *place = self.value(single, data, depth)?,
        }
        Ok(())
    }

    /// An entry of a map: a message of its key and its value.
    fn pair(self, item: &Type, data: Data<'_>, depth: usize) -> Result<(String, Value), DecodeError> {
        let Data::Bytes(bytes) = data else { return Err(broken("a map's entry is no message")) };
        // What is left out is empty: protobuf does not write empty values.
        let (mut key, mut read) = (String::new(), empty(item));
        for field in Fields(bytes) {
            match field? {
                Field { number: 1, data: Data::Bytes(text) } => key = utf8(text)?,
                Field { number: 2, data } => read = self.value(item, data, depth)?,
                _ => {}
            }
        }
        Ok((key, read))
    }

    fn value(self, kind: &Type, data: Data<'_>, depth: usize) -> Result<Value, DecodeError> {
        Ok(match (kind, data) {
            (Type::Object(id), Data::Bytes(bytes)) => {
                let inner = Self { message: self.layouts.get(*id), ..self };
                Value::Object(inner.message(bytes, depth + 1)?)
            }
            (Type::String, Data::Bytes(text)) => utf8(text)?.into(),
            (Type::Bytes, Data::Bytes(bytes)) => STANDARD.encode(bytes).into(),
            (Type::Int32 | Type::Int64, Data::Number(number)) => number.cast_signed().into(),
            (Type::Number, Data::Number(bits)) => f64::from_bits(bits).into(),
            (Type::Boolean, Data::Number(number)) => (number != 0).into(),
            (Type::Time, Data::Bytes(bytes)) => time(bytes)?.map_or(Value::Null, |at| meta::time(at).into()),
            (Type::MicroTime, Data::Bytes(bytes)) => time(bytes)?.map_or(Value::Null, |at| meta::micro_time(at).into()),
            (Type::Quantity, Data::Bytes(bytes)) => first_text(bytes)?.into(),
            (Type::IntOrString, Data::Bytes(bytes)) => int_or_string(bytes)?,
            (Type::Raw | Type::Json, Data::Bytes(bytes)) => raw(bytes)?,
            (Type::SchemaOr(id, other), Data::Bytes(bytes)) => self.schema_or(*id, *other, bytes, depth + 1)?,
            // A list whose type has a name, or that is a map's value, is a message with one repeated field.
            (Type::List(item), Data::Bytes(bytes)) => {
                let items = Fields(bytes).map(|field| self.value(item, field?.data, depth + 1));
                Value::Array(items.collect::<Result<_, _>>()?)
            }
            (kind, _) => return Err(broken(&format!("a field of type {kind:?} has another wire type"))),
        })
    }
}

impl Reader {
    /// A union: its schema wins; a flag stands before it, and lists after it.
    fn schema_or(self, id: Id, other: Other, bytes: &[u8], depth: usize) -> Result<Value, DecodeError> {
        let schema_number = if other == Other::Boolean { 2 } else { 1 };
        let (mut schema, mut flag, mut items) = (None, false, Vec::new());
        for field in Fields(bytes) {
            match field? {
                Field { number, data } if number == schema_number => {
                    schema = Some(self.value(&Type::Object(id), data, depth)?);
                }
                Field { number: 1, data: Data::Number(number) } => flag = number != 0,
                Field { number: 2, data } => {
                    let kind = if other == Other::Texts { Type::String } else { Type::Object(id) };
                    items.push(self.value(&kind, data, depth)?);
                }
                _ => {}
            }
        }
        Ok(schema.unwrap_or_else(|| if other == Other::Boolean { flag.into() } else { items.into() }))
    }
}

/// What a type holds when protobuf writes nothing.
fn empty(kind: &Type) -> Value {
    match kind {
        Type::String | Type::Bytes => "".into(),
        Type::Int32 | Type::Int64 | Type::Number => 0.into(),
        Type::Boolean => false.into(),
        Type::Quantity => "0".into(),
        Type::List(_) => Value::Array(Vec::new()),
        Type::Object(_) => Value::Object(Map::new()),
        _ => Value::Null,
    }
}

/// `Time` and `MicroTime`: seconds and nanoseconds; nothing for the zero time.
fn time(bytes: &[u8]) -> Result<Option<Timestamp>, DecodeError> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let (mut seconds, mut nanos) = (0_i64, 0_i64);
    for field in Fields(bytes) {
        match field? {
            Field { number: 1, data: Data::Number(number) } => seconds = number.cast_signed(),
            Field { number: 2, data: Data::Number(number) } => nanos = number.cast_signed(),
            _ => {}
        }
    }
    let nanos = i32::try_from(nanos).map_err(|_| broken("a time's nanoseconds are out of range"))?;
    let at = Timestamp::new(seconds, nanos).map_err(|error| broken(&format!("a time is out of range: {error}")))?;
    Ok(Some(at))
}

/// The text in field 1.
fn first_text(bytes: &[u8]) -> Result<String, DecodeError> {
    for field in Fields(bytes) {
        if let Field { number: 1, data: Data::Bytes(text) } = field? {
            return utf8(text);
        }
    }
    Ok(String::new())
}

/// `IntOrString`: which of both, the number, the text.
fn int_or_string(bytes: &[u8]) -> Result<Value, DecodeError> {
    let (mut is_text, mut number, mut text) = (false, 0_i64, String::new());
    for field in Fields(bytes) {
        match field? {
            Field { number: 1, data: Data::Number(kind) } => is_text = kind == 1,
            Field { number: 2, data: Data::Number(value) } => number = value.cast_signed(),
            Field { number: 3, data: Data::Bytes(value) } => text = utf8(value)?,
            _ => {}
        }
    }
    Ok(if is_text { text.into() } else { number.into() })
}

/// `RawExtension` and `FieldsV1`: JSON in field 1.
fn raw(bytes: &[u8]) -> Result<Value, DecodeError> {
    let text = first_text(bytes)?;
    if text.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_str(&text).map_err(|error| broken(&format!("an embedded object is no JSON: {error}")))
}

fn utf8(bytes: &[u8]) -> Result<String, DecodeError> {
    String::from_utf8(bytes.to_vec()).map_err(|_| broken("a text is not UTF-8"))
}

impl From<Broken> for DecodeError {
    fn from(_: Broken) -> Self {
        broken("the body is cut short or no protobuf")
    }
}

fn broken(why: &str) -> DecodeError {
    DecodeError::Protobuf(why.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::envelope;
    use super::*;
    use crate::schema::Schemas;

    /// A field with bytes, as protobuf writes it (lengths below 128).
    fn bytes(number: u8, data: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, u8::try_from(data.len()).unwrap()], data].concat()
    }

    fn parse(kind: &str, object: &[u8]) -> Result<Value, DecodeError> {
        let id = Schemas::builtin().named(&format!("io.k8s.api.core.v1.{kind}")).unwrap();
        decode(id, &envelope("v1", kind, object)).map(|parsed| parsed.value)
    }

    #[test]
    fn a_config_map_as_kubectl_sends_it() {
        let metadata = bytes(1, b"a");
        let data = [bytes(1, b"k"), bytes(2, b"1")].concat();
        let object = [bytes(1, &metadata), bytes(2, &data)].concat();
        let expected = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "1"}});
        assert_eq!(parse("ConfigMap", &object).unwrap(), expected);
    }

    #[test]
    fn embedded_structs_and_special_types_are_those_of_json() {
        let empty_dir = bytes(2, &bytes(2, &bytes(2, &bytes(1, b"1Gi"))));
        let volume = bytes(1, &[bytes(1, b"v"), empty_dir].concat());
        let created = bytes(8, &[8, 0xc0, 0xc4, 0x07]);
        let object = [bytes(1, &created), bytes(2, &volume)].concat();
        let pod = parse("Pod", &object).unwrap();
        assert_eq!(pod["spec"]["volumes"], json!([{"name": "v", "emptyDir": {"sizeLimit": "1Gi"}}]));
        assert_eq!(pod["metadata"]["creationTimestamp"], "1970-01-02T10:17:36Z");
    }

    #[test]
    fn numbers_are_read_by_themselves_and_packed_together() {
        let schemas = Schemas::builtin();
        let id = schemas.named("io.k8s.api.core.v1.PodSecurityContext").unwrap();
        let groups =
            |fields: &[u8]| decode(id, &envelope("v1", "x", fields)).unwrap().value["supplementalGroups"].take();
        assert_eq!(groups(&[0x20, 1, 0x20, 0x80, 1]), json!([1, 128]));
        assert_eq!(groups(&[0x22, 3, 1, 0x80, 1]), json!([1, 128]));
        assert!(decode(id, &envelope("v1", "x", &[0x22, 1, 0x80])).is_err());
    }

    #[test]
    fn what_is_cut_short_is_refused_and_what_is_unknown_skipped() {
        assert!(parse("ConfigMap", &[0x0a, 0x7f, 1]).is_err());
        assert!(parse("ConfigMap", &[0xff; 12]).is_err());
        assert_eq!(parse("ConfigMap", &bytes(15, b"later")).unwrap(), json!({"apiVersion": "v1", "kind": "ConfigMap"}));
    }
}
