//! How the objects of each definition lie in protobuf: upstream's field numbers and the schema's types, joined once.
//!
//! Go embeds structs whose fields JSON shows as the object's own; protobuf writes them as messages. So an object's
//! fields are the leaves of a small tree, numbered in the order in which the bytes stand.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::wire;
use crate::schema::facts::{self, GoField};
use crate::schema::{Definition, Id, Schemas, Type};
use crate::scheme::Scheme;

/// Where the types that all kinds share are defined.
const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";

/// Kinds that are answered and belong to no resource.
const META_KINDS: [&str; 5] = ["APIGroup", "APIGroupList", "APIResourceList", "APIVersions", "Status"];

/// The messages of the builtin kinds.
#[derive(Debug)]
pub(super) struct Layouts {
    /// By [`Id`]; what the schema does not have (lists) comes behind what it has.
    messages: Vec<Message>,
    /// The kinds that answers hold, by kind and apiVersion.
    roots: HashMap<String, HashMap<String, Id>>,
    /// `PartialObjectMetadata`.
    partial: Id,
}

/// How the objects of one definition are written.
#[derive(Debug, Default)]
pub(super) struct Message {
    /// The fields of the object and of what Go embeds in it, in the order of the bytes.
    pub leaves: Vec<Leaf>,
    /// The same, as they lie in one another.
    pub parts: Vec<Part>,
    /// The places of leaves in `leaves`, in the order of their JSON names.
    names: Vec<usize>,
}

/// A part of a message.
#[derive(Debug)]
pub(super) enum Part {
    /// The place of a leaf.
    Leaf(usize),
    /// A struct that Go embeds: always written.
    Embedded { number: u32, parts: Vec<Part> },
}

/// A field.
#[derive(Debug)]
pub(super) struct Leaf {
    pub number: u32,
    /// As in JSON.
    pub name: &'static str,
    pub kind: Type,
    /// Whether a list is a message around its items (Go has a name for its type), not items under one number.
    pub is_wrapped: bool,
    /// Whether Go cannot leave it unset, so that its empty value is written.
    has_zero: bool,
    /// What is written when JSON has nothing: its number and its empty value, or nothing.
    pub unset: Box<[u8]>,
}

