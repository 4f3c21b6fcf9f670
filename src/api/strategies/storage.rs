//! Classes of storage and their drivers.

use super::prepare;
use crate::defaults;
use crate::printers::storage;
use crate::scheme::Strategy;
use crate::validation;

/// `storage.k8s.io/v1 CSIDriver`
#[must_use]
pub fn csi_driver() -> Strategy {
    Strategy {
        defaults: defaults::storage::csi_driver,
        columns: storage::CSI_DRIVER,
        cells: storage::csi_driver,
        validate: validation::storage::csi_driver,
        validate_update: validation::storage::csi_driver_update,
        ..Strategy::DEFAULT
    }
}

/// `storage.k8s.io/v1 CSINode`
#[must_use]
pub fn csi_node() -> Strategy {
    Strategy {
        columns: storage::CSI_NODE,
        cells: storage::csi_node,
        validate: validation::storage::csi_node,
        validate_update: validation::storage::csi_node_update,
        ..Strategy::DEFAULT
    }
}

/// `storage.k8s.io/v1 CSIStorageCapacity`
#[must_use]
pub fn csi_storage_capacity() -> Strategy {
    Strategy {
        columns: storage::CSI_STORAGE_CAPACITY,
        cells: storage::csi_storage_capacity,
        validate: validation::storage::csi_storage_capacity,
        validate_update: validation::storage::csi_storage_capacity_update,
        ..Strategy::DEFAULT
    }
}

/// `storage.k8s.io/v1 StorageClass`
#[must_use]
pub fn storage_class() -> Strategy {
    Strategy {
        defaults: defaults::storage::storage_class,
        columns: storage::STORAGE_CLASS,
        cells: storage::storage_class,
        validate: validation::storage::storage_class,
        validate_update: validation::storage::storage_class_update,
        ..Strategy::DEFAULT
    }
}

/// `storage.k8s.io/v1 VolumeAttachment`
#[must_use]
pub fn volume_attachment() -> Strategy {
    Strategy {
        columns: storage::VOLUME_ATTACHMENT,
        cells: storage::volume_attachment,
        prepare_create: prepare::without_status,
        prepare_update: prepare::keep_status,
        prepare_status: prepare::keep_spec_and_metadata,
        status_resets: &[&["f:spec"], &["f:metadata"]],
        validate: validation::storage::volume_attachment,
        validate_update: validation::storage::volume_attachment_update,
        ..Strategy::DEFAULT
    }
}

/// `storage.k8s.io/v1 VolumeAttributesClass`
#[must_use]
pub fn volume_attributes_class() -> Strategy {
    Strategy {
        columns: storage::VOLUME_ATTRIBUTES_CLASS,
        cells: storage::volume_attributes_class,
        validate: validation::storage::volume_attributes_class,
        validate_update: validation::storage::volume_attributes_class_update,
        ..Strategy::DEFAULT
    }
}
