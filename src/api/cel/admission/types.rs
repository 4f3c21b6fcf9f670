//! What `request` and `namespaceObject` are, and the objects that changing expressions make.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use serde_json::{Value as Json, json};

use super::super::decl::{Decl, Field, FieldType, Object, Place, Shape};
use super::super::types::Type;

/// The type of `request`.
pub(super) static REQUEST: LazyLock<Decl> = LazyLock::new(|| {
    let string = json!({"type": "string"});
    let strings = json!({"type": "array", "items": string});
    let version = |name: &str, last: &str| {
        let properties = json!({"group": string, "version": string, last: string});
        json!({"$name": name, "type": "object", "properties": properties})
    };
    let kind = version("kubernetes.GroupVersionKind", "kind");
    let resource = version("kubernetes.GroupVersionResource", "resource");
    let user = json!({"$name": "kubernetes.UserInfo", "type": "object", "properties": {
        "username": string, "uid": string, "groups": strings,
        "extra": {"type": "object", "additionalProperties": strings},
    }});
    let properties = json!({
        "kind": kind, "resource": resource, "subResource": string,
        "requestKind": kind, "requestResource": resource, "requestSubResource": string,
        "name": string, "namespace": string, "operation": string, "userInfo": user, "dryRun": {"type": "boolean"},
    });
    let options = Field { name: "options".into(), decl: FieldType::Plain(Type::Dyn) };
    declare("kubernetes.AdmissionRequest", properties, Some(options))
});

/// The type of `namespaceObject`.
pub(super) static NAMESPACE: LazyLock<Decl> = LazyLock::new(|| {
    let string = json!({"type": "string"});
    let strings = json!({"type": "array", "items": string});
    let time = json!({"type": "string", "format": "date-time"});
    let texts = json!({"type": "object", "additionalProperties": string});
    let condition = json!({"$name": "kubernetes.NamespaceCondition", "type": "object", "properties": {
        "status": string, "type": string, "lastTransitionTime": time, "message": string, "reason": string,
    }});
    let metadata = json!({"$name": "kubernetes.NamespaceMetadata", "type": "object", "properties": {
        "name": string, "generateName": string, "namespace": string, "labels": texts, "annotations": texts,
        "UID": string, "creationTimestamp": time, "deletionGracePeriodSeconds": {"type": "integer"},
        "deletionTimestamp": time, "generation": {"type": "integer"}, "resourceVersion": string, "finalizers": strings,
    }});
    let spec = json!({"$name": "kubernetes.NamespaceSpec", "type": "object", "properties": {"finalizers": strings}});
    let status = json!({"$name": "kubernetes.NamespaceStatus", "type": "object", "properties": {
        "conditions": {"type": "array", "items": condition}, "phase": string,
    }});
    declare("kubernetes.Namespace", json!({"metadata": metadata, "spec": spec, "status": status}), None)
});

fn declare(name: &str, properties: Json, more: Option<Field>) -> Decl {
    let schema = json!({"$name": name, "type": "object", "properties": properties});
    let mut fields = BTreeMap::new();
    if let Some(decl) = Decl::of(&schema, Place::Inside, name)
        && let Shape::Object(object) = &decl.shape
    {
        fields.clone_from(&object.fields);
    }
    fields.extend(more.map(|field| (field.name.clone(), field)));
    Decl::object(Object { name: name.into(), fields, is_open: false })
}

/// The type of `variables` with these members.
pub(super) fn variables(members: impl Iterator<Item = (Box<str>, Type)>) -> Type {
    let fields = members.map(|(name, kind)| (name.clone(), Field { name, decl: FieldType::Plain(kind) }));
    Type::Object(Arc::new(Object { name: "kubernetes.variables".into(), fields: fields.collect(), is_open: false }))
}

/// The type of a JSON patch's operation.
pub(super) fn patch() -> Type {
    let fields = [("op", Type::String), ("path", Type::String), ("from", Type::String), ("value", Type::Dyn)];
    let fields = fields.map(|(name, kind)| (name.into(), Field { name: name.into(), decl: FieldType::Plain(kind) }));
    Type::Object(Arc::new(Object { name: "JSONPatch".into(), fields: BTreeMap::from(fields), is_open: false }))
}
