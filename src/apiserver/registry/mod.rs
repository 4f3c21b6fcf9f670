//! `/v2/`: the cluster's own registry, in the OCI distribution protocol 1.1.
//!
//! A repository is `NAMESPACE/NAME`; who may do what in it are the rights on `artifacts.run.minke.dev` in that
//! namespace: `get` to pull, `create` to push, `update` to move a tag that is there, `delete`, and `list` for tags and
//! the catalogue. Clients like docker, oras and wkg log in with Basic, a token as password. In pods the registry is
//! `registry.minke.local`. This module speaks the protocol; content, manifests and tags live in
//! [`images::content`].
//!
//! Reading order: [`serve`], `route` (paths as values), `blobs`, `uploads`, `manifests`, `lists`, `receive` and `send`
//! (bodies), `keep` (what stays, and what goes with its namespace), `error`.

mod blobs;
mod error;
mod keep;
mod lists;
mod manifests;
pub(crate) mod receive;
mod route;
mod send;
mod uploads;

use api::scheme::Scheme;
use axum::body::Body;
use base::shutdown::Shutdown;
use base::task::{self, Task};
use http::header::{HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use images::ContentStore;
use images::reference::RepositoryName;

use self::error::Error;
pub(crate) use self::keep::images_of;
use self::route::Route;
pub(crate) use self::send::body as send;
use crate::authentication::User;
use crate::objects::Objects;
use crate::options::Query;
use crate::request_info::{ResourceRequest, Verb};
use crate::server::ApiServer;
use crate::shares::{Share, Shares};
use crate::verbs::RUN_GROUP;

/// Requests that send content at once, in all and of one caller; one more is told to come again. Each may hold a batch
/// of 256 KiB, or a manifest of 4 MiB, and clients send a handful of layers at once.
const WRITES_MAX: usize = 128;
const WRITES_OF_ONE_MAX: usize = 16;

/// Requests that fetch content at once, in all and of one caller; one more is told to come again. Each holds a file and
/// some chunks of 64 KiB.
const READS_MAX: usize = 1024;
const READS_OF_ONE_MAX: usize = 64;

/// What says that this is a registry of the second protocol.
const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");
const API_VERSION_TEXT: HeaderValue = HeaderValue::from_static("registry/2.0");
const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// The registry's state beside its content.
#[derive(Debug)]
pub(crate) struct Registry {
    pub(crate) content: ContentStore,
    pub(crate) writes: Shares,
    reads: Shares,
    _keeping: Task<()>,
}

/// One request without its body, and everything that answering it may need.
struct Call<'a> {
    server: &'a ApiServer,
    registry: &'a Registry,
    user: &'a User,
    query: Query,
    parts: Parts,
}

impl Registry {
    /// The registry over `content`, which from now on keeps what pods name and drops what went with its namespace.
    pub(crate) fn new(content: ContentStore, objects: Objects, shutdown: Shutdown) -> Self {
        keep::keep_what_pods_name(&content, objects.clone());
        let keeping = keep::drop_what_namespaces_left(content.clone(), objects, shutdown);
        Self {
            content,
            writes: Shares::new(WRITES_MAX, WRITES_OF_ONE_MAX),
            reads: Shares::new(READS_MAX, READS_OF_ONE_MAX),
            _keeping: task::spawn("artifacts of namespaces", keeping),
        }
    }

    /// Requests that send and that fetch content at this moment.
    pub(crate) fn turns(&self) -> (usize, usize) {
        (self.writes.taken(), self.reads.taken())
    }
}

/// Whether a path is the registry's.
pub(crate) fn is_registry(path: &str) -> bool {
    path == "/v2" || path.starts_with("/v2/")
}

/// Answers a request for the registry.
pub(crate) async fn serve(
    server: &ApiServer,
    registry: &Registry,
    user: &User,
    request: Request<Body>,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let query = Query::parse(parts.uri.query().unwrap_or_default());
    let call = Call { server, registry, user, query, parts };
    let mut response = answer(&call, body).await.unwrap_or_else(Error::into_response);
    response.headers_mut().insert(API_VERSION, API_VERSION_TEXT);
    if call.parts.method == Method::HEAD {
        *response.body_mut() = Body::empty();
    }
    response
}

/// The answer to credentials that are not good, as registry clients understand it.
pub(crate) fn unauthorized() -> Response<Body> {
    let mut response = Error::unauthorized().into_response();
    response.headers_mut().insert(API_VERSION, API_VERSION_TEXT);
    response
}

