//! Which devices a claim got, and for whom.

use serde_json::{Value, json};

use super::super::checks::{conditions, immutable, label};
use super::super::field::{Error, ErrorList, Path};
use super::super::pod::affinity::node_selector;
use super::claims::{CONFIGS_MAX, configuration, reference, references};
use super::{driver_name, limited, limited_set, parameters, pool_name};
use crate::meta;
use crate::value::{has, list, part, text};

/// How many of each a status has at most, as upstream.
const RESERVED_MAX: usize = 256;
const RESULTS_MAX: usize = 32;
const CONDITIONS_MAX: usize = 8;
const INTERFACE_BYTES_MAX: usize = 256;
const HARDWARE_ADDRESS_BYTES_MAX: usize = 128;

/// What is wrong with a `ResourceClaim`'s changed status.
pub fn claim_status(new: &Value, old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let (path, status, old_status) = (Path::new("status"), part(new, "status"), part(old, "status"));
    let devices = part(part(new, "spec"), "devices");
    let (at, reserved) = (path.child("reservedFor"), list(status, "reservedFor"));
    for (index, consumer) in reserved.iter().enumerate() {
        for field in ["resource", "name", "uid"].into_iter().filter(|field| text(consumer, field).is_empty()) {
            errors.push(Error::required(at.index(index).child(field), ""));
        }
    }
    limited_set(&mut errors, &at, reserved.iter().map(|consumer| text(consumer, "uid")), "uid", Some(RESERVED_MAX));
    let allocation = part(status, "allocation");
    for (index, device) in list(status, "devices").iter().enumerate() {
        device_status(&mut errors, &path.child("devices").index(index), device, allocation);
    }
    if !reserved.is_empty() && allocation.is_null() {
        errors.push(Error::forbidden(&at, "may not be specified when `allocated` is not set"));
    } else if meta::deletion_timestamp(new).is_some()
        && reserved.iter().any(|consumer| !list(old_status, "reservedFor").contains(consumer))
    {
        let detail = "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set";
        errors.push(Error::forbidden(&at, detail));
    }
    let (at, old_allocation) = (path.child("allocation"), part(old_status, "allocation"));
    if !allocation.is_null() && !old_allocation.is_null() {
        immutable(&mut errors, &at, allocation, old_allocation);
    } else if !allocation.is_null() {
        allocated(&mut errors, &at, allocation, devices);
    }
    errors
}

/// What was given, for which request.
fn allocated(errors: &mut ErrorList, path: &Path, allocation: &Value, claimed: &Value) {
    let (at, devices) = (path.child("devices"), part(allocation, "devices"));
    let results = list(devices, "results");
    for (index, result) in results.iter().enumerate() {
        let path = at.child("results").index(index);
        reference(errors, &path.child("request"), text(result, "request"), claimed);
        device_id(errors, &path, result);
    }
    limited(errors, &at.child("results"), results.len(), RESULTS_MAX);
    let configs = list(devices, "config");
    for (index, config) in configs.iter().enumerate() {
        let path = at.child("config").index(index);
        let sources = ["FromClaim", "FromClass"];
        super::super::checks::one_of(errors, &path.child("source"), text(config, "source"), &sources);
        references(errors, &path.child("requests"), config, claimed);
        configuration(errors, &path, config);
    }
    limited(errors, &at.child("config"), configs.len(), 2 * CONFIGS_MAX);
    if has(allocation, "nodeSelector") {
        node_selector(errors, &path.child("nodeSelector"), part(allocation, "nodeSelector"));
    }
}

/// A device by its driver and pool.
fn device_id(errors: &mut ErrorList, path: &Path, device: &Value) {
    driver_name(errors, &path.child("driver"), text(device, "driver"));
    pool_name(errors, &path.child("pool"), text(device, "pool"));
    label(errors, &path.child("device"), text(device, "device"));
}

/// What a driver tells of a device that was given.
fn device_status(errors: &mut ErrorList, path: &Path, device: &Value, allocation: &Value) {
    device_id(errors, path, device);
    let id = |device: &Value| ["driver", "pool", "device"].map(|field| text(device, field).to_owned());
    let given = list(part(allocation, "devices"), "results");
    if !given.iter().any(|result| id(result) == id(device)) {
        let value = id(device).join("/");
        errors.push(Error::invalid(path, value, "must be an allocated device in the claim"));
    }
    let told = list(device, "conditions");
    limited(errors, &path.child("conditions"), told.len(), CONDITIONS_MAX);
    conditions(errors, &path.child("conditions"), told);
    let data = part(device, "data");
    if !data.is_null() && *data != json!({}) {
        parameters(errors, &path.child("data"), data);
    }
    let (path, network) = (path.child("networkData"), part(device, "networkData"));
    for (field, max) in [("interfaceName", INTERFACE_BYTES_MAX), ("hardwareAddress", HARDWARE_ADDRESS_BYTES_MAX)] {
        if text(network, field).len() > max {
            errors.push(Error::too_long(path.child(field), "", max));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::check;
    use super::*;

    #[test]
    fn what_was_given_stays_and_was_claimed() {
        let of = |status: Value| json!({"spec": {"devices": {"requests": [{"name": "a", "exactly": {}}]}}, "status": status});
        let result = json!({"request": "a", "driver": "d.example", "pool": "p", "device": "gpu-0"});
        let given = json!({"allocation": {"devices": {"results": [result]}}});
        check(&claim_status(&of(given.clone()), &of(json!({}))), &[]);
        let consumer = json!({"resource": "pods", "name": "p"});
        check(
            &claim_status(&of(json!({"reservedFor": [consumer]})), &of(json!({}))),
            &[
                "status.reservedFor[0].uid: Required value",
                "status.reservedFor: Forbidden: may not be specified when `allocated` is not set",
            ],
        );
        let mut other = given.clone();
        other["allocation"]["devices"]["results"][0]["device"] = json!("gpu-1");
        assert_eq!(claim_status(&of(other), &of(given)).len(), 1);
    }
}
