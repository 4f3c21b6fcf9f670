//! The kubelet's own port: TLS, for clients whose certificate says that they are the API server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use base::shutdown::Shutdown;
use base::task;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

/// Connections at once. More wait in the kernel's queue of connections not yet accepted.
const CONNECTIONS_MAX: usize = 256;

/// How long a client may take for its handshake, and for the headers of a request.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);

/// How long to wait after the system refused to accept.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// The organization whose members may do all, as the API server's client certificate names it (kubeadm's).
const MASTERS: &str = "system:masters";

/// Why there is no port.
#[derive(Debug, thiserror::Error)]
#[error("the kubelet cannot listen on {address}: {source}; choose another port or stop what uses this one")]
pub struct Error {
    address: SocketAddr,
    source: std::io::Error,
}

/// A port that is bound and not served yet.
#[derive(Debug)]
pub(crate) struct Port {
    listener: TcpListener,
}

impl Port {
    /// Binds `address`.
    ///
    /// # Errors
    /// When it is in use.
    pub(crate) async fn bind(address: SocketAddr) -> Result<Self, Error> {
        let listener = TcpListener::bind(address).await.map_err(|source| Error { address, source })?;
        Ok(Self { listener })
    }

    /// Serves `router` until the end is asked for.
    pub(crate) async fn serve(self, router: Router, tls: Arc<ServerConfig>, shutdown: Shutdown) {
        let acceptor = TlsAcceptor::from(tls);
        let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let Some(Ok(permit)) = shutdown.or(Arc::clone(&room).acquire_owned()).await else { return };
            let stream = match shutdown.or(self.listener.accept()).await {
                None => return,
                Some(Ok((stream, _))) => stream,
                Some(Err(error)) => {
                    tracing::warn!(%error, "the kubelet cannot accept a connection");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                    continue;
                }
            };
            let (router, acceptor, shutdown) = (router.clone(), acceptor.clone(), shutdown.clone());
            task::spawn("kubelet connection", async move {
                shutdown.or(serve_one(stream, &acceptor, router)).await;
                drop(permit);
            })
            .detach();
        }
    }
}

async fn serve_one(stream: TcpStream, acceptor: &TlsAcceptor, router: Router) {
    let stream = match tokio::time::timeout(HANDSHAKE_DEADLINE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%error, "a handshake with the kubelet failed"),
        Err(_) => return tracing::debug!("a handshake with the kubelet took too long"),
    };
    let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    if !certificate.is_some_and(|certificate| is_master(certificate)) {
        return tracing::debug!("a client without the API server's certificate was turned away");
    }
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http1().timer(TokioTimer::new()).header_read_timeout(HANDSHAKE_DEADLINE);
    server.http2().timer(TokioTimer::new()).enable_connect_protocol();
    let service = TowerToHyperService::new(router);
    if let Err(error) = server.serve_connection_with_upgrades(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "a connection to the kubelet broke");
    }
}

/// The handshake has proved that the cluster's CA signed it; here it must also be the API server's, since nodes and
/// people have certificates of the same CA.
fn is_master(certificate: &[u8]) -> bool {
    base::pki::read_certificate_der(certificate)
        .is_ok_and(|facts| facts.organizations.iter().any(|organization| organization == MASTERS))
}
