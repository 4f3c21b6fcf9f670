//! Ports on every node: those by which a Service is reached, and the one that tells load balancers of its endpoints.

use std::collections::HashMap;

use api::validation::field::{Error, ErrorList};
use serde_json::Value;

use super::{Allocator, Taken};

impl<R: FnMut() -> u32> Allocator<'_, R> {
    /// Gives each port of a Service a port on the nodes: the one that it asks for, the one that it had, or a free one. Ports
    /// of one number and two protocols share it.
    pub(super) fn node_ports(&mut self, new: &mut Value, old: Option<&Value>) -> Result<(), ErrorList> {
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
                (Some(asked), _) => self.take(&path, asked)?,
                (None, Some(shared)) => shared,
                (None, None) => self.free(&path)?,
            };
            given.insert(number(port, "port"), node_port);
            if let Some(port) = port.as_object_mut() {
                port.insert("nodePort".into(), node_port.into());
            }
        }
        Ok(())
    }

    /// Gives a Service the port at which load balancers ask whether a node has endpoints of it.
    pub(super) fn health_check(&mut self, new: &mut Value, old: Option<&Value>) -> Result<(), ErrorList> {
        let path = "spec.healthCheckNodePort";
        let of = |service: &Value| number(service.get("spec")?, "healthCheckNodePort");
        let port = match of(new).or_else(|| old.and_then(of)) {
            Some(asked) => self.take(path, asked)?,
            None => self.free(path)?,
        };
        api::meta::set_at(new, "/spec/healthCheckNodePort", port.into());
        Ok(())
    }

    fn take(&mut self, path: &str, asked: u64) -> Result<u16, ErrorList> {
        let refuse = |why: &str| Err(vec![Error::invalid(path, asked, why)]);
        let number = u16::try_from(asked).ok().filter(|number| self.ranges.node_ports.contains(number));
        let Some(number) = number else {
            let (first, last) = (self.ranges.node_ports.start(), self.ranges.node_ports.end());
            return refuse(&format!(
                "provided port is not in the valid range. The range of valid ports is {first}-{last}"
            ));
        };
        if self.in_use.insert(Taken::NodePort(number)) {
            Ok(number)
        } else {
            refuse("provided port is already allocated")
        }
    }

    /// A port that nobody has, from a random place on.
    fn free(&mut self, path: &str) -> Result<u16, ErrorList> {
        let size = u32::from(self.ranges.node_ports.end() - self.ranges.node_ports.start()) + 1;
        let start = (self.random)() % size;
        let first = *self.ranges.node_ports.start();
        let nth = |step: u32| first + u16::try_from((start + step) % size).unwrap_or(0);
        let free = (0..size).map(nth).find(|number| self.in_use.insert(Taken::NodePort(*number)));
        free.ok_or_else(|| vec![Error::internal(path, "failed to allocate a nodePort: range is full")])
    }
}

/// A field's number, unless it is zero, which stands for none.
fn number(object: &Value, field: &str) -> Option<u64> {
    object.get(field).and_then(Value::as_u64).filter(|number| *number > 0)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde_json::json;

    use super::super::Ranges;
    use super::*;

    /// A Service with its ports, where `in_use` is taken already.
    fn with(service: Value, old: Option<&Value>, in_use: &[u16], random: u32, of: Part) -> Value {
        let ranges = Ranges::default();
        let mut in_use: HashSet<Taken> = in_use.iter().copied().map(Taken::NodePort).collect();
        let mut allocator = Allocator { ranges: &ranges, in_use: &mut in_use, random: || random };
        let mut service = service;
        match of {
            Part::Ports => allocator.node_ports(&mut service, old).unwrap(),
            Part::HealthCheck => allocator.health_check(&mut service, old).unwrap(),
        }
        service
    }

    enum Part {
        Ports,
        HealthCheck,
    }

    #[test]
    fn one_number_under_two_protocols_shares_a_node_port() {
        let service = json!({"spec": {"ports": [{"name": "a", "port": 53, "protocol": "UDP"},
            {"name": "b", "port": 53, "protocol": "TCP"}, {"name": "c", "port": 80}]}});
        let service = with(service, None, &[], 5, Part::Ports);
        let ports: Vec<_> = (0..3).map(|index| service["spec"]["ports"][index]["nodePort"].clone()).collect();
        assert_eq!(ports, [30005, 30005, 30006]);
    }

    #[test]
    fn a_health_check_keeps_its_port() {
        let first = with(json!({"spec": {}}), None, &[30007], 7, Part::HealthCheck);
        assert_eq!(first["spec"]["healthCheckNodePort"], 30008);
        let second = with(json!({"spec": {}}), Some(&first), &[], 1, Part::HealthCheck);
        assert_eq!(second, first);
    }
}
