//! An API server for tests: objects in a map, a watch of pods, and nothing that decides anything.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use kube::client::Body as Asked;
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc};

/// How long a test waits for what must come.
const DEADLINE: Duration = Duration::from_secs(20);

/// The server; clones are the same one.
#[derive(Clone, Default)]
pub(crate) struct FakeApi {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    /// By path.
    objects: BTreeMap<String, Value>,
    /// Bodies of Events, in order.
    events: Vec<Value>,
    /// Whether it refuses everything.
    is_away: bool,
    watchers: Vec<mpsc::UnboundedSender<Result<Bytes, std::io::Error>>>,
    revision: u64,
}

impl FakeApi {
    /// A client of it.
    pub(crate) fn client(&self) -> kube::Client {
        let api = self.clone();
        let service = tower::service_fn(move |request: Request<Asked>| {
            let api = api.clone();
            async move { Ok::<_, std::convert::Infallible>(api.answer(request).await) }
        });
        kube::Client::new(service, "default")
    }

    /// Makes the server refuse everything, or answer again.
    pub(crate) fn set_away(&self, is_away: bool) {
        let mut state = self.shared.state.lock().unwrap();
        state.is_away = is_away;
        state.watchers.clear();
    }

    /// Puts an object there, as if somebody had created or changed it.
    pub(crate) fn put(&self, path: &str, object: Value) {
        let mut state = self.shared.state.lock().unwrap();
        let kind = if state.objects.contains_key(path) { "MODIFIED" } else { "ADDED" };
        state.store(path, kind, object);
        drop(state);
        self.shared.changed.notify_waiters();
    }

    /// Creates the RuntimeClass NAME with a handler.
    pub(crate) fn put_runtime_class(&self, name: &str, handler: &str) {
        let class = json!({
            "apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": name}, "handler": handler,
        });
        self.put(&format!("/apis/node.k8s.io/v1/runtimeclasses/{name}"), class);
    }

    /// The object at `path` once it is as `is` wants it; `None` stands for no object.
    pub(crate) async fn wait(&self, path: &str, is: impl Fn(Option<&Value>) -> bool) -> Option<Value> {
        let found = self.until(|| {
            let object = self.object(path);
            is(object.as_ref()).then_some(object)
        });
        found.await.unwrap_or_else(|| {
            panic!("{path} did not become as expected: {:#?}\nevents: {:#?}", self.object(path), self.events())
        })
    }

    /// Waits for the Event `REASON message`.
    pub(crate) async fn event(&self, expected: &str) {
        let told = self.until(|| self.events().iter().any(|event| event == expected).then_some(()));
        told.await.unwrap_or_else(|| panic!("no Event {expected:?} came: {:#?}", self.events()));
    }

    /// What `look` finds, looking again after each change; `None` if it finds nothing in time.
    async fn until<T>(&self, look: impl Fn() -> Option<T>) -> Option<T> {
        let found = async {
            loop {
                let changed = self.shared.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if let Some(found) = look() {
                    return found;
                }
                changed.await;
            }
        };
        tokio::time::timeout(DEADLINE, found).await.ok()
    }

    /// The pod `default/NAME` once it is in this phase.
    pub(crate) async fn pod_in(&self, name: &str, phase: &str) -> Value {
        let is = |pod: Option<&Value>| pod.is_some_and(|pod| pod["status"]["phase"] == phase);
        self.wait(&pod_path(name), is).await.unwrap()
    }

    /// `REASON message` of each Event so far.
    pub(crate) fn events(&self) -> Vec<String> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let state = self.shared.state.lock().unwrap();
        state.events.iter().map(|event| format!("{} {}", text(&event["reason"]), text(&event["message"]))).collect()
    }

    fn object(&self, path: &str) -> Option<Value> {
        self.shared.state.lock().unwrap().objects.get(path).cloned()
    }

    async fn answer(&self, request: Request<Asked>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let path = parts.uri.path().to_owned();
        let is_watch = parts.uri.query().is_some_and(|query| query.contains("watch=true"));
        if self.shared.state.lock().unwrap().is_away {
            return failure(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", &path);
        }
        if is_watch {
            return self.watch();
        }
        let mut state = self.shared.state.lock().unwrap();
        let answer = match parts.method {
            Method::GET => state.objects.get(&path).cloned(),
            Method::POST if path.ends_with("/events") => {
                state.events.push(body.clone());
                Some(body)
            }
            Method::POST => {
                let path = format!("{path}/{}", body["metadata"]["name"].as_str().unwrap_or_default());
                Some(state.store(&path, "ADDED", body))
            }
            Method::PUT => Some(state.store(&path, "MODIFIED", body)),
            Method::PATCH => {
                let path = path.trim_end_matches("/status");
                state.objects.get(path).cloned().map(|mut object| {
                    merge(&mut object, &body);
                    state.store(path, "MODIFIED", object)
                })
            }
            Method::DELETE => state.objects.remove(&path).inspect(|object| state.tell(&path, "DELETED", object)),
            _ => None,
        };
        drop(state);
        self.shared.changed.notify_waiters();
        match answer {
            Some(object) => Response::new(Body::from(object.to_string().into_bytes())),
            None => failure(StatusCode::NOT_FOUND, "NotFound", &path),
        }
    }

    /// A watch of pods that begins with those that are there.
    fn watch(&self) -> Response<Body> {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let mut state = self.shared.state.lock().unwrap();
        for (_, pod) in state.objects.iter().filter(|(path, _)| path.contains("/pods/")) {
            sender.send(Ok(event("ADDED", pod))).ok();
        }
        let end = json!({"kind": "Pod", "apiVersion": "v1", "metadata": {
            "resourceVersion": state.revision.to_string(),
            "annotations": {"k8s.io/initial-events-end": "true"},
        }});
        sender.send(Ok(event("BOOKMARK", &end))).ok();
        state.watchers.push(sender);
        let frames = move |cx: &mut std::task::Context<'_>| receiver.poll_recv(cx);
        Response::new(Body::from_stream(futures::stream::poll_fn(frames)))
    }
}

