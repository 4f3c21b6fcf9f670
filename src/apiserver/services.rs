//! Which addresses and ports Services get.
//!
//! What is in use is read from the watch cache of Services at each write, so nothing has to be kept in step; what a
//! write has chosen is reserved until it has ended, so that two writes never choose the same before either is stored.

mod ports;

use std::collections::HashSet;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use api::meta;
use api::validation::field::{Error, ErrorList};
use serde_json::{Value, json};

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
    /// What writes have chosen that have not ended, each with the Service that it is for: `namespace/name`.
    reserved: Arc<Mutex<Vec<(Taken, String)>>>,
}

/// What one write has chosen; it is free again when this is dropped, unless the write was stored.
#[derive(Debug)]
#[must_use = "what was chosen is kept for the write only while this is held"]
pub(crate) struct Reservation {
    services: Services,
    taken: Vec<(Taken, String)>,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut reserved = self.services.lock();
        for own in &self.taken {
            // The same may be there twice, by another write to the same Service.
            if let Some(at) = reserved.iter().position(|other| other == own) {
                reserved.swap_remove(at);
            }
        }
    }
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

    /// The address of the API's own Service, which no other gets unless it asks for it.
    pub(crate) fn first_address(&self) -> IpAddr {
        let (network, _) = self.ranges.cluster_ips;
        IpAddr::from(std::net::Ipv4Addr::from(u32::from(network).saturating_add(1)))
    }

    /// Gives `new` what its type needs and does not have; `old` is what it was, `others` all Services there are.
    pub(crate) fn reserve(
        &self,
        new: &mut Value,
        old: Option<&Value>,
        others: &[Value],
        mut random: impl FnMut() -> u32,
    ) -> Result<Reservation, ErrorList> {
        let namespace = meta::namespace(new).unwrap_or_default();
        let owner = match meta::name(new) {
            // Its name is still to be made, and nobody else's.
            "" => format!("{namespace}/?{}", random()),
            name => format!("{namespace}/{name}"),
        };
        let mut reserved = self.lock();
        let own: HashSet<Taken> = old.into_iter().flat_map(taken_by).collect();
        let mut in_use: HashSet<Taken> =
            others.iter().flat_map(taken_by).filter(|taken| !own.contains(taken)).collect();
        // A write that is tried again finds what its first try has chosen.
        let of_others = reserved.iter().filter(|(taken, of)| *of != owner && !own.contains(taken));
        in_use.extend(of_others.map(|(taken, _)| *taken));

        Allocator { ranges: &self.ranges, in_use: &mut in_use, random }.allocate(new, old)?;
        let fresh = taken_by(new).filter(|taken| !own.contains(taken));
        let taken: Vec<(Taken, String)> = fresh.map(|taken| (taken, owner.clone())).collect();
        reserved.extend(taken.iter().cloned());
        Ok(Reservation { services: self.clone(), taken })
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Taken, String)>> {
        self.reserved.lock().unwrap_or_else(PoisonError::into_inner)
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
struct Allocator<'a, R> {
    ranges: &'a Ranges,
    in_use: &'a mut HashSet<Taken>,
    random: R,
}

