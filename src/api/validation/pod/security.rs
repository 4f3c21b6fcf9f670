//! Security contexts of pods and containers. Most of what they ask for is what every guest of Wasm has anyway; it is
//! checked so that a manifest which is wrong here is wrong nowhere else for the first time.

use serde_json::Value;

use crate::validation::checks::{descending_path, identity};
use crate::validation::field::{Error, ErrorList, Path};
use crate::value::{flag, has, list, number, part, text, texts};

/// Bytes of the name of an `AppArmor` profile: a path without its end.
const APP_ARMOR_BYTES_MAX: usize = 4095;

/// Types of profiles, in upstream's order.
const PROFILES: [&str; 3] = ["Localhost", "RuntimeDefault", "Unconfined"];

/// What is wrong with the context of a pod.
pub(super) fn check_pod(errors: &mut ErrorList, path: &Path, context: &Value) {
    for field in ["fsGroup", "runAsUser", "runAsGroup"] {
        identity(errors, &path.child(field), number(context, field));
    }
    for (index, group) in list(context, "supplementalGroups").iter().enumerate() {
        identity(errors, &path.child("supplementalGroups").index(index), group.as_i64());
    }
    one_of(errors, path, context, "fsGroupChangePolicy", &["Always", "OnRootMismatch"]);
    seccomp(errors, &path.child("seccompProfile"), part(context, "seccompProfile"));
    app_armor(errors, &path.child("appArmorProfile"), part(context, "appArmorProfile"));
    one_of(errors, path, context, "supplementalGroupsPolicy", &["Merge", "Strict"]);
    one_of(errors, path, context, "seLinuxChangePolicy", &["MountOption", "Recursive"]);
}

/// What is wrong with the context of a container; `host_users` is whether its pod shares the host's users.
pub(super) fn check_container(errors: &mut ErrorList, path: &Path, context: &Value, host_users: bool) {
    for field in ["runAsUser", "runAsGroup"] {
        identity(errors, &path.child(field), number(context, field));
    }
    one_of(errors, path, context, "procMount", &["Default", "Unmasked"]);
    if host_users && text(context, "procMount") == "Unmasked" {
        let detail = "`hostUsers` must be false to use `Unmasked`";
        errors.push(Error::invalid(path.child("procMount"), "Unmasked", detail));
    }
    seccomp(errors, &path.child("seccompProfile"), part(context, "seccompProfile"));
    let forbids_escalation = part(context, "allowPrivilegeEscalation").as_bool() == Some(false);
    if forbids_escalation && flag(context, "privileged") {
        let detail = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
        errors.push(Error::invalid(path, context.clone(), detail));
    }
    if forbids_escalation && texts(part(context, "capabilities"), "add").any(|added| added == "CAP_SYS_ADMIN") {
        let detail = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
        errors.push(Error::invalid(path, context.clone(), detail));
    }
    app_armor(errors, &path.child("appArmorProfile"), part(context, "appArmorProfile"));
}

/// A field that is not set, or holds one of the values supported.
fn one_of(errors: &mut ErrorList, path: &Path, context: &Value, field: &str, supported: &[&str]) {
    let value = text(context, field);
    if has(context, field) && !supported.contains(&value) {
        errors.push(Error::not_supported(path.child(field), value, supported));
    }
}

fn seccomp(errors: &mut ErrorList, path: &Path, profile: &Value) {
    if profile.is_null() {
        return;
    }
    let (type_path, name_path) = (path.child("type"), path.child("localhostProfile"));
    let name = part(profile, "localhostProfile");
    match text(profile, "type") {
        "" => errors.push(Error::required(type_path, "type is required when seccompProfile is set")),
        kind if !PROFILES.contains(&kind) => errors.push(Error::not_supported(type_path, kind, &PROFILES)),
        _ => {}
    }
    match (text(profile, "type"), name.as_str()) {
        ("Localhost", None) => {
            errors.push(Error::required(name_path, "must be set when seccomp type is Localhost"));
        }
        ("Localhost", Some(name)) => descending_path(errors, &name_path, name),
        (_, Some(_)) => {
            let detail = "can only be set when seccomp type is Localhost";
            errors.push(Error::invalid(name_path, profile.clone(), detail));
        }
        (_, None) => {}
    }
}

