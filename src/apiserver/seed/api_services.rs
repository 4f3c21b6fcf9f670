//! An `APIService` for each version of each group that this server serves itself, as upstream's aggregator registers
//! them: whoever asks which versions there are, and which is preferred, finds them here, too.

use api::scheme::Scheme;
use serde_json::{Value, json};

use crate::verbs::RUN_GROUP;

/// Versions are of no rank of their own, but for these.
const VERSION: i64 = 15;
/// A group that upstream does not know, as those of custom resources.
const OTHER: (i64, i64) = (1000, 100);

/// A group, how it ranks, and a version of it that ranks otherwise than [`VERSION`].
type Rank = (&'static str, i64, Option<(&'static str, i64)>);

/// Upstream's ranks (kubernetes/kubernetes, `pkg/controlplane/apiserver/aggregator.go`).
const RANKS: [Rank; 20] = [
    ("", 18000, Some(("v1", 1))),
    ("apps", 17800, None),
    ("events.k8s.io", 17750, None),
    ("authentication.k8s.io", 17700, None),
    ("authorization.k8s.io", 17600, None),
    ("autoscaling", 17500, Some(("v2", 30))),
    ("batch", 17400, None),
    ("certificates.k8s.io", 17300, None),
    ("networking.k8s.io", 17200, None),
    ("policy", 17100, None),
    ("rbac.authorization.k8s.io", 17000, None),
    ("storage.k8s.io", 16800, None),
    ("admissionregistration.k8s.io", 16700, None),
    ("apiextensions.k8s.io", 16700, None),
    ("scheduling.k8s.io", 16600, None),
    ("coordination.k8s.io", 16500, None),
    ("node.k8s.io", 16300, None),
    ("discovery.k8s.io", 16200, None),
    ("resource.k8s.io", 16200, Some(("v1", 20))),
    ("flowcontrol.apiserver.k8s.io", 16100, Some(("v1", 21))),
];

/// The objects, as they are created. The aggregator's own group is not among them, as upstream's is not.
pub(super) fn objects(scheme: &Scheme) -> Vec<Value> {
    let groups = scheme.groups();
    let own = groups.iter().filter(|(group, _)| group != "apiregistration.k8s.io");
    let versions = own.flat_map(|(group, versions)| versions.iter().map(move |version| (&**group, &**version)));
    versions.chain([(RUN_GROUP, "v1")]).map(|(group, version)| object(group, version)).collect()
}

fn object(group: &str, version: &str) -> Value {
    let (group_rank, version_rank) = rank(group, version);
    let mut spec = json!({"version": version, "groupPriorityMinimum": group_rank, "versionPriority": version_rank});
    if !group.is_empty() {
        api::meta::set_at(&mut spec, "/group", group.into());
    }
    json!({
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {
            "name": format!("{version}.{group}"),
            "labels": {"kube-aggregator.kubernetes.io/automanaged": "onstart"},
        },
        "spec": spec,
    })
}

fn rank(group: &str, version: &str) -> (i64, i64) {
    let Some((_, group_rank, special)) = RANKS.iter().find(|(name, ..)| *name == group) else { return OTHER };
    let version_rank = special.filter(|(name, _)| *name == version).map_or(VERSION, |(_, rank)| rank);
    (*group_rank, version_rank)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_rank_as_discovery_shows_them() {
        let ranks: Vec<(i64, i64)> = objects(Scheme::builtin())
            .iter()
            .map(|object| &object["spec"])
            .map(|spec| (spec["groupPriorityMinimum"].as_i64().unwrap(), spec["versionPriority"].as_i64().unwrap()))
            .collect();
        let groups: Vec<i64> = ranks.iter().map(|(group, _)| *group).collect();
        assert!(groups.is_sorted_by(|a, b| a >= b), "{groups:?}");
        assert_eq!(ranks.iter().filter(|rank| **rank == OTHER).count(), 1, "a group has no rank");
    }

    #[test]
    fn the_core_group_has_no_name() {
        let core = object("", "v1");
        assert_eq!(core["metadata"]["name"], "v1.");
        assert_eq!(core["spec"], json!({"version": "v1", "groupPriorityMinimum": 18000, "versionPriority": 1}));
        assert_eq!(object("autoscaling", "v2")["spec"]["versionPriority"], 30);
    }
}
