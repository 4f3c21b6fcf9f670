//! Under which conditions the numbers came about.

use std::fs;

use anyhow::Result;
use base::clock;

use crate::Bench;

/// Name and value of each condition.
pub(crate) fn facts(bench: &Bench) -> Result<Vec<(&'static str, String)>> {
    let line = |path: &str, name: &str| {
        let text = fs::read_to_string(path).unwrap_or_default();
        let found =
            text.lines().find_map(|line| line.strip_prefix(name)).map(|rest| rest.trim_matches([' ', '\t', ':']));
        found.unwrap_or("unknown").to_owned()
    };
    let cores = std::thread::available_parallelism()?;
    let build = if cfg!(debug_assertions) { "dev: its numbers say little" } else { "release" };
    Ok(vec![
        ("date", clock::now_seconds().to_string()),
        ("processor", format!("{cores} × {}", line("/proc/cpuinfo", "model name"))),
        ("memory", line("/proc/meminfo", "MemTotal")),
        ("kernel", line("/proc/sys/kernel/osrelease", "")),
        ("load", line("/proc/loadavg", "")),
        ("max maps", line("/proc/sys/vm/max_map_count", "")),
        ("build", build.to_owned()),
        ("one commit", format!("{} ({} of them, one writer)", bench.commit, bench.commit.len())),
    ])
}
