//! Ingresses, their classes, and network policies.

use std::net::IpAddr;

use serde_json::Value;

use super::checks::{
    PROTOCOLS, cidr, immutable, invalid_each, label_selector, one_of, port_name, port_number, qualified_name, subdomain,
};
use super::field::{Error, ErrorList, Path};
use crate::names;
use crate::value::{has, list, number, part, text, texts};

/// Letters of a controller's name, as upstream.
const CONTROLLER_BYTES_MAX: usize = 250;

/// What a path of an exact or prefix rule never holds.
const PATH_PARTS: [&str; 5] = ["//", "/./", "/../", "%2f", "%2F"];
const PATH_ENDS: [&str; 2] = ["/..", "/."];

/// What is wrong with an `Ingress`.
pub fn ingress(object: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let (path, spec) = (Path::new("spec"), part(object, "spec"));
    if has(spec, "defaultBackend") {
        backend(&mut errors, &path.child("defaultBackend"), part(spec, "defaultBackend"));
    } else if list(spec, "rules").is_empty() {
        let detail = "either `defaultBackend` or `rules` must be specified";
        errors.push(Error::invalid(&path, part(spec, "rules").clone(), detail));
    }
    for (index, rule) in list(spec, "rules").iter().enumerate() {
        ingress_rule(&mut errors, &path.child("rules").index(index), rule);
    }
    for (index, tls) in list(spec, "tls").iter().enumerate() {
        let path = path.child("tls").index(index);
        for (index, name) in texts(tls, "hosts").enumerate() {
            host(&mut errors, &path.child("hosts").index(index), name);
        }
        if !text(tls, "secretName").is_empty() {
            subdomain(&mut errors, &path.child("secretName"), text(tls, "secretName"));
        }
    }
    if has(spec, "ingressClassName") {
        subdomain(&mut errors, &path.child("ingressClassName"), text(spec, "ingressClassName"));
    }
    errors
}

/// What is wrong with a changed `Ingress`.
pub fn ingress_update(new: &Value, _old: &Value) -> ErrorList {
    ingress(new)
}

/// What is wrong with an `Ingress`' changed status.
pub fn ingress_status(new: &Value, _old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("status").child("loadBalancer").child("ingress");
    for (index, point) in list(part(part(new, "status"), "loadBalancer"), "ingress").iter().enumerate() {
        let (path, address, name) = (path.index(index), text(point, "ip"), text(point, "hostname"));
        if !address.is_empty() {
            super::checks::ip(&mut errors, &path.child("ip"), address);
        }
        if !name.is_empty() {
            subdomain(&mut errors, &path.child("hostname"), name);
            if name.parse::<IpAddr>().is_ok() {
                let detail = "must be a DNS name, not an IP address";
                errors.push(Error::invalid(path.child("hostname"), name, detail));
            }
        }
    }
    errors
}

/// What is wrong with an `IngressClass`.
pub fn ingress_class(object: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let (path, spec) = (Path::new("spec"), part(object, "spec"));
    let (controller_path, controller) = (path.child("controller"), text(spec, "controller"));
    if controller.len() > CONTROLLER_BYTES_MAX {
        errors.push(Error::too_long(&controller_path, controller, CONTROLLER_BYTES_MAX));
    }
    domain_path(&mut errors, &controller_path, controller);
    let (path, parameters) = (path.child("parameters"), part(spec, "parameters"));
    if parameters.is_null() {
        return errors;
    }
    for field in ["kind", "name"].into_iter().filter(|field| text(parameters, field).is_empty()) {
        errors.push(Error::required(path.child(field), format!("{field} is required")));
    }
    if !text(parameters, "apiGroup").is_empty() {
        subdomain(&mut errors, &path.child("apiGroup"), text(parameters, "apiGroup"));
    }
    match (text(parameters, "scope"), has(parameters, "namespace")) {
        ("Namespace", false) => {
            let detail = "`parameters.scope` is set to 'Namespace'";
            errors.push(Error::required(path.child("namespace"), detail));
        }
        ("Cluster", true) => {
            let detail = "`parameters.scope` is set to 'Cluster'";
            errors.push(Error::forbidden(path.child("namespace"), detail));
        }
        ("Namespace" | "Cluster", _) => {}
        (scope, _) => one_of(&mut errors, &path.child("scope"), scope, &["Cluster", "Namespace"]),
    }
    errors
}

