//! Passes this process's input on to a pod's program, over the pod's `attach`.
//!
//! A client that attaches is told what is written from then on, and a program may have written before. So without a
//! terminal only the input goes this way, and the output comes from the log, whole. With one (`-t`) a person waits for
//! prompts, which are in no log before their line ends: there the log so far is shown first, and then what comes. A
//! line that is written at that very moment may be seen twice.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use base::task;
use bytes::Bytes;
use futures::FutureExt as _;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use kube::api::{AttachParams, AttachedProcess};
use tokio::io::{AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;

use crate::attend::{Attended, CHUNK_BYTES, Log};
use crate::terminal::Terminal;

/// How soon after its container a pod's status tells of the end. A pod that refuses to be attached to and goes on for
/// longer has refused for another reason.
const END_TOLD_WITHIN: Duration = Duration::from_secs(5);

/// Connects the pod to this process's input and output until it is over, and gives its code.
pub(crate) async fn attach(pod: Attended<'_>, tty: bool, terminal: &mut Terminal) -> Result<ExitCode> {
    let Some(mut attached) = open(pod, tty, terminal).await? else { return pod.follow(terminal).await };
    let Some(sink) = attached.stdin() else { return pod.follow(terminal).await };
    // Held to the end, since dropping it ends it.
    let _input = task::spawn("input", pass_on(terminal.input()?, sink));
    let Some(ended) = attached.take_status() else { return pod.follow(terminal).await };
    let mut ended = std::pin::pin!(ended.fuse());
    let Some(mut output) = attached.stdout() else {
        let is_broken = ended.map(|status| is_broken(status.as_ref()));
        return while_attached(pod, pod.follow(terminal), is_broken).await;
    };
    pod.pass_log(Log::SoFar, terminal).await?;
    terminal.hint("If you see no prompt, press Enter.");
    let (mut chunk, mut is_cut) = (vec![0; CHUNK_BYTES], false);
    loop {
        let next = output.read(&mut chunk);
        let read = if is_cut {
            next.now_or_never().unwrap_or(Ok(0))?
        } else {
            tokio::select! {
                biased;
                read = next => read?,
                status = &mut ended => {
                    // Where the connection broke nobody closes the output: what is there by now is all that comes.
                    is_cut = is_broken(status.as_ref());
                    continue;
                }
            }
        };
        if read == 0 {
            return while_attached(pod, pod.code(terminal), std::future::ready(is_cut)).await;
        }
        terminal.pass(chunk.get(..read).unwrap_or_default())?;
    }
}

/// Waits for the pod's end. A connection that breaks off before is an error: the program waits for an input that does not
/// come any more, or was told its end too early.
async fn while_attached(
    pod: Attended<'_>,
    ended: impl Future<Output = Result<ExitCode>>,
    is_broken: impl Future<Output = bool>,
) -> Result<ExitCode> {
    let mut ended = std::pin::pin!(ended);
    let is_broken = tokio::select! {
        biased;
        code = &mut ended => return code,
        is_broken = is_broken => is_broken,
    };
    if !is_broken {
        return ended.await;
    }
    // The pod's end breaks it, too, and may be told later.
    match timeout(END_TOLD_WITHIN, ended).await {
        Ok(code) => code,
        Err(_) => bail!(
            "the connection to the input of pod {} broke off, and it goes on without; see it with: {}",
            pod.name,
            pod.kubectl("logs -f")
        ),
    }
}

/// Whether an attachment ended otherwise than with its program.
fn is_broken(status: Option<&Status>) -> bool {
    status.is_none_or(|status| status.status.as_deref() == Some("Failure"))
}

/// Attaches to the pod; `None` when its program was over before.
async fn open(pod: Attended<'_>, tty: bool, terminal: &mut Terminal) -> Result<Option<AttachedProcess>> {
    let params = AttachParams::default().stdin(true).stdout(tty).stderr(false).tty(tty);
    let error = match pod.pods().attach(pod.name, &params).await {
        Ok(attached) => return Ok(Some(attached)),
        Err(error) => error,
    };
    match timeout(END_TOLD_WITHIN, pod.ended(terminal)).await {
        Ok(ended) => ended.map(|_| None),
        Err(_) => Err(pod.connection.explain(error)),
    }
}

/// Writes the input to `sink` and closes it at the input's end.
async fn pass_on(mut input: Receiver<Bytes>, mut sink: impl AsyncWrite + Unpin) {
    while let Some(chunk) = input.recv().await {
        // The program may end before its input does; that is not our error.
        if sink.write_all(&chunk).await.is_err() {
            return;
        }
    }
    sink.shutdown().await.ok();
}
