//! Who claims which devices, and classes of them.

use serde_json::Value;

use super::super::checks::{immutable, label, subdomain};
use super::super::field::{Error, ErrorList, Path};
use super::{attribute_name, driver_name, limited, limited_set, parameters, tolerations};
use crate::value::{has, list, number, part, text, texts};

/// How many of each a claim has at most, as upstream.
const REQUESTS_MAX: usize = 32;
const CONSTRAINTS_MAX: usize = 32;
pub(super) const CONFIGS_MAX: usize = 32;
const SELECTORS_MAX: usize = 32;
const ALTERNATIVES_MAX: usize = 8;
const EXPRESSION_BYTES_MAX: usize = 10 << 10;

/// What is wrong with a `ResourceClaim`.
pub fn claim(object: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    spec(&mut errors, &Path::new("spec"), part(object, "spec"));
    errors
}

/// What is wrong with a changed `ResourceClaim`.
pub fn claim_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    immutable(&mut errors, &Path::new("spec"), part(new, "spec"), part(old, "spec"));
    errors.extend(claim(new));
    errors
}

/// What is wrong with a `ResourceClaimTemplate`.
pub fn template(object: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let (path, template) = (Path::new("spec"), part(object, "spec"));
    super::super::checks::labels(&mut errors, &path.child("metadata"), part(template, "metadata"), "labels");
    spec(&mut errors, &path.child("spec"), part(template, "spec"));
    errors
}

/// What is wrong with a changed `ResourceClaimTemplate`.
pub fn template_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    immutable(&mut errors, &Path::new("spec"), part(new, "spec"), part(old, "spec"));
    errors.extend(template(new));
    errors
}

/// What is wrong with a `DeviceClass`.
pub fn class(object: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let (path, spec) = (Path::new("spec"), part(object, "spec"));
    selectors(&mut errors, &path, spec);
    let configs = list(spec, "config");
    for (index, config) in configs.iter().enumerate() {
        configuration(&mut errors, &path.child("config").index(index), config);
    }
    limited(&mut errors, &path.child("config"), configs.len(), CONFIGS_MAX);
    errors
}

/// What is wrong with a changed `DeviceClass`.
pub fn class_update(new: &Value, _old: &Value) -> ErrorList {
    class(new)
}

fn spec(errors: &mut ErrorList, path: &Path, spec: &Value) {
    let (path, devices) = (path.child("devices"), part(spec, "devices"));
    let (at, requests) = (path.child("requests"), list(devices, "requests"));
    for (index, found) in requests.iter().enumerate() {
        request(errors, &at.index(index), found);
    }
    limited_set(errors, &at, requests.iter().map(|request| text(request, "name")), "name", Some(REQUESTS_MAX));
    let (at, constraints) = (path.child("constraints"), list(devices, "constraints"));
    for (index, constraint) in constraints.iter().enumerate() {
        let path = at.index(index);
        references(errors, &path.child("requests"), constraint, devices);
        let at = path.child("matchAttribute");
        match (text(constraint, "matchAttribute"), has(constraint, "distinctAttribute")) {
            ("", true) => {}
            ("", false) => errors.push(Error::required(at, "")),
            (name, _) => {
                attribute_name(errors, &at, name);
                if !name.contains('/') {
                    errors.push(Error::invalid(at, name, "must include a domain"));
                }
            }
        }
    }
    limited(errors, &at, constraints.len(), CONSTRAINTS_MAX);
    let (at, configs) = (path.child("config"), list(devices, "config"));
    for (index, config) in configs.iter().enumerate() {
        let path = at.index(index);
        references(errors, &path.child("requests"), config, devices);
        configuration(errors, &path, config);
    }
    limited(errors, &at, configs.len(), CONFIGS_MAX);
}

/// A request is of one sort of devices, or of the first of several that there is.
fn request(errors: &mut ErrorList, path: &Path, request: &Value) {
    label(errors, &path.child("name"), text(request, "name"));
    let (at, alternatives) = (path.child("firstAvailable"), list(request, "firstAvailable"));
    for (index, alternative) in alternatives.iter().enumerate() {
        let path = at.index(index);
        label(errors, &path.child("name"), text(alternative, "name"));
        wanted(errors, &path, alternative);
    }
    limited_set(errors, &at, alternatives.iter().map(|one| text(one, "name")), "name", Some(ALTERNATIVES_MAX));
    if has(request, "exactly") {
        wanted(errors, &path.child("exactly"), part(request, "exactly"));
    }
    let detail = "exactly one of `exactly` or `firstAvailable` is required";
    match (has(request, "exactly"), alternatives.is_empty()) {
        (false, true) => errors.push(Error::required(path, detail)),
        (true, false) => {
            errors.push(Error::invalid(path, Value::Null, format!("{detail}, but multiple fields are set")));
        }
        _ => {}
    }
}

