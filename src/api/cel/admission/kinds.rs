//! What objects are to expressions that are checked against a kind.

use std::sync::Arc;

use super::super::decl::{Decl, Field, FieldType, Object, Place, Shape};
use super::super::types::Type;
use crate::schema::{self, Id, Schemas};
use crate::scheme::Resource;

/// The type of a kind's objects.
#[derive(Clone, Debug)]
pub struct KindType(pub(super) Type);

impl KindType {
    /// The type of a row's objects. What may be one of several types may be any.
    #[must_use]
    pub fn of(row: &Resource) -> Self {
        let custom = row.custom.as_ref().and_then(|kind| Decl::of(kind.published(), Place::Root, &row.kind));
        let Some(Shape::Object(object)) = custom.as_ref().map(|decl| &decl.shape) else {
            return Self(of_object(row.schema.schemas(), row.schema.id(), &row.kind, &mut Vec::new()));
        };
        // The metadata of a custom kind is that of all.
        let mut fields = object.fields.clone();
        if let Some(id) = Schemas::builtin().named("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta") {
            let metadata = of_object(Schemas::builtin(), id, &format!("{}.metadata", row.kind), &mut Vec::new());
            fields.insert("metadata".into(), Field { name: "metadata".into(), decl: FieldType::Plain(metadata) });
        }
        Self(Type::Object(Arc::new(Object { name: object.name.clone(), fields, is_open: object.is_open })))
    }
}

/// An object type; `around` are those that it stands in, of which none is looked into again.
fn of_object(schemas: &Schemas, id: Id, name: &str, around: &mut Vec<Id>) -> Type {
    if around.contains(&id) {
        return Type::Dyn;
    }
    around.push(id);
    let definition = schemas.get(id);
    // An object under admission is asked for fields as JSON has them, whatever words of the language they are.
    let fields = definition.fields.iter().map(|field| {
        let kind = of(schemas, &field.kind, &format!("{name}.{}", field.name), around);
        (field.name.clone(), Field { name: field.name.clone(), decl: FieldType::Plain(kind) })
    });
    let object = Object { name: name.into(), fields: fields.collect(), is_open: definition.rest.is_some() };
    around.pop();
    Type::Object(Arc::new(object))
}

fn of(schemas: &Schemas, kind: &schema::Type, name: &str, around: &mut Vec<Id>) -> Type {
    match kind {
        schema::Type::Object(id) => of_object(schemas, *id, name, around),
        schema::Type::List(item) => Type::list(of(schemas, item, &format!("{name}.@idx"), around)),
        schema::Type::Map(value) => Type::map(Type::String, of(schemas, value, &format!("{name}.@elem"), around)),
        schema::Type::String => Type::String,
        schema::Type::Int32 | schema::Type::Int64 => Type::Int,
        schema::Type::Number => Type::Double,
        schema::Type::Boolean => Type::Bool,
        schema::Type::Time | schema::Type::MicroTime => Type::Timestamp,
        schema::Type::Bytes => Type::Bytes,
        schema::Type::Quantity
        | schema::Type::IntOrString
        | schema::Type::Raw
        | schema::Type::Any
        | schema::Type::Json
        | schema::Type::SchemaOr(..) => Type::Dyn,
    }
}