impl<R: FnMut() -> u32> Allocator<'_, R> {
    fn allocate(&mut self, new: &mut Value, old: Option<&Value>) -> Result<(), ErrorList> {
        let kind = new.pointer("/spec/type").and_then(Value::as_str).unwrap_or("ClusterIP").to_owned();
        if kind == "ExternalName" {
            return Ok(());
        }
        check_families(new, old)?;
        self.address(new, old)?;
        if kind == "NodePort" || kind == "LoadBalancer" && wants_node_ports(new) {
            self.node_ports(new, old)?;
        }
        if api::services::needs_health_check(new) {
            self.health_check(new, old)?;
        }
        Ok(())
    }

    fn address(&mut self, new: &mut Value, old: Option<&Value>) -> Result<(), ErrorList> {
        let text =
            |service: &Value| service.pointer("/spec/clusterIP").and_then(Value::as_str).unwrap_or_default().to_owned();
        let had = old.map(text).unwrap_or_default();
        let mut asked = text(new);
        if asked.is_empty() {
            asked = had;
        } else if !had.is_empty() && had != asked {
            // An address does not change, which validation says.
            meta::set_at(new, "/spec/clusterIPs", json!([asked]));
            return Ok(());
        }
        let address = match asked.as_str() {
            "None" => "None".to_owned(),
            "" => {
                let Some(free) = self.free_address() else {
                    let why = "failed to allocate IP: range is full".to_owned();
                    return Err(vec![Error::internal("spec.clusterIPs", why)]);
                };
                free.to_string()
            }
            asked => {
                let refuse = |why: String| Err(vec![Error::invalid("spec.clusterIPs", json!([asked]), why)]);
                let Ok(address) = asked.parse::<IpAddr>() else { return Ok(()) };
                if !is_within(self.ranges, address) {
                    return refuse(format!(
                        "failed to allocate IP {asked}: the provided network does not match the current range"
                    ));
                }
                if self.in_use.contains(&Taken::Address(address)) {
                    return refuse(format!("failed to allocate IP {asked}: provided IP is already allocated"));
                }
                asked.to_owned()
            }
        };
        meta::set_at(new, "/spec/clusterIPs", json!([address]));
        meta::set_at(new, "/spec/clusterIP", address.into());
        set_families(new);
        Ok(())
    }

    /// An address that nobody has, tried at random and then in order; network, gateway-like first and broadcast address
    /// are left out.
    fn free_address(&mut self) -> Option<IpAddr> {
        let (network, prefix) = self.ranges.cluster_ips;
        let size = 1_u64 << (32 - u32::from(prefix.min(30)));
        // Upstream keeps the lower part for addresses that are asked for by number.
        let usable = u32::try_from(size - 2).ok()?;
        let nth = |offset: u32| IpAddr::from(std::net::Ipv4Addr::from(u32::from(network) + 1 + offset % usable));
        let start = (self.random)();
        (0..usable)
            .map(|step| nth(start.wrapping_add(step) % usable))
            .find(|address| !self.in_use.contains(&Taken::Address(*address)) && *address != nth(0))
    }
}

fn wants_node_ports(service: &Value) -> bool {
    service.pointer("/spec/allocateLoadBalancerNodePorts").and_then(Value::as_bool).unwrap_or(true)
}

