//! What a process takes of the machine, as Linux tells it in `/proc`.

use std::fs;
use std::ops::Sub;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};

/// What a process takes at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// Resident memory, in bytes: its own pages and those of files that it shares.
    pub(crate) rss: i64,
    /// Proportional memory, in bytes: each shared page divided among those who share it.
    pub(crate) pss: i64,
    /// Memory that is its own, in bytes: what would be free if it ended, but for files.
    pub(crate) anonymous: i64,
    /// Mappings; the kernel allows `vm.max_map_count` of them.
    pub(crate) mappings: i64,
    /// Open descriptors.
    pub(crate) descriptors: i64,
    /// Threads.
    pub(crate) threads: i64,
}

impl Usage {
    /// Of the process `pid`.
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let folder = format!("/proc/{pid}");
        let read = |name: &str| {
            let path = Path::new(&folder).join(name);
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
        };
        let rollup = read("smaps_rollup")?;
        Ok(Self {
            rss: kibibytes(&rollup, "Rss:")? << 10,
            pss: kibibytes(&rollup, "Pss:")? << 10,
            anonymous: kibibytes(&rollup, "Anonymous:")? << 10,
            mappings: read("maps")?.lines().count().try_into()?,
            descriptors: fs::read_dir(Path::new(&folder).join("fd"))?.count().try_into()?,
            threads: kibibytes(&read("status")?, "Threads:")?,
        })
    }
}

impl Sub for Usage {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self {
            rss: self.rss - other.rss,
            pss: self.pss - other.pss,
            anonymous: self.anonymous - other.anonymous,
            mappings: self.mappings - other.mappings,
            descriptors: self.descriptors - other.descriptors,
            threads: self.threads - other.threads,
        }
    }
}

/// CPU time that the process `pid` has had, in all its threads, in steps of the kernel's clock tick (10 ms).
pub(crate) fn cpu(pid: u32) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The second field is the name in parentheses, which may hold anything; user and system time are the 14th and 15th.
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: Vec<u64> = after_name.split_whitespace().skip(11).take(2).map(str::parse).collect::<Result<_, _>>()?;
    let ticks_a_second = rustix::param::clock_ticks_per_second();
    Ok(Duration::from_secs_f64(ticks.iter().sum::<u64>() as f64 / ticks_a_second as f64))
}

/// The number after a name at the start of a line.
fn kibibytes(text: &str, name: &str) -> Result<i64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name)).and_then(|rest| rest.split_whitespace().next());
    Ok(value.with_context(|| format!("the kernel does not tell {name}"))?.parse()?)
}

/// Bytes for people, in units of 1000 as the design's numbers are.
pub(crate) fn megabytes(bytes: i64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
