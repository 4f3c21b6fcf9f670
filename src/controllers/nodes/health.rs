//! Who has fallen silent: how long ago each node last gave a sign, by our own clock, and what that means.
//!
//! A sign is a new `renewTime` of the node's Lease, or a new heartbeat of its `Ready` condition. Whether these say a
//! sensible time does not matter, only that they change: a node's clock may be wrong, and so may ours have been.

use std::collections::HashMap;
use std::time::Duration;

use base::clock::Instant;
use jiff::Timestamp;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::Options;
use super::conditions::{READY, condition};

/// The conditions that a node's kubelet keeps, and nobody knows while it is silent.
const KEPT_BY_KUBELET: [&str; 4] = [READY, "MemoryPressure", "DiskPressure", "PIDPressure"];

/// The last signs of nodes. Bounded by the nodes that exist.
#[derive(Debug, Default)]
pub(super) struct Signs(HashMap<String, Seen>);

#[derive(Debug)]
struct Seen {
    sign: Sign,
    at: Instant,
}

/// What changes when a node gives a sign.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Sign {
    /// Of the Lease.
    pub(super) renewed: Option<Timestamp>,
    /// Of the `Ready` condition.
    pub(super) heartbeat: Option<Timestamp>,
}

impl Sign {
    pub(super) fn of(node: &core::Node, renewed: Option<Timestamp>) -> Self {
        let heartbeat = condition(node, READY).and_then(|ready| ready.last_heartbeat_time.as_ref()).map(|time| time.0);
        Self { renewed, heartbeat }
    }
}

impl Signs {
    /// How long a node has been silent, whose last sign is this one. A node that is seen for the first time has just
    /// given one: whoever was away does not know for how long it was silent.
    pub(super) fn silence(&mut self, node: &str, sign: Sign, now: Instant) -> Duration {
        match self.0.get_mut(node) {
            Some(seen) if seen.sign == sign => now.saturating_duration_since(seen.at),
            Some(seen) => {
                *seen = Seen { sign, at: now };
                Duration::ZERO
            }
            None => {
                self.0.insert(node.to_owned(), Seen { sign, at: now });
                Duration::ZERO
            }
        }
    }

    /// A node is gone.
    pub(super) fn forget(&mut self, node: &str) {
        self.0.remove(node);
    }
}

/// How long a node may be silent.
pub(super) fn grace_period(node: &core::Node, options: &Options) -> Duration {
    if condition(node, READY).is_some() { options.monitor_grace_period } else { options.startup_grace_period }
}

/// The conditions to be written of a node that was silent for too long; none where they say so already.
pub(super) fn silent(node: &core::Node, now: Timestamp) -> Vec<core::NodeCondition> {
    let unknown = KEPT_BY_KUBELET.iter().map(|kind| match condition(node, kind) {
        None => core::NodeCondition {
            type_: (*kind).to_owned(),
            status: "Unknown".to_owned(),
            reason: Some("NodeStatusNeverUpdated".to_owned()),
            message: Some("Kubelet never posted node status.".to_owned()),
            last_heartbeat_time: node.metadata.creation_timestamp.clone(),
            last_transition_time: Some(Time(now)),
        },
        Some(known) if known.status == "Unknown" => known.clone(),
        Some(known) => core::NodeCondition {
            status: "Unknown".to_owned(),
            reason: Some("NodeStatusUnknown".to_owned()),
            message: Some("Kubelet stopped posting node status.".to_owned()),
            last_transition_time: Some(Time(now)),
            ..known.clone()
        },
    });
    unknown.filter(|wanted| condition(node, &wanted.type_) != Some(wanted)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn sign(second: i64) -> Sign {
        Sign { renewed: Some(Timestamp::from_second(second).unwrap()), heartbeat: None }
    }

    #[test]
    fn silence_is_measured_by_our_own_clock_from_the_last_change() {
        let (mut signs, start) = (Signs::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut silence = |second, seconds| signs.silence("a", sign(second), at(seconds)).as_secs();
        assert_eq!(silence(1000, 0), 0, "seen for the first time");
        assert_eq!(silence(1000, 30), 30);
        assert_eq!(silence(1000, 60), 60);
        assert_eq!(silence(10, 70), 0, "a clock that was set back");
        assert_eq!(silence(10, 75), 5);
    }

    fn node(conditions: Value) -> core::Node {
        let node =
            json!({"metadata": {"creationTimestamp": "2026-01-01T00:00:00Z"}, "status": {"conditions": conditions}});
        serde_json::from_value(node).unwrap()
    }

    /// `type reason` of what would be written.
    fn written(node: &core::Node) -> Vec<String> {
        let conditions = silent(node, Timestamp::from_second(1).unwrap());
        conditions.iter().map(|one| format!("{} {}", one.type_, one.reason.as_deref().unwrap())).collect()
    }

    #[test]
    fn of_a_silent_node_nothing_is_known() {
        let known = node(json!([{"type": "Ready", "status": "True"}, {"type": "DiskPressure", "status": "False"}]));
        assert_eq!(
            written(&known),
            [
                "Ready NodeStatusUnknown",
                "MemoryPressure NodeStatusNeverUpdated",
                "DiskPressure NodeStatusUnknown",
                "PIDPressure NodeStatusNeverUpdated"
            ]
        );
        let unknown = silent(&known, Timestamp::from_second(1).unwrap());
        assert!(written(&node(serde_json::to_value(unknown).unwrap())).is_empty(), "written again");
    }
}
