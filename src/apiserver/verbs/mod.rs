//! The verbs: what happens to a request once it is known who asks for what.
//!
//! [`serve`] is the one way in: it authorizes, finds the resource's row, and hands a [`Call`] to the verb. Each verb
//! answers with an [`Answer`] or a [`Status`]; [`crate::respond`] turns both into bytes. No verb knows a kind: what
//! differs between kinds is in the row's strategy, and what differs for a subresource in [`subresources`].

pub(crate) mod apply;
pub(crate) mod backup;
pub(crate) mod body;
pub(crate) mod create;
pub(crate) mod decode;
pub(crate) mod delete;
pub(crate) mod get;
pub(crate) mod list;
mod own;
pub(crate) mod patch;
mod reviews;
pub(crate) mod subresources;
pub(crate) mod update;
pub(crate) mod watch;

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use api::scheme::{Resource, Scope};
use api::status::Status;
use axum::body::Body;
use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response};
use serde_json::Value;

use crate::authentication::User;
use crate::authorization::Facts as _;
use crate::limits;
use crate::negotiate::{self, Accepted, MEDIA_TYPES, STREAM_MEDIA_TYPES, Subject};
use crate::objects::Objects;
use crate::options::Query;
use crate::request_info::{ResourceRequest, Verb};
use crate::respond::{self, Answer};
use crate::server::ApiServer;
use crate::services::Reservation;
use crate::shares::Share;

/// The group of what Kubernetes has no word for: uploads, and nodes' tunnels.
pub(crate) const RUN_GROUP: &str = "run.minke.dev";

/// The largest body of a write, as upstream's: 3 MiB.
pub(crate) const BODY_BYTES_MAX: usize = 3 << 20;

/// How long a request may take, as upstream's `--request-timeout`.
const REQUEST_DURATION_MAX: Duration = Duration::from_secs(60);

/// Subresources that are done and not kept.
const ACTIONS: [&str; 3] = ["binding", "eviction", "token"];

/// What is said of one that takes longer.
const TOO_LONG: &str = "request did not complete within requested timeout - context deadline exceeded";

/// One request for a resource, with everything a verb may ask.
pub(crate) struct Call {
    pub server: ApiServer,
    pub user: User,
    pub resource: Arc<Resource>,
    pub request: ResourceRequest,
    pub query: Query,
    pub accepted: Accepted,
    pub parts: Parts,
    /// Texts for `Warning:` headers, in order.
    warnings: Mutex<Vec<String>>,
    /// What the body takes of the room for bodies.
    shares: Mutex<Vec<Share>>,
    /// Addresses and ports that were chosen for a Service.
    reservations: Mutex<Vec<Reservation>>,
    /// See [`Call::namespace_object`].
    namespace_object: Mutex<Option<(String, Option<Arc<Value>>)>>,
}

impl Call {
    /// The namespace of the request, for a resource that has namespaces.
    pub(crate) fn namespace(&self) -> Option<&str> {
        match self.resource.scope {
            Scope::Namespaced => self.request.namespace.as_deref(),
            Scope::Cluster => None,
        }
    }

    /// The name in the path.
    pub(crate) fn name(&self) -> Result<&str, Status> {
        self.request.name.as_deref().ok_or_else(Status::method_not_supported)
    }

    pub(crate) fn objects(&self) -> &Objects {
        self.server.objects()
    }

    /// Reads the request's body, which takes its part of the room for bodies until the call ends.
    pub(crate) async fn read(&self, body: Body) -> Result<Bytes, Status> {
        let (content, share) = body::read(self.server.bodies(), &self.user.name, body).await?;
        self.shares.lock().unwrap_or_else(PoisonError::into_inner).extend(share);
        Ok(content)
    }

    /// Keeps what was chosen for a Service until the call ends.
    pub(crate) fn keep(&self, reservation: Reservation) {
        self.reservations.lock().unwrap_or_else(PoisonError::into_inner).push(reservation);
    }

    /// Room for so many bytes beside the request's body, of what its user may take.
    pub(crate) fn room(&self, bytes: usize) -> Result<Share, Status> {
        let share = self.server.bodies().take(&self.user.name, bytes);
        share.ok_or_else(|| Status::too_many_requests("Too many requests, please try again later.", 1))
    }

    /// A namespace as it was when the request first asked for it; each webhook and policy may.
    pub(crate) fn namespace_object(&self, name: &str) -> Option<Arc<Value>> {
        if name.is_empty() {
            return None;
        }
        let mut known = self.namespace_object.lock().unwrap_or_else(PoisonError::into_inner);
        match &*known {
            Some((of, object)) if of == name => object.clone(),
            _ => {
                let object = self.server.object("", "namespaces", None, name).map(Arc::new);
                *known = Some((name.to_owned(), object.clone()));
                object
            }
        }
    }

    /// Refuses who has no right to do what the request does by another verb, too.
    pub(crate) fn authorize(&self, verb: Verb) -> Result<(), Status> {
        let request = ResourceRequest { verb, ..self.request.clone() };
        self.server.authorize(&self.user, &request, &self.query)
    }

    /// Adds a `Warning:` header to the answer.
    pub(crate) fn warn(&self, text: impl Into<String>) {
        let text = text.into();
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        if !warnings.contains(&text) {
            warnings.push(text);
        }
    }

