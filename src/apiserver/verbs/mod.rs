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

use api::scheme::{Resource, Scope};
use api::status::Status;
use axum::body::Body;
use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response};

use crate::authentication::User;
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
    let pretty = query.flag("pretty").unwrap_or(false);
    let accepted = negotiate::accepted(&parts.headers, pretty, Subject::Objects(&resource));
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
    };

    if call.request.subresource.is_some() {
        return subresources::serve(call, body).await;
    }
    if !call.resource.verbs.iter().any(|verb| verb.as_str() == call.request.verb.as_str()) {
        return Err(Status::method_not_supported());
    }
    if call.request.verb == Verb::Watch {
        return watch::serve(call);
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
