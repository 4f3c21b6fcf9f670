//! `run.minke.dev`: what Kubernetes has no word for.

use api::status::Status;
use axum::body::Body;
use http::{Request, Response};

use crate::nodes;
use crate::request_info::{ResourceRequest, Verb};
use crate::server::ApiServer;

/// Serves a request that was authorized.
pub(super) fn serve(
    server: &ApiServer,
    request: &ResourceRequest,
    http: Request<Body>,
) -> Result<Response<Body>, Status> {
    let subresource = request.subresource.as_deref();
    match (request.verb, request.resource.as_str(), &request.name, subresource) {
        (Verb::Get, "nodes", Some(node), Some("tunnel")) => nodes::accept(server, node, http),
        _ => Err(Status::no_such_resource()),
    }
}
