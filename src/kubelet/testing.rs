//! A node for tests: real folders, a real runtime, an API server ([`api`]) and a registry ([`registry`]) in a map.

pub(crate) mod api;
pub(crate) mod registry;

use std::path::{Path, PathBuf};
use std::time::Duration;

use base::shutdown::{self, Shutdown, Trigger};
use base::task::{self, Task};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::DuplexStream;
use tokio_tungstenite::WebSocketStream;

use crate::options::{LogLimits, Options, Versions};
use crate::{Error, Kubelet, Neighbours};
use api::FakeApi;
use registry::FakeRegistry;

/// Prints its first argument and ends with 0.
pub(crate) const HELLO: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "\10\00\00\00\06\00\00\00")
    (data (i32.const 16) "hello\n")
    (func (export "_start")
        (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#;

/// Traps.
pub(crate) const TRAP: &str = r#"(module (memory (export "memory") 1) (func (export "_start") unreachable))"#;

/// Ends well, by WASI 0.3.
pub(crate) const PREVIEW3: &str = r#"(component
    (core module $program (func (export "run") (result i32) (i32.const 0)))
    (core instance $program (instantiate $program))
    (func $run async (result (result)) (canon lift (core func $program "run")))
    (instance $exported (export "run" (func $run)))
    (export "wasi:cli/run@0.3.0" (instance $exported)))"#;

/// Ends with 3.
pub(crate) const THREE: &str = r#"(module
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (memory (export "memory") 1)
    (func (export "_start") (call $exit (i32.const 3))))"#;

/// Never ends.
pub(crate) const FOREVER: &str = r#"(module (memory (export "memory") 1) (func (export "_start") (loop (br 0))))"#;