/// How metrics count a request.
pub(crate) fn verb(method: &Method) -> &'static str {
    match *method {
        Method::GET | Method::HEAD => "get",
        Method::DELETE => "delete",
        Method::POST => "create",
        _ => "update",
    }
}

async fn answer(call: &Call<'_>, body: Body) -> Result<Response<Body>, Error> {
    if call.user.is_in("system:unauthenticated") {
        return Err(Error::unauthorized());
    }
    let route = Route::parse(call.parts.uri.path())?;
    let method = &call.parts.method;
    let is_read = *method == Method::GET || *method == Method::HEAD;
    match route {
        Route::Root if is_read => Ok(Response::new(Body::from("{}"))),
        Route::Catalog if is_read => lists::catalog(call),
        Route::Tags(name) if is_read => lists::tags(call, &name),
        Route::Referrers(name, subject) if is_read => lists::referrers(call, &name, &subject).await,
        Route::Manifest(name, target) => match *method {
            Method::PUT => manifests::put(call, &name, &target, body).await,
            Method::DELETE => manifests::delete(call, &name, &target).await,
            _ if is_read => manifests::get(call, &name, &target).await,
            _ => Err(Error::unsupported()),
        },
        Route::Blob(name, digest) => match *method {
            Method::DELETE => blobs::delete(call, &name, &digest).await,
            _ if is_read => blobs::get(call, &name, &digest).await,
            _ => Err(Error::unsupported()),
        },
        Route::Uploads(name) if *method == Method::POST => uploads::start(call, &name, body).await,
        Route::Upload(name, id) => match *method {
            Method::PATCH => uploads::append(call, &name, id, body).await,
            Method::PUT => uploads::finish(call, &name, id, body).await,
            Method::DELETE => uploads::cancel(call, &name, id).await,
            Method::GET => uploads::stand(call, &name, id),
            _ => Err(Error::unsupported()),
        },
        _ => Err(Error::unsupported()),
    }
}

impl<'a> Call<'a> {
    /// Refuses what the caller has no right to in the repository's namespace.
    fn authorize(&self, verb: Verb, repository: &RepositoryName) -> Result<(), Error> {
        let (namespace, name) = repository.as_str().split_once('/').ok_or_else(Error::no_namespace)?;
        self.authorize_in(verb, Some(namespace), Some(name))
    }

    fn authorize_in(&self, verb: Verb, namespace: Option<&str>, name: Option<&str>) -> Result<(), Error> {
        let request = artifacts(verb, namespace, name);
        self.server.authorize(self.user, &request, &Query::default()).map_err(|status| Error::denied(&status.message))
    }

    /// As [`Call::authorize`], for writes: the namespace must be there, and stay.
    fn authorize_write(&self, verb: Verb, repository: &RepositoryName) -> Result<(), Error> {
        self.authorize(verb, repository)?;
        let namespace = repository.namespace().unwrap_or_default();
        let namespaces = Scheme::builtin().resource("", "v1", "namespaces");
        let found = namespaces.and_then(|resource| self.server.objects().find(resource, None, namespace).ok());
        let found = found.and_then(|namespace| namespace.to_value().ok());
        match found.as_ref().map(api::meta::deletion_timestamp) {
            None => Err(Error::no_such_namespace(namespace)),
            Some(Some(_)) => Err(Error::terminating_namespace(namespace)),
            Some(None) => Ok(()),
        }
    }

    /// A turn among those who send content.
    fn turn_to_write(&self) -> Result<Share, Error> {
        self.registry.writes.take(&self.user.name, 1).ok_or_else(Error::busy)
    }

    /// A turn among those who fetch content.
    fn turn_to_read(&self) -> Result<Share, Error> {
        self.registry.reads.take(&self.user.name, 1).ok_or_else(Error::busy)
    }

    fn content(&self) -> &'a ContentStore {
        &self.registry.content
    }

    fn header(&self, name: impl http::header::AsHeaderName) -> Option<&str> {
        self.parts.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// A request for artifacts, as authorization sees it.
pub(crate) fn artifacts(verb: Verb, namespace: Option<&str>, name: Option<&str>) -> ResourceRequest {
    ResourceRequest {
        verb,
        group: RUN_GROUP.to_owned(),
        version: "v1".to_owned(),
        namespace: namespace.map(str::to_owned),
        resource: "artifacts".to_owned(),
        name: name.map(str::to_owned),
        subresource: None,
        rest: Vec::new(),
        is_watch_prefixed: false,
    }
}

/// An answer without content.
fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// Sets a header whose text comes from checked values.
fn set(response: &mut Response<Body>, name: impl http::header::IntoHeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

#[cfg(test)]
mod tests;
