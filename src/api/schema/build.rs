//! From k8s-openapi's definitions and the tables of facts to [`Schemas`].

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::facts::{self, GoField};
use super::generate::REFERENCE;
use super::{Definition, Empty, Field, Id, ListType, Merge, Other, Schemas, Type};

/// Definitions that are no objects, or objects whose contents are not described.
const SPECIAL: [(&str, Type); 8] = [
    ("io.k8s.apimachinery.pkg.apis.meta.v1.Time", Type::Time),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime", Type::MicroTime),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1", Type::Raw),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.Patch", Type::Raw),
    ("io.k8s.apimachinery.pkg.api.resource.Quantity", Type::Quantity),
    ("io.k8s.apimachinery.pkg.runtime.RawExtension", Type::Raw),
    ("io.k8s.apimachinery.pkg.util.intstr.IntOrString", Type::IntOrString),
    ("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON", Type::Json),
];

/// What the unions of [`UNIONS`] have in common.
const JSON_SCHEMA: &str = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps";
const UNIONS: [Other; 3] = [Other::Boolean, Other::Schemas, Other::Texts];

/// Fields that upstream leaves out when they are empty although their type is a struct (`omitzero`).
const OMIT_ZERO: [(&str, &str); 1] = [("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta", "creationTimestamp")];

/// Joins definitions and facts.
pub(super) fn build(definitions: &Map<String, Value>) -> Schemas {
    let is_union = |name: &str| UNIONS.iter().any(|union| union.union_name() == name);
    let is_special = |name: &str| is_union(name) || SPECIAL.iter().any(|(special, _)| *special == name);
    let objects: Vec<(&String, &Value)> = definitions.iter().filter(|(name, _)| !is_special(name)).collect();
    let ids: HashMap<Box<str>, Id> =
        objects.iter().enumerate().map(|(index, (name, _))| (name.as_str().into(), Id(index))).collect();
    let definitions = objects.into_iter().map(|(name, schema)| definition(name, schema, &ids)).collect();
    Schemas { definitions, ids }
}

fn definition(name: &str, schema: &Value, ids: &HashMap<Box<str>, Id>) -> Definition {
    let go_fields = facts::go_fields(name);
    let openapi = facts::openapi(name);
    let required = schema.get("required").and_then(Value::as_array);
    let properties = schema.get("properties").and_then(Value::as_object);
    // k8s-openapi calls the metadata of every kind required; upstream does not.
    let is_kind = properties.is_some_and(|fields| fields.contains_key("apiVersion") && fields.contains_key("kind"));
    let is_required = |field: &str| {
        let is_named = required.is_some_and(|names| names.iter().any(|name| name == field));
        is_named && !(is_kind && field == "metadata")
    };
    let facts_of = |field: &str| openapi.and_then(|facts| facts.get(field));
    // A map sorts its keys, so the fields come sorted by name.
    let fields = properties.into_iter().flatten().map(|(field, schema)| {
        let kind = kind(schema, ids);
        let go = go_fields.iter().find(|go| go.json == field);
        Field {
            name: field.as_str().into(),
            go_type: go.map_or("string", |go| go.type_name.as_str()).into(),
            empty: empty(name, field, &kind, go),
            is_required: is_required(field),
            merge: facts_of(field).map(merge).unwrap_or_default(),
            default: facts_of(field).and_then(|facts| facts.get("default")).cloned(),
            kind,
        }
    });
    Definition {
        name: name.into(),
        go_name: name.rsplit('.').next().unwrap_or(name).into(),
        fields: fields.collect(),
        is_atomic: openapi.and_then(|facts| facts.get("")).is_some_and(|facts| merge(facts).is_atomic),
        rest: None,
    }
}

/// The type that a schema describes.
fn kind(schema: &Value, ids: &HashMap<Box<str>, Id>) -> Type {
    let text = |name: &str| schema.get(name).and_then(Value::as_str);
    if let Some(name) = text("$ref").and_then(|reference| reference.strip_prefix(REFERENCE)) {
        let special = SPECIAL.iter().find(|(special, _)| *special == name).map(|(_, kind)| kind.clone());
        let union = || {
            let other = UNIONS.into_iter().find(|union| union.union_name() == name)?;
            Some(Type::SchemaOr(ids.get(JSON_SCHEMA).copied()?, other))
        };
        return special.or_else(union).or_else(|| ids.get(name).copied().map(Type::Object)).unwrap_or(Type::Raw);
    }
    let inner = |name: &str| schema.get(name).map(|schema| Box::new(kind(schema, ids)));
    match (text("type"), text("format")) {
        (Some("array"), _) => inner("items").map_or(Type::Raw, Type::List),
        (Some("object"), _) => inner("additionalProperties").map_or(Type::Raw, Type::Map),
        (Some("string"), Some("byte")) => Type::Bytes,
        (Some("string"), _) => Type::String,
        (Some("integer"), Some("int32")) => Type::Int32,
        (Some("integer"), _) => Type::Int64,
        (Some("number"), _) => Type::Number,
        (Some("boolean"), _) => Type::Boolean,
        _ => Type::Raw,
    }
}

