//! Volumes of the cluster and claims on them.

use jiff::Timestamp;
use serde_json::Value;

use super::{AGE, Column, NAME, age, items, name, text, text_at, wide};
use crate::meta;

const UNSET: &str = "<unset>";

/// `PersistentVolume`.
pub const PERSISTENT_VOLUME: &[Column] = &[
    NAME,
    text("Capacity", "How much it holds."),
    text("Access Modes", "How it can be mounted."),
    text("Reclaim Policy", "What becomes of it when its claim is gone."),
    text("Status", "Whether it is free, bound or released."),
    text("Claim", "The claim that it is bound to."),
    text("StorageClass", "Its class of storage."),
    text("VolumeAttributesClass", "The class of its attributes."),
    text("Reason", "Why it is as it is."),
    AGE,
    wide("VolumeMode", "Whether it is a file system or a device."),
];

/// A volume's cells.
#[must_use]
pub fn persistent_volume(object: &Value, now: Timestamp) -> Vec<Value> {
    let said = |field: &str| object.pointer(&format!("/spec/claimRef/{field}")).and_then(Value::as_str);
    let claim = match (said("namespace"), said("name")) {
        (namespace, Some(name)) => format!("{}/{name}", namespace.unwrap_or_default()),
        _ => String::new(),
    };
    vec![
        name(object),
        text_at(object, "/spec/capacity/storage", "0"),
        modes(object, "/spec/accessModes").into(),
        text_at(object, "/spec/persistentVolumeReclaimPolicy", ""),
        phase(object),
        claim.into(),
        class(object),
        text_at(object, "/spec/volumeAttributesClassName", UNSET),
        text_at(object, "/status/reason", ""),
        age(object, now),
        text_at(object, "/spec/volumeMode", UNSET),
    ]
}

/// `PersistentVolumeClaim`.
pub const CLAIM: &[Column] = &[
    NAME,
    text("Status", "Whether it is bound."),
    text("Volume", "The volume that it is bound to."),
    text("Capacity", "How much the volume holds."),
    text("Access Modes", "How the volume can be mounted."),
    text("StorageClass", "Its class of storage."),
    text("VolumeAttributesClass", "The class of its attributes."),
    AGE,
    wide("VolumeMode", "Whether it is a file system or a device."),
];

/// A claim's cells.
#[must_use]
pub fn claim(object: &Value, now: Timestamp) -> Vec<Value> {
    let is_placed = object.pointer("/spec/volumeName").and_then(Value::as_str).is_some_and(|name| !name.is_empty());
    let (capacity, modes) = match is_placed {
        true => (text_at(object, "/status/capacity/storage", "0"), modes(object, "/status/accessModes")),
        false => ("".into(), String::new()),
    };
    vec![
        name(object),
        phase(object),
        text_at(object, "/spec/volumeName", ""),
        capacity,
        modes.into(),
        class(object),
        text_at(object, "/spec/volumeAttributesClassName", UNSET),
        age(object, now),
        text_at(object, "/spec/volumeMode", UNSET),
    ]
}

fn phase(object: &Value) -> Value {
    if meta::deletion_timestamp(object).is_some() { "Terminating".into() } else { text_at(object, "/status/phase", "") }
}

fn class(object: &Value) -> Value {
    match meta::annotation(object, "volume.beta.kubernetes.io/storage-class") {
        Some(class) => class.into(),
        None => text_at(object, "/spec/storageClassName", ""),
    }
}

/// Access modes in short, in upstream's order.
fn modes(object: &Value, pointer: &str) -> String {
    let short =
        [("ReadWriteOnce", "RWO"), ("ReadOnlyMany", "ROX"), ("ReadWriteMany", "RWX"), ("ReadWriteOncePod", "RWOP")];
    let has = |mode: &str| items(object, pointer).iter().any(|found| found == mode);
    short.iter().filter(|(mode, _)| has(mode)).map(|(_, short)| *short).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_claim_tells_what_it_has_once_it_has_a_volume() {
        let now = "2026-11-23T12:00:00Z".parse().unwrap();
        let claim_of = |volume: &str| {
            let object = json!({"metadata": {"name": "c", "creationTimestamp": "2026-11-23T12:00:00Z"},
                "spec": {"volumeName": volume, "volumeMode": "Filesystem"},
                "status": {"phase": "Bound", "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteMany", "ReadWriteOnce"]}});
            Value::Array(claim(&object, now))
        };
        assert_eq!(claim_of("v"), json!(["c", "Bound", "v", "1Gi", "RWO,RWX", "", "<unset>", "0s", "Filesystem"]));
        assert_eq!(claim_of(""), json!(["c", "Bound", "", "", "", "", "<unset>", "0s", "Filesystem"]));
    }
}
