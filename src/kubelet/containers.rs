//! One run of a container: from its spec to a sandbox, to its end.
//!
//! Reading order: [`run`] is the whole life; [`Running`] is what others hold of it meanwhile; [`crate::exit`] says
//! what its end means.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base::clock;
use jiff::Timestamp;
use k8s_openapi::api::core::v1 as core;
use runtime::{Access, Exit, HttpOptions, Kind, Limits, Sandbox, SandboxSpec};
use tokio::sync::Notify;

use crate::code::{self, Handler};
use crate::daemon::Daemon;
use crate::env::{self, Environment};
use crate::exit::{self, Span};
use crate::host_ports::{self, Listeners};
use crate::logs::line::Stream;
use crate::logs::{self, Run, reader};
use crate::output::Sink;
use crate::pods::mailbox::{Fact, Mailbox};
use crate::pods::state::{Present, Slot, Terminated, Verdict, spec_at};
use crate::pods::steps;
use crate::volumes::mounts::{self, Mount};
use crate::{objects, reasons, resources};

/// How long a killed sandbox may take to say its last word, before it counts as ended without one.
const KILL_DEADLINE: Duration = Duration::from_secs(10);

/// How long a container's end waits for its last lines to reach the disk.
const LOG_DEADLINE: Duration = Duration::from_secs(5);

/// Bytes of a client's input that wait for the guest.
const STDIN_BYTES_MAX: usize = 64 << 10;

/// What `FallbackToLogsOnError` takes of a log, as upstream: at most so many lines and bytes.
const FALLBACK_LINES: u64 = 80;
const FALLBACK_BYTES: usize = 2048;

/// What is to be run.
#[derive(Clone, Debug)]
pub(crate) struct Start {
    /// The pod.
    pub(crate) pod: Arc<core::Pod>,
    /// Which of its containers.
    pub(crate) slot: Slot,
    /// How many runs came before.
    pub(crate) run: u32,
    /// Its image.
    pub(crate) image: Arc<Present>,
    /// The pod's address.
    pub(crate) address: Option<IpAddr>,
    /// What its pod's RuntimeClass names.
    pub(crate) handler: Handler,
}

/// A container that runs; clones are the same one. It ends by itself, or when it is killed.
#[derive(Clone, Debug)]
pub(crate) struct Running {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    sandbox: Sandbox,
    since: Timestamp,
    /// Whether it was ended by force, and who waits for that.
    is_killed: AtomicBool,
    killed: Notify,
    /// A client's input, as long as the guest may read more.
    stdin: Mutex<Option<runtime::Writer>>,
    /// The guest's input ends with the first client.
    is_stdin_once: bool,
}

/// What a container's end needs to know of it. It does not hold the pod: of that there is a newer one by then.
struct Ending {
    run: Run,
    /// A failure without a message of its own is told by the log's last lines.
    falls_back_to_log: bool,
}

/// Runs a container to its end, and tells the pod's worker of its start and of its end.
pub(crate) async fn run(daemon: Arc<Daemon>, start: Start, mailbox: Arc<Mailbox>) {
    let slot = start.slot;
    // What a start needs is large and short-lived; boxed, it does not stay with a container that idles for days.
    let (running, listeners) = match Box::pin(begin(&daemon, &start)).await {
        Ok(running) => running,
        Err(verdict) => {
            let name = spec_at(&start.pod, slot).map(|spec| spec.name.as_str());
            let message = format!("Error: {}", verdict.message);
            daemon.events.warning(&start.pod, name, reasons::event::FAILED, message);
            daemon.logs.close(&log_run(&start));
            mailbox.tell(Fact::Started(slot, Err(verdict)));
            return;
        }
    };
    let ending = Ending::of(&start);
    drop(start);
    mailbox.tell(Fact::Started(slot, Ok(running.clone())));
    let exit = running.ended().await;
    drop(listeners);
    let terminated = Box::pin(end(&daemon, ending, &exit, &running)).await;
    mailbox.tell(Fact::Exited(slot, terminated));
}

impl Ending {
    fn of(start: &Start) -> Self {
        let policy = spec_at(&start.pod, start.slot).and_then(|spec| spec.termination_message_policy.as_deref());
        Self { run: log_run(start), falls_back_to_log: policy == Some("FallbackToLogsOnError") }
    }
}

impl Running {
    /// When it began.
    pub(crate) fn since(&self) -> Timestamp {
        self.shared.since
    }

    /// Asks the guest to end. One that cannot hear ends at once, as a process does that does not handle SIGTERM.
    pub(crate) fn request_termination(&self) {
        if self.shared.sandbox.hears_termination() {
            self.shared.sandbox.request_termination();
        } else {
            self.end_sandbox();
        }
    }

    /// Ends the guest by force.
    pub(crate) fn kill(&self) {
        self.shared.is_killed.store(true, Ordering::Release);
        self.end_sandbox();
    }

    fn end_sandbox(&self) {
        self.shared.sandbox.kill();
        self.shared.killed.notify_one();
    }

