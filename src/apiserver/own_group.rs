//! Discovery of `run.minke.dev`, whose resources are no rows of the table: nothing of them is stored as an object.
//!
//! Only what clients may meet by discovery is named. Artifacts are not: who empties a namespace would take them for
//! objects to be deleted one by one, and they go with it anyway.

use serde_json::{Value, json};

use crate::verbs::RUN_GROUP;

const VERSION: &str = "v1";

/// `/apis/run.minke.dev`.
pub(crate) fn group() -> Value {
    let mut group = listed_group();
    if let Some(fields) = group.as_object_mut() {
        fields.insert("kind".into(), "APIGroup".into());
        fields.insert("apiVersion".into(), "v1".into());
    }
    group
}

/// `/apis/run.minke.dev/v1`.
pub(crate) fn resources() -> Value {
    json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": format!("{RUN_GROUP}/{VERSION}"), "resources": [
        {"name": "backup", "singularName": "backup", "namespaced": false, "kind": "Backup", "verbs": ["get"]},
        {"name": "run", "singularName": "run", "namespaced": true, "kind": "Run", "verbs": ["create"]},
    ]})
}

/// Adds the group to `/apis`.
pub(crate) fn add_to_list(mut list: Value) -> Value {
    if let Some(groups) = list.get_mut("groups").and_then(Value::as_array_mut) {
        groups.push(listed_group());
    }
    list
}

/// Adds the group to an aggregated document, of either form.
pub(crate) fn add_to_aggregated(mut document: Value) -> Value {
    let resource = |name: &str, kind: &str, scope: &str, verb: &str| {
        json!({"resource": name, "responseKind": {"group": RUN_GROUP, "version": VERSION, "kind": kind}, "scope": scope,
            "singularResource": name, "verbs": [verb]})
    };
    let resources = [resource("backup", "Backup", "Cluster", "get"), resource("run", "Run", "Namespaced", "create")];
    let item = json!({"metadata": {"name": RUN_GROUP},
        "versions": [{"version": VERSION, "resources": resources, "freshness": "Current"}]});
    if let Some(items) = document.get_mut("items").and_then(Value::as_array_mut) {
        items.push(item);
    }
    document
}

fn listed_group() -> Value {
    let version = json!({"groupVersion": format!("{RUN_GROUP}/{VERSION}"), "version": VERSION});
    json!({"name": RUN_GROUP, "versions": [version], "preferredVersion": version})
}
