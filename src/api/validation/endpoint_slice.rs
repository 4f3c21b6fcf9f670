//! Slices of a service's endpoints.

use serde_json::Value;

use super::checks::{
    PROTOCOLS, endpoint_ip, immutable, in_range, invalid_each, label, one_of, qualified_name, subdomain,
};
use super::field::{Error, ErrorList, Path};
use crate::names;
use crate::value::{entries, has, list, number, part, text, texts};

/// Endpoints of a slice, addresses of an endpoint, ports of a slice, as upstream.
const ENDPOINTS_MAX: usize = 1000;
const ADDRESSES_MAX: usize = 100;
const PORTS_MAX: usize = 20_000;
/// Entries of `deprecatedTopology`, as upstream.
const TOPOLOGY_MAX: usize = 16;
/// Hints of one endpoint, as upstream.
const HINTS_MAX: usize = 8;

/// What is wrong with an `EndpointSlice`.
pub fn endpoint_slice(object: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let kind = text(object, "addressType");
    one_of(&mut errors, &Path::new("addressType"), kind, &["FQDN", "IPv4", "IPv6"]);
    let (path, endpoints) = (Path::new("endpoints"), list(object, "endpoints"));
    if endpoints.len() > ENDPOINTS_MAX {
        errors.push(Error::too_many(&path, endpoints.len(), ENDPOINTS_MAX));
    } else {
        for (index, endpoint) in endpoints.iter().enumerate() {
            check_endpoint(&mut errors, &path.index(index), endpoint, kind);
        }
    }
    let (path, ports) = (Path::new("ports"), list(object, "ports"));
    if ports.len() > PORTS_MAX {
        errors.push(Error::too_many(&path, ports.len(), PORTS_MAX));
        return errors;
    }
    for (index, port) in ports.iter().enumerate() {
        let name = text(port, "name");
        if ports.iter().take(index).any(|other| text(other, "name") == name) {
            errors.push(Error::duplicate(path.index(index).child("name"), name));
        }
        check_port(&mut errors, &path.index(index), port);
    }
    errors
}

/// What is wrong with a changed `EndpointSlice`.
pub fn endpoint_slice_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = endpoint_slice(new);
    immutable(&mut errors, &Path::new("addressType"), part(new, "addressType"), part(old, "addressType"));
    errors
}

fn check_endpoint(errors: &mut ErrorList, path: &Path, endpoint: &Value, kind: &str) {
    let addresses = list(endpoint, "addresses");
    let addresses_path = path.child("addresses");
    if addresses.is_empty() {
        errors.push(Error::required(&addresses_path, "must contain at least 1 address"));
    } else if addresses.len() > ADDRESSES_MAX {
        errors.push(Error::too_many(&addresses_path, addresses.len(), ADDRESSES_MAX));
    }
    for (index, address) in texts(endpoint, "addresses").enumerate() {
        let path = addresses_path.index(index);
        match (kind, address.parse::<std::net::IpAddr>()) {
            ("IPv4", Ok(found)) if !found.is_ipv4() => {
                errors.push(Error::invalid(&path, address, "must be an IPv4 address"));
            }
            ("IPv6", Ok(found)) if !found.is_ipv6() => {
                errors.push(Error::invalid(&path, address, "must be an IPv6 address"));
            }
            ("IPv4" | "IPv6", _) => endpoint_ip(errors, &path, address),
            ("FQDN", _) => subdomain(errors, &path, address.strip_suffix('.').unwrap_or(address)),
            _ => {}
        }
    }
    if has(endpoint, "nodeName") {
        subdomain(errors, &path.child("nodeName"), text(endpoint, "nodeName"));
    }
    let topology = entries(endpoint, "deprecatedTopology").count();
    if topology > TOPOLOGY_MAX {
        errors.push(Error::too_many(path.child("deprecatedTopology"), topology, TOPOLOGY_MAX));
    }
    if has(endpoint, "hostname") {
        label(errors, &path.child("hostname"), text(endpoint, "hostname"));
    }
    for field in ["forZones", "forNodes"] {
        let (path, hints) = (path.child("hints").child(field), list(part(endpoint, "hints"), field));
        if hints.len() > HINTS_MAX {
            errors.push(Error::too_many(&path, hints.len(), HINTS_MAX));
        }
        for (index, hint) in hints.iter().enumerate() {
            let (path, name) = (path.index(index).child("name"), text(hint, "name"));
            if hints.iter().take(index).any(|other| text(other, "name") == name) {
                errors.push(Error::duplicate(&path, name));
            }
            invalid_each(errors, &path, name, names::label_value(name));
        }
    }
}

fn check_port(errors: &mut ErrorList, path: &Path, port: &Value) {
    let name = text(port, "name");
    if !name.is_empty() {
        label(errors, &path.child("name"), name);
    }
    one_of(errors, &path.child("protocol"), text(port, "protocol"), &PROTOCOLS);
    if let Some(number) = number(port, "port") {
        in_range(errors, &path.child("port"), number, 1, 65_535);
    }
    if has(port, "appProtocol") {
        qualified_name(errors, &path.child("appProtocol"), text(port, "appProtocol"));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::check;
    use super::*;

    #[test]
    fn endpoints_have_addresses_of_the_slices_kind() {
        let slice = |kind: &str, address: &str| {
            json!({"addressType": kind, "endpoints": [{"addresses": [address]}],
                "ports": [{"name": "", "protocol": "TCP", "port": 80}]})
        };
        check(&endpoint_slice(&slice("IPv4", "192.0.2.1")), &[]);
        check(&endpoint_slice(&slice("FQDN", "a.example")), &[]);
        check(
            &endpoint_slice(&slice("IPv6", "192.0.2.1")),
            &["endpoints[0].addresses[0]: Invalid value: \"192.0.2.1\": must be an IPv6 address"],
        );
        check(
            &endpoint_slice(
                &json!({"addressType": "IPv4", "endpoints": [{}], "ports": [{"protocol": "TCP"}, {"protocol": "X"}]}),
            ),
            &[
                "endpoints[0].addresses: Required value: must contain at least 1 address",
                "ports[1].name: Duplicate value: \"\"",
                "ports[1].protocol: Unsupported value: \"X\": supported values: \"SCTP\", \"TCP\", \"UDP\"",
            ],
        );
        check(
            &endpoint_slice_update(&slice("FQDN", "a"), &slice("IPv4", "192.0.2.1")),
            &["addressType: Invalid value: \"FQDN\": field is immutable"],
        );
    }
}
