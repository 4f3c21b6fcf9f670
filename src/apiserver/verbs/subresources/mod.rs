//! Subresources: parts of an object with rights of their own (`status`, `scale`, `finalize`, `approval`), actions on it
//! (`binding`, `eviction`), and what its node answers (`log`, `attach`).

pub(super) mod binding;
mod eviction;
pub(crate) mod scale;
mod token;

use api::status::Status;
use axum::body::Body;
use http::Response;

use super::update::{self, Part};
use super::{Call, decode, get, patch};
use crate::options::WriteOptions;
use crate::request_info::Verb;
use crate::{nodes, respond};

/// Serves a request for a subresource that the row offers with this verb.
pub(crate) async fn serve(call: Call, body: Body) -> Result<Response<Body>, Status> {
    let wanted = call.request.subresource.clone().unwrap_or_default();
    let Some(offered) = call.resource.subresources.iter().find(|offered| offered.name == wanted) else {
        return Err(Status::no_such_resource());
    };
    if !offered.verbs.iter().any(|verb| verb.as_str() == call.request.verb.as_str()) {
        return Err(Status::method_not_supported());
    }
    let answer = match (wanted.as_str(), call.request.verb) {
        ("log", Verb::Get) => return nodes::log(&call).await,
        ("attach", _) => return nodes::attach(call, body).await,
        ("binding", Verb::Create) => binding::serve(&call, call.read(body).await?).await?,
        ("eviction", Verb::Create) => eviction::serve(&call, call.read(body).await?).await?,
        ("token", Verb::Create) => token::serve(&call, call.read(body).await?).await?,
        ("scale", _) => scale::serve(&call, call.read(body).await?).await?,
        (_, Verb::Get) => get::serve(&call).await?,
        ("status", Verb::Update) => replace(&call, body, Part::Status).await?,
        ("status", Verb::Patch) => patch::serve_part(&call, call.read(body).await?, Part::Status).await?,
        ("approval", Verb::Update) => replace(&call, body, Part::Approval).await?,
        ("approval", Verb::Patch) => patch::serve_part(&call, call.read(body).await?, Part::Approval).await?,
        ("finalize", Verb::Update) => replace(&call, body, Part::Finalizers).await?,
        _ => return Err(Status::method_not_supported()),
    };
    respond::answer(&call, answer).await
}

async fn replace(call: &Call, body: Body, part: Part) -> Result<respond::Answer, Status> {
    let options = WriteOptions::read(&call.query, "UpdateOptions")?;
    let body = call.read(body).await?;
    let mut new = decode::object(call, &decode::Expected::of(&call.resource), &body, options.field_validation)?;
    update::check_identity(call, &mut new)?;
    Ok(super::object(update::replace(call, &new, part, &options).await?))
}
