//! OpenAPI documents, made from the table and the schema.
//!
//! [`v3`] describes one group version, [`v2`] all of them; both have paths, since kubectl reads from each PATCH
//! operation (found by its `x-kubernetes-group-version-kind`) what it may ask, and types, which `kubectl explain`
//! prints. [`v2_protobuf`] is the form of [`v2`] that older clients ask for.
//!
//! Reading order: `operations` (what can be done, in no document's form), `types` and `custom` (the types), `document`
//! (both put together), `protobuf`.

mod custom;
mod document;
mod operations;
mod protobuf;
mod types;

use serde_json::Value;

use crate::schema::Schemas;
use crate::scheme::Scheme;

/// The version of Kubernetes that the documents describe.
const VERSION: &str = "v1.36";

/// Which OpenAPI a document is written in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Version {
    V2,
    V3,
}

/// The document of one group version.
#[must_use]
pub fn v3(scheme: &Scheme, schemas: &Schemas, group: &str, version: &str) -> Value {
    let rows = scheme.resources().map(AsRef::as_ref).filter(|row| row.group == group && row.version == version);
    document::build(scheme, schemas, rows, Version::V3)
}

/// The document of all group versions.
#[must_use]
pub fn v2(scheme: &Scheme, schemas: &Schemas) -> Value {
    document::build(scheme, schemas, scheme.resources().map(AsRef::as_ref), Version::V2)
}

/// [`v2`] as gnostic's `openapi.v2.Document`.
#[must_use]
pub fn v2_protobuf(scheme: &Scheme, schemas: &Schemas) -> Vec<u8> {
    protobuf::encode(&v2(scheme, schemas))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn core() -> Value {
        v3(Scheme::builtin(), Schemas::builtin(), "", "v1")
    }

    /// Every reference in a document leads to a type in it.
    fn check_references(value: &Value, document: &Value) {
        match value {
            Value::Object(fields) => {
                if let Some(reference) = fields.get("$ref").and_then(Value::as_str) {
                    let pointer = reference.strip_prefix('#').unwrap();
                    assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
                }
                fields.values().for_each(|value| check_references(value, document));
            }
            Value::Array(items) => items.iter().for_each(|value| check_references(value, document)),
            _ => {}
        }
    }

    #[test]
    fn every_reference_leads_to_a_type() {
        let scheme = Scheme::builtin();
        for (group, versions) in scheme.groups() {
            for version in versions {
                let document = v3(scheme, Schemas::builtin(), &group, &version);
                check_references(&document, &document);
            }
        }
        let document = v2(scheme, Schemas::builtin());
        check_references(&document, &document);
    }

    #[test]
    fn kubectl_finds_what_it_asks_of_a_patch() {
        for (document, named) in [(core(), "schema"), (v2(Scheme::builtin(), Schemas::builtin()), "type")] {
            let patch = &document["paths"]["/api/v1/namespaces/{namespace}/pods/{name}"]["patch"];
            assert_eq!(patch["x-kubernetes-group-version-kind"], json!({"group": "", "version": "v1", "kind": "Pod"}));
            for name in ["dryRun", "fieldValidation"] {
                let parameters = patch["parameters"].as_array().unwrap();
                let parameter = parameters.iter().find(|parameter| parameter["name"] == name).unwrap();
                assert!(parameter.get(named).is_some(), "{parameter}");
            }
        }
    }

    #[test]
    fn explain_finds_types_with_descriptions() {
        let document = core();
        let container = &document["components"]["schemas"]["io.k8s.api.core.v1.Container"];
        assert_eq!(container["required"], json!(["name"]));
        let ports = &container["properties"]["ports"];
        assert_eq!(ports["x-kubernetes-patch-merge-key"], "containerPort");
        assert_eq!(ports["items"]["allOf"][0]["$ref"], "#/components/schemas/io.k8s.api.core.v1.ContainerPort");
        assert!(ports["description"].as_str().unwrap().starts_with("List of ports to expose"));
        let pod = &document["components"]["schemas"]["io.k8s.api.core.v1.Pod"];
        assert_eq!(pod["x-kubernetes-group-version-kind"], json!([{"group": "", "version": "v1", "kind": "Pod"}]));
        assert!(pod.get("required").is_none());
    }

    #[test]
    fn every_operation_has_its_own_id() {
        let document = v2(Scheme::builtin(), Schemas::builtin());
        let mut ids: Vec<&str> = Vec::new();
        for path in document["paths"].as_object().unwrap().values() {
            let operations = path.as_object().unwrap().iter().filter(|(method, _)| *method != "parameters");
            ids.extend(operations.map(|(_, operation)| operation["operationId"].as_str().unwrap()));
        }
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count);
        for id in [
            "listCoreV1PodForAllNamespaces",
            "patchCoreV1NodeStatus",
            "readCoordinationV1NamespacedLease",
            "connectCoreV1GetNamespacedPodAttach",
            "deleteCoreV1CollectionNamespacedPod",
            "createCoreV1NamespacedPodEviction",
        ] {
            assert!(ids.contains(&id), "{id}");
        }
    }
}
