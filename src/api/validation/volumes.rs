//! Volumes of the cluster and claims on them, as `pkg/apis/core/validation`.
//!
//! An object may name any source that upstream knows: whether a node can mount it is asked where pods are bound to it.

use serde_json::Value;

use super::checks::{
    descending_path, immutable, invalid_each, label_selector, label_values, no_backsteps, node_requirement, subdomain,
};
use super::field::{Error, ErrorList, Path};
use super::pod::resources::read;
use crate::names::NameRule;
use crate::quantity::Quantity;
use crate::value::{entries, has, list, part, text, texts};

const ACCESS_MODES: [&str; 4] = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];
const VOLUME_MODES: [&str; 2] = ["Block", "Filesystem"];
const RECLAIM_POLICIES: [&str; 3] = ["Delete", "Recycle", "Retain"];
const HOST_PATH_TYPES: [&str; 8] =
    ["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];

/// Where a volume's data can be, with the fields that each source must have.
const SOURCES: [(&str, &[&str]); 22] = [
    ("hostPath", &["path"]),
    ("gcePersistentDisk", &["pdName"]),
    ("awsElasticBlockStore", &["volumeID"]),
    ("glusterfs", &["endpoints", "path"]),
    ("flocker", &[]),
    ("nfs", &["server", "path"]),
    ("rbd", &["monitors", "image"]),
    ("quobyte", &["registry", "volume"]),
    ("cephfs", &["monitors"]),
    ("iscsi", &["targetPortal", "iqn"]),
    ("cinder", &["volumeID"]),
    ("fc", &[]),
    ("flexVolume", &["driver"]),
    ("azureFile", &["secretName", "shareName"]),
    ("vsphereVolume", &["volumePath"]),
    ("photonPersistentDisk", &["pdID"]),
    ("portworxVolume", &["volumeID"]),
    ("azureDisk", &["diskName", "diskURI"]),
    ("scaleIO", &["gateway", "system", "volumeName"]),
    ("local", &["path"]),
    ("storageos", &[]),
    ("csi", &["driver", "volumeHandle"]),
];

/// What is wrong with a `PersistentVolume`.
pub fn persistent_volume(object: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let (path, spec) = (Path::new("spec"), part(object, "spec"));
    access_modes(&mut errors, &path, spec, "");
    capacity(&mut errors, &path.child("capacity"), spec);
    supported(&mut errors, &path, spec, "persistentVolumeReclaimPolicy", &RECLAIM_POLICIES);
    node_affinity(&mut errors, &path.child("nodeAffinity"), part(spec, "nodeAffinity"));
    sources(&mut errors, &path, spec);
    class(&mut errors, &path, spec, "storageClassName");
    supported(&mut errors, &path, spec, "volumeMode", &VOLUME_MODES);
    attributes_class(&mut errors, &path, spec);
    errors
}

/// What is wrong with a changed `PersistentVolume`: where its data is does not change.
pub fn persistent_volume_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = persistent_volume(new);
    let (new, old) = (part(new, "spec"), part(old, "spec"));
    if SOURCES.iter().any(|(kind, _)| part(new, kind) != part(old, kind)) {
        let detail = "spec.persistentvolumesource is immutable after creation";
        errors.push(Error::forbidden("spec.persistentvolumesource", detail));
    }
    immutable(&mut errors, &Path::new("volumeMode"), part(new, "volumeMode"), part(old, "volumeMode"));
    if has(old, "nodeAffinity") {
        immutable(&mut errors, &Path::new("nodeAffinity"), part(new, "nodeAffinity"), part(old, "nodeAffinity"));
    }
    kept_attributes_class(&mut errors, new, old);
    errors
}

/// What is wrong with a `PersistentVolumeClaim`.
pub fn claim(object: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    claim_spec(&mut errors, &Path::new("spec"), part(object, "spec"));
    errors
}

