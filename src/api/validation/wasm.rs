//! What a pod may ask for on Linux and cannot have of Wasm: refused where silence would be a lie about safety.
//!
//! What merely hardens a pod (`runAsNonRoot`, dropped capabilities, a read-only root, `seccompProfile`) is accepted: a
//! guest has less than any of them leaves, so ordinary hardened manifests run unchanged.

use serde_json::Value;

use super::field::{Error, ErrorList};

/// Fields of a pod's spec that are refused when they are set, with the reason. `*` stands for any item of a list.
pub const REFUSED: [(&str, &str); 8] = [
    ("hostNetwork", "a Wasm pod has no host network namespace: use hostPort"),
    ("hostPID", "a Wasm pod has no host processes to see"),
    ("hostIPC", "a Wasm pod has no host IPC to share"),
    ("ephemeralContainers", "ephemeral containers are not supported yet"),
    ("containers.*.securityContext.privileged", "a guest of Wasm cannot be given the host's privileges"),
    ("initContainers.*.securityContext.privileged", "a guest of Wasm cannot be given the host's privileges"),
    ("containers.*.volumeDevices", "a guest of Wasm has no block devices: mount a volume"),
    ("initContainers.*.volumeDevices", "a guest of Wasm has no block devices: mount a volume"),
];

/// What `pod` asks for that is refused.
#[must_use]
pub fn refusals(pod: &Value) -> ErrorList {
    let spec = pod.get("spec").unwrap_or(&Value::Null);
    REFUSED
        .iter()
        .flat_map(|(path, why)| {
            let parts: Vec<&str> = path.split('.').collect();
            set_fields(spec, &parts, "spec").into_iter().map(|path| Error::forbidden(path, *why))
        })
        .collect()
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
        let refused: Vec<String> = refusals(&json!({"spec": spec})).into_iter().map(|error| error.path).collect();
        assert_eq!(refused, expected);
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
