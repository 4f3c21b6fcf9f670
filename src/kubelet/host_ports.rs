//! Host ports: TCP listeners on the node's address, each connection handed to the container that serves http.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base::task::{self, Task};
use k8s_openapi::api::core::v1 as core;
use network::ports::Protocol;
use runtime::Sandbox;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::pods::admit::host_port;

/// Connections of one port at once. More wait in the kernel's queue of connections not yet accepted.
const CONNECTIONS_MAX: usize = 1024;

/// How long to wait after the system refused to accept: it is out of descriptors, and the next moment is no better.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// A host port that cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on host port {address}: {source}")]
pub(crate) struct Error {
    address: SocketAddr,
    source: io::Error,
}

/// The listeners of one container; dropping it closes them and ends their connections.
#[derive(Debug, Default)]
pub(crate) struct Listeners {
    /// Held for its drop: a dropped task ends.
    _tasks: Vec<Task<()>>,
}

/// Binds the host ports of a container that serves http. What serves is its first port; host ports of others lead
/// nowhere until the pod network carries them.
///
/// # Errors
/// When a port is in use, by another program say.
pub(crate) async fn listen(
    spec: &core::Container,
    node_ip: std::net::IpAddr,
    sandbox: &Sandbox,
) -> Result<Listeners, Error> {
    let ports = spec.ports.as_deref().unwrap_or_default();
    let served = ports.first().map(|port| port.container_port);
    let mut tasks = Vec::new();
    for port in ports.iter().filter(|port| Some(port.container_port) == served) {
        let Some(host) = host_port(port, node_ip).filter(|host| host.protocol == Protocol::Tcp) else { continue };
        let address = SocketAddr::new(host.ip, host.port);
        let listener = TcpListener::bind(address).await.map_err(|source| Error { address, source })?;
        tasks.push(task::spawn("host port", accept(listener, sandbox.clone())));
    }
    Ok(Listeners { _tasks: tasks })
}

async fn accept(listener: TcpListener, sandbox: Sandbox) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = tokio::task::JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, peer)) => {
                let sandbox = sandbox.clone();
                connections.spawn(async move {
                    serve(stream, peer, &sandbox).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection on a host port");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, peer: SocketAddr, sandbox: &Sandbox) {
    // Answers are small and each is awaited: waiting to fill a packet only adds latency.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "cannot set TCP_NODELAY");
    }
    sandbox.serve_connection(stream).await;
}
