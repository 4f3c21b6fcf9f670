//! What of a pod's status may change, and to what.

use std::net::IpAddr;

use serde_json::Value;

use super::update::check_mirror;
use crate::names;
use crate::validation::checks::{immutable, invalid_each, ip, is_dual_stack, qualified_name};
use crate::validation::field::{Error, ErrorList, Path};
use crate::value::{has, list, number, part, text};

/// Conditions that Kubernetes itself sets, whose names are not checked.
const OWN_CONDITIONS: [&str; 3] = ["PodScheduled", "Ready", "Initialized"];

/// What is wrong with a Pod's new status.
pub fn pod_status(new: &Value, old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    check_mirror(&mut errors, new, old);
    let (path, status, before) = (Path::new("status"), part(new, "status"), part(old, "status"));
    for (index, condition) in list(status, "conditions").iter().enumerate() {
        let kind = text(condition, "type");
        if !OWN_CONDITIONS.contains(&kind) {
            // Upstream names them so, as if conditions were metadata.
            let path = Path::new("metadata").child("conditions").index(index).child("Type");
            qualified_name(&mut errors, &path, kind);
        }
    }
    let node = text(status, "nominatedNodeName");
    if node != text(before, "nominatedNodeName") && !node.is_empty() {
        invalid_each(&mut errors, &path.child("nominatedNodeName"), node, names::subdomain(node));
    }
    immutable(&mut errors, &path.child("qosClass"), part(status, "qosClass"), part(before, "qosClass"));
    for (field, containers) in [("containerStatuses", "containers"), ("initContainerStatuses", "initContainers")] {
        check_ends(&mut errors, &path, field, new, old, containers);
    }
    addresses(&mut errors, &path.child("podIPs"), status, "podIPs");
    let first = list(status, "hostIPs").first().map(|first| text(first, "ip"));
    if let Some(first) = first.filter(|first| *first != text(status, "hostIP")) {
        let path = path.child("hostIPs").index(0).child("ip");
        errors.push(Error::invalid(path, first, "must be equal to `hostIP`"));
    }
    addresses(&mut errors, &path.child("hostIPs"), status, "hostIPs");
    errors
}

/// A container that ended and is not to run again stays ended.
fn check_ends(errors: &mut ErrorList, path: &Path, field: &str, new: &Value, old: &Value, containers: &str) {
    let spec = part(old, "spec");
    let after = list(part(new, "status"), field);
    for (index, before) in list(part(old, "status"), field).iter().enumerate() {
        let ended = part(part(before, "state"), "terminated");
        let named = |other: &&Value| text(other, "name") == text(before, "name");
        let own = list(spec, containers).iter().find(named).map_or("", |container| text(container, "restartPolicy"));
        let policy = if own.is_empty() { text(spec, "restartPolicy") } else { own };
        let may_run_again = match policy {
            "Never" => false,
            "OnFailure" => number(ended, "exitCode").unwrap_or(0) != 0,
            _ => true,
        };
        let is_ended = |status: &&Value| has(part(status, "state"), "terminated");
        if !ended.is_null() && !may_run_again && after.iter().filter(named).any(|status| !is_ended(&status)) {
            let path = path.child(field).index(index).child("state");
            errors.push(Error::forbidden(path, "may not be transitioned to non-terminated state"));
        }
    }
}

/// Addresses, of which there is one of each family at most.
fn addresses(errors: &mut ErrorList, path: &Path, status: &Value, field: &str) {
    let all = list(status, field);
    let parsed: Vec<IpAddr> = all
        .iter()
        .enumerate()
        .filter_map(|(index, address)| ip(errors, &path.index(index), text(address, "ip")))
        .collect();
    if all.len() < 2 {
        return;
    }
    if !is_dual_stack(&parsed) || parsed.len() != all.len() {
        let detail = "may specify no more than one IP for each IP family";
        errors.push(Error::invalid(path, all.to_vec(), detail));
    }
    for (index, address) in all.iter().enumerate() {
        if all.iter().take(index).any(|other| text(other, "ip") == text(address, "ip")) {
            errors.push(Error::duplicate(path.index(index), address.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::validation::testing;

    #[track_caller]
    fn check(policy: &str, new: Value, old: Value, expected: &[&str]) {
        let pod = |status: Value| {
            json!({"spec": {"restartPolicy": policy,
            "containers": [{"name": "c"}, {"name": "d", "restartPolicy": "Always"}]}, "status": status})
        };
        testing::check(&pod_status(&pod(new), &pod(old)), expected);
    }

    #[test]
    fn what_ended_for_good_stays_ended() {
        let ended = |name: &str, code: i64| json!({"containerStatuses": [{"name": name, "state": {"terminated": {"exitCode": code}}}]});
        let running = |name: &str| json!({"containerStatuses": [{"name": name, "state": {"running": {}}}]});
        let refused = ["status.containerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state"];
        check("Always", running("c"), ended("c", 0), &[]);
        check("OnFailure", running("c"), ended("c", 1), &[]);
        check("OnFailure", running("c"), ended("c", 0), &refused);
        check("Never", running("c"), ended("c", 1), &refused);
        check("Never", running("d"), ended("d", 1), &[]);
        check("Never", ended("c", 1), running("c"), &[]);
    }

    #[test]
    fn addresses_are_one_of_each_family() {
        let both = json!([{"ip": "10.0.0.1"}, {"ip": "fd00::1"}]);
        check("Always", json!({"podIPs": both, "hostIP": "10.0.0.1", "hostIPs": both}), json!({}), &[]);
        check(
            "Always",
            json!({"podIPs": [{"ip": "10.0.0.1"}, {"ip": "10.0.0.1"}], "hostIPs": [{"ip": "x"}]}),
            json!({}),
            &[
                "status.podIPs: Invalid value: [{\"ip\":\"10.0.0.1\"},{\"ip\":\"10.0.0.1\"}]: may specify no more than one IP for each IP family",
                "status.podIPs[1]: Duplicate value: {\"ip\":\"10.0.0.1\"}",
                "status.hostIPs[0].ip: Invalid value: \"x\": must be equal to `hostIP`",
                "status.hostIPs[0]: Invalid value: \"x\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
            ],
        );
    }

    #[test]
    fn the_class_of_service_stays() {
        check(
            "Always",
            json!({"qosClass": "Burstable", "conditions": [{"type": "Ready"}, {"type": "x.example/y"}]}),
            json!({"qosClass": "BestEffort"}),
            &["status.qosClass: Invalid value: \"Burstable\": field is immutable"],
        );
    }
}
