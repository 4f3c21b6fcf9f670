//! What tests of commands need: a server on loopback that a kubeconfig names, and a terminal whose screen can be read.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::response::Response;
use base::task::{self, Task};
use bytes::Bytes;
use client::testing::FakeServer;
use tempfile::NamedTempFile;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{self, Receiver};
use tokio::sync::watch;

use crate::connect;
use crate::terminal::Terminal;

/// How long a test waits for what must come.
const DEADLINE: Duration = Duration::from_secs(30);

/// The largest body of a test's request.
const BODY_BYTES_MAX: usize = 1 << 20;

/// A server on loopback: routes that a test scripts, and behind them a [`FakeServer`] that keeps objects.
pub(crate) struct Neighbour {
    /// What keeps the objects.
    pub objects: FakeServer,
    kubeconfig: NamedTempFile,
    _serving: Task<()>,
}

impl Neighbour {
    /// Starts one. `routes` are asked first.
    pub(crate) async fn start(objects: FakeServer, routes: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let kubeconfig = kubeconfig(&format!("http://{}", listener.local_addr().unwrap()));
        let behind = objects.clone();
        let router = routes.fallback(move |request: Request| forward(behind.clone(), request));
        let serving = task::spawn("neighbour", async move { axum::serve(listener, router).await.unwrap() });
        Self { objects, kubeconfig, _serving: serving }
    }

    /// The options that lead to it.
    pub(crate) fn options(&self) -> connect::Options {
        connect::Options { kubeconfig: Some(self.kubeconfig.path().to_owned()), ..connect::Options::default() }
    }
}

async fn forward(behind: FakeServer, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, BODY_BYTES_MAX).await.unwrap();
    let answer = behind.client().send(Request::from_parts(parts, body.to_vec().into())).await.unwrap();
    answer.map(Body::new)
}

/// A kubeconfig with the namespace `shop` of the server at `url`.
pub(crate) fn kubeconfig(url: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    let text = format!(
        "{{apiVersion: v1, kind: Config, current-context: c, users: [{{name: me, user: {{}}}}],
        clusters: [{{name: here, cluster: {{server: '{url}'}}}}],
        contexts: [{{name: c, context: {{cluster: here, user: me, namespace: shop}}}}]}}"
    );
    file.write_all(text.as_bytes()).unwrap();
    file
}

/// What a command wrote, to both of its streams; clones are the same screen.
#[derive(Clone)]
pub(crate) struct Screen {
    text: Arc<Mutex<Vec<u8>>>,
    changed: watch::Sender<()>,
}

impl Screen {
    pub(crate) fn new() -> Self {
        Self { text: Arc::default(), changed: watch::Sender::new(()) }
    }

    /// A terminal that writes here. Its input is `typed`, and then at its end.
    pub(crate) fn terminal(&self) -> Terminal {
        Terminal::on(self.clone(), typed)
    }

    pub(crate) fn text(&self) -> String {
        let text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8(text.clone()).unwrap()
    }

    /// Completes when `expected` stands on the screen.
    pub(crate) async fn shows(&self, expected: &str) {
        let mut changed = self.changed.subscribe();
        let shown = changed.wait_for(|()| self.text().contains(expected));
        if tokio::time::timeout(DEADLINE, shown).await.is_err() {
            panic!("{expected:?} is not on the screen: {:?}", self.text());
        }
    }
}

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        self.changed.send_replace(());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[expect(clippy::unnecessary_wraps, reason = "as a terminal's input has it")]
fn typed() -> io::Result<Receiver<Bytes>> {
    let (chunks, received) = mpsc::channel(1);
    chunks.try_send(Bytes::from_static(b"typed")).unwrap();
    Ok(received)
}
