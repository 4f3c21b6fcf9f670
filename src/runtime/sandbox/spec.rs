//! What a sandbox is to be, and the WASI context that each of its stores gets.

use std::os::fd::{AsFd as _, AsRawFd as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cap_std::fs::Dir;
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxBuilder};

use super::http::HttpOptions;
use super::limits::{Limits, RANDOM_BYTES_MAX};
use super::pipe::{OutputSink, Reader};
use super::stdio::{Input, Output};
use crate::mappings::NoMappings;

/// All that a sandbox is started with.
pub struct SandboxSpec {
    /// Whose it is, for log lines.
    pub name: String,
    /// Arguments, the program's name first.
    pub args: Vec<String>,
    /// Environment, each name once. `HOSTNAME` and `PWD` are added unless given.
    pub env: Vec<(String, String)>,
    /// Directories that the guest sees.
    pub mounts: Vec<Mount>,
    /// Absolute guest path that relative paths start from, if it lies in a mount.
    pub working_dir: Option<String>,
    /// Standard input; `None` is at its end from the start. Http sandboxes have none.
    pub stdin: Option<Reader>,
    /// Standard output.
    pub stdout: Arc<dyn OutputSink>,
    /// Standard error.
    pub stderr: Arc<dyn OutputSink>,
    /// What it may use.
    pub limits: Limits,
    /// How long it may run.
    pub deadline: Option<Duration>,
    /// The name that it is given as `HOSTNAME`.
    pub host_name: String,
    /// How an http component serves; ignored for commands.
    pub http: HttpOptions,
}

/// A directory that a guest sees.
#[derive(Debug)]
pub struct Mount {
    /// Where, as an absolute guest path.
    pub guest_path: String,
    /// What: an opened directory, so that nobody can exchange it after it was checked.
    pub dir: Dir,
    /// What the guest may do there.
    pub access: Access,
}

/// What a guest may do in a mount.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Access {
    /// Read and list.
    ReadOnly,
    /// Everything.
    ReadWrite,
}

