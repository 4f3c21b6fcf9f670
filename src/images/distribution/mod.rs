//! Speaking to a registry: the client's half of the OCI distribution protocol.
//!
//! Answers are bounded in bytes and time whatever the registry sends: a manifest is read up to
//! `MANIFEST_BYTES_MAX`, content is handed out as a stream, and a connection that gives nothing for `READ_IDLE_MAX`
//! is given up. Reading order: `Transport` (which hosts are spoken to how), `session` (requests to one repository,
//! with credentials).

mod challenge;
pub(crate) mod session;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::Client;
use rustls::ClientConfig;
use rustls::crypto::ring;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use self::session::{Access, Session};
use crate::credentials::{Credentials, Keyring};
use crate::digest::Digest;
use crate::reference::Reference;

/// How long connecting, TLS included, may take.
const CONNECT_MAX: Duration = Duration::from_secs(15);

/// How long a registry may be silent within an answer.
pub(crate) const READ_IDLE_MAX: Duration = Duration::from_secs(60);

/// How registries are reached.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Hosts (with port, as in references) that may be spoken to in plain text. Those of this machine may be too.
    pub insecure_registries: Vec<String>,
    /// Certificates of authorities to trust beside the system's, in PEM.
    pub extra_roots_pem: Vec<String>,
    /// A proxy's URL for everything but the cluster's own registry.
    pub proxy: Option<String>,
    /// What the proxy is not for, as in `NO_PROXY`: hosts and networks with commas between.
    pub no_proxy: Option<String>,
    /// Where `registry.minke.local` is.
    pub built_in: Option<BuiltIn>,
}

/// The cluster's own registry, as this process reaches it.
#[derive(Clone, Debug)]
pub struct BuiltIn {
    /// The API server: `https://HOST:PORT`.
    pub url: String,
    /// Trust and, on a node, the client certificate.
    pub tls: Arc<ClientConfig>,
    /// A token, for those who have no certificate. Never logged.
    pub bearer: Option<Token>,
}

/// A secret that shows itself to nobody.
#[derive(Clone)]
pub struct Token(pub String);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Why a registry gave no answer that helps.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection, or it broke.
    #[error("registry {registry} is unreachable: {why}")]
    Unreachable {
        /// Which.
        registry: String,
        /// Every cause, the outermost first.
        why: String,
    },
    /// It wants credentials, or others.
    #[error("registry {registry} denies access to repository {repository}; it may not exist, or needs a pull secret")]
    Denied {
        /// Which.
        registry: String,
        /// To what.
        repository: String,
    },
    /// No such manifest or blob.
    #[error("{0}: not found")]
    NotFound(String),
    /// Too many requests.
    #[error("registry {0} refuses more requests for now (429 Too Many Requests)")]
    TooManyRequests(String),
    /// Any other answer.
    #[error("registry {registry} answered {code} to {what}: {message}")]
    Answer {
        /// Which.
        registry: String,
        /// The HTTP status.
        code: u16,
        /// What was asked.
        what: String,
        /// The beginning of its text.
        message: String,
    },
    /// An answer beyond its bound.
    #[error("registry {registry} sent more than {max} bytes of {what}")]
    TooLarge {
        /// Which.
        registry: String,
        /// What it sent.
        what: &'static str,
        /// The bound.
        max: u64,
    },
    /// A manifest that is not what was asked for.
    #[error("registry {registry} sent a manifest with digest {found}, want {expected}")]
    DigestMismatch {
        /// Which.
        registry: String,
        /// What was asked for.
        expected: Digest,
        /// What came.
        found: Digest,
    },
    /// No trust to check certificates by, or options that cannot be used.
    #[error("cannot speak to registries: {0}")]
    Setup(String),
    /// The cluster's own registry was named where none is known.
    #[error("the cluster's own registry is not known here")]
    NoBuiltIn,
    /// The file to send cannot be read.
    #[error("cannot read {path}: {source}")]
    File {
        /// Which.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
}

impl Error {
    /// Whether other credentials, or plain text where that is allowed, may do better.
    pub(crate) fn is_worth_another_way(&self) -> bool {
        matches!(self, Self::Denied { .. } | Self::Unreachable { .. })
    }
}

/// The HTTP clients of this process, each made when first needed. Cheap to share.
#[derive(Debug)]
pub(crate) struct Transport {
    options: Options,
    /// Trusts the system's authorities; speaks nothing but TLS, also when it is sent elsewhere.
    secure: OnceLock<Client>,
    plain: OnceLock<Client>,
    built_in: OnceLock<Client>,
}

/// A way to one registry.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    pub(crate) client: Client,
    /// `https://host:port`, without a slash at the end.
    pub(crate) base: String,
    /// How errors name it.
    pub(crate) registry: String,
    /// A token that is sent with each request.
    pub(crate) bearer: Option<Token>,
}

impl Transport {
    pub(crate) fn new(options: Options) -> Self {
        Self { options, secure: OnceLock::new(), plain: OnceLock::new(), built_in: OnceLock::new() }
    }

