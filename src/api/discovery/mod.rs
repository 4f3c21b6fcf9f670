//! Discovery documents: which resources there are, told from the table alone.
//!
//! Upstream has two forms: one list a group version (`APIResourceList`, with `APIGroup` and `APIGroupList` above it), and
//! everything in one document (`APIGroupDiscoveryList`), which newer clients ask for.

use serde_json::{Value, json};

use crate::scheme::{GroupVersionKind, Name, Resource, Scheme, Scope, Subresource, Verb, api_version};

/// The version of the document that holds everything.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Discovery {
    /// `apidiscovery.k8s.io/v2`.
    V2,
    /// `apidiscovery.k8s.io/v2beta1`, which older clients know.
    V2Beta1,
}

/// Which part of everything a document holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Root {
    /// `/api`: the core group.
    Core,
    /// `/apis`: all others.
    Groups,
}

/// `/api`: the versions of the core group.
#[must_use]
pub fn api_versions(server_address: &str) -> Value {
    json!({"kind": "APIVersions", "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": server_address}]})
}

/// `/apis`: all groups but the core group.
#[must_use]
pub fn api_group_list(scheme: &Scheme) -> Value {
    let groups = scheme.groups();
    let groups: Vec<Value> =
        groups.iter().filter(|(group, _)| !group.is_empty()).map(|(group, versions)| group_value(group, versions)).collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

/// `/apis/GROUP`; `None` for a group that is not served.
#[must_use]
pub fn api_group(scheme: &Scheme, group: &str) -> Option<Value> {
    let (name, versions) = scheme.groups().into_iter().find(|(name, _)| !name.is_empty() && name == group)?;
    let mut value = group_value(&name, &versions);
    if let Some(fields) = value.as_object_mut() {
        fields.insert("kind".into(), "APIGroup".into());
        fields.insert("apiVersion".into(), "v1".into());
    }
    Some(value)
}

fn group_value(group: &str, versions: &[Name]) -> Value {
    let version = |version: &Name| json!({"groupVersion": api_version(group, version), "version": version});
    let preferred = versions.first().map(version);
    let versions: Vec<Value> = versions.iter().map(version).collect();
    json!({"name": group, "versions": versions, "preferredVersion": preferred})
}

/// `/api/v1` or `/apis/GROUP/VERSION`; `None` where nothing is served.
#[must_use]
pub fn api_resource_list(scheme: &Scheme, group: &str, version: &str) -> Option<Value> {
    let mut resources = Vec::new();
    for row in rows(scheme, group, version) {
        resources.push(resource(row));
        resources.extend(row.subresources.iter().map(|subresource| subresource_row(row, subresource)));
    }
    let mut list = json!({"kind": "APIResourceList", "groupVersion": api_version(group, version), "resources": resources});
    if !group.is_empty() {
        insert(&mut list, "apiVersion", "v1");
    }
    (!resources.is_empty()).then_some(list)
}

fn resource(row: &Resource) -> Value {
    let mut value = json!({"name": row.plural, "singularName": row.singular, "namespaced": is_namespaced(row),
        "kind": row.kind, "verbs": verbs(row.verbs)});
    if !row.short_names.is_empty() {
        insert(&mut value, "shortNames", names(&row.short_names));
    }
    if !row.categories.is_empty() {
        insert(&mut value, "categories", names(&row.categories));
    }
    value
}

fn subresource_row(row: &Resource, subresource: &Subresource) -> Value {
    let kind = &subresource.kind;
    let mut value = json!({"name": format!("{}/{}", row.plural, subresource.name), "singularName": "",
        "namespaced": is_namespaced(row), "kind": kind.kind, "verbs": verbs(subresource.verbs)});
    if is_foreign(row, kind) {
        insert(&mut value, "group", kind.group.as_ref());
        insert(&mut value, "version", kind.version.as_ref());
    }
    value
}

/// Everything in one document.
#[must_use]
pub fn aggregated(scheme: &Scheme, root: Root, version: Discovery) -> Value {
    let groups = scheme.groups().into_iter().filter(|(group, _)| group.is_empty() == (root == Root::Core));
    let items: Vec<Value> = groups.map(|(group, versions)| aggregated_group(scheme, &group, &versions)).collect();
    let api_version = match version {
        Discovery::V2 => "apidiscovery.k8s.io/v2",
        Discovery::V2Beta1 => "apidiscovery.k8s.io/v2beta1",
    };
    json!({"kind": "APIGroupDiscoveryList", "apiVersion": api_version, "metadata": {}, "items": items})
}

fn aggregated_group(scheme: &Scheme, group: &str, versions: &[Name]) -> Value {
    let versions: Vec<Value> = versions
        .iter()
        .map(|version| {
            let resources: Vec<Value> = rows(scheme, group, version).map(aggregated_resource).collect();
            json!({"version": version, "resources": resources, "freshness": "Current"})
        })
        .collect();
    let metadata = if group.is_empty() { json!({}) } else { json!({"name": group}) };
    json!({"metadata": metadata, "versions": versions})
}

fn aggregated_resource(row: &Resource) -> Value {
    let scope = if is_namespaced(row) { "Namespaced" } else { "Cluster" };
    // Upstream leaves group and version of the resource's own kind empty: they are those of the document.
    let mut value = json!({"resource": row.plural, "responseKind": {"group": "", "version": "", "kind": row.kind},
        "scope": scope, "singularResource": row.singular, "verbs": verbs(row.verbs)});
    if !row.short_names.is_empty() {
        insert(&mut value, "shortNames", names(&row.short_names));
    }
    if !row.categories.is_empty() {
        insert(&mut value, "categories", names(&row.categories));
    }
    if !row.subresources.is_empty() {
        let subresources = row.subresources.iter().map(|subresource| {
            let kind = &subresource.kind;
            let (group, version) = if is_foreign(row, kind) { (&*kind.group, &*kind.version) } else { ("", "") };
            json!({"subresource": subresource.name, "verbs": verbs(subresource.verbs),
                "responseKind": {"group": group, "version": version, "kind": kind.kind}})
        });
        insert(&mut value, "subresources", subresources.collect::<Vec<_>>());
    }
    value
}

fn rows<'s>(scheme: &'s Scheme, group: &str, version: &str) -> impl Iterator<Item = &'s Resource> {
    scheme.resources().map(AsRef::as_ref).filter(move |row| row.group == group && row.version == version)
}

