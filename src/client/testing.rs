//! An API server for tests of the floors above: it keeps objects, tells watchers, and has just enough rules of its own
//! (names, versions, finalizers, preconditions) that components can be seen to do their part.
//!
//! What it lacks on purpose: schemas, defaults, validation, rights, and graceful deletion of anything but pods that
//! have a node.

mod path;
mod rules;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::BoxBody};
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc};

use crate::testing::path::Path;

/// How long a test waits for what must come. Time may stand still in a test: then this passes at once.
const DEADLINE: Duration = Duration::from_secs(60);

type Answer = Response<BoxBody<Bytes, Infallible>>;

/// The server; clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct FakeServer {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// By path without subresource.
    objects: BTreeMap<Path, Value>,
    watchers: Vec<Watcher>,
    /// `METHOD path` of each request that may change something.
    writes: Vec<String>,
    /// What is answered to requests instead, by `METHOD path`: the code, and how often still.
    refusals: BTreeMap<String, (u16, usize)>,
    revision: u64,
    /// What was removed, and in which revision.
    gone: Vec<(u64, Path, Value)>,
}

#[derive(Debug)]
struct Watcher {
    of: Path,
    fields: Vec<(String, String)>,
    lines: mpsc::UnboundedSender<Bytes>,
}

impl FakeServer {
    /// A client of it.
    #[must_use]
    pub fn client(&self) -> kube::Client {
        let server = self.clone();
        crate::connect::in_process(tower::service_fn(move |request| {
            let server = server.clone();
            async move { Ok::<_, Infallible>(server.answer(request).await) }
        }))
    }

    /// Puts an object at a path like `/api/v1/namespaces/default/pods/web`, as if somebody had made or changed it.
    pub fn put(&self, path: &str, mut object: Value) {
        let path = Path::parse(path);
        let mut state = self.lock();
        rules::fill(&mut object, &path);
        state.store(&path, object);
        drop(state);
        self.shared.changed.notify_waiters();
    }

    /// Takes an object away at once, whatever its finalizers say.
    pub fn remove(&self, path: &str) {
        self.lock().remove(&Path::parse(path));
        self.shared.changed.notify_waiters();
    }

    /// Refuses the next `times` requests `METHOD path` with this code, whether they read or write.
    pub fn refuse(&self, request: &str, code: u16, times: usize) {
        self.lock().refusals.insert(request.to_owned(), (code, times));
    }

    /// The object at `path`.
    #[must_use]
    pub fn object(&self, path: &str) -> Option<Value> {
        self.lock().objects.get(&Path::parse(path)).cloned()
    }

    /// `METHOD path` of each request so far that might have changed something.
    #[must_use]
    pub fn writes(&self) -> Vec<String> {
        self.lock().writes.clone()
    }

    /// The messages of all Events, as `REASON message`, in the order of their names.
    #[must_use]
    pub fn events(&self) -> Vec<String> {
        let text = |event: &Value, field: &str| event[field].as_str().unwrap_or_default().to_owned();
        let state = self.lock();
        let events = state.objects.iter().filter(|(path, _)| path.resource == "events");
        events.map(|(_, event)| format!("{} {}", text(event, "reason"), text(event, "message"))).collect()
    }

    /// The object at `path` once it is as `is` wants it; `None` stands for no object.
    ///
    /// # Panics
    /// When that does not come about in time; the message shows what there is instead.
    #[expect(clippy::panic, reason = "how a test fails")]
    pub async fn wait(&self, path: &str, is: impl Fn(Option<&Value>) -> bool) -> Option<Value> {
        let found = async {
            loop {
                let mut changed = std::pin::pin!(self.shared.changed.notified());
                changed.as_mut().enable();
                let object = self.object(path);
                if is(object.as_ref()) {
                    return object;
                }
                changed.await;
            }
        };
        match tokio::time::timeout(DEADLINE, found).await {
            Ok(object) => object,
            Err(_) => {
                let (object, writes) = (self.object(path), self.writes());
                panic!("{path} did not become as expected: {object:#?}\nwrites: {writes:#?}")
            }
        }
    }

    /// Completes once there is no object at `path`.
    pub async fn gone(&self, path: &str) {
        self.wait(path, |object| object.is_none()).await;
    }

    async fn answer(&self, request: Request<Body>) -> Answer {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        if let Some(code) = self.lock().refusal(&format!("{} {}", parts.method, parts.uri.path())) {
            return refused(&Refusal { code, reason: "Scripted", message: format!("{} is refused", parts.uri.path()) });
        }
        if let Some(discovery) = rules::discovery(parts.uri.path()) {
            return whole(StatusCode::OK, &discovery);
        }
        let path = Path::parse(parts.uri.path());
        let query = path::query(parts.uri.query().unwrap_or_default());
        if parts.method == Method::GET {
            let is_watch = query.iter().any(|(name, value)| name == "watch" && value != "false");
            return if is_watch { self.watch(path, &query) } else { self.read(&path, &query) };
        }
        let mut state = self.lock();
        state.writes.push(format!("{} {}", parts.method, parts.uri.path()));
        let answer = state.write(&parts.method, &path, body);
        drop(state);
        self.shared.changed.notify_waiters();
        match answer {
            Ok(object) => whole(StatusCode::OK, &object),
            Err(refusal) => refused(&refusal),
        }
    }

