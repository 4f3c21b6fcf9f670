//! Connections: TLS, HTTP/1.1 and HTTP/2, and who is at the other end.
//!
//! ```text
//!   accept ──▶ TLS (client certificate wanted, not needed) ──▶ HTTP ──▶ authenticate ──▶ ApiServer::handle
//! ```
//!
//! Everything has a limit: connections, the handshake, the head of a request in bytes and time, streams, the bytes on
//! their way in a stream, so that no stalled watch fills a connection's window, and the time for which a client may take
//! nothing of what it is sent ([`Patient`]).

pub mod renewal;
mod request;
pub mod tls;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base::patience::Patient;
use base::pki::{self, Facts};
use base::shutdown::Shutdown;
use base::task;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use crate::authentication::StaticTokens;
use crate::server::ApiServer;

/// Connections at once. Beyond it, new ones wait in the system's queue until others end.
const CONNECTIONS_MAX: usize = 16 << 10;

/// How long a TLS handshake may take.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);

/// How long the head of a request may take: what keeps a slow sender from holding a connection for nothing. In HTTP/1 a
/// connection without a request may last as long.
const HEAD_DEADLINE: Duration = Duration::from_secs(32);

/// What a peer must say within [`HEAD_DEADLINE`], in bytes: the preface of an HTTP/2 connection. Of a request in HTTP/1 the
/// whole head has that deadline anyway.
const FIRST_BYTES: usize = 24;

/// How long a peer may take nothing while something waits to be sent to it. A client that stops reading would else keep its
/// connection, and an answer in memory, for ever.
const STALL_MAX: Duration = Duration::from_secs(60);

/// The head of a request, in bytes; a longer one is 431. Tokens weigh a few thousand, and the query of an upload carries
/// its arguments.
const HEAD_BYTES_MAX: u32 = 64 << 10;

/// HTTP/2 streams of a connection, as upstream's.
const STREAMS_MAX: u32 = 250;

/// Bytes on their way in one stream: a stalled watch keeps at most these.
const STREAM_WINDOW_BYTES: u32 = 256 << 10;

/// Bytes on their way in a connection: as many as all its streams together could hold up.
const CONNECTION_WINDOW_BYTES: u32 = STREAMS_MAX * STREAM_WINDOW_BYTES;

/// How often an idle HTTP/2 connection is tried, and how long the answer may take.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_DEADLINE: Duration = Duration::from_secs(15);

/// How long requests under way may take after the end was asked for.
const DRAIN_DEADLINE: Duration = Duration::from_secs(5);

/// How a listener lets callers in.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Certificates of both sides.
    pub tls: Arc<ServerConfig>,
    /// Tokens that are known beside those in the cluster.
    pub tokens: StaticTokens,
}

/// Serves connections until `shutdown`, then lets those under way finish for a moment.
pub async fn run(server: ApiServer, listener: TcpListener, entry: Entry, shutdown: Shutdown) {
    let acceptor = TlsAcceptor::from(Arc::clone(&entry.tls));
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Some(Ok(place)) = shutdown.or(Arc::clone(&places).acquire_owned()).await else { break };
        let (stream, peer) = match shutdown.or(listener.accept()).await {
            None => break,
            Some(Ok(accepted)) => accepted,
            Some(Err(error)) => {
                // Out of descriptors, most likely: those that end make room.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let (server, acceptor, entry, shutdown) = (server.clone(), acceptor.clone(), entry.clone(), shutdown.clone());
        task::spawn("connection", async move {
            let _place = place;
            connection(server, stream, peer, acceptor, entry, shutdown).await;
        })
        .detach();
    }
    let drained = places.acquire_many(u32::try_from(CONNECTIONS_MAX).unwrap_or(u32::MAX));
    if tokio::time::timeout(DRAIN_DEADLINE, drained).await.is_err() {
        tracing::info!("requests that were under way are cut off");
    }
}

async fn connection(
    server: ApiServer,
    stream: TcpStream,
    peer: SocketAddr,
    acceptor: TlsAcceptor,
    entry: Entry,
    shutdown: Shutdown,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "the connection ended before it began");
        return;
    }
    let stream = match tokio::time::timeout(HANDSHAKE_DEADLINE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            server.metrics().count_failed_handshake();
            return tracing::debug!(%peer, %error, "TLS handshake failed");
        }
        Err(_) => {
            server.metrics().count_failed_handshake();
            return tracing::debug!(%peer, "TLS handshake took too long");
        }
    };
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let certificate: Option<Arc<Facts>> =
        certificate.and_then(|certificate| pki::read_certificate_der(certificate).ok()).map(Arc::new);
    let service = request::Service { server, entry, certificate };
    let service = hyper::service::service_fn(move |request| service.clone().answer(request));
    let builder = builder(is_http2);
    let stream = Patient::new(stream, STALL_MAX).hearing(FIRST_BYTES, HEAD_DEADLINE);
    let serving = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    tokio::pin!(serving);
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = shutdown.requested() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "a connection broke");
    }
}

/// What a connection is served by. TLS has settled which protocol it is, so that nothing has to be guessed from its
/// first bytes.
fn builder(is_http2: bool) -> Builder<TokioExecutor> {
    let builder = Builder::new(TokioExecutor::new());
    let mut builder = if is_http2 { builder.http2_only() } else { builder.http1_only() };
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE)
        .max_buf_size(usize::try_from(HEAD_BYTES_MAX).unwrap_or(usize::MAX));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEAD_BYTES_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_DEADLINE);
    builder
}

#[cfg(test)]
mod tests;
