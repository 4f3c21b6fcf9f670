//! Classes of storage, and the drivers that serve them.

use serde_json::Value;

use super::checks::{immutable, invalid_each, label_selector, non_negative, one_of, qualified_name, subdomain};
use super::field::{Error, ErrorList, Path};
use crate::meta;
use crate::names;
use crate::quantity::Quantity;
use crate::value::{entries, has, list, number, part, text, texts};

/// Parameters of a class, and bytes of them all, as upstream.
const PARAMETERS_MAX: usize = 512;
const PARAMETERS_BYTES_MAX: usize = 256 << 10;
/// Letters of a driver's name, and of a node's name with a driver, as upstream.
const DRIVER_BYTES_MAX: usize = 63;
const NODE_ID_BYTES_MAX: usize = 192;
/// The least life of a token that a driver asks for, in seconds.
const TOKEN_SECONDS_MIN: i64 = 600;

/// What is wrong with a `StorageClass`.
pub fn storage_class(object: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let provisioner = text(object, "provisioner");
    if provisioner.is_empty() {
        errors.push(Error::required("provisioner", ""));
    } else {
        invalid_each(
            &mut errors,
            &Path::new("provisioner"),
            provisioner,
            names::qualified_name(&provisioner.to_lowercase()),
        );
    }
    parameters(&mut errors, &Path::new("parameters"), object);
    let policies = ["Delete", "Retain"];
    one_of(&mut errors, &Path::new("reclaimPolicy"), text(object, "reclaimPolicy"), &policies);
    let modes = ["Immediate", "WaitForFirstConsumer"];
    one_of(&mut errors, &Path::new("volumeBindingMode"), text(object, "volumeBindingMode"), &modes);
    for (index, term) in list(object, "allowedTopologies").iter().enumerate() {
        let path = Path::new("allowedTopologies").index(index).child("matchLabelExpressions");
        for (index, expression) in list(term, "matchLabelExpressions").iter().enumerate() {
            let path = path.index(index);
            qualified_name(&mut errors, &path.child("key"), text(expression, "key"));
            if list(expression, "values").is_empty() {
                errors.push(Error::required(path.child("values"), ""));
            }
        }
    }
    errors
}

/// What is wrong with a changed `StorageClass`.
pub fn storage_class_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    for field in ["parameters", "provisioner", "reclaimPolicy"] {
        if part(new, field) != part(old, field) {
            errors.push(Error::forbidden(field, format!("updates to {field} are forbidden.")));
        }
    }
    immutable_field(&mut errors, "volumeBindingMode", new, old);
    errors
}

/// What is wrong with a `VolumeAttributesClass`.
pub fn volume_attributes_class(object: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    driver_name(&mut errors, &Path::new("driverName"), text(object, "driverName"));
    if entries(object, "parameters").next().is_none() {
        errors.push(Error::required("parameters", "must contain at least one key/value pair"));
    }
    parameters(&mut errors, &Path::new("parameters"), object);
    errors
}

/// What is wrong with a changed `VolumeAttributesClass`.
pub fn volume_attributes_class_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    immutable_field(&mut errors, "driverName", new, old);
    immutable_field(&mut errors, "parameters", new, old);
    errors
}

/// What is wrong with a `CSIDriver`.
pub fn csi_driver(object: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    driver_name(&mut errors, &Path::new("metadata").child("name"), meta::name(object));
    let (path, spec) = (Path::new("spec"), part(object, "spec"));
    for field in ["attachRequired", "podInfoOnMount", "storageCapacity"].into_iter().filter(|field| !has(spec, field)) {
        errors.push(Error::required(path.child(field), ""));
    }
    if has(spec, "fsGroupPolicy") {
        let policies = ["ReadWriteOnceWithFSType", "File", "None"];
        one_of(&mut errors, &path.child("fsGroupPolicy"), text(spec, "fsGroupPolicy"), &policies);
    }
    for mode in texts(spec, "volumeLifecycleModes").filter(|mode| !["Persistent", "Ephemeral"].contains(mode)) {
        let path = path.child("volumeLifecycleModes");
        errors.push(Error::not_supported(path, mode, &["Ephemeral", "Persistent"]));
    }
    let path = path.child("tokenRequests");
    let requests = list(spec, "tokenRequests");
    for (index, request) in requests.iter().enumerate() {
        let (path, audience) = (path.index(index), text(request, "audience"));
        if requests.iter().take(index).any(|other| text(other, "audience") == audience) {
            errors.push(Error::duplicate(path.child("audience"), audience));
        }
        if let Some(seconds) = number(request, "expirationSeconds").filter(|seconds| *seconds < TOKEN_SECONDS_MIN) {
            let detail = "may not specify a duration less than 10 minutes";
            errors.push(Error::invalid(path.child("expirationSeconds"), seconds, detail));
        }
    }
    errors
}

