//! A service's own addresses: their families, their number, and what of them may change.

use std::net::IpAddr;

use serde_json::Value;

use crate::services::{Kind, is_headless};
use crate::validation::checks::{ip, is_dual_stack};
use crate::validation::field::{Error, ErrorList, Path};
use crate::value::{has, part, text, texts};

/// How many addresses a service has at most: one of each family.
const ADDRESSES_MAX: usize = 2;

const FIXED: &str = "may not change once set";

/// What is wrong with the addresses, families and policy of a service.
pub(crate) fn check(errors: &mut ErrorList, service: &Value) {
    if Kind::of(service) == Kind::ExternalName {
        return;
    }
    let (path, spec) = (Path::new("spec"), part(service, "spec"));
    let addresses_path = path.child("clusterIPs");
    let all = part(spec, "clusterIPs");
    let addresses: Vec<&str> = texts(spec, "clusterIPs").collect();
    match (text(spec, "clusterIP"), addresses.first()) {
        ("", Some(_)) => {
            let detail = "must be empty when `clusterIP` is not specified";
            errors.push(Error::invalid(&addresses_path, all.clone(), detail));
        }
        ("", None) => {}
        (_, None) => errors.push(Error::required(&addresses_path, "")),
        (one, Some(first)) if one != *first => {
            errors.push(Error::invalid(&addresses_path, all.clone(), "first value must match `clusterIP`"));
        }
        (_, Some(_)) => {}
    }
    let families: Vec<&str> = texts(spec, "ipFamilies").collect();
    for (index, family) in families.iter().enumerate() {
        let path = path.child("ipFamilies").index(index);
        if !["IPv4", "IPv6"].contains(family) {
            errors.push(Error::not_supported(&path, *family, &["IPv4", "IPv6"]));
        }
        if families.iter().take(index).any(|other| other == family) {
            errors.push(Error::duplicate(path, *family));
        }
    }
    let policies = ["PreferDualStack", "RequireDualStack", "SingleStack"];
    let policy = text(spec, "ipFamilyPolicy");
    if has(spec, "ipFamilyPolicy") && !policies.contains(&policy) {
        errors.push(Error::not_supported(path.child("ipFamilyPolicy"), policy, &policies));
    }
    if let Some(parsed) = parse_all(errors, &addresses_path, all, &addresses) {
        check_families(errors, &addresses_path, all, &parsed, &families);
    }
}

/// The addresses, if they can be read; none for a headless service.
fn parse_all(errors: &mut ErrorList, path: &Path, all: &Value, addresses: &[&str]) -> Option<Vec<IpAddr>> {
    let count_before = errors.len();
    let is_none = addresses.first() == Some(&"None");
    if is_none && addresses.len() > 1 {
        errors.push(Error::invalid(path, all.clone(), "'None' must be the first and only value"));
    }
    let skipped = usize::from(is_none);
    let mut parsed = Vec::new();
    for (index, address) in addresses.iter().enumerate().skip(skipped) {
        parsed.extend(ip(errors, &path.index(index), address));
    }
    let is_readable = errors.len() == count_before;
    if addresses.len() > ADDRESSES_MAX {
        errors.push(Error::invalid(path, all.clone(), "may only hold up to 2 values"));
    }
    is_readable.then_some(parsed)
}

/// The addresses are of the families that stand at their places.
fn check_families(errors: &mut ErrorList, path: &Path, all: &Value, addresses: &[IpAddr], families: &[&str]) {
    if addresses.len() > 1 && !is_dual_stack(addresses) {
        errors.push(Error::invalid(path, all.clone(), "may specify no more than one IP for each IP family"));
    }
    for (index, (address, family)) in addresses.iter().zip(families).enumerate() {
        if matches!((address, *family), (IpAddr::V6(_), "IPv4") | (IpAddr::V4(_), "IPv6")) {
            let detail = format!("expected an {family} value as indicated by `ipFamilies[{index}]`");
            errors.push(Error::invalid(path.index(index), address.to_string(), detail));
        }
    }
}

/// What is wrong with changed addresses and families: the first stays, the second may come and go with the policy.
pub(super) fn check_change(errors: &mut ErrorList, new: &Value, old: &Value) {
    let is_named = [new, old].iter().any(|service| Kind::of(service) == Kind::ExternalName);
    let (was_headless, is_headless) = (is_headless(old), is_headless(new));
    if is_named || was_headless && is_headless {
        return;
    }
    check_list(errors, new, old, "clusterIPs", "clusterIP");
    if was_headless == is_headless {
        check_list(errors, new, old, "ipFamilies", "ipFamily");
    }
}

