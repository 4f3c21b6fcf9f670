//! Checks that several kinds share, with upstream's messages. Each adds what it finds to a list.

use std::collections::HashSet;
use std::net::IpAddr;

use serde_json::Value;

use super::field::{Error, ErrorList, Path, quote};
use crate::names;
use crate::value::{entries, list, number, part, text, texts};

/// Largest number of a port.
const PORT_MAX: i64 = 65_535;
/// Bytes in the name of a port, by RFC 6335.
const PORT_NAME_BYTES_MAX: usize = 15;
/// Bytes of a condition's reason and of its message, as upstream.
const CONDITION_REASON_BYTES_MAX: usize = 1 << 10;
const CONDITION_MESSAGE_BYTES_MAX: usize = 32 << 10;
/// Largest bits of a file's mode.
const FILE_MODE_MAX: i64 = 0o777;

/// Protocols of ports, sorted as upstream lists them.
pub(super) const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];

/// Adds an error for each reason why a value is invalid.
pub(super) fn invalid_each(errors: &mut ErrorList, path: &Path, value: &str, reasons: Vec<String>) {
    errors.extend(reasons.into_iter().map(|reason| Error::invalid(path, value, reason)));
}

/// The value is a DNS label.
pub(super) fn label(errors: &mut ErrorList, path: &Path, value: &str) {
    invalid_each(errors, path, value, names::label(value));
}

/// The value is a DNS subdomain.
pub(super) fn subdomain(errors: &mut ErrorList, path: &Path, value: &str) {
    invalid_each(errors, path, value, names::subdomain(value));
}

/// The value is a name with or without a domain before it.
pub(super) fn qualified_name(errors: &mut ErrorList, path: &Path, value: &str) {
    invalid_each(errors, path, value, names::qualified_name(value));
}

/// The value is a domain of at least three parts.
pub(super) fn fully_qualified(errors: &mut ErrorList, path: &Path, value: &str) {
    let wrong = names::subdomain(value);
    if value.is_empty() {
        errors.push(Error::required(path, ""));
    } else if !wrong.is_empty() {
        errors.push(Error::invalid(path, value, wrong.join(",")));
    } else if value.split('.').count() < 3 {
        let detail = "should be a domain with at least three segments separated by dots";
        errors.push(Error::invalid(path, value, detail));
    }
}

/// Conditions of a status in today's form (`metav1.Condition`), one of each type.
pub(super) fn conditions(errors: &mut ErrorList, path: &Path, conditions: &[Value]) {
    let mut types = HashSet::new();
    for (index, condition) in conditions.iter().enumerate() {
        let (path, kind) = (path.index(index), text(condition, "type"));
        if !types.insert(kind) {
            errors.push(Error::duplicate(&path, kind));
        }
        if kind.is_empty() {
            errors.push(Error::required(path.child("type"), "is required"));
        } else {
            qualified_name(errors, &path.child("type"), kind);
        }
        one_of(errors, &path.child("status"), text(condition, "status"), &["False", "True", "Unknown"]);
        if let Some(generation) = number(condition, "observedGeneration").filter(|generation| *generation < 0) {
            let detail = "must be greater than or equal to zero";
            errors.push(Error::invalid(path.child("observedGeneration"), generation, detail));
        }
        if text(condition, "lastTransitionTime").is_empty() {
            errors.push(Error::required(path.child("lastTransitionTime"), ""));
        }
        condition_reason(errors, &path.child("reason"), text(condition, "reason"));
        if text(condition, "message").len() > CONDITION_MESSAGE_BYTES_MAX {
            errors.push(Error::too_long(path.child("message"), "", CONDITION_MESSAGE_BYTES_MAX));
        }
    }
}

