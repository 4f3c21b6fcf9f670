//! What a cluster has before its first request: keys and certificates under kubeadm's file names, and the kubeconfig of
//! whoever started it.
//!
//! Each file is made if it is not there and kept if it is, so starting twice is safe; the serving certificate is made
//! anew when it is old or lacks a name.

use std::path::{Path, PathBuf};
use std::time::Duration;

use base::clock;
use base::files::{self, Access};
use base::pki::{self, Authority, Identity, Subject, Usage};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// How long authorities and certificates live, as kubeadm's: ten years and one.
const AUTHORITY_LIFE: Duration = Duration::from_secs(3650 * 24 * 3600);
const CERTIFICATE_LIFE: Duration = Duration::from_secs(365 * 24 * 3600);

/// Why a cluster's keys could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file.
    #[error(transparent)]
    File(#[from] files::Error),
    /// A key or certificate.
    #[error("{}: {source}", path.display())]
    Pki {
        /// The file that it is in.
        path: PathBuf,
        /// What is wrong.
        source: pki::Error,
    },
}

/// Where a cluster's keys are, and how its server is called.
#[derive(Clone, Debug)]
pub struct Options {
    /// The data directory, made with mode 0700.
    pub folder: PathBuf,
    /// DNS names and addresses under which the server is reached.
    pub names: Vec<String>,
    /// The address that the kubeconfig names, as `https://HOST:PORT`.
    pub url: String,
}

/// A cluster's keys.
#[derive(Debug)]
pub struct Keys {
    /// Signs servers, clients and nodes: `ca.crt`.
    pub authority: Authority,
    /// What the server shows: `apiserver.crt`.
    pub serving: Identity,
    /// With which the server asks nodes: `apiserver-kubelet-client.crt`.
    pub kubelet_client: Identity,
    /// The certificate of the authority that signs aggregators, in PEM: `front-proxy-ca.crt`.
    pub front_proxy_pem: String,
    /// Signs the tokens of service accounts: `sa.pub` and `sa.key`, in PEM.
    pub service_accounts: (String, String),
    /// Whether the authority was made by this call: the cluster is new.
    pub is_new: bool,
}

/// Makes or reads a cluster's keys, and writes the kubeconfig.
///
/// # Errors
/// When a file cannot be read or written, or does not hold what its name says.
pub fn prepare(options: &Options) -> Result<Keys, Error> {
    files::make_folder(&options.folder, Access::Private)?;
    let folder = options.folder.join("pki");
    files::make_folder(&folder, Access::Private)?;
    let (authority, is_new) = authority(&folder, "ca", "minke-ca")?;
    let (front_proxy, _) = authority_pair(&folder)?;
    let serving = serving(&folder, &authority, &options.names)?;
    let client = |file: &str, name: &str, group: &str| {
        let subject = Subject {
            common_name: name.to_owned(),
            organization: Some(group.to_owned()),
            names: Vec::new(),
            usage: Usage::Client,
        };
        identity(&folder, file, &authority, &subject)
    };
    let kubelet_client = client("apiserver-kubelet-client", "kube-apiserver-kubelet-client", "system:masters")?;
    let admin = client("admin", "kubernetes-admin", "system:masters")?;
    let proxy = Subject {
        common_name: "front-proxy-client".to_owned(),
        organization: None,
        names: Vec::new(),
        usage: Usage::Client,
    };
    identity(&folder, "front-proxy-client", &front_proxy, &proxy)?;
    let service_accounts = service_account_keys(&folder)?;
    let kubeconfig = kubeconfig(&options.url, authority.certificate_pem(), &admin);
    files::write(&options.folder.join("kubeconfig"), kubeconfig.as_bytes(), Access::Private)?;
    Ok(Keys {
        front_proxy_pem: front_proxy.certificate_pem().to_owned(),
        authority,
        serving,
        kubelet_client,
        service_accounts,
        is_new,
    })
}

/// The serving certificate, made anew when it is due or lacks a name.
///
/// # Errors
/// As [`prepare`].
pub fn serving(folder: &Path, authority: &Authority, names: &[String]) -> Result<Identity, Error> {
    let subject = Subject {
        common_name: "kube-apiserver".to_owned(),
        organization: None,
        names: names.to_vec(),
        usage: Usage::Server,
    };
    identity(folder, "apiserver", authority, &subject)
}

/// Whether a certificate is to be renewed: two thirds of its life are over.
#[must_use]
pub fn is_due(facts: &pki::Facts, now_seconds: i64) -> bool {
    let life = facts.not_after_seconds - facts.not_before_seconds;
    now_seconds >= facts.not_before_seconds + life / 3 * 2
}

