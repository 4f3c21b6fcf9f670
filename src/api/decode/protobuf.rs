//! Bodies in Kubernetes' protobuf, which typed clients send: kubectl's `create` among them.
//!
//! Field numbers come from upstream's field tags (`schema/facts/go.tsv`), types from the schema, so there is no message
//! written down here but the envelope and those that JSON writes as one text. Unknown fields are skipped, as protobuf
//! asks. The answer is the value that the same object has in JSON; [`super::decode`] then brings it into canonical form.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{DEPTH_MAX, DecodeError, Parsed};
use crate::meta;
use crate::schema::facts::{self, GoField};
use crate::schema::{Definition, Id, Other, Schemas, Type};

/// What every body begins with.
const MAGIC: &[u8] = b"k8s\0";

/// How a field's bytes are laid out.
const VARINT: u8 = 0;
const FIXED64: u8 = 1;
const LENGTH: u8 = 2;
const FIXED32: u8 = 5;

/// Reads an object of the type `id` from its envelope.
///
/// # Errors
/// When the bytes are cut short, are no envelope, or hold a field in another form than its type's.
pub fn parse_protobuf(schemas: &Schemas, id: Id, bytes: &[u8]) -> Result<Parsed, DecodeError> {
    let Some(envelope) = bytes.strip_prefix(MAGIC) else {
        return Err(broken("the body does not begin with the bytes of Kubernetes' protobuf"));
    };
    let (mut api_version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
    for field in Fields(envelope) {
        match field? {
            Field { number: 1, data: Data::Bytes(type_meta) } => {
                for field in Fields(type_meta) {
                    match field? {
                        Field { number: 1, data: Data::Bytes(text) } => api_version = utf8(text)?,
                        Field { number: 2, data: Data::Bytes(text) } => kind = utf8(text)?,
                        _ => {}
                    }
                }
            }
            Field { number: 2, data: Data::Bytes(object) } => raw = object,
            _ => {}
        }
    }
    let mut object = message(schemas, schemas.get(id), raw, 0)?;
    object.insert("apiVersion".into(), api_version.into());
    object.insert("kind".into(), kind.into());
    Ok(Parsed { value: Value::Object(object), duplicates: Vec::new() })
}

/// Reads a message of a definition.
fn message(
    schemas: &Schemas,
    definition: &Definition,
    bytes: &[u8],
    depth: usize,
) -> Result<Map<String, Value>, DecodeError> {
    let mut fields = Map::new();
    let place =
        Place { schemas, definition, rows: facts::go_rows(&definition.name), name: definition.name.to_string() };
    place.read(bytes, depth, &mut fields)?;
    Ok(fields)
}

/// A message whose fields go into an object: the object's own, or one that Go embeds in it.
struct Place<'s> {
    schemas: &'s Schemas,
    /// The object's type, which knows all fields by their JSON names.
    definition: &'s Definition,
    /// The message's fields by number.
    rows: &'static [GoField],
    /// The message's name.
    name: String,
}