/// Devices of a class, so many of those that are meant.
fn wanted(errors: &mut ErrorList, path: &Path, wanted: &Value) {
    let (at, class) = (path.child("deviceClassName"), text(wanted, "deviceClassName"));
    if class.is_empty() {
        errors.push(Error::required(at, ""));
    } else {
        subdomain(errors, &at, class);
    }
    selectors(errors, path, wanted);
    let (at, count) = (path.child("count"), number(wanted, "count").unwrap_or(0));
    match text(wanted, "allocationMode") {
        "All" if count != 0 => {
            errors.push(Error::invalid(at, count, "must not be specified when allocationMode is 'All'"));
        }
        "All" => {}
        "ExactCount" if count <= 0 => errors.push(Error::invalid(at, count, "must be greater than zero")),
        "ExactCount" => {}
        other => {
            let at = path.child("allocationMode");
            errors.push(Error::not_supported(at, other, &["All", "ExactCount"]));
        }
    }
    tolerations(errors, path, wanted);
}

fn selectors(errors: &mut ErrorList, path: &Path, object: &Value) {
    let (at, selectors) = (path.child("selectors"), list(object, "selectors"));
    for (index, selector) in selectors.iter().enumerate() {
        let at = at.index(index).child("cel");
        if has(selector, "cel") {
            expression(errors, &at.child("expression"), text(part(selector, "cel"), "expression"));
        } else {
            errors.push(Error::required(at, ""));
        }
    }
    limited(errors, &at, selectors.len(), SELECTORS_MAX);
}

/// Which devices are meant: a condition in CEL over a device.
fn expression(errors: &mut ErrorList, path: &Path, expression: &str) {
    if expression.len() > EXPRESSION_BYTES_MAX {
        errors.push(Error::too_long(path, "", EXPRESSION_BYTES_MAX));
    }
}

/// What a driver is told.
pub(super) fn configuration(errors: &mut ErrorList, path: &Path, config: &Value) {
    let (path, opaque) = (path.child("opaque"), part(config, "opaque"));
    if opaque.is_null() {
        return errors.push(Error::required(path, ""));
    }
    driver_name(errors, &path.child("driver"), text(opaque, "driver"));
    parameters(errors, &path.child("parameters"), part(opaque, "parameters"));
}

/// The requests that are meant, by name, each of the claim.
pub(super) fn references(errors: &mut ErrorList, path: &Path, object: &Value, devices: &Value) {
    for (index, name) in texts(object, "requests").enumerate() {
        reference(errors, &path.index(index), name, devices);
    }
    limited_set(errors, path, texts(object, "requests"), "", Some(REQUESTS_MAX));
}

/// The name of a request, or of one of its alternatives behind a slash.
pub(super) fn reference(errors: &mut ErrorList, path: &Path, name: &str, devices: &Value) {
    const DETAIL: &str =
        "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'";
    if name.matches('/').count() > 1 {
        return errors.push(Error::invalid(path, name, DETAIL));
    }
    name.split('/').for_each(|part| label(errors, path, part));
    let (request, alternative) = name.split_once('/').map_or((name, None), |(name, rest)| (name, Some(rest)));
    let found = list(devices, "requests").iter().find(|known| text(known, "name") == request);
    let is_known = found.is_some_and(|found| {
        let names = |wanted| list(found, "firstAvailable").iter().any(|one| text(one, "name") == wanted);
        alternative.is_none_or(names)
    });
    if !is_known {
        errors.push(Error::invalid(path, name, DETAIL));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::testing::check;
    use super::*;

    #[test]
    fn a_claim_says_which_devices() {
        let exactly = json!({"deviceClassName": "gpu.example", "allocationMode": "ExactCount", "count": 1});
        let of = |devices: Value| claim(&json!({"spec": {"devices": devices}}));
        check(&of(json!({"requests": [{"name": "a", "exactly": exactly}]})), &[]);
        check(
            &of(json!({"requests": [{"name": "a"}, {"name": "a", "exactly": {"allocationMode": "All", "count": 2}}],
                "constraints": [{"requests": ["b"], "matchAttribute": "x"}], "config": [{"requests": ["a"]}]})),
            &[
                "spec.devices.requests[0]: Required value: exactly one of `exactly` or `firstAvailable` is required",
                "spec.devices.requests[1].exactly.deviceClassName: Required value",
                "spec.devices.requests[1].exactly.count: Invalid value: 2: must not be specified when allocationMode is 'All'",
                "spec.devices.requests[1].name: Duplicate value: \"a\"",
                "spec.devices.constraints[0].requests[0]: Invalid value: \"b\": must be the name of a request in the claim or the name of a request and a subrequest separated by '/'",
                "spec.devices.constraints[0].matchAttribute: Invalid value: \"x\": must include a domain",
                "spec.devices.config[0].opaque: Required value",
            ],
        );
        let first =
            json!({"name": "a", "firstAvailable": [{"name": "b", "deviceClassName": "c", "allocationMode": "All"}]});
        check(
            &of(json!({"requests": [first], "constraints": [{"requests": ["a/b"], "matchAttribute": "d.example/x"}]})),
            &[],
        );
        let old = json!({"spec": {"devices": {}}});
        let errors = claim_update(&json!({"spec": {}}), &old);
        check(&errors, &["spec: Invalid value: {}: field is immutable"]);
    }

    #[test]
    fn a_class_selects_and_configures() {
        check(
            &class(
                &json!({"spec": {"selectors": [{}], "config": [{"opaque": {"driver": "d.example", "parameters": 5}}]}}),
            ),
            &[
                "spec.selectors[0].cel: Required value",
                "spec.config[0].opaque.parameters: Invalid value: \"<value omitted>\": parameters must be a valid JSON object",
            ],
        );
    }
}
