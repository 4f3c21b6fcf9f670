//! Which taints a node shall have for its conditions: those that keep new pods away, and those that drive pods off.
//!
//! Keys and effects are upstream's. Taints with other keys are somebody else's and stay as they are.

use jiff::Timestamp;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::conditions::{NO_EXECUTE, READY, Status, status, taints};

const NO_SCHEDULE: &str = "NoSchedule";
const NOT_READY: &str = "node.kubernetes.io/not-ready";
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";

/// Conditions that keep pods away when they are true, and the keys of their taints.
const BY_CONDITION: [(&str, &str); 4] = [
    ("MemoryPressure", "node.kubernetes.io/memory-pressure"),
    ("DiskPressure", "node.kubernetes.io/disk-pressure"),
    ("PIDPressure", "node.kubernetes.io/pid-pressure"),
    ("NetworkUnavailable", "node.kubernetes.io/network-unavailable"),
];

/// Whether a node may begin to lose its pods now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Eviction {
    /// It may.
    Allowed,
    /// It has to wait, since too many nodes fell silent lately; one that has begun goes on.
    Held,
    /// No node loses pods, not even one that has begun: all of them are down, so it is hardly their fault.
    Withdrawn,
}

/// What a node's taints shall become.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Plan {
    /// All of its taints; `None` where they are right.
    pub(super) taints: Option<Vec<core::Taint>>,
    /// A taint that drives pods off is missing, and was held back.
    pub(super) is_held: bool,
    /// A taint that drives pods off comes to a node that had none.
    pub(super) begins_eviction: bool,
}

/// The decision.
pub(super) fn plan(node: &core::Node, eviction: Eviction, now: Timestamp) -> Plan {
    let mut wanted = keeping_away(node);
    let driving = driving_off(node);
    let has_driving = taints(node).iter().any(is_ours_to_drive);
    let may_drive = match eviction {
        Eviction::Allowed => true,
        Eviction::Held => has_driving,
        Eviction::Withdrawn => false,
    };
    wanted.extend(driving.filter(|_| may_drive));

    let foreign = taints(node).iter().filter(|taint| !is_ours(taint)).cloned();
    let ours = wanted.iter().map(|(key, effect)| {
        let known = taints(node).iter().find(|taint| taint.key == *key && taint.effect == *effect).cloned();
        known.unwrap_or_else(|| core::Taint {
            key: (*key).to_owned(),
            effect: (*effect).to_owned(),
            time_added: Some(Time(now)),
            value: None,
        })
    });
    let all: Vec<core::Taint> = foreign.chain(ours).collect();
    let is_right = all.len() == taints(node).len() && all.iter().all(|taint| taints(node).contains(taint));
    Plan {
        taints: (!is_right).then_some(all),
        is_held: driving.is_some() && !may_drive,
        begins_eviction: driving.is_some() && !has_driving && may_drive,
    }
}

/// Taints that keep new pods away, as `(key, effect)`.
fn keeping_away(node: &core::Node) -> Vec<(&'static str, &'static str)> {
    let mut keys = Vec::new();
    match status(node, READY) {
        Status::True => {}
        Status::False => keys.push(NOT_READY),
        Status::Unknown => keys.push(UNREACHABLE),
    }
    keys.extend(BY_CONDITION.iter().filter(|(kind, _)| status(node, kind) == Status::True).map(|(_, key)| *key));
    if node.spec.as_ref().and_then(|spec| spec.unschedulable).unwrap_or(false) {
        keys.push(UNSCHEDULABLE);
    }
    keys.into_iter().map(|key| (key, NO_SCHEDULE)).collect()
}

/// The taint that drives pods off.
fn driving_off(node: &core::Node) -> Option<(&'static str, &'static str)> {
    match status(node, READY) {
        Status::True => None,
        Status::False => Some((NOT_READY, NO_EXECUTE)),
        Status::Unknown => Some((UNREACHABLE, NO_EXECUTE)),
    }
}

