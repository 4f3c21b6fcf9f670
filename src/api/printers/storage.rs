//! Classes of storage and their drivers.

use jiff::Timestamp;
use serde_json::Value;

use super::{AGE, Column, NAME, age, items, name, text, text_at};
use crate::meta;
use crate::validation::storage::is_default_class;

const fn flag(name: &'static str, description: &'static str) -> Column {
    Column { kind: "boolean", ..text(name, description) }
}

/// `StorageClass`.
pub const STORAGE_CLASS: &[Column] = &[
    NAME,
    text("Provisioner", "What makes its volumes."),
    text("ReclaimPolicy", "What becomes of a volume that nobody claims any more."),
    text("VolumeBindingMode", "When claims are bound to volumes."),
    text("AllowVolumeExpansion", "Whether its volumes may grow."),
    AGE,
];

/// A storage class' cells.
#[must_use]
pub fn storage_class(object: &Value, now: Timestamp) -> Vec<Value> {
    let name = meta::name(object);
    let name = if is_default_class(object) { format!("{name} (default)") } else { name.to_owned() };
    vec![
        name.into(),
        text_at(object, "/provisioner", ""),
        text_at(object, "/reclaimPolicy", "Delete"),
        text_at(object, "/volumeBindingMode", "Immediate"),
        is_set(object, "/allowVolumeExpansion").into(),
        age(object, now),
    ]
}

/// `VolumeAttributesClass`.
pub const VOLUME_ATTRIBUTES_CLASS: &[Column] = &[NAME, text("DriverName", "The driver that knows them."), AGE];

/// A volume attributes class' cells.
#[must_use]
pub fn volume_attributes_class(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![name(object), text_at(object, "/driverName", ""), age(object, now)]
}

/// `CSIDriver`.
pub const CSI_DRIVER: &[Column] = &[
    NAME,
    flag("AttachRequired", "Whether volumes are attached to nodes."),
    flag("PodInfoOnMount", "Whether it is told which pod mounts."),
    flag("StorageCapacity", "Whether pods wait for its capacity."),
    text("TokenRequests", "The audiences of the tokens that it gets."),
    flag("RequiresRepublish", "Whether it is called again and again."),
    text("Modes", "The lives of its volumes."),
    AGE,
];

/// A driver's cells.
#[must_use]
pub fn csi_driver(object: &Value, now: Timestamp) -> Vec<Value> {
    let audiences: Vec<&str> =
        items(object, "/spec/tokenRequests").iter().filter_map(|request| request.get("audience")?.as_str()).collect();
    let modes: Vec<&str> = items(object, "/spec/volumeLifecycleModes").iter().filter_map(Value::as_str).collect();
    vec![
        name(object),
        is_set(object, "/spec/attachRequired").into(),
        is_set(object, "/spec/podInfoOnMount").into(),
        is_set(object, "/spec/storageCapacity").into(),
        if audiences.is_empty() { "<unset>".to_owned() } else { audiences.join(",") }.into(),
        is_set(object, "/spec/requiresRepublish").into(),
        modes.join(",").into(),
        age(object, now),
    ]
}

/// `CSINode`.
pub const CSI_NODE: &[Column] = &[NAME, Column { kind: "integer", ..text("Drivers", "How many drivers it has.") }, AGE];

/// A node's drivers' cells.
#[must_use]
pub fn csi_node(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![name(object), items(object, "/spec/drivers").len().into(), age(object, now)]
}

/// `CSIStorageCapacity`.
pub const CSI_STORAGE_CAPACITY: &[Column] =
    &[NAME, text("StorageClassName", "The class of storage."), text("Capacity", "How much of it there is.")];

/// A capacity's cells.
#[must_use]
pub fn csi_storage_capacity(object: &Value, _now: Timestamp) -> Vec<Value> {
    vec![name(object), text_at(object, "/storageClassName", ""), text_at(object, "/capacity", "<unset>")]
}

/// `VolumeAttachment`.
pub const VOLUME_ATTACHMENT: &[Column] = &[
    NAME,
    text("Attacher", "The driver that attaches."),
    text("PV", "The volume."),
    text("Node", "The node."),
    flag("Attached", "Whether it is attached."),
    AGE,
];

/// An attachment's cells.
#[must_use]
pub fn volume_attachment(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        name(object),
        text_at(object, "/spec/attacher", ""),
        text_at(object, "/spec/source/persistentVolumeName", ""),
        text_at(object, "/spec/nodeName", ""),
        is_set(object, "/status/attached").into(),
        age(object, now),
    ]
}

fn is_set(object: &Value, pointer: &str) -> bool {
    object.pointer(pointer).and_then(Value::as_bool).unwrap_or(false)
}