impl Layouts {
    pub(super) fn builtin() -> &'static Self {
        static BUILTIN: LazyLock<Layouts> = LazyLock::new(|| Layouts::build(Schemas::builtin(), Scheme::builtin()));
        &BUILTIN
    }

    /// The message of a definition of the builtin schema, or of one of [`Self::root`].
    pub(super) fn get(&self, id: Id) -> &Message {
        static NOTHING: Message = Message { leaves: Vec::new(), parts: Vec::new(), names: Vec::new() };
        self.messages.get(id.0).unwrap_or(&NOTHING)
    }

    /// The message of a kind. The oldest forms of discovery say no apiVersion.
    pub(super) fn root(&self, api_version: &str, kind: &str) -> Option<Id> {
        let api_version = if api_version.is_empty() { "v1" } else { api_version };
        self.roots.get(kind)?.get(api_version).copied()
    }

    /// The message of `PartialObjectMetadata`.
    pub(super) fn partial(&self) -> Id {
        self.partial
    }

    /// The number of a list's items.
    pub(super) fn items_number(&self, list: Id) -> u32 {
        self.get(list).leaves.iter().find(|leaf| leaf.name == "items").map_or(0, |leaf| leaf.number)
    }

    /// Writes the empty value of a type under a number.
    pub(super) fn write_zero(&self, kind: &Type, number: u32, out: &mut Vec<u8>) {
        let start = out.len();
        match kind {
            Type::Object(id) => {
                let message = self.get(*id);
                self.write_empty(&message.leaves, &message.parts, out);
                wire::enclose(out, start, number);
            }
            Type::Int32 | Type::Int64 | Type::Boolean => wire::write_number(out, number, 0),
            Type::Number => wire::write_double(out, number, 0.0),
            Type::Quantity => {
                wire::write_bytes(out, 1, b"");
                wire::enclose(out, start, number);
            }
            Type::IntOrString => write_int_or_string(out, number, 0, None),
            // A time, embedded JSON and the list in a map are messages, which are empty.
            Type::String | Type::Bytes | Type::Time | Type::MicroTime | Type::Raw | Type::List(_) | Type::Map(_) => {
                wire::write_head(out, number, 0);
            }
            Type::Json | Type::SchemaOr(..) | Type::Any => wire::write_head(out, number, 0),
        }
    }

    fn write_empty(&self, leaves: &[Leaf], parts: &[Part], out: &mut Vec<u8>) {
        for part in parts {
            match part {
                Part::Leaf(place) => {
                    if let Some(leaf) = leaves.get(*place).filter(|leaf| leaf.has_zero) {
                        self.write_zero(&leaf.kind, leaf.number, out);
                    }
                }
                Part::Embedded { number, parts } => {
                    let start = out.len();
                    self.write_empty(leaves, parts, out);
                    wire::enclose(out, start, *number);
                }
            }
        }
    }

    fn build(schemas: &Schemas, scheme: &Scheme) -> Self {
        let messages = schemas.definitions().map(Message::of).collect();
        let mut layouts = Self { messages, roots: HashMap::new(), partial: Id(0) };
        layouts.add_kinds(schemas, scheme);
        layouts.add_metadata(schemas);
        let unset: Vec<Vec<Box<[u8]>>> = layouts.messages.iter().map(|message| layouts.unset(message)).collect();
        for (message, unset) in layouts.messages.iter_mut().zip(unset) {
            for (leaf, unset) in message.leaves.iter_mut().zip(unset) {
                leaf.unset = unset;
            }
        }
        layouts
    }

    fn unset(&self, message: &Message) -> Vec<Box<[u8]>> {
        let unset = message.leaves.iter().map(|leaf| {
            let mut out = Vec::new();
            if leaf.has_zero {
                self.write_zero(&leaf.kind, leaf.number, &mut out);
            }
            out.into()
        });
        unset.collect()
    }

    /// The kinds of resources, of their subresources and of what all share, each with its list.
    fn add_kinds(&mut self, schemas: &Schemas, scheme: &Scheme) {
        for row in scheme.resources() {
            let id = row.schema.id();
            self.add_root(row.api_version(), &row.kind, id);
            let definition = &schemas.get(id).name;
            self.add_list(schemas, &row.api_version(), &row.list_kind, id, &format!("{definition}List"));
            for part in &row.subresources {
                if let Some(id) = schemas.named(&part.kind.definition_name()) {
                    self.add_root(part.kind.api_version(), &part.kind.kind, id);
                }
            }
        }
        for kind in META_KINDS {
            if let Some(id) = schemas.named(&format!("{META}.{kind}")) {
                self.add_root("v1".to_owned(), kind, id);
            }
        }
    }

    /// The metadata of objects of any kind.
    fn add_metadata(&mut self, schemas: &Schemas) {
        let metadata = schemas.named(&format!("{META}.ObjectMeta")).map(Type::Object);
        self.partial = self.add(&format!("{META}.PartialObjectMetadata"), |_| metadata.clone());
        for version in ["v1", "v1beta1"] {
            let api_version = format!("meta.k8s.io/{version}");
            let list = format!("io.k8s.apimachinery.pkg.apis.meta.{version}.PartialObjectMetadataList");
            self.add_list(schemas, &api_version, "PartialObjectMetadataList", self.partial, &list);
            self.add_root(api_version, "PartialObjectMetadata", self.partial);
        }
    }

    fn add_root(&mut self, api_version: String, kind: &str, id: Id) {
        self.roots.entry(kind.to_owned()).or_default().insert(api_version, id);
    }

    /// A list of objects, which the schema does not have.
    fn add_list(&mut self, schemas: &Schemas, api_version: &str, kind: &str, item: Id, name: &str) {
        let metadata = schemas.named(&format!("{META}.ListMeta")).map(Type::Object);
        let items = Type::List(Box::new(Type::Object(item)));
        let id = self.add(name, |field| if field == "items" { Some(items.clone()) } else { metadata.clone() });
        self.add_root(api_version.to_owned(), kind, id);
    }

    fn add(&mut self, name: &str, kind: impl Fn(&str) -> Option<Type>) -> Id {
        let id = Id(self.messages.len());
        self.messages.push(Message::new(name, kind));
        id
    }
}

impl Message {
    fn of(definition: &Definition) -> Self {
        Self::new(&definition.name, |field| definition.field(field).map(|field| field.kind.clone()))
    }

    /// The message of this name, its fields' types by their JSON names.
    fn new(name: &str, kind: impl Fn(&str) -> Option<Type>) -> Self {
        let mut message = Self::default();
        message.parts = message.read(name, &kind);
        message.names = (0..message.leaves.len()).collect();
        let Self { leaves, names, .. } = &mut message;
        names.sort_by_key(|place| leaves.get(*place).map(|leaf| leaf.name));
        message
    }

