//! How a node that nobody knows yet becomes one of a cluster: it knows the cluster by the hash of its authority's key,
//! shows a bootstrap token, and gets a certificate of its own for a key that never leaves it (kubeadm's way).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use base::pki::{self, Identity, Subject};
use futures::TryStreamExt as _;
use k8s_openapi::ByteString;
use k8s_openapi::api::certificates::v1::{CertificateSigningRequest, CertificateSigningRequestSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{PostParams, WatchEvent, WatchParams};
use kube::{Api, Client};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// How long the first connection may take.
const CONNECT_DEADLINE: Duration = Duration::from_secs(15);

/// How long a certificate may take to be approved and signed.
const SIGNED_DEADLINE: Duration = Duration::from_secs(300);

/// How long one watch for it lasts, in seconds.
const WATCH_SECONDS: u32 = 60;

/// The certificate of the authority whose key has the hash `hash`, as the server at `url` shows it. The server has to
/// have a certificate of that authority for the name in `url`.
///
/// # Errors
/// When the server is not there, or is another one.
pub(crate) async fn authority_by_hash(url: &str, hash: &str) -> Result<String> {
    let address = host_and_port(url);
    let (host, port) = address.with_context(|| format!("--join {url} is no address such as https://10.0.0.1:6443"))?;
    let provider = Arc::new(ring::default_provider());
    let pinned = Arc::new(Pinned { hash: hash.to_owned(), provider: Arc::clone(&provider), found: Mutex::default() });
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&pinned) as Arc<dyn ServerCertVerifier>)
        .with_no_client_auth();
    let name = ServerName::try_from(host.clone()).with_context(|| format!("--join {url}"))?;
    let connect = async {
        let stream = TcpStream::connect((host.as_str(), port)).await?;
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    };
    match tokio::time::timeout(CONNECT_DEADLINE, connect).await {
        Ok(connected) => connected.with_context(|| format!("cannot join the API server at {url}"))?,
        Err(_) => bail!("cannot join the API server at {url}: it did not answer in {} s", CONNECT_DEADLINE.as_secs()),
    };
    pinned.found().context("the server showed no authority")
}

/// The host, without the brackets of an IPv6 address, and the port of `https://HOST:PORT`.
pub(crate) fn host_and_port(url: &str) -> Option<(String, u16)> {
    let uri: http::Uri = url.parse().ok()?;
    let host = uri.host().filter(|_| uri.scheme_str() == Some("https"))?;
    Some((host.trim_start_matches('[').trim_end_matches(']').to_owned(), uri.port_u16().unwrap_or(443)))
}

/// Trusts the authority with one hash, and whoever has a certificate of it.
#[derive(Debug)]
struct Pinned {
    hash: String,
    provider: Arc<CryptoProvider>,
    /// The authority's certificate, once it was seen.
    found: Mutex<Option<String>>,
}

impl Pinned {
    fn found(&self) -> Option<String> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let is_pinned = |certificate: &&CertificateDer<'_>| {
            pki::public_key_hash_der(certificate).is_ok_and(|hash| hash == self.hash)
        };
        let Some(authority) = intermediates.iter().find(is_pinned) else {
            let text = "its certificate authority is not the one of --ca-hash; ask the cluster for the right hash with \
                        `minke token create --print-join-command`";
            return Err(rustls::Error::General(text.to_owned()));
        };
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned())?;
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&self.provider));
        let verifier = verifier.build().map_err(|error| rustls::Error::General(error.to_string()))?;
        let verified = verifier.verify_server_cert(end_entity, &[], server_name, ocsp_response, now)?;
        *self.found.lock().unwrap_or_else(PoisonError::into_inner) = Some(pki::to_pem(authority));
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// A new key, and the certificate that the cluster signs for it.
///
/// # Errors
/// When the request is refused or denied, or nobody signs it in time.
pub(crate) async fn identity(client: &Client, signer: &str, usages: &[&str], subject: &Subject) -> Result<Identity> {
    let (request, key_pem) = pki::request(subject)?;
    let certificate_pem = certificate(client, signer, usages, &request).await?;
    Ok(Identity { certificate_pem, key_pem })
}

/// Asks the cluster to sign `request_pem` and waits for the certificate.
async fn certificate(client: &Client, signer: &str, usages: &[&str], request_pem: &str) -> Result<String> {
    let api: Api<CertificateSigningRequest> = Api::all(client.clone());
    let request = CertificateSigningRequest {
        metadata: ObjectMeta { generate_name: Some("csr-".to_owned()), ..ObjectMeta::default() },
        spec: CertificateSigningRequestSpec {
            request: ByteString(request_pem.as_bytes().to_vec()),
            signer_name: signer.to_owned(),
            usages: Some(usages.iter().map(|&usage| usage.to_owned()).collect()),
            ..CertificateSigningRequestSpec::default()
        },
        status: None,
    };
    let made = api.create(&PostParams::default(), &request).await.context("the certificate request was refused")?;
    let name = made.metadata.name.unwrap_or_default();
    match tokio::time::timeout(SIGNED_DEADLINE, signed(&api, &name)).await {
        Ok(certificate) => certificate,
        Err(_) => {
            bail!("the certificate request {name} was neither signed nor denied in {} s", SIGNED_DEADLINE.as_secs())
        }
    }
}

async fn signed(api: &Api<CertificateSigningRequest>, name: &str) -> Result<String> {
    loop {
        let request = api.get(name).await?;
        let version = request.metadata.resource_version.clone().unwrap_or_default();
        if let Some(answer) = answer(&request) {
            return answer;
        }
        let selection = WatchParams::default().fields(&format!("metadata.name={name}")).timeout(WATCH_SECONDS);
        let mut changes = Box::pin(api.watch(&selection, &version).await?);
        while let Ok(Some(change)) = changes.try_next().await {
            if let WatchEvent::Added(request) | WatchEvent::Modified(request) = change
                && let Some(answer) = answer(&request)
            {
                return answer;
            }
        }
    }
}

/// What became of a request, once something did.
fn answer(request: &CertificateSigningRequest) -> Option<Result<String>> {
    let status = request.status.as_ref()?;
    let conditions = status.conditions.iter().flatten();
    if let Some(refused) =
        conditions.into_iter().find(|condition| ["Denied", "Failed"].contains(&condition.type_.as_str()))
    {
        let text = refused.message.as_deref().unwrap_or_default();
        return Some(Err(anyhow::anyhow!("the certificate request was {}: {text}", refused.type_.to_lowercase())));
    }
    let certificate = status.certificate.as_ref()?;
    Some(String::from_utf8(certificate.0.clone()).context("the certificate is no PEM"))
}
