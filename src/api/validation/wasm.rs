//! What a pod may ask for on Linux and cannot have of Wasm: refused where silence would be a lie about safety.
//!
//! What merely hardens a pod (`runAsNonRoot`, dropped capabilities, a read-only root, `seccompProfile`) is accepted: a
//! guest has less than any of them leaves, so ordinary hardened manifests run unchanged.

use serde_json::Value;

use super::field::{Error, ErrorList, Path};

const NO_PRIVILEGE: &str = "a guest of Wasm cannot be given the host's privileges";
const NO_DEVICE: &str = "a guest of Wasm has no block devices: mount a volume";
const NO_CLAIMS: &str = "claims of devices are not supported";
const NO_WINDOWS: &str = "a guest of Wasm is no Windows process";
const NO_FILE_KEY: &str = "variables from files are not supported";
const NO_RULES: &str = "restart rules by exit code are not supported: use restartPolicy";

/// Fields of a pod's spec that are refused when they are set, with the reason. `*` stands for any item of a list.
/// Types of volumes that no node can mount are refused where volumes are checked.
pub const REFUSED: [(&str, &str); 22] = [
    ("hostNetwork", "a Wasm pod has no host network namespace: use hostPort"),
    ("hostPID", "a Wasm pod has no host processes to see"),
    ("hostIPC", "a Wasm pod has no host IPC to share"),
    ("ephemeralContainers", "ephemeral containers are not supported yet"),
    ("hostnameOverride", "another host name than the pod's is not supported: use hostname"),
    ("resources", "resources of a whole pod are not supported yet: give them to its containers"),
    ("resourceClaims", NO_CLAIMS),
    ("schedulingGroup", "groups of pods are not supported yet"),
    ("securityContext.sysctls", "a guest of Wasm has no kernel whose parameters could be set"),
    ("securityContext.windowsOptions", NO_WINDOWS),
    ("containers.*.env.*.valueFrom.fileKeyRef", NO_FILE_KEY),
    ("containers.*.resources.claims", NO_CLAIMS),
    ("containers.*.restartPolicyRules", NO_RULES),
    ("containers.*.securityContext.privileged", NO_PRIVILEGE),
    ("containers.*.securityContext.windowsOptions", NO_WINDOWS),
    ("containers.*.volumeDevices", NO_DEVICE),
    ("initContainers.*.env.*.valueFrom.fileKeyRef", NO_FILE_KEY),
    ("initContainers.*.resources.claims", NO_CLAIMS),
    ("initContainers.*.restartPolicyRules", NO_RULES),
    ("initContainers.*.securityContext.privileged", NO_PRIVILEGE),
    ("initContainers.*.securityContext.windowsOptions", NO_WINDOWS),
    ("initContainers.*.volumeDevices", NO_DEVICE),
];

/// Adds what the spec at `path` asks for that is refused.
pub(super) fn refuse(errors: &mut ErrorList, path: &Path, spec: &Value) {
    for (field, why) in REFUSED {
        let parts: Vec<&str> = field.split('.').collect();
        let set = set_fields(spec, &parts, path.as_str());
        errors.extend(set.into_iter().map(|path| Error::forbidden(path, why)));
    }
}

/// The paths at which the field `parts` is set to something.
fn set_fields(value: &Value, parts: &[&str], path: &str) -> Vec<String> {
    match parts {
        [] if is_set(value) => vec![path.to_owned()],
        [] => Vec::new(),
        ["*", rest @ ..] => {
            let items = value.as_array().into_iter().flatten().enumerate();
            items.flat_map(|(index, item)| set_fields(item, rest, &format!("{path}[{index}]"))).collect()
        }
        [field, rest @ ..] => {
            value.get(field).map(|value| set_fields(value, rest, &format!("{path}.{field}"))).unwrap_or_default()
        }
    }
}

fn is_set(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Array(items) => !items.is_empty(),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(spec: Value, expected: &[&str]) {
        let mut errors = ErrorList::new();
        refuse(&mut errors, &Path::new("spec"), &spec);
        let refused: Vec<String> = errors.into_iter().map(|error| error.path).collect();
        assert_eq!(refused, expected);
    }

    #[test]
    fn each_refusal_is_told_where_people_look() {
        let told = include_str!("../../../docs/compatibility.md");
        for (path, _) in REFUSED {
            let parts: Vec<&str> = path.split('.').collect();
            let is_told = parts.iter().any(|part| told.contains(&format!("`{part}`")));
            assert!(is_told, "docs/compatibility.md does not name {path}");
        }
    }

    #[test]
    fn what_cannot_be_true_is_refused_and_hardening_is_not() {
        check(json!({"hostNetwork": true, "hostPID": false}), &["spec.hostNetwork"]);
        check(
            json!({"containers": [{}, {"securityContext": {"privileged": true}}]}),
            &["spec.containers[1].securityContext.privileged"],
        );
        check(
            json!({"containers": [{"securityContext": {"privileged": false, "readOnlyRootFilesystem": true,
                "capabilities": {"drop": ["ALL"]}}}], "ephemeralContainers": []}),
            &[],
        );
    }
}
