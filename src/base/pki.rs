//! Keys and certificates as PEM text: an authority, what it issues, and what a certificate says.
//!
//! Keys are ECDSA P-256. Certificates begin five minutes before they are made, so that a neighbour whose clock is a
//! little behind accepts them. No error and no `Debug` text holds a key.

use std::fmt;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData as _, SerialNumber,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, SubjectPublicKeyInfoDer};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use crate::clock;

/// How far back certificates are dated.
const BACKDATED: Duration = Duration::from_secs(5 * 60);

/// A key or certificate that could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Making or signing failed.
    #[error("cannot make the certificate of {subject}: {source}")]
    Make {
        /// Whose certificate.
        subject: String,
        /// What the library says.
        source: rcgen::Error,
    },
    /// The text is not what it should be.
    #[error("cannot read the {what}: {reason}")]
    Read {
        /// `certificate`, `key` or `request`.
        what: &'static str,
        /// Why not.
        reason: String,
    },
}

/// A certificate and its key.
#[derive(Clone)]
pub struct Identity {
    /// The certificate.
    pub certificate_pem: String,
    /// Its private key.
    pub key_pem: String,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("certificate_pem", &self.certificate_pem).finish_non_exhaustive()
    }
}

/// Whom a certificate is for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Subject {
    /// For a client, its user name.
    pub common_name: String,
    /// For a client, its group.
    pub organization: Option<String>,
    /// The DNS names and IP addresses of a server.
    pub names: Vec<String>,
    /// What it may be used for.
    pub usage: Usage,
}

/// What a certificate may be used for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Usage {
    /// To say who connects.
    Client,
    /// To say who answers.
    Server,
}

/// What a certificate or a request says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Facts {
    /// The subject's common name.
    pub common_name: String,
    /// The subject's organizations.
    pub organizations: Vec<String>,
    /// DNS names and IP addresses; of a request all names of whatever sort.
    pub names: Vec<String>,
    /// Seconds since 1970 from which it is valid; 0 for a request.
    pub not_before_seconds: i64,
    /// Seconds since 1970 until which it is valid; 0 for a request.
    pub not_after_seconds: i64,
    /// The SHA-256 of the whole certificate, in hex; empty for a request.
    pub fingerprint: String,
}

/// Who signs certificates.
pub struct Authority {
    certificate_pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("certificate_pem", &self.certificate_pem).finish_non_exhaustive()
    }
}

impl Authority {
    /// Makes a new authority that signs itself.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub fn create(common_name: &str, life: Duration) -> Result<Self, Error> {
        let at = |source| Error::Make { subject: common_name.to_owned(), source };
        let key = KeyPair::generate().map_err(at)?;
        let mut params = params(common_name, None, life);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages =
            vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment, KeyUsagePurpose::KeyCertSign];
        let certificate = params.self_signed(&key).map_err(at)?;
        Ok(Self { certificate_pem: certificate.pem(), issuer: Issuer::new(params, key) })
    }

    /// An authority from its certificate and key.
    ///
    /// # Errors
    /// When either cannot be read.
    pub fn load(certificate_pem: &str, key_pem: &str) -> Result<Self, Error> {
        let unread = |what: &'static str| move |error: rcgen::Error| Error::Read { what, reason: error.to_string() };
        let key = KeyPair::from_pem(key_pem).map_err(unread("key"))?;
        let issuer = Issuer::from_ca_cert_pem(certificate_pem, key).map_err(unread("certificate"))?;
        Ok(Self { certificate_pem: certificate_pem.to_owned(), issuer })
    }

    /// Its certificate.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// Its private key.
    #[must_use]
    pub fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// `sha256:` and the hash of its public key, by which a node that joins knows it (kubeadm's form).
    #[must_use]
    pub fn public_key_hash(&self) -> String {
        hash_of(&self.issuer.key().subject_public_key_info())
    }

    /// Makes a key and its certificate.
    ///
    /// # Errors
    /// When a name is neither a DNS name nor an address.
    pub fn issue(&self, subject: &Subject, life: Duration) -> Result<Identity, Error> {
        let at = |source| Error::Make { subject: subject.common_name.clone(), source };
        let key = KeyPair::generate().map_err(at)?;
        let params = subject_params(subject, life).map_err(at)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(at)?;
        Ok(Identity { certificate_pem: certificate.pem(), key_pem: key.serialize_pem() })
    }

    /// Signs a request as it stands but for its life and usages, and answers with the certificate. Whoever calls has
    /// looked at what it asks for ([`read_request`]).
    ///
    /// # Errors
    /// When the request cannot be read, or its signature is wrong.
    pub fn sign_request(&self, request_pem: &str, usages: &[Usage], life: Duration) -> Result<String, Error> {
        let mut request = parse_request(request_pem)?;
        let subject = common_name_of(&request.params.distinguished_name);
        let fresh = params(&subject, None, life);
        request.params.not_before = fresh.not_before;
        request.params.not_after = fresh.not_after;
        request.params.serial_number = fresh.serial_number;
        request.params.use_authority_key_identifier_extension = true;
        request.params.is_ca = IsCa::ExplicitNoCa;
        request.params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        request.params.extended_key_usages = usages.iter().map(|usage| usage.purpose()).collect();
        let certificate = request.signed_by(&self.issuer).map_err(|source| Error::Make { subject, source })?;
        Ok(certificate.pem())
    }
}

