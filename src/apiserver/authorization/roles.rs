//! The roles and bindings that every cluster has, from upstream's bootstrap policy (see the head of the table), and
//! ours for the controllers that run in the server's process.
//!
//! Each start gives back what is missing of them, unless somebody has turned that off with the annotation
//! `rbac.authorization.kubernetes.io/autoupdate: "false"`; what was added to them stays.

use std::collections::BTreeMap;

use api::access::{Rule, missing};
use serde_json::{Map, Value, json};

const TABLE: &str = include_str!("default-roles.tsv");
const GROUP: &str = "rbac.authorization.k8s.io";
const API_VERSION: &str = "rbac.authorization.k8s.io/v1";
const BOOTSTRAPPING: &str = "kubernetes.io/bootstrapping";
const AUTO_UPDATE: &str = "rbac.authorization.kubernetes.io/autoupdate";

/// A role or binding that every cluster has.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DefaultObject {
    /// `clusterroles`, …
    pub plural: &'static str,
    pub namespace: Option<String>,
    pub name: String,
    pub object: Value,
}

/// All of them: roles before bindings, each by name.
pub(crate) fn defaults() -> Vec<DefaultObject> {
    let mut found: BTreeMap<(Place, String, String), Value> = BTreeMap::new();
    for row in TABLE.lines().filter(|line| !line.starts_with('#') && !line.starts_with("kind\t")) {
        let columns: Vec<&str> = row.split('\t').collect();
        let at = |index: usize| columns.get(index).copied().unwrap_or_default();
        let (kind, namespace, name) = (at(0), at(1), at(2));
        let place = place(kind);
        let key = (place, namespace.to_owned(), name.to_owned());
        let object = found.entry(key).or_insert_with(|| new(place.kind, namespace, name));
        match kind {
            "Label" => api::meta::set_in(object, "/metadata/labels", at(3), "true".into()),
            "Aggregate" => {
                let rule = json!({"clusterRoleSelectors": [{"matchLabels": {at(3): "true"}}]});
                api::meta::set_at(object, "/aggregationRule", rule);
            }
            "Role" | "ClusterRole" => {
                let rule = Rule {
                    verbs: words(at(3)),
                    api_groups: words(at(4)),
                    resources: words(at(5)),
                    resource_names: words(at(6)),
                    non_resource_urls: words(at(7)),
                };
                api::meta::push_at(object, "/rules", json!(rule));
            }
            _ => {
                let (role_kind, role) = at(3).split_once('/').unwrap_or_default();
                let role = json!({"apiGroup": GROUP, "kind": role_kind, "name": role});
                api::meta::set_at(object, "/roleRef", role);
                let subjects = words(at(4)).iter().map(|subject| self::subject(subject)).collect();
                api::meta::set_at(object, "/subjects", subjects);
            }
        }
    }
    found
        .into_iter()
        .map(|((place, namespace, name), object)| DefaultObject {
            plural: place.plural,
            namespace: Some(namespace).filter(|namespace| !namespace.is_empty()),
            name,
            object,
        })
        .collect()
}

/// A kind, in the order in which objects are made.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Place {
    order: u8,
    kind: &'static str,
    plural: &'static str,
}

/// The kind that a row of the table is about.
fn place(word: &str) -> Place {
    match word {
        "Role" => Place { order: 1, kind: "Role", plural: "roles" },
        "ClusterRoleBinding" => Place { order: 2, kind: "ClusterRoleBinding", plural: "clusterrolebindings" },
        "RoleBinding" => Place { order: 3, kind: "RoleBinding", plural: "rolebindings" },
        // `Label` and `Aggregate` are of cluster roles, too.
        _ => Place { order: 0, kind: "ClusterRole", plural: "clusterroles" },
    }
}

fn new(kind: &str, namespace: &str, name: &str) -> Value {
    let mut metadata = Map::new();
    metadata.insert("name".to_owned(), name.into());
    if !namespace.is_empty() {
        metadata.insert("namespace".to_owned(), namespace.into());
    }
    metadata.insert("labels".to_owned(), json!({BOOTSTRAPPING: "rbac-defaults"}));
    metadata.insert("annotations".to_owned(), json!({AUTO_UPDATE: "true"}));
    json!({"apiVersion": API_VERSION, "kind": kind, "metadata": metadata})
}

