//! What `metadata` must satisfy, for all kinds alike.

use serde_json::Value;

use super::{annotations, controller_name, deletion_timestamp, field, finalizers, generate_name, generation};
use super::{labels, name, namespace, owner_references};
use crate::names;
use crate::scheme::{Resource, Scope};
use crate::validation::field::{Error, ErrorList, Path, quote};

/// All annotations of an object together, keys and values, as upstream.
const ANNOTATIONS_BYTES_MAX: usize = 256 << 10;

/// Finalizers that need no domain.
const STANDARD_FINALIZERS: [&str; 3] = ["kubernetes", "orphan", "foregroundDeletion"];

/// Fields that no update changes.
const IMMUTABLE: [&str; 6] =
    ["name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"];

/// What is wrong with the metadata of a new object.
#[must_use]
pub fn validate_create(object: &Value, resource: &Resource) -> ErrorList {
    let path = Path::new("metadata");
    let mut errors = ErrorList::new();
    let rule = resource.strategy.name;
    for reason in
        Some(generate_name(object)).filter(|prefix| !prefix.is_empty()).map_or(vec![], |p| rule.check_prefix(p))
    {
        errors.push(Error::invalid(path.child("generateName"), generate_name(object), reason));
    }
    match name(object) {
        "" => errors.push(Error::required(path.child("name"), "name or generateName is required")),
        name => errors.extend(rule.check(name).into_iter().map(|r| Error::invalid(path.child("name"), name, r))),
    }
    let place = path.child("namespace");
    match (resource.scope, namespace(object)) {
        (Scope::Namespaced, None) => errors.push(Error::required(place, "")),
        (Scope::Namespaced, Some(namespace)) => {
            errors.extend(names::label(namespace).into_iter().map(|r| Error::invalid(&place, namespace, r)));
        }
        (Scope::Cluster, Some(_)) => errors.push(Error::forbidden(place, "not allowed on this type")),
        (Scope::Cluster, None) => {}
    }
    if let Some(generation) = generation(object).filter(|generation| *generation < 0) {
        let detail = "must be greater than or equal to 0";
        errors.push(Error::invalid(path.child("generation"), generation, detail));
    }
    errors.extend(check_maps(object, &path));
    errors.extend(check_owners(object, &path.child("ownerReferences")));
    errors.extend(check_finalizers(object, &path.child("finalizers")));
    if asks_for_standard_finalizers(resource) {
        errors.extend(check_standard_finalizers(object, &path.child("finalizers")));
    }
    errors
}

/// Whether finalizers without a path must be Kubernetes' own: upstream asks it of its kinds, and not of what extends it.
fn asks_for_standard_finalizers(resource: &Resource) -> bool {
    resource.custom.is_none() && !["apiextensions.k8s.io", "apiregistration.k8s.io"].contains(&&*resource.group)
}

/// What is wrong with the metadata of an update.
///
/// Upstream checks it for all kinds and again for each, so each error is among the causes twice; the message has it
/// once.
#[must_use]
pub fn validate_update(new: &Value, old: &Value, resource: &Resource) -> ErrorList {
    let path = Path::new("metadata");
    let mut errors = ErrorList::new();
    if deletion_timestamp(old).is_some() {
        let had = finalizers(old);
        let added: Vec<String> = finalizers(new).iter().filter(|f| !had.contains(f)).map(|f| quote(f)).collect();
        if !added.is_empty() {
            let detail = format!(
                "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                added.join(", ")
            );
            errors.push(Error::forbidden(path.child("finalizers"), detail));
        }
    }
    if generation(new).unwrap_or_default() < generation(old).unwrap_or_default() {
        let generation = generation(new).unwrap_or_default();
        errors.push(Error::invalid(path.child("generation"), generation, "must not be decremented"));
    }
    for name in IMMUTABLE {
        if field(new, name) != field(old, name) {
            let value = field(new, name).cloned().unwrap_or_default();
            errors.push(Error::invalid(path.child(name), value, "field is immutable"));
        }
    }
    errors.extend(check_maps(new, &path));
    errors.extend(check_owners(new, &path.child("ownerReferences")));
    errors.extend(errors.clone());
    if asks_for_standard_finalizers(resource) {
        errors.extend(check_standard_finalizers(new, &path.child("finalizers")));
    }
    errors
}

/// What is wrong with the metadata of an object that is part of another.
pub(crate) fn validate_embedded(object: &Value, path: &Path) -> ErrorList {
    let mut errors = check_maps(object, path);
    errors.extend(check_owners(object, &path.child("ownerReferences")));
    errors.extend(check_finalizers(object, &path.child("finalizers")));
    errors
}

