//! Around each request of a connection: who asks, and a bound on the time in which its body comes.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use api::status::Status;
use axum::body::Body;
use base::pki::Facts;
use futures::StreamExt as _;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use super::Entry;
use crate::authentication::{self, User};
use crate::registry;
use crate::request_id;
use crate::respond::status;
use crate::server::ApiServer;

/// How long a body may stand still.
const BODY_STALL_MAX: Duration = Duration::from_secs(30);

/// What a connection's requests share.
#[derive(Clone)]
pub(super) struct Service {
    pub server: ApiServer,
    pub entry: Entry,
    pub certificate: Option<Arc<Facts>>,
}

impl Service {
    /// Answers one request.
    pub(super) async fn answer(self, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
        Ok(request_id::identified(request, |request| self.authenticated(request)).await)
    }

    async fn authenticated(self, request: Request<Incoming>) -> Response<Body> {
        match self.user(&request) {
            Ok(user) => {
                let mut request = request.map(|body| Body::new(stalling(body)));
                request.extensions_mut().insert(user);
                self.server.handle(request).await
            }
            // Registry clients read another form, and log in when they are asked to.
            Err(_) if registry::is_registry(request.uri().path()) => registry::unauthorized(),
            Err(refused) => status::response(&refused, request.headers()),
        }
    }

    fn user(&self, request: &Request<Incoming>) -> Result<User, Status> {
        let known = |token: &str| self.server.token_user(token, &[]).map(|(user, _)| user);
        authentication::authenticate(self.certificate.as_deref(), request.headers(), &self.entry.tokens, known)
    }
}

/// A body that ends with an error when it stands still for too long.
fn stalling(body: Incoming) -> impl http_body::Body<Data = bytes::Bytes, Error = axum::Error> + Send + 'static {
    let frames = futures::stream::unfold(Some(body), |body| async move {
        let mut body = body?;
        match tokio::time::timeout(BODY_STALL_MAX, body.frame()).await {
            Ok(Some(Ok(frame))) => Some((Ok(frame), Some(body))),
            Ok(Some(Err(error))) => Some((Err(axum::Error::new(error)), None)),
            Ok(None) => None,
            Err(elapsed) => Some((Err(axum::Error::new(elapsed)), None)),
        }
    });
    // Who reads a body may ask once more after its end.
    http_body_util::StreamBody::new(frames.fuse())
}
