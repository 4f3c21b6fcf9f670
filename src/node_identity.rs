//! Who a node is, over TLS: its client certificate, which can be renewed while connections use it.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::{Context as _, Result};
use base::clock;
use base::pki::{self, Identity, Subject, Usage};
use rustls::client::ResolvesClientCert;
use rustls::crypto::ring;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// The group of all nodes, as upstream's.
const NODES: &str = "system:nodes";

/// How often a certificate's age is looked at.
const LOOK_EVERY: Duration = Duration::from_hours(1);

/// A node's certificate and the authority that it trusts; clones share them.
#[derive(Clone)]
pub(crate) struct NodeIdentity {
    current: Arc<Current>,
    config: Arc<ClientConfig>,
}

/// The certificate that is shown on new connections.
struct Current {
    key: RwLock<Arc<CertifiedKey>>,
}

impl NodeIdentity {
    /// Shows `identity` to servers of `authority_pem`.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub(crate) fn new(identity: &Identity, authority_pem: &str) -> Result<Self> {
        let current = Arc::new(Current { key: RwLock::new(Arc::new(certified(identity)?)) });
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots(authority_pem)?)
            .with_client_cert_resolver(Arc::clone(&current) as Arc<dyn ResolvesClientCert>);
        // A session that is resumed shows the certificate that it began with.
        config.resumption = rustls::client::Resumption::disabled();
        Ok(Self { current, config: Arc::new(config) })
    }

    /// How to connect.
    pub(crate) fn client_config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.config)
    }

    /// Shows another certificate on new connections.
    ///
    /// # Errors
    /// When it cannot be used; the old one then stays.
    pub(crate) fn renew(&self, identity: &Identity) -> Result<()> {
        let key = Arc::new(certified(identity)?);
        *self.current.key.write().unwrap_or_else(PoisonError::into_inner) = key;
        Ok(())
    }
}

impl fmt::Debug for Current {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Current")
    }
}

impl ResolvesClientCert for Current {
    fn resolve(&self, _hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.key.read().unwrap_or_else(PoisonError::into_inner)))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// The user that the node `name` is.
pub(crate) fn subject(name: &str) -> Subject {
    Subject {
        common_name: format!("system:node:{name}"),
        organization: Some(NODES.to_owned()),
        names: Vec::new(),
        usage: Usage::Client,
    }
}

/// Completes when a certificate is to be renewed: at two thirds of its life. The date may be set meanwhile, so it is
/// looked at every hour.
///
/// # Errors
/// When the certificate cannot be read.
pub(crate) async fn due(identity: &Identity) -> Result<()> {
    let facts = pki::read_certificate(&identity.certificate_pem)?;
    while !apiserver::bootstrap::is_due(&facts, clock::now().as_second()) {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}

fn roots(authority_pem: &str) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(authority_pem.as_bytes()) {
        roots.add(certificate.context("the cluster's certificate authority cannot be read")?)?;
    }
    Ok(roots)
}

fn certified(identity: &Identity) -> Result<CertifiedKey> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(identity.certificate_pem.as_bytes()).collect();
    let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes()).context("the node's key cannot be read")?;
    let key = ring::sign::any_supported_type(&key).context("the node's key cannot be used")?;
    Ok(CertifiedKey::new(chain.context("the node's certificate cannot be read")?, key))
}
