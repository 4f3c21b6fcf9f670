//! What a client gets: the guest's answer, or a word about why there is none.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Response, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use tokio::sync::oneshot;
use wasmtime_wasi_http::{Error as HttpError, WasiBody};

/// What a client is told instead of the guest's answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Refusal {
    /// The request lacks what WASI calls its authority.
    NoHost,
    /// Its body is announced as larger than is taken.
    TooLarge,
    /// The guest trapped, or ended without an answer.
    Failed,
    /// No instance came free within the deadline.
    Busy,
    /// The sandbox ended meanwhile.
    Stopped,
    /// The guest did not answer within the deadline.
    TooSlow,
}

/// The guest's answer, or what is told instead.
pub(super) type Answered = Result<Response<Answer>, Refusal>;

/// The client's end of one request: takes one answer, the first.
#[derive(Clone)]
pub(super) struct Reply {
    sender: Arc<Mutex<Option<oneshot::Sender<Answered>>>>,
    /// Whether the guest broke off, so that its answer must not look complete.
    broken: Arc<AtomicBool>,
}

/// The body of a guest's answer.
pub(super) struct Answer {
    body: WasiBody,
    broken: Arc<AtomicBool>,
}

impl Reply {
    /// A reply, and where it arrives. One that is dropped without a word arrives as an error.
    pub(super) fn channel() -> (Self, oneshot::Receiver<Answered>) {
        let (sender, answered) = oneshot::channel();
        (Self { sender: Arc::new(Mutex::new(Some(sender))), broken: Arc::default() }, answered)
    }

    pub(super) fn answer(&self, response: Response<WasiBody>) {
        let broken = Arc::clone(&self.broken);
        self.send(Ok(response.map(|body| Answer { body, broken })));
    }

    /// Tells the client, if nothing was told yet.
    pub(super) fn refuse(&self, refusal: Refusal) {
        self.send(Err(refusal));
    }

    /// Says that the guest broke off, or that it came to an end.
    pub(super) fn end(&self, is_broken: bool) {
        self.broken.store(is_broken, Ordering::Release);
    }

    fn send(&self, answer: Answered) {
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(sender) = sender {
            // A client that is gone needs no answer.
            let _ = sender.send(answer);
        }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(None) if self.broken.load(Ordering::Acquire) => {
                Poll::Ready(Some(Err(HttpError::HttpResponseIncomplete)))
            }
            polled => polled,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Refusal {
    pub(super) fn response(self) -> Response<Full<Bytes>> {
        let (status, text) = match self {
            Self::NoHost => (StatusCode::BAD_REQUEST, "the request names no host\n"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "the body is larger than this component takes\n"),
            Self::Failed => (StatusCode::INTERNAL_SERVER_ERROR, "the component failed\n"),
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, "the component has no instance free\n"),
            Self::Stopped => (StatusCode::SERVICE_UNAVAILABLE, "the component is being stopped\n"),
            Self::TooSlow => (StatusCode::GATEWAY_TIMEOUT, "the component did not answer in time\n"),
        };
        let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
        *response.status_mut() = status;
        let plain = header::HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, plain);
        response
    }
}
