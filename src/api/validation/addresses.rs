//! Addresses of Services, as objects.

use std::net::IpAddr;

use serde_json::Value;

use super::checks::immutable;
use super::field::{Error, ErrorList, Path, quote};
use crate::names::{self, NameRule};
use crate::value::{list, part, text, texts};

/// What is wrong with an `IPAddress`: its name is the address.
pub fn ip_address(object: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let (path, parent) = (Path::new("spec").child("parentRef"), part(part(object, "spec"), "parentRef"));
    if parent.is_null() {
        errors.push(Error::required(path, ""));
        return errors;
    }
    let group = text(parent, "group");
    if !group.is_empty() {
        let wrong = names::subdomain(group).into_iter();
        errors.extend(wrong.map(|reason| Error::invalid(path.child("group"), group, reason)));
    }
    for (field, is_required) in [("resource", true), ("name", true), ("namespace", false)] {
        let (at, found) = (path.child(field), text(parent, field));
        if !found.is_empty() {
            let wrong = NameRule::PathSegment.check(found).into_iter();
            errors.extend(wrong.map(|reason| Error::invalid(&at, found, reason)));
        } else if is_required {
            errors.push(Error::required(at, ""));
        }
    }
    errors
}

/// What is wrong with a changed `IPAddress`.
pub fn ip_address_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let parent = |object| part(part(object, "spec"), "parentRef");
    immutable(&mut errors, &Path::new("spec").child("parentRef"), parent(new), parent(old));
    errors
}

/// What is wrong with a `ServiceCIDR`.
pub fn service_cidr(object: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let (path, spec) = (Path::new("spec").child("cidrs"), part(object, "spec"));
    let cidrs: Vec<&str> = texts(spec, "cidrs").collect();
    let is_ipv4 = |cidr: &str| network(cidr).map(|(address, _)| address.is_ipv4());
    match cidrs.as_slice() {
        [] => errors.push(Error::required(path, "at least one CIDR required")),
        [first, second] if is_ipv4(first).is_none() || is_ipv4(second) != is_ipv4(first).map(|is| !is) => {
            let detail = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64";
            errors.push(Error::invalid(path, spec.clone(), detail));
        }
        [_, _, _, ..] => errors.push(Error::invalid(path, spec.clone(), "may only hold up to 2 values")),
        some => {
            for (index, cidr) in some.iter().enumerate() {
                if let Some(why) = wrong_cidr(cidr) {
                    errors.push(Error::invalid(path.index(index), *cidr, why));
                }
            }
        }
    }
    errors
}

/// What is wrong with a changed `ServiceCIDR`: another family can be added, and nothing else.
pub fn service_cidr_update(new: &Value, old: &Value) -> ErrorList {
    const IMMUTABLE: &str = "field is immutable";
    let mut errors = ErrorList::new();
    let path = Path::new("spec").child("cidrs");
    let cidrs = |object| list(part(object, "spec"), "cidrs");
    let (new_cidrs, old_cidrs) = (cidrs(new), cidrs(old));
    let grows = old_cidrs.len() == 1 && new_cidrs.len() == 2;
    if new_cidrs.len() != old_cidrs.len() && !grows {
        errors.push(Error::invalid(path, new_cidrs.to_vec(), IMMUTABLE));
        return errors;
    }
    for (index, (new, old)) in new_cidrs.iter().zip(old_cidrs).enumerate() {
        if new != old {
            errors.push(Error::invalid(path.index(index), new.clone(), IMMUTABLE));
        }
    }
    if grows {
        errors.extend(service_cidr(new));
    }
    errors
}

/// A network as its address and the length of its prefix.
fn network(cidr: &str) -> Option<(IpAddr, u8)> {
    let (address, prefix) = cidr.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let prefix = prefix.parse().ok().filter(|prefix| *prefix <= if address.is_ipv4() { 32 } else { 128 })?;
    Some((address, prefix))
}

fn wrong_cidr(cidr: &str) -> Option<String> {
    let Some((address, prefix)) = network(cidr) else {
        return Some("must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)".to_owned());
    };
    let is_mapped = matches!(address, IpAddr::V6(address) if address.to_ipv4_mapped().is_some());
    let has_host_bits = match address {
        IpAddr::V4(address) => u32::from(address) & u32::MAX.checked_shr(prefix.into()).unwrap_or(0) != 0,
        IpAddr::V6(address) => u128::from(address) & u128::MAX.checked_shr(prefix.into()).unwrap_or(0) != 0,
    };
    let canonical = format!("{address}/{prefix}");
    if cidr.rsplit_once('/').is_some_and(|(_, prefix)| prefix.len() > 1 && prefix.starts_with('0')) {
        Some("must not have leading 0s in IP or prefix length".to_owned())
    } else if is_mapped {
        Some("must not have an IPv4-mapped IPv6 address".to_owned())
    } else if has_host_bits {
        Some("must not have bits set beyond the prefix length".to_owned())
    } else {
        (cidr != canonical).then(|| format!("must be in canonical form ({})", quote(&canonical)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::check;
    use super::*;

    #[test]
    fn an_address_has_a_parent_for_good() {
        let of = |parent: Value| json!({"spec": {"parentRef": parent}});
        let parent = json!({"resource": "services", "namespace": "default", "name": "kubernetes"});
        check(&ip_address(&of(parent.clone())), &[]);
        check(&ip_address(&json!({})), &["spec.parentRef: Required value"]);
        check(
            &ip_address(&of(json!({"resource": "a/b"}))),
            &[
                "spec.parentRef.resource: Invalid value: \"a/b\": may not contain '/'",
                "spec.parentRef.name: Required value",
            ],
        );
        check(
            &ip_address_update(&of(Value::Null), &of(parent)),
            &["spec.parentRef: Invalid value: null: field is immutable"],
        );
    }

    #[test]
    fn networks_are_written_in_one_way() {
        let of = |cidrs: &[&str]| json!({"spec": {"cidrs": cidrs}});
        check(&service_cidr(&of(&["10.0.0.0/16", "fd00::/112"])), &[]);
        check(&service_cidr(&of(&[])), &["spec.cidrs: Required value: at least one CIDR required"]);
        for (cidr, why) in [
            ("x", "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"),
            ("10.0.0.1/16", "must not have bits set beyond the prefix length"),
            ("fd00:0::/64", "must be in canonical form (\"fd00::/64\")"),
        ] {
            check(&service_cidr(&of(&[cidr])), &[&format!("spec.cidrs[0]: Invalid value: \"{cidr}\": {why}")]);
        }
        let one = of(&["10.0.0.0/16"]);
        check(&service_cidr_update(&of(&["10.0.0.0/16", "fd00::/112"]), &one), &[]);
        check(
            &service_cidr_update(&of(&["10.1.0.0/16"]), &one),
            &["spec.cidrs[0]: Invalid value: \"10.1.0.0/16\": field is immutable"],
        );
    }
}
