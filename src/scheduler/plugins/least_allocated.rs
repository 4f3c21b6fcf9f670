//! The node of which most would be left is best: the mean of the parts of CPU and memory that stay free.

use super::SCORE_MAX;
use crate::node::Node;
use crate::pod::Pending;

pub(super) fn score(pod: &Pending, node: &Node) -> i64 {
    let (wanted, has, taken) = (&pod.load.likely, &*node.allocatable, &node.likely);
    let left = |wanted: i64, has: i64, taken: i64| {
        let taken = taken.saturating_add(wanted);
        if has == 0 {
            return None;
        }
        Some(if taken > has { 0 } else { (has - taken).saturating_mul(SCORE_MAX) / has })
    };
    let parts = [
        left(wanted.cpu_milli, has.cpu_milli, taken.cpu_milli),
        left(wanted.memory_bytes, has.memory_bytes, taken.memory_bytes),
    ];
    let parts: (i64, i64) = parts.into_iter().flatten().fold((0, 0), |(sum, count), part| (sum + part, count + 1));
    parts.0.checked_div(parts.1).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{node, pod_of};
    use super::*;

    #[test]
    fn the_emptier_node_is_better() {
        let mut node = node(json!({}));
        assert_eq!(score(&pod_of("1", "1G"), &node), 75);
        node.add(&pod_of("2", "0").load);
        assert_eq!(score(&pod_of("1", "1G"), &node), (25 + 75) / 2);
        node.add(&pod_of("2", "3G").load);
        assert_eq!(score(&pod_of("1", "1G"), &node), 0);
    }

    #[test]
    fn a_node_that_says_nothing_of_itself_is_not_preferred() {
        let node = node(json!({"status": {"allocatable": {"pods": "10"}}}));
        assert_eq!(score(&pod_of("0", "0"), &node), 0);
    }
}
