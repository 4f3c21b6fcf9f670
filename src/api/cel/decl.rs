//! What a structural schema says of values: their type, and how large they can get.
//!
//! Sizes are for estimating costs before any value exists. Where a schema sets no maximum, the size of a request does.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use serde_json::{Map, Value};

use super::names::escape;
use super::types::Type;

/// How large a request can be, in bytes, as costs see it; upstream's number, whatever the server allows.
pub(super) const REQUEST_BYTES_MAX: u64 = 3 * 1024 * 1024;

/// How deep a schema may be. Upstream's decoder allows no deeper JSON than this either, and walks here recurse.
const DEPTH_MAX: usize = 200;

/// How a schema of ours names its type; those of definitions cannot have such a field.
const NAME: &str = "$name";

/// How many characters a time or a duration has at most, with its quotes.
const TIME_BYTES_MAX: u64 = 32;
/// How many bytes a date has, with its quotes.
const DATE_BYTES: u64 = 12;

/// What a schema says of values.
#[derive(Debug)]
pub(super) struct Decl {
    pub(super) shape: Shape,
    /// How many bytes the smallest value takes in JSON.
    pub(super) bytes_min: u64,
    /// How many items, entries or characters there can be.
    pub(super) elements_max: u64,
    /// Whether a value may be null.
    pub(super) is_nullable: bool,
}

/// The sorts of declared values.
#[derive(Debug)]
pub(super) enum Shape {
    /// An integer or a string.
    IntOrString,
    Bool,
    Int,
    Double,
    String,
    Bytes,
    Duration,
    Date,
    Timestamp,
    List(Arc<Decl>, ListType),
    Map(Arc<Decl>),
    Object(Arc<Object>),
}

/// When two lists are equal, and what adding them means.
#[derive(Debug)]
pub(super) enum ListType {
    Atomic,
    Set,
    /// By these keys, as in JSON.
    Map(Vec<Box<str>>),
}

/// An object type.
#[derive(Debug)]
pub(super) struct Object {
    pub(super) name: Box<str>,
    /// By identifier.
    pub(super) fields: BTreeMap<Box<str>, Field>,
    /// Whether it has any other field too, of any type.
    pub(super) is_open: bool,
}

/// A field of an object type.
#[derive(Clone, Debug)]
pub(super) struct Field {
    /// As in JSON.
    pub(super) name: Box<str>,
    pub(super) decl: FieldType,
}

/// What a field holds: by a schema, or as an environment says.
#[derive(Clone, Debug)]
pub(super) enum FieldType {
    Declared(Arc<Decl>),
    Plain(Type),
}

impl FieldType {
    pub(super) fn kind(&self) -> Type {
        match self {
            Self::Declared(decl) => decl.kind(),
            Self::Plain(kind) => kind.clone(),
        }
    }
}

/// Where a schema stands in an object.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Place {
    /// At the root of a resource, so that it has a name.
    Root,
    /// Anywhere else.
    Inside,
}

impl Decl {
    /// What a schema says, if expressions may see such values. `name` is the type's, should it be an object.
    pub(super) fn of(schema: &Value, place: Place, name: &str) -> Option<Arc<Self>> {
        build(schema, place, name, DEPTH_MAX)
    }

    /// An object that no schema declares.
    pub(super) fn object(object: Object) -> Self {
        let shape = Shape::Object(Arc::new(object));
        Self { shape, bytes_min: 2, elements_max: ELEMENTS_OF_AN_OBJECT, is_nullable: false }
    }

    pub(super) fn kind(&self) -> Type {
        match &self.shape {
            Shape::IntOrString => Type::Dyn,
            Shape::Bool => Type::Bool,
            Shape::Int => Type::Int,
            Shape::Double => Type::Double,
            Shape::String => Type::String,
            Shape::Bytes => Type::Bytes,
            Shape::Duration => Type::Duration,
            Shape::Date | Shape::Timestamp => Type::Timestamp,
            Shape::List(item, _) => Type::list(item.kind()),
            Shape::Map(value) => Type::map(Type::String, value.kind()),
            Shape::Object(object) => Type::Object(Arc::clone(object)),
        }
    }

