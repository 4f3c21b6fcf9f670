//! One `minke` process.

use std::ffi::OsStr;
use std::fs::File;
use std::process::{ExitStatus, Stdio};

use base::files;
use rustix::process::{Pid, Signal};
use tokio::process::{Child, Command};

use super::DEADLINE;

/// A running `minke`. It is killed when it is dropped.
pub(crate) struct Process {
    child: Child,
    output: tempfile::NamedTempFile,
}

impl Process {
    /// Starts `minke ARGS`.
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::start_with(args, &[])
    }

    /// The same with these variables.
    pub(crate) fn start_with(args: &[&str], variables: &[(&str, &OsStr)]) -> Self {
        let output = tempfile::NamedTempFile::new().unwrap();
        let sink = |file: &tempfile::NamedTempFile| Stdio::from(file.reopen().map(append).unwrap());
        let child = Command::new(env!("CARGO_BIN_EXE_minke"))
            .args(args)
            .env_remove("KUBECONFIG")
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(sink(&output))
            .stderr(sink(&output))
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self { child, output }
    }

    /// Waits until it has printed `text`.
    pub(crate) async fn says(&self, text: &str) {
        let said = async {
            while !self.log().contains(text) {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        };
        if tokio::time::timeout(DEADLINE, said).await.is_err() {
            panic!("minke does not say {text:?}:\n{}", self.log());
        }
    }

    /// All that it has printed.
    pub(crate) fn log(&self) -> String {
        files::read(self.output.path()).unwrap().unwrap_or_default()
    }

    /// The process's id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.id().try_into().unwrap()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Waits until it has ended.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let ended = tokio::time::timeout(DEADLINE, self.child.wait()).await;
        ended.unwrap_or_else(|_| panic!("minke does not end:\n{}", self.log())).unwrap()
    }

    /// Asks it to end and waits until it has.
    pub(crate) async fn end(&mut self) {
        self.signal(Signal::TERM);
        let status = self.ended().await;
        assert!(status.success(), "minke ended with {status}:\n{}", self.log());
    }

    /// Kills it.
    pub(crate) async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }
}

/// Both streams write to one file, each where the other stopped.
fn append(file: File) -> File {
    rustix::fs::fcntl_setfl(&file, rustix::fs::OFlags::APPEND).unwrap();
    file
}
