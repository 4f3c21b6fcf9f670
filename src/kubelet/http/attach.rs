//! `/attach/NAMESPACE/POD/CONTAINER`: a client's terminal on a running container, over a WebSocket.
//!
//! The protocol is upstream's `v5.channel.k8s.io` (and `v4`, which lacks the closing of channels): each message is a
//! channel's number and bytes. A client that reads too slowly is cut off rather than allowed to hold up the guest.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{Path, Query, State};
use axum::response::Response;
use bytes::{BufMut as _, Bytes, BytesMut};
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt as _, StreamExt as _};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::broadcast::{Receiver, error::RecvError};

use super::logs::is_set;
use super::{Api, Error};
use crate::containers::Running;
use crate::logs::Run;
use crate::logs::line::Stream;

/// The newest protocol first: the first that the client knows too is spoken.
const PROTOCOLS: [&str; 2] = ["v5.channel.k8s.io", "v4.channel.k8s.io"];

/// The largest message of a client: a paste, not a file.
const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// How long one message may take to be sent. A client that does not read for so long is gone.
const SEND_DEADLINE: Duration = Duration::from_secs(30);

/// A channel of the protocol.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Channel {
    Stdin = 0,
    Stdout = 1,
    Stderr = 2,
    Error = 3,
    /// A terminal's size; guests have none, so it is read and dropped.
    Resize = 4,
    /// v5: the channel that the next byte names is closed.
    Close = 255,
}

/// What of the container is wanted, as `PodAttachOptions` are sent.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Parameters {
    stdin: Option<String>,
    stdout: Option<String>,
    stderr: Option<String>,
    tty: Option<String>,
}

/// The streams that one client wants.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    stdin: bool,
    stdout: bool,
    stderr: bool,
    /// With a terminal both outputs are one.
    is_tty: bool,
}

/// See the module.
pub(super) async fn attach(
    State(api): State<Api>,
    Path((namespace, pod, container)): Path<(String, String, String)>,
    Query(parameters): Query<Parameters>,
    upgrade: WebSocketUpgrade,
) -> Result<Response, Error> {
    let (view, found) = api.find(&namespace, &pod, &container).await?;
    let not_running = || Error::BadRequest(format!("container {container} not found in pod {pod}_{namespace}"));
    let (Some(running), Some(run)) = (found.running, found.run) else { return Err(not_running()) };
    let run = Run { uid: view.pod.metadata.uid.clone().unwrap_or_default(), container: container.clone(), run };
    let output = api.logs.find(&run).ok_or_else(not_running)?.attach();
    let wanted = parameters.wanted();
    let upgrade = upgrade.protocols(PROTOCOLS).max_message_size(MESSAGE_BYTES_MAX);
    Ok(upgrade.on_upgrade(move |socket| serve(socket, wanted, running, output)))
}

impl Parameters {
    fn wanted(&self) -> Wanted {
        Wanted {
            stdin: is_set(self.stdin.as_deref()),
            stdout: is_set(self.stdout.as_deref()),
            stderr: is_set(self.stderr.as_deref()),
            is_tty: is_set(self.tty.as_deref()),
        }
    }
}

impl Wanted {
    fn channel(self, stream: Stream) -> Option<Channel> {
        match stream {
            Stream::Stdout => self.stdout.then_some(Channel::Stdout),
            Stream::Stderr if self.is_tty => self.stdout.then_some(Channel::Stdout),
            Stream::Stderr => self.stderr.then_some(Channel::Stderr),
        }
    }
}

async fn serve(socket: WebSocket, wanted: Wanted, running: Running, output: Receiver<(Stream, Bytes)>) {
    let (mut to_client, from_client) = socket.split();
    // Whichever ends first ends both: the container has ended, or the client has gone.
    tokio::select! {
        () = forward_output(&mut to_client, wanted, output) => {}
        () = forward_input(from_client, wanted, &running) => {}
    }
    if wanted.stdin {
        running.detached();
    }
}