fn check_maps(object: &Value, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let place = path.child("labels");
    for (key, value) in labels(object) {
        errors.extend(names::qualified_name(key).into_iter().map(|r| Error::invalid(&place, key, r)));
        errors.extend(names::label_value(value).into_iter().map(|r| Error::invalid(&place, value, r)));
    }
    let place = path.child("annotations");
    let mut size_bytes = 0;
    for (key, value) in annotations(object) {
        size_bytes += key.len() + value.len();
        errors.extend(names::qualified_name(&key.to_lowercase()).into_iter().map(|r| Error::invalid(&place, key, r)));
    }
    if size_bytes > ANNOTATIONS_BYTES_MAX {
        errors.push(Error::too_long(place, "", ANNOTATIONS_BYTES_MAX));
    }
    errors
}

fn check_owners(object: &Value, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let mut first_controller: Option<String> = None;
    for owner in owner_references(object) {
        let said = |name: &str| owner.get(name).and_then(Value::as_str).unwrap_or_default();
        let version = said("apiVersion").rsplit('/').next().unwrap_or_default();
        if version.is_empty() {
            errors.push(Error::invalid(path.child("apiVersion"), said("apiVersion"), "version must not be empty"));
        }
        for name in ["kind", "name", "uid"].into_iter().filter(|name| said(name).is_empty()) {
            errors.push(Error::invalid(path.child(name), "", "must not be empty"));
        }
        if (said("apiVersion"), said("kind")) == ("v1", "Event") {
            let detail = "/v1, Kind=Event is disallowed from being an owner";
            errors.push(Error::invalid(path, owner.clone(), detail));
        }
        match (controller_name(owner), &first_controller) {
            (Some(name), Some(first)) => {
                let detail = format!(
                    "Only one reference can have Controller set to true. Found \"true\" in references for {first} and {name}"
                );
                errors.push(Error::invalid(path, owner_references(object).to_vec(), detail));
            }
            (Some(name), None) => first_controller = Some(name),
            (None, _) => {}
        }
    }
    errors
}

fn check_finalizers(object: &Value, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let all = finalizers(object);
    for finalizer in &all {
        let wrong = names::qualified_name(finalizer).into_iter();
        errors.extend(wrong.map(|reason| Error::invalid(path, finalizer.as_str(), reason)));
    }
    if ["orphan", "foregroundDeletion"].iter().all(|both| all.iter().any(|finalizer| finalizer == both)) {
        let detail = "finalizer orphan and foregroundDeletion cannot be both set";
        errors.push(Error::invalid(path, all, detail));
    }
    errors
}

/// A finalizer has a domain, or is one of Kubernetes' own.
fn check_standard_finalizers(object: &Value, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    for (index, finalizer) in finalizers(object).into_iter().enumerate() {
        if !finalizer.contains('/') && !STANDARD_FINALIZERS.contains(&finalizer.as_str()) {
            let detail = "name is neither a standard finalizer name nor is it fully qualified";
            errors.push(Error::invalid(path.index(index), finalizer, detail));
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::scheme::Scheme;

    #[track_caller]
    fn check(metadata: &Value, expected: &[&str]) {
        let resource = Scheme::builtin().resource("", "v1", "configmaps").unwrap();
        let errors = validate_create(&json!({"metadata": metadata}), resource);
        assert_eq!(errors.iter().map(Error::to_string).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn metadata_of_new_objects_is_checked_as_upstream_does() {
        check(&json!({"name": "a", "namespace": "n", "labels": {"a": ""}, "finalizers": ["x.example/y"]}), &[]);
        check(
            &json!({}),
            &["metadata.name: Required value: name or generateName is required", "metadata.namespace: Required value"],
        );
        check(
            &json!({"name": "a", "namespace": "n", "finalizers": ["x"]}),
            &[
                "metadata.finalizers[0]: Invalid value: \"x\": name is neither a standard finalizer name nor is it fully qualified",
            ],
        );
        check(
            &json!({"name": "a", "namespace": "n", "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p"}]}),
            &["metadata.ownerReferences.uid: Invalid value: \"\": must not be empty"],
        );
    }

    #[test]
    fn a_finalizer_added_while_deleting_is_refused_as_recorded() {
        let resource = Scheme::builtin().resource("", "v1", "configmaps").unwrap();
        let object = |finalizers: &[&str]| json!({"metadata": {"name": "fin", "deletionTimestamp": "t", "finalizers": finalizers}});
        let errors = validate_update(&object(&["x.example/f", "y.example/g"]), &object(&["x.example/f"]), resource);
        let expected = "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{\"y.example/g\"}";
        assert_eq!(errors.iter().map(Error::to_string).collect::<Vec<_>>(), [expected, expected]);
    }
}
