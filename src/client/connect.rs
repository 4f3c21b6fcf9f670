//! A `kube::Client`: of the server in this process, or of one over TLS.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base::pki::Identity;
use http::{Request, Response};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kube::client::{Body, ConfigExt as _};
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use serde_json::json;
use tower::timeout::Timeout;
use tower::{BoxError, Service, ServiceBuilder};

/// The longest that a server may take until an answer begins: upstream's API server cuts requests off after a
/// minute, so whoever waits longer waits in vain. Watches begin to answer at once and are not bounded by it.
const ANSWER_DEADLINE: Duration = Duration::from_secs(60);

/// The longest that a connection may take to come about: a server that is there takes milliseconds, one far away a
/// second or two.
pub const CONNECT_DEADLINE: Duration = Duration::from_secs(10);

/// A connection that is silent for so long is asked whether the other side is there still: watches and followed logs
/// may be silent for hours, and a server that went away says no word.
pub const SILENCE_MAX: Duration = Duration::from_secs(15);

/// How often a silent server is asked before it counts as gone.
pub const PROBES: u32 = 4;

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kubeconfig cannot be read, or names what it does not hold.
    #[error("cannot use the kubeconfig {}: {source}", path.display())]
    Kubeconfig {
        /// Its path.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<KubeconfigError>,
    },
    /// What the caller gave is no way to reach a server.
    #[error("cannot connect to {url}: {source}")]
    Server {
        /// The server.
        url: String,
        /// What is wrong with it.
        source: BoxError,
    },
}

type Http = hyper_util::client::legacy::Client<HttpsConnector<HttpConnector>, Body>;

/// How a server over TLS is reached.
#[derive(Clone, Debug)]
pub struct Server {
    /// `https://host:port`
    pub url: String,
    /// The certificate of the authority that signed the server's.
    pub authority_pem: String,
    /// Who connects.
    pub credentials: Credentials,
}

/// Who connects.
#[derive(Clone)]
pub enum Credentials {
    /// Whom this certificate names.
    Identity(Identity),
    /// Whom this bearer token names.
    Token(String),
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Identity(_) => "Identity(…)",
            Self::Token(_) => "Token(…)",
        })
    }
}

/// A client of the server in this process: requests are function calls, without socket or TLS.
///
/// Must be called within a tokio runtime.
pub fn in_process<S, B>(service: S) -> Client
where
    S: Service<Request<Body>, Response = Response<B>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    Client::new(Timeout::new(service, ANSWER_DEADLINE), "default")
}

/// A client of the server, user and namespace that the kubeconfig at `path` names.
///
/// # Errors
/// When the file cannot be used. Whether the server is there, the first request shows.
pub async fn by_kubeconfig(path: &Path) -> Result<Client, Error> {
    let broken = |source| Error::Kubeconfig { path: path.to_owned(), source: Box::new(source) };
    let kubeconfig = Kubeconfig::read_from(path).map_err(broken)?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.map_err(broken)?;
    by_config(config)
}

/// A client of `server`.
///
/// # Errors
/// When a part of `server` cannot be read. Whether the server is there, the first request shows.
pub async fn to_server(server: &Server) -> Result<Client, Error> {
    let broken = |source: BoxError| Error::Server { url: server.url.clone(), source };
    let base64 = |pem: &str| base64::Engine::encode(&base64::engine::general_purpose::STANDARD, pem);
    let user = match &server.credentials {
        Credentials::Identity(identity) => json!({
            "client-certificate-data": base64(&identity.certificate_pem),
            "client-key-data": base64(&identity.key_pem),
        }),
        Credentials::Token(token) => json!({ "token": token }),
    };
    let kubeconfig: Kubeconfig = serde_json::from_value(json!({
        "clusters": [{"name": "minke", "cluster": {
            "server": server.url, "certificate-authority-data": base64(&server.authority_pem),
        }}],
        "users": [{"name": "minke", "user": user}],
        "contexts": [{"name": "minke", "context": {"cluster": "minke", "user": "minke"}}],
        "current-context": "minke",
    }))
    .map_err(|error| broken(error.into()))?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .map_err(|error| broken(error.into()))?;
    by_config(config)
}

/// A client of the server at `url` that connects as `tls` says: for who renews a certificate while it runs.
///
/// # Errors
/// When `url` is none.
pub fn with_tls(url: &str, tls: Arc<rustls::ClientConfig>) -> Result<Client, Error> {
    let broken = |source: BoxError| Error::Server { url: url.to_owned(), source };
    let uri = url.parse::<http::Uri>().map_err(|error| broken(error.into()))?;
    let http = over_tcp(rustls::ClientConfig::clone(&tls));
    let service = ServiceBuilder::new().layer(Config::new(uri).base_uri_layer()).service(http);
    Ok(Client::new(Timeout::new(service, ANSWER_DEADLINE), "default"))
}

/// A client as `config` says.
///
/// # Errors
/// When the credentials cannot be used.
pub fn by_config(mut config: Config) -> Result<Client, Error> {
    let url = config.cluster_url.to_string();
    let broken = |source: kube::Error| Error::Server { url: url.clone(), source: source.into() };
    config.connect_timeout = Some(CONNECT_DEADLINE);
    if config.proxy_url.is_some() {
        // kube's own connector knows the way through proxies.
        return Client::try_from(config).map_err(broken);
    }
    let http = over_tcp(config.rustls_client_config().map_err(broken)?);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer().map_err(broken)?)
        .layer(config.extra_headers_layer().map_err(broken)?)
        .map_err(BoxError::from)
        .service(http);
    Ok(Client::new(Timeout::new(service, ANSWER_DEADLINE), config.default_namespace))
}

fn over_tcp(tls: rustls::ClientConfig) -> Http {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(CONNECT_DEADLINE));
    tcp.set_keepalive(Some(SILENCE_MAX));
    tcp.set_keepalive_interval(Some(SILENCE_MAX));
    tcp.set_keepalive_retries(Some(PROBES));
    // What was sent and is not acknowledged by then keeps the questions from being asked.
    #[cfg(target_os = "linux")]
    tcp.set_tcp_user_timeout(Some(SILENCE_MAX * PROBES));
    let builder = HttpsConnectorBuilder::new().with_tls_config(tls);
    let connector = builder.https_or_http().enable_http1().wrap_connector(tcp);
    hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build(connector)
}
