//! Asking the API as the caller: each request goes through the same verbs as if the caller had sent it.

use std::collections::BTreeSet;
use std::time::Duration;

use api::scheme::Scheme;
use api::status::Status;
use axum::body::Body;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use http::header::{CONTENT_TYPE, HeaderValue, USER_AGENT};
use http::{HeaderMap, Method, Request, Response};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use super::asked::Asked;
use super::pod;
use crate::authentication::User;
use crate::server::ApiServer;

/// How long an answer waits for a node to be chosen. Afterwards it goes out without a URL, and the Pod goes on.
const SCHEDULED_MAX: Duration = Duration::from_secs(5);

/// The longest line of a watch that is read, in bytes: one Pod, which the API bounds to 3 MiB.
const LINE_BYTES_MAX: usize = 4 << 20;

/// The API, as one caller in one namespace meets it.
pub(super) struct Api<'a> {
    server: &'a ApiServer,
    user: &'a User,
    namespace: &'a str,
    /// `fieldManager=…`, as the caller gave it.
    manager: String,
    agent: Option<HeaderValue>,
}

/// Why there is no Pod.
#[derive(Debug)]
pub(super) enum Refusal {
    /// Found here.
    Status(Status),
    /// The API's own answer to a request of ours; the caller gets it as it is.
    Answer(Response<Body>),
}

impl From<Status> for Refusal {
    fn from(status: Status) -> Self {
        Self::Status(status)
    }
}

impl Refusal {
    /// What it says.
    pub(super) async fn message(self) -> String {
        let body = match self {
            Self::Status(status) => return status.message,
            Self::Answer(answer) => answer.into_body().collect().await.map(http_body_util::Collected::to_bytes),
        };
        let status: Value = serde_json::from_slice(&body.unwrap_or_default()).unwrap_or_default();
        status.get("message").and_then(Value::as_str).unwrap_or("refused").to_owned()
    }
}

impl<'a> Api<'a> {
    pub(super) fn new(
        server: &'a ApiServer,
        user: &'a User,
        namespace: &'a str,
        asked: &Asked,
        headers: &HeaderMap,
    ) -> Self {
        let manager = asked.field_manager.as_deref().map(|manager| {
            form_urlencoded::Serializer::new(String::new()).append_pair("fieldManager", manager).finish()
        });
        let agent = headers.get(USER_AGENT).cloned();
        Self { server, user, namespace, manager: manager.unwrap_or_default(), agent }
    }

    /// Asks whether a Pod could be made. One that is to replace another is tried under a name of its own.
    pub(super) async fn check(&self, mut pod: Value, is_replacement: bool) -> Result<(), Refusal> {
        if is_replacement && let Some(metadata) = pod.get_mut("metadata").and_then(Value::as_object_mut) {
            let name = metadata.remove("name");
            let prefix = name.as_ref().and_then(Value::as_str).unwrap_or_default();
            metadata.insert("generateName".to_owned(), format!("{prefix}-").into());
        }
        let path = format!("{}?dryRun=All&{}", self.pods(), self.manager);
        self.ask(Method::POST, &path, "application/json", &pod).await.map(drop)
    }

    pub(super) async fn create(&self, pod: &Value) -> Result<Value, Refusal> {
        self.ask(Method::POST, &format!("{}?{}", self.pods(), self.manager), "application/json", pod).await
    }

    /// Takes a Pod away at once; one that is not there is no error.
    pub(super) async fn delete(&self, name: &str) -> Result<(), Refusal> {
        let path = format!("{}/{name}?gracePeriodSeconds=0", self.pods());
        match self.ask(Method::DELETE, &path, "application/json", &json!({})).await {
            Err(Refusal::Answer(answer)) if answer.status() == http::StatusCode::NOT_FOUND => Ok(()),
            other => other.map(drop),
        }
    }

    /// Writes a server's URL into its Pod; `None` when the caller may not.
    pub(super) async fn annotate(&self, name: &str, url: &str) -> Option<Value> {
        let patch = json!({"metadata": {"annotations": {pod::URL: url}}});
        let path = format!("{}/{name}?{}", self.pods(), self.manager);
        self.ask(Method::PATCH, &path, "application/merge-patch+json", &patch).await.ok()
    }

