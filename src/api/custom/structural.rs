//! A structural schema: what `openAPIV3Schema` says, read once into a tree.
//!
//! Upstream's words for it are in `k8s.io/apiextensions-apiserver/pkg/apiserver/schema`. Whether a schema is structural
//! is checked when its definition is created; here what does not fit says nothing.

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::{Map, Number, Value};

use crate::pattern;
use crate::schema::ListType;
use crate::value::{flag, list, part, text};

/// How deep schemas may lie in one another. Published definitions that embed a pod reach about 20.
pub const DEPTH_MAX: usize = 64;

/// A part of a schema.
#[derive(Debug, Default)]
pub struct Structural {
    /// The JSON type; `None` where anything may stand.
    pub(super) kind: Option<Kind>,
    /// Whether null may stand here.
    pub(super) is_nullable: bool,
    pub(super) properties: BTreeMap<Box<str>, Structural>,
    /// What stands under keys that `properties` does not name.
    pub(super) additional: Option<Additional>,
    pub(super) items: Option<Box<Structural>>,
    /// `x-kubernetes-preserve-unknown-fields`
    pub(super) keeps_unknown: bool,
    /// `x-kubernetes-embedded-resource`: an object with `apiVersion`, `kind` and `metadata`.
    pub(super) is_embedded: bool,
    /// `x-kubernetes-int-or-string`
    pub(super) is_int_or_string: bool,
    /// `x-kubernetes-list-type` and its keys.
    pub(super) list: ListType,
    /// `x-kubernetes-map-type: atomic`
    pub(super) is_atomic: bool,
    pub(super) default: Option<Value>,
    pub(super) checks: Checks,
}

/// What `additionalProperties` says.
#[derive(Debug)]
pub(super) enum Additional {
    /// Anything may stand there; what it holds is not described.
    Anything,
    /// Values of this schema.
    Of(Box<Structural>),
}

/// JSON's types.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
}

/// What values must satisfy beyond their type.
#[derive(Debug, Default)]
pub(super) struct Checks {
    pub(super) format: Box<str>,
    pub(super) maximum: Option<Number>,
    pub(super) is_maximum_exclusive: bool,
    pub(super) minimum: Option<Number>,
    pub(super) is_minimum_exclusive: bool,
    pub(super) multiple_of: Option<Number>,
    pub(super) max_length: Option<usize>,
    pub(super) min_length: Option<usize>,
    /// The expression as it is written, and compiled.
    pub(super) pattern: Option<(Box<str>, Regex)>,
    pub(super) max_items: Option<usize>,
    pub(super) min_items: Option<usize>,
    pub(super) max_properties: Option<usize>,
    pub(super) min_properties: Option<usize>,
    pub(super) required: Vec<Box<str>>,
    pub(super) choices: Vec<Value>,
    pub(super) all_of: Vec<Structural>,
    pub(super) any_of: Vec<Structural>,
    pub(super) one_of: Vec<Structural>,
    pub(super) not: Option<Box<Structural>>,
}

impl Kind {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "object" => Self::Object,
            "array" => Self::Array,
            "string" => Self::String,
            "integer" => Self::Integer,
            "number" => Self::Number,
            "boolean" => Self::Boolean,
            _ => return None,
        })
    }

    /// Its name in schemas and messages.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Object => "object",
            Self::Array => "array",
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
        }
    }
}

impl Structural {
    /// Reads a schema; what lies deeper than [`DEPTH_MAX`] is not described.
    #[must_use]
    pub fn of(schema: &Value) -> Self {
        Self::at_depth(schema, 0)
    }

    fn at_depth(schema: &Value, depth: usize) -> Self {
        if depth > DEPTH_MAX {
            return Self { keeps_unknown: true, ..Self::default() };
        }
        let within = |schema: &Value| Self::at_depth(schema, depth + 1);
        let properties = part(schema, "properties").as_object().into_iter().flatten();
        Self {
            kind: Kind::parse(text(schema, "type")),
            is_nullable: flag(schema, "nullable"),
            properties: properties.map(|(name, schema)| (name.as_str().into(), within(schema))).collect(),
            additional: match part(schema, "additionalProperties") {
                Value::Bool(true) => Some(Additional::Anything),
                values @ Value::Object(_) => Some(Additional::Of(Box::new(within(values)))),
                _ => None,
            },
            items: Some(part(schema, "items")).filter(|items| items.is_object()).map(|items| Box::new(within(items))),
            keeps_unknown: flag(schema, "x-kubernetes-preserve-unknown-fields"),
            is_embedded: flag(schema, "x-kubernetes-embedded-resource"),
            is_int_or_string: flag(schema, "x-kubernetes-int-or-string"),
            list: list_type(schema),
            is_atomic: text(schema, "x-kubernetes-map-type") == "atomic",
            default: schema.get("default").filter(|default| !default.is_null()).cloned(),
            checks: Checks::of(schema, depth),
        }
    }

    /// What a value under a key must be, where the schema says it.
    pub(super) fn under(&self, key: &str) -> Option<&Self> {
        match (self.properties.get(key), &self.additional) {
            (Some(property), _) => Some(property),
            (None, Some(Additional::Of(values))) => Some(values),
            (None, _) => None,
        }
    }
}

impl Checks {
    fn of(schema: &Value, depth: usize) -> Self {
        let number = |name: &str| part(schema, name).as_number().cloned();
        let count = |name: &str| part(schema, name).as_u64().and_then(|count| usize::try_from(count).ok());
        let schemas = |name: &str| list(schema, name).iter().map(|s| Structural::at_depth(s, depth + 1)).collect();
        let expression = text(schema, "pattern");
        let compiled = Some(expression).filter(|text| !text.is_empty()).and_then(|text| pattern::compile(text).ok());
        let not = Some(part(schema, "not")).filter(|not| not.is_object());
        Self {
            format: text(schema, "format").into(),
            maximum: number("maximum"),
            is_maximum_exclusive: flag(schema, "exclusiveMaximum"),
            minimum: number("minimum"),
            is_minimum_exclusive: flag(schema, "exclusiveMinimum"),
            multiple_of: number("multipleOf"),
            max_length: count("maxLength"),
            min_length: count("minLength"),
            pattern: compiled.map(|compiled| (expression.into(), compiled)),
            max_items: count("maxItems"),
            min_items: count("minItems"),
            max_properties: count("maxProperties"),
            min_properties: count("minProperties"),
            required: list(schema, "required").iter().filter_map(Value::as_str).map(Into::into).collect(),
            choices: list(schema, "enum").to_vec(),
            all_of: schemas("allOf"),
            any_of: schemas("anyOf"),
            one_of: schemas("oneOf"),
            not: not.map(|not| Box::new(Structural::at_depth(not, depth + 1))),
        }
    }
}

fn list_type(schema: &Value) -> ListType {
    match text(schema, "x-kubernetes-list-type") {
        "set" => ListType::Set,
        "map" => {
            let keys = list(schema, "x-kubernetes-list-map-keys").iter().filter_map(Value::as_str);
            ListType::Map(keys.map(Into::into).collect())
        }
        _ => ListType::Atomic,
    }
}

/// The keys of an item of a list of the type `map`: where the item says nothing of one, its default counts.
pub(super) fn keys_of(keys: &[Box<str>], items: &Structural, item: &Value) -> Option<Map<String, Value>> {
    let item = item.as_object()?;
    let mut found = Map::new();
    for key in keys {
        let default = || items.properties.get(key).and_then(|property| property.default.as_ref());
        if let Some(value) = item.get(&**key).or_else(default) {
            found.insert(key.to_string(), value.clone());
        }
    }
    Some(found)
}