    fn read(&self, path: &Path, query: &[(String, String)]) -> Answer {
        let state = self.lock();
        if !path.name.is_empty() {
            return match state.objects.get(&path.whole()) {
                Some(object) => whole(StatusCode::OK, object),
                None => refused(&Refusal::not_found(path)),
            };
        }
        let fields = path::fields(query);
        let items: Vec<&Value> = state.matching(path, &fields).collect();
        let version = state.revision.to_string();
        whole(
            StatusCode::OK,
            &json!({"kind": "List", "apiVersion": "v1",
                                      "metadata": {"resourceVersion": version}, "items": items}),
        )
    }

    /// A watch that begins with what is there, and what has gone since the revision that is asked for.
    fn watch(&self, of: Path, query: &[(String, String)]) -> Answer {
        let (lines, mut received) = mpsc::unbounded_channel();
        let fields = path::fields(query);
        let mut state = self.lock();
        let since = query.iter().find(|(name, _)| name == "resourceVersion");
        let since: u64 =
            since.and_then(|(_, version)| version.parse().ok()).filter(|since| *since > 0).unwrap_or(u64::MAX);
        let gone = state
            .gone
            .iter()
            .filter(|(revision, path, object)| *revision > since && of.holds(path) && path::selects(&fields, object));
        let gone = gone.map(|(_, _, object)| line("DELETED", object));
        let initial = state.matching(&of, &fields).map(|object| line("ADDED", object));
        let initial: Vec<Bytes> = gone.chain(initial).collect();
        let end = json!({"kind": "Object", "apiVersion": "v1", "metadata": {
            "resourceVersion": state.revision.to_string(),
            "annotations": {"k8s.io/initial-events-end": "true"},
        }});
        for line in initial.into_iter().chain([line("BOOKMARK", &end)]) {
            lines.send(line).ok();
        }
        state.watchers.push(Watcher { of, fields, lines });
        let frames = futures::stream::poll_fn(move |cx| received.poll_recv(cx));
        let frames = frames.map(|line| Ok::<_, Infallible>(http_body::Frame::data(line)));
        Response::new(BoxBody::new(StreamBody::new(frames.map(|frame| frame))))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The code that this request is refused with, if it is.
    fn refusal(&mut self, request: &str) -> Option<u16> {
        let (code, times) = self.refusals.get_mut(request).filter(|(_, times)| *times > 0)?;
        *times -= 1;
        Some(*code)
    }

    fn matching<'a>(&'a self, of: &'a Path, fields: &'a [(String, String)]) -> impl Iterator<Item = &'a Value> {
        let objects = self.objects.iter().filter(move |(path, object)| of.holds(path) && path::selects(fields, object));
        objects.map(|(_, object)| object)
    }

    fn store(&mut self, path: &Path, mut object: Value) -> Value {
        self.revision += 1;
        object["metadata"]["resourceVersion"] = json!(self.revision.to_string());
        let before = self.objects.insert(path.clone(), object.clone());
        self.tell(path, if before.is_some() { "MODIFIED" } else { "ADDED" }, &object);
        object
    }

    fn remove(&mut self, path: &Path) -> Option<Value> {
        let mut object = self.objects.remove(path)?;
        self.revision += 1;
        object["metadata"]["resourceVersion"] = json!(self.revision.to_string());
        self.tell(path, "DELETED", &object);
        self.gone.push((self.revision, path.clone(), object.clone()));
        Some(object)
    }

    fn tell(&mut self, path: &Path, kind: &str, object: &Value) {
        self.watchers.retain(|watcher| {
            let is_meant = watcher.of.holds(path) && path::selects(&watcher.fields, object);
            !is_meant || watcher.lines.send(line(kind, object)).is_ok()
        });
    }
}

/// Why a request was refused.
struct Refusal {
    code: u16,
    reason: &'static str,
    message: String,
}

impl Refusal {
    fn not_found(path: &Path) -> Self {
        Self { code: 404, reason: "NotFound", message: format!("{} {:?} not found", path.resource, path.name) }
    }

    fn conflict(reason: &'static str, path: &Path) -> Self {
        Self { code: 409, reason, message: format!("{} {:?}: {reason}", path.resource, path.name) }
    }
}

fn refused(refusal: &Refusal) -> Answer {
    let Refusal { code, reason, message } = refusal;
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                        "code": code, "reason": reason, "message": message});
    whole(StatusCode::from_u16(*code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), &status)
}

fn whole(code: StatusCode, body: &Value) -> Answer {
    let mut answer = Response::new(BoxBody::new(Full::new(Bytes::from(body.to_string()))));
    *answer.status_mut() = code;
    answer
}

fn line(kind: &str, object: &Value) -> Bytes {
    Bytes::from(format!("{}\n", json!({"type": kind, "object": object})))
}
