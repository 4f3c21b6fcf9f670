//! Ports on every node: those by which a Service is reached, and the one that tells load balancers of its endpoints.

use std::collections::{HashMap, HashSet};

use api::validation::field::{Error, ErrorList};
use serde_json::Value;

use super::{Ranges, Taken};

/// Gives each port of a Service a port on the nodes: the one that it asks for, the one that it had, or a free one. Ports
/// of one number and two protocols share it.
pub(super) fn allocate(
    ranges: &Ranges,
    new: &mut Value,
    old: Option<&Value>,
    in_use: &mut HashSet<Taken>,
    random: &mut impl FnMut() -> u32,
) -> Result<(), ErrorList> {
    let kept = |name: Option<&Value>| -> Option<u64> {
        let ports = old?.pointer("/spec/ports")?.as_array()?;
        number(ports.iter().find(|port| port.get("name") == name)?, "nodePort")
    };
    let Some(ports) = new.pointer_mut("/spec/ports").and_then(Value::as_array_mut) else { return Ok(()) };
    let mut given: HashMap<Option<u64>, u16> = HashMap::new();
    for (index, port) in ports.iter_mut().enumerate() {
        let asked = number(port, "nodePort").or_else(|| kept(port.get("name")));
        let path = format!("spec.ports[{index}].nodePort");
        let shared = given.get(&number(port, "port")).copied();
        let node_port = match (asked, shared) {
            (Some(asked), Some(shared)) if asked == u64::from(shared) => shared,
            (Some(asked), _) => take(&path, asked, ranges, in_use)?,
            (None, Some(shared)) => shared,
            (None, None) => free(&path, ranges, in_use, random)?,
        };
        given.insert(number(port, "port"), node_port);
        if let Some(port) = port.as_object_mut() {
            port.insert("nodePort".into(), node_port.into());
        }
    }
    Ok(())
}

/// Gives a Service the port at which load balancers ask whether a node has endpoints of it.
pub(super) fn allocate_health_check(
    ranges: &Ranges,
    new: &mut Value,
    old: Option<&Value>,
    in_use: &mut HashSet<Taken>,
    random: &mut impl FnMut() -> u32,
) -> Result<(), ErrorList> {
    let path = "spec.healthCheckNodePort";
    let of = |service: &Value| number(service.get("spec")?, "healthCheckNodePort");
    let port = match of(new).or_else(|| old.and_then(of)) {
        Some(asked) => take(path, asked, ranges, in_use)?,
        None => free(path, ranges, in_use, random)?,
    };
    api::meta::set_at(new, "/spec/healthCheckNodePort", port.into());
    Ok(())
}

/// A field's number, unless it is zero, which stands for none.
fn number(object: &Value, field: &str) -> Option<u64> {
    object.get(field).and_then(Value::as_u64).filter(|number| *number > 0)
}

fn take(path: &str, asked: u64, ranges: &Ranges, in_use: &mut HashSet<Taken>) -> Result<u16, ErrorList> {
    let refuse = |why: &str| Err(vec![Error::invalid(path, asked, why)]);
    let number = u16::try_from(asked).ok().filter(|number| ranges.node_ports.contains(number));
    let Some(number) = number else {
        let (first, last) = (ranges.node_ports.start(), ranges.node_ports.end());
        return refuse(&format!("provided port is not in the valid range. The range of valid ports is {first}-{last}"));
    };
    if in_use.insert(Taken::NodePort(number)) { Ok(number) } else { refuse("provided port is already allocated") }
}

/// A port that nobody has, from a random place on.
fn free(
    path: &str,
    ranges: &Ranges,
    in_use: &mut HashSet<Taken>,
    random: &mut impl FnMut() -> u32,
) -> Result<u16, ErrorList> {
    let size = u32::from(ranges.node_ports.end() - ranges.node_ports.start()) + 1;
    let start = random() % size;
    let nth = |step: u32| ranges.node_ports.start() + u16::try_from((start + step) % size).unwrap_or(0);
    let free = (0..size).map(nth).find(|number| in_use.insert(Taken::NodePort(*number)));
    free.ok_or_else(|| vec![Error::internal(path, "failed to allocate a nodePort: range is full")])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_number_under_two_protocols_shares_a_node_port() {
        let mut service = json!({"spec": {"ports": [{"name": "a", "port": 53, "protocol": "UDP"},
            {"name": "b", "port": 53, "protocol": "TCP"}, {"name": "c", "port": 80}]}});
        allocate(&Ranges::default(), &mut service, None, &mut HashSet::new(), &mut || 5).unwrap();
        let ports: Vec<_> = (0..3).map(|index| service["spec"]["ports"][index]["nodePort"].clone()).collect();
        assert_eq!(ports, [30005, 30005, 30006]);
    }

    #[test]
    fn a_health_check_keeps_its_port() {
        let mut in_use = HashSet::from([Taken::NodePort(30007)]);
        let mut first = json!({"spec": {}});
        allocate_health_check(&Ranges::default(), &mut first, None, &mut in_use, &mut || 7).unwrap();
        assert_eq!(first["spec"]["healthCheckNodePort"], 30008);
        let mut second = json!({"spec": {}});
        allocate_health_check(&Ranges::default(), &mut second, Some(&first), &mut HashSet::new(), &mut || 1).unwrap();
        assert_eq!(second, first);
    }
}