/// A kubeconfig with one cluster, one user and one context.
#[must_use]
pub fn kubeconfig(url: &str, authority_pem: &str, user: &Identity) -> String {
    let [authority, certificate, key] =
        [authority_pem, &user.certificate_pem, &user.key_pem].map(|pem| STANDARD.encode(pem));
    format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- name: minke\n  cluster:\n    server: {url}\n    \
         certificate-authority-data: {authority}\nusers:\n- name: minke-admin\n  user:\n    \
         client-certificate-data: {certificate}\n    client-key-data: {key}\ncontexts:\n- name: minke\n  context:\n    \
         cluster: minke\n    user: minke-admin\ncurrent-context: minke\n"
    )
}

fn authority_pair(folder: &Path) -> Result<(Authority, bool), Error> {
    authority(folder, "front-proxy-ca", "minke-front-proxy-ca")
}

/// The authority in `NAME.crt` and `NAME.key`, and whether it was made now.
fn authority(folder: &Path, name: &str, common_name: &str) -> Result<(Authority, bool), Error> {
    let (certificate, key) = (folder.join(format!("{name}.crt")), folder.join(format!("{name}.key")));
    let at = |source| Error::Pki { path: certificate.clone(), source };
    if let (Some(certificate), Some(key)) = (files::read(&certificate)?, files::read(&key)?) {
        return Ok((Authority::load(&certificate, &key).map_err(at)?, false));
    }
    let authority = Authority::create(common_name, AUTHORITY_LIFE).map_err(at)?;
    files::write(&key, authority.key_pem().as_bytes(), Access::Private)?;
    files::write(&certificate, authority.certificate_pem().as_bytes(), Access::Public)?;
    Ok((authority, true))
}

/// The identity in `NAME.crt` and `NAME.key`, made anew when it is not there, due, or of another subject.
fn identity(folder: &Path, name: &str, authority: &Authority, subject: &Subject) -> Result<Identity, Error> {
    let (certificate, key) = (folder.join(format!("{name}.crt")), folder.join(format!("{name}.key")));
    if let (Some(certificate_pem), Some(key_pem)) = (files::read(&certificate)?, files::read(&key)?) {
        let serves = pki::read_certificate(&certificate_pem).is_ok_and(|facts| {
            let has_names = subject.names.iter().all(|name| facts.names.contains(name));
            has_names && facts.common_name == subject.common_name && !is_due(&facts, clock::now().as_second())
        });
        if serves {
            return Ok(Identity { certificate_pem, key_pem });
        }
    }
    let issued = authority.issue(subject, CERTIFICATE_LIFE.max(DAY));
    let issued = issued.map_err(|source| Error::Pki { path: certificate.clone(), source })?;
    files::write(&key, issued.key_pem.as_bytes(), Access::Private)?;
    files::write(&certificate, issued.certificate_pem.as_bytes(), Access::Public)?;
    Ok(issued)
}

fn service_account_keys(folder: &Path) -> Result<(String, String), Error> {
    let (public, private) = (folder.join("sa.pub"), folder.join("sa.key"));
    if let (Some(public_pem), Some(private_pem)) = (files::read(&public)?, files::read(&private)?) {
        return Ok((public_pem, private_pem));
    }
    let keys = pki::service_account_keys();
    let (public_pem, private_pem) = keys.map_err(|source| Error::Pki { path: private.clone(), source })?;
    files::write(&private, private_pem.as_bytes(), Access::Private)?;
    files::write(&public, public_pem.as_bytes(), Access::Public)?;
    Ok((public_pem, private_pem))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(folder: &tempfile::TempDir, names: &[&str]) -> Options {
        Options {
            folder: folder.path().join("data"),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            url: "https://127.0.0.1:6443".into(),
        }
    }

    #[test]
    fn starting_twice_keeps_what_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let first = prepare(&options(&folder, &["localhost"])).unwrap();
        let second = prepare(&options(&folder, &["localhost"])).unwrap();
        assert!(first.is_new && !second.is_new);
        assert_eq!(first.authority.public_key_hash(), second.authority.public_key_hash());
        assert_eq!(first.serving.certificate_pem, second.serving.certificate_pem);

        let renamed = prepare(&options(&folder, &["localhost", "minke.example"])).unwrap();
        assert_ne!(renamed.serving.certificate_pem, first.serving.certificate_pem);
    }

    #[test]
    #[cfg(unix)]
    fn keys_are_for_their_owner_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        prepare(&options(&folder, &["localhost"])).unwrap();
        let mode = |path: &str| folder.path().join("data").join(path).metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(""), 0o700);
        for key in ["pki/ca.key", "pki/apiserver.key", "pki/sa.key", "kubeconfig"] {
            assert_eq!(mode(key), 0o600, "{key}");
        }
        assert_eq!(mode("pki/ca.crt"), 0o644);
    }

    #[test]
    fn a_certificate_is_due_at_two_thirds_of_its_life() {
        let facts = pki::Facts {
            common_name: String::new(),
            organizations: Vec::new(),
            names: Vec::new(),
            not_before_seconds: 0,
            not_after_seconds: 300,
            fingerprint: String::new(),
        };
        assert!(!is_due(&facts, 199));
        assert!(is_due(&facts, 200));
    }
}
