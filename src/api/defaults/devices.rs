//! Devices and claims of them.

use serde_json::Value;

use super::{each, part, set};
use crate::meta;

/// A `ResourceClaim`'s defaults.
pub fn claim(object: &mut Value) {
    if let Some(spec) = part(object, "spec") {
        claim_spec(spec);
    }
}

/// A `ResourceClaimTemplate`'s defaults.
pub fn claim_template(object: &mut Value) {
    if let Some(spec) = part(object, "spec") {
        claim(spec);
    }
}

/// A `ResourceSlice`'s defaults: taints are of the time at which they came.
pub fn slice(object: &mut Value) {
    let Some(now) = meta::creation_timestamp(object).map(str::to_owned) else { return };
    let Some(spec) = part(object, "spec") else { return };
    for device in each(spec, "devices") {
        each(device, "taints").for_each(|taint| set(taint, "timeAdded", now.as_str()));
    }
}

fn claim_spec(spec: &mut Value) {
    let Some(devices) = part(spec, "devices") else { return };
    for request in each(devices, "requests") {
        if let Some(exactly) = part(request, "exactly") {
            wanted(exactly);
        }
        each(request, "firstAvailable").for_each(wanted);
    }
}

/// One device, unless it says otherwise.
fn wanted(wanted: &mut Value) {
    set(wanted, "allocationMode", "ExactCount");
    if wanted.get("allocationMode").is_some_and(|mode| mode == "ExactCount") {
        set(wanted, "count", 1);
    }
    each(wanted, "tolerations").for_each(|toleration| set(toleration, "operator", "Equal"));
}
