//! `run.minke.dev`: what Kubernetes has no word for.

use api::status::Status;
use axum::body::Body;
use http::{Request, Response};

use super::backup;
use crate::authentication::User;
use crate::request_info::{ResourceRequest, Verb};
use crate::server::ApiServer;
use crate::{nodes, submission};

/// Serves a request that was authorized.
pub(super) async fn serve(
    server: &ApiServer,
    user: &User,
    request: &ResourceRequest,
    http: Request<Body>,
) -> Result<Response<Body>, Status> {
    let subresource = request.subresource.as_deref();
    match (request.verb, request.resource.as_str(), &request.name, subresource) {
        (Verb::Get, "nodes", Some(node), Some("tunnel")) => nodes::accept(server, node, http),
        (Verb::List, "backup", None, None) if request.namespace.is_none() => backup::serve(server, user).await,
        (Verb::Create, "run", None, None) => {
            let namespace = request.namespace.as_deref().ok_or_else(Status::no_such_resource)?;
            submission::serve(server, user, namespace, http).await
        }
        _ => Err(Status::no_such_resource()),
    }
}
