//! The one place where a [`Status`] becomes an HTTP answer.

use api::status::Status;
use axum::body::Body;
use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{HeaderMap, Response, StatusCode};

use super::write_value;
use crate::negotiate::{self, Accepted, Format, Shape, Subject};

/// The answer that carries `status`, in a format that the client of `asked` accepts.
pub(crate) fn response(status: &Status, asked: &HeaderMap) -> Response<Body> {
    // Who accepts nothing that we write gets JSON for eyes, as upstream does.
    let plain = Accepted { format: Format::Json, shape: Shape::Whole, is_pretty: true, of_list: None };
    let accepted = negotiate::accepted(asked, None, Subject::Message).unwrap_or(plain);
    let body = write_value(accepted, &status.to_value()).unwrap_or_default();
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(accepted.format.content_type()));
    if let Some(seconds) = status.retry_after_seconds() {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}