/// What is wrong with the spec of a claim.
pub(super) fn claim_spec(errors: &mut ErrorList, path: &Path, spec: &Value) {
    access_modes(errors, path, spec, "at least 1 access mode is required");
    label_selector(errors, &path.child("selector"), part(spec, "selector"));
    let asked = part(part(part(spec, "resources"), "requests"), "storage");
    match (read(asked), path.child("resources").key("storage")) {
        (None, path) => errors.push(Error::required(path, "")),
        (Some(asked), path) => positive(errors, &path, asked),
    }
    class(errors, path, spec, "storageClassName");
    supported(errors, path, spec, "volumeMode", &VOLUME_MODES);
    data_sources(errors, path, spec);
    class(errors, path, spec, "volumeAttributesClassName");
}

/// What is wrong with a changed `PersistentVolumeClaim`: once bound it may only ask for more.
pub fn claim_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = claim(new);
    let is_bound = text(part(new, "status"), "phase") == "Bound";
    if comparable(new, old, is_bound) != comparable(old, old, is_bound) {
        let detail =
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";
        errors.push(Error::forbidden("spec", detail));
    }
    let asked = |claim: &Value| read(claim.pointer("/spec/resources/requests/storage").unwrap_or(&Value::Null));
    let has_now = read(new.pointer("/status/capacity/storage").unwrap_or(&Value::Null));
    if let (Some(now), Some(before)) = (asked(new), asked(old))
        && now < before
        && has_now.is_none_or(|has_now| now <= has_now)
    {
        let path = Path::new("spec").child("resources").child("requests").child("storage");
        errors.push(Error::forbidden(path, "field can not be less than status.capacity"));
    }
    let (new, old) = (part(new, "spec"), part(old, "spec"));
    immutable(&mut errors, &Path::new("volumeMode"), part(new, "volumeMode"), part(old, "volumeMode"));
    kept_attributes_class(&mut errors, new, old);
    errors
}

/// What is wrong with a claim's changed status.
pub fn claim_status(new: &Value, _old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let (path, status) = (Path::new("status").child("capacity"), part(new, "status"));
    for (name, amount) in entries(status, "capacity") {
        super::pod::resources::amount(&mut errors, &path.key(name), name, amount);
    }
    errors
}

/// The spec without what may change: the volume and the class where they were not said, the size once it is bound.
fn comparable(claim: &Value, old: &Value, is_bound: bool) -> Value {
    let mut spec = part(claim, "spec").clone();
    let before = part(old, "spec");
    let Some(fields) = spec.as_object_mut() else { return spec };
    if text(before, "volumeName").is_empty() {
        fields.remove("volumeName");
    }
    if !has(before, "storageClassName") {
        fields.remove("storageClassName");
    }
    if is_bound {
        fields.remove("volumeAttributesClassName");
        if let Some(requests) = spec.pointer_mut("/resources/requests").and_then(Value::as_object_mut) {
            requests.remove("storage");
        }
    }
    spec
}

/// How a volume may be used; `detail` is said where nothing is.
fn access_modes(errors: &mut ErrorList, path: &Path, spec: &Value, detail: &str) {
    let (path, modes) = (path.child("accessModes"), texts(spec, "accessModes"));
    let count = modes.clone().count();
    if count == 0 {
        errors.push(Error::required(&path, detail));
    }
    for mode in modes.clone().filter(|mode| !ACCESS_MODES.contains(mode)) {
        errors.push(Error::not_supported(&path, mode, &ACCESS_MODES));
    }
    let alone = modes.filter(|mode| *mode == "ReadWriteOncePod").count();
    if alone > 0 && alone < count {
        errors.push(Error::forbidden(path, "may not use ReadWriteOncePod with other access modes"));
    }
}

/// A volume has a size and nothing else.
fn capacity(errors: &mut ErrorList, path: &Path, spec: &Value) {
    let count = entries(spec, "capacity").count();
    if count == 0 {
        errors.push(Error::required(path, ""));
    }
    if count != 1 || !has(part(spec, "capacity"), "storage") {
        errors.push(Error::not_supported(path, part(spec, "capacity").clone(), &["storage"]));
    }
    for (name, amount) in entries(spec, "capacity") {
        if let Some(amount) = read(amount) {
            positive(errors, &path.key(name), amount);
        }
    }
}

fn positive(errors: &mut ErrorList, path: &Path, amount: Quantity) {
    if amount.is_negative() || amount.is_zero() {
        errors.push(Error::invalid(path, amount.to_string(), "must be greater than zero"));
    }
}