impl Usage {
    fn purpose(self) -> ExtendedKeyUsagePurpose {
        match self {
            Self::Client => ExtendedKeyUsagePurpose::ClientAuth,
            Self::Server => ExtendedKeyUsagePurpose::ServerAuth,
        }
    }
}

/// A request for a certificate, and the key that it is for: `(request, key)`, both PEM.
///
/// # Errors
/// When a name is neither a DNS name nor an address.
pub fn request(subject: &Subject) -> Result<(String, String), Error> {
    let at = |source| Error::Make { subject: subject.common_name.clone(), source };
    let key = KeyPair::generate().map_err(at)?;
    let mut params = subject_params(subject, Duration::ZERO).map_err(at)?;
    // These are the signer's to decide.
    params.serial_number = None;
    params.is_ca = IsCa::NoCa;
    params.use_authority_key_identifier_extension = false;
    let request = params.serialize_request(&key).and_then(|request| request.pem()).map_err(at)?;
    Ok((request, key.serialize_pem()))
}

/// The key pair that service account tokens are signed with: `(public, private)`, both PEM.
///
/// # Errors
/// When the system has no random numbers.
pub fn service_account_keys() -> Result<(String, String), Error> {
    let at = |source| Error::Make { subject: "service accounts".to_owned(), source };
    let key = KeyPair::generate().map_err(at)?;
    Ok((key.public_key_pem(), key.serialize_pem()))
}

/// A public key in PEM as the `SubjectPublicKeyInfo` in DER.
///
/// # Errors
/// When it cannot be read.
pub fn public_key_der(public_pem: &str) -> Result<Vec<u8>, Error> {
    let der = SubjectPublicKeyInfoDer::from_pem_slice(public_pem.as_bytes());
    let der = der.map_err(|error| Error::Read { what: "public key", reason: error.to_string() })?;
    Ok(der.to_vec())
}

/// What a request asks for. Its signature is checked.
///
/// # Errors
/// When it cannot be read.
pub fn read_request(request_pem: &str) -> Result<Facts, Error> {
    let request = parse_request(request_pem)?;
    let organization = request.params.distinguished_name.get(&DnType::OrganizationName).map(dn_text);
    let names = request.params.subject_alt_names.iter().map(|name| match name {
        rcgen::SanType::DnsName(name) | rcgen::SanType::Rfc822Name(name) | rcgen::SanType::URI(name) => {
            name.to_string()
        }
        rcgen::SanType::IpAddress(address) => address.to_string(),
        // It would be signed, so whoever decides has to see that it is there.
        other => format!("{other:?}"),
    });
    Ok(Facts {
        common_name: common_name_of(&request.params.distinguished_name),
        organizations: organization.into_iter().collect(),
        names: names.collect(),
        not_before_seconds: 0,
        not_after_seconds: 0,
        fingerprint: String::new(),
    })
}