fn condition_reason(errors: &mut ErrorList, path: &Path, reason: &str) {
    const MESSAGE: &str = "a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric characters or '_,:', and must end with an alphanumeric character or '_'";
    let is_word = |byte: u8| byte == b'_' || byte.is_ascii_alphanumeric();
    if reason.is_empty() {
        return errors.push(Error::required(path, ""));
    }
    let is_reason = reason.starts_with(|first: char| first.is_ascii_alphabetic())
        && reason.bytes().all(|byte| is_word(byte) || byte == b',' || byte == b':')
        && reason.bytes().next_back().is_some_and(is_word);
    if !is_reason {
        let examples = ["my_name", "MY_NAME", "MyName", "ReasonA,ReasonB", "ReasonA:ReasonB"];
        let detail = names::form(MESSAGE, "[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?", &examples);
        errors.push(Error::invalid(path, reason, detail));
    }
    if reason.len() > CONDITION_REASON_BYTES_MAX {
        errors.push(Error::too_long(path, "", CONDITION_REASON_BYTES_MAX));
    }
}

/// The map in `field` holds labels.
pub(super) fn labels(errors: &mut ErrorList, path: &Path, object: &Value, field: &str) {
    let path = path.child(field);
    for (key, value) in entries(object, field) {
        let value = value.as_str().unwrap_or_default();
        qualified_name(errors, &path, key);
        invalid_each(errors, &path, value, names::label_value(value));
    }
}

/// A label selector's expressions make sense; null is none.
pub(super) fn label_selector(errors: &mut ErrorList, path: &Path, selector: &Value) {
    labels(errors, path, selector, "matchLabels");
    for (index, expression) in list(selector, "matchExpressions").iter().enumerate() {
        let path = path.child("matchExpressions").index(index);
        selector_operator(errors, &path, expression);
        qualified_name(errors, &path.child("key"), text(expression, "key"));
        label_values(errors, &path, expression);
    }
}

/// The operator of an expression over labels, and whether it has the values that it needs.
fn selector_operator(errors: &mut ErrorList, path: &Path, expression: &Value) {
    let has_values = !list(expression, "values").is_empty();
    match text(expression, "operator") {
        "In" | "NotIn" if !has_values => {
            errors.push(Error::required(path.child("values"), "must be specified when `operator` is 'In' or 'NotIn'"));
        }
        "Exists" | "DoesNotExist" if has_values => {
            let detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
            errors.push(Error::forbidden(path.child("values"), detail));
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
        other => errors.push(Error::invalid(path.child("operator"), other, "not a valid selector operator")),
    }
}

/// The `values` of an expression are values that labels can have.
pub(super) fn label_values(errors: &mut ErrorList, path: &Path, expression: &Value) {
    for (index, value) in texts(expression, "values").enumerate() {
        for reason in names::label_value(value) {
            errors.push(Error::invalid(path.child("values").index(index), value, reason));
        }
    }
}

/// The requirement of a node selector on labels: like a label selector's, and two comparisons.
pub(super) fn node_requirement(errors: &mut ErrorList, path: &Path, requirement: &Value) {
    match text(requirement, "operator") {
        "Gt" | "Lt" if list(requirement, "values").len() != 1 => {
            let detail = "must be specified single value when `operator` is 'Lt' or 'Gt'";
            errors.push(Error::required(path.child("values"), detail));
        }
        "Gt" | "Lt" => {}
        _ => selector_operator(errors, path, requirement),
    }
    qualified_name(errors, &path.child("key"), text(requirement, "key"));
}

/// The value is set and one of those supported.
pub(super) fn one_of(errors: &mut ErrorList, path: &Path, value: &str, supported: &[&str]) {
    match value {
        "" => errors.push(Error::required(path, "")),
        value if supported.contains(&value) => {}
        value => errors.push(Error::not_supported(path, value, supported)),
    }
}

/// The number of a port.
pub(super) fn port_number(errors: &mut ErrorList, path: &Path, number: i64) {
    in_range(errors, path, number, 1, PORT_MAX);
}

/// A number between two others, both included.
pub(super) fn in_range(errors: &mut ErrorList, path: &Path, number: i64, first: i64, last: i64) {
    if !(first..=last).contains(&number) {
        errors.push(Error::invalid(path, number, format!("must be between {first} and {last}, inclusive")));
    }
}

/// A number that is not negative.
pub(super) fn non_negative(errors: &mut ErrorList, path: &Path, number: i64) {
    if number < 0 {
        errors.push(Error::invalid(path, number, "must be greater than or equal to 0"));
    }
}

/// A number that is not negative, or a part of a hundred such as `25%`; gives the number, of whichever.
pub(super) fn int_or_percent(errors: &mut ErrorList, path: &Path, value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => {
            let digits = text.strip_suffix('%').filter(|digits| !digits.is_empty());
            let percent = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
            if percent.is_none() {
                let detail = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')";
                errors.push(Error::invalid(path, text.as_str(), detail));
            }
            percent.map(|percent| percent.parse().unwrap_or(i64::MAX))
        }
        other => {
            let number = other.as_i64();
            non_negative(errors, path, number.unwrap_or(0));
            number
        }
    }
}

