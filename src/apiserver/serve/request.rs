//! Around each request: who asks, its id, its deadline in the log, and headers that every answer has.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use api::scheme::Scheme;
use api::status::Status;
use axum::body::Body;
use base::clock::Instant;
use base::pki::Facts;
use futures::{FutureExt as _, StreamExt as _};
use http::header::{CACHE_CONTROL, HeaderName, HeaderValue};
use http::{Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tracing::Instrument as _;

use super::Entry;
use crate::authentication::{self, User};
use crate::registry;
use crate::respond::status;
use crate::server::ApiServer;

/// The id of a request, given by the client or made here; it goes through all log lines and back to the client.
const AUDIT_ID: HeaderName = HeaderName::from_static("audit-id");

/// The longest id that a client may give.
const AUDIT_ID_BYTES_MAX: usize = 64;

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
    /// Answers one request; a panic becomes a 500 that names the request's id.
    pub(super) async fn answer(self, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
        let id = audit_id(&request);
        let span = tracing::info_span!("request", id = %id, method = %request.method(), path = request.uri().path());
        let headers = request.headers().clone();
        let started = Instant::now();
        let answered = AssertUnwindSafe(self.authenticated(request)).catch_unwind().instrument(span.clone()).await;
        let mut response = answered.unwrap_or_else(|_| {
            let text = format!("This request caused apiserver to panic. Look in the logs for details of request {id}.");
            status::response(&Status::internal_plain(text), &headers)
        });
        span.in_scope(|| tracing::debug!(code = response.status().as_u16(), took = ?started.elapsed(), "answered"));
        let headers = response.headers_mut();
        if let Ok(id) = HeaderValue::try_from(id) {
            headers.insert(AUDIT_ID, id);
        }
        headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache, private"));
        Ok(response)
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
        authentication::authenticate(self.certificate.as_deref(), request.headers(), &self.entry.tokens, |id| {
            let secrets = Scheme::builtin().resource("", "v1", "secrets")?;
            authentication::TOKEN_PREFIXES.iter().find_map(|prefix| {
                let name = format!("{prefix}{id}");
                self.server.objects().find(secrets, Some("kube-system"), &name).ok()?.to_value().ok()
            })
        })
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

/// The client's id if it is a plain short word, else a new one.
fn audit_id(request: &Request<Incoming>) -> String {
    let given = request.headers().get(AUDIT_ID).and_then(|id| id.to_str().ok());
    let is_plain = |id: &&str| {
        !id.is_empty()
            && id.len() <= AUDIT_ID_BYTES_MAX
            && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    };
    given.filter(is_plain).map_or_else(|| uuid::Uuid::new_v4().to_string(), str::to_owned)
}
