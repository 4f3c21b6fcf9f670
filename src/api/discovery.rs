//! Discovery documents: which groups, versions and resources there are, in the legacy and the aggregated form.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::scheme::{GroupVersionKind, Name, Resource, Scheme, Scope, Verb, api_version};

/// Bytes of a hash that tell in which form a resource is stored.
const STORAGE_HASH_BYTES: usize = 8;

/// `/api`: the versions of the core group. No address is told, since clients use the one by which they came.
#[must_use]
pub fn api_versions() -> Value {
    json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []})
}

/// `/apis`: all other groups.
#[must_use]
pub fn api_group_list(scheme: &Scheme) -> Value {
    let groups = scheme.groups().into_iter().filter(|(group, _)| !group.is_empty());
    let groups: Vec<Value> = groups.map(|(group, versions)| group_value(&group, &versions)).collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

/// `/apis/GROUP`; `None` when there is no such group.
#[must_use]
pub fn api_group(scheme: &Scheme, group: &str) -> Option<Value> {
    let versions = versions(scheme, group);
    if versions.is_empty() {
        return None;
    }
    let mut value = group_value(group, &versions);
    if let Value::Object(fields) = &mut value {
        fields.insert("kind".into(), "APIGroup".into());
        fields.insert("apiVersion".into(), "v1".into());
    }
    Some(value)
}

/// `/apis/GROUP/VERSION` or `/api/VERSION`; `None` when there is no such version.
#[must_use]
pub fn api_resource_list(scheme: &Scheme, group: &str, version: &str) -> Option<Value> {
    let resources: Vec<Value> = rows(scheme, group, version).flat_map(|row| legacy(scheme, row)).collect();
    let mut list = json!({"kind": "APIResourceList", "groupVersion": api_version(group, version),
        "resources": resources});
    // The core group's list says no version of its own, upstream's oldest form.
    if let Some(fields) = list.as_object_mut().filter(|_| !group.is_empty()) {
        fields.insert("apiVersion".into(), "v1".into());
    }
    (!resources_of(&list).is_empty()).then_some(list)
}

/// `/api` (when `is_core`) or `/apis` with everything below them in one document.
#[must_use]
pub fn aggregated(scheme: &Scheme, is_core: bool) -> Value {
    let groups = scheme.groups().into_iter().filter(|(group, _)| group.is_empty() == is_core);
    let items: Vec<Value> = groups
        .map(|(group, versions)| {
            let metadata = if group.is_empty() { json!({}) } else { json!({"name": group}) };
            let versions: Vec<Value> = versions
                .iter()
                .map(|version| {
                    let resources: Vec<Value> = rows(scheme, &group, version).map(compact).collect();
                    json!({"version": version, "resources": resources, "freshness": "Current"})
                })
                .collect();
            json!({"metadata": metadata, "versions": versions})
        })
        .collect();
    json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items})
}

fn versions(scheme: &Scheme, group: &str) -> Vec<Name> {
    scheme.groups().into_iter().find(|(name, _)| name == group).map(|(_, versions)| versions).unwrap_or_default()
}

fn rows<'a>(scheme: &'a Scheme, group: &'a str, version: &'a str) -> impl Iterator<Item = &'a Resource> {
    scheme.resources().map(AsRef::as_ref).filter(move |row| row.group == group && row.version == version)
}

fn resources_of(list: &Value) -> &[Value] {
    list.get("resources").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn group_value(group: &str, versions: &[Name]) -> Value {
    let versions: Vec<Value> = versions
        .iter()
        .map(|version| json!({"groupVersion": api_version(group, version), "version": version}))
        .collect();
    let preferred = versions.first().cloned().unwrap_or_default();
    json!({"name": group, "versions": versions, "preferredVersion": preferred})
}

/// A resource and its subresources in the legacy form.
fn legacy(scheme: &Scheme, row: &Resource) -> Vec<Value> {
    let is_namespaced = row.scope == Scope::Namespaced;
    let mut main = json!({"name": row.plural, "singularName": row.singular, "namespaced": is_namespaced,
        "kind": row.kind, "verbs": verbs(row.verbs)});
    if let Value::Object(fields) = &mut main {
        insert_names(fields, row);
        if row.is_stored {
            fields.insert("storageVersionHash".into(), storage_version_hash(scheme, row).into());
        }
    }
    let subresources = row.subresources.iter().map(|subresource| {
        let name = format!("{}/{}", row.plural, subresource.name);
        let mut value = json!({"name": name, "singularName": "", "namespaced": is_namespaced,
            "kind": subresource.kind.kind, "verbs": verbs(subresource.verbs)});
        if let Some(fields) = value.as_object_mut().filter(|_| is_foreign(&subresource.kind, row)) {
            fields.insert("group".into(), subresource.kind.group.as_ref().into());
            fields.insert("version".into(), subresource.kind.version.as_ref().into());
        }
        value
    });
    std::iter::once(main).chain(subresources).collect()
}

/// A resource with its subresources in the aggregated form.
fn compact(row: &Resource) -> Value {
    let scope = match row.scope {
        Scope::Namespaced => "Namespaced",
        Scope::Cluster => "Cluster",
    };
    let mut value = json!({"resource": row.plural, "responseKind": response_kind(&row.group_version_kind(), row),
        "scope": scope, "singularResource": row.singular, "verbs": verbs(row.verbs)});
    if let Value::Object(fields) = &mut value {
        insert_names(fields, row);
        let subresources: Vec<Value> = row
            .subresources
            .iter()
            .map(|subresource| {
                json!({"subresource": subresource.name, "responseKind": response_kind(&subresource.kind, row),
                    "verbs": verbs(subresource.verbs)})
            })
            .collect();
        if !subresources.is_empty() {
            fields.insert("subresources".into(), subresources.into());
        }
    }
    value
}

/// A kind, with its group and version only where they are not the resource's own.
fn response_kind(kind: &GroupVersionKind, row: &Resource) -> Value {
    let (group, version) = if is_foreign(kind, row) { (&*kind.group, &*kind.version) } else { ("", "") };
    json!({"group": group, "version": version, "kind": kind.kind})
}

fn is_foreign(kind: &GroupVersionKind, row: &Resource) -> bool {
    (&kind.group, &kind.version) != (&row.group, &row.version)
}

fn insert_names(fields: &mut Map<String, Value>, row: &Resource) {
    for (key, words) in [("shortNames", &row.short_names), ("categories", &row.categories)] {
        if !words.is_empty() {
            fields.insert(key.into(), words.iter().map(AsRef::as_ref).collect());
        }
    }
}

fn verbs(verbs: &[Verb]) -> Vec<&'static str> {
    verbs.iter().map(|verb| verb.as_str()).collect()
}

