//! Devices and claims of them.

use super::{PLAIN, fields, prepare};
use crate::defaults;
use crate::printers::devices;
use crate::scheme::Strategy;
use crate::validation::devices::{claim_status, claims, slices};

/// `resource.k8s.io/v1 DeviceClass`
#[must_use]
pub fn device_class() -> Strategy {
    Strategy {
        has_generation: true,
        prepare_create: prepare::first_generation,
        prepare_update: prepare::count_spec,
        validate: claims::class,
        validate_update: claims::class_update,
        ..PLAIN
    }
}

/// `resource.k8s.io/v1 ResourceClaim`
#[must_use]
pub fn resource_claim() -> Strategy {
    Strategy {
        defaults: defaults::devices::claim,
        prepare_create: prepare::without_status,
        prepare_update: prepare::keep_status,
        prepare_status: prepare::keep_spec_and_metadata,
        status_resets: &[&["f:spec"], &["f:metadata"]],
        columns: devices::CLAIM,
        cells: devices::claim,
        validate: claims::claim,
        validate_update: claims::claim_update,
        validate_status: claim_status::claim_status,
        ..Strategy::DEFAULT
    }
}

/// `resource.k8s.io/v1 ResourceClaimTemplate`
#[must_use]
pub fn resource_claim_template() -> Strategy {
    Strategy {
        defaults: defaults::devices::claim_template,
        validate: claims::template,
        validate_update: claims::template_update,
        ..PLAIN
    }
}

/// `resource.k8s.io/v1 ResourceSlice`
#[must_use]
pub fn resource_slice() -> Strategy {
    Strategy {
        has_generation: true,
        defaults: defaults::devices::slice,
        prepare_create: prepare::first_generation,
        prepare_update: prepare::count_spec,
        columns: devices::SLICE,
        cells: devices::slice,
        field_names: &["spec.driver", "spec.nodeName"],
        fields: |object| {
            ["spec.driver", "spec.nodeName"]
                .into_iter()
                .zip(["/spec/driver", "/spec/nodeName"])
                .map(|(name, pointer)| (name, fields::text(object, pointer)))
                .collect()
        },
        validate: slices::slice,
        validate_update: slices::slice_update,
        ..Strategy::DEFAULT
    }
}
