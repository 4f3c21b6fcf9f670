//! The server behind its real listener, and clients of every kind in front of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base::pki::{Authority, Subject, Usage};
use base::task::{self, Task};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::client::WantsClientCert;
use rustls::crypto::ring;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;
use crate::authentication::StaticTokens;
use crate::bootstrap::{self, Keys};
use crate::serve::renewal::Renewal;
use crate::serve::{self, Entry, tls};

/// The token of an administrator.
pub(crate) const TOKEN: &str = "good";

/// A listening server, which ends with the test.
pub(crate) struct Door {
    pub(crate) cluster: Cluster,
    pub(crate) address: SocketAddr,
    pub(crate) authority: Arc<Authority>,
    pub(crate) renewal: Renewal,
    _serving: Task<()>,
    _trigger: Trigger,
}

/// A client's HTTP/2 connection.
pub(crate) struct Http2 {
    sender: http2::SendRequest<Body>,
    _connection: Task<()>,
}

impl Door {
    pub(crate) async fn open(cluster: Cluster) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let folder = cluster.folder.path().join("keys");
        let names = vec!["127.0.0.1".to_owned()];
        let options =
            bootstrap::Options { folder: folder.clone(), names: names.clone(), url: format!("https://{address}") };
        let Keys { authority, serving, .. } = bootstrap::prepare(&options).unwrap();
        let authority = Arc::new(authority);
        let (shown, renewal) = Renewal::begin(&serving, folder.join("pki"), Arc::clone(&authority), names).unwrap();
        let mut tokens = StaticTokens::default();
        tokens.add(TOKEN, User::master("admin"));
        let entry = Entry { tls: tls::config(shown, authority.certificate_pem()).unwrap(), tokens };
        let (trigger, shutdown) = shutdown::channel();
        let serving = task::spawn("serving", serve::run(cluster.server.clone(), listener, entry, shutdown));
        Self { cluster, address, authority, renewal, _serving: serving, _trigger: trigger }
    }

    /// A TLS connection of nobody that speaks `protocol`.
    pub(crate) async fn connect(&self, protocol: &str) -> TlsStream<TcpStream> {
        let mut config = self.trusting().with_no_client_auth();
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let stream = TcpStream::connect(self.address).await.unwrap();
        let name = ServerName::IpAddress(self.address.ip().into());
        TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
    }

    /// How `name` of `group` connects, with a certificate.
    pub(crate) fn client_config(&self, name: &str, group: &str) -> ClientConfig {
        let (common_name, organization) = (name.to_owned(), Some(group.to_owned()));
        let subject = Subject { common_name, organization, names: Vec::new(), usage: Usage::Client };
        let identity = self.authority.issue(&subject, Duration::from_secs(3600)).unwrap();
        let certificate = CertificateDer::from_pem_slice(identity.certificate_pem.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes()).unwrap();
        self.trusting().with_client_auth_cert(vec![certificate], key).unwrap()
    }

    fn trusting(&self) -> ConfigBuilder<ClientConfig, WantsClientCert> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.authority.certificate_pem().as_bytes()).unwrap()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        builder.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots)
    }

    /// An HTTP/2 connection with room for many stalled streams.
    pub(crate) async fn http2(&self) -> Http2 {
        let io = TokioIo::new(self.connect("h2").await);
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.initial_stream_window_size(64 << 10).initial_connection_window_size(32 << 20);
        let (sender, connection) = builder.handshake(io).await.unwrap();
        let connection = task::spawn("client", async move { connection.await.unwrap_or_default() });
        Http2 { sender, _connection: connection }
    }
}

impl Http2 {
    /// Asks as an administrator.
    pub(crate) async fn ask(
        &mut self,
        request: http::request::Builder,
        body: Body,
    ) -> http::Response<hyper::body::Incoming> {
        let request = request.header("authorization", format!("Bearer {TOKEN}")).body(body).unwrap();
        self.sender.ready().await.unwrap();
        self.sender.send_request(request).await.unwrap()
    }

    pub(crate) async fn get(&mut self, path: &str) -> http::Response<hyper::body::Incoming> {
        self.ask(Request::get(format!("https://server{path}")), Body::empty()).await
    }
}
