//! Connections to webhooks, kept and used again: one client for each authority that is trusted.

use std::collections::HashMap;
use std::error::Error as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;
use futures::StreamExt as _;
use http::header::{ACCEPT, CONTENT_TYPE};
use reqwest::Client;
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use rustls_platform_verifier::BuilderVerifierExt as _;
use serde_json::Value;

/// Authorities whose clients are kept. A cluster has some tens of webhooks; beyond this all clients are made anew, which
/// costs a handshake each.
const CLIENTS_MAX: usize = 256;

/// Bytes of an answer: an object of the largest size that is stored, twice, and what stands around it.
const ANSWER_BYTES_MAX: usize = 8 << 20;

/// How long an idle connection is kept, as upstream's.
const IDLE_MAX: Duration = Duration::from_secs(90);

/// Idle connections to one webhook. More are opened under load and closed after it.
const IDLE_PER_HOST_MAX: usize = 16;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    by_authority: Mutex<HashMap<String, Client>>,
}

/// Why a webhook gave no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Its configuration cannot be used.
    #[error("{0}")]
    Configuration(String),
    /// No connection, or it broke, or took too long.
    #[error("Post {url:?}: {why}")]
    Unreachable { url: String, why: String },
    /// Another code than 200.
    #[error("the server responded with the status code {0} but did not return more information")]
    Code(u16),
    /// No JSON, or too much of it.
    #[error("{0}")]
    Body(String),
}

impl Clients {
    /// Sends a question, in JSON, to where `config` (a `WebhookClientConfig`) says, and reads the answer.
    pub(crate) async fn post(&self, config: &Value, timeout: Duration, question: String) -> Result<Value, Error> {
        let text = |name: &str| config.get(name).and_then(Value::as_str).unwrap_or_default();
        let Some(url) = config.get("url").and_then(Value::as_str) else {
            let service =
                |name: &str| config.pointer(&format!("/service/{name}")).and_then(Value::as_str).unwrap_or_default();
            return Err(Error::Configuration(format!(
                "service {:?} cannot be reached: services of the cluster's network are not served yet; give a url",
                format!("{}/{}", service("namespace"), service("name"))
            )));
        };
        let separator = if url.contains('?') { '&' } else { '?' };
        let url = format!("{url}{separator}timeout={}s", timeout.as_secs());
        let unreachable = |error: &reqwest::Error| {
            let why = if error.is_timeout() { "context deadline exceeded".to_owned() } else { causes(error) };
            Error::Unreachable { url: url.clone(), why }
        };
        let client = self.of_authority(text("caBundle"))?;
        let request =
            client.post(&url).header(CONTENT_TYPE, "application/json").header(ACCEPT, "application/json, */*");
        let response = request.timeout(timeout).body(question).send().await.map_err(|error| unreachable(&error))?;
        if response.status().as_u16() != 200 {
            return Err(Error::Code(response.status().as_u16()));
        }
        let mut content = BytesMut::new();
        let mut chunks = response.bytes_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|error| unreachable(&error))?;
            if content.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(Error::Body(format!("the answer has more than {ANSWER_BYTES_MAX} bytes")));
            }
            content.extend_from_slice(&chunk);
        }
        serde_json::from_slice(&content).map_err(|error| Error::Body(format!("the answer is no JSON: {error}")))
    }

    /// The client that trusts the authorities in `bundle` (base64 of PEM), or the system's where there are none.
    fn of_authority(&self, bundle: &str) -> Result<Client, Error> {
        let mut clients = self.by_authority.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(bundle) {
            return Ok(client.clone());
        }
        if clients.len() >= CLIENTS_MAX {
            clients.clear();
        }
        let client = client(bundle).map_err(Error::Configuration)?;
        clients.insert(bundle.to_owned(), client.clone());
        Ok(client)
    }
}

fn client(bundle: &str) -> Result<Client, String> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| error.to_string())?;
    let tls = if bundle.is_empty() {
        builder.with_platform_verifier().map_err(|error| error.to_string())?.with_no_client_auth()
    } else {
        let pem = STANDARD.decode(bundle).map_err(|error| format!("unable to load root certificates: {error}"))?;
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let certificate = certificate.map_err(|error| format!("unable to load root certificates: {error}"))?;
            roots.add(certificate).map_err(|error| format!("unable to load root certificates: {error}"))?;
        }
        builder.with_root_certificates(roots).with_no_client_auth()
    };
    let client = Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .pool_idle_timeout(IDLE_MAX)
        .pool_max_idle_per_host(IDLE_PER_HOST_MAX)
        .user_agent("kube-apiserver-admission")
        .build();
    client.map_err(|error| causes(&error))
}

/// An error with its causes; reqwest's own text is only where.
fn causes(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut cause = error.source();
    while let Some(next) = cause {
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&next.to_string());
        cause = next.source();
    }
    if text.is_empty() { error.to_string() } else { text }
}
