//! Services: ports, selectors, affinity, traffic policies. Addresses and families are in `addresses`.

mod addresses;
mod warnings;

use serde_json::{Value, json};

use super::checks::{
    PROTOCOLS, cidr, endpoint_ip, in_range, ip, label, labels, one_of, port, port_number, qualified_name, subdomain,
};
use super::field::{Error, ErrorList, Path};
use crate::meta;
use crate::names;
use crate::services::{Kind, is_externally_accessible, is_headless, needs_health_check};
use crate::value::{has, list, number, part, text, texts};

pub use warnings::warnings;

/// How long a client may stick to an endpoint, in seconds: a day, as upstream.
const AFFINITY_SECONDS_MAX: i64 = 86_400;

const SOURCE_RANGES: &str = "service.beta.kubernetes.io/load-balancer-source-ranges";
const ONLY_LOAD_BALANCER: &str = "may only be used when `type` is 'LoadBalancer'";

/// What is wrong with a Service.
pub fn service(object: &Value) -> ErrorList {
    check(object, &Value::Null)
}

/// What is wrong with a changed Service.
pub fn service_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    addresses::check_change(&mut errors, new, old);
    let class = |service| part(part(service, "spec"), "loadBalancerClass");
    if [new, old].iter().all(|service| Kind::of(service) == Kind::LoadBalancer) && class(new) != class(old) {
        errors.push(Error::invalid("spec.loadBalancerClass", class(new).clone(), "may not change once set"));
    }
    load_balancer_class(&mut errors, new);
    let health_port = |service| number(part(service, "spec"), "healthCheckNodePort");
    if needs_health_check(old) && needs_health_check(new) && health_port(old) != health_port(new) {
        errors.push(Error::forbidden("spec.healthCheckNodePort", "field is immutable"));
    }
    errors.extend(check(new, old));
    errors
}

/// What is wrong with a Service's changed status.
pub fn service_status(new: &Value, _old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("status").child("loadBalancer").child("ingress");
    let ingress = list(part(part(new, "status"), "loadBalancer"), "ingress");
    if Kind::of(new) != Kind::LoadBalancer && !ingress.is_empty() {
        errors.push(Error::forbidden(path, "may only be used when `spec.type` is 'LoadBalancer'"));
        return errors;
    }
    for (index, ingress) in ingress.iter().enumerate() {
        let path = path.index(index);
        let (address, mode, name) = (text(ingress, "ip"), text(ingress, "ipMode"), text(ingress, "hostname"));
        if !address.is_empty() {
            ip(&mut errors, &path.child("ip"), address);
        }
        let mode_path = path.child("ipMode");
        match (address.is_empty(), mode) {
            (true, "") | (false, "Proxy" | "VIP") => {}
            (false, "") => errors.push(Error::required(mode_path, "must be specified when `ip` is set")),
            (true, _) => errors.push(Error::forbidden(mode_path, "may not be specified when `ip` is not set")),
            (false, other) => errors.push(Error::not_supported(mode_path, other, &["Proxy", "VIP"])),
        }
        if !name.is_empty() {
            let path = path.child("hostname");
            subdomain(&mut errors, &path, name);
            if name.parse::<std::net::IpAddr>().is_ok() {
                errors.push(Error::invalid(path, name, "must be a DNS name, not an IP address"));
            }
        }
    }
    errors
}

fn check(service: &Value, old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let (path, spec) = (Path::new("spec"), part(service, "spec"));
    topology_mode(&mut errors, service);
    let is_external = Kind::of(service) == Kind::ExternalName;
    if list(spec, "ports").is_empty() && !is_headless(service) && !is_external {
        errors.push(Error::required(path.child("ports"), ""));
    }
    check_kind(&mut errors, &path, service);
    check_ports(&mut errors, &path.child("ports"), service);
    labels(&mut errors, &path, spec, "selector");
    check_affinity(&mut errors, &path, spec);
    addresses::check(&mut errors, service);
    for (index, address) in texts(spec, "externalIPs").enumerate() {
        let path = path.child("externalIPs").index(index);
        let was_there = texts(part(old, "spec"), "externalIPs").any(|other| other == address);
        if was_there || ip(&mut errors, &path, address).is_some() {
            endpoint_ip(&mut errors, &path, address);
        }
    }
    one_of(
        &mut errors,
        &path.child("type"),
        text(spec, "type"),
        &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"],
    );
    unique_ports(&mut errors, &path.child("ports"), service);
    source_ranges(&mut errors, service);
    let allocates = has(spec, "allocateLoadBalancerNodePorts");
    match Kind::of(service) {
        Kind::LoadBalancer if !allocates => errors.push(Error::required("allocateLoadBalancerNodePorts", "")),
        Kind::LoadBalancer => {}
        _ if allocates => {
            errors.push(Error::forbidden(path.child("allocateLoadBalancerNodePorts"), ONLY_LOAD_BALANCER));
        }
        _ => {}
    }
    load_balancer_class(&mut errors, service);
    traffic(&mut errors, &path, service);
    errors
}