    /// What the items of a list or the values of a map are.
    pub(super) fn element(&self) -> Option<&Arc<Self>> {
        match &self.shape {
            Shape::List(element, _) | Shape::Map(element) => Some(element),
            _ => None,
        }
    }

    /// What a property of an object is, by its name in JSON, if expressions can name it.
    pub(super) fn property(&self, name: &str) -> Option<&Arc<Self>> {
        let Shape::Object(object) = &self.shape else {
            return None;
        };
        match &object.fields.get(escape(name)?.as_str())?.decl {
            FieldType::Declared(decl) => Some(decl),
            FieldType::Plain(_) => None,
        }
    }

    /// How often a value of this may occur in one object at most.
    pub(super) fn cardinality_max(&self) -> u64 {
        REQUEST_BYTES_MAX / (self.bytes_min + 1)
    }
}

fn flag(schema: &Value, name: &str) -> bool {
    schema.get(name).and_then(Value::as_bool).unwrap_or_default()
}

fn limit(schema: &Value, name: &str) -> Option<u64> {
    schema.get(name).and_then(Value::as_i64).map(|limit| u64::try_from(limit).unwrap_or_default())
}

/// Whether a schema is of a resource of its own.
pub(super) fn is_embedded(schema: &Value) -> Place {
    if flag(schema, "x-kubernetes-embedded-resource") { Place::Root } else { Place::Inside }
}

fn build(schema: &Value, place: Place, name: &str, depth: usize) -> Option<Arc<Decl>> {
    let depth = depth.checked_sub(1)?;
    let decl = |shape, bytes_min, elements_max| {
        let is_nullable = flag(schema, "nullable");
        Some(Arc::new(Decl { shape, bytes_min, elements_max, is_nullable }))
    };
    if flag(schema, "x-kubernetes-int-or-string") {
        return decl(Shape::IntOrString, 1, string_max(schema));
    }
    match schema.get("type").and_then(Value::as_str).unwrap_or_default() {
        "array" => {
            let items = schema.get("items")?;
            let item = build(items, is_embedded(items), &format!("{name}.@idx"), depth)?;
            let max = limit(schema, "maxItems").unwrap_or((REQUEST_BYTES_MAX - 2) / (item.bytes_min + 1));
            decl(Shape::List(item, list_type(schema)), 2, max)
        }
        "object" => match schema.get("additionalProperties").filter(|values| values.is_object()) {
            Some(values) => {
                let value = build(values, is_embedded(values), &format!("{name}.@elem"), depth)?;
                let max = limit(schema, "maxProperties").unwrap_or((REQUEST_BYTES_MAX - 2) / (value.bytes_min + 6));
                decl(Shape::Map(value), 2, max)
            }
            None => {
                let (object, bytes_min) = object(schema, place, name, depth);
                decl(Shape::Object(Arc::new(object)), bytes_min, ELEMENTS_OF_AN_OBJECT)
            }
        },
        "string" => {
            let max = limit(schema, "maxLength");
            match schema.get("format").and_then(Value::as_str).unwrap_or_default() {
                "byte" => decl(Shape::Bytes, 2, max.unwrap_or(REQUEST_BYTES_MAX - 2)),
                "duration" => decl(Shape::Duration, 3, TIME_BYTES_MAX),
                "date" => decl(Shape::Date, DATE_BYTES, DATE_BYTES),
                "date-time" => decl(Shape::Timestamp, 21, TIME_BYTES_MAX),
                _ => decl(Shape::String, 2, string_max(schema)),
            }
        }
        "boolean" => decl(Shape::Bool, 4, 0),
        "number" => decl(Shape::Double, 1, 0),
        "integer" => decl(Shape::Int, 1, 0),
        _ => None,
    }
}

/// Upstream sets no size for objects.
const ELEMENTS_OF_AN_OBJECT: u64 = 0;

