//! Amounts of resources by name, and what a whole pod takes.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::quantity::Quantity;

/// Amounts by the name of the resource.
pub type Amounts = BTreeMap<String, Quantity>;

/// The amounts in a map of quantities; what is none is left out.
#[must_use]
pub fn read(map: Option<&Value>) -> Amounts {
    let entries = map.and_then(Value::as_object).into_iter().flatten();
    entries.filter_map(|(name, amount)| Some((name.clone(), Quantity::parse(amount.as_str()?).ok()?))).collect()
}

/// What a container asks for (`requests`) or is held to (`limits`).
#[must_use]
pub fn of_container(container: &Value, field: &str) -> Amounts {
    read(container.pointer(&format!("/resources/{field}")))
}

/// What a whole pod asks for, or is held to: the sum of its containers and of the init containers that go on, or the
/// largest of the other init containers with those before it that go on; and the overhead of its runtime.
#[must_use]
pub fn of_pod(pod: &Value, field: &str) -> Amounts {
    let containers = |list: &str| pod.pointer(list).and_then(Value::as_array).into_iter().flatten();
    let (mut running, mut starting) = (Amounts::new(), Amounts::new());
    for container in containers("/spec/initContainers") {
        let own = of_container(container, field);
        if container.get("restartPolicy").and_then(Value::as_str) == Some("Always") {
            add(&mut running, &own);
            raise(&mut starting, &running);
        } else {
            let mut together = running.clone();
            add(&mut together, &own);
            raise(&mut starting, &together);
        }
    }
    for container in containers("/spec/containers") {
        add(&mut running, &of_container(container, field));
    }
    raise(&mut running, &starting);
    let mut overhead = read(pod.pointer("/spec/overhead"));
    if field == "limits" {
        // What has no limit does not get one by its overhead.
        overhead.retain(|name, _| running.contains_key(name));
    }
    add(&mut running, &overhead);
    running
}

/// Adds amounts to others.
pub fn add(sum: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        let total = sum.get(name).map_or(*amount, |sum| sum.plus(*amount));
        sum.insert(name.clone(), total);
    }
}

fn raise(to: &mut Amounts, at_least: &Amounts) {
    for (name, amount) in at_least {
        let most = to.get(name).map_or(*amount, |to| *to.max(amount));
        to.insert(name.clone(), most);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_takes_what_its_containers_take_together_or_its_greediest_beginning() {
        let container =
            |cpu: &str, policy: Value| json!({"resources": {"requests": {"cpu": cpu}}, "restartPolicy": policy});
        let cpu = |init: &[Value]| {
            let main = [container("1", Value::Null), container("1", Value::Null)];
            let pod = json!({"spec": {"initContainers": init, "containers": main, "overhead": {"cpu": "100m"}}});
            of_pod(&pod, "requests")["cpu"].to_string()
        };
        assert_eq!(cpu(&[]), "2100m");
        assert_eq!(cpu(&[container("5", Value::Null)]), "5100m");
        assert_eq!(cpu(&[container("1", "Always".into())]), "3100m");
        assert_eq!(cpu(&[container("1", "Always".into()), container("5", Value::Null)]), "6100m");
    }
}
