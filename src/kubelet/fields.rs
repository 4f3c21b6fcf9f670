//! Fields of a pod that its guests may read: `fieldRef` and `resourceFieldRef`, in variables and in files.

use std::collections::BTreeMap;
use std::net::IpAddr;

use k8s_openapi::api::core::v1 as core;

use crate::resources::{self, Amounts};

/// What is known of a pod beside its object.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts<'a> {
    /// The object.
    pub(crate) pod: &'a core::Pod,
    /// The pod's own address.
    pub(crate) address: Option<IpAddr>,
    /// The node's address.
    pub(crate) node_ip: IpAddr,
    /// What the node has to give: the limit of a container that declares none.
    pub(crate) allocatable: Amounts,
}

/// Why a field cannot be read.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Error {
    /// No such field, or none that guests may read.
    #[error("unsupported fieldPath: {0}")]
    UnsupportedField(String),
    /// No such resource.
    #[error("unsupported container resource: {0}")]
    UnsupportedResource(String),
    /// A divisor that is no quantity, or zero.
    #[error("invalid divisor {divisor:?} for resource {resource}")]
    InvalidDivisor {
        /// The resource.
        resource: String,
        /// As given.
        divisor: String,
    },
    /// The container of another name that a volume's `resourceFieldRef` names.
    #[error("container {0} not found")]
    NoContainer(String),
}

/// The value of a `fieldRef`.
///
/// # Errors
/// When there is no such field.
pub(crate) fn field(facts: &Facts<'_>, path: &str) -> Result<String, Error> {
    let meta = &facts.pod.metadata;
    let spec = facts.pod.spec.as_ref();
    let text = |value: Option<&String>| value.cloned().unwrap_or_default();
    if let Some((map, key)) = subscript(path) {
        return match map {
            "metadata.labels" => Ok(text(meta.labels.as_ref().and_then(|labels| labels.get(key)))),
            "metadata.annotations" => Ok(text(meta.annotations.as_ref().and_then(|notes| notes.get(key)))),
            _ => Err(Error::UnsupportedField(path.to_owned())),
        };
    }
    let address = || facts.address.map(|address| address.to_string()).unwrap_or_default();
    Ok(match path {
        "metadata.name" => text(meta.name.as_ref()),
        "metadata.namespace" => text(meta.namespace.as_ref()),
        "metadata.uid" => text(meta.uid.as_ref()),
        "metadata.labels" => lines(meta.labels.as_ref()),
        "metadata.annotations" => lines(meta.annotations.as_ref()),
        "spec.nodeName" => text(spec.and_then(|spec| spec.node_name.as_ref())),
        "spec.serviceAccountName" => text(spec.and_then(|spec| spec.service_account_name.as_ref())),
        "status.hostIP" | "status.hostIPs" => facts.node_ip.to_string(),
        "status.podIP" | "status.podIPs" => address(),
        _ => return Err(Error::UnsupportedField(path.to_owned())),
    })
}

/// The value of a `resourceFieldRef`: the amount in units of the divisor, rounded up, as upstream.
///
/// # Errors
/// When the resource, the divisor or the container is not known.
pub(crate) fn resource(
    facts: &Facts<'_>,
    container: &core::Container,
    source: &core::ResourceFieldSelector,
) -> Result<String, Error> {
    let unsupported = || Error::UnsupportedResource(source.resource.clone());
    let (list, name) = source.resource.split_once('.').ok_or_else(unsupported)?;
    let resources = container.resources.as_ref();
    let declared = match list {
        "limits" => resources.and_then(|resources| resources.limits.as_ref()),
        "requests" => resources.and_then(|resources| resources.requests.as_ref()),
        _ => return Err(unsupported()),
    };
    let declared = declared.and_then(|amounts| amounts.get(name)).and_then(|quantity| resources::milli(&quantity.0));
    let amount = match (name, declared) {
        (_, Some(milli)) => milli,
        ("cpu", None) if list == "limits" => facts.allocatable.cpu_milli,
        ("memory", None) if list == "limits" => facts.allocatable.memory_bytes.saturating_mul(1000),
        ("cpu" | "memory" | "ephemeral-storage", None) => 0,
        _ => return Err(unsupported()),
    };
    let divisor = source.divisor.as_ref().map_or("1", |quantity| quantity.0.as_str());
    let invalid = || Error::InvalidDivisor { resource: source.resource.clone(), divisor: divisor.to_owned() };
    // The API server's default is "0", which means one.
    let milli = match divisor {
        "" | "0" => 1000,
        text => resources::milli(text).filter(|milli| *milli > 0).ok_or_else(invalid)?,
    };
    Ok((amount.saturating_add(milli - 1) / milli).to_string())
}

/// `metadata.labels['key']` as the map and the key.
fn subscript(path: &str) -> Option<(&str, &str)> {
    let (map, rest) = path.split_once("['")?;
    Some((map, rest.strip_suffix("']")?))
}

/// A map as lines of `key="value"`, sorted, in Go's quoting as upstream writes them.
fn lines(map: Option<&BTreeMap<String, String>>) -> String {
    let lines: Vec<String> = map.into_iter().flatten().map(|(key, value)| format!("{key}={value:?}")).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod() -> core::Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "web", "namespace": "ns", "uid": "u-1", "labels": {"app": "a \"b\"", "tier": "x"}},
            "spec": {"nodeName": "n1", "serviceAccountName": "sa", "containers": [
                {"name": "c", "resources": {"limits": {"cpu": "250m", "memory": "100Mi"}}},
            ]},
        }))
        .unwrap()
    }

    fn facts(pod: &core::Pod) -> Facts<'_> {
        let allocatable = Amounts { cpu_milli: 2000, memory_bytes: 1 << 30 };
        Facts { pod, address: Some([100, 64, 0, 9].into()), node_ip: [127, 0, 0, 2].into(), allocatable }
    }

    #[test]
    fn fields_are_read_by_their_paths() {
        let pod = pod();
        for (path, expected) in [
            ("metadata.name", "web"),
            ("metadata.uid", "u-1"),
            ("metadata.labels['tier']", "x"),
            ("metadata.labels['none']", ""),
            ("metadata.labels", "app=\"a \\\"b\\\"\"\ntier=\"x\""),
            ("spec.nodeName", "n1"),
            ("status.hostIP", "127.0.0.2"),
            ("status.podIP", "100.64.0.9"),
        ] {
            assert_eq!(field(&facts(&pod), path).unwrap(), expected, "{path}");
        }
        assert_eq!(field(&facts(&pod), "spec.x").unwrap_err().to_string(), "unsupported fieldPath: spec.x");
    }

    #[test]
    fn resources_are_counted_in_units_of_the_divisor_and_rounded_up() {
        let pod = pod();
        let container = &pod.spec.as_ref().unwrap().containers[0];
        for (resource_name, divisor, expected) in [
            ("limits.cpu", "0", "1"),
            ("limits.cpu", "1m", "250"),
            ("limits.memory", "1Mi", "100"),
            ("limits.memory", "1", "104857600"),
            ("requests.memory", "1", "0"),
        ] {
            let source = core::ResourceFieldSelector {
                resource: resource_name.to_owned(),
                divisor: Some(k8s_openapi::apimachinery::pkg::api::resource::Quantity(divisor.to_owned())),
                container_name: None,
            };
            assert_eq!(resource(&facts(&pod), container, &source).unwrap(), expected, "{resource_name} {divisor}");
        }
    }
}