/// What the first certificate of a PEM text says.
///
/// # Errors
/// When there is none, or it cannot be read.
pub fn read_certificate(pem: &str) -> Result<Facts, Error> {
    let unread = |reason: String| Error::Read { what: "certificate", reason };
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|error| unread(error.to_string()))?;
    read_certificate_der(&der)
}

/// The same of a certificate as it comes over TLS.
///
/// # Errors
/// When it cannot be read.
pub fn read_certificate_der(der: &[u8]) -> Result<Facts, Error> {
    let unread = |reason: String| Error::Read { what: "certificate", reason };
    let (_, certificate) = X509Certificate::from_der(der).map_err(|error| unread(error.to_string()))?;
    let text = |value: &x509_parser::x509::AttributeTypeAndValue<'_>| value.as_str().unwrap_or_default().to_owned();
    let alternatives = certificate.subject_alternative_name().map_err(|error| unread(error.to_string()))?;
    let names = alternatives.iter().flat_map(|names| &names.value.general_names).filter_map(|name| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => address(bytes),
        _ => None,
    });
    Ok(Facts {
        common_name: certificate.subject().iter_common_name().next().map(text).unwrap_or_default(),
        organizations: certificate.subject().iter_organization().map(text).collect(),
        names: names.collect(),
        not_before_seconds: certificate.validity().not_before.timestamp(),
        not_after_seconds: certificate.validity().not_after.timestamp(),
        fingerprint: fingerprint(der),
    })
}

/// The hash of a certificate's public key, see [`Authority::public_key_hash`].
///
/// # Errors
/// When the certificate cannot be read.
pub fn public_key_hash(certificate_pem: &str) -> Result<String, Error> {
    let unread = |reason: String| Error::Read { what: "certificate", reason };
    let der = CertificateDer::from_pem_slice(certificate_pem.as_bytes()).map_err(|error| unread(error.to_string()))?;
    public_key_hash_der(&der)
}

/// The same of a certificate as it comes over TLS.
///
/// # Errors
/// When the certificate cannot be read.
pub fn public_key_hash_der(der: &[u8]) -> Result<String, Error> {
    let unread = |reason: String| Error::Read { what: "certificate", reason };
    let (_, certificate) = X509Certificate::from_der(der).map_err(|error| unread(error.to_string()))?;
    Ok(hash_of(certificate.public_key().raw))
}

/// A certificate as it comes over TLS, as PEM.
#[must_use]
pub fn to_pem(der: &[u8]) -> String {
    pem::encode(&pem::Pem::new("CERTIFICATE", der))
}

fn hash_of(public_key_info: &[u8]) -> String {
    format!("sha256:{}", fingerprint(public_key_info))
}

