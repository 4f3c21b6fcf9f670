//! Maps and objects: of the input, or made by an expression.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value as Json;

use super::super::decl::{Decl, FieldType, Shape};
use super::super::error::{Error, Outcome};
use super::super::meter::Meter;
use super::super::names;
use super::{Key, Value};

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
    pub(super) fields: &'a serde_json::Map<String, Json>,
    pub(super) decl: Option<&'a Decl>,
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
    pub(in crate::cel) fn len(&self) -> usize {
        match self {
            Self::Json(map) => map.fields.len(),
            Self::Owned(entries) => entries.len(),
        }
    }

    /// The value of a key; an object's keys are identifiers.
    pub(in crate::cel) fn find(&self, key: &Value<'_>) -> Option<Outcome<'a>> {
        match self {
            Self::Json(map) => match key {
                Value::String(name) => map.find(name),
                _ => None,
            },
            Self::Owned(entries) => entries.get(&key.key()?).map(|(_, value)| Ok(value.clone())),
        }
    }

    /// The value of a text that is a key.
    pub(in crate::cel) fn find_named(&self, name: &str) -> Option<Outcome<'a>> {
        match self {
            Self::Json(map) => map.find(name),
            Self::Owned(entries) => entries.get(&Key::String(name.into())).map(|(_, value)| Ok(value.clone())),
        }
    }

    /// As [`Mapping::find_named`], by the name in JSON.
    pub(in crate::cel) fn get_raw(&self, name: &str) -> Result<Option<Value<'a>>, Error> {
        match self {
            Self::Json(map) => map.raw(name),
            Self::Owned(_) => self.find_named(name),
        }
        .transpose()
    }

    pub(in crate::cel) fn keys(&self) -> Box<dyn Iterator<Item = Value<'a>> + '_> {
        match self {
            Self::Json(map) => Box::new(map.keys()),
            Self::Owned(entries) => Box::new(entries.values().map(|(key, _)| key.clone())),
        }
    }

    pub(in crate::cel) fn equals(&self, other: &Self, meter: &mut Meter) -> Result<bool, Error> {
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
    pub(in crate::cel) fn equals(&self, other: &Self, meter: &mut Meter) -> Result<bool, Error> {
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
