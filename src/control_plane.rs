//! The control plane: store, API server, controllers, scheduler, put together.
//!
//! Controllers and scheduler meet the API server as anybody does, with the rights of upstream's roles; being in its
//! process saves them the socket.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use apiserver::authentication::User;
use apiserver::bootstrap::{self, Keys};
use apiserver::serve::renewal::Renewal;
use apiserver::serve::{self, Entry, tls};
use apiserver::{ApiServer, Authorities, TolerationSeconds, services};
use base::pki::Authority;
use base::shutdown::{self, Trigger};
use base::task::{self, Task};
use client::Informers;
use images::ContentStore;
use scheduler::Scheduler;
use store::Store;
use tokio::net::TcpListener;

use crate::arguments::{Artifacts, ControlPlane as Options};
use crate::{VERSION, host, process_metrics};

/// A running control plane.
pub(crate) struct ControlPlane {
    /// The API server, for who lives in its process.
    pub(crate) server: ApiServer,
    /// The API server's address for clients: `https://HOST:PORT`.
    pub(crate) url: String,
    /// Signs everybody's certificates.
    pub(crate) authority: Arc<Authority>,
    /// Artifacts of the cluster's registry.
    pub(crate) content: ContentStore,
    /// Whether this start made the cluster.
    pub(crate) is_new: bool,
    store: Store,
    /// Controllers and scheduler end first, then the API server: their last words must still be heard.
    working: Vec<Task<()>>,
    end_of_work: Trigger,
    serving: Vec<Task<()>>,
    end_of_serving: Trigger,
}

impl ControlPlane {
    /// Makes the cluster in `folder`, which is the caller's alone, or goes on with the one that is there, and serves it.
    ///
    /// # Errors
    /// When it cannot start; the message says what to do.
    pub(crate) async fn start(folder: &Path, options: &Options, artifacts: &Artifacts) -> Result<Self> {
        // What may be refused comes first, before anything is written.
        let listener = listen(options.listen).await?;
        let address = listener.local_addr()?;
        let url = url(address);
        let names = names(address, options);
        let keys = bootstrap::prepare(&bootstrap::Options {
            folder: folder.to_owned(),
            names: names.clone(),
            url: url.clone(),
        })?;
        let Keys { authority, serving, service_accounts, front_proxy_pem, is_new, .. } = keys;
        let authority = Arc::new(authority);
        let store = open_store(folder, options).await?;
        let content = ContentStore::open(artifacts.content(folder)).await?;

        let (end_of_serving, shutdown) = shutdown::channel();
        let server_options = apiserver::Options {
            advertised: host::reachable(address),
            authorities: Some(Authorities {
                clients: authority.certificate_pem().to_owned(),
                front_proxy: front_proxy_pem,
            }),
            service_account_keys: Some(service_accounts),
            backup_folder: Some(folder.to_owned()),
            ..server_options(options)?
        };
        let server = ApiServer::start(store.clone(), server_options, shutdown.clone()).await?;
        server.keep_artifacts_in(content.clone());
        server.measure(Box::new(process_metrics::register));
        let (shown, renewal) = Renewal::begin(&serving, folder.join("pki"), Arc::clone(&authority), names.clone())?;
        let entry = Entry { tls: tls::config(shown, authority.certificate_pem())?, tokens: Default::default() };
        let serving = vec![
            task::spawn("api server", serve::run(server.clone(), listener, entry, shutdown.clone())),
            task::spawn("serving certificate", renewal.run(shutdown.clone())),
            task::spawn("artifacts", content.clone().run(shutdown)),
        ];

        let (end_of_work, shutdown) = shutdown::channel();
        let client = |user: &str| in_process(&server, User::authenticated(user, Vec::new()));
        // One copy of each pod and node for both.
        let informers = Informers::new(client(scheduler::USER));
        let of_controllers = informers.shared_with(client(controllers::USER));
        let scheduler = Scheduler::new(&informers, scheduler::DEFAULT_NAME);
        let controllers = controllers::run(
            of_controllers,
            controllers::Options {
                nodes: controllers::nodes::Options {
                    monitor_grace_period: options.node_monitor_grace_period,
                    ..controllers::nodes::Options::default()
                },
                pod_network: pod_network(options)?,
                authority: Arc::clone(&authority),
                server_names: names.into_iter().collect(),
            },
            shutdown.clone(),
        );
        let working = vec![
            task::spawn("scheduler", async move { scheduler.run(shutdown).await }),
            task::spawn("controllers", controllers),
        ];
        Ok(Self { server, url, authority, content, is_new, store, working, end_of_work, serving, end_of_serving })
    }

