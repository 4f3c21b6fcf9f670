//! The command line, read once.
//!
//! Flags that upstream has too carry upstream's names. Every flag of a command that runs on may stand in its
//! `--config` file instead ([`crate::config_file`]).

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use k8s_openapi::api::core::v1::Taint;

use crate::flag_values::{Bytes, bytes, cidr, duration, label, port_range, taint};

/// Kubernetes for WebAssembly, in one binary.
///
/// `minke up` starts a whole cluster; any Kubernetes client then drives it, kubectl first of all.
#[derive(Debug, Parser)]
#[command(name = "minke", version, arg_required_else_help = true)]
pub struct Arguments {
    /// What our own process says.
    #[command(flatten)]
    pub logging: Logging,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start a whole cluster in this process.
    ///
    /// The first start makes a data directory with keys, a store and a kubeconfig; later ones go on where the last one
    /// ended.
    Up(Box<Up>),
    /// Start a control plane without a node: API server, controllers, scheduler.
    ///
    /// Nodes join it with `minke node --join`; `minke token create --print-join-command` prints the whole line.
    Server(Box<Server>),
    /// Start a node that runs pods, and join it to a cluster.
    ///
    /// The first start needs --join, --token and --ca-hash, and fetches a certificate of the node's own; later ones need
    /// the data directory alone.
    Node(Box<Node>),
    /// Commands that speak to a running cluster.
    #[command(flatten)]
    Client(cli::Command),
    /// Print the version, ours and the server's.
    Version(cli::version::Options),
    /// Print what a shell needs to complete our commands.
    ///
    /// For bash: `source <(minke completions bash)`.
    Completions {
        /// The shell.
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
}

/// Options of `minke up`.
#[derive(Args, Clone, Debug)]
pub struct Up {
    /// What every process has.
    #[command(flatten)]
    pub process: Process,
    /// The control plane.
    #[command(flatten)]
    pub control_plane: ControlPlane,
    /// The node.
    #[command(flatten)]
    pub node: NodeOptions,
}

/// Options of `minke server`.
#[derive(Args, Clone, Debug)]
pub struct Server {
    /// What every process has.
    #[command(flatten)]
    pub process: Process,
    /// The control plane.
    #[command(flatten)]
    pub control_plane: ControlPlane,
    /// What artifacts may weigh.
    #[command(flatten)]
    pub artifacts: Artifacts,
}

/// Options of `minke node`.
#[derive(Args, Clone, Debug)]
pub struct Node {
    /// What every process has.
    #[command(flatten)]
    pub process: Process,
    /// The API server to join: https://HOST:PORT. Needed at the first start.
    #[arg(long, value_name = "URL")]
    pub join: Option<String>,
    /// The bootstrap token to join with; `minke token create` makes one. Needed at the first start.
    #[arg(long, value_name = "ID.SECRET", env = "MINKE_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// The hash of the cluster's certificate authority, as `minke token create` prints it. Needed at the first start.
    #[arg(long, value_name = "sha256:HEX")]
    pub ca_hash: Option<String>,
    /// The port of the kubelet's HTTP API on the node's address; 0 serves it through the node's own connection alone.
    #[arg(long, value_name = "PORT", default_value = "10250")]
    pub port: u16,
    /// The node.
    #[command(flatten)]
    pub node: NodeOptions,
}

/// What every process that runs on has.
#[derive(Args, Clone, Debug)]
pub struct Process {
    /// A YAML file with flags of this command: `listen: 127.0.0.1:6443`, a line each. Flags given here win over it.
    #[arg(long, value_name = "FILE", env = "MINKE_CONFIG")]
    pub config: Option<PathBuf>,
    /// Where everything is kept; the default is `minke` in the user's data directory.
    #[arg(long, value_name = "DIR", env = "MINKE_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
}

/// Options of the control plane.
#[derive(Args, Clone, Debug)]
pub struct ControlPlane {
    /// Where the API server listens.
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:6443")]
    pub listen: SocketAddr,
    /// A further DNS name or address under which the server is reached; may be given several times.
    #[arg(long = "tls-san", value_name = "NAME")]
    pub tls_sans: Vec<String>,
    /// Begin with the store in this file, which `minke backup` made; refused where the data directory has a store.
    #[arg(long, value_name = "FILE")]
    pub restore: Option<PathBuf>,
    /// The addresses of Services.
    #[arg(long, value_name = "CIDR", value_parser = cidr, default_value = "100.96.0.0/16")]
    pub service_cluster_ip_range: network::range::Range,
    /// The ports that Services of type NodePort get.
    #[arg(long, value_name = "FROM-TO", value_parser = port_range, default_value = "30000-32767")]
    pub service_node_port_range: (u16, u16),
    /// The addresses of pods, of which each node gets a part.
    #[arg(long, value_name = "CIDR", value_parser = cidr, default_value = "100.64.0.0/11")]
    pub cluster_cidr: network::range::Range,
    /// How long a node may be silent before it counts as not ready.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "40s")]
    pub node_monitor_grace_period: Duration,
    /// How long pods stay bound to a node that is not ready, unless they say it themselves.
    #[arg(long, value_name = "SECONDS", default_value = "300")]
    pub default_not_ready_toleration_seconds: i64,
    /// How long pods stay bound to a node that is unreachable, unless they say it themselves.
    #[arg(long, value_name = "SECONDS", default_value = "300")]
    pub default_unreachable_toleration_seconds: i64,
    /// How long Events are kept.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "1h")]
    pub event_ttl: Duration,
}

/// What artifacts may weigh.
#[derive(Args, Clone, Debug)]
pub struct Artifacts {
    /// The largest artifact that is taken.
    #[arg(long, value_name = "BYTES", value_parser = bytes, default_value = "256Mi")]
    pub artifact_max_size: Bytes,
    /// What all artifacts together may take; beyond it those go that no pod names, the least recently used first.
    #[arg(long, value_name = "BYTES", value_parser = bytes, default_value = "10Gi")]
    pub artifacts_max_size: Bytes,
    /// How long an unfinished upload is kept.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "24h")]
    pub upload_ttl: Duration,
}

impl Artifacts {
    /// The store of artifacts in the data directory `folder`.
    pub(crate) fn content(&self, folder: &Path) -> images::content::Options {
        images::content::Options {
            path: folder.join("blobs"),
            bytes_max: self.artifacts_max_size.0,
            artifact_bytes_max: self.artifact_max_size.0,
            upload_life: self.upload_ttl,
        }
    }
}

/// Options of a node.
#[derive(Args, Clone, Debug)]
pub struct NodeOptions {
    /// The node's name; the default is the host's name.
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// The address of all sockets of the node, and the one that its object shows.
    #[arg(long, value_name = "IP")]
    pub node_ip: Option<IpAddr>,
    /// How many pods may run at once. Each takes six memory mappings, of which the kernel gives a process 65,530 unless
    /// vm.max_map_count says otherwise.
    #[arg(long, value_name = "N", default_value = "1000", value_parser = clap::value_parser!(u32).range(1..=30_000))]
    pub max_pods: u32,
    /// A label of the node's object; may be given several times, or with commas between.
    #[arg(long = "node-labels", value_name = "KEY=VALUE", value_parser = label, value_delimiter = ',')]
    pub labels: Vec<(String, String)>,
    /// A taint that the node registers with; may be given several times, or with commas between.
    #[arg(long = "register-with-taints", value_name = "KEY=VALUE:EFFECT", value_parser = taint, value_delimiter = ',')]
    pub taints: Vec<Taint>,
    /// How long pods may take to end when the process is asked to; a second signal ends at once.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "30s")]
    pub shutdown_grace: Duration,
    /// How often the node's status is looked at.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "10s")]
    pub node_status_update_frequency: Duration,
    /// How long the node's lease is good for; it is renewed every quarter of that.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "40s")]
    pub node_lease_duration: Duration,
    /// The size at which a container's log is rotated.
    #[arg(long, value_name = "BYTES", value_parser = bytes, default_value = "10Mi")]
    pub container_log_max_size: Bytes,
    /// How many files of a container's log are kept.
    #[arg(long, value_name = "N", default_value = "5", value_parser = clap::value_parser!(u32).range(2..=100))]
    pub container_log_max_files: u32,
    /// How many earlier runs of a container are kept with their logs, the one that `kubectl logs --previous` shows first.
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub maximum_dead_containers_per_container: u32,
    /// How long compiling one artifact may take.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "60s")]
    pub compile_timeout: Duration,
    /// The memory that compiling one artifact may take.
    #[arg(long, value_name = "BYTES", value_parser = bytes, default_value = "1Gi")]
    pub compile_max_memory: Bytes,
    /// What compiled code may take on disk; beyond it the least recently used goes.
    #[arg(long, value_name = "BYTES", value_parser = bytes, default_value = "4Gi")]
    pub code_cache_max_size: Bytes,
    /// Run programs of WASI 0.3, for pods whose RuntimeClass has the handler wasi-preview3. It is experimental: what else
    /// holds of hostile guests is not promised of these.
    #[arg(long)]
    pub wasi_preview3: bool,
    /// A registry (HOST:PORT) that may be spoken to without TLS; may be given several times. Those of this machine may be.
    #[arg(long = "insecure-registry", value_name = "HOST:PORT")]
    pub insecure_registries: Vec<String>,
    /// What artifacts may weigh.
    #[command(flatten)]
    pub artifacts: Artifacts,
}

/// Options of our own log.
#[derive(Args, Clone, Debug)]
pub struct Logging {
    /// How log lines look; the default is text on a terminal and elsewhere.
    #[arg(long, value_enum, default_value = "text", global = true)]
    pub log_format: LogFormat,
    /// Which log lines there are: `error`, `warn`, `info`, `debug`, `trace`, or a filter such as `info,store=debug`.
    #[arg(long, value_name = "LEVEL", default_value = "info", global = true)]
    pub log_level: String,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs: an object a line.
    Json,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
