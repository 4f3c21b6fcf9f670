//! An API server in this process, and asking it.

use std::time::Duration;

use apiserver::authentication::User;
use apiserver::{ApiServer, InProcess, Options};
use base::shutdown::{self, Trigger};
use bytes::Bytes;
use futures::future::{BoxFuture, join_all};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use serde_json::Value;
use store::Store;
use tower::ServiceExt as _;

use crate::exchange::{Answer, Exchange, HEADERS};
use crate::table;

/// How long an answer may take; a watch of the tables ends by itself after a second or two.
const ANSWER_DEADLINE: Duration = Duration::from_secs(30);

/// How often an object is read that is awaited.
const AWAIT_EVERY: Duration = Duration::from_millis(10);

/// Who asks, and so manages what it writes: as upstream's session was recorded.
const USER_AGENT: &str = "recorder/1";

/// Not a method: the store forgets its history and the server starts anew over it.
const RESTART: &str = "RESTART";

/// Not a method: an object is read until the values of the body stand under its pointers.
const AWAIT: &str = "AWAIT";

/// A server, and what it answered to named exchanges, before any placeholders.
pub(crate) struct Session {
    server: ApiServer,
    trigger: Trigger,
    store: Store,
    answers: Vec<(String, Value)>,
    _folder: tempfile::TempDir,
}

impl Session {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(store::Options::file(folder.path().join("store.redb"))).await.unwrap();
        let (server, trigger) = serve(&store).await;
        Self { server, trigger, store, answers: Vec::new(), _folder: folder }
    }

    async fn restart(&mut self) {
        self.store.compact(self.store.revision()).await.unwrap();
        (self.server, self.trigger) = serve(&self.store).await;
    }

    /// Sends one request as an administrator.
    pub(crate) async fn send(&self, request: Request<String>) -> Response<Bytes> {
        receive(self.server.service_as(User::master("admin")), request).await
    }

    /// Asks in order. Watches that follow each other run side by side, as each takes its whole time.
    pub(crate) async fn ask_all(&mut self, exchanges: &[Exchange]) -> Vec<Answer> {
        let mut answers = Vec::new();
        let mut waiting: Vec<BoxFuture<'static, Answer>> = Vec::new();
        for exchange in exchanges {
            if exchange.method == RESTART {
                self.restart().await;
                answers.push(Answer::default());
                continue;
            }
            if exchange.method == AWAIT {
                self.wait_for(exchange).await;
                answers.push(Answer::default());
                continue;
            }
            let asked = self.ask(exchange);
            if exchange.path.contains("timeoutSeconds=") {
                waiting.push(asked);
                continue;
            }
            answers.extend(join_all(waiting.drain(..)).await);
            let answer = asked.await;
            if let Some(body) = answer.body.first() {
                self.answers.push((exchange.name.clone(), body.clone()));
            }
            answers.push(answer);
        }
        answers.extend(join_all(waiting).await);
        answers
    }

    async fn wait_for(&self, exchange: &Exchange) {
        let wanted: Value = serde_json::from_str(&exchange.body).unwrap();
        let mut read = exchange.clone();
        (read.method, read.body) = ("GET".to_owned(), String::new());
        let met = async {
            loop {
                let answer = self.ask(&read).await;
                let found = |pointer: &str| answer.body.first().and_then(|object| object.pointer(pointer));
                if wanted.as_object().unwrap().iter().all(|(pointer, value)| found(pointer) == Some(value)) {
                    return;
                }
                tokio::time::sleep(AWAIT_EVERY).await;
            }
        };
        let met = tokio::time::timeout(ANSWER_DEADLINE, met).await;
        assert!(met.is_ok(), "{} never has {wanted}", exchange.path);
    }

    fn ask(&self, exchange: &Exchange) -> BoxFuture<'static, Answer> {
        let mut request = Request::builder().method(exchange.method.as_str()).uri(self.filled_in(&exchange.path));
        request = request.header(http::header::USER_AGENT, USER_AGENT);
        for (name, value) in exchange.headers.iter().filter(|(name, _)| name != "user") {
            request = request.header(name, value);
        }
        let request = request.body(self.filled_in(&exchange.body)).unwrap();
        let user = match exchange.header("user") {
            None => User::master("admin"),
            Some("anonymous") => User::anonymous(),
            Some(name) => User::authenticated(name, Vec::new()),
        };
        let service = self.server.service_as(user);
        Box::pin(async move {
            let (head, body) = receive(service, request).await.into_parts();
            let headers = head.headers.iter().filter(|(name, _)| HEADERS.contains(&name.as_str()));
            let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
            Answer::of(head.status.as_u16(), headers.collect(), &body)
        })
    }

    /// `${NAME:/POINTER}` is a value of the answer to the exchange NAME.
    fn filled_in(&self, text: &str) -> String {
        let mut parts = text.split("${");
        let mut filled = parts.next().unwrap().to_owned();
        for part in parts {
            let (reference, rest) = part.split_once('}').unwrap();
            let (name, pointer) = reference.split_once(':').unwrap();
            let value = table::pointed_at(&self.answers, name, pointer);
            filled.push_str(value.as_str().unwrap_or(&value.to_string()));
            filled.push_str(rest);
        }
        filled
    }
}

async fn serve(store: &Store) -> (ApiServer, Trigger) {
    let (trigger, shutdown) = shutdown::channel();
    (ApiServer::start(store.clone(), Options::new("0.0.0"), shutdown).await.unwrap(), trigger)
}

async fn receive(service: InProcess, request: Request<String>) -> Response<Bytes> {
    let title = format!("{} {}", request.method(), request.uri());
    let answered = async {
        let (head, body) = service.oneshot(request.map(Full::from)).await.unwrap().into_parts();
        Response::from_parts(head, body.collect().await.unwrap().to_bytes())
    };
    let answer = tokio::time::timeout(ANSWER_DEADLINE, answered).await;
    answer.unwrap_or_else(|_| panic!("{title}: no answer in time"))
}
