//! What this process takes of its machine, under the names that Prometheus' client libraries share.

use std::sync::LazyLock;
use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

/// When the process started, in seconds since 1970: this is read first as it starts.
static STARTED: LazyLock<f64> = LazyLock::new(|| base::clock::now().as_millisecond() as f64 / 1000.0);

/// Notes the time of the start.
pub(crate) fn start() {
    LazyLock::force(&STARTED);
}

/// Registers all of it, as it is now. What this system does not tell is left out.
pub(crate) fn register(registry: &mut Registry) {
    let cpu = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = Counter::<f64, AtomicU64>::default();
    seconds.inc_by(cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9);
    registry.register("process_cpu_seconds", "Time that its threads computed", seconds);
    gauge(registry, "process_start_time_seconds", "Its start, since 1970", Some(*STARTED));
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    gauge(registry, "process_resident_memory_bytes", "Its memory", bytes(&status, "VmRSS:"));
    gauge(registry, "process_virtual_memory_bytes", "Its addresses", bytes(&status, "VmSize:"));
    let open = std::fs::read_dir("/proc/self/fd").ok().map(|files| files.count() as f64);
    gauge(registry, "process_open_fds", "Its open files", open);
    let most = getrlimit(Resource::Nofile).current.map(|most| most as f64);
    gauge(registry, "process_max_fds", "Their bound", most);
}

fn gauge(registry: &mut Registry, name: &str, help: &str, value: Option<f64>) {
    if let Some(value) = value {
        let gauge = Gauge::<f64, AtomicU64>::default();
        gauge.set(value);
        registry.register(name, help, gauge);
    }
}

/// A line of `/proc/self/status`, which counts in KiB.
fn bytes(status: &str, name: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: f64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_status_is_read_in_bytes() {
        let status = "Name:\tminke\nVmSize:\t  200 kB\nVmRSS:\t      12 kB\nThreads:\t4\n";
        assert_eq!(bytes(status, "VmRSS:"), Some(12_288.0));
        assert_eq!(bytes(status, "VmSize:"), Some(204_800.0));
        assert_eq!(bytes(status, "Threads:"), None);
    }
}
