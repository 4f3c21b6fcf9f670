//! Which credentials a registry is shown: the pull secrets of a pod, as Docker writes them.
//!
//! The matching is upstream's (`k8s.io/kubernetes/pkg/credentialprovider`): a key is a registry with or without a
//! scheme, a port and a path; each part of the host may hold `*` and `?`; a path matches as a prefix; the more specific
//! key comes first, and all that match are tried in turn.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde::Deserialize;

use crate::reference::Reference;

/// Under what key Docker keeps the credentials of its Hub.
const DOCKER_HUB_KEY: &str = "index.docker.io";

/// The most keys of one secret that are looked at, so that matching stays quick whatever a tenant writes.
const KEYS_MAX: usize = 1_000;

/// A user and a password (or token).
#[derive(Clone, Eq, PartialEq)]
pub struct Credentials {
    /// Who.
    pub username: String,
    /// Never logged.
    pub password: String,
}

/// Credentials by registry.
#[derive(Clone, Debug, Default)]
pub struct Keyring {
    /// The most specific first: by key, backwards.
    entries: Vec<(Key, Credentials)>,
}

/// Text that is no Docker config. The text itself is a secret, so nothing of it is repeated.
#[derive(Debug, thiserror::Error)]
pub enum InvalidConfig {
    /// Not JSON of the schema.
    #[error("the Docker config is not valid JSON of its kind")]
    Json,
    /// `auth` is not base64 of `user:password`.
    #[error("the Docker config has an auth of registry {0:?} that is not base64 of user:password")]
    Auth(String),
    /// Too long.
    #[error("the Docker config has more than {KEYS_MAX} registries")]
    TooMany,
}

#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Key {
    host: String,
    port: Option<String>,
    path: String,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    auth: String,
}

impl Keyring {
    /// A keyring without credentials: everything is pulled anonymously.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// Adds what a Secret of type `kubernetes.io/dockerconfigjson` holds under `.dockerconfigjson`.
    ///
    /// # Errors
    /// When it is not of that form; nothing is added then.
    pub fn add_docker_config_json(&mut self, content: &[u8]) -> Result<(), InvalidConfig> {
        #[derive(Deserialize)]
        struct Document {
            #[serde(default)]
            auths: BTreeMap<String, Entry>,
        }
        let document: Document = serde_json::from_slice(content).map_err(|_| InvalidConfig::Json)?;
        self.add(document.auths)
    }

    /// Adds what a Secret of type `kubernetes.io/dockercfg` holds under `.dockercfg`: the older form.
    ///
    /// # Errors
    /// When it is not of that form; nothing is added then.
    pub fn add_docker_cfg(&mut self, content: &[u8]) -> Result<(), InvalidConfig> {
        self.add(serde_json::from_slice(content).map_err(|_| InvalidConfig::Json)?)
    }

    /// The credentials to try for an image, best first; none means anonymously.
    #[must_use]
    pub fn lookup(&self, image: &Reference) -> Vec<Credentials> {
        let registry = if image.registry() == "docker.io" { DOCKER_HUB_KEY } else { image.registry() };
        let target = Key::parse(&format!("{registry}/{}", image.repository()));
        let matching = self.entries.iter().filter(|(key, _)| key.matches(&target));
        matching.map(|(_, credentials)| credentials.clone()).collect()
    }

    fn add(&mut self, auths: BTreeMap<String, Entry>) -> Result<(), InvalidConfig> {
        if auths.len() > KEYS_MAX {
            return Err(InvalidConfig::TooMany);
        }
        let mut added = Vec::with_capacity(auths.len());
        for (key, entry) in auths {
            let credentials = entry.credentials().ok_or_else(|| InvalidConfig::Auth(key.clone()))?;
            added.push((Key::parse(&key), credentials));
        }
        self.entries.append(&mut added);
        self.entries.sort_by(|(one, _), (other, _)| other.cmp(one));
        Ok(())
    }
}

impl Entry {
    fn credentials(self) -> Option<Credentials> {
        if self.auth.is_empty() {
            return Some(Credentials { username: self.username, password: self.password });
        }
        let decoded = STANDARD.decode(&self.auth).or_else(|_| STANDARD_NO_PAD.decode(&self.auth)).ok()?;
        let text = String::from_utf8(decoded).ok()?;
        let (username, password) = text.trim_end_matches('\0').split_once(':')?;
        Some(Credentials { username: username.to_owned(), password: password.to_owned() })
    }
}

