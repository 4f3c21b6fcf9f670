//! Serving a `wasi:http` component: HTTP/1.1 on a connection that somebody accepted, a fresh instance a request.
//!
//! The connection is driven by whoever serves it; the guest runs on guest threads. Each request has a deadline from
//! its head to the last byte of its answer, so that a slow client, a slow guest or a wait for a free instance all end.
//! What goes wrong in a guest is told to the client in a word and to the container's standard error in full.

mod guest;
mod reply;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use base::patience::Patient;
use bytes::Bytes;
use http::{Request, Response, header};
use http_body::Body;
use http_body_util::{BodyExt as _, Either, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use wasmtime_wasi_http::Error as HttpError;

use super::exit::Exit;
use super::{Ends, after};
use crate::threads::{Account, Afterwards, Threads};

pub(super) use guest::Guest;
use reply::{Answer, Answered, Refusal, Reply};

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
            .serve_connection(TokioIo::new(Patient::new(io, STALL_MAX)), service);
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

    async fn answer(self: &Arc<Self>, request: Request<Incoming>) -> Response<Either<Answer, Full<Bytes>>> {
        match self.try_answer(request).await {
            Ok(answer) => answer.map(Either::Left),
            Err(refusal) => refusal.response().map(Either::Right),
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
        let (reply, answered) = Reply::channel();
        let this = Arc::clone(self);
        self.threads.spawn(Arc::clone(&self.name), Arc::clone(&self.account), async move {
            this.guest.handle(&this.name, this.limited(request), reply, this.overdue(deadline)).await;
            // The instance is free when the guest is gone.
            Box::new(move || drop(instance)) as Afterwards
        });
        // A guest's task that ends without a word was dropped by a panic of the host.
        answered.await.unwrap_or(Err(Refusal::Failed))
    }

    /// A request whose body ends with an error where it is too large.
    fn limited(
        &self,
        request: Request<Incoming>,
    ) -> Request<impl Body<Data = Bytes, Error = HttpError> + Send + 'static> {
        let max = self.options.body_bytes_max;
        request.map(|body| {
            Limited::new(body, max).map_err(move |error| match error.downcast::<hyper::Error>() {
                Ok(error) => HttpError::Hyper(*error),
                Err(_) => HttpError::HttpRequestBodySize(Some(max as u64)),
            })
        })
    }

    /// Completes when a request has to end before it is done, and says why.
    async fn overdue(&self, deadline: base::clock::Instant) -> Refusal {
        tokio::select! {
            biased;
            () = self.stopped.cancelled() => Refusal::Stopped,
            () = tokio::time::sleep_until(deadline) => Refusal::TooSlow,
        }
    }
}
