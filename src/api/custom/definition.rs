//! From a CustomResourceDefinition to the rows of the scheme that serve it: one for each version that is served.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::structural::Structural;
use super::{Edition, Kind, Scale, columns, types};
use crate::cel::rules::Rules;
use crate::custom::json_path::JsonPath;
use crate::meta;
use crate::schema::Root;
use crate::scheme::{Conversion, GroupVersionKind, Name, Resource, Scope, Storage, Strategy, Subresource, Verb};
use crate::value::{flag, has, list, part, text};

/// The group of definitions.
pub const GROUP: &str = "apiextensions.k8s.io";

/// What can be done to custom objects, in the order of discovery.
const VERBS: &[Verb] = &[
    Verb::Delete,
    Verb::DeleteCollection,
    Verb::Get,
    Verb::List,
    Verb::Patch,
    Verb::Create,
    Verb::Update,
    Verb::Watch,
];
const PART: &[Verb] = &[Verb::Get, Verb::Patch, Verb::Update];

/// Upstream's strategy for custom resources.
const STRATEGY: Strategy = Strategy { has_generation: true, allows_unconditional_update: false, ..Strategy::DEFAULT };

/// Whether a definition's objects can be served: its names are accepted.
#[must_use]
pub fn is_established(definition: &Value) -> bool {
    super::status::is_true(definition, "Established")
}

/// The rows of an established definition, the newest version first.
#[must_use]
pub fn rows(definition: &Value) -> Vec<Resource> {
    if !is_established(definition) {
        return Vec::new();
    }
    let spec = part(definition, "spec");
    let versions = list(spec, "versions");
    let storage = versions.iter().find(|version| flag(version, "storage")).map_or("", |version| text(version, "name"));
    let mut served: Vec<&Value> = versions.iter().filter(|version| flag(version, "served")).collect();
    served.sort_by(|one, other| super::status::compare_versions(text(other, "name"), text(one, "name")));
    served.into_iter().map(|version| row(definition, version, storage)).collect()
}

/// The row as which new objects are stored, although its version may not be served; none for a definition whose names
/// were never accepted.
#[must_use]
pub fn stored_row(definition: &Value) -> Option<Resource> {
    let stored = list(part(definition, "spec"), "versions").iter().find(|version| flag(version, "storage"))?;
    let has_names = has(part(definition, "status"), "acceptedNames");
    has_names.then(|| row(definition, stored, text(stored, "name")))
}

/// What objects are by their `apiVersion`, whether it is served or not.
#[must_use]
pub fn kinds(definition: &Value) -> BTreeMap<String, Arc<Kind>> {
    let versions = list(part(definition, "spec"), "versions").iter();
    let rows = versions.map(|version| row(definition, version, ""));
    rows.filter_map(|row| Some((row.api_version(), row.custom?))).collect()
}

fn row(definition: &Value, version: &Value, storage: &str) -> Resource {
    let spec = part(definition, "spec");
    let names = part(part(definition, "status"), "acceptedNames");
    let (group, name) = (owned(text(spec, "group")), owned(text(version, "name")));
    let kind = owned(text(names, "kind"));
    let published = part(part(version, "schema"), "openAPIV3Schema").clone();
    let schema = Structural::of(&published);
    let (schemas, id) = types::of(&kind, &schema);
    let subresources = part(version, "subresources");
    let own = GroupVersionKind { group: group.clone(), version: name.clone(), kind: kind.clone() };
    let list_kind = Some(text(names, "listKind")).filter(|name| !name.is_empty()).map(str::to_owned);
    let words = |field: &str| list(names, field).iter().filter_map(Value::as_str).map(owned).collect();
    let is_stored_version = text(version, "name") == storage;
    Resource {
        version: name.clone(),
        list_kind: list_kind.unwrap_or_else(|| format!("{kind}List")).into(),
        plural: owned(text(names, "plural")),
        singular: owned(text(names, "singular")),
        short_names: words("shortNames"),
        categories: words("categories"),
        scope: if text(spec, "scope") == "Cluster" { Scope::Cluster } else { Scope::Namespaced },
        verbs: VERBS,
        subresources: parts(subresources, &own),
        is_stored: true,
        storage: Storage { group: group.clone(), plural: owned(text(names, "plural")) },
        conversion: (!is_stored_version).then(|| Conversion::Version { stored: owned(storage) }),
        schema: Root::new(Arc::new(schemas), id),
        strategy: STRATEGY,
        custom: Some(Arc::new(Kind {
            columns: columns::of(version),
            fields: selectable(version),
            has_status: has(subresources, "status"),
            scale: Some(part(subresources, "scale")).filter(|scale| scale.is_object()).map(scale),
            deprecation: deprecation(version, &own),
            conversion: conversion(part(spec, "conversion")),
            is_ending: meta::deletion_timestamp(definition).is_some(),
            edition: Edition {
                uid: meta::uid(definition).unwrap_or_default().to_owned(),
                generation: meta::generation(definition).unwrap_or_default(),
            },
            rules: Rules::compile(&published),
            schema,
            published,
        })),
        group,
        kind,
    }
}

fn owned(word: &str) -> Name {
    Name::Owned(word.to_owned())
}

fn parts(subresources: &Value, own: &GroupVersionKind) -> Vec<Subresource> {
    let mut parts = Vec::new();
    if has(subresources, "scale") {
        let kind = GroupVersionKind::new("autoscaling", "v1", "Scale");
        parts.push(Subresource { name: "scale".into(), kind, verbs: PART });
    }
    if has(subresources, "status") {
        parts.push(Subresource { name: "status".into(), kind: own.clone(), verbs: PART });
    }
    parts
}

fn scale(scale: &Value) -> Scale {
    let pointer = |field: &str| text(scale, field).replace('.', "/");
    Scale {
        wanted: pointer("specReplicasPath"),
        found: pointer("statusReplicasPath"),
        selector: Some(pointer("labelSelectorPath")).filter(|path| !path.is_empty()).unwrap_or_else(|| "/-".to_owned()),
    }
}

fn conversion(conversion: &Value) -> Option<Value> {
    (text(conversion, "strategy") == "Webhook").then(|| part(conversion, "webhook").clone())
}

fn selectable(version: &Value) -> Vec<(Name, JsonPath)> {
    let field = |field: &Value| {
        let path = text(field, "jsonPath");
        Some((owned(path.trim_start_matches('.')), JsonPath::parse(path).ok()?))
    };
    list(version, "selectableFields").iter().filter_map(field).collect()
}

fn deprecation(version: &Value, own: &GroupVersionKind) -> Option<String> {
    let is_deprecated = flag(version, "deprecated");
    let told = part(version, "deprecationWarning").as_str().map(str::to_owned);
    is_deprecated.then(|| told.unwrap_or_else(|| format!("{} {} is deprecated", own.api_version(), own.kind)))
}