/// A number in `field` that is not negative, if it is set.
pub(super) fn count(errors: &mut ErrorList, path: &Path, object: &Value, field: &str) {
    if let Some(found) = number(object, field) {
        non_negative(errors, &path.child(field), found);
    }
}

/// A number of pods or a part of them, of which there is no more than all, where the field is there. Gives the number, of
/// whichever.
pub(super) fn share(errors: &mut ErrorList, path: &Path, object: &Value, field: &str) -> Option<i64> {
    let (path, value) = (path.child(field), part(object, field));
    if value.is_null() {
        return None;
    }
    let found = int_or_percent(errors, &path, value);
    if value.is_string() && found.is_some_and(|percent| percent > 100) {
        errors.push(Error::invalid(path, value.clone(), "must not be greater than 100%"));
    }
    found
}

/// A user or group, if one is set.
pub(super) fn identity(errors: &mut ErrorList, path: &Path, number: Option<i64>) {
    if let Some(number) = number {
        in_range(errors, path, number, 0, i64::from(i32::MAX));
    }
}

/// What is wrong with the name of a port.
pub(super) fn port_name(name: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if name.len() > PORT_NAME_BYTES_MAX {
        wrong.push(format!("must be no more than {PORT_NAME_BYTES_MAX} characters"));
    }
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
        wrong.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".to_owned());
    }
    if !name.bytes().any(|b| b.is_ascii_lowercase()) {
        wrong.push("must contain at least one letter (a-z)".to_owned());
    }
    if name.contains("--") {
        wrong.push("must not contain consecutive hyphens".to_owned());
    }
    if name.starts_with('-') || name.ends_with('-') {
        wrong.push("must not begin or end with a hyphen".to_owned());
    }
    wrong
}

/// A port by its number or its name; absent is number 0.
pub(super) fn port(errors: &mut ErrorList, path: &Path, port: &Value) {
    match port {
        Value::String(name) => invalid_each(errors, path, name, port_name(name)),
        other => port_number(errors, path, other.as_i64().unwrap_or(0)),
    }
}

/// An address.
pub(super) fn ip(errors: &mut ErrorList, path: &Path, value: &str) -> Option<IpAddr> {
    let address = value.parse().ok();
    if address.is_none() {
        let detail = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
        errors.push(Error::invalid(path, value, detail));
    }
    address
}

/// An address that an endpoint can have: not one that means something else on each machine.
pub(super) fn endpoint_ip(errors: &mut ErrorList, path: &Path, value: &str) {
    let Ok(address) = value.parse::<IpAddr>() else {
        errors.push(Error::invalid(path, value, "must be a valid IP address"));
        return;
    };
    let (is_link_local, is_link_local_multicast) = match address {
        IpAddr::V4(v4) => (v4.is_link_local(), v4.octets().starts_with(&[224, 0, 0])),
        IpAddr::V6(v6) => (v6.is_unicast_link_local(), v6.segments().first().is_some_and(|s| s & 0xff0f == 0xff02)),
    };
    if address.is_unspecified() {
        errors.push(Error::invalid(path, value, format!("may not be unspecified ({value})")));
    }
    if address.is_loopback() {
        errors.push(Error::invalid(path, value, "may not be in the loopback range (127.0.0.0/8, ::1/128)"));
    }
    if is_link_local {
        let detail = "may not be in the link-local range (169.254.0.0/16, fe80::/10)";
        errors.push(Error::invalid(path, value, detail));
    }
    if is_link_local_multicast {
        let detail = "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)";
        errors.push(Error::invalid(path, value, detail));
    }
}