/// What is wrong with a changed `CSIDriver`.
pub fn csi_driver_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = csi_driver(new);
    for field in ["attachRequired", "fsGroupPolicy", "volumeLifecycleModes"] {
        let value = |driver| part(part(driver, "spec"), field);
        immutable(&mut errors, &Path::new("spec").child(field), value(new), value(old));
    }
    errors
}

/// What is wrong with a `CSINode`.
pub fn csi_node(object: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec").child("drivers");
    let drivers = list(part(object, "spec"), "drivers");
    for (index, driver) in drivers.iter().enumerate() {
        let (path, name, node) = (path.index(index), text(driver, "name"), text(driver, "nodeID"));
        driver_name(&mut errors, &path.child("name"), name);
        if drivers.iter().take(index).any(|other| text(other, "name") == name) {
            errors.push(Error::duplicate(path.child("name"), name));
        }
        if node.is_empty() {
            errors.push(Error::required(path.child("nodeID"), node));
        } else if node.len() > NODE_ID_BYTES_MAX {
            let detail = format!("must be {NODE_ID_BYTES_MAX} characters or less");
            errors.push(Error::invalid(path.child("nodeID"), node, detail));
        }
        if let Some(count) = number(part(driver, "allocatable"), "count") {
            non_negative(&mut errors, &path.child("allocatable").child("count"), count);
        }
        for (index, key) in texts(driver, "topologyKeys").enumerate() {
            if texts(driver, "topologyKeys").take(index).any(|other| other == key) {
                errors.push(Error::duplicate(path.child("topologyKeys"), key));
            }
            qualified_name(&mut errors, &path.child("topologyKeys"), key);
        }
    }
    errors
}

/// What is wrong with a changed `CSINode`: a driver that stays stays as it is.
pub fn csi_node_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = csi_node(new);
    let drivers = |node| list(part(node, "spec"), "drivers");
    for (index, driver) in drivers(new).iter().enumerate() {
        let before = drivers(old).iter().find(|old| text(old, "name") == text(driver, "name"));
        let differs = before.is_some_and(|before| {
            ["nodeID", "topologyKeys"].into_iter().any(|field| part(before, field) != part(driver, field))
        });
        if differs {
            let path = Path::new("spec").child("drivers").index(index);
            errors.push(Error::invalid(path, driver.clone(), "field is immutable"));
        }
    }
    errors
}

/// What is wrong with a `CSIStorageCapacity`.
pub fn csi_storage_capacity(object: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    label_selector(&mut errors, &Path::new("nodeTopology"), part(object, "nodeTopology"));
    subdomain(&mut errors, &Path::new("storageClassName"), text(object, "storageClassName"));
    for field in ["capacity", "maximumVolumeSize"] {
        let found = part(object, field).as_str().and_then(|text| Quantity::parse(text).ok());
        if found.is_some_and(Quantity::is_negative) {
            let detail = "must be greater than or equal to 0";
            errors.push(Error::invalid(field, text(object, field), detail));
        }
    }
    errors
}

/// What is wrong with a changed `CSIStorageCapacity`.
pub fn csi_storage_capacity_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = csi_storage_capacity(new);
    immutable_field(&mut errors, "nodeTopology", new, old);
    immutable_field(&mut errors, "storageClassName", new, old);
    errors
}