/// A word of a few, where it is set.
fn supported(errors: &mut ErrorList, path: &Path, spec: &Value, field: &str, words: &[&str]) {
    let word = text(spec, field);
    if has(spec, field) && !words.contains(&word) {
        errors.push(Error::not_supported(path.child(field), word, words));
    }
}

/// The name of a class, where one is named.
fn class(errors: &mut ErrorList, path: &Path, spec: &Value, field: &str) {
    let name = text(spec, field);
    if !name.is_empty() {
        invalid_each(errors, &path.child(field), name, NameRule::Subdomain.check(name));
    }
}

fn attributes_class(errors: &mut ErrorList, path: &Path, spec: &Value) {
    let field = "volumeAttributesClassName";
    if !has(spec, field) {
        return;
    }
    if text(spec, field).is_empty() {
        errors.push(Error::required(path.child(field), "an empty string is disallowed"));
    }
    class(errors, path, spec, field);
    if !has(spec, "csi") {
        let detail = "has to be specified when using volumeAttributesClassName";
        errors.push(Error::required(path.child("csi"), detail));
    }
}

fn kept_attributes_class(errors: &mut ErrorList, new: &Value, old: &Value) {
    let field = "volumeAttributesClassName";
    if !text(old, field).is_empty() && text(new, field).is_empty() {
        let detail = "update from non-nil value to nil is forbidden";
        errors.push(Error::forbidden(Path::new("spec").child(field), detail));
    }
}

/// The nodes that reach a volume.
fn node_affinity(errors: &mut ErrorList, path: &Path, affinity: &Value) {
    if affinity.is_null() {
        return;
    }
    let (path, required) = (path.child("required"), part(affinity, "required"));
    if required.is_null() {
        errors.push(Error::required(path, "must specify required node constraints"));
        return;
    }
    let (path, terms) = (path.child("nodeSelectorTerms"), list(required, "nodeSelectorTerms"));
    if terms.is_empty() {
        errors.push(Error::required(&path, "must have at least one node selector term"));
    }
    for (index, term) in terms.iter().enumerate() {
        let path = path.index(index).child("matchExpressions");
        for (index, requirement) in list(term, "matchExpressions").iter().enumerate() {
            node_requirement(errors, &path.index(index), requirement);
            label_values(errors, &path.index(index), requirement);
        }
    }
}

/// A volume has one source.
fn sources(errors: &mut ErrorList, path: &Path, spec: &Value) {
    let mut named = SOURCES.iter().filter(|(kind, _)| has(spec, kind));
    let Some((kind, fields)) = named.next() else {
        errors.push(Error::required(path, "must specify a volume type"));
        return;
    };
    source(errors, path, spec, kind, fields);
    for (other, _) in named {
        errors.push(Error::forbidden(path.child(other), "may not specify more than 1 volume type"));
    }
}

fn source(errors: &mut ErrorList, path: &Path, spec: &Value, kind: &str, fields: &[&str]) {
    let (at, source) = (path.child(kind), part(spec, kind));
    let is_empty = |field: &str| match part(source, field) {
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        other => other.is_null(),
    };
    for field in fields.iter().filter(|field| is_empty(field)) {
        errors.push(Error::required(at.child(field), ""));
    }
    let place = text(source, "path");
    match kind {
        "hostPath" => {
            no_backsteps(errors, &at.child("path"), place);
            supported(errors, &at, source, "type", &HOST_PATH_TYPES);
            if text(spec, "persistentVolumeReclaimPolicy") == "Recycle" && place.trim_end_matches('/').is_empty() {
                let detail = "may not be 'recycle' for a hostPath mount of '/'";
                errors.push(Error::forbidden(path.child("persistentVolumeReclaimPolicy"), detail));
            }
        }
        "local" => {
            no_backsteps(errors, &at.child("path"), place);
            if !has(spec, "nodeAffinity") {
                errors.push(Error::required(path.child("nodeAffinity"), "Local volume requires node affinity"));
            }
        }
        "nfs" if !place.is_empty() && !place.starts_with('/') => {
            errors.push(Error::invalid(at.child("path"), place, "must be an absolute path"));
        }
        "glusterfs" => descending_path(errors, &at.child("path"), place.trim_start_matches('/')),
        "csi" if !text(source, "driver").is_empty() => {
            subdomain(errors, &at.child("driver"), &text(source, "driver").to_lowercase());
        }
        _ => {}
    }
}

