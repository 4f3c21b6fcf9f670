//! Types as OpenAPI describes them: what the schema knows, what upstream's document says of each field, and the
//! descriptions.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::Version;
use super::custom::{self, definition_name};
use crate::schema::facts;
use crate::schema::generate;
use crate::schema::{Definition, Field, Schemas, Type};
use crate::scheme::{GroupVersionKind, Scheme};

const TIME: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Time";
const MICRO_TIME: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime";
const QUANTITY: &str = "io.k8s.apimachinery.pkg.api.resource.Quantity";
const INT_OR_STRING: &str = "io.k8s.apimachinery.pkg.util.intstr.IntOrString";
const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
const POD: &str = "io.k8s.api.core.v1.Pod";
const JSON: &str = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON";
/// How the names of [`crate::schema::Other`]'s unions go on after the group.
const SCHEMA_UNION: &str = ".JSONSchemaPropsOr";
const LIST_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta";
/// What a patch's body is.
const PATCH: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Patch";

/// Writes types, and remembers which others they need.
pub(super) struct Writer<'a> {
    scheme: &'a Scheme,
    schemas: &'a Schemas,
    version: Version,
    /// k8s-openapi's own output, for its descriptions.
    described: Map<String, Value>,
    /// The kinds that are of each definition.
    kinds: BTreeMap<String, Vec<Value>>,
    /// Definitions that were referred to.
    wanted: BTreeSet<String>,
    lists: Vec<GroupVersionKind>,
}

impl<'a> Writer<'a> {
    pub(super) fn new(scheme: &'a Scheme, schemas: &'a Schemas, version: Version) -> Self {
        let described = generate::definitions();
        Self { scheme, schemas, version, described, kinds: kinds(scheme), wanted: BTreeSet::new(), lists: Vec::new() }
    }

    /// A reference to a definition.
    pub(super) fn reference(&mut self, name: &str) -> Value {
        self.wanted.insert(name.to_owned());
        json!({"$ref": format!("{}{name}", self.prefix())})
    }

    /// A reference to the list of a kind.
    pub(super) fn list(&mut self, kind: &GroupVersionKind) -> Value {
        if !self.lists.contains(kind) {
            self.lists.push(kind.clone());
        }
        json!({"$ref": format!("{}{}List", self.prefix(), definition_name(kind))})
    }

    /// A reference to what patches are.
    pub(super) fn patch(&mut self) -> Value {
        self.reference(PATCH)
    }

    /// All definitions that were referred to, and those that they refer to.
    pub(super) fn finish(mut self) -> Map<String, Value> {
        let mut written = Map::new();
        for kind in std::mem::take(&mut self.lists) {
            let list = self.list_definition(&kind);
            written.insert(format!("{}List", definition_name(&kind)), list);
        }
        while let Some(name) = self.wanted.pop_first() {
            if !written.contains_key(&name) {
                let definition = self.definition(&name);
                written.insert(name, definition);
            }
        }
        written
    }

