//! Stays with a pod until its program is over: says why it waits, passes on what it prints, and gives its code.

use std::process::ExitCode;

use anyhow::{Result, bail};
use futures::{AsyncReadExt as _, StreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{AttachParams, LogParams};
use kube::runtime::watcher;
use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::connect::Connection;
use crate::stage::Stage;
use crate::terminal::Terminal;

/// Bytes of output that are read at once.
const CHUNK_BYTES: usize = 16 << 10;

/// Waits until the pod's container runs or is over.
pub(crate) async fn until_begun(connection: &Connection, name: &str, terminal: &mut Terminal) -> Result<Stage> {
    until(connection, name, terminal, |stage| !matches!(stage, Stage::Waits(_))).await
}

/// Waits until the pod is ready to serve.
pub(crate) async fn until_ready(connection: &Connection, name: &str, terminal: &mut Terminal) -> Result<()> {
    match until_begun(connection, name, terminal).await? {
        Stage::Ended { why, .. } => bail!("pod {name} ended: {}", why.unwrap_or_else(|| "see kubectl logs".to_owned())),
        Stage::Waits(_) | Stage::Runs => Ok(()),
    }
}

/// Passes on the pod's log until it is over, and gives its code.
pub(crate) async fn follow(connection: &Connection, name: &str, terminal: &mut Terminal) -> Result<ExitCode> {
    let params = LogParams { follow: true, ..LogParams::default() };
    let log = pods(connection).log_stream(name, &params).await.map_err(|error| connection.explain(error))?;
    let mut log = Box::pin(log);
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match log.read(&mut chunk).await? {
            0 => break,
            read => terminal.pass(chunk.get(..read).unwrap_or_default())?,
        }
    }
    end(connection, name, terminal).await
}

/// Connects the pod to this process's input and output until it is over, and gives its code.
pub(crate) async fn attach(
    connection: &Connection,
    name: &str,
    tty: bool,
    terminal: &mut Terminal,
) -> Result<ExitCode> {
    let params = AttachParams::default().stdin(true).stdout(true).stderr(!tty).tty(tty);
    let attached = pods(connection).attach(name, &params).await;
    let mut attached = attached.map_err(|error| connection.explain(error))?;
    let input = attached.stdin().map(|mut sink| {
        base::task::spawn("input", async move {
            // The program may end before its input does; that is not our error.
            tokio::io::copy(&mut tokio::io::stdin(), &mut sink).await.ok();
        })
    });
    let (mut out, mut err) = (attached.stdout(), attached.stderr());
    while out.is_some() || err.is_some() {
        let (mut from_out, mut from_err) = (vec![0; CHUNK_BYTES], vec![0; CHUNK_BYTES]);
        tokio::select! {
            read = read(&mut out, &mut from_out), if out.is_some() => match read? {
                0 => out = None,
                read => terminal.pass(from_out.get(..read).unwrap_or_default())?,
            },
            read = read(&mut err, &mut from_err), if err.is_some() => match read? {
                0 => err = None,
                read => terminal.pass_aside(from_err.get(..read).unwrap_or_default())?,
            },
        }
    }
    drop(input);
    end(connection, name, terminal).await
}

async fn read(from: &mut Option<impl AsyncRead + Unpin>, chunk: &mut [u8]) -> std::io::Result<usize> {
    match from {
        Some(from) => from.read(chunk).await,
        None => Ok(0),
    }
}

/// Waits for the pod's end, says why where its code does not, and gives the code.
async fn end(connection: &Connection, name: &str, terminal: &mut Terminal) -> Result<ExitCode> {
    let stage = until(connection, name, terminal, |stage| matches!(stage, Stage::Ended { .. })).await?;
    let Stage::Ended { code, why } = stage else { bail!("pod {name} goes on") };
    if let Some(why) = why {
        terminal.tell(&why);
    }
    Ok(ExitCode::from(code))
}

/// Watches the pod until its stage is as `is` wants it, and says why it waits whenever that changes.
async fn until(
    connection: &Connection,
    name: &str,
    terminal: &mut Terminal,
    is: impl Fn(&Stage) -> bool,
) -> Result<Stage> {
    let mut pods = Box::pin(watcher::watch_object(pods(connection), name));
    let mut told = None;
    while let Some(pod) = pods.next().await {
        let pod = match pod {
            Ok(pod) => pod,
            Err(watcher::Error::InitialListFailed(error) | watcher::Error::WatchStartFailed(error)) => {
                return Err(connection.explain(error));
            }
            // The watch begins again by itself.
            Err(_) => continue,
        };
        let Some(pod) = pod else { bail!("pod {name} was deleted") };
        let stage = Stage::of(&pod);
        if is(&stage) {
            return Ok(stage);
        }
        if let Stage::Waits(Some(why)) = stage
            && told.as_ref() != Some(&why)
        {
            terminal.tell(&format!("pod {name} waits: {why}"));
            told = Some(why);
        }
    }
    bail!("the watch of pod {name} ended")
}

fn pods(connection: &Connection) -> Api<Pod> {
    Api::namespaced(connection.client.clone(), &connection.namespace)
}
