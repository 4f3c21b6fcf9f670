//! What drivers offer.

use serde_json::Value;

use super::super::checks::{immutable, label, subdomain};
use super::super::field::{Error, ErrorList, Path};
use super::super::pod::affinity::node_selector;
use super::{attribute_name, driver_name, limited_set, pool_name, taints};
use crate::value::{entries, flag, has, list, number, part, text};

/// How many of each a slice has at most, as upstream.
const DEVICES_MAX: usize = 128;
const COUNTER_SETS_MAX: usize = 8;
const ATTRIBUTES_MAX: usize = 32;
const VALUE_BYTES_MAX: usize = 64;

/// What is wrong with a `ResourceSlice`.
pub fn slice(object: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let (path, spec) = (Path::new("spec"), part(object, "spec"));
    driver_name(&mut errors, &path.child("driver"), text(spec, "driver"));
    let (at, pool) = (path.child("pool"), part(spec, "pool"));
    pool_name(&mut errors, &at.child("name"), text(pool, "name"));
    let slices = number(pool, "resourceSliceCount").unwrap_or(0);
    if slices <= 0 {
        errors.push(Error::invalid(at.child("resourceSliceCount"), slices, "must be greater than zero"));
    }
    if let Some(generation) = number(pool, "generation").filter(|generation| *generation < 0) {
        let detail = "must be greater than or equal to zero";
        errors.push(Error::invalid(at.child("generation"), generation, detail));
    }
    nodes(&mut errors, &path, spec);
    let (at, devices) = (path.child("devices"), list(spec, "devices"));
    for (index, found) in devices.iter().enumerate() {
        device(&mut errors, &at.index(index), found);
    }
    limited_set(&mut errors, &at, devices.iter().map(|device| text(device, "name")), "name", Some(DEVICES_MAX));
    let (at, counters) = (path.child("sharedCounters"), list(spec, "sharedCounters"));
    for (index, set) in counters.iter().enumerate() {
        label(&mut errors, &at.index(index).child("name"), text(set, "name"));
        if !has(set, "counters") {
            errors.push(Error::required(at.index(index).child("counters"), ""));
        }
    }
    limited_set(&mut errors, &at, counters.iter().map(|set| text(set, "name")), "name", Some(COUNTER_SETS_MAX));
    errors
}

/// What is wrong with a changed `ResourceSlice`.
pub fn slice_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = slice(new);
    let path = Path::new("spec");
    let (new, old) = (part(new, "spec"), part(old, "spec"));
    let name = |spec| part(part(spec, "pool"), "name");
    immutable(&mut errors, &path.child("pool").child("name"), name(new), name(old));
    for field in ["driver", "nodeName"] {
        immutable(&mut errors, &path.child(field), part(new, field), part(old, field));
    }
    errors
}

/// The nodes that reach the devices are told in one way.
fn nodes(errors: &mut ErrorList, path: &Path, spec: &Value) {
    const DETAIL: &str = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required";
    let mut told = Vec::new();
    let name = text(spec, "nodeName");
    if !name.is_empty() {
        told.push("`nodeName`");
        subdomain(errors, &path.child("nodeName"), name);
    }
    if has(spec, "nodeSelector") {
        told.push("`nodeSelector`");
        let (at, selector) = (path.child("nodeSelector"), part(spec, "nodeSelector"));
        node_selector(errors, &at, selector);
        let terms = list(selector, "nodeSelectorTerms");
        if terms.len() != 1 {
            let at = at.child("nodeSelectorTerms");
            errors.push(Error::invalid(at, terms.to_vec(), "must have exactly one node selector term"));
        }
    }
    told.extend(flag(spec, "allNodes").then_some("`allNodes`"));
    told.extend(flag(spec, "perDeviceNodeSelection").then_some("`perDeviceNodeSelection`"));
    match told.len() {
        0 => errors.push(Error::required(path, DETAIL)),
        1 => {}
        _ => {
            let detail = format!("{DETAIL}, but multiple fields are set");
            errors.push(Error::invalid(path, format!("{{{}}}", told.join(", ")), detail));
        }
    }
}

