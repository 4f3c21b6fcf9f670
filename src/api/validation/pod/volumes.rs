//! The volumes of a pod: each of one type, and of one that a node can mount.

use serde_json::Value;

use super::env::{field_selector, resource_selector};
use super::projected;
use crate::validation::checks::{file_mode, label, no_backsteps, volume_file_path};
use crate::validation::field::{Error, ErrorList, Path};
use crate::value::{has, list, number, part, text};

/// Fields of a pod that files can hold, sorted as upstream lists them.
const FIELDS: [&str; 5] =
    ["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];

/// Types of paths on the host, sorted as upstream lists them.
const HOST_PATH_TYPES: [&str; 8] =
    ["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];
/// Types of paths on the host that a guest can be handed.
const FOLDERS: [&str; 3] = ["", "Directory", "DirectoryOrCreate"];

/// What is wrong with a volume of one type.
type Rule = fn(&mut ErrorList, &Path, &Value);

/// The types of volumes, in upstream's order, with their rules. Those without one cannot be mounted.
const TYPES: [(&str, Option<Rule>); 30] = [
    ("emptyDir", Some(empty_dir)),
    ("hostPath", Some(host_path)),
    ("gitRepo", None),
    ("gcePersistentDisk", None),
    ("awsElasticBlockStore", None),
    ("secret", Some(secret)),
    ("nfs", None),
    ("iscsi", None),
    ("glusterfs", None),
    ("flocker", None),
    ("persistentVolumeClaim", None),
    ("rbd", None),
    ("cinder", None),
    ("cephfs", None),
    ("quobyte", None),
    ("downwardAPI", Some(downward_api)),
    ("fc", None),
    ("flexVolume", None),
    ("configMap", Some(config_map)),
    ("azureFile", None),
    ("vsphereVolume", None),
    ("photonPersistentDisk", None),
    ("portworxVolume", None),
    ("azureDisk", None),
    ("storageos", None),
    ("projected", Some(projected::check)),
    ("scaleIO", None),
    ("csi", None),
    ("ephemeral", None),
    ("image", None),
];

/// What is wrong with volumes. Answers with the names of those that are whole, which containers may mount.
pub(super) fn check<'v>(errors: &mut ErrorList, path: &Path, volumes: &'v [Value]) -> Vec<&'v str> {
    let mut whole = Vec::new();
    for (index, volume) in volumes.iter().enumerate() {
        let (path, name, count) = (path.index(index), text(volume, "name"), errors.len());
        check_type(errors, &path, volume);
        match name {
            "" => errors.push(Error::required(path.child("name"), "")),
            name => label(errors, &path.child("name"), name),
        }
        if whole.contains(&name) {
            errors.push(Error::duplicate(path.child("name"), name));
        }
        if errors.len() == count {
            whole.push(name);
        }
    }
    whole
}

/// A volume is of exactly one type.
fn check_type(errors: &mut ErrorList, path: &Path, volume: &Value) {
    let mut types = TYPES.iter().filter(|(kind, _)| has(volume, kind));
    let Some((kind, rule)) = types.next() else {
        errors.push(Error::required(path, "must specify a volume type"));
        return;
    };
    match rule {
        Some(rule) => rule(errors, &path.child(kind), part(volume, kind)),
        None => errors.push(Error::forbidden(path.child(kind), "volumes of this type are not supported")),
    }
    let others = types.map(|(kind, _)| Error::forbidden(path.child(kind), "may not specify more than 1 volume type"));
    errors.extend(others);
}

fn empty_dir(errors: &mut ErrorList, path: &Path, source: &Value) {
    let limit = super::resources::read(part(source, "sizeLimit"));
    if limit.is_some_and(|limit| limit.is_negative()) {
        let detail = "SizeLimit field must be a valid resource quantity";
        errors.push(Error::forbidden(path.child("sizeLimit"), detail));
    }
}

fn host_path(errors: &mut ErrorList, path: &Path, source: &Value) {
    let (at, kind) = (text(source, "path"), text(source, "type"));
    if at.is_empty() {
        errors.push(Error::required(path.child("path"), ""));
        return;
    }
    no_backsteps(errors, &path.child("path"), at);
    let path = path.child("type");
    if !HOST_PATH_TYPES.contains(&kind) {
        errors.push(Error::not_supported(path, kind, &HOST_PATH_TYPES));
    } else if !FOLDERS.contains(&kind) {
        let detail = "a guest of Wasm can be handed directories alone: use Directory or DirectoryOrCreate";
        errors.push(Error::forbidden(path, detail));
    }
}

fn secret(errors: &mut ErrorList, path: &Path, source: &Value) {
    object(errors, path, source, "secretName");
}

fn config_map(errors: &mut ErrorList, path: &Path, source: &Value) {
    object(errors, path, source, "name");
}

/// Files from the keys of an object, which `name_field` names.
fn object(errors: &mut ErrorList, path: &Path, source: &Value, name_field: &str) {
    if text(source, name_field).is_empty() {
        errors.push(Error::required(path.child(name_field), ""));
    }
    file_mode(errors, &path.child("defaultMode"), number(source, "defaultMode"));
    for (index, item) in list(source, "items").iter().enumerate() {
        key_to_path(errors, &path.child("items").index(index), item);
    }
}