async fn forward_output(
    client: &mut SplitSink<WebSocket, Message>,
    wanted: Wanted,
    mut output: Receiver<(Stream, Bytes)>,
) {
    let status = loop {
        match output.recv().await {
            Ok((stream, bytes)) => {
                let Some(channel) = wanted.channel(stream) else { continue };
                if send(client, frame(channel, &bytes)).await.is_err() {
                    return;
                }
            }
            Err(RecvError::Closed) => break json!({"metadata": {}, "status": "Success"}),
            // Who wants no output cannot be too slow for it.
            Err(RecvError::Lagged(_)) if !wanted.stdout && !wanted.stderr => {}
            Err(RecvError::Lagged(_)) => {
                break json!({
                    "metadata": {},
                    "status": "Failure",
                    "reason": "InternalError",
                    "message": "the client read too slowly and was cut off",
                });
            }
        }
    };
    // The client may have gone by now; then there is nobody to tell.
    if send(client, frame(Channel::Error, status.to_string().as_bytes())).await.is_ok() {
        // Without this code kubectl takes the end for a connection that broke.
        let end = CloseFrame { code: close_code::NORMAL, reason: "".into() };
        send(client, Message::Close(Some(end))).await.ok();
    }
}

/// Ends when the client has gone. A client that only closes its input stays.
async fn forward_input(mut client: SplitStream<WebSocket>, wanted: Wanted, running: &Running) {
    while let Some(Ok(message)) = client.next().await {
        let Message::Binary(bytes) = message else { continue };
        match read_frame(&bytes) {
            Some((Channel::Stdin, text)) if wanted.stdin => running.write_stdin(text).await,
            Some((Channel::Close, [0])) if wanted.stdin => running.close_stdin(),
            Some((Channel::Stdin | Channel::Stdout | Channel::Stderr | Channel::Error, _)) => {}
            Some((Channel::Resize | Channel::Close, _)) | None => {}
        }
    }
}

async fn send(client: &mut SplitSink<WebSocket, Message>, message: Message) -> Result<(), ()> {
    match tokio::time::timeout(SEND_DEADLINE, client.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(()),
    }
}

fn frame(channel: Channel, bytes: &[u8]) -> Message {
    let mut frame = BytesMut::with_capacity(bytes.len() + 1);
    frame.put_u8(channel as u8);
    frame.extend_from_slice(bytes);
    Message::Binary(frame.freeze())
}

fn read_frame(bytes: &[u8]) -> Option<(Channel, &[u8])> {
    let (channel, rest) = bytes.split_first()?;
    let channel = match channel {
        0 => Channel::Stdin,
        1 => Channel::Stdout,
        2 => Channel::Stderr,
        3 => Channel::Error,
        4 => Channel::Resize,
        255 => Channel::Close,
        _ => return None,
    };
    Some((channel, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_a_channel_and_bytes() {
        let Message::Binary(bytes) = frame(Channel::Stderr, b"oops") else { panic!("no binary message") };
        assert_eq!(read_frame(&bytes), Some((Channel::Stderr, &b"oops"[..])));
        assert_eq!(read_frame(&[255, 0]), Some((Channel::Close, &[0][..])));
        assert_eq!(read_frame(&[]), None);
        assert_eq!(read_frame(&[9, 1]), None);
    }

    #[test]
    fn only_wanted_streams_are_sent_and_a_terminal_has_one() {
        for (stdout, stderr, is_tty, expected) in [
            (true, true, false, [Some(Channel::Stdout), Some(Channel::Stderr)]),
            (true, true, true, [Some(Channel::Stdout), Some(Channel::Stdout)]),
            (true, false, false, [Some(Channel::Stdout), None]),
            (false, true, false, [None, Some(Channel::Stderr)]),
        ] {
            let wanted = Wanted { stdin: false, stdout, stderr, is_tty };
            assert_eq!([wanted.channel(Stream::Stdout), wanted.channel(Stream::Stderr)], expected);
        }
    }
}
