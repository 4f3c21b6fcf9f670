//! ConfigMaps and Secrets: their keys, their size, what each type of secret must hold, and what `immutable` means.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::checks::{immutable, invalid_each};
use super::field::{Error, ErrorList, Path};
use crate::decode::{go_kind, parse_json};
use crate::meta;
use crate::names;
use crate::value::{entries, flag, has, part, text};

/// Bytes of all values of a ConfigMap or Secret together, as upstream: what etcd takes at once, less its overhead.
const DATA_BYTES_MAX: usize = 1 << 20;

/// What stands in an error for what a secret holds.
const REDACTED: &str = "<secret contents redacted>";

const IMMUTABLE: &str = "field is immutable when `immutable` is set";

/// What is wrong with a ConfigMap.
pub fn config_map(object: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let mut size_bytes = 0;
    for (key, value) in entries(object, "data") {
        let path = Path::new("data").key(key);
        invalid_each(&mut errors, &path, key, names::config_key(key));
        if has(part(object, "binaryData"), key) {
            errors.push(Error::invalid(path, key, "duplicate of key present in binaryData"));
        }
        size_bytes += value.as_str().map_or(0, str::len);
    }
    for (key, value) in entries(object, "binaryData") {
        invalid_each(&mut errors, &Path::new("binaryData").key(key), key, names::config_key(key));
        size_bytes += decoded_len(value);
    }
    if size_bytes > DATA_BYTES_MAX {
        errors.push(Error::too_long("", "", DATA_BYTES_MAX));
    }
    errors
}

/// What is wrong with a changed ConfigMap.
pub fn config_map_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = frozen(new, old, &["data", "binaryData"]);
    errors.extend(config_map(new));
    errors
}

/// What is wrong with a Secret.
pub fn secret(object: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("data");
    let mut size_bytes = 0;
    for (key, value) in entries(object, "data") {
        invalid_each(&mut errors, &path.key(key), key, names::config_key(key));
        size_bytes += decoded_len(value);
    }
    if size_bytes > DATA_BYTES_MAX {
        errors.push(Error::too_long(&path, "", DATA_BYTES_MAX));
    }
    check_type(&mut errors, &path, object);
    errors
}

/// What is wrong with a changed Secret.
pub fn secret_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    immutable(&mut errors, &Path::new("type"), part(new, "type"), part(old, "type"));
    errors.extend(frozen(new, old, &["data"]));
    errors.extend(secret(new));
    errors
}

/// What was changed although the old object is immutable.
fn frozen(new: &Value, old: &Value, fields: &[&str]) -> ErrorList {
    let mut errors = ErrorList::new();
    if flag(old, "immutable") {
        if !flag(new, "immutable") {
            errors.push(Error::forbidden("immutable", IMMUTABLE));
        }
        let changed = fields.iter().filter(|field| part(new, field) != part(old, field));
        errors.extend(changed.map(|field| Error::forbidden(*field, IMMUTABLE)));
    }
    errors
}

/// What a secret must hold by its type.
fn check_type(errors: &mut ErrorList, path: &Path, secret: &Value) {
    let data = part(secret, "data");
    let mut require = |keys: &[&str]| {
        let missing = keys.iter().filter(|key| !has(data, key));
        errors.extend(missing.map(|key| Error::required(path.key(key), "")));
    };
    match text(secret, "type") {
        "kubernetes.io/service-account-token" => {
            const ACCOUNT: &str = "kubernetes.io/service-account.name";
            if meta::annotation(secret, ACCOUNT).unwrap_or_default().is_empty() {
                errors.push(Error::required(Path::new("metadata").child("annotations").key(ACCOUNT), ""));
            }
        }
        "kubernetes.io/dockercfg" => docker_config(errors, path, data, ".dockercfg"),
        "kubernetes.io/dockerconfigjson" => docker_config(errors, path, data, ".dockerconfigjson"),
        "kubernetes.io/basic-auth" if !has(data, "username") && !has(data, "password") => {
            require(&["username", "password"]);
        }
        "kubernetes.io/ssh-auth" if text(data, "ssh-privatekey").is_empty() => {
            errors.push(Error::required(path.key("ssh-privatekey"), ""));
        }
        "kubernetes.io/tls" => require(&["tls.crt", "tls.key"]),
        _ => {}
    }
}

