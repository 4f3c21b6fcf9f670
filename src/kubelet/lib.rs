//! The node daemon: it registers the node, runs the pods that are bound to it, and tells the API server how they are.
//!
//! This floor must never touch the store, name a wasmtime type, read arguments or environment, or follow a path that
//! a guest can change: it translates a PodSpec into values for [`runtime`] and [`network`], and facts into a status.
//! It meets the control plane in objects alone, so that it works under any API server, and goes on without one.
//!
//! ```text
//!            watch              facts, questions
//!  objects ─────────▶ pods::table ─────────▶ pods::worker (one a pod) ──▶ statuses, events ──▶ API server
//!                                              │ sync(pod, state, now) ──▶ journal ──▶ disk
//!                                              ▼
//!                      volumes · images · env ─▶ containers ──▶ runtime ──▶ output ──▶ logs ──▶ disk
//! ```
//!
//! Reading order: [`options`]; `pods` with its `state`, `sync` and `worker` (the heart); what a container needs
//! ([`env`], `fields`, `objects`, `sources`, `volumes`, `images`, `code`) and how it runs (`containers`, `exit`,
//! `output`, `host_ports`); `logs`; what is told (`statuses`, `events`, `node`, `registration`); what
//! outlives the daemon (`journal`); what is asked of the node (`http`, `dial`, `metrics`).
//!
//! # Why
//!
//! One task a pod, and none that polls: ten thousand idle pods are ten thousand waiting tasks without timers, open
//! logs or buffers. Long work runs in tasks of its own that answer through the pod's mailbox, so a deletion is heard
//! while an image is pulled. What to do is one pure function, so every case is a line of a table in a test.

mod code;
mod containers;
mod daemon;
mod dial;
mod env;
mod events;
mod exit;
mod fields;
mod host_ports;
mod http;
mod images;
mod journal;
mod logs;
mod machine;
mod metrics;
mod node;
mod objects;
pub mod options;
mod output;
mod pods;
mod reasons;
mod registration;
mod resources;
mod sources;
mod statuses;
mod text;
mod volumes;

#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod node_tests;
#[cfg(test)]
mod testing;

use std::sync::Arc;

use axum::Router;
use base::files::{self, Access};
use base::shutdown::{self, Shutdown};
use base::task;
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use prometheus_client::registry::Registry;

use crate::daemon::{Daemon, Room};
use crate::journal::Journal;
use crate::logs::writer::Logs;
use crate::metrics::Metrics;
use crate::pods::admit;
use crate::pods::table::Table;
use crate::registration::Registration;
use crate::sources::Sources;
use crate::statuses::Statuses;

pub use crate::metrics::OfProcess;
pub use crate::options::Options;
pub use crate::registration::Error as RegistrationError;
pub use crate::resources::Amounts;

/// What the daemon works with; all of it is made by the roof.
pub struct Neighbours {
    /// The API server, as the node.
    pub client: kube::Client,
    /// What runs guests.
    pub runtime: runtime::Runtime,
    /// The API server over a connection that can be turned round, to be asked through it; `None` where the roof hands
    /// [`Kubelet::router`] to an API server in this process.
    pub dialler: Option<kube::Client>,
    /// What fetches images, and keeps them.
    pub puller: ::images::pull::Puller,
    /// What the node's own `/metrics` shows of the process.
    pub of_process: OfProcess,
}

/// The daemon of one node, before it runs.
pub struct Kubelet {
    client: kube::Client,
    dialler: Option<kube::Client>,
    daemon: Arc<Daemon>,
    events: events::Writer,
    registration: Registration,
    table: Table,
    metrics: Arc<Metrics>,
}