/// A network with its prefix length.
pub(super) fn cidr(errors: &mut ErrorList, path: &Path, value: &str) -> Option<IpAddr> {
    let network = value.split_once('/').and_then(|(address, prefix)| {
        let address: IpAddr = address.parse().ok()?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let is_number = prefix.bytes().all(|byte| byte.is_ascii_digit());
        (is_number && prefix.parse::<u8>().ok()? <= bits).then_some(address)
    });
    if network.is_none() {
        let detail = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
        errors.push(Error::invalid(path, value, detail));
    }
    network
}

/// Whether the addresses are of both families, and no more than one of each.
pub(super) fn is_dual_stack(addresses: &[IpAddr]) -> bool {
    matches!(addresses, [one, other] if one.is_ipv4() != other.is_ipv4())
}

/// A value that no update changes.
pub(super) fn immutable(errors: &mut ErrorList, path: &Path, new: &Value, old: &Value) {
    if new != old {
        errors.push(Error::invalid(path, new.clone(), "field is immutable"));
    }
}

/// A file's mode, if it is set.
pub(super) fn file_mode(errors: &mut ErrorList, path: &Path, mode: Option<i64>) {
    if let Some(mode) = mode.filter(|mode| !(0..=FILE_MODE_MAX).contains(mode)) {
        errors.push(Error::invalid(path, mode, "must be a number between 0 and 0777 (octal), both inclusive"));
    }
}

/// A path that does not climb.
pub(super) fn no_backsteps(errors: &mut ErrorList, path: &Path, value: &str) {
    if value.split('/').any(|step| step == "..") {
        errors.push(Error::invalid(path, value, "must not contain '..'"));
    }
}

/// A path downwards from where it is used.
pub(super) fn descending_path(errors: &mut ErrorList, path: &Path, value: &str) {
    if value.starts_with('/') {
        errors.push(Error::invalid(path, value, "must be a relative path"));
    }
    no_backsteps(errors, path, value);
}

/// A path of a file in a volume that the node writes: names with two dots in front are its own.
pub(super) fn volume_file_path(errors: &mut ErrorList, path: &Path, value: &str) {
    descending_path(errors, path, value);
    if value.starts_with("..") && !value.starts_with("../") {
        errors.push(Error::invalid(path, value, "must not start with '..'"));
    }
}

/// The name of a signer: `example.com/name`.
pub(super) fn signer_name(errors: &mut ErrorList, path: &Path, name: &str) {
    const NAME_BYTES_MAX: usize = 2 * names::SUBDOMAIN_BYTES_MAX + names::LABEL_BYTES_MAX + 2;
    if name.is_empty() {
        errors.push(Error::required(path, ""));
        return;
    }
    let Some((domain, rest)) = name.split_once('/').filter(|(_, rest)| !rest.contains('/')) else {
        let detail = "must be a fully qualified domain and path of the form 'example.com/signer-name'";
        errors.push(Error::invalid(path, name, detail));
        return;
    };
    if domain.len() > names::SUBDOMAIN_BYTES_MAX {
        errors.push(Error::too_long(path, "", names::SUBDOMAIN_BYTES_MAX));
    }
    wrong_part(errors, path, domain, names::label);
    if !domain.contains('.') {
        let detail = "should be a domain with at least two segments separated by dots";
        errors.push(Error::invalid(path, domain, detail));
    }
    wrong_part(errors, path, rest, names::subdomain);
    if name.len() > NAME_BYTES_MAX {
        errors.push(Error::too_long(path, "", NAME_BYTES_MAX));
    }
}

/// The first part between dots that a check refuses.
fn wrong_part(errors: &mut ErrorList, path: &Path, whole: &str, check: fn(&str) -> Vec<String>) {
    let mut parts = whole.split('.').map(|part| (part, check(part)));
    if let Some((part, reasons)) = parts.find(|(_, reasons)| !reasons.is_empty()) {
        let detail = |reason| format!("validating label {}: {reason}", quote(part));
        errors.extend(reasons.into_iter().map(|reason: String| Error::invalid(path, whole, detail(reason))));
    }
}