    fn prefix(&self) -> &'static str {
        match self.version {
            Version::V2 => "#/definitions/",
            Version::V3 => generate::REFERENCE,
        }
    }

    fn definition(&mut self, name: &str) -> Value {
        let schemas = self.schemas;
        let mut value = match schemas.named(name) {
            Some(id) => self.object(schemas.get(id)),
            None => self.custom(name).unwrap_or_else(|| self.special(name)),
        };
        if let Some(fields) = value.as_object_mut() {
            fields.extend(self.description(name, None).map(|text| ("description".to_owned(), text)));
            if let Some(facts) = facts::openapi(name).and_then(|facts| facts.get("")) {
                fields.extend(facts.iter().map(|(key, fact)| (key.clone(), fact.clone())));
            }
            if let Some(kinds) = self.kinds.get(name) {
                fields.insert("x-kubernetes-group-version-kind".into(), kinds.clone().into());
            }
        }
        value
    }

    fn object(&mut self, definition: &Definition) -> Value {
        let mut properties = Map::new();
        for field in &definition.fields {
            properties.insert(field.name.to_string(), self.field(definition, field));
        }
        let required: Vec<&str> =
            definition.fields.iter().filter(|field| field.is_required).map(|field| field.name.as_ref()).collect();
        let mut value = json!({"type": "object"});
        if let Some(fields) = value.as_object_mut() {
            if !properties.is_empty() {
                fields.insert("properties".into(), properties.into());
            }
            if !required.is_empty() {
                fields.insert("required".into(), required.into());
            }
        }
        value
    }

    fn field(&mut self, definition: &Definition, field: &Field) -> Value {
        let mut value = self.kind(&field.kind);
        if let Some(fields) = value.as_object_mut() {
            fields.extend(self.description(&definition.name, Some(&field.name)).map(|d| ("description".to_owned(), d)));
            if let Some(facts) = facts::openapi(&definition.name).and_then(|facts| facts.get(field.name.as_ref())) {
                fields.extend(facts.iter().map(|(key, fact)| (key.clone(), fact.clone())));
            }
        }
        value
    }

    fn kind(&mut self, kind: &Type) -> Value {
        match kind {
            Type::Object(id) => {
                let name = &self.schemas.get(*id).name;
                self.within(name)
            }
            Type::Time => self.within(TIME),
            Type::MicroTime => self.within(MICRO_TIME),
            Type::Quantity => self.within(QUANTITY),
            Type::IntOrString => self.within(INT_OR_STRING),
            Type::List(item) => json!({"type": "array", "items": self.kind(item)}),
            Type::Map(item) => json!({"type": "object", "additionalProperties": self.kind(item)}),
            Type::String => json!({"type": "string"}),
            Type::Int32 => json!({"type": "integer", "format": "int32"}),
            Type::Int64 => json!({"type": "integer", "format": "int64"}),
            Type::Number => json!({"type": "number", "format": "double"}),
            Type::Boolean => json!({"type": "boolean"}),
            Type::Bytes => json!({"type": "string", "format": "byte"}),
            Type::Raw | Type::Any => json!({"type": "object"}),
            Type::Json => self.within(JSON),
            Type::SchemaOr(_, other) => self.within(other.union_name()),
        }
    }

    /// The type of a custom kind.
    fn custom(&mut self, name: &str) -> Option<Value> {
        let row = self
            .scheme
            .resources()
            .find(|row| row.custom.is_some() && definition_name(&row.group_version_kind()) == name)?;
        let metadata = self.within(OBJECT_META);
        // What all objects have is described as of the builtin ones.
        custom::definition(row, self.version, &metadata, |field| self.description(POD, Some(field)))
    }

    /// A reference that has neighbours: OpenAPI v3 ignores what stands beside a bare one.
    fn within(&mut self, name: &str) -> Value {
        let reference = self.reference(name);
        match self.version {
            Version::V2 => reference,
            Version::V3 => json!({"allOf": [reference]}),
        }
    }

    /// Definitions that are no objects.
    fn special(&self, name: &str) -> Value {
        match (name, self.version) {
            (TIME | MICRO_TIME, _) => json!({"type": "string", "format": "date-time"}),
            (QUANTITY, Version::V2) => json!({"type": "string"}),
            (QUANTITY, Version::V3) => json!({"oneOf": [{"type": "string"}, {"type": "number"}]}),
            (INT_OR_STRING, Version::V2) => json!({"type": "string", "format": "int-or-string"}),
            (INT_OR_STRING, Version::V3) => {
                json!({"oneOf": [{"type": "integer"}, {"type": "string"}], "format": "int-or-string"})
            }
            // What may be anything has no type.
            (JSON, _) => json!({}),
            (name, _) if name.contains(SCHEMA_UNION) => json!({}),
            _ => json!({"type": "object"}),
        }
    }

    fn list_definition(&mut self, kind: &GroupVersionKind) -> Value {
        let item = self.within(&definition_name(kind));
        let metadata = self.within(LIST_META);
        json!({
            "type": "object",
            "description": format!("{0}List is a list of {0} objects.", kind.kind),
            "properties": {
                "apiVersion": {"type": "string", "description": "The version of the list's form."},
                "items": {"type": "array", "items": item, "description": "The objects."},
                "kind": {"type": "string", "description": "What the list is."},
                "metadata": metadata,
            },
            "required": ["items"],
            "x-kubernetes-group-version-kind":
                [{"group": kind.group, "version": kind.version, "kind": format!("{}List", kind.kind)}],
        })
    }

    /// The description of a definition, or of a field of it.
    fn description(&self, definition: &str, field: Option<&str>) -> Option<Value> {
        let definition = self.described.get(definition)?;
        let described = match field {
            Some(field) => definition.get("properties")?.get(field)?,
            None => definition,
        };
        described.get("description").cloned()
    }
}

/// The kinds that are of each definition, by its name.
fn kinds(scheme: &Scheme) -> BTreeMap<String, Vec<Value>> {
    let mut kinds: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    let mut add = |kind: &GroupVersionKind| {
        let value = json!({"group": kind.group, "version": kind.version, "kind": kind.kind});
        let known = kinds.entry(definition_name(kind)).or_default();
        if !known.contains(&value) {
            known.push(value);
        }
    };
    for row in scheme.resources() {
        add(&row.group_version_kind());
        row.subresources.iter().for_each(|subresource| add(&subresource.kind));
    }
    for kind in ["DeleteOptions", "Status"] {
        let name = format!("io.k8s.apimachinery.pkg.apis.meta.v1.{kind}");
        kinds.insert(name, vec![json!({"group": "", "version": "v1", "kind": kind})]);
    }
    kinds
}
