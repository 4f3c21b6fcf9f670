//! The end that dialled, and answers.

use std::convert::Infallible;

use base::shutdown::Shutdown;
use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{CONNECTION_WINDOW_BYTES, PING_DEADLINE, PING_INTERVAL, STREAM_WINDOW_BYTES, STREAMS_MAX};

/// Answers what the peer asks over `io`, until the connection ends or `shutdown` asks for it; then what is under way
/// is finished.
///
/// # Errors
/// When the connection broke or the peer did not answer a ping.
pub async fn serve<S, B>(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    service: S,
    shutdown: &Shutdown,
) -> Result<(), hyper::Error>
where
    S: tower::Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_DEADLINE)
        .max_concurrent_streams(STREAMS_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .enable_connect_protocol();
    let connection = builder.serve_connection(TokioIo::new(io), TowerToHyperService::new(service));
    tokio::pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.requested() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    }
}