    /// The conversations to try for an image, in order: by TLS and, where it is allowed, in plain text; each with every
    /// credential that matches, or with none.
    pub(crate) fn sessions(&self, image: &Reference, access: Access, keyring: &Keyring) -> Result<Vec<Session>, Error> {
        let mut credentials: Vec<_> = keyring.lookup(image).into_iter().map(Some).collect();
        if credentials.is_empty() {
            credentials.push(None);
        }
        let session = |endpoint: &Endpoint, credentials: &Option<Credentials>| {
            Session::new(endpoint.clone(), image.repository().clone(), access, credentials.clone())
        };
        let endpoints = self.endpoints(image)?;
        let ways = endpoints.iter().flat_map(|endpoint| credentials.iter().map(move |it| session(endpoint, it)));
        Ok(ways.collect())
    }

    /// The ways to an image's registry, in the order in which they are tried.
    fn endpoints(&self, image: &Reference) -> Result<Vec<Endpoint>, Error> {
        let registry = image.registry().to_owned();
        if image.is_built_in() {
            let built_in = self.options.built_in.as_ref().ok_or(Error::NoBuiltIn)?;
            let client = made(&self.built_in, || built_in_client(&built_in.tls))?;
            let base = built_in.url.trim_end_matches('/').to_owned();
            return Ok(vec![Endpoint { client, base, registry, bearer: built_in.bearer.clone() }]);
        }
        let host = image.api_host();
        let endpoint = |client, scheme| Endpoint {
            client,
            base: format!("{scheme}://{host}"),
            registry: registry.clone(),
            bearer: None,
        };
        let secure = made(&self.secure, || self.secure_client());
        if !may_be_plain(&registry, &self.options.insecure_registries) {
            return Ok(vec![endpoint(secure?, "https")]);
        }
        let plain = endpoint(made(&self.plain, || self.plain_client())?, "http");
        // A machine without any authority in its trust store can still speak plain text.
        Ok(secure.map(|client| endpoint(client, "https")).into_iter().chain([plain]).collect())
    }

    fn secure_client(&self) -> Result<Client, Error> {
        let mut roots: Vec<CertificateDer<'static>> = Vec::new();
        for pem in &self.options.extra_roots_pem {
            for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                roots.push(certificate.map_err(setup)?);
            }
        }
        let provider = Arc::new(ring::default_provider());
        let verifier = rustls_platform_verifier::Verifier::new_with_extra_roots(roots, Arc::clone(&provider));
        let mut tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(setup)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier.map_err(setup)?))
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        self.proxied(builder(tls).https_only(true))
    }

    fn plain_client(&self) -> Result<Client, Error> {
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(setup)?
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        self.proxied(builder(tls))
    }

    fn proxied(&self, builder: reqwest::ClientBuilder) -> Result<Client, Error> {
        let builder = match &self.options.proxy {
            Some(url) => {
                let no_proxy = self.options.no_proxy.as_deref().and_then(reqwest::NoProxy::from_string);
                builder.proxy(reqwest::Proxy::all(url).map_err(setup)?.no_proxy(no_proxy))
            }
            None => builder,
        };
        builder.build().map_err(setup)
    }
}

fn built_in_client(tls: &ClientConfig) -> Result<Client, Error> {
    builder(tls.clone()).redirect(reqwest::redirect::Policy::none()).build().map_err(setup)
}

/// What all clients have in common. The environment is not asked for proxies: only the roof reads it.
fn builder(tls: ClientConfig) -> reqwest::ClientBuilder {
    Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .connect_timeout(CONNECT_MAX)
        .user_agent(concat!("minke/", env!("CARGO_PKG_VERSION")))
}

fn made(cell: &OnceLock<Client>, make: impl FnOnce() -> Result<Client, Error>) -> Result<Client, Error> {
    match cell.get() {
        Some(client) => Ok(client.clone()),
        None => {
            let client = make()?;
            Ok(cell.get_or_init(|| client).clone())
        }
    }
}

fn setup(error: impl std::error::Error + 'static) -> Error {
    Error::Setup(base::causes(&error))
}

/// Whether plain text is allowed: to this machine itself, and to what was named insecure.
fn may_be_plain(registry: &str, insecure: &[String]) -> bool {
    let host = match registry.strip_prefix('[') {
        Some(bracketed) => bracketed.split(']').next().unwrap_or_default(),
        None => registry.split(':').next().unwrap_or_default(),
    };
    let is_loopback = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|it| it.is_loopback());
    is_loopback || insecure.iter().any(|it| it == registry)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_is_for_this_machine_and_for_what_was_named() {
        let insecure = ["lab.example:5000".to_owned()];
        for (registry, expected) in [
            ("localhost:5000", true),
            ("127.0.0.9", true),
            ("[::1]:5000", true),
            ("lab.example:5000", true),
            ("lab.example", false),
            ("ghcr.io", false),
            ("127.0.0.1.evil.example", false),
        ] {
            assert_eq!(may_be_plain(registry, &insecure), expected, "{registry}");
        }
    }

    #[test]
    fn the_clusters_own_registry_must_be_known() {
        let transport = Transport::new(Options::default());
        let image = Reference::parse("registry.minke.local/ns/app").unwrap();
        assert!(matches!(transport.endpoints(&image), Err(Error::NoBuiltIn)));
    }
}