fn app_armor(errors: &mut ErrorList, path: &Path, profile: &Value) {
    if profile.is_null() {
        return;
    }
    let (type_path, name_path) = (path.child("type"), path.child("localhostProfile"));
    match (text(profile, "type"), part(profile, "localhostProfile").as_str()) {
        ("Localhost", None | Some("")) => {
            errors.push(Error::required(name_path, "must be set when AppArmor type is Localhost"));
        }
        ("Localhost", Some(name)) => {
            if name.trim() != name {
                errors.push(Error::invalid(&name_path, name, "must not be padded with whitespace"));
            }
            if name.len() > APP_ARMOR_BYTES_MAX {
                errors.push(Error::too_long(name_path, "", APP_ARMOR_BYTES_MAX));
            }
        }
        ("RuntimeDefault" | "Unconfined", Some(name)) => {
            errors.push(Error::invalid(name_path, name, "can only be set when AppArmor type is Localhost"));
        }
        ("RuntimeDefault" | "Unconfined", None) => {}
        ("", _) => errors.push(Error::required(type_path, "type is required when appArmorProfile is set")),
        (kind, _) => errors.push(Error::not_supported(type_path, kind, &PROFILES)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::validation::testing;

    #[track_caller]
    fn pod(context: Value, expected: &[&str]) {
        let mut errors = ErrorList::new();
        check_pod(&mut errors, &Path::new("s"), &context);
        testing::check(&errors, expected);
    }

    #[track_caller]
    fn container(context: Value, expected: &[&str]) {
        let mut errors = ErrorList::new();
        check_container(&mut errors, &Path::new("s"), &context, true);
        testing::check(&errors, expected);
    }

    #[test]
    fn a_hardened_pod_is_accepted() {
        pod(
            json!({"runAsNonRoot": true, "runAsUser": 1000, "fsGroup": 0, "seccompProfile": {"type": "RuntimeDefault"}}),
            &[],
        );
        container(
            json!({"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]},
                "appArmorProfile": {"type": "Localhost", "localhostProfile": "p"}}),
            &[],
        );
    }

    #[test]
    fn numbers_policies_and_profiles_are_checked() {
        pod(
            json!({"runAsUser": -1, "supplementalGroups": [1, 2_147_483_648_i64], "fsGroupChangePolicy": "Odd",
                "seccompProfile": {"type": "Localhost"}, "appArmorProfile": {"type": "Unconfined", "localhostProfile": "p"}}),
            &[
                "s.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive",
                "s.supplementalGroups[1]: Invalid value: 2147483648: must be between 0 and 2147483647, inclusive",
                "s.fsGroupChangePolicy: Unsupported value: \"Odd\": supported values: \"Always\", \"OnRootMismatch\"",
                "s.seccompProfile.localhostProfile: Required value: must be set when seccomp type is Localhost",
                "s.appArmorProfile.localhostProfile: Invalid value: \"p\": can only be set when AppArmor type is Localhost",
            ],
        );
        pod(
            json!({"seccompProfile": {"type": "Odd", "localhostProfile": "p"}}),
            &[
                "s.seccompProfile.type: Unsupported value: \"Odd\": supported values: \"Localhost\", \"RuntimeDefault\", \"Unconfined\"",
                "s.seccompProfile.localhostProfile: Invalid value: {\"localhostProfile\":\"p\",\"type\":\"Odd\"}: can only be set when seccomp type is Localhost",
            ],
        );
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        container(
            json!({"allowPrivilegeEscalation": false, "capabilities": {"add": ["CAP_SYS_ADMIN"]}, "procMount": "Unmasked"}),
            &[
                "s.procMount: Invalid value: \"Unmasked\": `hostUsers` must be false to use `Unmasked`",
                "s: Invalid value: {\"allowPrivilegeEscalation\":false,\"capabilities\":{\"add\":[\"CAP_SYS_ADMIN\"]},\"procMount\":\"Unmasked\"}: cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN",
            ],
        );
    }
}
