//! TLS of the listener: its certificate, which can be renewed while it serves, and whose clients it knows. Whoever
//! connects with a certificate that is renewed shows it in the same way.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use base::pki::Identity;
use rustls::client::ResolvesClientCert;
use rustls::crypto::ring;
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig, SignatureScheme};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// Why TLS could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A PEM text could not be read.
    #[error("cannot read the {what}: {reason}")]
    Unreadable {
        /// Which one.
        what: &'static str,
        /// Why.
        reason: String,
    },
    /// Certificate and key do not serve.
    #[error("the certificate cannot be used: {0}")]
    Unusable(String),
}

/// The certificate that is shown to the other end; renewing it changes new connections alone. By default there is none
/// yet, and handshakes fail until there is.
#[derive(Clone, Default)]
pub struct Serving {
    current: Arc<RwLock<Option<Arc<CertifiedKey>>>>,
}

impl fmt::Debug for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Serving")
    }
}

impl Serving {
    /// Begins with a certificate.
    ///
    /// # Errors
    /// When it or its key cannot be used.
    pub fn new(identity: &Identity) -> Result<Self, Error> {
        Ok(Self { current: Arc::new(RwLock::new(Some(Arc::new(certified(identity)?)))) })
    }

    /// Shows another certificate from now on.
    ///
    /// # Errors
    /// When it or its key cannot be used; the old one then stays.
    pub fn renew(&self, identity: &Identity) -> Result<(), Error> {
        let renewed = Arc::new(certified(identity)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(renewed);
        Ok(())
    }

    fn current(&self) -> Option<Arc<CertifiedKey>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ResolvesServerCert for Serving {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.current()
    }
}

impl ResolvesClientCert for Serving {
    fn resolve(&self, _hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.current()
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// The listener's configuration: it shows `serving`, wants a certificate of `client_authority` and takes callers
/// without one.
///
/// # Errors
/// When the authority cannot be read.
pub fn config(serving: Serving, client_authority_pem: &str) -> Result<Arc<ServerConfig>, Error> {
    let roots = authorities(client_authority_pem, "client CA")?;
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let verifier = verifier.allow_unauthenticated().build().map_err(|error| Error::Unusable(error.to_string()))?;
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| Error::Unusable(error.to_string()))?;
    let mut config = builder.with_client_cert_verifier(verifier).with_cert_resolver(Arc::new(serving));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// The authorities of a PEM text, which errors call `what`.
///
/// # Errors
/// When one cannot be read.
pub fn authorities(pem: &str, what: &'static str) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let authority = authority.map_err(|error| unreadable(what, &error))?;
        roots.add(authority).map_err(|error| unreadable(what, &error))?;
    }
    Ok(roots)
}

fn certified(identity: &Identity) -> Result<CertifiedKey, Error> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(identity.certificate_pem.as_bytes()).collect();
    let chain = chain.map_err(|error| unreadable("certificate", &error))?;
    let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes()).map_err(|error| unreadable("key", &error))?;
    let key = ring::sign::any_supported_type(&key).map_err(|error| Error::Unusable(error.to_string()))?;
    Ok(CertifiedKey::new(chain, key))
}

fn unreadable(what: &'static str, error: &impl fmt::Display) -> Error {
    Error::Unreadable { what, reason: error.to_string() }
}
