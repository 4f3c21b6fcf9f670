//! A runtime for tests, and guests in WebAssembly text.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use runtime::{
    Code, Compiler, Exit, HttpOptions, Limits, LoadError, Options, Profile, Reader, Runtime, Sandbox, SandboxSpec,
    StartError, Writer, pipe,
};
use tempfile::TempDir;

/// No test waits longer for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Bytes of output that a guest of a test may be ahead of its reader.
pub(crate) const OUTPUT_BYTES: usize = 64 << 10;

/// A runtime with a folder of its own, compiling in this process.
pub(crate) struct Bench {
    pub(crate) runtime: Runtime,
    pub(crate) folder: TempDir,
}

/// A started sandbox and its output.
pub(crate) struct Started {
    pub(crate) sandbox: Sandbox,
    pub(crate) stdout: Reader,
    pub(crate) stderr: Reader,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with_threads(threads: usize) -> Self {
        Self::with(|options| options.threads = threads)
    }

    /// A runtime that has WASI 0.3.
    pub(crate) fn with_preview3() -> Self {
        Self::with(|options| options.preview3 = true)
    }

    /// A runtime with few mappings for guests.
    pub(crate) fn with_mappings(max: usize) -> Self {
        Self::with(|options| options.mappings_max = max)
    }

    fn with(change: impl FnOnce(&mut Options)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut options = Options::new(folder.path().join("code"), Compiler::InProcess);
        options.threads = 2;
        change(&mut options);
        Self { runtime: Runtime::start(options).unwrap(), folder }
    }

    /// Loads a program given as text.
    pub(crate) async fn try_load(&self, text: &str, profile: Profile) -> Result<Code, LoadError> {
        let bytes = wat::parse_str(text).unwrap();
        let path = self.folder.path().join("program.wasm");
        std::fs::write(&path, &bytes).unwrap();
        self.runtime.load(&path, text, profile).await
    }

    /// Loads one of the programs of `workloads/`, which the test command builds.
    pub(crate) async fn guest(&self, name: &str) -> Code {
        self.guest_in(name, Profile::Dense).await
    }

    /// The same in another profile.
    pub(crate) async fn guest_in(&self, name: &str, profile: Profile) -> Code {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/guests").join(format!("{name}.wasm"));
        let loaded = self.runtime.load(&path, name, profile).await;
        loaded.unwrap_or_else(|error| panic!("{error}; `cargo xtask guests` builds the guests"))
    }

    /// An empty folder for a volume.
    pub(crate) fn volume(&self, name: &str) -> Dir {
        let path = self.folder.path().join(name);
        std::fs::create_dir(&path).unwrap();
        Dir::open_ambient_dir(path, ambient_authority()).unwrap()
    }

    pub(crate) async fn load(&self, text: &str) -> Code {
        self.try_load(text, Profile::Dense).await.unwrap()
    }

    /// Starts `code` with what `change` makes of an ordinary spec.
    pub(crate) fn start(&self, code: &Code, change: impl FnOnce(&mut SandboxSpec)) -> Started {
        self.try_start(code, change).unwrap()
    }

    pub(crate) fn try_start(&self, code: &Code, change: impl FnOnce(&mut SandboxSpec)) -> Result<Started, StartError> {
        let (spec_stdout, stdout) = pipe(OUTPUT_BYTES);
        let (spec_stderr, stderr) = pipe(OUTPUT_BYTES);
        let mut spec = spec(spec_stdout, spec_stderr);
        change(&mut spec);
        Ok(Started { sandbox: self.runtime.start_sandbox(code, spec)?, stdout, stderr })
    }

    /// Runs a program given as text to its end.
    pub(crate) async fn run(&self, text: &str, change: impl FnOnce(&mut SandboxSpec)) -> (Exit, String) {
        let code = self.load(text).await;
        self.start(&code, change).finish().await
    }
}

impl Started {
    /// Waits for the end.
    pub(crate) async fn ends(&self) -> Exit {
        tokio::time::timeout(PATIENCE, self.sandbox.wait()).await.expect("the sandbox did not end")
    }

    /// Reads all output and waits for the end.
    pub(crate) async fn finish(self) -> (Exit, String) {
        let finished = async {
            let ((), output) = tokio::join!(async { drop(text(&self.stderr).await) }, text(&self.stdout));
            (self.sandbox.wait().await, output)
        };
        tokio::time::timeout(PATIENCE, finished).await.expect("the sandbox did not end")
    }
}

/// Arguments, the program's name first.
pub(crate) fn args(args: &[&str]) -> Vec<String> {
    std::iter::once(&"guest").chain(args).map(|arg| (*arg).to_owned()).collect()
}

/// All that comes out of a pipe.
pub(crate) async fn text(reader: &Reader) -> String {
    let mut text = Vec::new();
    while let Some(chunk) = reader.next().await {
        text.extend_from_slice(&chunk);
    }
    String::from_utf8(text).unwrap()
}

fn spec(stdout: Writer, stderr: Writer) -> SandboxSpec {
    SandboxSpec {
        name: "test".into(),
        args: vec!["guest".into()],
        env: Vec::new(),
        mounts: Vec::new(),
        working_dir: None,
        stdin: None,
        stdout: Arc::new(stdout),
        stderr: Arc::new(stderr),
        limits: Limits::default(),
        deadline: None,
        host_name: "host".into(),
        http: HttpOptions::default(),
    }
}

/// A WASI 0.1 module whose `_start` is `body`. It may `(call $print (i32.const PTR) (i32.const LEN))` what `data`
/// holds, and `(call $exit (i32.const CODE))`.
pub(crate) fn module(data: &str, body: &str) -> String {
    format!(
        r#"(module
            (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
            (memory (export "memory") 2)
            (data (i32.const 100) "{data}")
            (func $print (param $at i32) (param $len i32)
                (i32.store (i32.const 0) (local.get $at))
                (i32.store (i32.const 4) (local.get $len))
                (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))
            (func $main (export "_start") {body}))"#
    )
}

/// Prints a greeting.
pub(crate) fn hello() -> String {
    module("hello\\n", "(call $print (i32.const 100) (i32.const 6))")
}

/// Never ends, never calls the host.
pub(crate) fn spin() -> String {
    module("", "(loop $again (br $again))")
}