/// Which file holds a key.
pub(super) fn key_to_path(errors: &mut ErrorList, path: &Path, item: &Value) {
    for field in ["key", "path"].into_iter().filter(|field| text(item, field).is_empty()) {
        errors.push(Error::required(path.child(field), ""));
    }
    volume_file_path(errors, &path.child("path"), text(item, "path"));
    file_mode(errors, &path.child("mode"), number(item, "mode"));
}

fn downward_api(errors: &mut ErrorList, path: &Path, source: &Value) {
    file_mode(errors, &path.child("defaultMode"), number(source, "defaultMode"));
    for file in list(source, "items") {
        downward_file(errors, path, file);
    }
}

/// A file that holds a field. As upstream, the path of an error does not say which file.
pub(super) fn downward_file(errors: &mut ErrorList, path: &Path, file: &Value) {
    if text(file, "path").is_empty() {
        errors.push(Error::required(path.child("path"), ""));
    }
    volume_file_path(errors, &path.child("path"), text(file, "path"));
    let (field, resource) = (part(file, "fieldRef"), part(file, "resourceFieldRef"));
    match (field.is_null(), resource.is_null()) {
        (false, _) => {
            field_selector(errors, &path.child("fieldRef"), field, &FIELDS);
            if !resource.is_null() {
                let detail = "fieldRef and resourceFieldRef can not be specified simultaneously";
                errors.push(Error::invalid(path, "resource", detail));
            }
        }
        (true, false) => {
            let path = path.child("resourceFieldRef");
            if text(resource, "containerName").is_empty() {
                errors.push(Error::required(path.child("containerName"), ""));
            } else {
                resource_selector(errors, &path, resource);
            }
        }
        (true, true) => errors.push(Error::required(path, "one of fieldRef and resourceFieldRef is required")),
    }
    file_mode(errors, &path.child("mode"), number(file, "mode"));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::validation::testing;

    #[track_caller]
    fn check_volumes(volumes: Value, expected: &[&str]) {
        let mut errors = ErrorList::new();
        check(&mut errors, &Path::new("v"), volumes.as_array().unwrap());
        testing::check(&errors, expected);
    }

    #[test]
    fn a_volume_is_of_one_type_that_a_node_can_mount() {
        check_volumes(
            json!([{"name": "a", "emptyDir": {"sizeLimit": "1Gi"}}, {"name": "b", "hostPath": {"path": "/x", "type": ""}},
                {"name": "c", "secret": {"secretName": "s", "defaultMode": 0o644}}]),
            &[],
        );
        check_volumes(
            json!([{"name": "v", "emptyDir": {}, "configMap": {"name": "a"}}]),
            &["v[0].configMap: Forbidden: may not specify more than 1 volume type"],
        );
        check_volumes(
            json!([{}, {"name": "n", "nfs": {"server": "s", "path": "/"}}]),
            &[
                "v[0]: Required value: must specify a volume type",
                "v[0].name: Required value",
                "v[1].nfs: Forbidden: volumes of this type are not supported",
            ],
        );
        check_volumes(
            json!([{"name": "a", "emptyDir": {}}, {"name": "a", "emptyDir": {"sizeLimit": "-1"}}]),
            &[
                "v[1].emptyDir.sizeLimit: Forbidden: SizeLimit field must be a valid resource quantity",
                "v[1].name: Duplicate value: \"a\"",
            ],
        );
    }

    #[test]
    fn paths_stay_where_they_are_mounted() {
        check_volumes(
            json!([{"name": "a", "hostPath": {"path": "/a/../b", "type": "Socket"}}]),
            &[
                "v[0].hostPath.path: Invalid value: \"/a/../b\": must not contain '..'",
                "v[0].hostPath.type: Forbidden: a guest of Wasm can be handed directories alone: use Directory or DirectoryOrCreate",
            ],
        );
        check_volumes(
            json!([{"name": "a", "configMap": {"name": "m", "defaultMode": 512,
                "items": [{"key": "k", "path": "/p", "mode": -1}, {"path": "..x"}]}}]),
            &[
                "v[0].configMap.defaultMode: Invalid value: 512: must be a number between 0 and 0777 (octal), both inclusive",
                "v[0].configMap.items[0].path: Invalid value: \"/p\": must be a relative path",
                "v[0].configMap.items[0].mode: Invalid value: -1: must be a number between 0 and 0777 (octal), both inclusive",
                "v[0].configMap.items[1].key: Required value",
                "v[0].configMap.items[1].path: Invalid value: \"..x\": must not start with '..'",
            ],
        );
    }

    #[test]
    fn a_file_holds_a_field_or_a_resource() {
        let file = |file: Value| json!([{"name": "a", "downwardAPI": {"items": [file]}}]);
        check_volumes(
            file(json!({"path": "p", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.labels"}})),
            &[],
        );
        check_volumes(
            file(json!({"path": "p"})),
            &["v[0].downwardAPI: Required value: one of fieldRef and resourceFieldRef is required"],
        );
        check_volumes(
            file(json!({"path": "p", "fieldRef": {"apiVersion": "v1", "fieldPath": "status.podIP"}})),
            &[
                "v[0].downwardAPI.fieldRef.fieldPath: Unsupported value: \"status.podIP\": supported values: \"metadata.annotations\", \"metadata.labels\", \"metadata.name\", \"metadata.namespace\", \"metadata.uid\"",
            ],
        );
        check_volumes(
            file(json!({"path": "p", "resourceFieldRef": {"resource": "limits.cpu"}})),
            &["v[0].downwardAPI.resourceFieldRef.containerName: Required value"],
        );
    }
}
