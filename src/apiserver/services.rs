//! Which addresses and ports Services get.
//!
//! What is in use is read from the watch cache of Services at each write, so nothing has to be kept in step; a lock
//! keeps two writes from choosing the same address before either is stored (`Services::reserve`).

use std::collections::HashSet;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use api::meta;
use api::validation::field::{Error, ErrorList};
use base::clock::Instant;
use serde_json::{Value, json};

/// How long an address or port that was handed out is held back for a write that is not stored yet.
const RESERVATION: Duration = Duration::from_secs(60);

/// The ranges that are handed out, as upstream's flags name them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ranges {
    /// `--service-cluster-ip-range`: an IPv4 network and its prefix length.
    pub cluster_ips: (std::net::Ipv4Addr, u8),
    /// `--service-node-port-range`.
    pub node_ports: RangeInclusive<u16>,
}

impl Default for Ranges {
    fn default() -> Self {
        Self { cluster_ips: (std::net::Ipv4Addr::new(100, 96, 0, 0), 16), node_ports: 30000..=32767 }
    }
}

/// The ranges and what is on its way into Services; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Services {
    ranges: Ranges,
    reserved: Arc<Mutex<Vec<(Taken, Instant)>>>,
}

/// Something that one Service has.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Taken {
    Address(IpAddr),
    NodePort(u16),
}

impl Services {
    pub(crate) fn new(ranges: &Ranges) -> Self {
        Self { ranges: ranges.clone(), reserved: Arc::default() }
    }

    /// Gives `new` what its type needs and does not have; `old` is what it was, `others` all Services there are.
    pub(crate) fn reserve(
        &self,
        new: &mut Value,
        old: Option<&Value>,
        others: &[Value],
        mut random: impl FnMut() -> u32,
    ) -> Result<(), ErrorList> {
        let now = Instant::now();
        let mut reserved = self.reserved.lock().unwrap_or_else(PoisonError::into_inner);
        reserved.retain(|(_, until)| *until > now);
        let own: HashSet<Taken> = old.into_iter().flat_map(taken_by).collect();
        let mut in_use: HashSet<Taken> =
            others.iter().flat_map(taken_by).filter(|taken| !own.contains(taken)).collect();
        in_use.extend(reserved.iter().map(|(taken, _)| *taken).filter(|taken| !own.contains(taken)));

        allocate(&self.ranges, new, old, &mut in_use, &mut random)?;
        let fresh = taken_by(new).filter(|taken| !own.contains(taken));
        reserved.extend(fresh.map(|taken| (taken, now + RESERVATION)));
        Ok(())
    }
}

/// What a Service has.
fn taken_by(service: &Value) -> impl Iterator<Item = Taken> {
    let addresses = service.pointer("/spec/clusterIPs").and_then(Value::as_array).into_iter().flatten();
    let addresses = addresses.filter_map(|address| address.as_str()?.parse().ok()).map(Taken::Address);
    let ports = service.pointer("/spec/ports").and_then(Value::as_array).into_iter().flatten();
    let ports = ports.filter_map(|port| u16::try_from(port.get("nodePort")?.as_u64()?).ok());
    let health = service.pointer("/spec/healthCheckNodePort").and_then(Value::as_u64);
    let health = health.and_then(|port| u16::try_from(port).ok());
    let mut taken: Vec<Taken> = addresses.collect();
    taken.extend(ports.chain(health).filter(|port| *port > 0).map(Taken::NodePort));
    taken.into_iter()
}

/// The allocation, as a function of what is in use.
fn allocate(
    ranges: &Ranges,
    new: &mut Value,
    old: Option<&Value>,
    in_use: &mut HashSet<Taken>,
    random: &mut impl FnMut() -> u32,
) -> Result<(), ErrorList> {
    let kind = new.pointer("/spec/type").and_then(Value::as_str).unwrap_or("ClusterIP").to_owned();
    if kind == "ExternalName" {
        return Ok(());
    }
    allocate_address(ranges, new, old, in_use, random)?;
    if kind == "NodePort" || kind == "LoadBalancer" && wants_node_ports(new) {
        allocate_ports(ranges, new, old, in_use, random)?;
    }
    Ok(())
}

