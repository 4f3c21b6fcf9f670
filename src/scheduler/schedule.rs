//! The decision: which node takes a pod, or why none does. A pure function of the pod and a snapshot.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::node::Node;
use crate::plugins::{FILTERS, Reason, Rejecters, SCORE_MAX, SCORES, Scale};
use crate::pod::Pending;

/// All nodes at one moment. Cheap to clone; it never changes.
pub(crate) type Snapshot = imbl::Vector<Arc<Node>>;

/// With fewer nodes than this all are looked at (upstream's `minFeasibleNodesToFind`).
const NODES_ENOUGH: usize = 100;

/// Where a pod goes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Placement {
    pub(crate) node: Arc<str>,
    /// How many nodes were looked at; the next decision begins after them.
    pub(crate) examined: usize,
}

/// Why a pod goes nowhere.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Unfit {
    /// How many nodes there are.
    pub(crate) nodes: usize,
    /// How many nodes gave each reason; a node may give several.
    pub(crate) reasons: BTreeMap<Reason, usize>,
    /// The filters that objected.
    pub(crate) rejecters: Rejecters,
}

/// As upstream says it in Events and conditions.
impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nodes == 0 {
            return f.write_str("no nodes available to schedule pods");
        }
        let mut reasons: Vec<String> = self.reasons.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
        reasons.sort();
        write!(f, "0/{} nodes are available: {}.", self.nodes, reasons.join(", "))
    }
}

/// The node that suits `pod` best among those that can take it, looked for from the `start`-th on.
///
/// Among equals the first one wins; `start` moves on with each decision, so that equals take turns. In a large
/// cluster the search ends once enough nodes are found, by upstream's numbers.
///
/// # Errors
/// When no node can take it.
pub(crate) fn schedule(pod: &Pending, snapshot: &Snapshot, start: usize) -> Result<Placement, Unfit> {
    let enough = nodes_enough(snapshot.len());
    let start = start.checked_rem(snapshot.len()).unwrap_or(0);
    let mut unfit = Unfit { nodes: snapshot.len(), ..Unfit::default() };
    let mut feasible: Vec<&Node> = Vec::new();
    let mut examined = 0;
    for node in snapshot.iter().skip(start).chain(snapshot.iter().take(start)) {
        examined += 1;
        if unfit.is_feasible(pod, node) {
            feasible.push(node);
            if feasible.len() >= enough {
                break;
            }
        }
    }
    match best(pod, &feasible) {
        Some(node) => Ok(Placement { node: Arc::clone(&node.name), examined }),
        None => Err(unfit),
    }
}

impl Unfit {
    /// Asks the filters in turn, and counts why the first that objects does.
    fn is_feasible(&mut self, pod: &Pending, node: &Node) -> bool {
        for (index, filter) in FILTERS.iter().enumerate() {
            let reasons = (filter.check)(pod, node);
            if !reasons.is_empty() {
                self.rejecters.insert(index);
                for reason in reasons {
                    *self.reasons.entry(reason).or_default() += 1;
                }
                return false;
            }
        }
        true
    }
}

/// How many nodes that can take a pod are worth comparing: all of a small cluster, half of a larger one, a twentieth
/// of a huge one.
fn nodes_enough(nodes: usize) -> usize {
    if nodes < NODES_ENOUGH {
        return nodes;
    }
    let percent = 50_usize.saturating_sub(nodes / 125).max(5);
    (nodes * percent / 100).max(NODES_ENOUGH)
}

/// The first of the nodes with the highest sum of weighted scores.
fn best<'a>(pod: &Pending, nodes: &[&'a Node]) -> Option<&'a Node> {
    if let [only] = nodes {
        return Some(only);
    }
    let mut totals = vec![0_i64; nodes.len()];
    for plugin in &SCORES {
        let mut scores: Vec<i64> = nodes.iter().map(|node| (plugin.score)(pod, node)).collect();
        scale(&mut scores, plugin.scale);
        for (total, score) in totals.iter_mut().zip(scores) {
            *total += score * plugin.weight;
        }
    }
    let mut best: Option<(&Node, i64)> = None;
    for (node, total) in nodes.iter().zip(totals) {
        if best.is_none_or(|(_, highest)| total > highest) {
            best = Some((node, total));
        }
    }
    best.map(|(node, _)| node)
}

fn scale(scores: &mut [i64], scale: Scale) {
    let largest = scores.iter().copied().max().unwrap_or(0);
    for score in scores {
        let share = if largest == 0 { 0 } else { *score * SCORE_MAX / largest };
        *score = match scale {
            Scale::AsIs => *score,
            Scale::LargestIsBest => share,
            Scale::LargestIsWorst => SCORE_MAX - share,
        };
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plugins::testing::{node, pod, pod_of};

    fn named(name: &str) -> Node {
        node(json!({"metadata": {"name": name}}))
    }

    fn snapshot(nodes: Vec<Node>) -> Snapshot {
        nodes.into_iter().map(Arc::new).collect()
    }

    #[track_caller]
    fn check_unfit(pod: &Pending, nodes: Vec<Node>, expected: &str) {
        assert_eq!(schedule(pod, &snapshot(nodes), 0).unwrap_err().to_string(), expected);
    }

    #[test]
    fn why_no_node_fits_is_said_in_the_words_of_upstream() {
        let tainted = || node(json!({"spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]}}));
        let cordoned = node(json!({"spec": {"unschedulable": true}}));
        check_unfit(&pod_of("1", "1"), vec![], "no nodes available to schedule pods");
        check_unfit(&pod_of("8", "1"), vec![named("a")], "0/1 nodes are available: 1 Insufficient cpu.");
        check_unfit(
            &pod_of("8", "8G"),
            vec![tainted(), named("a"), tainted(), cordoned],
            "0/4 nodes are available: 1 Insufficient cpu, 1 Insufficient memory, 1 node(s) were unschedulable, \
             2 node(s) had untolerated taint(s).",
        );
        check_unfit(
            &pod(json!({"nodeSelector": {"disk": "ssd"}})),
            vec![named("a")],
            "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.",
        );
    }

    #[test]
    fn the_emptier_node_is_chosen_and_a_preference_weighs_more() {
        let mut full = node(json!({"metadata": {"name": "full", "labels": {"disk": "ssd"}}}));
        full.add(&pod_of("2", "2G").load);
        let nodes = snapshot(vec![full, named("empty")]);
        assert_eq!(&*schedule(&pod_of("1", "1G"), &nodes, 0).unwrap().node, "empty");

        let term = json!({"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]});
        let preferred = json!([{"weight": 1, "preference": term}]);
        let choosy =
            pod(json!({"affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}}}));
        assert_eq!(&*schedule(&choosy, &nodes, 0).unwrap().node, "full");
    }

    #[test]
    fn equals_take_turns() {
        let nodes = snapshot(vec![named("a"), named("b"), named("c")]);
        let places: Vec<String> =
            (0..4).map(|start| schedule(&pod_of("1", "1"), &nodes, start).unwrap().node.to_string()).collect();
        assert_eq!(places, ["a", "b", "c", "a"]);
    }

    #[test]
    fn a_huge_cluster_is_not_searched_to_its_end() {
        for (nodes, expected) in [(1, 1), (99, 99), (100, 100), (200, 100), (1000, 420), (5000, 500), (100_000, 5000)] {
            assert_eq!(nodes_enough(nodes), expected, "{nodes}");
        }
        let nodes = snapshot((0..300).map(|n| named(&n.to_string())).collect());
        assert_eq!(schedule(&pod_of("1", "1"), &nodes, 299).unwrap().examined, nodes_enough(300));
    }
}