/// What is wrong with a changed `IngressClass`.
pub fn ingress_class_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = ingress_class(new);
    let controller = |class| part(part(class, "spec"), "controller");
    immutable(&mut errors, &Path::new("spec").child("controller"), controller(new), controller(old));
    errors
}

/// What is wrong with a `NetworkPolicy`.
pub fn network_policy(object: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let (path, spec) = (Path::new("spec"), part(object, "spec"));
    label_selector(&mut errors, &path.child("podSelector"), part(spec, "podSelector"));
    for (direction, peers) in [("ingress", "from"), ("egress", "to")] {
        for (index, rule) in list(spec, direction).iter().enumerate() {
            let path = path.child(direction).index(index);
            for (index, port) in list(rule, "ports").iter().enumerate() {
                policy_port(&mut errors, &path.child("ports").index(index), port);
            }
            for (index, peer) in list(rule, peers).iter().enumerate() {
                policy_peer(&mut errors, &path.child(peers).index(index), peer);
            }
        }
    }
    let (path, types) = (path.child("policyTypes"), list(spec, "policyTypes"));
    if types.len() > 2 {
        errors.push(Error::invalid(&path, types.to_vec(), "may not specify more than two policyTypes"));
        return errors;
    }
    for (index, kind) in texts(spec, "policyTypes").enumerate() {
        if !["Ingress", "Egress"].contains(&kind) {
            errors.push(Error::not_supported(path.index(index), kind, &["Egress", "Ingress"]));
        }
    }
    errors
}

/// What is wrong with a changed `NetworkPolicy`.
pub fn network_policy_update(new: &Value, _old: &Value) -> ErrorList {
    network_policy(new)
}

fn ingress_rule(errors: &mut ErrorList, path: &Path, rule: &Value) {
    let name = text(rule, "host");
    if !name.is_empty() {
        if name.parse::<IpAddr>().is_ok() {
            errors.push(Error::invalid(path.child("host"), name, "must be a DNS name, not an IP address"));
        }
        host(errors, &path.child("host"), name);
    }
    if !has(rule, "http") {
        return;
    }
    let (path, paths) = (path.child("http").child("paths"), list(part(rule, "http"), "paths"));
    if paths.is_empty() {
        errors.push(Error::required(&path, ""));
    }
    for (index, rule) in paths.iter().enumerate() {
        ingress_path(errors, &path.index(index), rule);
    }
}

fn ingress_path(errors: &mut ErrorList, path: &Path, rule: &Value) {
    let (path_path, wanted) = (path.child("path"), text(rule, "path"));
    let is_absolute = wanted.starts_with('/');
    match text(rule, "pathType") {
        "" => errors.push(Error::required(path.child("pathType"), "pathType must be specified")),
        "Exact" | "Prefix" => {
            if !is_absolute {
                errors.push(Error::invalid(&path_path, wanted, "must be an absolute path"));
            }
            for part in PATH_PARTS.into_iter().filter(|part| wanted.contains(part)) {
                errors.push(Error::invalid(&path_path, wanted, format!("must not contain '{part}'")));
            }
            for end in PATH_ENDS.into_iter().filter(|end| wanted.ends_with(end)) {
                errors.push(Error::invalid(&path_path, wanted, format!("cannot end with '{end}'")));
            }
        }
        "ImplementationSpecific" => {
            if !wanted.is_empty() && !is_absolute {
                errors.push(Error::invalid(&path_path, wanted, "must be an absolute path"));
            }
        }
        other => {
            let supported = ["Exact", "ImplementationSpecific", "Prefix"];
            errors.push(Error::not_supported(path.child("pathType"), other, &supported));
        }
    }
    backend(errors, &path.child("backend"), part(rule, "backend"));
}

/// What serves a path: a service's port, or another object of the namespace.
fn backend(errors: &mut ErrorList, path: &Path, backend: &Value) {
    match (has(backend, "resource"), has(backend, "service")) {
        (true, true) => errors.push(Error::invalid(path, "", "cannot set both resource and service backends")),
        (false, false) => errors.push(Error::required(path, "resource or service backend is required")),
        (true, false) => {
            let (path, resource) = (path.child("resource"), part(backend, "resource"));
            for field in ["kind", "name"].into_iter().filter(|field| text(resource, field).is_empty()) {
                errors.push(Error::required(path.child(field), ""));
            }
        }
        (false, true) => {
            let (path, service) = (path.child("service"), part(backend, "service"));
            let name = text(service, "name");
            if name.is_empty() {
                errors.push(Error::required(path.child("name"), ""));
            } else {
                invalid_each(errors, &path.child("name"), name, names::label(name));
            }
            backend_port(errors, &path.child("port"), part(service, "port"));
        }
    }
}