fn wants_node_ports(service: &Value) -> bool {
    service.pointer("/spec/allocateLoadBalancerNodePorts").and_then(Value::as_bool).unwrap_or(true)
}

fn allocate_address(
    ranges: &Ranges,
    new: &mut Value,
    old: Option<&Value>,
    in_use: &mut HashSet<Taken>,
    random: &mut impl FnMut() -> u32,
) -> Result<(), ErrorList> {
    let text =
        |service: &Value| service.pointer("/spec/clusterIP").and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut asked = text(new);
    if asked.is_empty() {
        asked = old.map(text).unwrap_or_default();
    }
    let address = match asked.as_str() {
        "None" => "None".to_owned(),
        "" => {
            let Some(free) = free_address(ranges, in_use, random) else {
                let why = "failed to allocate IP: range is full".to_owned();
                return Err(vec![Error::internal("spec.clusterIPs", why)]);
            };
            free.to_string()
        }
        asked => {
            let refuse = |why: String| Err(vec![Error::invalid("spec.clusterIPs", json!([asked]), why)]);
            let Ok(address) = asked.parse::<IpAddr>() else { return Ok(()) };
            if !is_within(ranges, address) {
                let (network, prefix) = ranges.cluster_ips;
                return refuse(format!(
                    "failed to allocate IP {asked}: the provided IP ({asked}) is not in the valid range. \
                     The range of valid IPs is {network}/{prefix}"
                ));
            }
            if in_use.contains(&Taken::Address(address)) {
                return refuse(format!("failed to allocate IP {asked}: provided IP is already allocated"));
            }
            asked.to_owned()
        }
    };
    meta::set_at(new, "/spec/clusterIPs", json!([address]));
    meta::set_at(new, "/spec/clusterIP", address.into());
    if new.pointer("/spec/ipFamilies").is_none() {
        meta::set_at(new, "/spec/ipFamilies", json!(["IPv4"]));
    }
    if new.pointer("/spec/ipFamilyPolicy").is_none() {
        meta::set_at(new, "/spec/ipFamilyPolicy", "SingleStack".into());
    }
    Ok(())
}

/// An address that nobody has, tried at random and then in order; network, gateway-like first and broadcast address
/// are left out.
fn free_address(ranges: &Ranges, in_use: &HashSet<Taken>, random: &mut impl FnMut() -> u32) -> Option<IpAddr> {
    let (network, prefix) = ranges.cluster_ips;
    let size = 1_u64 << (32 - u32::from(prefix.min(30)));
    // Upstream keeps the lower part for addresses that are asked for by number.
    let usable = u32::try_from(size - 2).ok()?;
    let nth = |offset: u32| IpAddr::from(std::net::Ipv4Addr::from(u32::from(network) + 1 + offset % usable));
    let start = random();
    (0..usable)
        .map(|step| nth(start.wrapping_add(step) % usable))
        .find(|address| !in_use.contains(&Taken::Address(*address)) && *address != nth(0))
}

fn is_within(ranges: &Ranges, address: IpAddr) -> bool {
    let (network, prefix) = ranges.cluster_ips;
    let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
    matches!(address, IpAddr::V4(address) if u32::from(address) & mask == u32::from(network) & mask)
}

