//! One running guest: started, watched, ended.
//!
//! ```text
//!   start_sandbox ──▶ running ──▶ ended by itself ─────┐
//!                        │                             ├──▶ last output drained ──▶ Exit told to all who wait
//!                        ├─ deadline ──▶ Deadline ─────┘                             ▲
//!                        └─ kill, or last handle dropped ──▶ Killed ─────────────────┘
//! ```

mod exit;
mod http;
mod limits;
mod pipe;
mod spec;
pub(crate) mod state;
mod stdio;

use std::sync::Arc;
use std::time::Duration;

use base::shutdown::{self, Shutdown, Trigger};
use jiff::Timestamp;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use wasmtime::component::Accessor;

pub use exit::{Exit, TRAP_TEXT_MAX};
pub use http::{CONNECTIONS_MAX, HttpOptions};
pub(crate) use limits::{INSTANCES_MAX, TABLE_ELEMENTS_MAX};
pub use limits::{Limits, MEMORY_MAX};
pub use pipe::{Discard, OutputSink, Reader, Writer, pipe};
pub use spec::{Access, Mount, SandboxSpec, StartError};

use crate::code::{Code, Kind, Program};
use crate::mappings::StoreMappings;
use crate::threads::{Account, Afterwards, Threads};
use limits::{Denied, Limiter, Memory};
use spec::{Context, Outputs};
use state::ComponentState;

/// A running or ended sandbox; clones are the same one. When the last is dropped, the guest is killed.
#[derive(Clone)]
pub struct Sandbox {
    shared: Arc<Shared>,
}

struct Shared {
    kind: Kind,
    started_at: Timestamp,
    memory: Arc<Memory>,
    account: Arc<Account>,
    exit: watch::Receiver<Option<Exit>>,
    kill: Trigger,
    terminate: Trigger,
    threads: Arc<Threads>,
    server: Option<Arc<http::Server>>,
}

/// What a sandbox has used and uses.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Usage {
    /// CPU time since the start.
    pub cpu: Duration,
    /// Bytes of memories and tables now.
    pub memory_bytes: u64,
    /// The most bytes at any time.
    pub memory_peak_bytes: u64,
}

/// How a sandbox is asked to end, as its tasks hear it.
struct Ends {
    kill: Shutdown,
    terminate: Shutdown,
    deadline: Option<Duration>,
}

/// Starts a sandbox on `threads`. Opens its mounts and returns; the guest starts on its own thread.
pub(crate) fn start(threads: &Arc<Threads>, code: &Code, mut spec: SandboxSpec) -> Result<Sandbox, StartError> {
    let name: Arc<str> = std::mem::take(&mut spec.name).into();
    let memory = Memory::new(&spec.limits);
    let account = Account::new(spec.limits.cpu_request, spec.limits.cpu_limit, base::clock::Instant::now());
    let account = Arc::new(account);
    let (kill, killed) = shutdown::channel();
    let (terminate, terminated) = shutdown::channel();
    let (told, exit) = watch::channel(None);
    let ends = Ends { kill: killed, terminate: terminated, deadline: spec.deadline };
    let context = Context::new(&mut spec)?;

    let server = if code.kind() == Kind::Http {
        let guest = http::Guest { code: code.clone(), context, memory: Arc::clone(&memory) };
        let server = http::Server::new(Arc::clone(&name), guest, Arc::clone(threads), Arc::clone(&account), spec.http);
        let server = Arc::new(server);
        let supervised = Arc::clone(&server);
        threads.spawn(name, Arc::clone(&account), async move {
            let exit = supervised.run(ends).await;
            tell(told, exit)
        });
        Some(server)
    } else {
        let (wasi, outputs) = context.wasi()?;
        // Large, and moved from future into future: boxed it is there once.
        let mappings = Some(code.map_store()?);
        let command = Command { code: code.clone(), wasi, outputs, memory: Arc::clone(&memory), mappings };
        let command = Box::new(command);
        threads.spawn(name, Arc::clone(&account), async move {
            let exit = command.run(ends).await;
            tell(told, exit)
        });
        None
    };
    let started_at = base::clock::now();
    let threads = Arc::clone(threads);
    let shared = Shared { kind: code.kind(), started_at, memory, account, exit, kill, terminate, threads, server };
    Ok(Sandbox { shared: Arc::new(shared) })
}

/// Tells the end to all who wait, once the guest is gone.
fn tell(told: watch::Sender<Option<Exit>>, exit: Exit) -> Afterwards {
    Box::new(move || {
        told.send_replace(Some(exit));
    })
}

impl Sandbox {
    /// Waits for the end and tells it, as often as it is asked. Safe to drop.
    pub async fn wait(&self) -> Exit {
        let mut exit = self.shared.exit.clone();
        let told = exit.wait_for(Option::is_some).await.ok().and_then(|exit| exit.clone());
        // Without a word, the guest's task was dropped: by a panic of the host, or with the runtime itself.
        told.unwrap_or_else(|| Exit::Trap("the host ended the guest because of an error of its own".into()))
    }

