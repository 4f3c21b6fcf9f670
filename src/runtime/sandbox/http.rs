//! Serving a `wasi:http` component: HTTP/1.1 on a connection that somebody accepted, a fresh instance a request.
//!
//! The connection is driven by whoever serves it; the guest runs on guest threads. Each request has a deadline from
//! its head to the last byte of its answer, so that a slow client, a slow guest or a wait for a free instance all end.
//! What goes wrong in a guest is told to the client in a word and to the container's standard error in full.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, oneshot};
use tokio_util::sync::CancellationToken;
use wasmtime::Store;
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;
use wasmtime_wasi_http::{Error as HttpError, WasiHttpView as _};

use super::exit::{Exit, trap_text};
use super::impatient::Impatient;
use super::limits::Memory;
use super::spec::Context;
use super::state::{ComponentState, Denied, component_store};
use super::{Ends, after};
use crate::code::{Code, Program};
use crate::threads::{Account, Afterwards, Threads};

/// How an http component serves.
#[derive(Clone, Copy, Debug)]
pub struct HttpOptions {
    /// The largest request body, in bytes; beyond it the client gets 413, or the guest an error while reading.
    pub body_bytes_max: usize,
    /// How long a request may take, from its head to the end of its answer; then the client gets 504.
    pub request_deadline: Duration,
    /// Instances at once, at least one; more requests wait within their deadline, then get 503.
    pub concurrency: u32,
}

/// Connections of one sandbox at once; more are closed when they come.
pub const CONNECTIONS_MAX: u32 = 1024;

/// Bytes of a request's head, and of hyper's buffer a connection; larger heads get 431.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// How long a client may take for a request's head, and stay silent between requests.
const HEAD_DEADLINE: Duration = Duration::from_secs(60);

/// How long a client may leave an answer unread before its connection is closed.
const STALL_MAX: Duration = Duration::from_secs(60);

/// What a request's guest is made of.
pub(super) struct Guest {
    pub(super) code: Code,
    pub(super) context: Context,
    pub(super) memory: Arc<Memory>,
}

/// The serving side of one http sandbox.
pub(super) struct Server {
    name: Arc<str>,
    guest: Guest,
    threads: Arc<Threads>,
    account: Arc<Account>,
    options: HttpOptions,
    /// One permit an instance.
    instances: Arc<Semaphore>,
    /// One permit a connection.
    connections: Semaphore,
    /// Asks connections to end after their request.
    draining: CancellationToken,
    /// Ends everything at once.
    stopped: CancellationToken,
}

/// What a client is told instead of the guest's answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Refusal {
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
type Answered = Result<Response<Answer>, Refusal>;

/// The client's end of one request: takes one answer, the first.
#[derive(Clone)]
struct Reply {
    sender: Arc<Mutex<Option<oneshot::Sender<Answered>>>>,
    /// Whether the guest broke off, so that its answer must not look complete.
    broken: Arc<AtomicBool>,
}

/// The body of a guest's answer.
struct Answer {
    body: HyperOutgoingBody,
    broken: Arc<AtomicBool>,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self { body_bytes_max: 16 << 20, request_deadline: Duration::from_secs(60), concurrency: 64 }
    }
}

impl Server {
    pub(super) fn new(
        name: Arc<str>,
        guest: Guest,
        threads: Arc<Threads>,
        account: Arc<Account>,
        mut options: HttpOptions,
    ) -> Self {
        options.concurrency = options.concurrency.max(1);
        Self {
            name,
            guest,
            threads,
            account,
            options,
            instances: Arc::new(Semaphore::new(options.concurrency as usize)),
            connections: Semaphore::new(CONNECTIONS_MAX as usize),
            draining: CancellationToken::new(),
            stopped: CancellationToken::new(),
        }
    }

    /// Waits for the sandbox's end and brings everything to it.
    pub(super) async fn run(&self, ends: Ends) -> Exit {
        let drained = async {
            ends.terminate.requested().await;
            self.draining.cancel();
            // Never closed; all permits back means nobody left.
            let _connections = self.connections.acquire_many(CONNECTIONS_MAX).await;
            self.guests_ended().await;
        };
        let exit = tokio::select! {
            biased;
            () = ends.kill.requested() => Exit::Killed,
            () = after(ends.deadline) => Exit::Deadline,
            () = drained => Exit::Code(0),
        };
        self.draining.cancel();
        self.stopped.cancel();
        // Whoever hears the exit may take the volumes away.
        self.guests_ended().await;
        exit
    }

    /// Waits until no request has a guest.
    async fn guests_ended(&self) {
        let _instances = self.instances.acquire_many(self.options.concurrency).await;
    }