/// How many bytes a string can have: characters of up to four bytes, or the longest of an enumeration.
fn string_max(schema: &Value) -> u64 {
    if let Some(max) = limit(schema, "maxLength") {
        return max.saturating_mul(4);
    }
    let is_string = schema.get("type").and_then(Value::as_str) == Some("string");
    match schema.get("enum").and_then(Value::as_array).filter(|values| is_string && !values.is_empty()) {
        Some(values) => {
            values.iter().filter_map(Value::as_str).map(|value| value.len() as u64).max().unwrap_or_default()
        }
        None => REQUEST_BYTES_MAX - 2,
    }
}

fn list_type(schema: &Value) -> ListType {
    match schema.get("x-kubernetes-list-type").and_then(Value::as_str) {
        Some("set") => ListType::Set,
        Some("map") => {
            let keys = schema.get("x-kubernetes-list-map-keys").and_then(Value::as_array);
            ListType::Map(keys.into_iter().flatten().filter_map(Value::as_str).map(Into::into).collect())
        }
        _ => ListType::Atomic,
    }
}

/// What a resource has at least.
static TYPE_AND_NAME: LazyLock<Map<String, Value>> = LazyLock::new(|| {
    let string = serde_json::json!({"type": "string"});
    let metadata = serde_json::json!({"type": "object", "properties": {"name": string, "generateName": string}});
    let properties = [("kind", string.clone()), ("apiVersion", string), ("metadata", metadata)];
    properties.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect()
});

/// The properties of a schema as expressions see them; a resource has at least a kind and a name.
fn properties(schema: &Value, place: Place) -> impl Iterator<Item = (&String, &Value)> {
    static NONE: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);
    let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&NONE);
    let more = if place == Place::Root && !has_type_and_name(properties) { &*TYPE_AND_NAME } else { &*NONE };
    properties.iter().filter(|(name, _)| !more.contains_key(*name)).chain(more)
}

fn has_type_and_name(properties: &Map<String, Value>) -> bool {
    let is = |schema: Option<&Value>, kind| {
        schema.and_then(|schema| schema.get("type")).and_then(Value::as_str) == Some(kind)
    };
    let metadata = properties.get("metadata");
    let named = metadata.and_then(|metadata| metadata.get("properties"));
    is(properties.get("kind"), "string")
        && is(properties.get("apiVersion"), "string")
        && is(metadata, "object")
        && is(named.and_then(|named| named.get("name")), "string")
        && is(named.and_then(|named| named.get("generateName")), "string")
}

/// An object type, and how many bytes the smallest one takes.
fn object(schema: &Value, place: Place, name: &str, depth: usize) -> (Object, u64) {
    let own_name = schema.get(NAME).and_then(Value::as_str);
    let name = own_name.unwrap_or(name);
    let required = schema.get("required").and_then(Value::as_array);
    let mut bytes_min = 2;
    let mut fields = BTreeMap::new();
    for (property, schema) in properties(schema, place) {
        // The types of ours are declared by identifiers already.
        let Some(identifier) = own_name.map_or_else(|| escape(property), |_| Some(property.clone())) else {
            if let Some(decl) = build(schema, is_embedded(schema), name, depth) {
                bytes_min += required_bytes(required, property, schema, &decl);
            }
            continue;
        };
        let Some(decl) = build(schema, is_embedded(schema), &format!("{name}.{identifier}"), depth) else {
            continue;
        };
        bytes_min += required_bytes(required, property, schema, &decl);
        let field = Field { name: property.as_str().into(), decl: FieldType::Declared(decl) };
        fields.insert(identifier.into(), field);
    }
    (Object { name: name.into(), fields, is_open: false }, bytes_min)
}

/// How many bytes a property takes at least: those that may be absent or are filled in take none.
fn required_bytes(required: Option<&Vec<Value>>, property: &str, schema: &Value, decl: &Decl) -> u64 {
    let is_required = required.is_some_and(|required| required.iter().any(|name| name == property));
    if is_required && schema.get("default").is_none_or(Value::is_null) {
        property.len() as u64 + decl.bytes_min + 4
    } else {
        0
    }
}
