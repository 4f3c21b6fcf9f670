//! Artifacts for the cluster's own registry.

use std::path::Path;
use std::sync::Arc;

use images::credentials::Keyring;
use images::distribution::{self, BuiltIn};
use images::{Pusher, Reference};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use super::{Cluster, guest};

impl Cluster {
    /// Pushes a guest of ours as `registry.minke.local/default/NAME`.
    pub(crate) async fn push(&self, name: &str) {
        self.push_file(name, &guest(name)).await;
    }

    /// Pushes a file as `registry.minke.local/default/NAME`.
    pub(crate) async fn push_file(&self, name: &str, path: &Path) {
        let built_in = BuiltIn { url: self.url().await, tls: self.administrator(), bearer: None };
        let pusher = Pusher::new(distribution::Options { built_in: Some(built_in), ..Default::default() });
        let reference = Reference::parse(&format!("registry.minke.local/default/{name}")).unwrap();
        pusher.push(&reference, path, &Keyring::empty()).await.unwrap();
    }

    /// TLS as the cluster's administrator.
    pub(crate) fn administrator(&self) -> Arc<ClientConfig> {
        let pki = self.data().join("pki");
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(pki.join("ca.crt")).unwrap()).unwrap();
        let chain = vec![CertificateDer::from_pem_file(pki.join("admin.crt")).unwrap()];
        let key = PrivateKeyDer::from_pem_file(pki.join("admin.key")).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap();
        Arc::new(config.with_root_certificates(roots).with_client_auth_cert(chain, key).unwrap())
    }
}
