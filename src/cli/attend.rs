//! Stays with a pod until its program is over: says why it waits, passes on what it prints, and gives its code.

use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use futures::{AsyncReadExt as _, StreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::LogParams;
use kube::runtime::watcher;

use crate::connect::Connection;
use crate::stage::Stage;
use crate::terminal::Terminal;

/// Bytes of output that are read at once.
pub(crate) const CHUNK_BYTES: usize = 16 << 10;

/// How much of a log is wanted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Log {
    /// What is there at this moment.
    SoFar,
    /// All of it, until the program is over.
    ToItsEnd,
}

/// A pod that is attended to.
#[derive(Clone, Copy)]
pub(crate) struct Attended<'a> {
    /// The server that has it.
    pub connection: &'a Connection,
    /// Its name.
    pub name: &'a str,
}

impl Attended<'_> {
    /// Waits until the pod's container runs or is over, and says meanwhile what it waits for.
    pub(crate) async fn begun(self, terminal: &mut Terminal) -> Result<(Stage, Pod)> {
        self.until(terminal, |stage| !matches!(stage, Stage::Waits(_))).await
    }

    /// Waits until the pod is over.
    pub(crate) async fn ended(self, terminal: &mut Terminal) -> Result<(Stage, Pod)> {
        self.until(terminal, |stage| matches!(stage, Stage::Ended { .. })).await
    }

    /// Waits until the pod is over, says why where its code does not, and gives the code.
    pub(crate) async fn code(self, terminal: &mut Terminal) -> Result<ExitCode> {
        let (Stage::Ended { code, why }, _) = self.ended(terminal).await? else { bail!("pod {} goes on", self.name) };
        if let Some(why) = why {
            terminal.tell(&why);
        }
        Ok(ExitCode::from(code))
    }

    /// Passes on the pod's log until it is over, and gives its code.
    pub(crate) async fn follow(self, terminal: &mut Terminal) -> Result<ExitCode> {
        self.pass_log(Log::ToItsEnd, terminal).await?;
        self.code(terminal).await
    }

    /// Passes on the pod's log.
    pub(crate) async fn pass_log(self, log: Log, terminal: &mut Terminal) -> Result<()> {
        let params = LogParams { follow: log == Log::ToItsEnd, ..LogParams::default() };
        let opened = self.pods().log_stream(self.name, &params).await;
        let mut log = Box::pin(opened.map_err(|error| self.connection.explain(error))?);
        let mut chunk = vec![0; CHUNK_BYTES];
        let broken = || format!("the log broke off; see the rest with: {}", self.kubectl("logs -f"));
        loop {
            match log.read(&mut chunk).await.with_context(broken)? {
                0 => return Ok(()),
                read => terminal.pass(chunk.get(..read).unwrap_or_default())?,
            }
        }
    }

    /// The line with which a person has kubectl do `verb` to the pod.
    pub(crate) fn kubectl(self, verb: &str) -> String {
        format!("kubectl -n {} {verb} {}", self.connection.namespace, self.name)
    }

    pub(crate) fn pods(self) -> Api<Pod> {
        Api::namespaced(self.connection.client.clone(), &self.connection.namespace)
    }

    /// Watches the pod until its stage is as `is` wants it, and says why it waits whenever that changes.
    async fn until(self, terminal: &mut Terminal, is: impl Fn(&Stage) -> bool) -> Result<(Stage, Pod)> {
        let mut pods = Box::pin(watcher::watch_object(self.pods(), self.name));
        let mut told = None;
        while let Some(pod) = pods.next().await {
            let pod = match pod {
                Ok(pod) => pod,
                Err(watcher::Error::InitialListFailed(error) | watcher::Error::WatchStartFailed(error)) => {
                    return Err(self.connection.explain(error));
                }
                // The watch begins again by itself.
                Err(_) => continue,
            };
            let Some(pod) = pod else { bail!("pod {} was deleted", self.name) };
            let stage = Stage::of(&pod);
            if is(&stage) {
                return Ok((stage, pod));
            }
            if let Stage::Waits(Some(why)) = stage
                && told.as_ref() != Some(&why)
            {
                terminal.tell(&format!("pod {} waits: {why}", self.name));
                told = Some(why);
            }
        }
        bail!("the watch of pod {} ended", self.name)
    }
}
