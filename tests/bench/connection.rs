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

/// The media type of what is sent and asked for, where nothing else is said.
pub(crate) const JSON: &str = "application/json";

/// How much of the beginning of a drained answer is kept: enough to know its form.
const HEAD_BYTES: usize = 16;

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

/// A request: of what is not said, a GET of JSON.
pub(crate) struct Call<'a> {
    pub(crate) method: Method,
    pub(crate) path: &'a str,
    pub(crate) content_type: &'static str,
    pub(crate) accept: &'static str,
    pub(crate) body: Bytes,
}

impl<'a> Call<'a> {
    pub(crate) fn get(path: &'a str) -> Self {
        Self { method: Method::GET, path, content_type: JSON, accept: JSON, body: Bytes::new() }
    }
}

/// An answer that was read and thrown away.
pub(crate) struct Drained {
    pub(crate) bytes: usize,
    /// What it began with: as much as came with its first frame.
    pub(crate) head: Bytes,
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
        self.call(Call { method, body: body.unwrap_or_default(), ..Call::get(path) }).await
    }

    /// The same of any request.
    pub(crate) async fn call(&mut self, call: Call<'_>) -> Result<Bytes> {
        let answer = self.answer(&call).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        if !status.is_success() {
            let Call { method, path, .. } = call;
            bail!("{method} {path}: {status}: {}", String::from_utf8_lossy(&body));
        }
        Ok(body)
    }

    /// Reads an answer, which must be a good one, without keeping it.
    pub(crate) async fn drain(&mut self, call: Call<'_>) -> Result<Drained> {
        let mut answer = self.answer(&call).await?;
        if !answer.status().is_success() {
            bail!("{} {}: {}", call.method, call.path, answer.status());
        }
        let mut drained = Drained { bytes: 0, head: Bytes::new() };
        while let Some(frame) = answer.body_mut().frame().await {
            let Ok(data) = frame?.into_data() else { continue };
            if drained.bytes == 0 {
                drained.head = data.slice(..data.len().min(HEAD_BYTES));
            }
            drained.bytes += data.len();
        }
        Ok(drained)
    }

    /// Begins to watch a collection after a revision: `path` is without a query.
    pub(crate) async fn watch(mut self, path: &str, revision: &str) -> Result<Lines> {
        let path = format!("{path}?watch=1&resourceVersion={revision}");
        let answer = self.send(&Call::get(&path)).await?;
        if !answer.status().is_success() {
            bail!("watch {path}: {}", answer.status());
        }
        Ok(Lines { body: answer.into_body(), buffer: BytesMut::new(), _connection: self })
    }

    async fn answer(&mut self, call: &Call<'_>) -> Result<http::Response<Incoming>> {
        let answer = tokio::time::timeout(DEADLINE, self.send(call));
        answer.await.with_context(|| format!("{} {}: no answer", call.method, call.path))?
    }

    async fn send(&mut self, call: &Call<'_>) -> Result<http::Response<Incoming>> {
        let request = Request::builder()
            .method(call.method.clone())
            .uri(call.path)
            .header(header::HOST, &self.host)
            .header(header::CONTENT_TYPE, call.content_type)
            .header(header::ACCEPT, call.accept)
            .body(Full::new(call.body.clone()))?;
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
