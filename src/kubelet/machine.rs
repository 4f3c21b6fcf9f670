//! The host that a node runs on: what it has, and how it calls itself.
//!
//! The one file of this floor that asks the host about itself.

use std::path::Path;

use base::files;

use crate::resources::Amounts;

/// One host.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Machine {
    /// CPU and memory that pods may use.
    pub capacity: Amounts,
    /// Bytes of the disk that holds the node's data.
    pub disk_bytes: i64,
    /// `nodeInfo.machineID`.
    pub machine_id: String,
    /// `nodeInfo.bootID`.
    pub boot_id: String,
    /// `nodeInfo.kernelVersion`.
    pub kernel_version: String,
    /// `nodeInfo.osImage`.
    pub os_image: String,
    /// The host's name, which is the node's `Hostname` address.
    pub host_name: String,
}

/// How full the host is, for the node's conditions.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Pressure {
    /// Memory that is left.
    pub(crate) memory_bytes: i64,
    /// Disk that is left.
    pub(crate) disk_bytes: u64,
    /// Disk that has to be left, see [`disk_floor`].
    pub(crate) disk_floor_bytes: u64,
}

impl Machine {
    /// The host of this process, whose data lies in the folder `data_dir`. What the host does not tell is empty or
    /// zero: none of it is needed to run pods.
    #[must_use]
    pub fn detect(data_dir: &Path) -> Self {
        let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let cpu_milli = i64::try_from(cpus).unwrap_or(1).saturating_mul(1000);
        let memory_bytes = meminfo("MemTotal:").unwrap_or(0);
        let disk = rustix::fs::statvfs(data_dir).ok();
        let disk_bytes = disk.map_or(0, |disk| disk.f_blocks.saturating_mul(disk.f_frsize));
        Self {
            capacity: Amounts { cpu_milli, memory_bytes },
            disk_bytes: i64::try_from(disk_bytes).unwrap_or(i64::MAX),
            machine_id: line("/etc/machine-id"),
            boot_id: line("/proc/sys/kernel/random/boot_id"),
            kernel_version: line("/proc/sys/kernel/osrelease"),
            os_image: os_image(),
            host_name: line("/proc/sys/kernel/hostname"),
        }
    }
}

impl Pressure {
    /// How full the host is now.
    pub(crate) fn now(data_dir: &Path) -> Self {
        let disk = rustix::fs::statvfs(data_dir).ok();
        Self {
            memory_bytes: meminfo("MemAvailable:").unwrap_or(i64::MAX),
            disk_bytes: disk.as_ref().map_or(u64::MAX, |disk| disk.f_bavail.saturating_mul(disk.f_frsize)),
            disk_floor_bytes: disk.map_or(0, |disk| disk_floor(disk.f_blocks.saturating_mul(disk.f_frsize))),
        }
    }
}

/// The bytes of a disk below which its node reports pressure: a tenth of it, as upstream's `nodefs.available<10%`, and
/// of a large one 1 GiB, for modules and their volumes are small where container images are not.
fn disk_floor(disk_bytes: u64) -> u64 {
    (disk_bytes / 10).min(1 << 30)
}

/// The architecture in Go's word, as `kubernetes.io/arch` has it.
pub(crate) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn os_image() -> String {
    let release = read("/etc/os-release");
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.unwrap_or_default().trim_matches('"').to_owned()
}

/// A value of `/proc/meminfo` in bytes.
fn meminfo(field: &str) -> Option<i64> {
    let text = read("/proc/meminfo");
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    let kibibytes: i64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes.saturating_mul(1024))
}

fn line(path: &str) -> String {
    read(path).trim().to_owned()
}

/// A file of the host, or nothing: on other systems than Linux there are none of these.
fn read(path: &str) -> String {
    files::read(Path::new(path)).ok().flatten().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_disk_keeps_a_tenth_free_and_a_large_one_a_gibibyte() {
        for (disk_gib, floor_mib) in [(0, 0), (1, 102), (8, 819), (10, 1024), (250, 1024)] {
            assert_eq!(disk_floor(disk_gib << 30) >> 20, floor_mib, "{disk_gib} GiB");
        }
    }
}