/// Refuses families that the cluster does not have.
fn check_families(new: &Value, old: Option<&Value>) -> Result<(), ErrorList> {
    let is_unchanged = |field: &str| old.is_some_and(|old| old.pointer(field) == new.pointer(field));
    let says = |field: &str, value: &str| new.pointer(field).and_then(Value::as_str) == Some(value);
    let selector = new.pointer("/spec/selector").and_then(Value::as_object);
    let is_free = says("/spec/clusterIP", "None") && selector.is_none_or(serde_json::Map::is_empty);
    let mut errors = ErrorList::new();
    if !is_free && says("/spec/ipFamilyPolicy", "RequireDualStack") && !is_unchanged("/spec/ipFamilyPolicy") {
        let why = "this cluster is not configured for dual-stack services";
        errors.push(Error::invalid("spec.ipFamilyPolicy", "RequireDualStack", why));
    }
    if !is_free && says("/spec/ipFamilies/0", "IPv6") && !is_unchanged("/spec/ipFamilies") {
        errors.push(Error::invalid("spec.ipFamilies[0]", "IPv6", "not configured on this cluster"));
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

/// The cluster has one family of addresses. A service that has neither an address nor pods of its own choosing may
/// name endpoints of any family, so upstream lets it have both.
fn set_families(service: &mut Value) {
    let is_headless = service.pointer("/spec/clusterIP").and_then(Value::as_str) == Some("None");
    let selector = service.pointer("/spec/selector").and_then(Value::as_object);
    let (families, policy) = if is_headless && selector.is_none_or(serde_json::Map::is_empty) {
        (json!(["IPv4", "IPv6"]), "RequireDualStack")
    } else {
        (json!(["IPv4"]), "SingleStack")
    };
    let says = |field: &str| service.pointer(field).is_some_and(|value| !value.is_null());
    match (says("/spec/ipFamilies"), says("/spec/ipFamilyPolicy")) {
        (false, false) => {
            meta::set_at(service, "/spec/ipFamilies", families);
            meta::set_at(service, "/spec/ipFamilyPolicy", policy.into());
        }
        (false, true) => meta::set_at(service, "/spec/ipFamilies", json!(["IPv4"])),
        (true, false) => meta::set_at(service, "/spec/ipFamilyPolicy", "SingleStack".into()),
        (true, true) => {}
    }
}

fn is_within(ranges: &Ranges, address: IpAddr) -> bool {
    let (network, prefix) = ranges.cluster_ips;
    let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
    matches!(address, IpAddr::V4(address) if u32::from(address) & mask == u32::from(network) & mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reserve(services: &Services, name: &str, spec: Value) -> Result<(Value, Reservation), String> {
        let mut service = json!({"metadata": {"name": name, "namespace": "default"}, "spec": spec});
        let reserved = services.reserve(&mut service, None, &[], || 7);
        let reserved = reserved.map_err(|errors| errors.iter().map(Error::body).collect::<Vec<_>>().join(", "))?;
        Ok((service, reserved))
    }

    #[test]
    fn each_service_gets_an_address_and_ports_of_its_own() {
        let services = Services::new(&Ranges::default());
        let node_port = json!({"type": "NodePort", "ports": [{"port": 80}]});
        let (first, _held) = reserve(&services, "a", node_port.clone()).unwrap();
        let (second, _held_too) = reserve(&services, "b", node_port).unwrap();
        assert_eq!(first["spec"]["clusterIPs"], json!([first["spec"]["clusterIP"]]));
        assert_ne!(first["spec"]["clusterIP"], second["spec"]["clusterIP"]);
        assert_eq!(first["spec"]["ports"][0]["nodePort"], 30007);
        assert_eq!(second["spec"]["ports"][0]["nodePort"], 30008);
    }

    #[test]
    fn a_headless_service_has_none_and_an_external_name_nothing() {
        let services = Services::new(&Ranges::default());
        let (headless, _held) = reserve(&services, "a", json!({"clusterIP": "None"})).unwrap();
        assert_eq!(headless["spec"]["clusterIPs"], json!(["None"]));
        let external = json!({"type": "ExternalName", "externalName": "a.example"});
        assert_eq!(reserve(&services, "b", external.clone()).unwrap().0["spec"], external);
    }

    #[test]
    fn what_is_taken_or_out_of_range_is_refused() {
        let services = Services::new(&Ranges::default());
        let asked = json!({"clusterIP": "100.96.0.9"});
        let held = reserve(&services, "a", asked.clone()).unwrap();
        let taken = reserve(&services, "b", asked.clone()).unwrap_err();
        assert!(taken.contains("provided IP is already allocated"), "{taken}");
        let outside = reserve(&services, "b", json!({"clusterIP": "10.0.0.1"})).unwrap_err();
        assert!(outside.contains("the provided network does not match the current range"), "{outside}");
        let port = reserve(&services, "b", json!({"type": "NodePort", "ports": [{"nodePort": 80}]})).unwrap_err();
        assert!(port.contains("The range of valid ports is 30000-32767"), "{port}");

        let again = reserve(&services, "a", asked.clone());
        assert!(again.is_ok(), "a write that is tried again: {again:?}");
        drop((held, again));
        assert!(reserve(&services, "b", asked).is_ok());
    }
}