fn is_ours(taint: &core::Taint) -> bool {
    let is_key = [NOT_READY, UNREACHABLE, UNSCHEDULABLE].contains(&taint.key.as_str())
        || BY_CONDITION.iter().any(|(_, key)| *key == taint.key);
    is_key && taint.effect == NO_SCHEDULE || is_ours_to_drive(taint)
}

fn is_ours_to_drive(taint: &core::Taint) -> bool {
    [NOT_READY, UNREACHABLE].contains(&taint.key.as_str()) && taint.effect == NO_EXECUTE
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn node(ready: &str, taints: Value) -> core::Node {
        let node = json!({"metadata": {}, "spec": {"taints": taints},
                          "status": {"conditions": [{"type": "Ready", "status": ready}]}});
        serde_json::from_value(node).unwrap()
    }

    fn planned(node: &core::Node, eviction: Eviction) -> Plan {
        plan(node, eviction, Timestamp::from_second(1).unwrap())
    }

    /// `key:effect` of each taint, without what they begin with; `as they are` where nothing changes.
    fn shown(node: &core::Node, eviction: Eviction) -> String {
        let Some(taints) = planned(node, eviction).taints else { return "as they are".into() };
        let one =
            |taint: &core::Taint| format!("{}:{}", taint.key.trim_start_matches("node.kubernetes.io/"), taint.effect);
        taints.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_node_is_tainted_by_its_readiness() {
        for (ready, expected) in [
            ("True", "as they are"),
            ("False", "not-ready:NoSchedule not-ready:NoExecute"),
            ("Unknown", "unreachable:NoSchedule unreachable:NoExecute"),
        ] {
            assert_eq!(shown(&node(ready, json!([])), Eviction::Allowed), expected);
        }
    }

    #[test]
    fn taints_of_others_stay_and_ours_go_with_their_reason() {
        let mut tainted = json!([{"key": "dedicated", "effect": "NoExecute"}]);
        for (key, effect) in [(NOT_READY, NO_SCHEDULE), (NOT_READY, NO_EXECUTE), (UNSCHEDULABLE, NO_SCHEDULE)] {
            tainted.as_array_mut().unwrap().push(json!({"key": key, "effect": effect}));
        }
        assert_eq!(shown(&node("True", tainted.clone()), Eviction::Held), "dedicated:NoExecute");
        assert_eq!(
            shown(&node("Unknown", tainted), Eviction::Held),
            "dedicated:NoExecute unreachable:NoSchedule unreachable:NoExecute",
            "one that loses its pods already goes on losing them"
        );
    }

    #[test]
    fn a_node_begins_to_lose_its_pods_only_when_it_may() {
        let silent = node("Unknown", json!([]));
        assert_eq!(shown(&silent, Eviction::Held), "unreachable:NoSchedule");
        let (held, allowed) = (planned(&silent, Eviction::Held), planned(&silent, Eviction::Allowed));
        assert_eq!((held.is_held, held.begins_eviction), (true, false));
        assert_eq!((allowed.is_held, allowed.begins_eviction), (false, true));
    }

    #[test]
    fn a_node_stops_losing_its_pods_when_all_are_down() {
        let tainted = json!([{"key": UNREACHABLE, "effect": NO_SCHEDULE}, {"key": UNREACHABLE, "effect": NO_EXECUTE}]);
        assert_eq!(shown(&node("Unknown", tainted.clone()), Eviction::Withdrawn), "unreachable:NoSchedule");
        assert_eq!(shown(&node("Unknown", tainted), Eviction::Held), "as they are");
    }

    #[test]
    fn pressure_and_cordons_keep_pods_away() {
        let mut node = node("True", json!([]));
        node.spec.as_mut().unwrap().unschedulable = Some(true);
        let pressure = json!([{"type": "Ready", "status": "True"}, {"type": "DiskPressure", "status": "True"}]);
        node.status.as_mut().unwrap().conditions = serde_json::from_value(pressure).unwrap();
        assert_eq!(shown(&node, Eviction::Held), "disk-pressure:NoSchedule unschedulable:NoSchedule");
    }
}
