//! What upstream reached elsewhere, where it cannot be started here.

use std::time::Duration;

use super::figure::Figure;
use super::verbs::{self, Verb};
use super::{DELIVERY_PODS, size};
use crate::objects::PODS;

/// Where the figures come from.
pub(super) const SOURCE: &str = "upstream's figures: Kubernetes 1.36 with etcd, measured on the reference machine (2 \
    shared cores, 24 GiB, the disk's fsync takes 0.5–3 ms)";

/// Of each range its better end: a goal is five times as good as upstream's best.
pub(super) fn figures() -> Vec<Figure> {
    let create = |clients| Figure::new(verbs::what(PODS, Verb::Create, clients));
    let ms = |millis| Some(Duration::from_secs_f64(millis / 1e3));
    let mib = |mebibytes: i64| Some(mebibytes << 20);
    let of = |range: &str, figure: Figure| Figure { range: range.to_owned(), ..figure };
    let busy = Figure { rate: Some(392.0), p99: ms(187.0), ..create(32) };
    vec![
        of("p50 6.5–8.1 ms", Figure { p50: ms(6.5), ..create(1) }),
        of("199–392/s, p99 187–441 ms, 3.7–4.3 CPU s per 1,000", busy),
        of("p50 6.4–7.0 ms", Figure { p50: ms(6.4), ..Figure::new(DELIVERY_PODS) }),
        of("p50 264–318 ms", Figure { p50: ms(264.0), ..Figure::new(size::LIST_5000) }),
        of("285 MiB + 41 MiB", Figure { bytes: mib(285 + 41), ..Figure::new(size::IDLE) }),
        of("685 MiB + 109 MiB", Figure { bytes: mib(685 + 109), ..Figure::new(size::AT_5000) }),
        of("3.5 s", Figure { p50: ms(3_500.0), ..Figure::new(size::READY) }),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::lists::{self, Form};
    use super::*;

    #[test]
    fn the_row_of_a_list_has_the_name_that_is_known() {
        assert_eq!(lists::what(PODS, 5_000, Form::Json), size::LIST_5000);
    }
}
