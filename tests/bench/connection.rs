//! HTTP/1.1 over one kept TLS connection: the thinnest client there is, so that its own work weighs little.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use base::task::{self, Task};
use bytes::{Bytes, BytesMut};
use http::{Method, Request, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::cluster::DEADLINE;

/// Where an API server is, and as whom it is asked.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) tls: Arc<ClientConfig>,
}

impl Server {
    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.address)
    }
}

/// One connection; a request at a time.
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    host: String,
    _driver: Task<()>,
}

/// The lines of an answer that does not end.
pub(crate) struct Lines {
    body: Incoming,
    buffer: BytesMut,
    _connection: Connection,
}

impl Connection {
    pub(crate) async fn open(server: &Server) -> Result<Self> {
        let tcp = TcpStream::connect(server.address).await?;
        tcp.set_nodelay(true)?;
        let name = ServerName::from(server.address.ip());
        let stream = TlsConnector::from(Arc::clone(&server.tls)).connect(name, tcp).await?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // How a connection ended, the request that was on it tells.
        let driver = task::spawn("connection", async move { drop(connection.await) });
        Ok(Self { sender, host: server.address.to_string(), _driver: driver })
    }

    /// The object at `path`.
    pub(crate) async fn get(&mut self, path: &str) -> Result<Value> {
        Ok(serde_json::from_slice(&self.ask(Method::GET, path, None).await?)?)
    }

    /// Creates an object in the collection at `path`.
    pub(crate) async fn create(&mut self, path: &str, object: &Value) -> Result<()> {
        self.ask(Method::POST, path, Some(serde_json::to_vec(object)?.into())).await?;
        Ok(())
    }

    /// The body of an answer, which must be a good one.
    pub(crate) async fn ask(&mut self, method: Method, path: &str, body: Option<Bytes>) -> Result<Bytes> {
        let answer = tokio::time::timeout(DEADLINE, self.send(method.clone(), path, body));
        let answer = answer.await.with_context(|| format!("{method} {path}: no answer"))??;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        if !status.is_success() {
            bail!("{method} {path}: {status}: {}", String::from_utf8_lossy(&body));
        }
        Ok(body)
    }

    /// Begins to watch a collection after a revision: `path` is without a query.
    pub(crate) async fn watch(mut self, path: &str, revision: &str) -> Result<Lines> {
        let path = format!("{path}?watch=1&resourceVersion={revision}");
        let answer = self.send(Method::GET, &path, None).await?;
        if !answer.status().is_success() {
            bail!("watch {path}: {}", answer.status());
        }
        Ok(Lines { body: answer.into_body(), buffer: BytesMut::new(), _connection: self })
    }

    async fn send(&mut self, method: Method, path: &str, body: Option<Bytes>) -> Result<http::Response<Incoming>> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, &self.host)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body.unwrap_or_default()))?;
        self.sender.ready().await?;
        Ok(self.sender.send_request(request).await?)
    }
}

impl Lines {
    /// The next line.
    ///
    /// # Errors
    /// When the answer ends, or nothing comes within [`DEADLINE`].
    pub(crate) async fn next(&mut self) -> Result<Bytes> {
        let mut searched = 0;
        loop {
            let fresh = self.buffer.get(searched..).unwrap_or_default();
            if let Some(end) = fresh.iter().position(|byte| *byte == b'\n') {
                return Ok(self.buffer.split_to(searched + end + 1).freeze());
            }
            searched = self.buffer.len();
            let frame = tokio::time::timeout(DEADLINE, self.body.frame()).await.context("the watch is silent")?;
            if let Ok(data) = frame.context("the watch ended")??.into_data() {
                self.buffer.extend_from_slice(&data);
            }
        }
    }
}
