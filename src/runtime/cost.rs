//! What a fresh sandbox costs beside bare wasmtime, measured in one run on one machine.
//!
//! Both sides do the same work: a WASI 0.1 context, a store, an instance, `_start`, all torn down again. Bare wasmtime
//! does it in a loop on one thread; ours on one guest thread, with a few sandboxes waiting so that it is never idle.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base::clock::Instant;
use futures::StreamExt as _;
use wasmtime::{Linker, Module, Store};
use wasmtime_wasi::WasiCtxBuilder;
use wasmtime_wasi::p1::{self, WasiP1Ctx};

use crate::profiles::Profile;
use crate::runtime::Runtime;
use crate::sandbox::{Discard, Exit, HttpOptions, Limits, SandboxSpec};
use crate::threads::SLICE_TICKS;

/// Time for one start, run and end.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// On bare wasmtime.
    pub bare: Duration,
    /// As a sandbox, on a guest thread that has always a next one.
    pub sandbox: Duration,
    /// CPU time of the guest thread for it, without queue and wake-ups.
    pub cpu: Duration,
    /// As a sandbox, from the caller's start to the caller's hearing of the end, on idle threads.
    pub latency: Duration,
}

/// Why there is nothing to compare.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The program is not to be had.
    #[error(transparent)]
    Load(#[from] crate::LoadError),
    /// A sandbox was not started.
    #[error(transparent)]
    Start(#[from] crate::StartError),
    /// A sandbox did not end well.
    #[error("the measured program {0}")]
    Exit(Exit),
    /// Bare wasmtime does not run it.
    #[error("bare wasmtime: {0}")]
    Bare(String),
    /// The program cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Sandboxes that wait while one runs: enough that the thread never waits for the starter.
const WAITING: usize = 8;

/// Measures the WASI 0.1 module at `wasm`, `rounds` times each way after as many to warm up. A runtime with one guest
/// thread makes the comparison fair.
///
/// # Errors
/// When the program does not run to a good end.
pub async fn measure(runtime: &Runtime, wasm: &Path, profile: Profile, rounds: u32) -> Result<Cost, Error> {
    let code = runtime.load(wasm, &wasm.display().to_string(), profile).await?;
    let bare = Bare::new(wasm, profile)?;
    bare.run(rounds).await.map_err(bare_error)?;
    let started = Instant::now();
    bare.run(rounds).await.map_err(bare_error)?;
    let bare = started.elapsed() / rounds.max(1);

    let one = || async {
        let sandbox = runtime.start_sandbox(&code, spec())?;
        match sandbox.wait().await {
            Exit::Code(0) => Ok(sandbox.usage().cpu),
            other => Err(Error::Exit(other)),
        }
    };
    let mut times = [(Duration::ZERO, Duration::ZERO); 2];
    for (time, waiting) in times.iter_mut().zip([WAITING, 1]) {
        for _warm_then_measured in 0..2 {
            let mut cpu = Duration::ZERO;
            let started = Instant::now();
            let mut ends = futures::stream::iter((0..rounds).map(|_| one())).buffer_unordered(waiting);
            while let Some(end) = ends.next().await {
                cpu += end?;
            }
            *time = (started.elapsed() / rounds.max(1), cpu / rounds.max(1));
        }
    }
    let [(sandbox, cpu), (latency, _)] = times;
    Ok(Cost { bare, sandbox, cpu, latency })
}

/// The program as wasmtime alone runs it.
struct Bare {
    module: wasmtime::InstancePre<WasiP1Ctx>,
}

impl Bare {
    fn new(wasm: &Path, profile: Profile) -> Result<Self, Error> {
        let bytes = std::fs::read(wasm).map_err(|source| Error::Read { path: wasm.display().to_string(), source })?;
        let linked = || {
            let engine = profile.engine()?;
            let mut linker = Linker::new(&engine);
            p1::add_to_linker_async(&mut linker, |context: &mut WasiP1Ctx| context)?;
            linker.instantiate_pre(&Module::new(&engine, &bytes)?)
        };
        Ok(Self { module: linked().map_err(bare_error)? })
    }

    async fn run(&self, rounds: u32) -> wasmtime::Result<()> {
        for _ in 0..rounds {
            let mut store = Store::new(self.module.module().engine(), WasiCtxBuilder::new().arg("guest").build_p1());
            // Nothing ticks here, so the deadline is never reached.
            store.set_epoch_deadline(SLICE_TICKS);
            let instance = self.module.instantiate_async(&mut store).await?;
            instance.get_typed_func::<(), ()>(&mut store, "_start")?.call_async(&mut store, ()).await?;
        }
        Ok(())
    }
}

fn bare_error(error: wasmtime::Error) -> Error {
    Error::Bare(format!("{error:#}"))
}

fn spec() -> SandboxSpec {
    SandboxSpec {
        name: "cost".into(),
        args: vec!["guest".into()],
        env: Vec::new(),
        mounts: Vec::new(),
        working_dir: None,
        stdin: None,
        stdout: Arc::new(Discard),
        stderr: Arc::new(Discard),
        limits: Limits::default(),
        deadline: None,
        host_name: "host".into(),
        http: HttpOptions::default(),
    }
}