fn words(list: &str) -> Vec<String> {
    if list.is_empty() {
        return Vec::new();
    }
    list.split(',').map(|word| if word == "\"\"" { String::new() } else { word.to_owned() }).collect()
}

/// `User:name`, `Group:name` or `ServiceAccount:namespace:name`.
fn subject(text: &str) -> Value {
    let (kind, name) = text.split_once(':').unwrap_or_default();
    match kind {
        "ServiceAccount" => {
            let (namespace, name) = name.split_once(':').unwrap_or_default();
            json!({"kind": kind, "namespace": namespace, "name": name})
        }
        _ => json!({"kind": kind, "apiGroup": GROUP, "name": name}),
    }
}

/// `found` with what it lacks of `wanted`; `None` where nothing is to be done.
pub(crate) fn completed(found: &Value, wanted: &Value) -> Option<Value> {
    if api::meta::annotation(found, AUTO_UPDATE) == Some("false") {
        return None;
    }
    let mut whole = found.clone();
    for (key, _) in api::meta::labels(wanted).filter(|(key, _)| api::meta::label(found, key).is_none()) {
        let value = api::meta::label(wanted, key).unwrap_or_default();
        api::meta::set_in(&mut whole, "/metadata/labels", key, value.into());
    }
    let rules = |role: &Value| -> Vec<Rule> {
        role.get("rules").cloned().and_then(|rules| serde_json::from_value(rules).ok()).unwrap_or_default()
    };
    let held = rules(found);
    for rule in rules(wanted).into_iter().filter(|rule| missing(&held, std::slice::from_ref(rule)).is_some()) {
        api::meta::push_at(&mut whole, "/rules", json!(rule));
    }
    let subjects = |binding: &Value| binding.get("subjects").and_then(Value::as_array).cloned().unwrap_or_default();
    let named = subjects(found);
    for subject in subjects(wanted).into_iter().filter(|subject| !named.contains(subject)) {
        api::meta::push_at(&mut whole, "/subjects", subject);
    }
    if let Some(rule) = wanted.get("aggregationRule") {
        api::meta::set_at(&mut whole, "/aggregationRule", rule.clone());
    }
    (whole != *found).then_some(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_whole() {
        let defaults = defaults();
        let find = |plural: &str, name: &str| {
            &defaults.iter().find(|found| found.plural == plural && found.name == name).unwrap().object
        };
        let count = |plural: &str| defaults.iter().filter(|found| found.plural == plural).count();
        assert!(count("clusterroles") > 60 && count("roles") > 5);
        assert_eq!(find("clusterroles", "cluster-admin")["rules"][0]["verbs"], json!(["*"]));
        let view = find("clusterroles", "view");
        assert_eq!(api::meta::label(view, "rbac.authorization.k8s.io/aggregate-to-edit"), Some("true"));
        let admins = find("clusterrolebindings", "cluster-admin");
        assert_eq!(admins["subjects"], json!([{"kind": "Group", "apiGroup": GROUP, "name": "system:masters"}]));
        // Whoever is bound gets a role that is there.
        for binding in defaults.iter().filter(|found| found.plural.ends_with("bindings")) {
            let role = &binding.object["roleRef"];
            let plural = if role["kind"] == "ClusterRole" { "clusterroles" } else { "roles" };
            find(plural, role["name"].as_str().unwrap());
        }
    }

    #[test]
    fn what_is_missing_of_a_default_is_given_back_and_what_was_added_stays() {
        let rule = |verb: &str| json!({"verbs": [verb], "apiGroups": [""], "resources": ["pods"]});
        let role = |rules: Value| {
            let mut role = new("ClusterRole", "", "r");
            role["rules"] = rules;
            role
        };
        let wanted = role(json!([rule("get"), rule("list")]));
        let found = role(json!([rule("watch"), rule("get")]));
        let whole = role(json!([rule("watch"), rule("get"), rule("list")]));
        assert_eq!(completed(&found, &wanted), Some(whole.clone()));
        assert_eq!(completed(&whole, &wanted), None);
        let mut kept = found;
        api::meta::set_annotation(&mut kept, AUTO_UPDATE, "false");
        assert_eq!(completed(&kept, &wanted), None);
    }
}