/// A hash of the kind in which objects are stored, by which clients see a migration.
fn storage_version_hash(scheme: &Scheme, row: &Resource) -> String {
    let is_storage = |other: &&std::sync::Arc<Resource>| {
        other.group == row.storage.group && other.plural == row.storage.plural && other.storage == row.storage
    };
    let stored = scheme.resources().find(is_storage).map_or(row, AsRef::as_ref);
    let hash = Sha256::digest(format!("{}/{}/{}", stored.group, stored.version, stored.kind));
    STANDARD.encode(hash.get(..STORAGE_HASH_BYTES).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Resources as a recorded kube-apiserver 1.36.2 lists them.
    #[track_caller]
    fn check(group: &str, name: &str, expected: &Value) {
        let list = api_resource_list(Scheme::builtin(), group, "v1").unwrap();
        let found = resources_of(&list).iter().find(|resource| resource["name"] == name).unwrap();
        assert_eq!(found, expected);
    }

    #[test]
    fn resources_are_listed_as_recorded() {
        let all = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
        check(
            "",
            "pods",
            &json!({"name": "pods", "singularName": "pod", "namespaced": true, "kind": "Pod", "verbs": all,
                "shortNames": ["po"], "categories": ["all"], "storageVersionHash": "xPOwRZ+Yhw8="}),
        );
        check(
            "",
            "pods/eviction",
            &json!({"name": "pods/eviction", "singularName": "", "namespaced": true, "group": "policy", "version": "v1",
                "kind": "Eviction", "verbs": ["create"]}),
        );
        check(
            "",
            "namespaces",
            &json!({"name": "namespaces", "singularName": "namespace", "namespaced": false, "kind": "Namespace",
                "verbs": ["create", "delete", "get", "list", "patch", "update", "watch"], "shortNames": ["ns"],
                "storageVersionHash": "Q3oi5N2YM8M="}),
        );
        check(
            "",
            "events",
            &json!({"name": "events", "singularName": "event", "namespaced": true, "kind": "Event", "verbs": all,
                "shortNames": ["ev"], "storageVersionHash": "r2yiGXH7wu8="}),
        );
    }

    #[test]
    fn groups_are_listed_in_the_order_of_upstream() {
        let list = api_group_list(Scheme::builtin());
        let names: Vec<&str> = list["groups"].as_array().unwrap().iter().map(|g| g["name"].as_str().unwrap()).collect();
        // As recorded from a kube-apiserver 1.36; what is not served yet is left out.
        let mut upstream = vec![
            "apiregistration.k8s.io",
            "apps",
            "events.k8s.io",
            "authentication.k8s.io",
            "authorization.k8s.io",
            "autoscaling",
            "batch",
            "certificates.k8s.io",
            "networking.k8s.io",
            "policy",
            "rbac.authorization.k8s.io",
            "storage.k8s.io",
            "admissionregistration.k8s.io",
            "apiextensions.k8s.io",
            "scheduling.k8s.io",
            "coordination.k8s.io",
            "node.k8s.io",
            "discovery.k8s.io",
            "resource.k8s.io",
            "flowcontrol.apiserver.k8s.io",
        ];
        upstream.retain(|group| names.contains(group));
        assert_eq!(names, upstream);
        assert!(api_group(Scheme::builtin(), "none.example").is_none());
        assert!(api_resource_list(Scheme::builtin(), "", "v2").is_none());
    }

    #[test]
    fn the_aggregated_form_is_as_recorded() {
        let document = aggregated(Scheme::builtin(), false);
        let mut groups = document["items"].as_array().unwrap().iter();
        let certificates = groups.find(|group| group["metadata"]["name"] == "certificates.k8s.io").unwrap();
        let part = |name: &str| {
            json!({"subresource": name, "responseKind": {"group": "", "version": "", "kind": "CertificateSigningRequest"},
                "verbs": ["get", "patch", "update"]})
        };
        assert_eq!(
            *certificates,
            json!({"metadata": {"name": "certificates.k8s.io"}, "versions": [{"version": "v1", "freshness": "Current",
                "resources": [{"resource": "certificatesigningrequests",
                    "responseKind": {"group": "", "version": "", "kind": "CertificateSigningRequest"}, "scope": "Cluster",
                    "singularResource": "certificatesigningrequest", "shortNames": ["csr"],
                    "verbs": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
                    "subresources": [part("approval"), part("status")]}]}]})
        );
        let core = aggregated(Scheme::builtin(), true);
        assert_eq!(core["items"].as_array().unwrap().len(), 1);
    }
}
