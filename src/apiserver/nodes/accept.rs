//! The node dials, and its connection is turned round: from then on the server asks over it.

use api::status::Status;
use axum::body::Body;
use base::task;
use http::header::{CONNECTION, HeaderValue, UPGRADE};
use http::{Request, Response, StatusCode};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tunnel::Tunnel;

use crate::server::ApiServer;

/// Takes over the connection of the node `node`, who was authorized to be called so.
pub(crate) fn accept(server: &ApiServer, node: &str, mut request: Request<Body>) -> Result<Response<Body>, Status> {
    let is_tunnel = request.headers().get(UPGRADE).is_some_and(|wanted| wanted == tunnel::PROTOCOL);
    let Some(upgrade) = request.extensions_mut().remove::<OnUpgrade>().filter(|_| is_tunnel) else {
        return Err(Status::bad_request(format!(
            "Upgrade: {} is required on an HTTP/1.1 connection",
            tunnel::PROTOCOL
        )));
    };
    let (nodes, node) = (server.nodes().clone(), node.to_owned());
    task::spawn("tunnel begins", async move {
        let begun = async {
            let io = upgrade.await?;
            Ok::<Tunnel, Box<dyn std::error::Error + Send + Sync>>(Tunnel::begin(TokioIo::new(io)).await?)
        };
        match begun.await {
            Ok(tunnel) => {
                tracing::info!(node, "node connected");
                nodes.connect(&node, tunnel);
            }
            Err(error) => tracing::warn!(node, %error, "a node's tunnel could not be begun"),
        }
    })
    .detach();
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    response.headers_mut().insert(UPGRADE, HeaderValue::from_static(tunnel::PROTOCOL));
    Ok(response)
}
