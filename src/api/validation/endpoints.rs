//! Endpoints: where a service's connections go.

use serde_json::Value;

use super::checks::{PROTOCOLS, endpoint_ip, invalid_each, ip, label, one_of, port_number, qualified_name};
use super::field::{Error, ErrorList, Path};
use crate::names;
use crate::value::{has, list, number, part, text};

/// What is wrong with Endpoints.
pub fn endpoints(object: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    for (index, subset) in list(object, "subsets").iter().enumerate() {
        let path = Path::new("subsets").index(index);
        let kinds = ["addresses", "notReadyAddresses"];
        if kinds.iter().all(|kind| list(subset, kind).is_empty()) {
            errors.push(Error::required(&path, "must specify `addresses` or `notReadyAddresses`"));
        }
        for kind in kinds {
            for (index, address) in list(subset, kind).iter().enumerate() {
                check_address(&mut errors, &path.child(kind).index(index), address);
            }
        }
        let ports = list(subset, "ports");
        for (index, port) in ports.iter().enumerate() {
            check_port(&mut errors, &path.child("ports").index(index), port, ports.len() > 1);
        }
    }
    errors
}

/// What is wrong with changed Endpoints; subsets that were there are taken as they are.
pub fn endpoints_update(new: &Value, old: &Value) -> ErrorList {
    if part(new, "subsets") == part(old, "subsets") { ErrorList::new() } else { endpoints(new) }
}

fn check_address(errors: &mut ErrorList, path: &Path, address: &Value) {
    let at = text(address, "ip");
    ip(errors, &path.child("ip"), at);
    if !text(address, "hostname").is_empty() {
        label(errors, &path.child("hostname"), text(address, "hostname"));
    }
    if has(address, "nodeName") {
        let node = text(address, "nodeName");
        invalid_each(errors, &path.child("nodeName"), node, names::subdomain(node));
    }
    endpoint_ip(errors, &path.child("ip"), at);
}

fn check_port(errors: &mut ErrorList, path: &Path, port: &Value, needs_name: bool) {
    match text(port, "name") {
        "" if needs_name => errors.push(Error::required(path.child("name"), "")),
        "" => {}
        name => label(errors, &path.child("name"), name),
    }
    port_number(errors, &path.child("port"), number(port, "port").unwrap_or(0));
    one_of(errors, &path.child("protocol"), text(port, "protocol"), &PROTOCOLS);
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
    fn endpoints_have_addresses_that_mean_the_same_everywhere() {
        let port = json!({"port": 80, "protocol": "TCP"});
        check(&endpoints(&json!({"subsets": [{"addresses": [{"ip": "10.0.0.1"}], "ports": [port]}]})), &[]);
        check(
            &endpoints(&json!({"subsets": [{"addresses": [{"ip": "127.0.0.1"}]}, {"ports": [port]}]})),
            &[
                "subsets[0].addresses[0].ip: Invalid value: \"127.0.0.1\": may not be in the loopback range (127.0.0.0/8, ::1/128)",
                "subsets[1]: Required value: must specify `addresses` or `notReadyAddresses`",
            ],
        );
        let unnamed = json!({"subsets": [{"addresses": [{"ip": "x"}], "ports": [port, port]}]});
        check(
            &endpoints(&unnamed),
            &[
                "subsets[0].addresses[0].ip: Invalid value: \"x\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
                "subsets[0].addresses[0].ip: Invalid value: \"x\": must be a valid IP address",
                "subsets[0].ports[0].name: Required value",
                "subsets[0].ports[1].name: Required value",
            ],
        );
        check(&endpoints_update(&unnamed, &unnamed), &[]);
    }
}