impl Place<'_> {
    fn read(&self, bytes: &[u8], depth: usize, out: &mut Map<String, Value>) -> Result<(), DecodeError> {
        if depth > DEPTH_MAX {
            return Err(broken("messages lie too deep in one another"));
        }
        for field in Fields(bytes) {
            let Field { number, data } = field?;
            let Some(row) = self.rows.iter().find(|row| row.number == number) else { continue };
            if row.json == "inline" {
                let name = facts::embedded(&self.name, row);
                let embedded = Place { rows: facts::go_rows(&name), name, ..*self };
                if let Data::Bytes(bytes) = data {
                    embedded.read(bytes, depth + 1, out)?;
                }
                continue;
            }
            let Some(known) = self.definition.field(row.json) else { continue };
            self.put(out, row.json, &known.kind, data, depth)?;
        }
        Ok(())
    }

    /// Writes a field into the object; a repeated one is appended.
    fn put(
        &self,
        out: &mut Map<String, Value>,
        name: &str,
        kind: &Type,
        data: Data<'_>,
        depth: usize,
    ) -> Result<(), DecodeError> {
        let place = out.entry(name).or_insert(Value::Null);
        match kind {
            Type::List(item) => {
                let read = self.value(item, data, depth)?;
                match place.as_array_mut() {
                    Some(items) => items.push(read),
                    None => *place = Value::Array(vec![read]),
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
    fn pair(&self, item: &Type, data: Data<'_>, depth: usize) -> Result<(String, Value), DecodeError> {
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

    fn value(&self, kind: &Type, data: Data<'_>, depth: usize) -> Result<Value, DecodeError> {
        Ok(match (kind, data) {
            (Type::Object(id), Data::Bytes(bytes)) => {
                Value::Object(message(self.schemas, self.schemas.get(*id), bytes, depth + 1)?)
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
            // A list of strings in a map (`map[string][]string`) is a message with one repeated field.
            (Type::List(item), Data::Bytes(bytes)) => {
                let items = Fields(bytes).map(|field| self.value(item, field?.data, depth + 1));
                Value::Array(items.collect::<Result<_, _>>()?)
            }
            (kind, _) => return Err(broken(&format!("a field of type {kind:?} has another wire type"))),
        })
    }
}

impl Place<'_> {
    /// A union: its schema wins; a flag stands before it, and lists after it.
    fn schema_or(&self, id: Id, other: Other, bytes: &[u8], depth: usize) -> Result<Value, DecodeError> {
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
        _ => Value::Null,
    }
}

/// `Time` and `MicroTime`: seconds and nanoseconds; nothing for the zero time.
fn time(bytes: &[u8]) -> Result<Option<Timestamp>, DecodeError> {
    let (mut seconds, mut nanos) = (0_i64, 0_i64);
    for field in Fields(bytes) {
        match field? {
            Field { number: 1, data: Data::Number(number) } => seconds = number.cast_signed(),
            Field { number: 2, data: Data::Number(number) } => nanos = number.cast_signed(),
            _ => {}
        }
    }
    if seconds == 0 && nanos == 0 {
        return Ok(None);
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

/// A field of a message.
struct Field<'b> {
    number: u32,
    data: Data<'b>,
}

/// What a field holds.
enum Data<'b> {
    /// A varint, or the bits of a fixed number.
    Number(u64),
    /// Text, bytes or a message.
    Bytes(&'b [u8]),
}

/// The fields of a message, in order; ends at the first error.
struct Fields<'b>(&'b [u8]);

impl<'b> Iterator for Fields<'b> {
    type Item = Result<Field<'b>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field().ok_or_else(|| broken("the body is cut short or no protobuf"));
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'b> Fields<'b> {
    fn field(&mut self) -> Option<Field<'b>> {
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).ok()?;
        let data = match u8::try_from(tag & 7).ok()? {
            VARINT => Data::Number(self.varint()?),
            FIXED64 => Data::Number(u64::from_le_bytes(*self.0.split_off(..8)?.first_chunk()?)),
            FIXED32 => Data::Number(u64::from(u32::from_le_bytes(*self.0.split_off(..4)?.first_chunk()?))),
            LENGTH => {
                let length = usize::try_from(self.varint()?).ok()?;
                Data::Bytes(self.0.split_off(..length)?)
            }
            _ => return None,
        };
        Some(Field { number, data })
    }

    /// A number of seven bits a byte, the lowest first.
    fn varint(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = *self.0.split_off_first()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }
}

fn utf8(bytes: &[u8]) -> Result<String, DecodeError> {
    String::from_utf8(bytes.to_vec()).map_err(|_| broken("a text is not UTF-8"))
}

fn broken(why: &str) -> DecodeError {
    DecodeError::Protobuf(why.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A field with bytes, as protobuf writes it (lengths below 128).
    fn bytes(number: u8, data: &[u8]) -> Vec<u8> {
        [&[number << 3 | LENGTH, u8::try_from(data.len()).unwrap()], data].concat()
    }

    fn envelope(kind: &str, object: &[u8]) -> Vec<u8> {
        let type_meta = [bytes(1, b"v1"), bytes(2, kind.as_bytes())].concat();
        [MAGIC, &bytes(1, &type_meta), &bytes(2, object)].concat()
    }

    fn parse(kind: &str, object: &[u8]) -> Result<Value, DecodeError> {
        let schemas = Schemas::builtin();
        let id = schemas.named(&format!("io.k8s.api.core.v1.{kind}")).unwrap();
        parse_protobuf(schemas, id, &envelope(kind, object)).map(|parsed| parsed.value)
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
    fn what_is_cut_short_is_refused_and_what_is_unknown_skipped() {
        assert!(parse("ConfigMap", &[0x0a, 0x7f, 1]).is_err());
        assert!(parse("ConfigMap", &[0xff; 12]).is_err());
        assert_eq!(parse("ConfigMap", &bytes(15, b"later")).unwrap(), json!({"apiVersion": "v1", "kind": "ConfigMap"}));
    }
}
