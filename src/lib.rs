//! Minke: a Kubernetes whose workloads are WebAssembly, in one binary.
//!
//! # The house
//!
//! `src/` is the building. Every folder directly under it is a floor and a crate; this crate is the roof, which reads
//! arguments and environment once, wires the floors and starts them. Floors see only lower floors, and only by the edges
//! that their manifests list (`tests/tidy.rs` holds a second list against them).
//!
//! ```text
//!   roof         commands that start floors: up (all in one), server, node
//!   3  apiserver → store images api tunnel base      the Kubernetes API: who asks, verbs, watches, admission
//!      controllers scheduler → client api base       what keeps objects as they are declared, and pods on nodes
//!      kubelet → client runtime images network api tunnel base    the node daemon
//!      cli → client images api base                  commands that only speak to a server
//!   2  store → base       bytes under keys, a revision for each change, redb
//!      client → api base  how every component meets the API
//!      images → base      OCI artifacts: references, store, pull, push, inspection
//!      runtime → network base    the only place that knows wasmtime
//!   1  api → base         objects as pure values: the table, the schema, defaults, validation, patches
//!      network → base     addresses and ports as pure values
//!      tunnel → base      HTTP/2 with the roles turned round, over a connection that the other side dialled
//!   0  base               clock, tasks, queues, backoff, files, keys: what std lacks, no word of our domain
//! ```
//!
//! # A pod's way
//!
//! A POST is decoded against the schema, authorized, defaulted, admitted and validated in `apiserver`, committed in
//! `store` (many writers, one fsync), and shown by the watch cache; the scheduler binds it; the kubelet's worker for the
//! pod pulls its images, prepares its volumes and has `runtime` run it; its status goes back the same way. Deletion walks
//! it backwards.
//!
//! # What always holds
//!
//! 1. `api` and `network` do no IO and read no clock: the same input gives the same result everywhere.
//! 2. `store` knows no kind: bytes under keys, revisions out. Only `apiserver` touches it.
//! 3. Components do not call one another. They meet in objects (spec by the writer, status by the owner).
//! 4. `runtime` and `network` know no Kubernetes object: the kubelet translates.
//! 5. Only `runtime` names wasmtime's types; only the roof and `cli` read arguments and environment.
//! 6. Every reconcile is level-triggered and idempotent; decisions are pure functions of a snapshot.
//! 7. Every queue, cache, buffer and retry has a named bound; every wait has a deadline; time comes from tokio's clock.
//! 8. A trap, panic or busy loop in one pod ends or slows that pod, never the node and never a neighbour.
//!
//! # Reading order
//!
//! [`up`] shows how everything is put together: `control_plane` (store, API server, controllers, scheduler) and
//! `node_daemon` (runtime, images, kubelet); [`server`] and [`node`] start one of both, and `join` is how a node becomes
//! a cluster's. `arguments` and [`config_file`] read what people say. Then a floor at a time, from below: each `lib.rs`
//! says what the floor is for, what it must never do, and in which order to read it.

mod arguments;
pub mod config_file;
mod control_plane;
mod data_folder;
pub mod flag_values;
mod host;
mod join;
mod logging;
pub mod node;
mod node_daemon;
mod node_identity;
mod process_metrics;
pub mod server;
mod signals;
mod supervisor;
pub mod up;
mod welcome;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

pub use arguments::{Arguments, Command};

/// This version of Minke.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Reads the arguments and does what they say; the exit code is the process's.
#[must_use]
pub fn run() -> ExitCode {
    let mut given: Vec<OsString> = std::env::args_os().collect();
    if given.get(1).is_some_and(|verb| verb == node_daemon::COMPILE) {
        // A process that only compiles, within limits that leave no room for anything else.
        return match u8::try_from(runtime::compile_main(given.drain(2..))) {
            Ok(code) => ExitCode::from(code),
            Err(_) => ExitCode::FAILURE,
        };
    }
    let arguments = match config_file::extend(&Arguments::command(), given) {
        Ok(given) => Arguments::parse_from(given),
        Err(error) => return failed(&error),
    };
    process_metrics::start();
    logging::start(&arguments.logging);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&anyhow::Error::new(error).context("cannot start the threads that serve")),
    };
    match runtime.block_on(act(arguments.command)) {
        Ok(code) => code,
        Err(error) => failed(&error),
    }
}

async fn act(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Up(options) => Box::pin(up::run(*options)).await?,
        Command::Server(options) => Box::pin(server::run(*options)).await?,
        Command::Node(options) => Box::pin(node::run(*options)).await?,
        Command::Client(command) => return Box::pin(cli::run(command, home())).await,
        Command::Version(options) => {
            let own = format!("{VERSION} (Kubernetes API {})", apiserver::version::git_version(VERSION));
            return cli::version::run(options, &own, home(), &mut cli::terminal::Terminal::standard()).await;
        }
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Arguments::command(), "minke", &mut std::io::stdout());
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The kubeconfig of the cluster in the default data directory.
fn home() -> Option<PathBuf> {
    data_folder::choose(None).ok().map(|folder| folder.join("kubeconfig"))
}

/// Tells an error with its causes, for a person.
#[expect(clippy::print_stderr, reason = "the command's answer")]
fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("minke: {}", told(error));
    ExitCode::FAILURE
}

/// An error and its causes, each once; of an answer of the API server only what it says to people.
fn told(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let answer = cause.downcast_ref::<kube::Error>().and_then(|error| match error {
            kube::Error::Api(status) => Some(status.message.clone()),
            _ => None,
        });
        let is_last = answer.is_some();
        let cause = answer.unwrap_or_else(|| cause.to_string());
        if !text.ends_with(&cause) {
            text.push_str(if text.is_empty() { "" } else { ": " });
            text.push_str(&cause);
        }
        if is_last {
            break;
        }
    }
    text
}
