//! How the parts of a value are owned, and what they are called in paths.

use serde_json::{Map, Value};

use super::fields;
use crate::schema::{Definition, Field, ListType, Merge, Schemas, Type};

/// A type in its place: the field that holds a value says how the value is owned.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) schemas: &'a Schemas,
    pub(super) kind: &'a Type,
    pub(super) merge: &'a Merge,
}

/// How the parts of a value are owned.
#[derive(Clone, Copy)]
pub(super) enum Shape<'a> {
    /// The whole has its owners: scalars, and what is atomic.
    Leaf,
    /// Each field has its own.
    Struct(&'a Definition),
    /// Each entry has its own.
    Map(&'a Type),
    /// Each value has its own.
    Set,
    /// Each item, told apart by these keys, and each of its parts have their own.
    Keyed(&'a [Box<str>], &'a Type),
}

/// What no field says more about: items of lists and entries of maps.
static PLAIN: Merge = Merge { list: ListType::Atomic, is_atomic: false, merges: false, retains_keys: false, key: None };

/// What stands under the names of what may be anything.
static ANY: Type = Type::Any;

impl<'a> Place<'a> {
    /// The place of a whole object.
    pub(super) fn root(schemas: &'a Schemas, kind: &'a Type) -> Self {
        Self { schemas, kind, merge: &PLAIN }
    }

    /// How these values are owned: what may be anything is owned by what it is.
    pub(super) fn shape_of<'v>(&self, values: impl IntoIterator<Item = &'v Value>) -> Shape<'a> {
        let is_leaf = |value: &Value| !matches!(value, Value::Object(_) | Value::Null);
        match self.kind {
            Type::Any if values.into_iter().any(is_leaf) => Shape::Leaf,
            _ => self.shape(),
        }
    }

    pub(super) fn shape(&self) -> Shape<'a> {
        match (self.kind, &self.merge.list) {
            (Type::Object(id), _) => {
                let definition = self.schemas.get(*id);
                if definition.is_atomic || self.merge.is_atomic { Shape::Leaf } else { Shape::Struct(definition) }
            }
            (Type::Any, _) if self.merge.is_atomic => Shape::Leaf,
            (Type::Any, _) => Shape::Map(&ANY),
            (Type::Map(inner), _) if !self.merge.is_atomic => Shape::Map(inner),
            (Type::List(_), ListType::Set) => Shape::Set,
            (Type::List(item), ListType::Map(keys)) => Shape::Keyed(keys, item),
            _ => Shape::Leaf,
        }
    }

    /// The place of a field of this object.
    pub(super) fn of_field(&self, field: &'a Field) -> Self {
        Self { kind: &field.kind, merge: &field.merge, ..*self }
    }

    /// The place under a name of an object.
    pub(super) fn in_struct(&self, definition: &'a Definition, name: &str) -> Option<Self> {
        let field = definition.field(name).map(|field| self.of_field(field));
        field.or_else(|| definition.rest.as_ref().map(|rest| self.of_item(rest)))
    }

    /// The place of an item or entry.
    pub(super) fn of_item(&self, kind: &'a Type) -> Self {
        Self { kind, merge: &PLAIN, ..*self }
    }

    /// The place of what stands under `name` in an object or map; `None` for fields that the type does not know.
    pub(super) fn under(&self, name: &str) -> Option<Self> {
        match self.shape() {
            Shape::Struct(definition) => self.in_struct(definition, name),
            Shape::Map(inner) => Some(self.of_item(inner)),
            Shape::Leaf | Shape::Set | Shape::Keyed(..) => None,
        }
    }

    /// What an item is called by its keys. Where it says nothing of a key, the key's default counts, if it has one.
    ///
    /// # Errors
    /// Upstream's message when it has none of the keys.
    pub(super) fn element_of(&self, keys: &[Box<str>], item_type: &Type, item: &Value) -> Result<Box<str>, String> {
        let Value::Object(parts) = item else {
            return Err("associative list with keys may not have non-map elements".to_owned());
        };
        let mut found = Map::new();
        for key in keys {
            let value = parts.get(&**key).filter(|value| !value.is_null()).cloned();
            if let Some(value) = value.or_else(|| self.default_of(item_type, key)) {
                found.insert(key.to_string(), value);
            }
        }
        if found.is_empty() {
            let key = keys.first().map_or("", |key| &**key);
            return Err(format!(
                "associative list with keys has an element that omits key field {key:?} (and doesn't have default value)"
            ));
        }
        Ok(fields::key(found))
    }

    fn default_of(&self, item_type: &Type, key: &str) -> Option<Value> {
        let Type::Object(id) = item_type else { return None };
        self.schemas.get(*id).field(key)?.default.clone()
    }
}

/// The items of a list with their elements, in order; those without one are left out.
pub(super) fn items<'v>(place: &Place<'_>, value: Option<&'v Value>) -> Vec<(Box<str>, &'v Value)> {
    let list = value.and_then(Value::as_array).into_iter().flatten();
    let element = |item: &Value| match place.shape() {
        Shape::Set => Some(fields::value(item)),
        Shape::Keyed(keys, item_type) => place.element_of(keys, item_type, item).ok(),
        Shape::Leaf | Shape::Struct(_) | Shape::Map(_) => None,
    };
    list.filter_map(|item| Some((element(item)?, item))).collect()
}

/// Whether there is nothing in it: absent, `null`, `{}` or `[]`.
pub(super) fn is_bare(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::Object(parts)) => parts.is_empty(),
        Some(Value::Array(items)) => items.is_empty(),
        Some(_) => false,
    }
}