fn check_list(errors: &mut ErrorList, new: &Value, old: &Value, field: &str, word: &str) {
    let (spec, path) = (part(new, "spec"), Path::new("spec"));
    let shown = part(spec, field);
    let before: Vec<&str> = texts(part(old, "spec"), field).collect();
    let after: Vec<&str> = texts(spec, field).collect();
    let fixed = |index: usize| Error::invalid(path.child(field).index(index), shown.clone(), FIXED);
    if before.len() == after.len() {
        let changed = before.iter().zip(&after).enumerate().filter(|(_, (before, after))| before != after);
        // Upstream names the first family whichever was changed.
        errors.extend(changed.map(|(index, _)| fixed(if word == "ipFamily" { 0 } else { index })));
        return;
    }
    if let (Some(before), Some(after)) = (before.first(), after.first())
        && before != after
    {
        errors.push(fixed(0));
    }
    if before.len() < after.len() {
        return;
    }
    if after.is_empty() {
        let detail = format!("primary {word} can not be unset");
        errors.push(Error::invalid(path.child(field).index(0), shown.clone(), detail));
    }
    if after.len() == 1 && text(spec, "ipFamilyPolicy") != "SingleStack" {
        let detail = format!("must be set to 'SingleStack' when releasing the secondary {word}");
        errors.push(Error::invalid(path.child("ipFamilyPolicy"), part(spec, "ipFamilyPolicy").clone(), detail));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::testing;
    use super::*;

    #[track_caller]
    fn addresses(spec: Value, expected: &[&str]) {
        let mut errors = ErrorList::new();
        check(&mut errors, &json!({"spec": spec}));
        testing::check(&errors, expected);
    }

    #[test]
    fn addresses_and_families_agree() {
        addresses(json!({"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1", "fd00::1"], "ipFamilies": ["IPv4"]}), &[]);
        addresses(json!({"clusterIP": "None", "clusterIPs": ["None"], "ipFamilies": ["IPv4", "IPv6"]}), &[]);
        addresses(
            json!({"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.2"], "ipFamilies": ["IPv6", "IPv6", "x"]}),
            &[
                "spec.clusterIPs: Invalid value: [\"10.0.0.2\"]: first value must match `clusterIP`",
                "spec.ipFamilies[1]: Duplicate value: \"IPv6\"",
                "spec.ipFamilies[2]: Unsupported value: \"x\": supported values: \"IPv4\", \"IPv6\"",
                "spec.clusterIPs[0]: Invalid value: \"10.0.0.2\": expected an IPv6 value as indicated by `ipFamilies[0]`",
            ],
        );
        addresses(
            json!({"clusterIP": "None", "clusterIPs": ["None", "x"]}),
            &[
                "spec.clusterIPs: Invalid value: [\"None\",\"x\"]: 'None' must be the first and only value",
                "spec.clusterIPs[1]: Invalid value: \"x\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
            ],
        );
    }

    #[test]
    fn the_first_address_stays() {
        let with =
            |addresses: &[&str], policy: &str| json!({"spec": {"clusterIPs": addresses, "ipFamilyPolicy": policy}});
        let change = |new: &Value, old: &Value, expected: &[&str]| {
            let mut errors = ErrorList::new();
            check_change(&mut errors, new, old);
            testing::check(&errors, expected);
        };
        let both = with(&["10.0.0.1", "fd00::1"], "RequireDualStack");
        change(&both, &with(&["10.0.0.1"], "SingleStack"), &[]);
        change(&with(&["10.0.0.1"], "SingleStack"), &both, &[]);
        change(
            &with(&["10.0.0.2"], "SingleStack"),
            &with(&["10.0.0.1"], "SingleStack"),
            &["spec.clusterIPs[0]: Invalid value: [\"10.0.0.2\"]: may not change once set"],
        );
        change(
            &with(&["10.0.0.1"], "RequireDualStack"),
            &both,
            &[
                "spec.ipFamilyPolicy: Invalid value: \"RequireDualStack\": must be set to 'SingleStack' when releasing the secondary clusterIP",
            ],
        );
    }
}