/// Why a daemon cannot start, or had to end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its folder cannot be used.
    #[error(transparent)]
    Folder(#[from] files::Error),
    /// The folder of its pods cannot be opened.
    #[error("cannot open {path}: {source}")]
    Pods {
        /// The folder.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// What it wrote down cannot be read.
    #[error(transparent)]
    Journal(#[from] journal::Error),
    /// It cannot join.
    #[error(transparent)]
    Registration(#[from] registration::Error),
    /// Its port cannot be had.
    #[error(transparent)]
    Port(#[from] http::serve::Error),
}

impl Kubelet {
    /// Makes the daemon's folder ready and reads what the one before it left. Nothing runs yet.
    ///
    /// # Errors
    /// When the folder cannot be used.
    pub fn start(options: Options, neighbours: Neighbours) -> Result<Self, Error> {
        let Neighbours { client, dialler, runtime, puller, of_process } = neighbours;
        let pods_path = options.data_dir.join("pods");
        files::make_folder(&options.data_dir, Access::Private)?;
        files::make_folder(&pods_path, Access::Private)?;
        let pods_dir = Dir::open_ambient_dir(&pods_path, ambient_authority())
            .map_err(|source| Error::Pods { path: pods_path.display().to_string(), source })?;
        let pods_dir = Arc::new(pods_dir);
        let node = admit::Node {
            allocatable: options.machine.capacity,
            pods_max: options.max_pods,
            labels: node::labels(&options),
            ip: options.node_ip,
        };
        let (events, writer) = events::channel(&options.node_name);
        let data_dir = options.data_dir.clone();
        let daemon = Arc::new(Daemon {
            events,
            statuses: Statuses::new(),
            journal: Arc::new(Journal::open(data_dir.join("state"))?),
            sources: Arc::new(Sources::new(client.clone())),
            logs: Arc::new(Logs::new(Arc::clone(&pods_dir), options.log_limits)),
            pulls: images::Pulls::new(puller),
            room: Room::new(node, options.pod_range),
            runtime,
            pods_dir,
            options,
        });
        let registration = Registration::new(Arc::clone(&daemon), client.clone(), &data_dir)?;
        let table = Table::new(Arc::clone(&daemon));
        let metrics = Arc::new(Metrics { daemon: Arc::clone(&daemon), table: table.clone(), of_process });
        Ok(Self { client, dialler, daemon, events: writer, registration, table, metrics })
    }

    /// The kubelet's HTTP API, for a roof that holds the API server in the same process.
    pub fn router(&self) -> Router {
        let (logs, metrics) = (Arc::clone(&self.daemon.logs), Arc::clone(&self.metrics));
        http::router(http::Api { table: self.table.clone(), logs, metrics })
    }

    /// What the node measures, for a roof that shows it beside other parts of its process; nothing once the node has
    /// ended, which this does not hold up.
    pub fn metrics(&self) -> impl Fn(&mut Registry) + Send + Sync + use<> {
        let metrics = Arc::downgrade(&self.metrics);
        move |registry| {
            if let Some(metrics) = metrics.upgrade() {
                metrics.register(registry);
            }
        }
    }

    /// Runs until the end is asked for and all pods have stopped, or their grace is over.
    ///
    /// # Errors
    /// When the node cannot join, or its port cannot be had.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), Error> {
        let router = self.router();
        let Self { client, dialler, daemon, events, registration, table, .. } = self;
        let options = &daemon.options;
        // The parts outlive the pods: the last statuses, Events and lines are theirs to bring home.
        let (end_of_parts, parts) = shutdown::channel();
        let working = [
            task::spawn("log writer", Arc::clone(&daemon.logs).flush(parts.clone())),
            task::spawn("journal", Arc::clone(&daemon.journal).run(parts.clone())),
            task::spawn("status writer", daemon.statuses.clone().run(client.clone(), parts.clone())),
            task::spawn("event writer", events.run(client.clone(), parts.clone())),
            task::spawn("source watcher", Arc::clone(&daemon.sources).run(parts.clone())),
        ];
        let mut serving = Vec::new();
        if let (Some(port), Some(tls)) = (options.port, &options.tls) {
            let port = http::serve::Port::bind((options.node_ip, port).into()).await?;
            let serve = port.serve(router.clone(), Arc::clone(tls), parts.clone());
            serving.push(task::spawn("kubelet port", serve));
        }
        let dial = dialler.map(|dialler| dial::run(dialler, options.node_name.clone(), router, parts));

        let (end_of_pods, ending) = shutdown.child();
        let presence = async {
            // A server that knows the node by its name gives it that name's connection: only once the name is ours.
            let dialled = || serving.extend(dial.map(|dial| task::spawn("tunnel", dial)));
            let presence = Box::pin(present(&registration, dialled, &ending)).await;
            // A node that may not join runs no pods.
            if presence.is_err() {
                end_of_pods.pull();
            }
            presence
        };
        let (presence, ()) = tokio::join!(presence, table.run(client, ending.clone()));

        end_of_parts.pull();
        for part in working {
            // A part that panicked has been told of; the others still end in order.
            part.await.ok();
        }
        drop(serving);
        Ok(presence?)
    }
}

/// Registers the node, says so by `registered`, and keeps it known until the end is asked for.
async fn present(
    registration: &Registration,
    registered: impl FnOnce(),
    shutdown: &Shutdown,
) -> Result<(), registration::Error> {
    let Some(done) = shutdown.or(Box::pin(registration.register())).await else { return Ok(()) };
    done?;
    registered();
    registration.announce();
    tokio::join!(registration.keep_status(shutdown.clone()), registration.keep_lease(shutdown.clone()));
    registration.say_goodbye().await;
    Ok(())
}
