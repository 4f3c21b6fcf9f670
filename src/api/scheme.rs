//! THE table: a row a resource. Routes, discovery, OpenAPI, names and tests derive from it.
//!
//! Builtin rows are in `builtin`. A row owns its names, so that CustomResourceDefinitions can add rows at run time.

mod behaviour;
mod builtin;
mod strategy;

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use serde_json::Value;

use crate::custom;
use crate::schema;

pub use strategy::Strategy;

/// A word of the API: borrowed in builtin rows, owned in those made at run time.
pub type Name = Cow<'static, str>;

/// All resources that are served, in the order in which discovery shows them: groups as upstream, resources by name.
///
/// There are some dozens, or hundreds with custom ones; a walk along them costs less than the keys of a map would.
#[derive(Clone, Debug, Default)]
pub struct Scheme {
    rows: Vec<Arc<Resource>>,
}

/// One resource.
#[derive(Clone, Debug)]
pub struct Resource {
    /// The API group; empty for the core group.
    pub group: Name,
    /// The version in which this row serves it.
    pub version: Name,
    /// What one object is called: `Pod`.
    pub kind: Name,
    /// What a list is called: `PodList`.
    pub list_kind: Name,
    /// The word in paths: `pods`.
    pub plural: Name,
    /// The word for one: `pod`.
    pub singular: Name,
    /// What kubectl takes instead: `po`.
    pub short_names: Vec<Name>,
    /// Groups of resources that it belongs to: `all`.
    pub categories: Vec<Name>,
    /// Whether its objects live in namespaces.
    pub scope: Scope,
    /// What can be done to its objects.
    pub verbs: &'static [Verb],
    /// What else can be done to them.
    pub subresources: Vec<Subresource>,
    /// Whether its objects are kept. What is not is answered as it is created: access reviews.
    pub is_stored: bool,
    /// Where its objects are stored.
    pub storage: Storage,
    /// How they become those that are stored, and back; `None` where they are stored as they are served.
    pub conversion: Option<Conversion>,
    /// The type of its objects.
    pub schema: schema::Root,
    /// What differs between builtin kinds.
    pub strategy: Strategy,
    /// What a custom kind does beyond its strategy; `None` for builtin ones.
    pub custom: Option<Arc<custom::Kind>>,
}

/// A part of an object, or something to do to it, with its own path.
#[derive(Clone, Debug)]
pub struct Subresource {
    /// The last word of its path: `status`.
    pub name: Name,
    /// What a body holds: the resource's own kind for `status`, `policy/v1 Eviction` for `eviction`.
    pub kind: GroupVersionKind,
    /// What can be done to it.
    pub verbs: &'static [Verb],
}

/// A kind with its group and version.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct GroupVersionKind {
    /// Empty for the core group.
    pub group: Name,
    /// The version.
    pub version: Name,
    /// The kind.
    pub kind: Name,
}

/// Where a resource's objects are stored. Rows that share it show the same objects in several forms.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Storage {
    /// Empty for the core group.
    pub group: Name,
    /// The plural.
    pub plural: Name,
}

/// Between the form in which a resource is served and the one in which it is stored.
#[derive(Clone, Debug)]
pub enum Conversion {
    /// A builtin kind's two forms.
    Functions {
        /// The form to store.
        to_storage: fn(Value) -> Value,
        /// The form to serve.
        from_storage: fn(Value) -> Value,
    },
    /// Another version of a custom kind than the one that is stored.
    Version {
        /// The version that is stored.
        stored: Name,
    },
}

/// Whether objects live in namespaces.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Scope {
    /// Each object is in one.
    Namespaced,
    /// None is.
    Cluster,
}

/// What can be done to a resource or subresource.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Verb {
    /// Make an object.
    Create,
    /// Remove an object.
    Delete,
    /// Remove a collection.
    DeleteCollection,
    /// Read an object.
    Get,
    /// Read a collection.
    List,
    /// Change parts of an object.
    Patch,
    /// Replace an object.
    Update,
    /// Follow changes.
    Watch,
}

impl Scheme {
    /// The builtin resources.
    #[must_use]
    pub fn builtin() -> &'static Self {
        static BUILTIN: LazyLock<Scheme> = LazyLock::new(|| Scheme::new(builtin::rows()));
        &BUILTIN
    }

    /// A scheme of these rows, in this order.
    #[must_use]
    pub fn new(rows: Vec<Resource>) -> Self {
        let mut scheme = Self::default();
        for row in rows {
            scheme.add(row);
        }
        scheme
    }

    /// The same with more rows behind its own.
    #[must_use]
    pub fn with(&self, rows: impl IntoIterator<Item = Arc<Resource>>) -> Self {
        Self { rows: self.rows.iter().cloned().chain(rows).collect() }
    }

    /// Adds a row, or replaces the one of the same group, version and plural.
    pub fn add(&mut self, row: Resource) {
        let is_same = |old: &&mut Arc<Resource>| {
            (&old.group, &old.version, &old.plural) == (&row.group, &row.version, &row.plural)
        };
        match self.rows.iter_mut().find(is_same) {
            Some(old) => *old = Arc::new(row),
            None => self.rows.push(Arc::new(row)),
        }
    }

    /// The row of a resource.
    #[must_use]
    pub fn resource(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Resource>> {
        self.rows.iter().find(|row| row.plural == plural && row.group == group && row.version == version)
    }

    /// The row of a kind.
    #[must_use]
    pub fn by_kind(&self, group: &str, version: &str, kind: &str) -> Option<&Arc<Resource>> {
        self.rows.iter().find(|row| row.kind == kind && row.group == group && row.version == version)
    }

    /// The row of a kind that is named as objects name it: `group/version`, or `version` alone in the core group.
    #[must_use]
    pub fn by_api_version(&self, api_version: &str, kind: &str) -> Option<&Arc<Resource>> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        self.by_kind(group, version, kind)
    }

    /// All rows, in the order of discovery.
    pub fn resources(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.rows.iter()
    }

    /// Groups and their versions (preferred first), in the order of discovery.
    #[must_use]
    pub fn groups(&self) -> Vec<(Name, Vec<Name>)> {
        let mut groups: Vec<(Name, Vec<Name>)> = Vec::new();
        for row in &self.rows {
            match groups.iter_mut().find(|(group, _)| *group == row.group) {
                Some((_, versions)) if versions.contains(&row.version) => {}
                Some((_, versions)) => versions.push(row.version.clone()),
                None => groups.push((row.group.clone(), vec![row.version.clone()])),
            }
        }
        groups
    }
}