/// Where a claim's first data comes from.
fn data_sources(errors: &mut ErrorList, path: &Path, spec: &Value) {
    for field in ["dataSource", "dataSourceRef"] {
        let (path, source) = (path.child(field), part(spec, field));
        if source.is_null() {
            continue;
        }
        for field in ["name", "kind"] {
            if text(source, field).is_empty() {
                errors.push(Error::required(path.child(field), ""));
            }
        }
        let group = text(source, "apiGroup");
        if group.is_empty() && text(source, "kind") != "PersistentVolumeClaim" {
            errors.push(Error::invalid(
                &path,
                source.clone(),
                "must be 'PersistentVolumeClaim' when referencing the default apiGroup",
            ));
        }
        if !group.is_empty() {
            subdomain(errors, &path.child("apiGroup"), group);
        }
    }
    let (source, reference) = (part(spec, "dataSource"), part(spec, "dataSourceRef"));
    if source.is_null() || reference.is_null() {
        return;
    }
    if !text(reference, "namespace").is_empty() {
        let detail = "may not be specified when dataSourceRef.namespace is specified";
        errors.push(Error::invalid(path, "dataSource", detail));
    } else if ["apiGroup", "kind", "name"].into_iter().any(|field| part(source, field) != part(reference, field)) {
        errors.push(Error::invalid(path, "dataSource", "must match dataSourceRef"));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::check;
    use super::*;

    fn volume(changes: Value) -> Value {
        let mut spec =
            json!({"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/x"}});
        crate::patch::merge_patch(&mut spec, &changes);
        json!({"spec": spec})
    }

    #[test]
    fn a_volume_is_somewhere_for_good() {
        check(&persistent_volume(&volume(json!({}))), &[]);
        check(
            &persistent_volume(&volume(json!({"nfs": {"server": "s"}, "accessModes": ["Often", "ReadWriteOncePod"]}))),
            &[
                "spec.accessModes: Unsupported value: \"Often\": supported values: \"ReadOnlyMany\", \"ReadWriteMany\", \"ReadWriteOnce\", \"ReadWriteOncePod\"",
                "spec.accessModes: Forbidden: may not use ReadWriteOncePod with other access modes",
                "spec.nfs: Forbidden: may not specify more than 1 volume type",
            ],
        );
        check(
            &persistent_volume(&volume(json!({"hostPath": null, "local": {"path": "/a/../b"}}))),
            &[
                "spec.local.path: Invalid value: \"/a/../b\": must not contain '..'",
                "spec.nodeAffinity: Required value: Local volume requires node affinity",
            ],
        );
        check(
            &persistent_volume_update(&volume(json!({"hostPath": {"path": "/y"}})), &volume(json!({}))),
            &["spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after creation"],
        );
    }

    #[test]
    fn a_claim_that_is_bound_may_ask_for_more() {
        let claim = |phase: &str, size: &str, volume: Value| {
            json!({"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}},
                "volumeName": volume}, "status": {"phase": phase, "capacity": {"storage": "1Gi"}}})
        };
        let bound = claim("Bound", "1Gi", json!("v"));
        check(&claim_update(&claim("Bound", "2Gi", json!("v")), &bound), &[]);
        check(&claim_update(&claim("Pending", "1Gi", json!("v")), &claim("Pending", "1Gi", Value::Null)), &[]);
        let immutable = "spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";
        check(&claim_update(&claim("Pending", "2Gi", json!("v")), &claim("Pending", "1Gi", json!("v"))), &[immutable]);
        check(&claim_update(&claim("Bound", "1Gi", json!("w")), &bound), &[immutable]);
        let less = "spec.resources.requests.storage: Forbidden: field can not be less than status.capacity";
        check(&claim_update(&claim("Bound", "1Mi", json!("v")), &bound), &[less]);
    }
}
