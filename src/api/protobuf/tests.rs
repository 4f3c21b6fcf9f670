//! What holds of every builtin kind: an object that goes through protobuf comes back as it was.

use serde_json::{Map, Value, json};

use super::layout::Layouts;
use super::{decode, decode_any, encode, envelope, is_known, list, message, metadata_message, watch_frame};
use crate::decode::{self as json_decode, canonicalize};
use crate::schema::{Definition, Other, Schemas, Type};
use crate::scheme::{Resource, Scheme};

/// Makes objects with something in every field, each value another.
struct Filler {
    schemas: &'static Schemas,
    next: i64,
    schemas_deep: u8,
}

impl Filler {
    fn object(&mut self, definition: &Definition) -> Value {
        // Schemas hold schemas, without end.
        if definition.go_name.as_ref() == "JSONSchemaProps" {
            if self.schemas_deep == 2 {
                return json!({"type": "string"});
            }
            self.schemas_deep += 1;
            let filled = self.fields(definition);
            self.schemas_deep -= 1;
            return filled;
        }
        self.fields(definition)
    }

    fn fields(&mut self, definition: &Definition) -> Value {
        // What a kind is called is not in its message: the claims in a StatefulSet lose it.
        let is_type_meta =
            |name: &str| ["apiVersion", "kind"].contains(&name) && definition.field("metadata").is_some();
        let fields = definition.fields.iter().filter(|field| !is_type_meta(&field.name));
        let fields = fields.map(|field| (field.name.to_string(), self.value(&field.kind)));
        Value::Object(fields.collect())
    }

    fn value(&mut self, kind: &Type) -> Value {
        self.next += 1;
        let (schemas, number) = (self.schemas, self.next);
        match kind {
            Type::Object(id) => self.object(schemas.get(*id)),
            Type::List(item) => Value::Array(vec![self.value(item), self.value(item)]),
            Type::Map(item) => Value::Object(Map::from_iter([
                (format!("b{number}"), self.value(item)),
                (format!("a{number}"), self.value(item)),
            ])),
            Type::String => format!("text {number} \u{e9}\"").into(),
            Type::Int32 | Type::Int64 => (if number % 2 == 0 { number * 1000 } else { -number }).into(),
            Type::Number => 0.5.into(),
            Type::Boolean => true.into(),
            Type::Time => "2026-11-28T08:00:00Z".into(),
            Type::MicroTime => "1969-11-28T08:00:00.123456Z".into(),
            Type::Bytes => "AAEC/w==".into(),
            Type::Quantity => format!("{number}m").into(),
            Type::IntOrString if number % 2 == 0 => number.into(),
            Type::IntOrString => format!("{number}%").into(),
            Type::Raw | Type::Json => json!({"f:a": {".": {}, "n": number}}),
            Type::SchemaOr(id, other) if number % 2 == 0 => match other {
                Other::Boolean => true.into(),
                Other::Schemas => json!([self.object(schemas.get(*id)), self.object(schemas.get(*id))]),
                Other::Texts => json!(["a", "b"]),
            },
            Type::SchemaOr(id, _) => self.object(schemas.get(*id)),
            Type::Any => unreachable!("no builtin type has it"),
        }
    }
}

fn rows() -> impl Iterator<Item = (&'static Resource, &'static Definition)> {
    Scheme::builtin().resources().map(|row| (row.as_ref(), Schemas::builtin().get(row.schema.id())))
}

/// The object in canonical form, with its kind.
fn canonical(row: &Resource, object: Value) -> Value {
    let mut object = json_decode::decode(Schemas::builtin(), row.schema.id(), object, &row.kind).unwrap().object;
    object["apiVersion"] = row.api_version().into();
    object["kind"] = row.kind.as_ref().into();
    object
}

#[track_caller]
fn comes_back(row: &Resource, object: &Value) {
    let bytes = encode(object).unwrap();
    let text = object.to_string();
    let from_text = envelope(&row.api_version(), &row.kind, &message(row.schema.id(), text.as_bytes()).unwrap());
    assert_eq!(from_text, bytes, "{}", row.kind);
    let read = canonical(row, decode(row.schema.id(), &bytes).unwrap().value);
    assert!(read == *object, "{} came back otherwise:\n{object}\n{read}", row.kind);
    // What was read is written to the same bytes.
    assert_eq!(encode(&read).unwrap(), bytes, "{}", row.kind);
}

#[test]
fn an_object_with_something_in_every_field_comes_back() {
    for (row, definition) in rows() {
        let object = Filler { schemas: Schemas::builtin(), next: 0, schemas_deep: 0 }.object(definition);
        comes_back(row, &canonical(row, object));
    }
}

