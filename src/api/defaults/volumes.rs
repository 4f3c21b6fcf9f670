//! Volumes of the cluster and claims on them.

use serde_json::{Value, json};

use super::{part, set};

/// A `PersistentVolume`'s defaults.
pub fn persistent_volume(object: &mut Value) {
    set(object, "status", json!({"phase": "Pending"}));
    let Some(spec) = part(object, "spec") else { return };
    set(spec, "persistentVolumeReclaimPolicy", "Retain");
    set(spec, "volumeMode", "Filesystem");
    if let Some(folder) = part(spec, "hostPath") {
        set(folder, "type", "");
    }
}

/// A `PersistentVolumeClaim`'s defaults.
pub fn claim(object: &mut Value) {
    set(object, "status", json!({"phase": "Pending"}));
    if let Some(spec) = part(object, "spec") {
        set(spec, "volumeMode", "Filesystem");
    }
}
