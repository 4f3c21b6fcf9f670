//! What the roof tells the node daemon, once.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base::backoff::Law;
use k8s_openapi::api::core::v1 as core;
use network::range::Range;

pub use crate::logs::Limits as LogLimits;
pub use crate::machine::Machine;

/// See the module. `Options::new` has upstream's defaults for what a flag may change.
#[derive(Clone, Debug)]
pub struct Options {
    /// The node's name.
    pub node_name: String,
    /// The address that all sockets of the node bind, and that its object shows.
    pub node_ip: IpAddr,
    /// `DIR/node`, which is this daemon's alone.
    pub data_dir: PathBuf,
    /// The host: capacity and what `kubectl describe node` shows of it.
    pub machine: Machine,
    /// The most pods at once, above zero.
    pub max_pods: usize,
    /// Labels beside those that every node has.
    pub labels: BTreeMap<String, String>,
    /// Taints that the node registers with.
    pub taints: Vec<core::Taint>,
    /// The value of `kubernetes.io/os`: `linux`, or `wasi` on a foreign cluster.
    pub os_label: String,
    /// What the node's object says that the daemon is.
    pub versions: Versions,
    /// The port of the kubelet's HTTP API on the node's address; `None` serves it through the tunnel alone.
    pub port: Option<u16>,
    /// Addresses of pods, until the node's object names a `podCIDR`.
    pub pod_range: Range,
    /// How long the first list of pods may take before the node goes on from what its own disk knows of them.
    pub alone_after: Duration,
    /// How long a lease is good for; it is renewed every quarter of that.
    pub lease_duration: Duration,
    /// How often the node's status is looked at, and sent when it changed.
    pub status_update: Duration,
    /// How often it is sent though nothing changed.
    pub status_report: Duration,
    /// How long the daemon's end waits for containers to end by themselves.
    pub shutdown_grace: Duration,
    /// The wait before a container that ended again and again is started again.
    pub crash_loop: Law,
    /// How large logs may grow.
    pub log_limits: LogLimits,
    /// Whether the image store is this node's alone, so that this daemon says which images are in use. Where a registry
    /// shares it, whoever knows the pods of all nodes does.
    pub owns_image_store: bool,
    /// Whether the runtime has WASI 0.3, for pods whose RuntimeClass asks for it.
    pub wasi_preview3: bool,
    /// TLS of the HTTP API: the node's serving certificate, and client certificates of the cluster's CA.
    pub tls: Option<Arc<rustls::ServerConfig>>,
}

/// What the daemon says that it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Versions {
    /// `v1.36.N+minke.X.Y.Z`.
    pub kubelet: String,
    /// `wasmtime://48.0.N`.
    pub runtime: String,
}

impl Options {
    /// The options of a node that nobody said more about: this host, upstream's times and bounds.
    #[must_use]
    pub fn new(node_name: String, node_ip: IpAddr, data_dir: PathBuf, pod_range: Range, versions: Versions) -> Self {
        Self {
            machine: Machine::detect(&data_dir),
            node_name,
            node_ip,
            data_dir,
            max_pods: 1000,
            labels: BTreeMap::new(),
            taints: Vec::new(),
            os_label: "linux".to_owned(),
            versions,
            port: Some(10250),
            pod_range,
            alone_after: Duration::from_secs(3),
            lease_duration: Duration::from_secs(40),
            status_update: Duration::from_secs(10),
            status_report: Duration::from_secs(300),
            shutdown_grace: Duration::from_secs(30),
            crash_loop: Law::exact(Duration::from_secs(10), Duration::from_secs(300)),
            log_limits: LogLimits { segment_bytes: 10 << 20, segments: 5, dead_runs: 1 },
            owns_image_store: true,
            wasi_preview3: false,
            tls: None,
        }
    }
}
