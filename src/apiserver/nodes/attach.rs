//! `pods/attach`: a terminal's bytes between the client and the node.
//!
//! The client upgrades its connection to a WebSocket (`v5.channel.k8s.io`); the same frames then go, untouched, over a
//! stream of the node's tunnel that was opened by an extended CONNECT (RFC 8441).

use api::meta;
use api::status::Status;
use axum::body::Body;
use base::task;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use http::{HeaderMap, Method, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::ext::Protocol;
use hyper_util::rt::TokioIo;
use serde_json::json;
use sha1::{Digest as _, Sha1};

use super::Target;
use crate::admission::extend;
use crate::verbs::Call;

/// The subprotocols that the node speaks, the best first.
const PROTOCOLS: [&str; 2] = ["v5.channel.k8s.io", "v4.channel.k8s.io"];

/// What RFC 6455 appends to a client's key.
const WEBSOCKET_GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Options of an attach that are handed on to the node.
const OPTIONS: [&str; 4] = ["stdin", "stdout", "stderr", "tty"];

/// Joins the client's connection with a container's terminal.
pub(crate) async fn attach(mut call: Call, _body: Body) -> Result<Response<Body>, Status> {
    admit(&call).await?;
    let target = Target::find(&call)?;
    let (key, protocol) = handshake(&call.parts.headers)?;
    let Some(client) = call.parts.extensions.remove::<hyper::upgrade::OnUpgrade>() else {
        return Err(Status::bad_request("this connection cannot be upgraded"));
    };
    let request = target
        .ask(&call, "attach", &super::options(&call, &OPTIONS))
        .method(Method::CONNECT)
        .header(SEC_WEBSOCKET_PROTOCOL, protocol)
        .header("sec-websocket-version", "13")
        .extension(Protocol::from_static("websocket"))
        .body(Empty::new().map_err(|never| match never {}).boxed_unsync());
    let request = request.map_err(|error| Status::bad_request(error.to_string()))?;
    let mut answer = target.tunnel.request(request).await.map_err(|error| target.unreachable(&error))?;
    if !answer.status().is_success() {
        return Err(Status::internal(format!("node \"{}\" refused the terminal: {}", target.node, answer.status())));
    }

    task::spawn("attach", async move {
        let joined = async {
            // The answer is held to the end: it is the terminal's place among the tunnel's streams.
            let mut node = TokioIo::new(hyper::upgrade::on(&mut answer).await?);
            let mut client = TokioIo::new(client.await?);
            tokio::io::copy_bidirectional(&mut client, &mut node).await?;
            Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
        };
        if let Err(error) = joined.await {
            tracing::debug!(%error, "a terminal was cut off");
        }
    })
    .detach();
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept(&key)?);
    Ok(response)
}

/// Asks policies and webhooks about the connection. What they change of it does not count.
async fn admit(call: &Call) -> Result<(), Status> {
    let mut options = json!({"kind": "PodAttachOptions", "apiVersion": "v1"});
    for name in OPTIONS {
        if call.query.find(name).is_some_and(|value| ["1", "true"].contains(&value)) {
            meta::set_at(&mut options, &format!("/{name}"), true.into());
        }
    }
    if let Some(container) = call.query.find("container") {
        meta::set_at(&mut options, "/container", container.into());
    }
    extend::admit(call, &extend::Change::of_connection("attach"), &mut options).await
}

/// The client's key and the subprotocol that both speak.
fn handshake(headers: &HeaderMap) -> Result<(String, &'static str), Status> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).unwrap_or_default();
    if !text(UPGRADE).eq_ignore_ascii_case("websocket") {
        return Err(Status::bad_request("Upgrade request required: this server speaks WebSocket (v5.channel.k8s.io)"));
    }
    let offered = text(SEC_WEBSOCKET_PROTOCOL);
    let known = PROTOCOLS.iter().find(|known| offered.split(',').any(|offer| offer.trim() == **known));
    let Some(protocol) = known else {
        let why =
            format!("unable to upgrade: none of the subprotocols {offered:?} is supported, use v5.channel.k8s.io");
        return Err(Status::bad_request(why));
    };
    match text(SEC_WEBSOCKET_KEY) {
        "" => Err(Status::bad_request("the WebSocket handshake has no Sec-WebSocket-Key")),
        key => Ok((key.to_owned(), protocol)),
    }
}

/// The answer to a client's key, RFC 6455 section 4.2.2.
fn accept(key: &str) -> Result<HeaderValue, Status> {
    let digest = Sha1::digest(format!("{key}{WEBSOCKET_GUID}").as_bytes());
    HeaderValue::try_from(STANDARD.encode(digest)).map_err(|error| Status::bad_request(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_answered_as_in_the_rfc() {
        assert_eq!(accept("dGhlIHNhbXBsZSBub25jZQ==").unwrap(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