/// Two annotations that say the same must not differ.
fn topology_mode(errors: &mut ErrorList, service: &Value) {
    const HINTS: &str = "service.kubernetes.io/topology-aware-hints";
    const MODE: &str = "service.kubernetes.io/topology-mode";
    let (hints, mode) = (meta::annotation(service, HINTS), meta::annotation(service, MODE));
    if let (Some(hints), Some(mode)) = (hints, mode)
        && hints != mode
    {
        let detail = format!("must match annotations[{HINTS}] when both are specified");
        errors.push(Error::invalid(Path::new("metadata").child("annotations").key(MODE), mode, detail));
    }
}

/// What the type of a service rules out and asks for.
fn check_kind(errors: &mut ErrorList, path: &Path, service: &Value) {
    let spec = part(service, "spec");
    match Kind::of(service) {
        kind @ (Kind::LoadBalancer | Kind::NodePort) if is_headless(service) => {
            let detail = format!("may not be set to 'None' for {} services", kind.as_str());
            errors.push(Error::invalid(path.child("clusterIPs").index(0), "None", detail));
        }
        Kind::ExternalName => {
            for field in ["clusterIPs", "ipFamilies", "ipFamilyPolicy"].into_iter().filter(|field| has(spec, field)) {
                errors.push(Error::forbidden(path.child(field), "may not be set for ExternalName services"));
            }
            let name = text(spec, "externalName");
            match name.strip_suffix('.').unwrap_or(name) {
                "" => errors.push(Error::required(path.child("externalName"), "")),
                name => subdomain(errors, &path.child("externalName"), name),
            }
        }
        _ => {}
    }
}

fn check_ports(errors: &mut ErrorList, path: &Path, service: &Value) {
    let ports = list(part(service, "spec"), "ports");
    for (index, one) in ports.iter().enumerate() {
        let path = path.index(index);
        let name = text(one, "name");
        if !name.is_empty() {
            label(errors, &path.child("name"), name);
            if ports.iter().take(index).any(|other| text(other, "name") == name) {
                errors.push(Error::duplicate(path.child("name"), name));
            }
        } else if ports.len() > 1 {
            errors.push(Error::required(path.child("name"), ""));
        }
        port_number(errors, &path.child("port"), number(one, "port").unwrap_or(0));
        one_of(errors, &path.child("protocol"), text(one, "protocol"), &PROTOCOLS);
        port(errors, &path.child("targetPort"), part(one, "targetPort"));
        if has(one, "appProtocol") {
            qualified_name(errors, &path.child("appProtocol"), text(one, "appProtocol"));
        }
    }
}

/// No two ports are the same, here or on the nodes.
fn unique_ports(errors: &mut ErrorList, path: &Path, service: &Value) {
    let ports = list(part(service, "spec"), "ports");
    let node_port = |port: &Value| number(port, "nodePort").unwrap_or(0);
    let is_cluster_only = Kind::of(service) == Kind::ClusterIp;
    for (index, _) in ports.iter().enumerate().filter(|(_, port)| is_cluster_only && node_port(port) != 0) {
        let detail = "may not be used when `type` is 'ClusterIP'";
        errors.push(Error::forbidden(path.index(index).child("nodePort"), detail));
    }
    let is_repeated = |index: usize, key: &dyn Fn(&Value) -> (String, i64)| {
        ports.get(index).is_some_and(|port| ports.iter().take(index).any(|other| key(other) == key(port)))
    };
    let protocol = |port: &Value| text(port, "protocol").to_owned();
    for (index, port) in ports.iter().enumerate().filter(|(_, port)| node_port(port) != 0) {
        if is_repeated(index, &|port| (protocol(port), node_port(port))) {
            errors.push(Error::duplicate(path.index(index).child("nodePort"), node_port(port)));
        }
    }
    for (index, port) in ports.iter().enumerate() {
        if is_repeated(index, &|port| (protocol(port), number(port, "port").unwrap_or(0))) {
            // Upstream's errors print its internal type, whose fields have Go's names.
            let printed = json!({"Name": "", "Protocol": protocol(port), "AppProtocol": null,
                "Port": number(port, "port"), "TargetPort": 0, "NodePort": 0});
            errors.push(Error::duplicate(path.index(index), printed));
        }
    }
}