    /// The address of the node that was chosen for a Pod; `None` when none was within [`SCHEDULED_MAX`].
    pub(super) async fn node_address(&self, name: &str, made: &Value) -> Option<String> {
        let node = tokio::time::timeout(SCHEDULED_MAX, self.node(name, made)).await.ok().flatten()?;
        let nodes = Scheme::builtin().resource("", "v1", "nodes")?;
        let node = self.server.objects().find(nodes, None, &node).ok()?.to_value().ok()?;
        let addresses = node.pointer("/status/addresses")?.as_array()?;
        let internal = addresses.iter().find(|it| it.get("type").and_then(Value::as_str) == Some("InternalIP"))?;
        internal.get("address")?.as_str().map(str::to_owned)
    }

    /// Watches a Pod until it is bound.
    async fn node(&self, name: &str, made: &Value) -> Option<String> {
        let version = api::meta::resource_version(made).unwrap_or_default();
        let path = format!("{}?watch=true&fieldSelector=metadata.name%3D{name}&resourceVersion={version}", self.pods());
        let mut request = Request::get(path).body(Body::empty()).ok()?;
        // The caller may create pods; that one is bound is told to them anyway.
        request.extensions_mut().insert(User::master("minke:submission"));
        let answer = handled(self.server, request).await;
        let mut chunks = answer.into_body().into_data_stream();
        let mut line = Vec::new();
        while let Some(Ok(chunk)) = chunks.next().await {
            line.extend_from_slice(&chunk);
            while let Some(end) = line.iter().position(|byte| *byte == b'\n') {
                let rest = line.split_off(end + 1);
                let event: Value = serde_json::from_slice(&line).ok()?;
                if let Some(node) = event.pointer("/object/spec/nodeName").and_then(Value::as_str) {
                    return Some(node.to_owned());
                }
                line = rest;
            }
            if line.len() > LINE_BYTES_MAX {
                return None;
            }
        }
        None
    }

    fn pods(&self) -> String {
        format!("/api/v1/namespaces/{}/pods", self.namespace)
    }

    async fn ask(&self, method: Method, path: &str, kind: &'static str, body: &Value) -> Result<Value, Refusal> {
        let mut request = Request::builder().method(method).uri(path).header(CONTENT_TYPE, kind);
        if let Some(agent) = &self.agent {
            request = request.header(USER_AGENT, agent);
        }
        let request = request.body(Body::from(body.to_string()));
        let mut request = request.map_err(|error| Status::bad_request(error.to_string()))?;
        request.extensions_mut().insert(self.user.clone());
        let answer = handled(self.server, request).await;
        if !answer.status().is_success() {
            return Err(Refusal::Answer(answer));
        }
        let body = answer.into_body().collect().await.map(http_body_util::Collected::to_bytes);
        let value = body.ok().and_then(|body| serde_json::from_slice(&body).ok());
        value.ok_or_else(|| Status::internal_plain("the API's own answer cannot be read").into())
    }
}

/// The API's answer. Boxed, since handling a request can lead back here.
fn handled(server: &ApiServer, request: Request<Body>) -> BoxFuture<'static, Response<Body>> {
    let server = server.clone();
    Box::pin(async move { server.handle(request).await })
}

/// The host ports that pods of the whole cluster ask for. It reads each Pod, so it is for blocking threads.
pub(super) fn host_ports(server: &ApiServer) -> BTreeSet<u16> {
    let Some(pods) = Scheme::builtin().resource("", "v1", "pods") else { return BTreeSet::new() };
    let Ok(cache) = server.objects().cache(pods) else { return BTreeSet::new() };
    let snapshot = cache.snapshot(store::Revision(0));
    let pods = snapshot.objects.values().filter_map(|pod| pod.to_value().ok());
    pods.flat_map(|pod| {
        let containers = pod.pointer("/spec/containers").and_then(Value::as_array).cloned().unwrap_or_default();
        let ports =
            containers.into_iter().filter_map(|it| it.get("ports").and_then(Value::as_array).cloned()).flatten();
        ports.filter_map(|port| port.get("hostPort")?.as_u64()?.try_into().ok()).collect::<Vec<u16>>()
    })
    .collect()
}