    fn read(&mut self, name: &str, kind: &impl Fn(&str) -> Option<Type>) -> Vec<Part> {
        let mut rows: Vec<&GoField> = facts::go_rows(name).iter().collect();
        rows.sort_by_key(|row| row.number);
        let mut parts = Vec::with_capacity(rows.len());
        for row in rows {
            if row.json == "inline" {
                let embedded = facts::embedded(name, row);
                parts.push(Part::Embedded { number: row.number, parts: self.read(&embedded, kind) });
            } else if let Some(kind) = kind(row.json) {
                parts.push(Part::Leaf(self.leaves.len()));
                self.leaves.push(Leaf::new(row, kind));
            }
        }
        parts
    }

    /// The place of the leaf of this JSON name. `hint` counts the names found so far: where they come in order, the
    /// next one is the one that comes, and nothing is searched.
    pub(super) fn place(&self, name: &str, hint: &mut usize) -> Option<usize> {
        let named =
            |index: usize| self.names.get(index).and_then(|place| self.leaves.get(*place)).map(|leaf| leaf.name);
        let found = if named(*hint) == Some(name) {
            *hint
        } else {
            self.names.binary_search_by(|place| self.leaves.get(*place).map_or("", |leaf| leaf.name).cmp(name)).ok()?
        };
        *hint = found + 1;
        self.names.get(found).copied()
    }
}

impl Part {
    fn number(&self, leaves: &[Leaf]) -> u32 {
        match self {
            Self::Leaf(place) => leaves.get(*place).map_or(0, |leaf| leaf.number),
            Self::Embedded { number, .. } => *number,
        }
    }

    /// The part of this number.
    pub(super) fn find<'p>(parts: &'p [Self], leaves: &[Leaf], number: u32) -> Option<&'p Self> {
        let place = parts.binary_search_by_key(&number, |part| part.number(leaves)).ok()?;
        parts.get(place)
    }
}

impl Leaf {
    fn new(row: &GoField, kind: Type) -> Self {
        let is_wrapped = matches!(kind, Type::List(_)) && !row.type_name.starts_with("[]");
        let has_zero = !row.is_pointer && !matches!(kind, Type::List(_) | Type::Map(_) | Type::Bytes);
        Self { number: row.number, name: row.json, kind, is_wrapped, has_zero, unset: Box::default() }
    }
}

/// `IntOrString`: which of both, the number, the text.
pub(super) fn write_int_or_string(out: &mut Vec<u8>, number: u32, int: i64, text: Option<&str>) {
    let start = out.len();
    wire::write_number(out, 1, i64::from(text.is_some()));
    wire::write_number(out, 2, int);
    wire::write_bytes(out, 3, text.unwrap_or_default().as_bytes());
    wire::enclose(out, start, number);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_of_the_schema_has_a_number_and_is_found_by_its_name() {
        let (schemas, layouts) = (Schemas::builtin(), Layouts::builtin());
        for (index, definition) in schemas.definitions().enumerate() {
            let message = layouts.get(Id(index));
            let is_object = definition.field("kind").is_some() && definition.field("apiVersion").is_some();
            for field in &definition.fields {
                let place = message.place(&field.name, &mut 0);
                let is_type_meta = is_object && ["kind", "apiVersion"].contains(&field.name.as_ref());
                assert!(place.is_some() || is_type_meta, "{} {}", definition.name, field.name);
            }
        }
    }

    #[test]
    fn lists_have_their_metadata_first_but_those_of_the_oldest_version() {
        let layouts = Layouts::builtin();
        let numbers = |api_version: &str, kind: &str| {
            let message = layouts.get(layouts.root(api_version, kind).unwrap());
            message.leaves.iter().map(|leaf| (leaf.number, leaf.name)).collect::<Vec<_>>()
        };
        assert_eq!(numbers("v1", "PodList"), [(1, "metadata"), (2, "items")]);
        assert_eq!(numbers("meta.k8s.io/v1beta1", "PartialObjectMetadataList"), [(1, "items"), (2, "metadata")]);
        for row in Scheme::builtin().resources().filter(|row| row.is_stored) {
            assert_eq!(numbers(&row.api_version(), &row.list_kind), [(1, "metadata"), (2, "items")], "{}", row.kind);
        }
    }
}