impl State {
    fn store(&mut self, path: &str, kind: &str, mut object: Value) -> Value {
        self.revision += 1;
        object["metadata"]["resourceVersion"] = json!(self.revision.to_string());
        self.objects.insert(path.to_owned(), object.clone());
        self.tell(path, kind, &object);
        object
    }

    fn tell(&mut self, path: &str, kind: &str, object: &Value) {
        if path.contains("/pods/") {
            self.watchers.retain(|watcher| watcher.send(Ok(event(kind, object))).is_ok());
        }
    }
}

/// The path of the pod `default/NAME`.
pub(crate) fn pod_path(name: &str) -> String {
    format!("/api/v1/namespaces/default/pods/{name}")
}

fn failure(code: StatusCode, reason: &str, path: &str) -> Response<Body> {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure",
        "code": code.as_u16(), "reason": reason, "message": format!("{path}: {reason}"),
    });
    let mut response = Response::new(Body::from(status.to_string()));
    *response.status_mut() = code;
    response
}

fn event(kind: &str, object: &Value) -> Bytes {
    Bytes::from(format!("{}\n", json!({"type": kind, "object": object})))
}

/// A merge patch that knows of `$patch` in lists no more than that it is no member.
fn merge(object: &mut Value, patch: &Value) {
    match (object, patch) {
        (Value::Object(object), Value::Object(patch)) => {
            for (key, value) in patch {
                match value {
                    Value::Null => drop(object.remove(key)),
                    value => merge(object.entry(key.clone()).or_insert(Value::Null), value),
                }
            }
        }
        (object, Value::Object(patch)) => {
            *object = json!({});
            merge(object, &Value::Object(patch.clone()));
        }
        (object, Value::Array(list)) => {
            *object = list.iter().filter(|member| member.get("$patch").is_none()).cloned().collect();
        }
        (object, value) => *object = value.clone(),
    }
}