/// Why a sandbox was not started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Arguments and environment are too large.
    #[error("arguments and environment of {0} bytes are larger than {STRINGS_BYTES_MAX}")]
    TooLarge(usize),
    /// A string holds a NUL byte, which no C program could read.
    #[error("{0:?} holds a NUL byte")]
    Nul(String),
    /// A mount could not be opened.
    #[error("cannot open the volume at {guest_path}: {text}")]
    Mount {
        /// Where it was to be seen.
        guest_path: String,
        /// What went wrong.
        text: String,
    },
    /// The working directory could not be opened.
    #[error("cannot open the working directory {path}: {source}")]
    WorkingDir {
        /// The guest path.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The process has no mappings left for it.
    #[error(transparent)]
    Mappings(#[from] NoMappings),
}

/// Bytes of arguments and environment together: what Linux gives a process by default.
const STRINGS_BYTES_MAX: usize = 2 << 20;

/// The part of a spec that each store of a sandbox needs.
pub(crate) struct Context {
    args: Vec<String>,
    env: Vec<(String, String)>,
    mounts: Vec<Mount>,
    /// The guest path of the working directory, and itself if it lies in a mount.
    working_dir: Option<(String, Option<Mount>)>,
    stdin: Input,
    stdout: Arc<dyn OutputSink>,
    stderr: Arc<dyn OutputSink>,
}

/// The output streams of one store, to be drained at its end.
pub(crate) struct Outputs {
    pub(crate) stdout: Output,
    pub(crate) stderr: Output,
}

impl Context {
    pub(crate) fn new(spec: &mut SandboxSpec) -> Result<Self, StartError> {
        let mounts = std::mem::take(&mut spec.mounts);
        let working_dir = match spec.working_dir.take() {
            Some(path) => Some((path.clone(), open_working_dir(&mounts, path)?)),
            None => None,
        };
        let mut env = std::mem::take(&mut spec.env);
        let given = |env: &[(String, String)], name: &str| env.iter().any(|(given, _)| given == name);
        if !given(&env, "HOSTNAME") {
            env.push(("HOSTNAME".into(), std::mem::take(&mut spec.host_name)));
        }
        if let Some((path, _)) = working_dir.as_ref().filter(|_| !given(&env, "PWD")) {
            env.push(("PWD".into(), path.clone()));
        }
        let context = Self {
            args: std::mem::take(&mut spec.args),
            env,
            mounts,
            working_dir,
            stdin: Input::new(spec.stdin.take()),
            stdout: Arc::clone(&spec.stdout),
            stderr: Arc::clone(&spec.stderr),
        };
        context.check_strings()?;
        Ok(context)
    }

    fn check_strings(&self) -> Result<(), StartError> {
        let strings = || self.args.iter().chain(self.env.iter().flat_map(|(name, value)| [name, value]));
        let bytes = strings().map(|text| text.len() + 1).sum();
        if bytes > STRINGS_BYTES_MAX {
            return Err(StartError::TooLarge(bytes));
        }
        match strings().find(|text| text.contains('\0')) {
            Some(text) => Err(StartError::Nul(text.clone())),
            None => Ok(()),
        }
    }

    /// A fresh WASI context and its output streams. Opens each mount once more: two system calls a mount, no disk.
    pub(crate) fn wasi(&self) -> Result<(WasiCtxBuilder, Outputs), StartError> {
        let outputs =
            Outputs { stdout: Output::new(Arc::clone(&self.stdout)), stderr: Output::new(Arc::clone(&self.stderr)) };
        let mut wasi = WasiCtx::builder();
        wasi.args(&self.args)
            .envs(&self.env)
            .stdin(self.stdin.clone())
            .stdout(outputs.stdout.clone())
            .stderr(outputs.stderr.clone())
            .max_random_size(RANDOM_BYTES_MAX)
            .allow_tcp(false)
            .allow_udp(false)
            .allow_ip_name_lookup(false);
        for mount in &self.mounts {
            preopen(&mut wasi, mount)?;
        }
        if let Some((path, opened)) = &self.working_dir {
            wasi.initial_cwd(path);
            if let Some(mount) = opened {
                preopen(&mut wasi, mount)?;
            }
        }
        Ok((wasi, outputs))
    }
}

impl Outputs {
    /// Waits until both sinks have everything, within a deadline.
    pub(crate) async fn drain(&self) {
        self.stdout.drain().await;
        self.stderr.drain().await;
    }
}

/// wasmtime takes directories by path alone. This path names our descriptor, not a place that could be exchanged.
fn preopen(wasi: &mut WasiCtxBuilder, mount: &Mount) -> Result<(), StartError> {
    let folder = if cfg!(target_os = "linux") { "/proc/self/fd" } else { "/dev/fd" };
    let path = PathBuf::from(folder).join(mount.dir.as_fd().as_raw_fd().to_string());
    let access = match mount.access {
        Access::ReadOnly => FsPerms::ReadOnly,
        Access::ReadWrite => FsPerms::ReadWrite,
    };
    match wasi.preopened_dir(&path, &mount.guest_path, access) {
        Ok(_) => Ok(()),
        Err(error) => Err(StartError::Mount { guest_path: mount.guest_path.clone(), text: format!("{error:#}") }),
    }
}

/// The working directory as a mount at `.`, which is where libc looks for relative paths. `None` when it lies in no
/// mount: then the guest has only its name.
fn open_working_dir(mounts: &[Mount], path: String) -> Result<Option<Mount>, StartError> {
    let inside = |mount: &Mount| beneath(&mount.guest_path, &path).map(str::to_owned);
    let within = mounts.iter().filter_map(|mount| Some((mount, inside(mount)?)));
    let Some((mount, rest)) = within.min_by_key(|(_, rest)| rest.len()) else { return Ok(None) };
    let opened = if rest.is_empty() { mount.dir.try_clone() } else { mount.dir.open_dir(rest) };
    let dir = opened.map_err(|source| StartError::WorkingDir { path, source })?;
    Ok(Some(Mount { guest_path: ".".into(), dir, access: mount.access }))
}

/// What remains of `path` beneath `folder`, if it is beneath it.
fn beneath<'a>(folder: &str, path: &'a str) -> Option<&'a str> {
    let rest = path.strip_prefix(folder.trim_end_matches('/'))?;
    match rest.strip_prefix('/') {
        Some(rest) => Some(rest.trim_matches('/')),
        None => rest.is_empty().then_some(""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_beneath_a_folder_only_by_whole_names() {
        for (folder, path, expected) in [
            ("/work", "/work", Some("")),
            ("/work", "/work/", Some("")),
            ("/work/", "/work/a/b/", Some("a/b")),
            ("/", "/a", Some("a")),
            ("/work", "/workshop", None),
            ("/work", "/", None),
        ] {
            assert_eq!(beneath(folder, path), expected, "{path} in {folder}");
        }
    }
}
