//! Classes of storage and their drivers.

use serde_json::{Value, json};

use super::{made, set};

/// A `StorageClass`' defaults.
pub fn storage_class(object: &mut Value) {
    set(object, "reclaimPolicy", "Delete");
    set(object, "volumeBindingMode", "Immediate");
}

/// A `CSIDriver`'s defaults.
pub fn csi_driver(object: &mut Value) {
    let Some(spec) = made(object, "spec") else { return };
    set(spec, "attachRequired", true);
    for field in ["podInfoOnMount", "storageCapacity", "requiresRepublish", "seLinuxMount"] {
        set(spec, field, false);
    }
    set(spec, "fsGroupPolicy", "ReadWriteOnceWithFSType");
    if spec.get("volumeLifecycleModes").and_then(Value::as_array).is_none_or(Vec::is_empty) {
        spec["volumeLifecycleModes"] = json!(["Persistent"]);
    }
}