fn backend_port(errors: &mut ErrorList, path: &Path, port: &Value) {
    let (name, number) = (text(port, "name"), number(port, "number").unwrap_or(0));
    match (name.is_empty(), number) {
        (true, 0) => errors.push(Error::required(path, "port name or number is required")),
        (true, number) => port_number(errors, &path.child("number"), number),
        (false, 0) => invalid_each(errors, &path.child("name"), name, port_name(name)),
        (false, _) => errors.push(Error::invalid(path, "", "cannot set both port name & port number")),
    }
}

/// A host's name, of which the first part may be a star.
fn host(errors: &mut ErrorList, path: &Path, name: &str) {
    match name.strip_prefix("*.") {
        Some(rest) if !rest.contains('*') => subdomain(errors, path, rest),
        _ if name.contains('*') => {
            let detail = "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character (e.g. '*.example.com', regex used for validation is '\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
            errors.push(Error::invalid(path, name, detail));
        }
        _ => subdomain(errors, path, name),
    }
}

/// A name such as `acme.io/foo`.
fn domain_path(errors: &mut ErrorList, path: &Path, name: &str) {
    if name.is_empty() {
        errors.push(Error::required(path, ""));
        return;
    }
    let Some((domain, rest)) = name.split_once('/').filter(|(domain, rest)| !domain.is_empty() && !rest.is_empty())
    else {
        errors.push(Error::invalid(path, name, "must be a domain-prefixed path (such as \"acme.io/foo\")"));
        return;
    };
    subdomain(errors, path, domain);
    let last = rest.rsplit('/').next().unwrap_or_default();
    qualified_name(errors, path, last);
}

fn policy_port(errors: &mut ErrorList, path: &Path, port: &Value) {
    if has(port, "protocol") && !PROTOCOLS.contains(&text(port, "protocol")) {
        errors.push(Error::not_supported(path.child("protocol"), text(port, "protocol"), &PROTOCOLS));
    }
    let wanted = part(port, "port");
    let last = number(port, "endPort");
    match wanted {
        Value::Null => {
            if last.is_some() {
                let detail = "may not be specified when `port` is not specified";
                errors.push(Error::invalid(path.child("endPort"), last, detail));
            }
        }
        Value::String(name) => {
            if let Some(last) = last {
                let detail = "may not be specified when `port` is non-numeric";
                errors.push(Error::invalid(path.child("endPort"), last, detail));
            }
            invalid_each(errors, &path.child("port"), name, port_name(name));
        }
        first => {
            let first = first.as_i64().unwrap_or(0);
            port_number(errors, &path.child("port"), first);
            if let Some(last) = last {
                if last < first {
                    let detail = "must be greater than or equal to `port`";
                    errors.push(Error::invalid(path.child("endPort"), last, detail));
                }
                port_number(errors, &path.child("endPort"), last);
            }
        }
    }
}

fn policy_peer(errors: &mut ErrorList, path: &Path, peer: &Value) {
    for field in ["podSelector", "namespaceSelector"] {
        label_selector(errors, &path.child(field), part(peer, field));
    }
    let block = part(peer, "ipBlock");
    if !block.is_null() {
        ip_block(errors, &path.child("ipBlock"), block);
    }
    match (has(peer, "podSelector") || has(peer, "namespaceSelector"), !block.is_null()) {
        (false, false) => errors.push(Error::required(path, "must specify a peer")),
        (true, true) => errors.push(Error::forbidden(path, "may not specify both ipBlock and another peer")),
        _ => {}
    }
}

fn ip_block(errors: &mut ErrorList, path: &Path, block: &Value) {
    let whole = text(block, "cidr");
    if whole.is_empty() {
        errors.push(Error::required(path.child("cidr"), ""));
        return;
    }
    cidr(errors, &path.child("cidr"), whole);
    for (index, except) in texts(block, "except").enumerate() {
        let path = path.child("except").index(index);
        let known = errors.len();
        cidr(errors, &path, except);
        let ranges = (whole.parse::<Block>(), except.parse::<Block>());
        if errors.len() == known && !matches!(ranges, (Ok(whole), Ok(except)) if whole.strictly_holds(&except)) {
            errors.push(Error::invalid(path, except, format!("must be a strict subset of `{whole}`")));
        }
    }
}