/// The JSON object that logs clients in to registries.
fn docker_config(errors: &mut ErrorList, path: &Path, data: &Value, key: &str) {
    let path = path.key(key);
    let Some(encoded) = part(data, key).as_str() else {
        errors.push(Error::required(path, ""));
        return;
    };
    let config = STANDARD.decode(encoded).unwrap_or_default();
    let detail = match parse_json(&config) {
        Ok(parsed) if parsed.value.is_object() || parsed.value.is_null() => return,
        Ok(parsed) => {
            format!("json: cannot unmarshal {} into Go value of type map[string]interface {{}}", go_kind(&parsed.value))
        }
        Err(error) => error.to_string(),
    };
    errors.push(Error::invalid(path, REDACTED, detail));
}

/// Bytes behind a base64 text.
fn decoded_len(value: &Value) -> usize {
    let encoded = value.as_str().unwrap_or_default().trim_end_matches('=');
    encoded.len() * 3 / 4
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::check;
    use super::*;

    #[test]
    fn keys_and_sizes_are_bounded() {
        check(&config_map(&json!({"data": {"a.b": "x"}, "binaryData": {"c": "AA=="}})), &[]);
        check(
            &config_map(&json!({"data": {"a": "x"}, "binaryData": {"a": "AA=="}})),
            &["data[a]: Invalid value: \"a\": duplicate of key present in binaryData"],
        );
        let large = "x".repeat(DATA_BYTES_MAX);
        check(&config_map(&json!({"data": {"a": large}})), &[]);
        check(
            &config_map(&json!({"data": {"a": large, "b": "x"}})),
            &[": Too long: may not be more than 1048576 bytes"],
        );
        check(&secret(&json!({"data": {"a": STANDARD.encode(&large)}})), &[]);
    }

    #[test]
    fn what_is_immutable_stays() {
        let old = json!({"immutable": true, "data": {"a": "1"}});
        check(&config_map_update(&old, &old), &[]);
        check(
            &config_map_update(&json!({"data": {"a": "2"}}), &old),
            &[
                "immutable: Forbidden: field is immutable when `immutable` is set",
                "data: Forbidden: field is immutable when `immutable` is set",
            ],
        );
        check(
            &secret_update(&json!({"type": "a"}), &json!({"type": "Opaque"})),
            &["type: Invalid value: \"a\": field is immutable"],
        );
    }

    #[test]
    fn a_secret_holds_what_its_type_says() {
        let typed = |kind: &str, data: Value| secret(&json!({"type": format!("kubernetes.io/{kind}"), "data": data}));
        check(&typed("tls", json!({"tls.crt": ""})), &["data[tls.key]: Required value"]);
        check(&typed("basic-auth", json!({"password": "AA=="})), &[]);
        check(&typed("basic-auth", json!({})), &["data[username]: Required value", "data[password]: Required value"]);
        check(&typed("ssh-auth", json!({})), &["data[ssh-privatekey]: Required value"]);
        check(&typed("dockerconfigjson", json!({".dockerconfigjson": STANDARD.encode("{}")})), &[]);
        check(
            &typed("dockerconfigjson", json!({".dockerconfigjson": STANDARD.encode("5")})),
            &[
                "data[.dockerconfigjson]: Invalid value: \"<secret contents redacted>\": json: cannot unmarshal number into Go value of type map[string]interface {}",
            ],
        );
        check(
            &typed("service-account-token", json!({})),
            &["metadata.annotations[kubernetes.io/service-account.name]: Required value"],
        );
    }
}