    /// Serves one connection to its end.
    pub(super) async fn serve(self: &Arc<Self>, io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        if self.draining.is_cancelled() {
            return;
        }
        let Ok(_permit) = self.connections.try_acquire() else {
            tracing::debug!(sandbox = %self.name, "a connection is closed because there are too many");
            return;
        };
        let service = service_fn(|request| async { Ok::<_, Infallible>(self.answer(request).await) });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_DEADLINE)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(Impatient::new(io, STALL_MAX)), service);
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            biased;
            () = self.stopped.cancelled() => return,
            ended = connection.as_mut() => ended,
            () = self.draining.cancelled() => {
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    () = self.stopped.cancelled() => return,
                    ended = connection => ended,
                }
            }
        };
        if let Err(error) = ended {
            tracing::debug!(sandbox = %self.name, %error, "a connection broke off");
        }
    }

    async fn answer(
        self: &Arc<Self>,
        request: Request<Incoming>,
    ) -> Response<http_body_util::Either<Answer, Full<Bytes>>> {
        match self.try_answer(request).await {
            Ok(answer) => answer.map(http_body_util::Either::Left),
            Err(refusal) => refusal.response().map(http_body_util::Either::Right),
        }
    }

    async fn try_answer(self: &Arc<Self>, request: Request<Incoming>) -> Answered {
        if request.uri().authority().is_none() && !request.headers().contains_key(header::HOST) {
            return Err(Refusal::NoHost);
        }
        if request.body().size_hint().lower() > self.options.body_bytes_max as u64 {
            return Err(Refusal::TooLarge);
        }
        let deadline = base::clock::Instant::now() + self.options.request_deadline;
        let free = Arc::clone(&self.instances).acquire_owned();
        let Ok(Ok(instance)) = tokio::time::timeout_at(deadline, free).await else { return Err(Refusal::Busy) };
        let (sender, answered) = oneshot::channel();
        let reply = Reply { sender: Arc::new(Mutex::new(Some(sender))), broken: Arc::default() };
        let this = Arc::clone(self);
        self.threads.spawn(Arc::clone(&self.name), Arc::clone(&self.account), async move {
            this.run_guest(request, reply, deadline).await;
            // The instance is free when the guest is gone.
            Box::new(move || drop(instance)) as Afterwards
        });
        // A guest's task that ends without a word was dropped by a panic of the host.
        answered.await.unwrap_or(Err(Refusal::Failed))
    }

    /// One request's guest, on a guest thread.
    async fn run_guest(&self, request: Request<Incoming>, reply: Reply, deadline: base::clock::Instant) {
        let (program, _slot) = self.guest.code.program();
        let Program::Http(pre) = program else { return reply.refuse(Refusal::Failed) };
        let (wasi, outputs) = match self.guest.context.wasi() {
            Ok(made) => made,
            Err(error) => {
                tracing::warn!(sandbox = %self.name, %error, "a request's guest cannot be started");
                return reply.refuse(Refusal::Failed);
            }
        };
        let denied = Denied::default();
        let mut store = component_store(pre.engine(), wasi, &self.guest.memory, &denied);
        let failure = tokio::select! {
            biased;
            () = self.stopped.cancelled() => Some((Refusal::Stopped, None)),
            () = tokio::time::sleep_until(deadline) => Some((Refusal::TooSlow, None)),
            outcome = self.call(&mut store, pre, request, reply.clone()) => {
                outcome.err().map(|error| (Refusal::Failed, Some(trap_text(&error))))
            }
        };
        // Before the store goes, and with it the guest's end of the body.
        reply.broken.store(failure.is_some(), Ordering::Release);
        drop(store);
        // A guest that ends well without an answer has failed its client all the same.
        let (refusal, trap) = failure.unwrap_or((Refusal::Failed, None));
        reply.refuse(refusal);
        if let Some(trap) = trap {
            let text = if denied.is_raised() { Exit::MemoryLimit(self.guest.memory.max()).to_string() } else { trap };
            outputs.stderr.tell(&format!("{text}\n")).await;
        }
        outputs.drain().await;
    }

    async fn call(
        &self,
        store: &mut Store<ComponentState>,
        pre: &ProxyPre<ComponentState>,
        request: Request<Incoming>,
        reply: Reply,
    ) -> wasmtime::Result<()> {
        let max = self.options.body_bytes_max;
        let request = request.map(|body| {
            Limited::new(body, max).map_err(move |error| match error.downcast::<hyper::Error>() {
                Ok(error) => HttpError::Hyper(*error),
                Err(_) => HttpError::HttpRequestBodySize(Some(max as u64)),
            })
        });
        let proxy = pre.instantiate_async(&mut *store).await?;
        let request = store.data_mut().http().new_incoming_request(Scheme::Http, request)?;
        let answer = store.data_mut().http().new_response_outparam_from_callback(move |answer| match answer {
            Ok(answer) => reply.answer(answer),
            Err(code) => {
                tracing::debug!(?code, "a guest answered with an error");
                reply.refuse(Refusal::Failed);
            }
        })?;
        proxy.wasi_http_incoming_handler().call_handle(store, request, answer).await
    }
}

impl Reply {
    fn answer(&self, response: Response<HyperOutgoingBody>) {
        let broken = Arc::clone(&self.broken);
        self.send(Ok(response.map(|body| Answer { body, broken })));
    }

    /// Tells the client, if nothing was told yet.
    fn refuse(&self, refusal: Refusal) {
        self.send(Err(refusal));
    }

    fn send(&self, answer: Answered) {
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(sender) = sender {
            // A client that is gone needs no answer.
            let _ = sender.send(answer);
        }
    }
}

impl Refusal {
    fn response(self) -> Response<Full<Bytes>> {
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

impl Body for Answer {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
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