/// A range of addresses: its first bits, all addresses taken as of IPv6, and how many of them count.
struct Block {
    bits: u128,
    length: u32,
}

impl std::str::FromStr for Block {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (address, length) = text.split_once('/').ok_or(())?;
        let length: u32 = length.parse().map_err(|_| ())?;
        match address.parse::<IpAddr>().map_err(|_| ())? {
            IpAddr::V4(address) => Ok(Self { bits: address.to_ipv6_mapped().to_bits(), length: length + 96 }),
            IpAddr::V6(address) => Ok(Self { bits: address.to_bits(), length }),
        }
    }
}

impl Block {
    fn strictly_holds(&self, other: &Self) -> bool {
        let mask = u128::MAX.checked_shl(128_u32.saturating_sub(self.length)).unwrap_or(0);
        other.length > self.length && self.bits & mask == other.bits & mask
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::check;
    use super::*;

    fn with_rule(rule: Value) -> Value {
        json!({"spec": {"rules": [rule]}})
    }

    #[test]
    fn an_ingress_leads_somewhere() {
        let path = |path: &str, kind: &str, backend: Value| {
            with_rule(json!({"http": {"paths": [{"path": path, "pathType": kind, "backend": backend}]}}))
        };
        let service = json!({"service": {"name": "s", "port": {"number": 80}}});
        check(&ingress(&path("/", "Prefix", service.clone())), &[]);
        // As recorded from a kube-apiserver 1.36.2.
        check(
            &ingress(&json!({"spec": {}})),
            &["spec: Invalid value: null: either `defaultBackend` or `rules` must be specified"],
        );
        check(
            &ingress(&path("a//b", "Exact", json!({"service": {"name": "s", "port": {}}}))),
            &[
                "spec.rules[0].http.paths[0].path: Invalid value: \"a//b\": must be an absolute path",
                "spec.rules[0].http.paths[0].path: Invalid value: \"a//b\": must not contain '//'",
                "spec.rules[0].http.paths[0].backend.service.port: Required value: port name or number is required",
            ],
        );
        check(
            &ingress(&path("", "Odd", json!({}))),
            &[
                "spec.rules[0].http.paths[0].pathType: Unsupported value: \"Odd\": supported values: \"Exact\", \"ImplementationSpecific\", \"Prefix\"",
                "spec.rules[0].http.paths[0].backend: Required value: resource or service backend is required",
            ],
        );
        check(
            &ingress(&with_rule(json!({"host": "10.0.0.1"}))),
            &["spec.rules[0].host: Invalid value: \"10.0.0.1\": must be a DNS name, not an IP address"],
        );
        check(&ingress(&with_rule(json!({"host": "*.a.example"}))), &[]);
        assert_eq!(ingress(&with_rule(json!({"host": "a.*.example"}))).len(), 1);
    }

    #[test]
    fn a_class_names_its_controller() {
        let class = |spec: Value| ingress_class(&json!({ "spec": spec }));
        check(&class(json!({"controller": "a.example/b"})), &[]);
        check(
            &class(json!({"controller": "b", "parameters": {"kind": "K", "scope": "Namespace"}})),
            &[
                "spec.controller: Invalid value: \"b\": must be a domain-prefixed path (such as \"acme.io/foo\")",
                "spec.parameters.name: Required value: name is required",
                "spec.parameters.namespace: Required value: `parameters.scope` is set to 'Namespace'",
            ],
        );
    }

    #[test]
    fn a_policy_names_peers_and_ports() {
        let policy = |rule: Value| network_policy(&json!({"spec": {"podSelector": {}, "ingress": [rule]}}));
        check(&policy(json!({"ports": [{"port": 80, "endPort": 90}], "from": [{"podSelector": {}}]})), &[]);
        check(&policy(json!({"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}]})), &[]);
        check(
            &policy(json!({"ports": [{"port": 90, "endPort": 80}], "from": [{}, {"ipBlock": {"cidr": "10.0.0.0/8",
                "except": ["11.0.0.0/16"]}}]})),
            &[
                "spec.ingress[0].ports[0].endPort: Invalid value: 80: must be greater than or equal to `port`",
                "spec.ingress[0].from[0]: Required value: must specify a peer",
                "spec.ingress[0].from[1].ipBlock.except[0]: Invalid value: \"11.0.0.0/16\": must be a strict subset of `10.0.0.0/8`",
            ],
        );
    }
}
