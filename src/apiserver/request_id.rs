//! What every request has, whether it came over a connection or from this process: an id that goes through all log lines,
//! to the node that is asked for it and back to the caller, and an answer even where the work panicked.

use std::panic::AssertUnwindSafe;

use api::status::Status;
use axum::body::Body;
use base::clock::Instant;
use futures::FutureExt as _;
use http::header::{CACHE_CONTROL, HeaderValue};
use http::{HeaderMap, Request, Response};
use tracing::Instrument as _;
use tunnel::AUDIT_ID;

use crate::respond::status;

/// The longest id that a client may give.
const BYTES_MAX: usize = 64;

/// A request's id, in its extensions.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(pub(crate) HeaderValue);

/// Answers `request` by `answer`; a panic becomes a 500 that names the request's id.
pub(crate) async fn identified<B, F>(mut request: Request<B>, answer: impl FnOnce(Request<B>) -> F) -> Response<Body>
where
    F: Future<Output = Response<Body>>,
{
    let headers = request.headers().clone();
    let id = of(&headers);
    let shown = id.to_str().unwrap_or_default().to_owned();
    let span = tracing::info_span!("request", id = shown, method = %request.method(), path = request.uri().path());
    request.extensions_mut().insert(RequestId(id.clone()));
    let started = Instant::now();
    let answered = AssertUnwindSafe(span.in_scope(|| answer(request))).catch_unwind().instrument(span.clone()).await;
    let mut response = answered.unwrap_or_else(|_| {
        let text = format!("This request caused apiserver to panic. Look in the logs for details of request {shown}.");
        status::response(&Status::internal_plain(text), &headers)
    });
    span.in_scope(|| tracing::debug!(code = response.status().as_u16(), took = ?started.elapsed(), "answered"));
    let headers = response.headers_mut();
    headers.insert(AUDIT_ID, id);
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache, private"));
    response
}

/// The caller's id if it is a plain short word, else a new one.
fn of(headers: &HeaderMap) -> HeaderValue {
    let is_plain = |id: &&HeaderValue| {
        let bytes = id.as_bytes();
        (1..=BYTES_MAX).contains(&bytes.len())
            && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let new = || HeaderValue::try_from(uuid::Uuid::new_v4().to_string()).unwrap_or(HeaderValue::from_static("none"));
    headers.get(AUDIT_ID).filter(is_plain).cloned().unwrap_or_else(new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_answered_and_names_the_request() {
        let request = Request::get("/api").header(AUDIT_ID, "one-request").body(Body::empty()).unwrap();
        let response = identified(request, |request| async move {
            let RequestId(id) = request.extensions().get().unwrap();
            panic!("{id:?}")
        });
        let response = response.await;
        assert_eq!((response.status().as_u16(), &response.headers()[AUDIT_ID]), (500, &"one-request".parse().unwrap()));
    }

    #[test]
    fn an_id_that_could_forge_a_line_of_the_log_is_replaced() {
        for (given, is_kept) in
            [("a-plain_1", true), ("", false), ("a b", false), ("a\tb", false), (&*"x".repeat(65), false)]
        {
            let mut headers = HeaderMap::new();
            headers.insert(AUDIT_ID, given.parse().unwrap());
            assert_eq!(of(&headers) == given, is_kept, "{given:?}");
        }
    }
}
