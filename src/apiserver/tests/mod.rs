//! The API as a client meets it: requests in, status and body out, over a real store in a temporary folder.

mod custom;
pub(crate) mod door;
mod extending;
mod keeping;
mod listing;
mod protobuf;
mod watching;
mod writing;

use axum::body::Body;
use base::shutdown::{self, Trigger};
use http::header::CONTENT_TYPE;
use http::{Method, Request};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use store::Store;

use crate::authentication::User;
use crate::{ApiServer, Options};

/// A running server, which ends with the test.
pub(crate) struct Cluster {
    pub(crate) server: ApiServer,
    store: Store,
    pub(crate) folder: tempfile::TempDir,
    _trigger: Trigger,
}

impl Cluster {
    pub(crate) async fn start() -> Self {
        Self::with(|_| ()).await
    }

    /// With other options than the usual.
    pub(crate) async fn with(change: impl FnOnce(&mut Options)) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), change).await
    }

    async fn start_in(folder: tempfile::TempDir, change: impl FnOnce(&mut Options)) -> Self {
        let store = Store::open(store::Options::file(folder.path().join("store.redb"))).await.unwrap();
        let (trigger, shutdown) = shutdown::channel();
        let mut options = Options::new("0.0.0");
        change(&mut options);
        let server = ApiServer::start(store.clone(), options, shutdown).await.unwrap();
        Self { server, store, folder, _trigger: trigger }
    }

    /// Over a copy of the store's file at `path`.
    pub(crate) async fn restored(path: &std::path::Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::copy(path, folder.path().join("store.redb")).unwrap();
        Self::start_in(folder, |_| ()).await
    }

    /// Ends this one in peace and starts another over the same store.
    async fn restart(self) -> Self {
        let Self { server, store, folder, _trigger } = self;
        drop((server, _trigger));
        store.close().await.unwrap();
        drop(store);
        Self::start_in(folder, |_| ()).await
    }

    /// Asks as an administrator, with a JSON body unless it is null.
    pub(crate) async fn ask(&self, method: Method, path: &str, body: Value) -> (u16, Value) {
        self.ask_as(User::master("admin"), method, path, "application/json", body).await
    }

    /// The body of what an administrator gets at `path`, as it comes.
    pub(crate) async fn stream(&self, path: &str) -> Body {
        let mut request = Request::get(path).body(Body::empty()).unwrap();
        request.extensions_mut().insert(User::master("admin"));
        let response = self.server.handle(request).await;
        assert_eq!(response.status().as_u16(), 200, "{path}");
        response.into_body()
    }

    pub(crate) async fn ask_as(&self, user: User, method: Method, path: &str, kind: &str, body: Value) -> (u16, Value) {
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        let mut request = Request::builder().method(method).uri(path).header(CONTENT_TYPE, kind).body(body).unwrap();
        request.extensions_mut().insert(user);
        let response = self.server.handle(request).await;
        let code = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (code, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        self.ask(Method::GET, path, Value::Null).await
    }

    /// Waits until an object of a collection is as wanted, and gives it back; it fails after ten seconds.
    pub(crate) async fn until(&self, collection: &str, name: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut body = self.stream(&format!("{collection}?watch=true&fieldSelector=metadata.name%3D{name}")).await;
        let mut last = String::new();
        let found = async {
            loop {
                let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
                for line in frame.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                    let event: Value = serde_json::from_slice(line).unwrap();
                    last = event.to_string();
                    if wanted(&event["object"]) {
                        return event["object"].clone();
                    }
                }
            }
        };
        match tokio::time::timeout(std::time::Duration::from_secs(10), found).await {
            Ok(found) => found,
            Err(_) => panic!("{collection}/{name} did not become as wanted; the last change: {last}"),
        }
    }

    /// Makes a config map in `default` that holds `v: VALUE`.
    pub(crate) async fn config_map(&self, name: &str, value: &str) -> Value {
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": {"app": name}},
            "data": {"v": value}});
        let (code, made) = self.ask(Method::POST, MAPS, object).await;
        assert_eq!(code, 201, "{made}");
        made
    }
}

/// The collection that most tests write to.
pub(crate) const MAPS: &str = "/api/v1/namespaces/default/configmaps";

fn message(answer: &Value) -> &str {
    answer["message"].as_str().unwrap_or_default()
}