fn allocate_ports(
    ranges: &Ranges,
    new: &mut Value,
    old: Option<&Value>,
    in_use: &mut HashSet<Taken>,
    random: &mut impl FnMut() -> u32,
) -> Result<(), ErrorList> {
    let kept = |name: Option<&Value>| -> Option<u64> {
        let ports = old?.pointer("/spec/ports")?.as_array()?;
        ports.iter().find(|port| port.get("name") == name)?.get("nodePort")?.as_u64()
    };
    let Some(ports) = new.pointer_mut("/spec/ports").and_then(Value::as_array_mut) else { return Ok(()) };
    for (index, port) in ports.iter_mut().enumerate() {
        let asked = port.get("nodePort").and_then(Value::as_u64).filter(|asked| *asked > 0);
        let asked = asked.or_else(|| kept(port.get("name")));
        let path = format!("spec.ports[{index}].nodePort");
        let number = match asked {
            Some(asked) => {
                let number = u16::try_from(asked).ok().filter(|number| ranges.node_ports.contains(number));
                let Some(number) = number else {
                    let (first, last) = (ranges.node_ports.start(), ranges.node_ports.end());
                    let why =
                        format!("provided port is not in the valid range. The range of valid ports is {first}-{last}");
                    return Err(vec![Error::invalid(path, asked, why)]);
                };
                if !in_use.insert(Taken::NodePort(number)) {
                    return Err(vec![Error::invalid(path, asked, "provided port is already allocated")]);
                }
                number
            }
            None => {
                let size = u32::from(ranges.node_ports.end() - ranges.node_ports.start()) + 1;
                let start = random() % size;
                let nth = |step: u32| ranges.node_ports.start() + u16::try_from((start + step) % size).unwrap_or(0);
                let Some(free) = (0..size).map(nth).find(|number| !in_use.contains(&Taken::NodePort(*number))) else {
                    return Err(vec![Error::internal(path, "failed to allocate a nodePort: range is full")]);
                };
                in_use.insert(Taken::NodePort(free));
                free
            }
        };
        if let Some(port) = port.as_object_mut() {
            port.insert("nodePort".into(), number.into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reserve(services: &Services, spec: Value) -> Result<Value, String> {
        let mut service = json!({"spec": spec});
        let reserved = services.reserve(&mut service, None, &[], || 7);
        reserved.map_err(|errors| errors.iter().map(Error::body).collect::<Vec<_>>().join(", "))?;
        Ok(service)
    }

    #[test]
    fn each_service_gets_an_address_and_ports_of_its_own() {
        let services = Services::new(&Ranges::default());
        let node_port = json!({"type": "NodePort", "ports": [{"port": 80}]});
        let first = reserve(&services, node_port.clone()).unwrap();
        let second = reserve(&services, node_port).unwrap();
        assert_eq!(first["spec"]["clusterIPs"], json!([first["spec"]["clusterIP"]]));
        assert_ne!(first["spec"]["clusterIP"], second["spec"]["clusterIP"]);
        assert_eq!(first["spec"]["ports"][0]["nodePort"], 30007);
        assert_eq!(second["spec"]["ports"][0]["nodePort"], 30008);
    }

    #[test]
    fn a_headless_service_has_none_and_an_external_name_nothing() {
        let services = Services::new(&Ranges::default());
        assert_eq!(reserve(&services, json!({"clusterIP": "None"})).unwrap()["spec"]["clusterIPs"], json!(["None"]));
        let external = json!({"type": "ExternalName", "externalName": "a.example"});
        assert_eq!(reserve(&services, external.clone()).unwrap()["spec"], external);
    }

    #[test]
    fn what_is_taken_or_out_of_range_is_refused() {
        let services = Services::new(&Ranges::default());
        reserve(&services, json!({"clusterIP": "100.96.0.9"})).unwrap();
        let taken = reserve(&services, json!({"clusterIP": "100.96.0.9"})).unwrap_err();
        assert!(taken.contains("provided IP is already allocated"), "{taken}");
        let outside = reserve(&services, json!({"clusterIP": "10.0.0.1"})).unwrap_err();
        assert!(outside.contains("is not in the valid range"), "{outside}");
        let port = reserve(&services, json!({"type": "NodePort", "ports": [{"nodePort": 80}]})).unwrap_err();
        assert!(port.contains("The range of valid ports is 30000-32767"), "{port}");
    }
}
