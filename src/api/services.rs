//! What kind of service a Service is, and what follows from that.

use serde_json::Value;

use crate::value::{list, part, text, texts};

/// The type of a service.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Reached within the cluster alone.
    ClusterIp,
    /// Reached on a port of every node, too.
    NodePort,
    /// Reached at an address outside, too.
    LoadBalancer,
    /// Another name for something outside.
    ExternalName,
    /// Something that validation refuses.
    Unknown,
}

impl Kind {
    /// The type that a service says it has.
    #[must_use]
    pub fn of(service: &Value) -> Self {
        match text(part(service, "spec"), "type") {
            "ClusterIP" => Self::ClusterIp,
            "NodePort" => Self::NodePort,
            "LoadBalancer" => Self::LoadBalancer,
            "ExternalName" => Self::ExternalName,
            _ => Self::Unknown,
        }
    }

    /// The type as it stands in a service; empty for what is unknown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClusterIp => "ClusterIP",
            Self::NodePort => "NodePort",
            Self::LoadBalancer => "LoadBalancer",
            Self::ExternalName => "ExternalName",
            Self::Unknown => "",
        }
    }
}

/// Whether a service wants no address of its own.
#[must_use]
pub fn is_headless(service: &Value) -> bool {
    let mut addresses = texts(part(service, "spec"), "clusterIPs");
    addresses.next() == Some("None") && addresses.next().is_none()
}

/// Whether a service is reached from outside the cluster.
#[must_use]
pub fn is_externally_accessible(service: &Value) -> bool {
    match Kind::of(service) {
        Kind::LoadBalancer | Kind::NodePort => true,
        Kind::ClusterIp => !list(part(service, "spec"), "externalIPs").is_empty(),
        Kind::ExternalName | Kind::Unknown => false,
    }
}

/// Whether load balancers must be told which nodes have endpoints of a service.
#[must_use]
pub fn needs_health_check(service: &Value) -> bool {
    Kind::of(service) == Kind::LoadBalancer && text(part(service, "spec"), "externalTrafficPolicy") == "Local"
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_service_is_follows_from_its_spec() {
        for (spec, kind, headless, external, health) in [
            (json!({}), Kind::Unknown, false, false, false),
            (json!({"type": "ClusterIP", "clusterIPs": ["None"]}), Kind::ClusterIp, true, false, false),
            (json!({"type": "ClusterIP", "externalIPs": ["1.2.3.4"]}), Kind::ClusterIp, false, true, false),
            (json!({"type": "NodePort", "externalTrafficPolicy": "Local"}), Kind::NodePort, false, true, false),
            (json!({"type": "LoadBalancer", "externalTrafficPolicy": "Local"}), Kind::LoadBalancer, false, true, true),
            (json!({"type": "ExternalName"}), Kind::ExternalName, false, false, false),
        ] {
            let service = json!({"spec": spec});
            assert_eq!(Kind::of(&service), kind, "{spec}");
            assert_eq!(is_headless(&service), headless, "{spec}");
            assert_eq!(is_externally_accessible(&service), external, "{spec}");
            assert_eq!(needs_health_check(&service), health, "{spec}");
        }
    }
}