    /// Hands a client's input to the guest, waiting for room; what nobody reads is dropped.
    pub(crate) async fn write_stdin(&self, bytes: &[u8]) {
        let writer = self.stdin().clone();
        if let Some(writer) = writer {
            writer.write_all(bytes).await;
        }
    }

    /// Ends the guest's input.
    pub(crate) fn close_stdin(&self) {
        self.stdin().take();
    }

    /// A client that had the input has gone; with `stdinOnce` nobody comes after it.
    pub(crate) fn detached(&self) {
        if self.shared.is_stdin_once {
            self.close_stdin();
        }
    }

    async fn ended(&self) -> Exit {
        let overdue = async {
            self.shared.killed.notified().await;
            tokio::time::sleep(KILL_DEADLINE).await;
        };
        tokio::select! {
            exit = self.shared.sandbox.wait() => exit,
            () = overdue => {
                tracing::error!("a killed sandbox did not end in time and is left to itself");
                Exit::Killed
            }
        }
    }

    fn stdin(&self) -> std::sync::MutexGuard<'_, Option<runtime::Writer>> {
        self.shared.stdin.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn begin(daemon: &Arc<Daemon>, start: &Start) -> Result<(Running, Listeners), Verdict> {
    let pod = &start.pod;
    let spec = spec_at(pod, start.slot).ok_or_else(|| config_error("the pod has no such container"))?;
    let environment = environment(daemon, start, spec).await?;
    let mounts = mounts(daemon, start, spec, &environment).await?;
    let code = code::load(&daemon.runtime, &start.image.path, &start.image.digest, pod, start.handler).await;
    let code = code.map_err(|error| verdict(reasons::CREATE_CONTAINER_ERROR, &error))?;
    daemon.events.normal(pod, Some(&spec.name), reasons::event::CREATED, "Container created".to_owned());

    let log = daemon.logs.open(log_run(start));
    let (writer, reader) = (spec.stdin == Some(true)).then(|| runtime::pipe(STDIN_BYTES_MAX)).unzip();
    let sandbox = SandboxSpec {
        name: format!("{}/{}", crate::text::pod(pod), spec.name),
        args: env::arguments(spec, &start.image.config, &start.image.name, &environment),
        env: environment.variables,
        mounts: mounts.into_iter().map(to_runtime).collect(),
        working_dir: working_dir(spec, &start.image),
        stdin: reader,
        stdout: Arc::new(Sink::new(log.clone(), Stream::Stdout)),
        stderr: Arc::new(Sink::new(log, Stream::Stderr)),
        limits: limits(spec),
        deadline: None,
        host_name: host_name(pod),
        http: HttpOptions::default(),
    };
    let kind = code.kind();
    let sandbox = daemon.runtime.start_sandbox(&code, sandbox);
    let sandbox = sandbox.map_err(|error| verdict(reasons::RUN_CONTAINER_ERROR, &error))?;
    let listeners = match kind {
        Kind::Http => host_ports::listen(spec, daemon.options.node_ip, &sandbox).await,
        Kind::Module | Kind::Command => Ok(Listeners::default()),
    };
    let listeners = listeners.map_err(|error| {
        sandbox.kill();
        verdict(reasons::RUN_CONTAINER_ERROR, &error)
    })?;
    daemon.events.normal(pod, Some(&spec.name), reasons::event::STARTED, "Container started".to_owned());
    let shared = Shared {
        sandbox,
        since: clock::now_seconds(),
        is_killed: AtomicBool::new(false),
        killed: Notify::new(),
        stdin: Mutex::new(writer),
        is_stdin_once: spec.stdin_once == Some(true),
    };
    Ok((Running { shared: Arc::new(shared) }, listeners))
}

async fn environment(daemon: &Daemon, start: &Start, spec: &core::Container) -> Result<Environment, Verdict> {
    let pod = &start.pod;
    let references = objects::of_environment(spec);
    let objects = daemon.sources.fetch(pod, references, std::collections::BTreeSet::new()).await;
    let objects = objects.map_err(|error| config_error(&error.to_string()))?;
    let facts = daemon.facts(pod, start.address);
    let environment = env::environment(&facts, spec, &start.image.config, &objects);
    let environment = environment.map_err(|error| config_error(&error.to_string()))?;
    if !environment.skipped.is_empty() {
        let message = format!(
            "Keys [{}] from the EnvFrom sources were skipped since they are considered invalid environment variable names.",
            environment.skipped.join(", ")
        );
        daemon.events.warning(pod, Some(&spec.name), reasons::event::INVALID_ENVIRONMENT_VARIABLE_NAMES, message);
    }
    Ok(environment)
}

/// Opens the container's folders, makes the one of its logs and drops the logs of runs that nobody can ask for.
async fn mounts(
    daemon: &Arc<Daemon>,
    start: &Start,
    spec: &core::Container,
    environment: &Environment,
) -> Result<Vec<Mount>, Verdict> {
    let (pods, pod, run) = (Arc::clone(&daemon.pods_dir), Arc::clone(&start.pod), log_run(start));
    let (spec, environment) = (spec.clone(), environment.clone());
    let keep_from = run.run.saturating_sub(daemon.options.log_limits.dead_runs);
    let work = move || {
        let failed = |error: std::io::Error| verdict(reasons::CREATE_CONTAINER_ERROR, &error);
        let pod_dir = steps::open_folder(&pods, &run.uid).map_err(failed)?;
        pods.create_dir_all(run.folder()).map_err(failed)?;
        logs::remove_runs_before(&pods, &run, keep_from).map_err(failed)?;
        mounts::mounts(&pod_dir, &pod, &spec, &environment).map_err(|error| config_error(&error.to_string()))
    };
    base::task::blocking(work).await.map_err(|error| verdict(reasons::CREATE_CONTAINER_ERROR, &error))?
}

async fn end(daemon: &Arc<Daemon>, ending: Ending, exit: &Exit, running: &Running) -> Terminated {
    let Ending { run, falls_back_to_log } = ending;
    let log = daemon.logs.find(&run);
    if let (Some(log), Exit::Trap(text)) = (&log, exit) {
        // `kubectl logs --previous` is where people look first.
        log.write(Stream::Stderr, text.trim_end().as_bytes());
        log.write(Stream::Stderr, b"\n");
    }
    daemon.logs.close(&run);
    if let Some(log) = log
        && tokio::time::timeout(LOG_DEADLINE, log.complete()).await.is_err()
    {
        tracing::warn!(uid = %run.uid, container = %run.container, "the last lines of a log are still not on disk");
    }
    let span = Span { started_at: running.since(), finished_at: clock::now_seconds(), run: run.run };
    let mut terminated = exit::terminated(exit, running.shared.is_killed.load(Ordering::Acquire), span);
    if terminated.message.is_none() && terminated.exit_code != 0 && falls_back_to_log {
        let pods = Arc::clone(&daemon.pods_dir);
        let tail = move || reader::tail(&pods, run, FALLBACK_LINES, FALLBACK_BYTES);
        terminated.message = match base::task::blocking(tail).await {
            Ok(Ok(text)) => Some(text).filter(|text| !text.is_empty()),
            Ok(Err(error)) => Some(format!("the log cannot be read: {error}")),
            Err(error) => Some(format!("the log cannot be read: {error}")),
        };
    }
    terminated
}

fn limits(spec: &core::Container) -> Limits {
    let declared = spec.resources.as_ref();
    let limits = declared.and_then(|resources| resources.limits.as_ref());
    let requests = declared.and_then(|resources| resources.requests.as_ref());
    let milli = |amount: i64| u32::try_from(amount.max(0)).unwrap_or(u32::MAX);
    Limits {
        memory_bytes: resources::memory_bytes(limits).and_then(|bytes| u64::try_from(bytes).ok()),
        cpu_limit: resources::cpu_milli(limits).filter(|limit| *limit > 0).map(milli),
        cpu_request: resources::cpu_milli(requests).map_or(0, milli),
    }
}

fn working_dir(spec: &core::Container, image: &Present) -> Option<String> {
    let declared = spec.working_dir.as_ref().filter(|dir| !dir.is_empty());
    let own = Some(&image.config.working_dir).filter(|dir| !dir.is_empty() && *dir != "/");
    declared.or(own).cloned()
}

fn host_name(pod: &core::Pod) -> String {
    let declared = pod.spec.as_ref().and_then(|spec| spec.hostname.clone()).filter(|name| !name.is_empty());
    declared.or_else(|| pod.metadata.name.clone()).unwrap_or_default()
}

fn to_runtime(mount: Mount) -> runtime::Mount {
    let access = if mount.is_read_only { Access::ReadOnly } else { Access::ReadWrite };
    runtime::Mount { guest_path: mount.guest_path, dir: mount.dir, access }
}

fn log_run(start: &Start) -> Run {
    Run {
        uid: start.pod.metadata.uid.clone().unwrap_or_default(),
        container: spec_at(&start.pod, start.slot).map(|spec| spec.name.clone()).unwrap_or_default(),
        run: start.run,
    }
}

fn config_error(message: &str) -> Verdict {
    Verdict { reason: reasons::CREATE_CONTAINER_CONFIG_ERROR.to_owned(), message: message.to_owned() }
}

fn verdict(reason: &str, error: &dyn std::error::Error) -> Verdict {
    Verdict { reason: reason.to_owned(), message: error.to_string() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn limits_are_what_the_container_declares() {
        for (resources, expected) in [
            (json!({}), Limits::default()),
            (
                json!({"limits": {"cpu": "250m", "memory": "1Mi"}, "requests": {"cpu": "0.1"}}),
                Limits { memory_bytes: Some(1 << 20), cpu_limit: Some(250), cpu_request: 100 },
            ),
            (json!({"limits": {"cpu": "0"}}), Limits::default()),
        ] {
            let spec: core::Container = serde_json::from_value(json!({"name": "c", "resources": resources})).unwrap();
            assert_eq!(limits(&spec), expected, "{resources}");
        }
    }
}
