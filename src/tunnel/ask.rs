//! The end that was dialled, and asks.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use base::task::{self, Task};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{CONNECTION_WINDOW_BYTES, PING_DEADLINE, PING_INTERVAL, STREAM_WINDOW_BYTES, STREAMS_MAX};

/// How long the peer may take to begin an answer. What follows may take as long as it likes (a followed log).
const HEAD_DEADLINE: Duration = Duration::from_secs(30);

/// A request's body.
pub type Body = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// What the peer answers with. It takes one of the tunnel's streams for as long as it is held; who upgrades the stream
/// holds it until the upgraded stream has ended.
#[derive(Debug)]
pub struct Answer {
    content: Incoming,
    _stream: OwnedSemaphorePermit,
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut self.content).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.content.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.content.size_hint()
    }
}

/// The way to the peer; cheap to clone. The connection ends when the last clone is gone.
#[derive(Clone, Debug)]
pub struct Tunnel {
    sender: SendRequest<Body>,
    streams: Arc<Semaphore>,
    connection: Arc<Task<()>>,
}

/// Why the peer gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The connection could not be begun.
    #[error("the tunnel could not be begun: {0}")]
    Handshake(#[source] hyper::Error),
    /// The connection is gone.
    #[error("the tunnel is closed: {0}")]
    Closed(#[source] hyper::Error),
    /// The answer did not begin in time.
    #[error("no answer within {} s", HEAD_DEADLINE.as_secs())]
    Deadline,
    /// As many streams are open as a connection takes.
    #[error("{STREAMS_MAX} streams are open on this tunnel: close some and try again")]
    Busy,
}

impl Tunnel {
    /// Begins to ask over `io`, which the peer [`crate::serve`]s.
    ///
    /// # Errors
    /// When the peer does not speak HTTP/2.
    pub async fn begin(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Result<Self, Error> {
        let mut builder = Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_DEADLINE)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES);
        let (sender, connection) = builder.handshake(TokioIo::new(io)).await.map_err(Error::Handshake)?;
        let connection = task::spawn("tunnel", async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a tunnel ended");
            }
        });
        let streams = Arc::new(Semaphore::new(STREAMS_MAX as usize));
        Ok(Self { sender, streams, connection: Arc::new(connection) })
    }

    /// Asks the peer. Only the path of the request's URI counts.
    ///
    /// # Errors
    /// When the tunnel is closed, or has as many requests and answers under way as it takes, or the answer does not begin
    /// within 30 seconds.
    pub async fn request(&self, request: Request<Body>) -> Result<Response<Answer>, Error> {
        let stream = Arc::clone(&self.streams).try_acquire_owned().map_err(|_| Error::Busy)?;
        let mut sender = self.sender.clone();
        let answer = async {
            sender.ready().await.map_err(Error::Closed)?;
            sender.send_request(request).await.map_err(Error::Closed)
        };
        let answer = tokio::time::timeout(HEAD_DEADLINE, answer).await.map_err(|_| Error::Deadline)??;
        Ok(answer.map(|content| Answer { content, _stream: stream }))
    }

    /// Whether the connection is gone.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed() || self.connection.is_finished()
    }
}

#[cfg(test)]
mod tests {
    use base::shutdown;
    use http_body_util::{BodyExt as _, Empty, Full};

    use super::*;

    fn body(text: &'static str) -> Body {
        Full::new(Bytes::from_static(text.as_bytes())).map_err(|never| match never {}).boxed_unsync()
    }

    /// A peer that answers with the path and the body it was sent.
    fn peer(io: tokio::io::DuplexStream) -> shutdown::Trigger {
        let (trigger, shutdown) = shutdown::channel();
        let echo = tower::service_fn(|request: Request<Incoming>| async move {
            let path = request.uri().path().to_owned();
            let sent = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
            Ok::<_, std::convert::Infallible>(Response::new(body_of(format!(
                "{path} {}",
                String::from_utf8_lossy(&sent)
            ))))
        });
        task::spawn("peer", async move {
            let _ = crate::serve(io, echo, &shutdown).await;
        })
        .detach();
        trigger
    }

    fn body_of(text: String) -> Full<Bytes> {
        Full::new(Bytes::from(text))
    }

    async fn ask(tunnel: &Tunnel, path: &str) -> String {
        let request = Request::post(format!("http://node{path}")).body(body("hello")).unwrap();
        let answer = tunnel.request(request).await.unwrap().into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(answer.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn the_side_that_was_dialled_asks() {
        let (node, server) = tokio::io::duplex(64 << 10);
        let _peer = peer(node);
        let tunnel = Tunnel::begin(server).await.unwrap();
        assert_eq!(ask(&tunnel, "/logs").await, "/logs hello");
        let (a, b) = tokio::join!(ask(&tunnel, "/a"), ask(&tunnel, "/b"));
        assert_eq!((a.as_str(), b.as_str()), ("/a hello", "/b hello"));
    }

    #[tokio::test]
    async fn an_answer_takes_a_stream_until_it_is_dropped() {
        let (node, server) = tokio::io::duplex(64 << 10);
        let _peer = peer(node);
        let tunnel = Tunnel::begin(server).await.unwrap();
        let begun = async || {
            let request = Request::post("http://node/").body(body("")).unwrap();
            tunnel.request(request).await
        };
        let mut answers = Vec::new();
        for _ in 0..STREAMS_MAX {
            answers.push(begun().await.unwrap());
        }
        assert!(matches!(begun().await, Err(Error::Busy)));
        answers.pop();
        assert!(begun().await.is_ok());
    }

    #[tokio::test]
    async fn a_tunnel_whose_peer_ended_says_so() {
        let (node, server) = tokio::io::duplex(64 << 10);
        let peer = peer(node);
        let tunnel = Tunnel::begin(server).await.unwrap();
        peer.pull();
        let request =
            || Request::get("http://node/").body(Empty::new().map_err(|never| match never {}).boxed_unsync()).unwrap();
        while tunnel.request(request()).await.is_ok() {}
        tokio::time::timeout(HEAD_DEADLINE, async {
            while !tunnel.is_closed() {
                tokio::task::yield_now().await
            }
        })
        .await
        .expect("the tunnel does not notice that its peer is gone");
    }
}
