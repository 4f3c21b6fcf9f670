//! `pods/log`: the node reads, the server hands on as it comes.

use api::status::Status;
use axum::body::Body;
use http::header::CONTENT_TYPE;
use http::{Response, StatusCode};
use http_body_util::{BodyExt as _, Empty, Limited};

use super::Target;
use crate::verbs::Call;

/// Options of a log that are handed on to the node.
const OPTIONS: [&str; 8] =
    ["follow", "previous", "timestamps", "tailLines", "limitBytes", "sinceSeconds", "sinceTime", "stream"];

/// The most of a node's error text that is handed on.
const ERROR_BYTES_MAX: usize = 16 << 10;

/// Answers with a container's log.
pub(crate) async fn log(call: &Call) -> Result<Response<Body>, Status> {
    check(call)?;
    let target = Target::find(call)?;
    let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
    let request = target.ask(call, "containerLogs", &super::options(call, &OPTIONS)).body(body);
    let request = request.map_err(|error| Status::bad_request(error.to_string()))?;
    let answer = target.tunnel.request(request).await.map_err(|error| target.unreachable(&error))?;

    let (parts, body) = answer.into_parts();
    if parts.status == StatusCode::OK {
        let mut response = Response::new(Body::new(body));
        response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("text/plain"));
        return Ok(response);
    }
    let text = Limited::new(body, ERROR_BYTES_MAX).collect().await;
    let text = text.map(|text| String::from_utf8_lossy(&text.to_bytes()).trim().to_owned()).unwrap_or_default();
    Err(match parts.status {
        StatusCode::NOT_FOUND => Status::bad_request(text),
        code if code.is_client_error() => Status::bad_request(text),
        _ => Status::internal(text),
    })
}

/// Refuses options that contradict one another, in upstream's words.
fn check(call: &Call) -> Result<(), Status> {
    use api::validation::field::Error;
    let mut errors = Vec::new();
    for (name, least) in [("tailLines", 0), ("limitBytes", 1), ("sinceSeconds", 1)] {
        if let Some(value) = call.query.integer(name)?
            && value < least
        {
            let why = if least == 0 { "must be greater than or equal to 0" } else { "must be greater than 0" };
            errors.push(Error::invalid(name, value, why));
        }
    }
    if call.query.find("sinceTime").is_some() && call.query.find("sinceSeconds").is_some() {
        errors.push(Error::forbidden("", "at most one of `sinceTime` or `sinceSeconds` may be specified"));
    }
    if errors.is_empty() { Ok(()) } else { Err(Status::invalid("", "PodLogOptions", call.name()?, errors)) }
}
