//! How much of the cluster is down, and what that says of those nodes.

/// With so many nodes down, and this part of all, the network is more likely at fault than they are (upstream's
/// `--unhealthy-zone-threshold`, in a cluster that is not large).
const DOWN_MANY: usize = 3;
const DOWN_PERCENT: usize = 55;

/// How much of the cluster is down, and so how likely it is the nodes' own fault (upstream's zone states).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Disruption {
    /// Little: nodes may begin to lose their pods.
    None,
    /// Much: none begins to.
    Partial,
    /// All: none loses any more.
    Full,
}

impl Disruption {
    /// With `down` of `all` nodes down.
    pub(super) fn of(down: usize, all: usize) -> Self {
        if down >= all {
            Self::Full
        } else if down >= DOWN_MANY && down * 100 >= all * DOWN_PERCENT {
            Self::Partial
        } else {
            Self::None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_much_is_down_it_is_hardly_the_nodes_fault() {
        use Disruption::{Full, None, Partial};
        for (down, all, expected) in [
            (0, 3, None),
            (1, 1, Full),
            (1, 2, None),
            (2, 3, None),
            (3, 5, Partial),
            (3, 6, None),
            (10, 100, None),
            (5, 5, Full),
        ] {
            assert_eq!(Disruption::of(down, all), expected, "{down} of {all}");
        }
    }
}
