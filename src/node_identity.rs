//! Who a node is, over TLS: its client certificate, which can be renewed while connections use it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use apiserver::serve::tls::{self, Serving};
use base::backoff::{Backoff, Law};
use base::clock;
use base::pki::{self, Identity, Subject, Usage};
use rustls::ClientConfig;
use rustls::crypto::ring;

/// The group of all nodes, as upstream's.
const NODES: &str = "system:nodes";

/// How often a certificate's age is looked at.
const LOOK_EVERY: Duration = Duration::from_hours(1);

/// The least time between two renewals.
const PAUSE: Duration = Duration::from_mins(1);

/// The wait after a renewal that failed.
const RETRY: Law = Law::spread(Duration::from_secs(10), Duration::from_secs(3600));

/// A node's certificate and the authority that it trusts; clones share them.
#[derive(Clone)]
pub(crate) struct NodeIdentity {
    shown: Serving,
    config: Arc<ClientConfig>,
}

impl NodeIdentity {
    /// Shows `identity` to servers of `authority_pem`.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub(crate) fn new(identity: &Identity, authority_pem: &str) -> Result<Self> {
        let shown = Serving::new(identity)?;
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(tls::authorities(authority_pem, "cluster's certificate authority")?)
            .with_client_cert_resolver(Arc::new(shown.clone()));
        // A session that is resumed shows the certificate that it began with.
        config.resumption = rustls::client::Resumption::disabled();
        Ok(Self { shown, config: Arc::new(config) })
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
        Ok(self.shown.renew(identity)?)
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

/// Has `renew` make and show another certificate whenever the one that is shown is due, or at once where none is yet. What
/// fails is told, and tried again.
pub(crate) async fn keep_fresh<F>(what: &'static str, mut shown: Option<Identity>, renew: impl Fn() -> F)
where
    F: Future<Output = Result<Identity>>,
{
    let mut retry = Backoff::new(RETRY);
    loop {
        let renewed = async {
            if let Some(shown) = &shown {
                due(shown).await?;
            }
            renew().await
        };
        match renewed.await {
            Ok(identity) => {
                tracing::info!(what, "a certificate was {}", if shown.is_some() { "renewed" } else { "had" });
                shown = Some(identity);
                retry.reset();
                // By a clock that is far off a new certificate may be due at once.
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => {
                tracing::warn!(what, error = format!("{error:#}"), "a certificate cannot be renewed; trying again");
                tokio::time::sleep(retry.next_wait()).await;
            }
        }
    }
}

/// Completes when a certificate is to be renewed: at two thirds of its life. The date may be set meanwhile, so it is
/// looked at every hour.
async fn due(identity: &Identity) -> Result<()> {
    let facts = pki::read_certificate(&identity.certificate_pem)?;
    while !apiserver::bootstrap::is_due(&facts, clock::now().as_second()) {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}