/// Writes what it reads first, and ends.
pub(crate) const ECHO: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "\10\00\00\00\40\00\00\00")
    (func (export "_start")
        (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 4)))
        (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#;

/// A node that runs on `api`, with its data in a folder and its images from `registry`.
pub(crate) struct TestNode {
    pub(crate) api: FakeApi,
    pub(crate) registry: FakeRegistry,
    router: axum::Router,
    end: Trigger,
    shutdown: Shutdown,
    running: Task<Result<(), Error>>,
}

/// A node with everything of its own, and the folder that goes with it.
pub(crate) async fn node() -> (TempDir, TestNode) {
    let folder = tempfile::tempdir().unwrap();
    let registry = FakeRegistry::start().await;
    let node = TestNode::start(&FakeApi::default(), &registry, folder.path()).await;
    (folder, node)
}

impl TestNode {
    /// Starts it.
    pub(crate) async fn start(api: &FakeApi, registry: &FakeRegistry, folder: &Path) -> Self {
        Self::start_with(api, registry, folder, |_| {}).await
    }

    /// Starts it with what `change` makes of its options.
    pub(crate) async fn start_with(
        api: &FakeApi,
        registry: &FakeRegistry,
        folder: &Path,
        change: impl FnOnce(&mut Options),
    ) -> Self {
        let mut options = options(folder.join("node"));
        change(&mut options);
        let runtime = runtime::Options {
            preview3: options.wasi_preview3,
            ..runtime::Options::new(folder.join("code"), runtime::Compiler::InProcess)
        };
        let store = images::content::Options::at(folder.join("images"));
        let store = images::ContentStore::open(store).await.unwrap();
        let plain = images::distribution::Options {
            insecure_registries: vec![registry.host()],
            ..images::distribution::Options::default()
        };
        let neighbours = Neighbours {
            client: api.client(),
            dialler: None,
            runtime: runtime::Runtime::start(runtime).unwrap(),
            puller: images::Puller::new(store, plain),
            of_process: |_| (),
        };
        let kubelet = Kubelet::start(options, neighbours).unwrap();
        let router = kubelet.router();
        let (end, shutdown) = shutdown::channel();
        let running = task::spawn("node", kubelet.run(shutdown.clone()));
        Self { api: api.clone(), registry: registry.clone(), router, end, shutdown, running }
    }

    /// Makes an image of a module in text form and answers its name.
    pub(crate) fn image(&self, name: &str, wat: &str) -> String {
        self.registry.push(name, wat::parse_str(wat).unwrap())
    }

    /// Creates the pod `default/NAME`, bound to this node.
    pub(crate) fn create(&self, name: &str, mut spec: Value) {
        spec["nodeName"] = json!("n1");
        self.api.put(
            &api::pod_path(name),
            json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": name, "namespace": "default", "uid": format!("uid-of-{name}"), "generation": 1},
                "spec": spec,
            }),
        );
    }

    /// Asks the kubelet's HTTP API.
    pub(crate) async fn get(&self, path: &str) -> String {
        use http_body_util::BodyExt as _;
        use tower::ServiceExt as _;
        let request = http::Request::get(path).body(axum::body::Body::empty()).unwrap();
        let answer = self.router.clone().oneshot(request).await.unwrap();
        String::from_utf8_lossy(&answer.into_body().collect().await.unwrap().to_bytes()).into_owned()
    }

    /// Waits until the kubelet's HTTP API answers with this text.
    pub(crate) async fn answers(&self, path: &str, expected: &str) {
        let mut last = String::new();
        let asked = async {
            while last != expected {
                // Nothing tells of a change here, so it is asked again.
                tokio::time::sleep(Duration::from_millis(5)).await;
                last = self.get(path).await;
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(20), asked).await.is_ok();
        assert!(in_time, "{path} answered {last:?}, want {expected:?}");
    }

    /// Opens a WebSocket to the kubelet's HTTP API through a tunnel, as the API server does.
    pub(crate) async fn attach_through_tunnel(&self, path: &str) -> WebSocketStream<TokioIo<hyper::upgrade::Upgraded>> {
        use http_body_util::BodyExt as _;
        let (client, server) = tokio::io::duplex(64 << 10);
        let (router, shutdown) = (self.router.clone(), self.shutdown.clone());
        task::spawn("tunnel", async move { tunnel::serve(server, router, &shutdown).await }).detach();
        let tunnel = tunnel::Tunnel::begin(client).await.unwrap();
        let request = http::Request::connect(format!("http://node{path}"))
            .header("sec-websocket-protocol", "v5.channel.k8s.io")
            .header("sec-websocket-version", "13")
            .extension(hyper::ext::Protocol::from_static("websocket"))
            .body(http_body_util::Empty::new().map_err(|never| match never {}).boxed_unsync())
            .unwrap();
        let answer = tunnel.request(request).await.unwrap();
        assert_eq!(answer.status(), 200);
        let io = TokioIo::new(hyper::upgrade::on(answer).await.unwrap());
        WebSocketStream::from_raw_socket(io, tokio_tungstenite::tungstenite::protocol::Role::Client, None).await
    }

    /// Opens a WebSocket to the kubelet's HTTP API, over a connection in memory.
    pub(crate) async fn attach(&self, path: &str) -> WebSocketStream<DuplexStream> {
        let (client, server) = tokio::io::duplex(64 << 10);
        let service = hyper_util::service::TowerToHyperService::new(self.router.clone());
        let connection =
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(server), service).with_upgrades();
        task::spawn("connection", connection).detach();
        let request = http::Request::get(format!("ws://node{path}"))
            .header("host", "node")
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
            .header("sec-websocket-protocol", "v5.channel.k8s.io")
            .body(())
            .unwrap();
        let (socket, answer) = tokio_tungstenite::client_async(request, client).await.unwrap();
        assert_eq!(answer.headers()["sec-websocket-protocol"], "v5.channel.k8s.io");
        socket
    }

    /// Ends the daemon as SIGTERM does.
    pub(crate) async fn stop(self) {
        self.end.pull();
        self.running.await.unwrap().unwrap();
    }
}

fn options(data_dir: PathBuf) -> Options {
    let versions = Versions { kubelet: "v1.36.0+minke.0.1.0".to_owned(), runtime: "wasmtime://48.0.0".to_owned() };
    let range = "100.64.0.0/24".parse().unwrap();
    let options = Options::new("n1".to_owned(), [127, 0, 0, 1].into(), data_dir, range, versions);
    Options {
        port: None,
        alone_after: Duration::from_millis(200),
        shutdown_grace: Duration::from_secs(5),
        log_limits: LogLimits { segment_bytes: 1 << 20, segments: 2, dead_runs: 1 },
        ..options
    }
}