impl Key {
    fn parse(text: &str) -> Self {
        let text = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or(text);
        let (authority, path) = text.split_once('/').unwrap_or((text, ""));
        // Docker's config names API roots (`https://index.docker.io/v1/`); they stand for the whole registry.
        let path = match path.split_once('/') {
            Some(("v1" | "v2", rest)) => rest,
            None if matches!(path, "v1" | "v2") => "",
            _ => path,
        };
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (host, Some(port.to_owned())),
            _ => (authority, None),
        };
        let host = if host == "docker.io" { DOCKER_HUB_KEY } else { host };
        Self { host: host.to_owned(), port, path: path.trim_end_matches('/').to_owned() }
    }

    fn matches(&self, target: &Self) -> bool {
        let mut parts = self.host.split('.');
        let mut target_parts = target.host.split('.');
        let hosts_match = loop {
            match (parts.next(), target_parts.next()) {
                (None, None) => break true,
                (Some(pattern), Some(part)) if matches_glob(pattern.as_bytes(), part.as_bytes()) => {}
                _ => break false,
            }
        };
        hosts_match && self.port == target.port && target.path.starts_with(&self.path)
    }
}

/// Whether `text` is what `pattern` says: `*` for any run, `?` for any byte.
fn matches_glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut rest, mut left) = (pattern, text);
    // Where the last star was, and how much text was left then: on a mismatch the star takes one byte more.
    let mut star: Option<(&[u8], &[u8])> = None;
    loop {
        match (rest, left) {
            ([], []) => return true,
            ([b'*', after @ ..], _) => {
                star = Some((after, left));
                rest = after;
            }
            ([first, after @ ..], [byte, more @ ..]) if *first == b'?' || first == byte => {
                (rest, left) = (after, more);
            }
            _ => match star {
                Some((after, [_, more @ ..])) => {
                    star = Some((after, more));
                    (rest, left) = (after, more);
                }
                _ => return false,
            },
        }
    }
}

/// Never shows the password.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("username", &self.username).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(keys: &[&str], image: &str, expected: &[&str]) {
        let mut keyring = Keyring::empty();
        let auths: BTreeMap<_, _> =
            keys.iter().map(|key| (key.to_string(), json!({"username": key, "password": "p"}))).collect();
        keyring.add_docker_config_json(json!({"auths": auths}).to_string().as_bytes()).unwrap();
        let found = keyring.lookup(&Reference::parse(image).unwrap());
        let found: Vec<_> = found.iter().map(|it| it.username.as_str()).collect();
        assert_eq!(found, expected, "{keys:?} for {image}");
    }

    #[test]
    fn keys_match_by_host_port_and_path() {
        check(&["ghcr.io"], "ghcr.io/a/b", &["ghcr.io"]);
        check(&["https://ghcr.io/"], "ghcr.io/a/b", &["https://ghcr.io/"]);
        check(&["ghcr.io"], "quay.io/a/b", &[]);
        check(&["*.example.com"], "a.example.com/x", &["*.example.com"]);
        check(&["*.example.com"], "a.b.example.com/x", &[]);
        check(&["re?istry.*.io"], "registry.k8s.io/x", &["re?istry.*.io"]);
        check(&["example.com:5000"], "example.com/x", &[]);
        check(&["example.com"], "example.com:5000/x", &[]);
        check(&["example.com/team"], "example.com/team/app", &["example.com/team"]);
        check(&["example.com/team"], "example.com/other/app", &[]);
    }

    #[test]
    fn the_more_specific_key_comes_first() {
        check(&["ghcr.io", "ghcr.io/a", "ghcr.io/a/b"], "ghcr.io/a/b", &["ghcr.io/a/b", "ghcr.io/a", "ghcr.io"]);
    }

    #[test]
    fn docker_hub_is_known_by_all_its_names() {
        for key in ["https://index.docker.io/v1/", "index.docker.io", "docker.io"] {
            check(&[key], "nginx", &[key]);
        }
    }

    #[test]
    fn auth_is_user_and_password_in_base64() {
        let mut keyring = Keyring::empty();
        keyring.add_docker_cfg(br#"{"ghcr.io": {"auth": "YWxpY2U6czpjcmV0"}}"#).unwrap();
        let found = keyring.lookup(&Reference::parse("ghcr.io/a/b").unwrap());
        assert_eq!(found, [Credentials { username: "alice".to_owned(), password: "s:cret".to_owned() }]);
        assert!(!format!("{found:?}").contains("s:cret"));
    }

    #[test]
    fn a_broken_config_is_told_without_its_secrets() {
        let mut keyring = Keyring::empty();
        assert!(matches!(keyring.add_docker_config_json(b"hunter2"), Err(InvalidConfig::Json)));
        let error = keyring.add_docker_cfg(br#"{"x": {"auth": "hunter2!"}}"#).unwrap_err().to_string();
        assert!(error.contains("\"x\"") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn a_glob_of_many_stars_ends_soon() {
        let pattern = "*a".repeat(50);
        assert!(!matches_glob(pattern.as_bytes(), "a".repeat(49).as_bytes()));
        assert!(matches_glob(pattern.as_bytes(), "a".repeat(50).as_bytes()));
    }
}