fn device(errors: &mut ErrorList, path: &Path, device: &Value) {
    label(errors, &path.child("name"), text(device, "name"));
    for (name, value) in entries(device, "attributes") {
        let at = path.child("attributes").key(name);
        attribute_name(errors, &at, name);
        attribute(errors, &at, value);
    }
    for (name, _) in entries(device, "capacity") {
        attribute_name(errors, &path.child("capacity").key(name), name);
    }
    let count = entries(device, "attributes").count() + entries(device, "capacity").count();
    if count > ATTRIBUTES_MAX {
        let detail = format!("the total number of attributes and capacities must not exceed {ATTRIBUTES_MAX}");
        errors.push(Error::invalid(path, count, detail));
    }
    taints(errors, &path.child("taints"), list(device, "taints"));
}

/// An attribute has one value of one type.
fn attribute(errors: &mut ErrorList, path: &Path, attribute: &Value) {
    const TYPES: [&str; 8] = ["bool", "int", "string", "version", "bools", "ints", "strings", "versions"];
    for field in ["string", "version"] {
        let (at, value) = (path.child(field), text(attribute, field));
        if field == "version" && has(attribute, field) && !is_version(value) {
            errors.push(Error::invalid(&at, value, "must be a string compatible with semver.org spec 2.0.0"));
        }
        if value.len() > VALUE_BYTES_MAX {
            errors.push(Error::too_long(at, "", VALUE_BYTES_MAX));
        }
    }
    match TYPES.iter().filter(|field| has(attribute, field)).count() {
        0 => errors.push(Error::required(path, "exactly one value must be specified")),
        1 => {}
        _ => errors.push(Error::invalid(path, attribute.clone(), "exactly one value must be specified")),
    }
}

/// Whether it is a version by semver.org.
fn is_version(text: &str) -> bool {
    let is_number = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()) && (part == "0" || !part.starts_with('0'))
    };
    let is_word =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte == b'-' || byte.is_ascii_alphanumeric());
    let (text, build) = text.split_once('+').map_or((text, None), |(text, build)| (text, Some(build)));
    let (core, before) = text.split_once('-').map_or((text, None), |(core, before)| (core, Some(before)));
    let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    core.split('.').count() == 3
        && core.split('.').all(is_number)
        && before
            .is_none_or(|before| before.split('.').all(|part| is_word(part) && (!is_digits(part) || is_number(part))))
        && build.is_none_or(|build| build.split('.').all(is_word))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::testing::check;
    use super::*;

    #[test]
    fn a_slice_says_where_its_devices_are() {
        let of = |more: Value| {
            let mut spec = json!({"driver": "d.example", "pool": {"name": "p", "resourceSliceCount": 1}});
            if let (Value::Object(spec), Value::Object(more)) = (&mut spec, more) {
                spec.extend(more);
            }
            slice(&json!({"spec": spec}))
        };
        let device =
            json!({"name": "gpu-0", "attributes": {"model": {"string": "x"}, "d.example/v": {"version": "1.2.3-a.1"}}});
        check(&of(json!({"nodeName": "n", "devices": [device]})), &[]);
        check(
            &of(json!({"nodeName": "n", "allNodes": true, "devices": [{"name": "a",
                "attributes": {"v": {"version": "01.2.3"}, "1x": {}}, "taints": [{"key": "k", "effect": "Odd"}]}]})),
            &[
                "spec: Invalid value: \"{`nodeName`, `allNodes`}\": exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required, but multiple fields are set",
                "spec.devices[0].attributes[1x]: Invalid value: \"1x\": a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric characters or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName', regex used for validation is '[A-Za-z_][A-Za-z0-9_]*')",
                "spec.devices[0].attributes[1x]: Required value: exactly one value must be specified",
                "spec.devices[0].attributes[v].version: Invalid value: \"01.2.3\": must be a string compatible with semver.org spec 2.0.0",
                "spec.devices[0].taints[0].effect: Unsupported value: \"Odd\": supported values: \"NoExecute\", \"NoSchedule\"",
            ],
        );
        check(
            &of(json!({})),
            &[
                "spec: Required value: exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required",
            ],
        );
    }
}
