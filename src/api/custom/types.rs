//! A structural schema as types, so that server-side apply treats custom objects as builtin ones.

use super::structural::{Additional, Kind, Structural};
use crate::schema::{Definition, Empty, Field, Id, Merge, Schemas, Type};

const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// The types of a custom kind and the one of its objects.
pub(super) fn of(kind: &str, schema: &Structural) -> (Schemas, Id) {
    let mut builder = Builder::default();
    let metadata = Schemas::builtin().named(OBJECT_META).map_or(Type::Any, |id| builder.copied(id));
    builder.metadata = Some(metadata);
    let id = builder.object(kind, schema, true);
    (Schemas::of(builder.definitions), id)
}

#[derive(Default)]
struct Builder {
    definitions: Vec<Definition>,
    /// What `metadata` is.
    metadata: Option<Type>,
}

impl Builder {
    /// A builtin type, with those that it refers to.
    fn copied(&mut self, id: Id) -> Type {
        let builtin = Schemas::builtin().get(id);
        if let Some(at) = self.definitions.iter().position(|known| known.name == builtin.name) {
            return Type::Object(Id(at));
        }
        let at = self.definitions.len();
        self.definitions.push(builtin.clone());
        let mut fields = builtin.fields.clone();
        for field in &mut fields {
            field.kind = self.copied_kind(&field.kind);
        }
        if let Some(own) = self.definitions.get_mut(at) {
            own.fields = fields;
        }
        Type::Object(Id(at))
    }

    fn copied_kind(&mut self, kind: &Type) -> Type {
        match kind {
            Type::Object(id) => self.copied(*id),
            Type::List(item) => Type::List(Box::new(self.copied_kind(item))),
            Type::Map(item) => Type::Map(Box::new(self.copied_kind(item))),
            other => other.clone(),
        }
    }

    /// An object's type; `has_metadata` where it is one of Kubernetes'.
    fn object(&mut self, name: &str, schema: &Structural, has_metadata: bool) -> Id {
        let at = self.definitions.len();
        self.definitions.push(Definition::default());
        let mut fields: Vec<Field> = Vec::with_capacity(schema.properties.len() + 3);
        if has_metadata {
            let metadata = self.metadata.clone().unwrap_or(Type::Any);
            fields.extend([
                plain("apiVersion", Type::String),
                plain("kind", Type::String),
                plain("metadata", metadata),
            ]);
        }
        for (field, property) in &schema.properties {
            if has_metadata && fields.iter().any(|known| known.name == *field) {
                continue;
            }
            fields.push(Field {
                merge: merge(property),
                default: property.default.clone(),
                ..plain(field, self.kind(property))
            });
        }
        fields.sort_by(|one, other| one.name.cmp(&other.name));
        let rest = match &schema.additional {
            Some(Additional::Of(values)) => Some(self.kind(values)),
            Some(Additional::Anything) => Some(Type::Any),
            None => schema.keeps_unknown.then_some(Type::Any),
        };
        if let Some(own) = self.definitions.get_mut(at) {
            let name: Box<str> = name.into();
            *own = Definition { go_name: name.clone(), name, fields, is_atomic: schema.is_atomic, rest };
        }
        Id(at)
    }

    fn kind(&mut self, schema: &Structural) -> Type {
        match schema.kind {
            _ if schema.is_int_or_string => Type::IntOrString,
            None => Type::Any,
            Some(Kind::Object) if schema.properties.is_empty() && !schema.is_embedded => match &schema.additional {
                Some(Additional::Of(values)) => Type::Map(Box::new(self.kind(values))),
                Some(Additional::Anything) => Type::Map(Box::new(Type::Any)),
                None if schema.keeps_unknown => Type::Any,
                None => Type::Object(self.object("", schema, false)),
            },
            Some(Kind::Object) => Type::Object(self.object("", schema, schema.is_embedded)),
            Some(Kind::Array) => {
                let item = schema.items.as_deref().map_or(Type::Any, |items| self.kind(items));
                Type::List(Box::new(item))
            }
            Some(Kind::String) => Type::String,
            Some(Kind::Integer) => Type::Int64,
            Some(Kind::Number) => Type::Number,
            Some(Kind::Boolean) => Type::Boolean,
        }
    }
}

fn plain(name: &str, kind: Type) -> Field {
    Field {
        name: name.into(),
        kind,
        go_type: Box::default(),
        empty: Empty::OmitUnset,
        is_required: false,
        merge: Merge::default(),
        default: None,
    }
}

fn merge(schema: &Structural) -> Merge {
    Merge { list: schema.list.clone(), is_atomic: schema.is_atomic, ..Merge::default() }
}