fn check_affinity(errors: &mut ErrorList, path: &Path, spec: &Value) {
    let affinity = text(spec, "sessionAffinity");
    one_of(errors, &path.child("sessionAffinity"), affinity, &["ClientIP", "None"]);
    let (path, config) = (path.child("sessionAffinityConfig"), part(spec, "sessionAffinityConfig"));
    match affinity {
        "ClientIP" => {
            let client = path.child("clientIP");
            let seconds = client.child("timeoutSeconds");
            let detail = "when session affinity type is ClientIP";
            match number(part(config, "clientIP"), "timeoutSeconds") {
                _ if config.is_null() => errors.push(Error::required(path, detail)),
                _ if !has(config, "clientIP") => errors.push(Error::required(client, detail)),
                None => errors.push(Error::required(seconds, detail)),
                Some(1..=AFFINITY_SECONDS_MAX) => {}
                Some(other) => {
                    let detail = format!("must be greater than 0 and less than {AFFINITY_SECONDS_MAX}");
                    errors.push(Error::invalid(seconds, other, detail));
                }
            }
        }
        "None" if !config.is_null() => {
            errors.push(Error::forbidden(path, "must not be set when session affinity is None"));
        }
        _ => {}
    }
}

/// Who may reach a load balancer, by its field or by the older annotation.
fn source_ranges(errors: &mut ErrorList, service: &Value) {
    let is_load_balancer = Kind::of(service) == Kind::LoadBalancer;
    let ranges: Vec<&str> = texts(part(service, "spec"), "loadBalancerSourceRanges").collect();
    if !ranges.is_empty() {
        let path = Path::new("spec").child("LoadBalancerSourceRanges");
        if !is_load_balancer {
            errors.push(Error::forbidden(&path, ONLY_LOAD_BALANCER));
        }
        for (index, range) in ranges.iter().enumerate() {
            cidr(errors, &path.index(index), range.trim());
        }
    } else if let Some(ranges) = meta::annotation(service, SOURCE_RANGES) {
        let path = Path::new("metadata").child("annotations").key(SOURCE_RANGES);
        if !is_load_balancer {
            errors.push(Error::forbidden(&path, ONLY_LOAD_BALANCER));
        }
        for range in ranges.split(',').map(str::trim).filter(|_| !ranges.trim().is_empty()) {
            cidr(errors, &path, range);
        }
    }
}

fn load_balancer_class(errors: &mut ErrorList, service: &Value) {
    let class = part(part(service, "spec"), "loadBalancerClass");
    let path = Path::new("spec").child("loadBalancerClass");
    match class.as_str() {
        None => {}
        Some(class) if Kind::of(service) == Kind::LoadBalancer => {
            super::checks::invalid_each(errors, &path, class, names::qualified_name(class));
        }
        Some(_) => errors.push(Error::forbidden(path, ONLY_LOAD_BALANCER)),
    }
}

