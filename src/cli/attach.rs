//! Passes this process's input on to a pod's program, over the pod's `attach`.
//!
//! A client that attaches is told what is written from then on, and a program may have written before. So without a
//! terminal only the input goes this way, and the output comes from the log, whole. With one (`-t`) a person waits for
//! prompts, which are in no log before their line ends: there the log so far is shown first, and then what comes. A
//! line that is written at that very moment may be seen twice.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use base::task;
use bytes::Bytes;
use futures::FutureExt as _;
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
    let (Some(mut output), Some(ended)) = (attached.stdout(), attached.take_status()) else {
        return pod.follow(terminal).await;
    };
    let mut ended = std::pin::pin!(ended.fuse());
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
                    is_cut = status.is_none();
                    continue;
                }
            }
        };
        if read == 0 {
            return pod.code(terminal).await;
        }
        terminal.pass(chunk.get(..read).unwrap_or_default())?;
    }
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
