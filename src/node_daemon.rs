//! One node's daemon, put together: runtime, image store, kubelet. `minke up` and `minke node` differ in how the node
//! reaches its API server and in who issues its certificate.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use base::shutdown;
use images::ContentStore;
use images::distribution::{self, BuiltIn};
use images::pull::Puller;
use kubelet::options::{LogLimits, Versions};
use kubelet::{Kubelet, Neighbours};
use network::range::Range;
use runtime::{Compiler, Runtime};

use crate::arguments::NodeOptions;
use crate::node_identity::NodeIdentity;
use crate::signals::Signals;
use crate::{VERSION, process_metrics, supervisor};

/// The first argument of a process that only compiles.
pub(crate) const COMPILE: &str = "compile-wasm";

/// Addresses of pods until the node's object names its own: the range of the network's first node.
const FIRST_PODS: (Ipv4Addr, u8) = (Ipv4Addr::new(100, 64, 0, 0), 16);

/// How a node meets its cluster.
pub(crate) struct Cluster {
    /// The API server, as the node.
    pub(crate) client: kube::Client,
    /// Its address, where it also is the cluster's registry: `https://HOST:PORT`.
    pub(crate) url: String,
    /// Who the node is, over TLS.
    pub(crate) identity: NodeIdentity,
    /// Artifacts that are here.
    pub(crate) content: ContentStore,
    /// Whether they are this node's alone; else the registry of this process keeps them, too.
    pub(crate) owns_content: bool,
    /// Where the kubelet's HTTP API listens and as whom.
    pub(crate) port: Option<(u16, Arc<rustls::ServerConfig>)>,
}

/// The node's name: the one that was asked for, or the host's.
///
/// # Errors
/// When it cannot be a name.
pub(crate) fn name(options: &NodeOptions) -> Result<String> {
    let Some(name) = &options.name else {
        return crate::host::name().context("the host's name cannot be a node's: give one with --name NAME");
    };
    let wrong = api::names::subdomain(name);
    anyhow::ensure!(wrong.is_empty(), "--name {name}: {}", wrong.join("; "));
    Ok(name.clone())
}

/// The daemon of the node `name` in `folder`, before it runs.
///
/// # Errors
/// When its folders or threads cannot be had.
pub(crate) async fn prepare(
    folder: &Path,
    name: String,
    ip: IpAddr,
    options: &NodeOptions,
    cluster: Cluster,
) -> Result<Kubelet> {
    let Cluster { client, url, identity, content, owns_content, port } = cluster;
    let runtime_options = runtime::Options {
        cache_max_bytes: options.code_cache_max_size.0,
        compile_deadline: options.compile_timeout,
        compile_memory_bytes: options.compile_max_memory.0,
        preview3: options.wasi_preview3,
        ..runtime::Options::new(folder.join("code"), compiler()?)
    };
    let runtime = base::task::blocking(move || Runtime::start(runtime_options)).await??;
    let tls = identity.client_config();
    let registries = distribution::Options {
        insecure_registries: options.insecure_registries.clone(),
        proxy: variable("HTTPS_PROXY"),
        no_proxy: variable("NO_PROXY"),
        built_in: Some(BuiltIn { url: url.clone(), tls: Arc::clone(&tls), bearer: None }),
        ..distribution::Options::default()
    };
    let puller = if owns_content { Puller::new(content, registries) } else { Puller::in_registry(content, registries) };
    let dialler = client::connect::with_tls(&url, tls)?;
    let (port, tls) = port.unzip();
    let pods = Range::new(FIRST_PODS.0.into(), FIRST_PODS.1)?;
    let versions = Versions {
        kubelet: apiserver::version::git_version(VERSION),
        runtime: format!("wasmtime://{}", runtime::WASMTIME_VERSION),
    };
    let options = kubelet::Options {
        max_pods: options.max_pods.try_into()?,
        labels: options.labels.iter().cloned().collect(),
        taints: options.taints.clone(),
        port,
        tls,
        lease_duration: options.node_lease_duration,
        status_update: options.node_status_update_frequency,
        shutdown_grace: options.shutdown_grace,
        log_limits: LogLimits {
            segment_bytes: options.container_log_max_size.0,
            segments: options.container_log_max_files,
            dead_runs: options.maximum_dead_containers_per_container,
        },
        owns_image_store: owns_content,
        wasi_preview3: options.wasi_preview3,
        ..kubelet::Options::new(name, ip, folder.to_owned(), pods, versions)
    };
    let of_process = process_metrics::register;
    Ok(Kubelet::start(options, Neighbours { client, runtime, dialler: Some(dialler), puller, of_process })?)
}

/// Runs the daemon until the process is asked to end, and its pods have.
///
/// # Errors
/// When the node cannot join, or its port cannot be had.
pub(crate) async fn run(kubelet: Kubelet, signals: Signals) -> Result<()> {
    supervisor::ready();
    let (end_of_node, shutdown) = shutdown::channel();
    let node = kubelet.run(shutdown);
    tokio::pin!(node);
    let ended = tokio::select! {
        ended = &mut node => ended,
        () = signals.first() => {
            supervisor::stopping();
            end_of_node.pull();
            node.await
        }
    };
    Ok(ended?)
}

/// Our own executable, as a compiler.
fn compiler() -> Result<Compiler> {
    // The link follows a file that was replaced while we run, which its name does not.
    let program = if cfg!(target_os = "linux") {
        std::path::PathBuf::from("/proc/self/exe")
    } else {
        std::env::current_exe().context("cannot find our own executable, which compiles")?
    };
    Ok(Compiler::Child { program, args: vec![COMPILE.to_owned()] })
}

/// A variable of the environment in either case, as proxies are commonly given.
fn variable(name: &str) -> Option<String> {
    let lower = name.to_lowercase();
    [name, &lower].into_iter().find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    /// The floor of images writes its list down since it does not see the runtime; only the roof sees both.
    #[test]
    fn what_verdicts_take_as_given_is_what_the_runtime_offers() {
        let assumed: BTreeSet<String> = images::inspect::offered::offered().into_iter().collect();
        let offered: BTreeSet<String> = runtime::offered_imports().into_iter().collect();
        assert_eq!(assumed, offered);
    }
}