    /// The end, if it has come.
    #[must_use]
    pub fn exit(&self) -> Option<Exit> {
        self.shared.exit.borrow().clone()
    }

    /// Asks the guest to end in its own time. An http sandbox takes no new connection and ends when the open ones
    /// are done. Commands cannot hear it yet ([`Sandbox::hears_termination`]); they go on until killed.
    pub fn request_termination(&self) {
        self.shared.terminate.pull();
    }

    /// Whether [`Sandbox::request_termination`] changes anything. For a guest that cannot hear, there is nothing to
    /// wait for.
    #[must_use]
    pub fn hears_termination(&self) -> bool {
        self.shared.kind == Kind::Http
    }

    /// Ends the guest at once, wherever it is; at the latest when its slice of 2 ms is over.
    pub fn kill(&self) {
        self.shared.kill();
    }

    /// What it uses.
    #[must_use]
    pub fn usage(&self) -> Usage {
        Usage {
            cpu: self.shared.account.used(),
            memory_bytes: self.shared.memory.used(),
            memory_peak_bytes: self.shared.memory.peak(),
        }
    }

    /// When it was started.
    #[must_use]
    pub fn started_at(&self) -> Timestamp {
        self.shared.started_at
    }

    /// What runs in it.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.shared.kind
    }

    /// Serves HTTP/1.1 on a connection until the client or the sandbox ends it. Closes it at once when this is not an
    /// http component, when it is ending, or when it has [`CONNECTIONS_MAX`] already. Dropping the future
    /// closes the connection; requests that have reached a guest run on until their deadline.
    pub async fn serve_connection(&self, io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        if let Some(server) = &self.shared.server {
            server.serve(io).await;
        }
    }
}

impl Shared {
    fn kill(&self) {
        self.kill.pull();
        // A guest in debt of CPU time would hear it only when the debt is paid.
        self.threads.release(&self.account);
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if self.exit.borrow().is_none() {
            self.kill();
        }
    }
}

/// A guest that runs once.
struct Command {
    code: Code,
    wasi: wasmtime_wasi::WasiCtxBuilder,
    outputs: Outputs,
    memory: Arc<Memory>,
    /// Taken when it starts, for it may find no slot of the pool.
    mappings: Option<StoreMappings>,
}

impl Command {
    async fn run(mut self: Box<Self>, ends: Ends) -> Exit {
        let Self { code, wasi, outputs, memory, mappings } = &mut *self;
        let denied = Denied::default();
        let (program, slot) = code.program();
        let mappings = mappings.take().filter(|_| slot.is_none());
        let limiter = Limiter::new(Arc::clone(memory), denied.clone(), mappings);
        let call = call(program, wasi, limiter);
        let exit = tokio::select! {
            biased;
            () = ends.kill.requested() => return Exit::Killed,
            () = after(ends.deadline) => Exit::Deadline,
            outcome = call => Exit::of(outcome, &denied, memory.max()),
        };
        // The guest is gone, so another may have its place while its output reaches the disk.
        drop(slot);
        // Whoever kills it now does not want to wait for the log.
        let _drained = ends.kill.or(outputs.drain()).await;
        exit
    }
}

/// Instantiates and calls a command.
async fn call(program: &Program, wasi: &mut wasmtime_wasi::WasiCtxBuilder, limiter: Limiter) -> wasmtime::Result<()> {
    match program {
        Program::Module(pre) => {
            let mut store = state::module_store(pre.module().engine(), wasi, limiter);
            let instance = pre.instantiate_async(&mut store).await?;
            let start = instance.get_typed_func::<(), ()>(&mut store, "_start")?;
            start.call_async(&mut store, ()).await
        }
        Program::Command(pre) => {
            let mut store = state::component_store(pre.engine(), wasi, limiter);
            let command = pre.instantiate_async(&mut store).await?;
            let outcome = command.wasi_cli_run().call_run(&mut store).await?;
            outcome.map_err(|()| wasmtime_wasi::I32Exit(1).into())
        }
        Program::Command3(pre) => {
            let mut store = state::component_store(pre.engine(), wasi, limiter);
            let command = pre.instantiate_async(&mut store).await?;
            let run = async |guest: &Accessor<ComponentState>| {
                let outcome = command.wasi_cli_run().call_run(guest).await;
                // What the guest began and did not wait for, such as its last output, is a part of it.
                std::future::poll_fn(|cx| guest.poll_no_interesting_tasks(cx)).await;
                outcome
            };
            store.run_concurrent(run).await??.map_err(|()| wasmtime_wasi::I32Exit(1).into())
        }
        Program::Http(_) | Program::Http3(_) => Err(wasmtime::format_err!("an http component is not a command")),
    }
}

/// Completes after `limit`, or never.
async fn after(limit: Option<Duration>) {
    match limit {
        Some(limit) => tokio::time::sleep(limit).await,
        None => std::future::pending().await,
    }
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sandbox").field("kind", &self.shared.kind).field("exit", &self.exit()).finish_non_exhaustive()
    }
}