/// What upstream prints for an unset field. Fields without a row (`kind`, `apiVersion`) are left out.
fn empty(definition: &str, field: &str, kind: &Type, go: Option<&GoField>) -> Empty {
    let Some(go) = go else { return Empty::Omit };
    let is_struct = match kind {
        Type::Object(_) | Type::Time | Type::MicroTime | Type::Quantity | Type::IntOrString => true,
        Type::Raw | Type::Any | Type::Json | Type::SchemaOr(..) => true,
        Type::List(_) | Type::Map(_) | Type::String | Type::Bytes | Type::Boolean => false,
        Type::Int32 | Type::Int64 | Type::Number => false,
    };
    match (go.omits_empty, go.is_pointer) {
        (true, true) => Empty::OmitUnset,
        (false, true) => Empty::Null,
        (true, false) if OMIT_ZERO.contains(&(definition, field)) => Empty::Omit,
        // Go's `omitempty` does not know an empty struct.
        (true, false) if is_struct => Empty::Print,
        (true, false) => Empty::Omit,
        (false, false) => Empty::Print,
    }
}

fn merge(facts: &Map<String, Value>) -> Merge {
    let text = |name: &str| facts.get(name).and_then(Value::as_str).unwrap_or_default();
    let strategy = text("x-kubernetes-patch-strategy");
    let keys = facts.get("x-kubernetes-list-map-keys").and_then(Value::as_array).into_iter().flatten();
    Merge {
        list: match text("x-kubernetes-list-type") {
            "map" => ListType::Map(keys.filter_map(Value::as_str).map(Into::into).collect()),
            "set" => ListType::Set,
            _ => ListType::Atomic,
        },
        is_atomic: text("x-kubernetes-map-type") == "atomic",
        merges: strategy.split(',').any(|word| word == "merge"),
        retains_keys: strategy.split(',').any(|word| word == "retainKeys"),
        key: Some(text("x-kubernetes-patch-merge-key")).filter(|key| !key.is_empty()).map(Into::into),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(definition: &str, name: &str) -> (Type, Empty, Merge) {
        let schemas = Schemas::builtin();
        let definition = schemas.get(schemas.named(definition).unwrap());
        let field = definition.field(name).unwrap();
        (field.kind.clone(), field.empty, field.merge.clone())
    }

    #[test]
    fn types_and_facts_are_joined() {
        let schemas = Schemas::builtin();
        let container = Type::Object(schemas.named("io.k8s.api.core.v1.Container").unwrap());
        let (kind, empty, merge) = field("io.k8s.api.core.v1.PodSpec", "containers");
        assert_eq!((kind, empty), (Type::List(Box::new(container)), Empty::Print));
        assert_eq!((merge.merges, merge.key.as_deref()), (true, Some("name")));
        assert_eq!(merge.list, ListType::Map(vec!["name".into()]));

        assert!(field("io.k8s.api.core.v1.PodSpec", "volumes").2.retains_keys);
        assert_eq!(field("io.k8s.api.core.v1.Secret", "data").0, Type::Map(Box::new(Type::Bytes)));
        assert_eq!(field("io.k8s.api.core.v1.ContainerPort", "containerPort").0, Type::Int32);
        assert_eq!(field("io.k8s.api.core.v1.ServicePort", "targetPort").0, Type::IntOrString);
        let limits = field("io.k8s.api.core.v1.ResourceRequirements", "limits");
        assert_eq!((limits.0, limits.1), (Type::Map(Box::new(Type::Quantity)), Empty::Omit));
        assert_eq!(field("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta", "creationTimestamp").1, Empty::Omit);
        assert_eq!(field("io.k8s.api.coordination.v1.LeaseSpec", "renewTime").0, Type::MicroTime);
    }

    #[test]
    fn every_field_of_the_go_sources_is_in_the_schema() {
        // Both tables are of the same release; a difference means that one of them was read wrongly.
        let schemas = Schemas::builtin();
        for definition in schemas.definitions() {
            for go in facts::go_fields(&definition.name) {
                assert!(definition.field(go.json).is_some(), "{} lacks {}", definition.name, go.json);
            }
        }
    }
}
