//! Variables of containers, and the selectors of fields and resources that volumes use, too.

use serde_json::Value;

use crate::names;
use crate::validation::checks::{invalid_each, qualified_name, subdomain};
use crate::validation::field::{Error, ErrorList, Path};
use crate::value::{has, part, text};

/// Fields of a pod that variables can hold, sorted as upstream lists them.
const FIELDS: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];
/// Fields that have a name; which of them can be had depends on where they shall stand.
const NAMED_FIELDS: [&str; 6] = [
    "metadata.annotations",
    "metadata.labels",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.terminationGracePeriodSeconds",
    "status.phase",
];
/// Resources of containers that can be read, sorted as upstream lists them.
const RESOURCES: [&str; 6] = [
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];
/// What memory and storage can be counted in.
const BYTE_DIVISORS: [&str; 13] = ["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];

/// Where the value of a variable can come from.
const SOURCES: [&str; 4] = ["fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef"];

/// What is wrong with the variables of a container.
pub(super) fn check(errors: &mut ErrorList, path: &Path, variables: &[Value]) {
    for (index, variable) in variables.iter().enumerate() {
        let (path, name) = (path.index(index), text(variable, "name"));
        match name {
            "" => errors.push(Error::required(path.child("name"), "")),
            name => invalid_each(errors, &path.child("name"), name, names::variable(name)),
        }
        if has(variable, "valueFrom") {
            value_from(errors, &path.child("valueFrom"), variable);
        }
    }
}

fn value_from(errors: &mut ErrorList, path: &Path, variable: &Value) {
    let from = part(variable, "valueFrom");
    if has(from, "fieldRef") {
        field_selector(errors, &path.child("fieldRef"), part(from, "fieldRef"), &FIELDS);
    }
    if has(from, "resourceFieldRef") {
        resource_selector(errors, &path.child("resourceFieldRef"), part(from, "resourceFieldRef"));
    }
    for kind in ["configMapKeyRef", "secretKeyRef"].into_iter().filter(|kind| has(from, kind)) {
        key_selector(errors, &path.child(kind), part(from, kind));
    }
    let is_from = SOURCES.iter().filter(|kind| has(from, kind)).count();
    let detail = match is_from {
        0 => "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`",
        _ if !text(variable, "value").is_empty() => "may not be specified when `value` is not empty",
        1 => return,
        _ => "may not have more than one field specified at a time",
    };
    errors.push(Error::invalid(path, "", detail));
}

/// What is wrong with the objects that a container takes all variables of. As upstream, the error of an entry with no
/// source or too many does not say which.
pub(super) fn check_from(errors: &mut ErrorList, path: &Path, sources: &[Value]) {
    for (index, source) in sources.iter().enumerate() {
        let (at, prefix) = (path.index(index), text(source, "prefix"));
        if !prefix.is_empty() {
            invalid_each(errors, &at.child("prefix"), prefix, names::variable(prefix));
        }
        let kinds = ["configMapRef", "secretRef"].into_iter().filter(|kind| has(source, kind));
        for kind in kinds.clone() {
            let path = at.child(kind).child("name");
            match text(part(source, kind), "name") {
                "" => errors.push(Error::required(path, "")),
                name => subdomain(errors, &path, name),
            }
        }
        match kinds.count() {
            0 => errors.push(Error::invalid(path, "", "must specify one of: `configMapRef` or `secretRef`")),
            1 => {}
            _ => errors.push(Error::invalid(path, "", "may not have more than one field specified at a time")),
        }
    }
}

fn key_selector(errors: &mut ErrorList, path: &Path, selector: &Value) {
    subdomain(errors, &path.child("name"), text(selector, "name"));
    match text(selector, "key") {
        "" => errors.push(Error::required(path.child("key"), "")),
        key => invalid_each(errors, &path.child("key"), key, names::config_key(key)),
    }
}

/// A field of the pod, one of `supported` or a single label or annotation.
pub(super) fn field_selector(errors: &mut ErrorList, path: &Path, selector: &Value, supported: &[&str]) {
    let (version, field) = (text(selector, "apiVersion"), text(selector, "fieldPath"));
    if let Some(missing) = ["apiVersion", "fieldPath"].into_iter().find(|name| text(selector, name).is_empty()) {
        errors.push(Error::required(path.child(missing), ""));
        return;
    }
    let field_path = path.child("fieldPath");
    let unknown = |why: String| Error::invalid(&field_path, field, format!("error converting fieldPath: {why}"));
    if version != "v1" {
        errors.push(unknown(format!("unsupported pod version: {version}")));
        return;
    }
    match subscript(field) {
        Some(("metadata.annotations", key)) => qualified_name(errors, path, &key.to_lowercase()),
        Some(("metadata.labels", key)) => qualified_name(errors, path, key),
        Some(_) => errors.push(unknown(format!("field label does not support subscript: {field}"))),
        None if !FIELDS.contains(&field) && !NAMED_FIELDS.contains(&field) => {
            errors.push(unknown(format!("field label not supported: {field}")));
        }
        None if !supported.contains(&field) => {
            errors.push(Error::not_supported(&field_path, field, supported));
        }
        None => {}
    }
}

/// `metadata.labels['key']` as the map and the key.
fn subscript(field: &str) -> Option<(&str, &str)> {
    field.strip_suffix("']")?.split_once("['").filter(|(map, _)| !map.is_empty())
}

/// A resource of a container, and what it is counted in.
pub(super) fn resource_selector(errors: &mut ErrorList, path: &Path, selector: &Value) {
    let resource = text(selector, "resource");
    let is_huge_pages = ["limits.hugepages-", "requests.hugepages-"].iter().any(|prefix| resource.starts_with(prefix));
    if resource.is_empty() {
        errors.push(Error::required(path.child("resource"), ""));
    } else if !RESOURCES.contains(&resource) && !is_huge_pages {
        errors.push(Error::not_supported(path.child("resource"), resource, &RESOURCES));
    }
    let divisor = text(selector, "divisor");
    if matches!(divisor, "" | "0") {
        return;
    }
    let (supported, what): (&[&str], &str) = match resource.split_once('.').map_or("", |(_, name)| name) {
        "cpu" => (&["1m", "1"], "cpu"),
        "memory" => (&BYTE_DIVISORS, "memory"),
        "ephemeral-storage" => (&BYTE_DIVISORS, "local ephemeral storage"),
        _ if is_huge_pages => (&BYTE_DIVISORS, "hugepages"),
        _ => return,
    };
    if !supported.contains(&divisor) {
        let listed = if what == "cpu" { supported.join(" and ") } else { supported.join(", ") };
        let detail = format!("only divisor's values {listed} are supported with the {what} resource");
        errors.push(Error::invalid(path.child("divisor"), resource, detail));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::validation::testing;

    #[track_caller]
    fn check_variable(variable: Value, expected: &[&str]) {
        let mut errors = ErrorList::new();
        check(&mut errors, &Path::new("e"), &[variable]);
        testing::check(&errors, expected);
    }

    #[test]
    fn a_variable_has_a_name_and_one_value() {
        check_variable(json!({"name": "A b", "value": "x"}), &[]);
        check_variable(json!({"value": "x"}), &["e[0].name: Required value"]);
        check_variable(
            json!({"name": "A="}),
            &[
                "e[0].name: Invalid value: \"A=\": a valid environment variable name must consist only of printable ASCII characters other than '='",
            ],
        );
        check_variable(
            json!({"name": "A", "value": "x", "valueFrom": {"secretKeyRef": {"name": "s"}}}),
            &[
                "e[0].valueFrom.secretKeyRef.key: Required value",
                "e[0].valueFrom: Invalid value: \"\": may not be specified when `value` is not empty",
            ],
        );
        check_variable(
            json!({"name": "A", "valueFrom": {}}),
            &[
                "e[0].valueFrom: Invalid value: \"\": must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`",
            ],
        );
    }

    #[test]
    fn fields_are_those_that_upstream_gives_to_variables() {
        let field =
            |path: &str| json!({"name": "A", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}});
        for good in ["status.podIP", "metadata.labels['a/b']", "metadata.annotations['A']"] {
            check_variable(field(good), &[]);
        }
        check_variable(
            field("spec.x"),
            &[
                "e[0].valueFrom.fieldRef.fieldPath: Invalid value: \"spec.x\": error converting fieldPath: field label not supported: spec.x",
            ],
        );
        check_variable(
            field("metadata.labels"),
            &[
                "e[0].valueFrom.fieldRef.fieldPath: Unsupported value: \"metadata.labels\": supported values: \"metadata.name\", \"metadata.namespace\", \"metadata.uid\", \"spec.nodeName\", \"spec.serviceAccountName\", \"status.hostIP\", \"status.hostIPs\", \"status.podIP\", \"status.podIPs\"",
            ],
        );
        let resource = json!({"resource": "limits.cpu", "divisor": "1k"});
        check_variable(
            json!({"name": "A", "valueFrom": {"resourceFieldRef": resource}}),
            &[
                "e[0].valueFrom.resourceFieldRef.divisor: Invalid value: \"limits.cpu\": only divisor's values 1m and 1 are supported with the cpu resource",
            ],
        );
    }

    #[test]
    fn all_variables_of_an_object_come_from_one() {
        let mut errors = ErrorList::new();
        let sources = json!([{"configMapRef": {"name": "a"}}, {"secretRef": {}}, {"prefix": "a="}]);
        check_from(&mut errors, &Path::new("f"), sources.as_array().unwrap());
        testing::check(
            &errors,
            &[
                "f[1].secretRef.name: Required value",
                "f[2].prefix: Invalid value: \"a=\": a valid environment variable name must consist only of printable ASCII characters other than '='",
                "f: Invalid value: \"\": must specify one of: `configMapRef` or `secretRef`",
            ],
        );
    }
}