    /// Ends everything in order; what was acknowledged is on the disk.
    ///
    /// # Errors
    /// When the store could not be closed in peace. The next start then repairs it.
    pub(crate) async fn end(self) -> Result<()> {
        self.end_of_work.pull();
        for task in self.working {
            task.await.context("a part of the control plane ended early")?;
        }
        self.end_of_serving.pull();
        for task in self.serving {
            task.await.context("the API server ended early")?;
        }
        self.store.close().await?;
        Ok(())
    }
}

/// A client of the API server in this process, as `user`.
pub(crate) fn in_process(server: &ApiServer, user: User) -> kube::Client {
    client::connect::in_process(server.service_as(user))
}

async fn listen(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address}: is another Minke running? Choose another address with --listen ADDR:PORT")
    })
}

async fn open_store(folder: &Path, options: &Options) -> Result<Store> {
    let path = folder.join("store.redb");
    if let Some(backup) = &options.restore {
        Store::restore(backup, &path).await.context("--restore")?;
    }
    Ok(Store::open(store::Options::file(path)).await?)
}

fn pod_network(options: &Options) -> Result<controllers::Network> {
    let range = options.cluster_cidr;
    match range.base() {
        IpAddr::V4(base) => Ok(controllers::Network::new(base, range.prefix())),
        IpAddr::V6(_) => bail!("--cluster-cidr {range}: pods have IPv4 addresses; give a range such as 100.64.0.0/11"),
    }
}

fn server_options(options: &Options) -> Result<apiserver::Options> {
    let services = options.service_cluster_ip_range;
    let IpAddr::V4(base) = services.base() else {
        bail!(
            "--service-cluster-ip-range {services}: Services have IPv4 addresses; give a range such as 100.96.0.0/16"
        );
    };
    if services.overlaps(&options.cluster_cidr) {
        bail!("--service-cluster-ip-range {services} and --cluster-cidr {} overlap", options.cluster_cidr);
    }
    let (first, last) = options.service_node_port_range;
    let services = services::Ranges { cluster_ips: (base, services.prefix()), node_ports: first..=last };
    let toleration_seconds = TolerationSeconds {
        not_ready: options.default_not_ready_toleration_seconds,
        unreachable: options.default_unreachable_toleration_seconds,
    };
    let event_ttl = options.event_ttl;
    Ok(apiserver::Options { services, toleration_seconds, event_ttl, ..apiserver::Options::new(VERSION) })
}

/// Every name under which the server is reached.
fn names(address: SocketAddr, options: &Options) -> Vec<String> {
    let mut names: Vec<String> = [
        "localhost",
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
        "127.0.0.1",
        "::1",
    ]
    .map(str::to_owned)
    .to_vec();
    names.extend(host::name());
    names.extend(options.service_cluster_ip_range.nth(1).map(|address| address.to_string()));
    names.extend(host::listening(address).iter().map(ToString::to_string));
    names.extend(host::reachable(address).map(|address| address.ip().to_string()));
    names.extend(options.tls_sans.iter().cloned());
    names.sort();
    names.dedup();
    names
}

/// How clients on this machine reach a listener.
fn url(address: SocketAddr) -> String {
    let host = match address.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
    };
    format!("https://{}", SocketAddr::new(host, address.port()))
}
