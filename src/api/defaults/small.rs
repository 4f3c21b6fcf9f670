//! Kinds with a default or two.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::{made, part, set};
use crate::meta;

/// A namespace carries its name as a label, so that selectors can mean it.
pub fn namespace(namespace: &mut Value) {
    let name = meta::name(namespace).to_owned();
    if !name.is_empty() {
        meta::set_in(namespace, "/metadata/labels", "kubernetes.io/metadata.name", name.into());
    }
}

/// A secret's type; its `stringData` becomes `data`.
pub fn secret(secret: &mut Value) {
    set(secret, "type", "Opaque");
    let texts = secret.as_object_mut().and_then(|fields| fields.remove("stringData"));
    let Some(Value::Object(texts)) = texts else { return };
    if let Some(Value::Object(data)) = made(secret, "data") {
        data.extend(texts.into_iter().filter_map(|(key, text)| Some((key, STANDARD.encode(text.as_str()?).into()))));
    }
}

/// What a node has can be allocated, unless it says otherwise.
pub fn node(node: &mut Value) {
    let Some(status) = part(node, "status") else { return };
    if let Some(capacity) = status.get("capacity").filter(|capacity| capacity.is_object()).cloned() {
        set(status, "allocatable", capacity);
    }
}

/// A priority class preempts unless it says otherwise.
pub fn priority_class(class: &mut Value) {
    set(class, "preemptionPolicy", "PreemptLowerPriority");
}

/// A new namespace is active, and holds its finalizer until it was emptied.
pub fn new_namespace(namespace: &mut Value) {
    if let Some(fields) = namespace.as_object_mut() {
        fields.insert("status".into(), json!({"phase": "Active"}));
    }
    if let Some(spec) = made(namespace, "spec") {
        let mut finalizers: Vec<Value> = spec.get("finalizers").and_then(Value::as_array).cloned().unwrap_or_default();
        if !finalizers.iter().any(|finalizer| finalizer == "kubernetes") {
            finalizers.push("kubernetes".into());
        }
        *spec = Value::Object(Map::from_iter([("finalizers".to_owned(), finalizers.into())]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_a_secret_are_encoded_and_win() {
        let mut given = json!({"data": {"a": "AA=="}, "stringData": {"a": "hi", "b": "there"}});
        secret(&mut given);
        assert_eq!(given, json!({"type": "Opaque", "data": {"a": "aGk=", "b": "dGhlcmU="}}));
    }

    #[test]
    fn a_new_namespace_is_upstreams() {
        let mut given = json!({"metadata": {"name": "rec"}, "status": {"phase": "Terminating"}});
        namespace(&mut given);
        new_namespace(&mut given);
        let expected = json!({"metadata": {"name": "rec", "labels": {"kubernetes.io/metadata.name": "rec"}},
            "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}});
        assert_eq!(given, expected);
    }
}