/// Where connections may go: policies for those from outside and inside, and the preference for near endpoints.
fn traffic(errors: &mut ErrorList, path: &Path, service: &Value) {
    let spec = part(service, "spec");
    let (external, policy) = (path.child("externalTrafficPolicy"), text(spec, "externalTrafficPolicy"));
    if is_externally_accessible(service) {
        one_of(errors, &external, policy, &["Cluster", "Local"]);
    } else if !policy.is_empty() {
        errors.push(Error::invalid(external, policy, "may only be set for externally-accessible services"));
    }
    let (health, health_port) = (path.child("healthCheckNodePort"), number(spec, "healthCheckNodePort").unwrap_or(0));
    match (needs_health_check(service), health_port) {
        (true, 0) => errors.push(Error::required(health, "")),
        (true, number) => in_range(errors, &health, number, 1, i64::from(u16::MAX)),
        (false, 0) => {}
        (false, number) => {
            let detail = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
            errors.push(Error::invalid(health, number, detail));
        }
    }
    let internal = path.child("internalTrafficPolicy");
    match (text(spec, "internalTrafficPolicy"), Kind::of(service)) {
        ("", Kind::ExternalName | Kind::Unknown) => {}
        (policy, _) => one_of(errors, &internal, policy, &["Cluster", "Local"]),
    }
    if let Some(distribution) = part(spec, "trafficDistribution").as_str() {
        let supported = ["PreferClose", "PreferSameZone", "PreferSameNode"];
        if !supported.contains(&distribution) {
            errors.push(Error::not_supported(path.child("trafficDistribution"), distribution, &supported));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;

    /// A service that is whole but for what `spec` says otherwise.
    fn with(spec: Value) -> Value {
        let mut whole = json!({"type": "ClusterIP", "sessionAffinity": "None", "internalTrafficPolicy": "Cluster",
            "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack",
            "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}]});
        let fields = whole.as_object_mut().unwrap();
        for (field, value) in spec.as_object().unwrap().clone() {
            if value.is_null() {
                fields.remove(&field)
            } else {
                fields.insert(field, value)
            };
        }
        json!({"spec": whole})
    }

    #[track_caller]
    fn check(spec: Value, expected: &[&str]) {
        testing::check(&service(&with(spec)), expected);
    }

    #[test]
    fn ports_are_told_apart() {
        check(json!({}), &[]);
        check(json!({"ports": null}), &["spec.ports: Required value"]);
        check(json!({"ports": null, "clusterIP": "None", "clusterIPs": ["None"]}), &[]);
        let port =
            |name: &str, number: i64| json!({"name": name, "port": number, "protocol": "TCP", "targetPort": "web"});
        check(
            json!({"ports": [port("", 80), port("b", 80), port("b", 0)]}),
            &[
                "spec.ports[0].name: Required value",
                "spec.ports[2].name: Duplicate value: \"b\"",
                "spec.ports[2].port: Invalid value: 0: must be between 1 and 65535, inclusive",
                "spec.ports[1]: Duplicate value: {\"AppProtocol\":null,\"Name\":\"\",\"NodePort\":0,\"Port\":80,\"Protocol\":\"TCP\",\"TargetPort\":0}",
            ],
        );
        check(
            json!({"ports": [{"port": 80, "protocol": "TCP", "targetPort": 80, "nodePort": 30000}]}),
            &["spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"],
        );
    }

    #[test]
    fn a_type_rules_out_what_means_nothing_for_it() {
        check(
            json!({"type": "ExternalName", "externalName": "Bad_"}),
            &[
                "spec.clusterIPs: Forbidden: may not be set for ExternalName services",
                "spec.ipFamilies: Forbidden: may not be set for ExternalName services",
                "spec.ipFamilyPolicy: Forbidden: may not be set for ExternalName services",
                "spec.externalName: Invalid value: \"Bad_\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
            ],
        );
        check(
            json!({"type": "NodePort", "clusterIP": "None", "clusterIPs": ["None"], "externalTrafficPolicy": "Cluster"}),
            &["spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for NodePort services"],
        );
        check(
            json!({"type": "Odd", "externalTrafficPolicy": "Cluster", "loadBalancerClass": "x.example/y"}),
            &[
                "spec.type: Unsupported value: \"Odd\": supported values: \"ClusterIP\", \"ExternalName\", \"LoadBalancer\", \"NodePort\"",
                "spec.loadBalancerClass: Forbidden: may only be used when `type` is 'LoadBalancer'",
                "spec.externalTrafficPolicy: Invalid value: \"Cluster\": may only be set for externally-accessible services",
            ],
        );
        check(
            json!({"sessionAffinity": "ClientIP"}),
            &["spec.sessionAffinityConfig: Required value: when session affinity type is ClientIP"],
        );
    }

    #[test]
    fn a_load_balancers_status_names_where_it_is() {
        let status = |kind: &str, ingress: Value| {
            let service = json!({"spec": {"type": kind}, "status": {"loadBalancer": {"ingress": ingress}}});
            service_status(&service, &Value::Null)
        };
        testing::check(&status("LoadBalancer", json!([{"ip": "10.0.0.1", "ipMode": "VIP"}])), &[]);
        testing::check(
            &status("ClusterIP", json!([{"ip": "10.0.0.1"}])),
            &["status.loadBalancer.ingress: Forbidden: may only be used when `spec.type` is 'LoadBalancer'"],
        );
        testing::check(
            &status("LoadBalancer", json!([{"ip": "10.0.0.1"}, {"hostname": "10.0.0.1"}])),
            &[
                "status.loadBalancer.ingress[0].ipMode: Required value: must be specified when `ip` is set",
                "status.loadBalancer.ingress[1].hostname: Invalid value: \"10.0.0.1\": must be a DNS name, not an IP address",
            ],
        );
    }
}