    pub(crate) fn warnings(&self) -> Vec<String> {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Serves a request for a resource: the answer, or the `Status` that says why not.
pub(crate) async fn serve(
    server: ApiServer,
    user: User,
    request: ResourceRequest,
    http: Request<Body>,
) -> Result<Response<Body>, Status> {
    let query = Query::parse(http.uri().query().unwrap_or_default());
    server.authorize(&user, &request, &query)?;
    if request.group == RUN_GROUP {
        return own::serve(&server, &user, &request, http).await;
    }
    let (parts, body) = http.into_parts();
    let scheme = server.scheme();
    let Some(resource) = scheme.resource(&request.group, &request.version, &request.resource).cloned() else {
        return Err(Status::no_such_resource());
    };
    let is_misplaced =
        resource.scope == Scope::Cluster && request.namespace.is_some() && request.resource != "namespaces";
    if is_misplaced || !request.rest.is_empty() {
        return Err(Status::no_such_resource());
    }
    if resource.scope == Scope::Namespaced && request.namespace.is_none() {
        // Across all namespaces objects are looked at, and nothing else.
        match (request.name.is_some(), request.verb) {
            (true, _) => return Err(Status::no_such_resource()),
            (false, Verb::List | Verb::Watch) => {}
            (false, _) => return Err(Status::method_not_supported()),
        }
    }
    let pretty = query.find("pretty").and_then(|_| query.flag("pretty"));
    let is_answer = !resource.is_stored || request.subresource.as_deref().is_some_and(|name| ACTIONS.contains(&name));
    let subject = if is_answer { Subject::Answers(&resource) } else { Subject::Objects(&resource) };
    let accepted = negotiate::accepted(&parts.headers, pretty, subject);
    let accepted = accepted.map_err(|error| error.to_status(&available(&request)))?;
    let call = Call {
        server,
        user,
        resource,
        request,
        query,
        accepted,
        parts,
        warnings: Mutex::default(),
        shares: Mutex::default(),
        reservations: Mutex::default(),
        namespace_object: Mutex::default(),
    };

    let is_offered = call.resource.verbs.iter().any(|verb| verb.as_str() == call.request.verb.as_str());
    match (call.request.subresource.is_some(), call.request.verb) {
        (true, _) if limits::lasts(&call.request) => subresources::serve(call, body).await,
        (false, _) if !is_offered => Err(Status::method_not_supported()),
        (false, Verb::Watch) => watch::serve(call),
        _ => {
            let query = call.query.clone();
            within_deadline(&query, Box::pin(serve_whole(call, body))).await
        }
    }
}

/// What is served within the time that a request may take.
pub(crate) async fn within_deadline<T>(
    query: &Query,
    serving: impl Future<Output = Result<T, Status>>,
) -> Result<T, Status> {
    let served = tokio::time::timeout(deadline(query)?, serving).await;
    served.unwrap_or_else(|_| Err(Status::timeout(TOO_LONG, 0)))
}

/// How long a request may take that does not last as long as its client likes: as long as its client says, within a
/// bound.
fn deadline(query: &Query) -> Result<Duration, Status> {
    let Some(said) = query.find("timeout").filter(|said| !said.is_empty()) else { return Ok(REQUEST_DURATION_MAX) };
    let invalid = |why: String| Status::bad_request(format!("invalid timeout specified in the request URL - {why}"));
    let said = api::durations::parse(said).map_err(invalid)?;
    let said = u64::try_from(said).ok().filter(|said| *said > 0).map(Duration::from_nanos);
    Ok(said.unwrap_or(REQUEST_DURATION_MAX).min(REQUEST_DURATION_MAX))
}

/// Serves a request that is answered at once.
async fn serve_whole(call: Call, body: Body) -> Result<Response<Body>, Status> {
    if call.request.subresource.is_some() {
        return subresources::serve(call, body).await;
    }
    let answered = dispatch(&call, body).await;
    let responded = match answered {
        Ok(answer) => respond::answer(&call, answer).await,
        Err(status) => Err(status),
    };
    responded.or_else(|status| Ok(respond::refusal(&call, &status)))
}

/// The media types that upstream's route of a request has: collections may be watched.
fn available(request: &ResourceRequest) -> Cow<'static, str> {
    match request.verb {
        Verb::List | Verb::Watch if request.name.is_none() => format!("{MEDIA_TYPES}, {STREAM_MEDIA_TYPES}").into(),
        _ => MEDIA_TYPES.into(),
    }
}

/// What the verb makes of the request.
async fn dispatch(call: &Call, body: Body) -> Result<Answer, Status> {
    match (call.request.verb, call.request.name.is_some()) {
        (Verb::Get, _) => get::serve(call).await,
        (Verb::List, _) => list::serve(call).await,
        (Verb::Create, false) if !call.resource.is_stored => reviews::serve(call, call.read(body).await?).await,
        (Verb::Create, false) => create::serve(call, call.read(body).await?).await,
        (Verb::Update, true) => update::serve(call, call.read(body).await?).await,
        (Verb::Patch, true) => patch::serve(call, call.read(body).await?).await,
        (Verb::Delete, _) => delete::serve(call, call.read(body).await?).await,
        (Verb::DeleteCollection, _) => delete::serve_collection(call, call.read(body).await?).await,
        (Verb::Create, true) | (Verb::Update | Verb::Patch, false) | (Verb::Watch, _) => {
            Err(Status::method_not_supported())
        }
    }
}

/// The answer with an object, under the status code of its verb.
pub(crate) fn object(value: serde_json::Value) -> Answer {
    Answer::Object { value, code: http::StatusCode::OK }
}