/// What is wrong with a `VolumeAttachment`.
pub fn volume_attachment(object: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let (path, spec) = (Path::new("spec"), part(object, "spec"));
    driver_name(&mut errors, &path.child("attacher"), text(spec, "attacher"));
    let (source_path, source) = (path.child("source"), part(spec, "source"));
    match (has(source, "persistentVolumeName"), has(source, "inlineVolumeSpec")) {
        (false, false) => errors.push(Error::required(
            source_path,
            "must specify exactly one of inlineVolumeSpec and persistentVolumeName",
        )),
        (true, true) => errors.push(Error::invalid(
            source_path,
            source.clone(),
            "must specify exactly one of inlineVolumeSpec and persistentVolumeName",
        )),
        (true, false) => {
            subdomain(&mut errors, &source_path.child("persistentVolumeName"), text(source, "persistentVolumeName"));
        }
        (false, true) => {}
    }
    subdomain(&mut errors, &path.child("nodeName"), text(spec, "nodeName"));
    errors
}

/// What is wrong with a changed `VolumeAttachment`.
pub fn volume_attachment_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = volume_attachment(new);
    immutable_field(&mut errors, "spec", new, old);
    errors
}

fn immutable_field(errors: &mut ErrorList, field: &str, new: &Value, old: &Value) {
    immutable(errors, &Path::new(field), part(new, field), part(old, field));
}

fn parameters(errors: &mut ErrorList, path: &Path, object: &Value) {
    let count = entries(object, "parameters").count();
    if count > PARAMETERS_MAX {
        errors.push(Error::too_many(path, count, PARAMETERS_MAX));
        return;
    }
    if entries(object, "parameters").any(|(key, _)| key.is_empty()) {
        errors.push(Error::invalid(path, "", "field can not be empty."));
    }
    let bytes: usize =
        entries(object, "parameters").map(|(key, value)| key.len() + value.as_str().map_or(0, str::len)).sum();
    if bytes > PARAMETERS_BYTES_MAX {
        errors.push(Error::too_long(path, "", PARAMETERS_BYTES_MAX));
    }
}

/// The name of a driver: a domain in whichever case.
fn driver_name(errors: &mut ErrorList, path: &Path, name: &str) {
    if name.is_empty() {
        errors.push(Error::required(path, ""));
    }
    if name.len() > DRIVER_BYTES_MAX {
        errors.push(Error::too_long(path, name, DRIVER_BYTES_MAX));
    }
    subdomain(errors, path, &name.to_lowercase());
}

/// Whether a class is the one for claims that name none.
#[must_use]
pub fn is_default_class(object: &Value) -> bool {
    let is_set = |annotation: &str| meta::annotation(object, annotation) == Some("true");
    is_set("storageclass.kubernetes.io/is-default-class") || is_set("storageclass.beta.kubernetes.io/is-default-class")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::check;
    use super::*;

    #[test]
    fn a_class_names_its_provisioner_for_good() {
        let class = |provisioner: &str, policy: &str| json!({"provisioner": provisioner, "reclaimPolicy": policy, "volumeBindingMode": "Immediate"});
        check(&storage_class(&class("x.example/p", "Delete")), &[]);
        check(
            &storage_class(&class("", "Odd")),
            &[
                "provisioner: Required value",
                "reclaimPolicy: Unsupported value: \"Odd\": supported values: \"Delete\", \"Retain\"",
            ],
        );
        check(
            &storage_class_update(&class("b", "Retain"), &class("a", "Delete")),
            &[
                "provisioner: Forbidden: updates to provisioner are forbidden.",
                "reclaimPolicy: Forbidden: updates to reclaimPolicy are forbidden.",
            ],
        );
    }

    #[test]
    fn an_attachment_is_of_one_volume() {
        let attachment = |source: Value| json!({"spec": {"attacher": "a.example", "nodeName": "n", "source": source}});
        check(&volume_attachment(&attachment(json!({"persistentVolumeName": "v"}))), &[]);
        check(
            &volume_attachment(&attachment(json!({}))),
            &["spec.source: Required value: must specify exactly one of inlineVolumeSpec and persistentVolumeName"],
        );
    }

    #[test]
    fn a_node_has_each_driver_once() {
        let node =
            json!({"spec": {"drivers": [{"name": "a.example", "nodeID": "n"}, {"name": "a.example", "nodeID": ""}]}});
        check(
            &csi_node(&node),
            &["spec.drivers[1].name: Duplicate value: \"a.example\"", "spec.drivers[1].nodeID: Required value"],
        );
    }
}