impl Resource {
    /// `apps/v1`, or `v1` in the core group.
    #[must_use]
    pub fn api_version(&self) -> String {
        api_version(&self.group, &self.version)
    }

    /// The key of an object in the store.
    #[must_use]
    pub fn key(&self, namespace: Option<&str>, name: &str) -> String {
        format!("{}{name}", self.prefix(namespace))
    }

    /// What the keys of all objects (in a namespace) begin with.
    #[must_use]
    pub fn prefix(&self, namespace: Option<&str>) -> String {
        let group = if self.storage.group.is_empty() { "core" } else { &self.storage.group };
        match namespace {
            Some(namespace) => format!("/minke/1/{group}/{}/{namespace}/", self.storage.plural),
            None => format!("/minke/1/{group}/{}/", self.storage.plural),
        }
    }

    /// A resource of which nothing is known but where its objects are stored: its definition is not read yet, or gone.
    #[must_use]
    pub fn unserved(group: &str, plural: &str) -> Option<Self> {
        let (group, plural): (Name, Name) = (Name::Owned(group.to_owned()), Name::Owned(plural.to_owned()));
        Some(Self {
            version: Name::default(),
            kind: Name::default(),
            list_kind: Name::default(),
            singular: Name::default(),
            short_names: Vec::new(),
            categories: Vec::new(),
            scope: Scope::Namespaced,
            verbs: &[],
            subresources: Vec::new(),
            is_stored: true,
            storage: Storage { group: group.clone(), plural: plural.clone() },
            conversion: None,
            schema: schema::Root::builtin("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta")?,
            strategy: Strategy::DEFAULT,
            custom: None,
            group,
            plural,
        })
    }

    /// The subresource of this name.
    #[must_use]
    pub fn subresource(&self, name: &str) -> Option<&Subresource> {
        self.subresources.iter().find(|subresource| subresource.name == name)
    }

    /// The kind with its group and version.
    #[must_use]
    pub fn group_version_kind(&self) -> GroupVersionKind {
        GroupVersionKind { group: self.group.clone(), version: self.version.clone(), kind: self.kind.clone() }
    }
}

impl Verb {
    /// Its name in discovery, rules and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
            Self::Get => "get",
            Self::List => "list",
            Self::Patch => "patch",
            Self::Update => "update",
            Self::Watch => "watch",
        }
    }
}

impl GroupVersionKind {
    /// A builtin kind.
    #[must_use]
    pub const fn new(group: &'static str, version: &'static str, kind: &'static str) -> Self {
        Self { group: Cow::Borrowed(group), version: Cow::Borrowed(version), kind: Cow::Borrowed(kind) }
    }

    /// `apps/v1`, or `v1` in the core group.
    #[must_use]
    pub fn api_version(&self) -> String {
        api_version(&self.group, &self.version)
    }
}

impl GroupVersionKind {
    /// What its type is called in OpenAPI: `io.k8s.api.apps.v1.Deployment`.
    #[must_use]
    pub fn definition_name(&self) -> String {
        // Two groups live in repositories of their own.
        let package = match &*self.group {
            "" => "api.core",
            "apiextensions.k8s.io" => "apiextensions-apiserver.pkg.apis.apiextensions",
            "apiregistration.k8s.io" => "kube-aggregator.pkg.apis.apiregistration",
            other => &format!("api.{}", other.split('.').next().unwrap_or(other)),
        };
        format!("io.k8s.{package}.{}.{}", self.version, self.kind)
    }
}

/// `group/version`, or the version alone in the core group.
#[must_use]
pub fn api_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_a_type_and_is_found_by_its_names() {
        let scheme = Scheme::builtin();
        assert_eq!(scheme.resources().count(), builtin::COUNT, "a row's type is missing in schema::generate");
        for row in scheme.resources() {
            assert!(Arc::ptr_eq(row, scheme.resource(&row.group, &row.version, &row.plural).unwrap()));
            assert!(Arc::ptr_eq(row, scheme.by_kind(&row.group, &row.version, &row.kind).unwrap()));
        }
    }

    #[test]
    fn events_of_both_groups_have_one_storage() {
        let scheme = Scheme::builtin();
        let key = |group: &str| scheme.resource(group, "v1", "events").unwrap().key(Some("n"), "e");
        assert_eq!(key(""), "/minke/1/core/events/n/e");
        assert_eq!(key("events.k8s.io"), key(""));
        assert_eq!(scheme.resource("", "v1", "nodes").unwrap().prefix(None), "/minke/1/core/nodes/");
    }
}
