//! The handle: engines, loaded code, guest threads.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use crate::code::cache::Cache;
use crate::code::compiler::{Bounds, Compiler, Compilers};
use crate::code::{Code, Inner, LoadError, Loader, cache};
use crate::mappings::{self, Mappings};
use crate::profiles::Profile;
use crate::sandbox::{self, Sandbox, SandboxSpec, StartError};
use crate::threads::{Threads, Ticker};

/// How a runtime is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder for compiled code, this runtime's alone.
    pub cache_dir: PathBuf,
    /// Bytes of compiled code to keep; beyond it the least recently used goes.
    pub cache_max_bytes: u64,
    /// Where programs are compiled.
    pub compiler: Compiler,
    /// How long compiling one program may take.
    pub compile_deadline: Duration,
    /// Address space for compiling one program, in bytes.
    pub compile_memory_bytes: u64,
    /// Threads that guests run on; as many as processors is right.
    pub threads: usize,
    /// Memory mappings for all guests and their code; beyond them, starts are refused.
    pub mappings_max: usize,
    /// Whether there is a [`Profile::Preview3`]: what wasmtime promises about hostile guests leaves WASI 0.3 out.
    pub preview3: bool,
}

/// The runtime; clones share it. Its threads end with the last clone and the last sandbox.
#[derive(Clone)]
pub struct Runtime {
    shared: Arc<Shared>,
}

struct Shared {
    loader: Arc<Loader>,
    threads: Arc<Threads>,
    loaded: Mutex<HashMap<String, Arc<Loaded>>>,
}

/// What a runtime has done and holds, beside its bounds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Metrics {
    /// Bytes of compiled code on disk.
    pub cache_bytes: u64,
    /// Their bound.
    pub cache_max_bytes: u64,
    /// Compilations that ended since the start.
    pub compilations: u64,
    /// Those of them that gave no code.
    pub failed_compilations: u64,
    /// The bound on the time of one.
    pub compile_deadline: Duration,
    /// The bound on the memory of one, in bytes.
    pub compile_memory_bytes: u64,
    /// Memory mappings that guests and their code have.
    pub mappings: usize,
    /// Their bound.
    pub mappings_max: usize,
}

/// The places of one program's code by profile: locked while it is being loaded, so that many pods load it once, and
/// profiles that share their native code compile it once.
type Loaded = tokio::sync::Mutex<HashMap<Profile, Weak<Inner>>>;

/// Why a runtime could not be started.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The code cache cannot be opened.
    #[error(transparent)]
    Cache(#[from] cache::Error),
    /// This processor or system cannot run guests.
    #[error("cannot make an engine: {0}")]
    Engine(String),
    /// Threads cannot be started.
    #[error("cannot start the guest threads: {0}")]
    Threads(std::io::Error),
}

impl Options {
    /// Options with the usual bounds: 4 GiB of code on disk, a minute and 1 GiB of memory for each compilation, a guest
    /// thread a processor, the mappings that the kernel gives this process less the host's share, no WASI 0.3.
    #[must_use]
    pub fn new(cache_dir: PathBuf, compiler: Compiler) -> Self {
        Self {
            cache_dir,
            cache_max_bytes: 4 << 30,
            compiler,
            compile_deadline: Duration::from_secs(60),
            compile_memory_bytes: 1 << 30,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            mappings_max: mappings::of_process(),
            preview3: false,
        }
    }
}

impl Runtime {
    /// Opens the code cache and starts the guest threads. Does file work and blocks; once a process is enough.
    ///
    /// # Errors
    /// When the cache's folder cannot be had, or the system refuses threads or addresses.
    pub fn start(options: Options) -> Result<Self, Error> {
        let cache = Cache::open(options.cache_dir, options.cache_max_bytes)?;
        let bounds = Bounds { deadline: options.compile_deadline, memory_bytes: options.compile_memory_bytes };
        let compilers = Compilers::new(options.compiler, bounds);
        let mappings = Mappings::new(options.mappings_max);
        let loader = Loader::new(cache, compilers, mappings, options.preview3);
        let loader = loader.map_err(|error| Error::Engine(format!("{error:#}")))?;
        let ticker = Ticker::start(loader.engines()).map_err(Error::Threads)?;
        let threads = Threads::start(options.threads, ticker).map_err(Error::Threads)?;
        let shared = Shared { loader: Arc::new(loader), threads: Arc::new(threads), loaded: Mutex::default() };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The code of the program in the file `wasm`, whose content has this `digest`: already loaded, from the cache,
    /// or compiled. Callers of the same program wait for one compiler. Safe to drop.
    ///
    /// # Errors
    /// See [`LoadError`]; each text is for the pod's author.
    pub async fn load(&self, wasm: &Path, digest: &str, profile: Profile) -> Result<Code, LoadError> {
        let place = self.place(digest);
        let mut loaded = place.lock().await;
        if let Some(inner) = loaded.get(&profile).and_then(Weak::upgrade) {
            return Ok(Code::from_inner(inner));
        }
        let code = self.shared.loader.load(wasm, digest, profile).await?;
        loaded.insert(profile, code.downgrade());
        Ok(code)
    }

    /// Starts a sandbox; the guest runs from now on.
    ///
    /// # Errors
    /// When its mounts cannot be opened, its strings not be handed over, or no mappings are left for it.
    pub fn start_sandbox(&self, code: &Code, spec: SandboxSpec) -> Result<Sandbox, StartError> {
        sandbox::start(&self.shared.threads, code, spec)
    }

    /// What the runtime has done and holds at this moment, beside its bounds.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.shared.loader.metrics()
    }

    /// The place of a program's code; those of programs that nobody holds or loads any more are forgotten.
    fn place(&self, digest: &str) -> Arc<Loaded> {
        let mut loaded = self.shared.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        loaded.retain(|_, place| {
            let in_use = Arc::strong_count(place) > 1;
            in_use || place.try_lock().is_ok_and(|codes| codes.values().any(|code| code.strong_count() > 0))
        });
        Arc::clone(loaded.entry(digest.to_owned()).or_default())
    }
}

impl std::fmt::Debug for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runtime").finish_non_exhaustive()
    }
}
