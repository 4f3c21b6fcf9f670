//! Volumes of the cluster, claims on them, what a namespace may use of them and of everything else.

use serde_json::{Value, json};

use super::prepare;
use crate::printers::{access, quotas, volumes};
use crate::scheme::Strategy;
use crate::value::{has, part, text};
use crate::{defaults, meta, validation};

/// `v1 PersistentVolume`
#[must_use]
pub fn persistent_volume() -> Strategy {
    Strategy {
        defaults: defaults::volumes::persistent_volume,
        prepare_create: new_volume,
        prepare_update: prepare::keep_status,
        prepare_status: prepare::keep_spec,
        stamp_status: |new, old, now| {
            let phase = |volume: &Value| text(part(volume, "status"), "phase").to_owned();
            if phase(new) != phase(old) {
                meta::set_at(new, "/status/lastPhaseTransitionTime", meta::time(now).into());
            }
        },
        columns: volumes::PERSISTENT_VOLUME,
        cells: volumes::persistent_volume,
        validate: validation::volumes::persistent_volume,
        validate_update: validation::volumes::persistent_volume_update,
        ..Strategy::DEFAULT
    }
}

/// `v1 PersistentVolumeClaim`
#[must_use]
pub fn persistent_volume_claim() -> Strategy {
    Strategy {
        defaults: defaults::volumes::claim,
        prepare_create: |claim| {
            claim["status"] = json!({"phase": "Pending"});
            same_data_sources(claim);
        },
        prepare_update: |new, old| {
            prepare::keep_status(new, old);
            same_data_sources(new);
        },
        prepare_status: prepare::keep_spec,
        columns: volumes::CLAIM,
        cells: volumes::claim,
        validate: validation::volumes::claim,
        validate_update: validation::volumes::claim_update,
        validate_status: validation::volumes::claim_status,
        ..Strategy::DEFAULT
    }
}

/// `v1 ResourceQuota`
#[must_use]
pub fn resource_quota() -> Strategy {
    Strategy {
        prepare_create: prepare::without_status,
        prepare_update: prepare::keep_status,
        prepare_status: prepare::keep_spec,
        columns: quotas::RESOURCE_QUOTA,
        cells: quotas::resource_quota,
        validate: validation::quotas::resource_quota,
        validate_update: validation::quotas::resource_quota_update,
        validate_status: validation::quotas::resource_quota_status,
        ..Strategy::DEFAULT
    }
}

/// `v1 LimitRange`
#[must_use]
pub fn limit_range() -> Strategy {
    Strategy {
        defaults: defaults::quotas::limit_range,
        columns: access::CREATED_AT,
        cells: access::created_at,
        allows_create_on_update: true,
        validate: validation::quotas::limit_range,
        validate_update: validation::quotas::limit_range_update,
        ..Strategy::DEFAULT
    }
}

fn new_volume(volume: &mut Value) {
    let created = meta::creation_timestamp(volume).map(Value::from);
    volume["status"] = json!({"phase": "Pending"});
    if let Some(created) = created {
        meta::set_at(volume, "/status/lastPhaseTransitionTime", created);
    }
}

/// A claim says in both fields where its first data comes from, unless that is in another namespace.
fn same_data_sources(claim: &mut Value) {
    let Some(spec) = claim.get_mut("spec").filter(|spec| spec.is_object()) else { return };
    match (has(spec, "dataSource"), has(spec, "dataSourceRef")) {
        (true, false) => spec["dataSourceRef"] = spec["dataSource"].clone(),
        (false, true) if text(&spec["dataSourceRef"], "namespace").is_empty() => {
            spec["dataSource"] = spec["dataSourceRef"].clone();
        }
        _ => {}
    }
}
