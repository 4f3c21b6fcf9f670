//! Servers that extend this one, as `k8s.io/kube-aggregator/pkg/apis/apiregistration/validation`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::checks::port_number;
use super::field::{Error, ErrorList, Path, quote};
use crate::meta;
use crate::names;
use crate::value::{flag, list, number, part, text};

const GROUP_PRIORITY_MAX: i64 = 20_000;
const VERSION_PRIORITY_MAX: i64 = 1000;
const INSECURE: &str = "insecureSkipTLSVerify";

/// What is wrong with an `APIService`.
pub fn api_service(object: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let (path, spec) = (Path::new("spec"), part(object, "spec"));
    let (group, version) = (text(spec, "group"), text(spec, "version"));
    let (name, wanted) = (meta::name(object), format!("{version}.{group}"));
    if names::path_segment(name).is_empty() && name != wanted {
        let detail = format!("must be `spec.version+\".\"+spec.group`: {}", quote(&wanted));
        errors.push(Error::invalid("metadata.name", name, detail));
    }
    let at = path.child("group");
    match (group, version) {
        ("", "v1") => {}
        ("", _) => {
            let detail = "only v1 may have an empty group and it better be legacy kube";
            errors.push(Error::required(at, detail));
        }
        _ => errors.extend(names::subdomain(group).into_iter().map(|reason| Error::invalid(&at, group, reason))),
    }
    let at = path.child("version");
    errors.extend(names::label_1035(version).into_iter().map(|reason| Error::invalid(&at, version, reason)));
    for (field, max) in [("groupPriorityMinimum", GROUP_PRIORITY_MAX), ("versionPriority", VERSION_PRIORITY_MAX)] {
        let found = number(spec, field).unwrap_or(0);
        if !(1..=max).contains(&found) {
            errors.push(Error::invalid(path.child(field), found, format!("must be positive and less than {max}")));
        }
    }
    let bundle = text(spec, "caBundle");
    if part(spec, "service").is_null() {
        if !bundle.is_empty() {
            let bytes = STANDARD.decode(bundle).map_or(0, |bytes| bytes.len());
            let detail = "local APIServices may not have a caBundle";
            errors.push(Error::invalid(path.child("caBundle"), format!("{bytes} bytes"), detail));
        }
        if flag(spec, INSECURE) {
            let detail = "local APIServices may not have insecureSkipTLSVerify";
            errors.push(Error::invalid(path.child(INSECURE), true, detail));
        }
        return errors;
    }
    service(&mut errors, &path.child("service"), part(spec, "service"));
    if flag(spec, INSECURE) && !bundle.is_empty() {
        errors.push(Error::invalid(path.child(INSECURE), true, "may not be true if caBundle is present"));
    }
    errors
}

/// What is wrong with a changed `APIService`.
pub fn api_service_update(new: &Value, _old: &Value) -> ErrorList {
    api_service(new)
}

/// What is wrong with an `APIService`'s changed status.
pub fn api_service_status(new: &Value, _old: &Value) -> ErrorList {
    const STATUSES: [&str; 3] = ["True", "False", "Unknown"];
    let mut errors = ErrorList::new();
    for (index, condition) in list(part(new, "status"), "conditions").iter().enumerate() {
        if !STATUSES.contains(&text(condition, "status")) {
            let at = Path::new("status").child("conditions").index(index).child("status");
            errors.push(Error::not_supported(at, text(condition, "status"), &STATUSES));
        }
    }
    errors
}

fn service(errors: &mut ErrorList, path: &Path, service: &Value) {
    for field in ["namespace", "name"] {
        if text(service, field).is_empty() {
            errors.push(Error::required(path.child(field), ""));
        }
    }
    let mut wrong = ErrorList::new();
    port_number(&mut wrong, &path.child("port"), number(service, "port").unwrap_or(0));
    for mut error in wrong {
        error.detail.insert_str(0, "port is not valid: ");
        errors.push(error);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::check;
    use super::*;

    #[test]
    fn a_service_is_named_by_what_it_serves() {
        let of = |name: &str, spec: Value| api_service(&json!({"metadata": {"name": name}, "spec": spec}));
        check(&of("v1.", json!({"version": "v1", "groupPriorityMinimum": 18000, "versionPriority": 1})), &[]);
        check(
            &of(
                "a",
                json!({"version": "v2", "insecureSkipTLSVerify": true, "groupPriorityMinimum": 1, "versionPriority": 1001}),
            ),
            &[
                "metadata.name: Invalid value: \"a\": must be `spec.version+\".\"+spec.group`: \"v2.\"",
                "spec.group: Required value: only v1 may have an empty group and it better be legacy kube",
                "spec.versionPriority: Invalid value: 1001: must be positive and less than 1000",
                "spec.insecureSkipTLSVerify: Invalid value: true: local APIServices may not have insecureSkipTLSVerify",
            ],
        );
        check(
            &of(
                "v1.a.b",
                json!({"version": "v1", "group": "a.b", "service": {"name": "s"}, "groupPriorityMinimum": 1, "versionPriority": 1}),
            ),
            &[
                "spec.service.namespace: Required value",
                "spec.service.port: Invalid value: 0: port is not valid: must be between 1 and 65535, inclusive",
            ],
        );
    }
}
