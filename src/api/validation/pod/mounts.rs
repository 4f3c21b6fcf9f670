//! Where containers mount the volumes of their pod. As upstream, some errors are at the list instead of its item.

use serde_json::Value;

use crate::validation::checks::descending_path;
use crate::validation::field::{Error, ErrorList, Path};
use crate::value::{flag, has, list, part, text};

/// How mounts spread between host and container, sorted as upstream lists them.
const PROPAGATIONS: [&str; 3] = ["Bidirectional", "HostToContainer", "None"];
/// How deep a read-only mount is, sorted as upstream lists them.
const READ_ONLY_DEPTHS: [&str; 3] = ["Disabled", "Enabled", "IfPossible"];

/// What is wrong with the mounts of a container; `volumes` are the names of those that it can mount.
pub(super) fn check(errors: &mut ErrorList, path: &Path, container: &Value, volumes: &[&str]) {
    let mounts = list(container, "volumeMounts");
    let is_privileged = flag(part(container, "securityContext"), "privileged");
    for (index, mount) in mounts.iter().enumerate() {
        let (at, name, place) = (path.index(index), text(mount, "name"), text(mount, "mountPath"));
        if name.is_empty() {
            errors.push(Error::required(at.child("name"), ""));
        }
        if !volumes.contains(&name) {
            errors.push(Error::not_found(at.child("name"), name));
        }
        if place.is_empty() {
            errors.push(Error::required(at.child("mountPath"), ""));
        }
        if mounts.iter().take(index).any(|other| text(other, "mountPath") == place) {
            errors.push(Error::invalid(at.child("mountPath"), place, "must be unique"));
        }
        sub_path(errors, path, &at, mount);
        propagation(errors, path, mount, is_privileged);
        read_only_depth(errors, path, mount);
    }
}

/// The part of a volume that is mounted.
fn sub_path(errors: &mut ErrorList, path: &Path, at: &Path, mount: &Value) {
    let (part, expression) = (text(mount, "subPath"), text(mount, "subPathExpr"));
    descending_path(errors, &path.child("subPath"), part);
    if !part.is_empty() && !expression.is_empty() {
        let detail = "subPathExpr and subPath are mutually exclusive";
        errors.push(Error::invalid(at.child("subPathExpr"), expression, detail));
    }
    descending_path(errors, &path.child("subPathExpr"), expression);
}

fn propagation(errors: &mut ErrorList, path: &Path, mount: &Value, is_privileged: bool) {
    let (path, mode) = (path.child("mountPropagation"), text(mount, "mountPropagation"));
    if has(mount, "mountPropagation") && !PROPAGATIONS.contains(&mode) {
        errors.push(Error::not_supported(&path, mode, &PROPAGATIONS));
    }
    if mode == "Bidirectional" && !is_privileged {
        let detail = "Bidirectional mount propagation is available only to privileged containers";
        errors.push(Error::forbidden(path, detail));
    }
}

fn read_only_depth(errors: &mut ErrorList, path: &Path, mount: &Value) {
    let path = path.child("recursiveReadOnly");
    match part(mount, "recursiveReadOnly").as_str() {
        None | Some("Disabled") => {}
        Some("Enabled" | "IfPossible") => {
            if !flag(mount, "readOnly") {
                errors.push(Error::forbidden(&path, "may only be specified when readOnly is true"));
            }
            if !matches!(text(mount, "mountPropagation"), "" | "None") {
                let detail = "may only be specified when mountPropagation is None or not specified";
                errors.push(Error::forbidden(path, detail));
            }
        }
        Some(other) => errors.push(Error::not_supported(path, other, &READ_ONLY_DEPTHS)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::validation::testing;

    #[track_caller]
    fn check_mounts(mounts: Value, expected: &[&str]) {
        let mut errors = ErrorList::new();
        check(&mut errors, &Path::new("m"), &json!({"volumeMounts": mounts}), &["v", "w"]);
        testing::check(&errors, expected);
    }

    #[test]
    fn mounts_are_of_volumes_that_are_there_and_apart() {
        check_mounts(
            json!([{"name": "v", "mountPath": "/v", "subPath": "a/b"}, {"name": "v", "mountPath": "/w"}]),
            &[],
        );
        check_mounts(json!([{"name": "x", "mountPath": "/v"}]), &["m[0].name: Not found: \"x\""]);
        check_mounts(
            json!([{"mountPath": "/v"}, {"name": "w", "mountPath": "/v", "subPath": "../x"}, {"name": "w"}]),
            &[
                "m[0].name: Required value",
                "m[0].name: Not found: \"\"",
                "m[1].mountPath: Invalid value: \"/v\": must be unique",
                "m.subPath: Invalid value: \"../x\": must not contain '..'",
                "m[2].mountPath: Required value",
            ],
        );
        check_mounts(
            json!([{"name": "v", "mountPath": "/v", "subPath": "a", "subPathExpr": "/b"}]),
            &[
                "m[0].subPathExpr: Invalid value: \"/b\": subPathExpr and subPath are mutually exclusive",
                "m.subPathExpr: Invalid value: \"/b\": must be a relative path",
            ],
        );
    }

    #[test]
    fn how_a_mount_spreads_is_one_of_few_ways() {
        let with = |field: &str, value: &str| json!([{"name": "v", "mountPath": "/v", field: value}]);
        check_mounts(with("mountPropagation", "HostToContainer"), &[]);
        check_mounts(
            with("mountPropagation", "Bidirectional"),
            &[
                "m.mountPropagation: Forbidden: Bidirectional mount propagation is available only to privileged containers",
            ],
        );
        check_mounts(
            with("recursiveReadOnly", "Enabled"),
            &["m.recursiveReadOnly: Forbidden: may only be specified when readOnly is true"],
        );
        check_mounts(
            with("recursiveReadOnly", "Odd"),
            &[
                "m.recursiveReadOnly: Unsupported value: \"Odd\": supported values: \"Disabled\", \"Enabled\", \"IfPossible\"",
            ],
        );
    }
}
