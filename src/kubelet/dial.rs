//! The node dials the API server, and the server's questions to the node come back over that connection.
//!
//! So a node behind NAT, without a port of its own that anybody could reach, is a full citizen. When the connection
//! breaks it is dialled again, in growing waits.

use std::time::Duration;

use axum::Router;
use base::backoff::{Backoff, Law};
use base::clock::Instant;
use base::shutdown::Shutdown;
use http::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use kube::Client;

/// The wait after a connection broke or was refused.
const RETRY: Law = Law::spread(Duration::from_millis(500), Duration::from_secs(15));

/// How long the server may take to accept a connection.
const DIAL_DEADLINE: Duration = Duration::from_secs(15);

/// A connection that stood for so long was a success, and the next wait begins small again.
const STEADY: Duration = Duration::from_secs(60);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("the API server did not accept the tunnel in time")]
    Late,
    #[error("the API server refused the tunnel with status {0}")]
    Refused(StatusCode),
    #[error(transparent)]
    Request(#[from] http::Error),
    #[error(transparent)]
    Client(#[from] kube::Error),
    #[error("the connection could not be taken over: {0}")]
    Upgrade(#[source] hyper::Error),
    #[error("the tunnel broke: {0}")]
    Tunnel(#[source] hyper::Error),
}

/// Keeps one connection to the API server on which `router` answers, until the end is asked for.
pub(crate) async fn run(client: Client, node: String, router: Router, shutdown: Shutdown) {
    let mut retry = Backoff::new(RETRY);
    while !shutdown.is_requested() {
        let begun = Instant::now();
        let result = match shutdown.or(dial(&client, &node)).await {
            None => return,
            Some(Ok(io)) => tunnel::serve(io, router.clone(), &shutdown).await.map_err(Error::Tunnel),
            Some(Err(error)) => Err(error),
        };
        if shutdown.is_requested() {
            return;
        }
        if begun.elapsed() >= STEADY {
            retry.reset();
        }
        match result {
            Ok(()) => tracing::info!("the API server closed the tunnel; dialling again"),
            Err(error) => tracing::warn!(error = base::causes(&error), "no tunnel to the API server; dialling again"),
        }
        shutdown.or(tokio::time::sleep(retry.next_wait())).await;
    }
}

async fn dial(client: &Client, node: &str) -> Result<TokioIo<hyper::upgrade::Upgraded>, Error> {
    let request = Request::get(format!("/apis/run.minke.dev/v1/nodes/{node}/tunnel"))
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, tunnel::PROTOCOL)
        .body(kube::client::Body::empty())?;
    let answer = tokio::time::timeout(DIAL_DEADLINE, client.send(request)).await.map_err(|_| Error::Late)??;
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(Error::Refused(answer.status()));
    }
    Ok(TokioIo::new(hyper::upgrade::on(answer).await.map_err(Error::Upgrade)?))
}