fn is_namespaced(row: &Resource) -> bool {
    row.scope == Scope::Namespaced
}

/// Whether a subresource's kind is of another group or version than its resource.
fn is_foreign(row: &Resource, kind: &GroupVersionKind) -> bool {
    kind.group != row.group || kind.version != row.version
}

fn verbs(verbs: &[Verb]) -> Vec<&'static str> {
    verbs.iter().map(|verb| verb.as_str()).collect()
}

fn names(names: &[Name]) -> Vec<&str> {
    names.iter().map(AsRef::as_ref).collect()
}

fn insert(value: &mut Value, key: &str, inserted: impl Into<Value>) {
    if let Some(fields) = value.as_object_mut() {
        fields.insert(key.to_owned(), inserted.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named<'v>(list: &'v Value, key: &str, name: &str) -> &'v Value {
        list.as_array().unwrap().iter().find(|item| item[key] == name).unwrap()
    }

    #[test]
    fn a_resource_is_told_as_upstream_tells_it() {
        let list = api_resource_list(Scheme::builtin(), "", "v1").unwrap();
        let pods = json!({"name": "pods", "singularName": "pod", "namespaced": true, "kind": "Pod", "shortNames": ["po"],
            "categories": ["all"],
            "verbs": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]});
        assert_eq!(*named(&list["resources"], "name", "pods"), pods);
        let eviction = json!({"name": "pods/eviction", "singularName": "", "namespaced": true, "group": "policy",
            "version": "v1", "kind": "Eviction", "verbs": ["create"]});
        assert_eq!(*named(&list["resources"], "name", "pods/eviction"), eviction);
        assert_eq!(api_resource_list(Scheme::builtin(), "nothing.example", "v1"), None);
    }

    #[test]
    fn everything_in_one_document() {
        let list = aggregated(Scheme::builtin(), Root::Core, Discovery::V2);
        let namespaces = named(&list["items"][0]["versions"][0]["resources"], "resource", "namespaces").clone();
        assert_eq!(namespaces["scope"], "Cluster");
        let status = json!({"subresource": "status", "responseKind": {"group": "", "version": "", "kind": "Namespace"},
            "verbs": ["get", "patch", "update"]});
        assert_eq!(*named(&namespaces["subresources"], "subresource", "status"), status);
        let groups = aggregated(Scheme::builtin(), Root::Groups, Discovery::V2Beta1);
        assert_eq!(groups["apiVersion"], "apidiscovery.k8s.io/v2beta1");
    }
}