fn fingerprint(der: &[u8]) -> String {
    Sha256::digest(der).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn parse_request(pem: &str) -> Result<CertificateSigningRequestParams, Error> {
    let parsed = CertificateSigningRequestParams::from_pem(pem);
    parsed.map_err(|error| Error::Read { what: "request", reason: error.to_string() })
}

fn subject_params(subject: &Subject, life: Duration) -> Result<CertificateParams, rcgen::Error> {
    let mut params = params(&subject.common_name, subject.organization.as_deref(), life);
    params.subject_alt_names = CertificateParams::new(subject.names.clone())?.subject_alt_names;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![subject.usage.purpose()];
    Ok(params)
}

/// What every certificate has: subject, life, a random serial number.
fn params(common_name: &str, organization: Option<&str>, life: Duration) -> CertificateParams {
    let mut name = DistinguishedName::new();
    if let Some(organization) = organization {
        name.push(DnType::OrganizationName, organization);
    }
    name.push(DnType::CommonName, common_name);
    let now = OffsetDateTime::from_unix_timestamp(clock::now().as_second()).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let mut params = CertificateParams::default();
    params.distinguished_name = name;
    params.not_before = now - BACKDATED;
    params.not_after = now + life;
    params.serial_number = Some(SerialNumber::from(rand::random::<[u8; 16]>().to_vec()));
    params.use_authority_key_identifier_extension = true;
    params
}

fn common_name_of(name: &DistinguishedName) -> String {
    name.get(&DnType::CommonName).map(dn_text).unwrap_or_default()
}

fn dn_text(value: &rcgen::DnValue) -> String {
    match value {
        rcgen::DnValue::Utf8String(text) => text.clone(),
        rcgen::DnValue::PrintableString(text) => text.as_str().to_owned(),
        rcgen::DnValue::Ia5String(text) => text.as_str().to_owned(),
        _ => String::new(),
    }
}

fn address(bytes: &[u8]) -> Option<String> {
    let v4 = <[u8; 4]>::try_from(bytes).map(std::net::IpAddr::from);
    let v6 = || <[u8; 16]>::try_from(bytes).map(std::net::IpAddr::from);
    v4.or_else(|_| v6()).ok().map(|address| address.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

    fn server() -> Subject {
        Subject {
            common_name: "minke-apiserver".into(),
            organization: None,
            names: vec!["localhost".into(), "127.0.0.1".into()],
            usage: Usage::Server,
        }
    }

    #[test]
    fn what_is_issued_says_whom_it_is_for() {
        let authority = Authority::create("minke", YEAR).unwrap();
        let issued = read_certificate(&authority.issue(&server(), YEAR).unwrap().certificate_pem).unwrap();
        assert_eq!((issued.common_name.as_str(), issued.names), ("minke-apiserver", server().names));
        assert!(issued.not_before_seconds <= clock::now().as_second() - 299);
    }

    #[test]
    fn a_loaded_authority_is_the_same_one() {
        let authority = Authority::create("minke", YEAR).unwrap();
        let loaded = Authority::load(authority.certificate_pem(), &authority.key_pem()).unwrap();
        assert_eq!(loaded.public_key_hash(), authority.public_key_hash());
        assert_eq!(public_key_hash(authority.certificate_pem()).unwrap(), authority.public_key_hash());
    }

    #[test]
    fn a_request_is_signed_for_the_given_usage_alone() {
        let node = Subject {
            common_name: "system:node:a".into(),
            organization: Some("system:nodes".into()),
            names: Vec::new(),
            usage: Usage::Client,
        };
        let (request, _key) = request(&node).unwrap();
        let asked = read_request(&request).unwrap();
        assert_eq!(
            (asked.common_name.as_str(), asked.organizations),
            ("system:node:a", vec!["system:nodes".to_owned()])
        );

        let authority = Authority::create("minke", YEAR).unwrap();
        let certificate = authority.sign_request(&request, &[Usage::Client], YEAR).unwrap();
        assert_eq!(read_certificate(&certificate).unwrap().organizations, ["system:nodes"]);
    }

    #[test]
    fn a_request_hides_no_name() {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["a".to_owned(), "127.0.0.2".to_owned()]).unwrap();
        params.subject_alt_names.push(rcgen::SanType::URI("https://b/".try_into().unwrap()));
        params.subject_alt_names.push(rcgen::SanType::Rfc822Name("c@d".try_into().unwrap()));
        let request = params.serialize_request(&key).unwrap().pem().unwrap();
        assert_eq!(read_request(&request).unwrap().names, ["a", "127.0.0.2", "https://b/", "c@d"]);
    }

    #[test]
    fn rubbish_is_refused_with_what_it_should_be() {
        let refused = read_certificate("rubbish").unwrap_err().to_string();
        assert!(refused.starts_with("cannot read the certificate"), "{refused}");
        assert!(Authority::load("rubbish", "rubbish").is_err());
    }
}
