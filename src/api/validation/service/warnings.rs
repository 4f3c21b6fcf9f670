//! What is allowed in a service and unwise: told to whoever writes it, in upstream's words.

use std::net::{IpAddr, Ipv6Addr};

use serde_json::Value;

use crate::meta;
use crate::services::{Kind, is_headless};
use crate::validation::field::{Path, quote};
use crate::value::{has, list, part, text, texts};

/// What to tell of a Service.
pub fn warnings(service: &Value) -> Vec<String> {
    const HINTS: &str = "service.kubernetes.io/topology-aware-hints";
    const MODE: &str = "service.kubernetes.io/topology-mode";
    let (path, spec, mut warnings) = (Path::new("spec"), part(service, "spec"), Vec::new());
    let mut tell = |applies: bool, text: &str| {
        if applies {
            warnings.push(text.to_owned());
        }
    };
    tell(
        meta::annotation(service, HINTS).is_some(),
        &format!("annotation {HINTS} is deprecated, please use {MODE} instead"),
    );
    let has_external = !list(spec, "externalIPs").is_empty();
    let is_external_name = Kind::of(service) == Kind::ExternalName;
    let is_headless = Kind::of(service) == Kind::ClusterIp && is_headless(service);
    tell(is_headless && has(spec, "loadBalancerIP"), "spec.loadBalancerIP is ignored for headless services");
    tell(is_headless && has_external, "spec.externalIPs is ignored for headless services");
    let is_sticky = text(spec, "sessionAffinity") != "None";
    tell(is_headless && is_sticky, "spec.SessionAffinity is ignored for headless services");
    let is_used = has_external && !is_headless && !is_external_name;
    tell(is_used, "spec.externalIPs is deprecated and may no longer be implemented in some clusters");
    tell(is_external_name && has_external, "spec.externalIPs is ignored when spec.type is \"ExternalName\"");
    let is_named = has(spec, "externalName") && !is_external_name;
    tell(is_named, "spec.externalName is ignored when spec.type is not \"ExternalName\"");
    let is_old = text(spec, "trafficDistribution") == "PreferClose";
    tell(is_old, "spec.trafficDistribution: \"PreferClose\" is deprecated; use \"PreferSameZone\"");
    for field in ["clusterIPs", "externalIPs"] {
        for (index, address) in texts(spec, field).enumerate() {
            warnings.extend(odd_address(&path.child(field).index(index), address));
        }
    }
    warnings.extend(odd_address(&path.child("loadBalancerIP"), text(spec, "loadBalancerIP")));
    warnings
}

/// An address that is written in a way of its own, so that texts which mean the same do not compare as the same.
fn odd_address(path: &Path, text: &str) -> Option<String> {
    let address: Ipv6Addr = text.parse().ok()?;
    let shown = quote(text);
    if let IpAddr::V4(mapped) = IpAddr::V6(address).to_canonical() {
        return Some(format!(
            "{path}: non-standard IP address {shown} will be considered invalid in a future Kubernetes release: use \"{mapped}\""
        ));
    }
    let canonical = address.to_string();
    (canonical != text)
        .then(|| format!("{path}: IPv6 address {shown} should be in RFC 5952 canonical format (\"{canonical}\")"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(spec: Value, expected: &[&str]) {
        assert_eq!(warnings(&json!({"spec": spec})), expected);
    }

    #[test]
    fn what_is_ignored_or_old_is_told() {
        check(json!({"type": "ClusterIP", "sessionAffinity": "None", "clusterIPs": ["10.0.0.1"]}), &[]);
        check(
            json!({"type": "ClusterIP", "sessionAffinity": "ClientIP", "clusterIPs": ["None"], "externalIPs": ["1.2.3.4"]}),
            &[
                "spec.externalIPs is ignored for headless services",
                "spec.SessionAffinity is ignored for headless services",
            ],
        );
        check(
            json!({"type": "NodePort", "externalIPs": ["1.2.3.4"], "externalName": "a", "trafficDistribution": "PreferClose"}),
            &[
                "spec.externalIPs is deprecated and may no longer be implemented in some clusters",
                "spec.externalName is ignored when spec.type is not \"ExternalName\"",
                "spec.trafficDistribution: \"PreferClose\" is deprecated; use \"PreferSameZone\"",
            ],
        );
    }

    #[test]
    fn addresses_have_one_spelling() {
        check(
            json!({"type": "ClusterIP", "clusterIPs": ["fd00:0::1"], "loadBalancerIP": "::ffff:1.2.3.4"}),
            &[
                "spec.clusterIPs[0]: IPv6 address \"fd00:0::1\" should be in RFC 5952 canonical format (\"fd00::1\")",
                "spec.loadBalancerIP: non-standard IP address \"::ffff:1.2.3.4\" will be considered invalid in a future Kubernetes release: use \"1.2.3.4\"",
            ],
        );
    }
}