#[test]
fn an_empty_object_comes_back() {
    for (row, _) in rows() {
        let mut object = json!({});
        canonicalize(Schemas::builtin(), row.schema.id(), &mut object);
        comes_back(row, &canonical(row, object));
    }
}

#[test]
fn what_upstream_answered_comes_back() {
    for line in include_str!("../decode/recorded.jsonl").lines().filter(|line| !line.starts_with('#')) {
        let object: Value = serde_json::from_str(line).unwrap();
        let kind = object["kind"].as_str().unwrap();
        comes_back(Scheme::builtin().by_kind("", "v1", kind).unwrap(), &object);
    }
}

#[test]
fn a_config_map_in_upstreams_bytes() {
    // Checked by hand against gogo's generated code: unset texts and numbers are written, unset pointers are not.
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "immutable": false, "data": {"k": "1"},
        "metadata": {"name": "a", "creationTimestamp": "1970-01-02T10:17:36Z"}});
    let expected = [
        &b"k8s\0\x0a\x0f\x0a\x02v1\x12\x09ConfigMap\x12\x23"[..],
        b"\x0a\x17\x0a\x01a\x12\0\x1a\0\x22\0\x2a\0\x32\0\x38\0\x42\x06\x08\xc0\xc4\x07\x10\0",
        b"\x12\x06\x0a\x01k\x12\x011\x20\0\x1a\0\x22\0",
    ];
    assert_eq!(encode(&object).unwrap(), expected.concat());
}

#[test]
fn a_list_is_its_metadata_and_its_items_messages() {
    let (layouts, metadata) = (Layouts::builtin(), json!({"resourceVersion": "7", "remainingItemCount": 0}));
    let items = [json!({"metadata": {"name": "a"}}), json!({"metadata": {"name": "b"}})];
    let written: Vec<Vec<u8>> = items
        .iter()
        .map(|item| message(layouts.root("v1", "Pod").unwrap(), item.to_string().as_bytes()).unwrap())
        .collect();
    let joined = list("v1", "PodList", &metadata, written.iter().map(Vec::as_slice)).unwrap();
    let whole = encode(&json!({"apiVersion": "v1", "kind": "PodList", "metadata": metadata, "items": items})).unwrap();
    assert_eq!(joined, whole);
    let read = decode_any(&joined).unwrap();
    assert_eq!((&read["kind"], &read["metadata"]["remainingItemCount"]), (&json!("PodList"), &json!(0)));
    assert_eq!(
        (&read["items"][0]["metadata"]["name"], &read["items"][1]["metadata"]["name"]),
        (&json!("a"), &json!("b"))
    );
}

#[test]
fn the_metadata_of_any_object_is_a_message_of_its_own() {
    let text = br#"{"metadata":{"name":"a"},"spec":{"anything":[1]}}"#;
    let value = json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": {"name": "a"}});
    let message = metadata_message(text).unwrap();
    assert_eq!(envelope("meta.k8s.io/v1", "PartialObjectMetadata", &message), encode(&value).unwrap());
}

#[test]
fn a_frame_has_its_length_before_it() {
    assert_eq!(watch_frame("ADDED", b"xyz"), b"\0\0\0\x0e\x0a\x05ADDED\x12\x05\x0a\x03xyz");
}

#[test]
fn kinds_without_a_message_are_told_in_upstreams_words() {
    let error = encode(&json!({"apiVersion": "example.com/v1", "kind": "Crontab"})).unwrap_err();
    let expected = "object Crontab does not implement the protobuf marshalling interface and cannot be encoded to a \
        protobuf message";
    assert_eq!(error.to_string(), expected);
    for (api_version, kind, expected) in [
        ("v1", "Status", true),
        ("", "APIVersions", true),
        ("v1", "APIResourceList", true),
        ("autoscaling/v1", "Scale", true),
        ("policy/v1", "Eviction", true),
        ("authentication.k8s.io/v1", "TokenRequest", true),
        ("meta.k8s.io/v1", "PartialObjectMetadataList", true),
        ("meta.k8s.io/v1", "Table", false),
    ] {
        assert_eq!(is_known(api_version, kind), expected, "{kind}");
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let id = |kind| Layouts::builtin().root("v1", kind).unwrap();
    for (kind, text) in [
        ("ConfigMap", r#"{"data": 5}"#),
        ("ConfigMap", r#"{"data": {"a": 5}}"#),
        ("ConfigMap", r#"{"metadata": []}"#),
        ("ConfigMap", r#"{"immutable": "x"}"#),
        ("Secret", r#"{"data": {"a": "!"}}"#),
        ("Pod", r#"{"metadata": {"creationTimestamp": "now"}}"#),
        ("Pod", "[]"),
        ("Pod", "{}{}"),
        ("Pod", "{"),
    ] {
        assert!(message(id(kind), text.as_bytes()).is_err(), "{text}");
    }
}
