//! Compiling, in a process of its own.
//!
//! What a compiler takes of time and memory is up to the program that it compiles, and outside of what wasmtime
//! promises. So our own executable runs again as a compiler: with limits on address space, CPU time and file size set
//! by itself before it reads a byte, an empty environment, no input, and killed at its deadline. A dead compiler is an
//! error of that one program, and the memory that Cranelift wants is never the node's.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, setrlimit};
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;
use tokio::sync::Semaphore;

use crate::profiles::Profile;

/// Where programs are compiled.
#[derive(Clone, Debug)]
pub enum Compiler {
    /// In a child process: `program` with `args`, which must hand its further arguments to [`compile_main`].
    Child {
        /// The executable, usually our own.
        program: PathBuf,
        /// The arguments that make it call [`compile_main`].
        args: Vec<String>,
    },
    /// In this process, without limits: for tests and tools that trust their input.
    InProcess,
}

/// Bounds on one compilation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Wall clock time until the child is killed.
    pub(crate) deadline: Duration,
    /// Address space of the child, in bytes.
    pub(crate) memory_bytes: u64,
}

/// Why a program has no native code.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bytes are not WebAssembly, or use what we do not offer.
    #[error("invalid WebAssembly: {0}")]
    Invalid(String),
    /// The compiler was not done in time.
    #[error("not compiled within {} s", .0.as_secs())]
    TooSlow(Duration),
    /// The compiler died, most likely of its memory limit.
    #[error("the compiler ended with {status}, within its limit of {memory_bytes} bytes of memory: {text}")]
    Died {
        /// How it ended.
        status: ExitStatus,
        /// The limit that it had.
        memory_bytes: u64,
        /// The last it said.
        text: String,
    },
    /// The compiler could not be run, or its files not be read or written.
    #[error("cannot {verb} {}: {source}", path.display())]
    Io {
        /// What was tried.
        verb: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The task in this process came to no end.
    #[error("the compiler in this process: {0}")]
    InProcess(#[from] base::task::Ended),
}

/// Programs that are compiled at once; more wait. Each uses all processors for its functions, so two keep them busy
/// while one reads or writes, and the memory of all stays within twice the bound.
const COMPILERS_MAX: usize = 2;

/// Bytes of a compiler's complaint that are kept.
const COMPLAINT_BYTES_MAX: u64 = 4096;

/// The largest artifact, in bytes: some twenty times the largest program that we take in by default is not useful.
const ARTIFACT_BYTES_MAX: u64 = 2 << 30;

/// The child's exit code for a program that is invalid; any other failure is the compiler's own.
const INVALID: i32 = 3;

/// A compiler and how many may be at work.
#[derive(Debug)]
pub(crate) struct Compilers {
    compiler: Compiler,
    bounds: Bounds,
    free: Semaphore,
    /// Compilations that ended, and those of them that gave no code.
    ended: AtomicU64,
    failed: AtomicU64,
}

impl Compilers {
    pub(crate) fn new(compiler: Compiler, bounds: Bounds) -> Self {
        let (ended, failed) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { compiler, bounds, free: Semaphore::new(COMPILERS_MAX), ended, failed }
    }

    /// The bounds on each compilation.
    pub(crate) fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// Compilations that ended since the start, and those of them that gave no code.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.ended.load(Ordering::Relaxed), self.failed.load(Ordering::Relaxed))
    }

    /// Compiles the program at `wasm` for `profile` into the file `artifact`. Safe to drop: the child is killed.
    pub(crate) async fn compile(&self, wasm: &Path, artifact: &Path, profile: Profile) -> Result<(), Error> {
        // Never closed, so there is always a permit to wait for.
        let _permit = self.free.acquire().await.ok();
        let compiled = self.compile_now(wasm, artifact, profile).await;
        self.ended.fetch_add(1, Ordering::Relaxed);
        self.failed.fetch_add(u64::from(compiled.is_err()), Ordering::Relaxed);
        compiled
    }

    async fn compile_now(&self, wasm: &Path, artifact: &Path, profile: Profile) -> Result<(), Error> {
        match &self.compiler {
            Compiler::Child { program, args } => {
                let mut command = self.command(program, args);
                command.arg(profile.name()).arg(wasm).arg(artifact);
                self.run(command, program).await
            }
            Compiler::InProcess => {
                let (wasm, artifact) = (wasm.to_owned(), artifact.to_owned());
                base::task::blocking(move || compile(&wasm, &artifact, profile)).await?
            }
        }
    }

    fn command(&self, program: &Path, args: &[String]) -> Command {
        let mut command = Command::new(program);
        let cpu_seconds = self.bounds.deadline.as_secs().saturating_mul(processors()).max(1);
        command
            .args(args)
            .arg(self.bounds.memory_bytes.to_string())
            .arg(cpu_seconds.to_string())
            .env_clear()
            // glibc reserves 64 MiB of addresses a thread otherwise, which the limit on them would count.
            .env("MALLOC_ARENA_MAX", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    async fn run(&self, mut command: Command, program: &Path) -> Result<(), Error> {
        let at = |verb| move |source| Error::Io { verb, path: program.to_owned(), source };
        let mut child = command.spawn().map_err(at("start the compiler"))?;
        let stderr = child.stderr.take();
        let ending = async {
            let mut text = Vec::new();
            if let Some(stderr) = stderr {
                stderr.take(COMPLAINT_BYTES_MAX).read_to_end(&mut text).await?;
            }
            Ok((child.wait().await?, String::from_utf8_lossy(&text).trim().to_owned()))
        };
        let ended = tokio::time::timeout(self.bounds.deadline, ending).await;
        let (status, text) = ended.map_err(|_| Error::TooSlow(self.bounds.deadline))?.map_err(at("wait for"))?;
        match status.code() {
            Some(0) => Ok(()),
            Some(INVALID) => Err(Error::Invalid(text)),
            _ => Err(Error::Died { status, memory_bytes: self.bounds.memory_bytes, text }),
        }
    }
}

/// What the child process does: `MEMORY_BYTES CPU_SECONDS PROFILE WASM ARTIFACT`. Gives the process's exit code.
pub fn compile_main(args: impl IntoIterator<Item = OsString>) -> i32 {
    let args: Vec<OsString> = args.into_iter().collect();
    let (code, complaint) = match Child::parse(&args) {
        Some(child) => match child.run() {
            Ok(()) => return 0,
            Err(Error::Invalid(text)) => (INVALID, text),
            Err(error) => (1, error.to_string()),
        },
        None => (2, "usage: MEMORY_BYTES CPU_SECONDS request|dense|guarded|wasi-preview3 WASM ARTIFACT".into()),
    };
    // Whoever does not listen is not told.
    let _ = writeln!(std::io::stderr(), "{complaint}");
    code
}

/// The child's order.
struct Child<'a> {
    memory_bytes: u64,
    cpu_seconds: u64,
    profile: Profile,
    wasm: &'a Path,
    artifact: &'a Path,
}

impl<'a> Child<'a> {
    fn parse(args: &'a [OsString]) -> Option<Self> {
        let [memory, cpu, profile, wasm, artifact] = args else { return None };
        Some(Self {
            memory_bytes: memory.to_str()?.parse().ok()?,
            cpu_seconds: cpu.to_str()?.parse().ok()?,
            profile: Profile::named(profile.to_str()?)?,
            wasm: Path::new(wasm),
            artifact: Path::new(artifact),
        })
    }

    fn run(&self) -> Result<(), Error> {
        let limits = [
            (Resource::As, self.memory_bytes),
            (Resource::Cpu, self.cpu_seconds),
            (Resource::Fsize, ARTIFACT_BYTES_MAX),
        ];
        for (resource, limit) in limits {
            setrlimit(resource, Rlimit { current: Some(limit), maximum: Some(limit) }).map_err(|errno| Error::Io {
                verb: "limit",
                path: "this process".into(),
                source: errno.into(),
            })?;
        }
        compile(self.wasm, self.artifact, self.profile)
    }
}

fn compile(wasm: &Path, artifact: &Path, profile: Profile) -> Result<(), Error> {
    let invalid = |error: wasmtime::Error| {
        let mut text = format!("{error:#}");
        text.truncate(text.floor_char_boundary(usize::try_from(COMPLAINT_BYTES_MAX).unwrap_or(usize::MAX)));
        Error::Invalid(text)
    };
    let bytes = std::fs::read(wasm).map_err(|source| Error::Io { verb: "read", path: wasm.to_owned(), source })?;
    let engine = profile.compiler().map_err(invalid)?;
    let code =
        if is_component(&bytes) { engine.precompile_component(&bytes) } else { engine.precompile_module(&bytes) };
    let code = code.map_err(invalid)?;
    std::fs::write(artifact, code).map_err(|source| Error::Io { verb: "write", path: artifact.to_owned(), source })
}

/// Whether the bytes begin as a component's: magic, then version and layer.
fn is_component(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\0asm\x0d\0\x01\0")
}

fn processors() -> u64 {
    std::thread::available_parallelism().map_or(1, |count| u64::try_from(count.get()).unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_complete_or_refused() {
        let parsed = |line: &str| {
            let args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            Child::parse(&args).map(|child| (child.memory_bytes, child.cpu_seconds, child.profile))
        };
        assert_eq!(parsed("1000 60 dense a.wasm a.cwasm"), Some((1000, 60, Profile::Dense)));
        for line in ["", "1000 60 dense a.wasm", "x 60 dense a b", "1000 60 fast a b", "1000 60 dense a b c"] {
            assert_eq!(parsed(line), None, "{line}");
        }
    }
}
