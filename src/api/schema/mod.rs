//! What objects may hold: one schema for builtin kinds and custom resources.
//!
//! Names, types and required fields come from k8s-openapi's `schemars` output (`generate`); what that lacks (list
//! types, merge keys, Go's types and what it leaves out when empty) comes from tables (`facts`). `build` joins both
//! once. Descriptions are not kept: only OpenAPI needs them, and asks `generate` again.

mod build;
pub(crate) mod facts;
pub(crate) mod generate;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

/// A definition's place in its [`Schemas`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Id(pub(crate) usize);

/// Definitions that refer to one another by [`Id`].
#[derive(Debug, Default)]
pub struct Schemas {
    definitions: Vec<Definition>,
    ids: HashMap<Box<str>, Id>,
}

/// A type with the schemas that it is of; cheap to clone.
#[derive(Clone, Debug)]
pub struct Root {
    schemas: Arc<Schemas>,
    id: Id,
}

/// An object type.
#[derive(Clone, Debug, Default)]
pub struct Definition {
    /// Its name in OpenAPI: `io.k8s.api.core.v1.Pod`.
    pub name: Box<str>,
    /// Its name in Go's messages: `Pod`.
    pub go_name: Box<str>,
    /// Sorted by name.
    pub fields: Vec<Field>,
    /// Whether the object is always replaced as a whole (`x-kubernetes-map-type: atomic`).
    pub is_atomic: bool,
    /// What stands under names that are not among `fields`; `None` where nothing may.
    pub rest: Option<Type>,
}

/// A field of an object type.
#[derive(Clone, Debug)]
pub struct Field {
    /// As in JSON.
    pub name: Box<str>,
    /// What it holds.
    pub kind: Type,
    /// Its type in Go's messages: `[]v1.Container`.
    pub go_type: Box<str>,
    /// What is printed when it is unset.
    pub empty: Empty,
    /// Whether OpenAPI calls it required. Decoding never asks.
    pub is_required: bool,
    /// How a list or map is owned and merged.
    pub merge: Merge,
    /// What OpenAPI says that it is when nobody sets it.
    pub default: Option<serde_json::Value>,
}

/// What a value may be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Type {
    /// An object of this definition.
    Object(Id),
    /// Items of one type.
    List(Box<Type>),
    /// Values of one type under any key.
    Map(Box<Type>),
    /// Text.
    String,
    /// A whole number of 32 bits.
    Int32,
    /// A whole number of 64 bits.
    Int64,
    /// Any number.
    Number,
    /// True or false.
    Boolean,
    /// `metav1.Time`: seconds in UTC.
    Time,
    /// `metav1.MicroTime`: microseconds in UTC.
    MicroTime,
    /// Bytes in base64.
    Bytes,
    /// A [`crate::quantity::Quantity`].
    Quantity,
    /// A whole number of 32 bits, or text.
    IntOrString,
    /// An object of any kind, kept as it is (`runtime.RawExtension`, `FieldsV1`).
    Raw,
    /// Anything, each part of which has its own owner.
    Any,
    /// Anything at all, kept as it is (`apiextensions.JSON`).
    Json,
    /// A JSON schema of this definition, or something else in its place.
    SchemaOr(Id, Other),
}

/// What may stand in the place of a JSON schema.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Other {
    /// True or false (`JSONSchemaPropsOrBool`).
    Boolean,
    /// Several schemas (`JSONSchemaPropsOrArray`).
    Schemas,
    /// Texts (`JSONSchemaPropsOrStringArray`).
    Texts,
}

impl Other {
    /// The type of what stands there.
    #[must_use]
    pub fn kind(self, schema: Id) -> Type {
        match self {
            Self::Boolean => Type::Boolean,
            Self::Schemas => Type::List(Box::new(Type::Object(schema))),
            Self::Texts => Type::List(Box::new(Type::String)),
        }
    }

    /// What upstream calls the union of a schema and this.
    #[must_use]
    pub fn union_name(self) -> &'static str {
        match self {
            Self::Boolean => "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrBool",
            Self::Schemas => "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrArray",
            Self::Texts => "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrStringArray",
        }
    }
}

/// What upstream prints for a field that is unset, by its Go tags.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Empty {
    /// Nothing, and nothing either when it is set to the empty value (`omitempty`).
    Omit,
    /// Nothing, but a value that is set is kept even when it is empty (a pointer with `omitempty`).
    OmitUnset,
    /// The empty value of its type: `""`, `0`, `false`, `{}`, or `null` for lists, maps and times.
    Print,
    /// `null` (a pointer without `omitempty`).
    Null,
}

/// How a list or map is owned by appliers and merged by strategic patches.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Merge {
    /// Who owns what of it.
    pub list: ListType,
    /// Whether the object or map in this field is replaced as a whole.
    pub is_atomic: bool,
    /// Whether a strategic patch merges into it (`patchStrategy: merge`).
    pub merges: bool,
    /// Whether a strategic patch may name the keys to keep (`patchStrategy: retainKeys`).
    pub retains_keys: bool,
    /// By which field a strategic patch tells items apart.
    pub key: Option<Box<str>>,
}

/// Who owns what of a list.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum ListType {
    /// It has one owner.
    #[default]
    Atomic,
    /// Each value has owners.
    Set,
    /// Items are objects, told apart by these fields.
    Map(Vec<Box<str>>),
}

impl Schemas {
    /// The types of the builtin kinds.
    #[must_use]
    pub fn builtin() -> &'static Arc<Self> {
        static BUILTIN: LazyLock<Arc<Schemas>> = LazyLock::new(|| Arc::new(build::build(&generate::definitions())));
        &BUILTIN
    }

    /// Schemas of these definitions, whose ids are their places.
    pub(crate) fn of(definitions: Vec<Definition>) -> Self {
        let ids = definitions.iter().enumerate().map(|(at, definition)| (definition.name.clone(), Id(at))).collect();
        Self { definitions, ids }
    }

    /// The definition of an id of these schemas.
    #[must_use]
    pub fn get(&self, id: Id) -> &Definition {
        #[expect(clippy::indexing_slicing, reason = "ids are made by these schemas alone, and definitions never go")]
        &self.definitions[id.0]
    }

    /// The id of a definition by its OpenAPI name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<Id> {
        self.ids.get(name).copied()
    }

    /// All definitions.
    pub fn definitions(&self) -> impl Iterator<Item = &Definition> {
        self.definitions.iter()
    }
}

impl Root {
    /// The type `id` of `schemas`.
    pub(crate) fn new(schemas: Arc<Schemas>, id: Id) -> Self {
        Self { schemas, id }
    }

    /// The builtin type of this name in OpenAPI.
    #[must_use]
    pub fn builtin(name: &str) -> Option<Self> {
        let schemas = Schemas::builtin();
        Some(Self { id: schemas.named(name)?, schemas: Arc::clone(schemas) })
    }

    /// The schemas that the type is of.
    #[must_use]
    pub fn schemas(&self) -> &Schemas {
        &self.schemas
    }

    /// The type among them.
    #[must_use]
    pub fn id(&self) -> Id {
        self.id
    }
}

impl Definition {
    /// The field of this name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Field> {
        let position = self.fields.binary_search_by(|field| field.name.as_ref().cmp(name)).ok()?;
        self.fields.get(position)
    }
}
