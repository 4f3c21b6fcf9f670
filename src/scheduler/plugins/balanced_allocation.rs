//! The node whose CPU and memory would be used to about the same part is best, so that neither is left over.
//! A pod that asks for neither is not weighed, lest many of them go to one node.

use super::SCORE_MAX;
use crate::node::Node;
use crate::pod::Pending;

pub(super) fn score(pod: &Pending, node: &Node) -> i64 {
    let (wanted, has, taken) = (&pod.load.requests, &*node.allocatable, &node.requested);
    if wanted.cpu_milli == 0 && wanted.memory_bytes == 0 {
        return 0;
    }
    let cpu = part(taken.cpu_milli.saturating_add(wanted.cpu_milli), has.cpu_milli);
    let memory = part(taken.memory_bytes.saturating_add(wanted.memory_bytes), has.memory_bytes);
    let deviation = match (cpu, memory) {
        (Some(cpu), Some(memory)) => ((cpu - memory) / 2.0).abs(),
        // What a node does not have cannot be out of balance.
        _ => 0.0,
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "between 0 and SCORE_MAX, cut to a whole number as upstream does"
    )]
    let score = ((1.0 - deviation) * SCORE_MAX as f64) as i64;
    score
}

/// The used part of what there is, up to the whole.
#[expect(clippy::cast_precision_loss, reason = "a part of a node needs no more than 53 bits")]
fn part(used: i64, has: i64) -> Option<f64> {
    (has > 0).then(|| (used as f64 / has as f64).min(1.0))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{node, pod_of};
    use super::*;

    #[test]
    fn balance_is_best() {
        for (cpu, memory, expected) in [("1", "1G", 100), ("4", "0", 50), ("2", "1G", 87), ("0", "0", 0)] {
            assert_eq!(score(&pod_of(cpu, memory), &node(json!({}))), expected, "{cpu} {memory}");
        }
    }
}
