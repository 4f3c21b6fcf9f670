//! A registry for tests: images in a map, on a loopback port.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use base::task::{self, Task};
use images::Digest;
use serde_json::json;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// The registry; clones are the same one.
#[derive(Clone)]
pub(crate) struct FakeRegistry {
    address: SocketAddr,
    content: Content,
    _serving: Arc<Task<()>>,
}

/// By `NAME:TAG` or digest.
type Content = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

impl FakeRegistry {
    /// Starts it.
    pub(crate) async fn start() -> Self {
        let content = Content::default();
        let router = Router::new()
            .route("/v2/", get(|| async { "{}" }))
            .route("/v2/test/{name}/manifests/{reference}", get(manifest))
            .route("/v2/test/{name}/blobs/{digest}", get(blob))
            .with_state(Arc::clone(&content));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = task::spawn("registry", async move { axum::serve(listener, router).await.unwrap() });
        Self { address, content, _serving: Arc::new(serving) }
    }

    /// Its host and port.
    pub(crate) fn host(&self) -> String {
        self.address.to_string()
    }

    /// Makes an image of a `.wasm` and answers its name.
    pub(crate) fn push(&self, name: &str, wasm: Vec<u8>) -> String {
        let mut content = self.content.lock().unwrap();
        let mut put = |bytes: Vec<u8>| {
            let (digest, size) = (Digest::of(&bytes).to_string(), bytes.len());
            content.insert(digest.clone(), bytes);
            (digest, size)
        };
        let (config, config_size) = put(b"{}".to_vec());
        let (layer, layer_size) = put(wasm);
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": "application/vnd.wasm.config.v0+json", "digest": config, "size": config_size},
            "layers": [{"mediaType": "application/wasm", "digest": layer, "size": layer_size}],
        });
        content.insert(format!("{name}:1"), manifest.to_string().into_bytes());
        format!("{}/test/{name}:1", self.address)
    }
}

async fn manifest(State(content): State<Content>, Path((name, tag)): Path<(String, String)>) -> Response {
    answer(&content, &format!("{name}:{tag}"), MANIFEST)
}

async fn blob(State(content): State<Content>, Path((_, digest)): Path<(String, String)>) -> Response {
    answer(&content, &digest, "application/octet-stream")
}

fn answer(content: &Content, key: &str, media_type: &'static str) -> Response {
    match content.lock().unwrap().get(key) {
        Some(bytes) => ([(header::CONTENT_TYPE, media_type)], bytes.clone()).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
