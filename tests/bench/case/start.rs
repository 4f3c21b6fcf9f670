//! What is started, and how long until it serves.

use std::fs;

use anyhow::Result;

use crate::Bench;
use crate::cluster::Cluster;
use crate::report::Row;
use crate::samples::Samples;

/// Starts of each kind.
const STARTS: usize = 5;

pub(crate) async fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let bytes = fs::metadata(&bench.minke)?.len() as f64;
    let size = Row::new("size of the binary", format!("{:.1} MB", bytes / 1e6)).value("size_bytes", bytes);
    let (mut fresh, mut again) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let cluster = Cluster::start(bench, "up", &[]).await?;
        fresh.push(cluster.ready_after);
        let data = cluster.end().await?;
        let cluster = Cluster::start_in(bench, data, "up", &[]).await?;
        again.push(cluster.ready_after);
    }
    let row = |what: &str, times| {
        let times = Samples::new(times);
        let row = Row::new(what, format!("{:.0?} (p50 of {STARTS})", times.p50()));
        row.value("p50_s", times.p50().as_secs_f64())
    };
    Ok(vec![
        size,
        row("start of a new cluster until /readyz is ok", fresh).note("makes keys and certificates"),
        row("start of an empty cluster that is there", again),
    ])
}
