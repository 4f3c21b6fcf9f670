//! Image names as Docker and OCI write them: `[registry/]repository[:tag][@digest]`.
//!
//! Short names mean what they mean to containerd and the kubelet: without a registry it is Docker Hub, there without
//! a slash it is `library/`, and with neither tag nor digest it is `:latest`. The grammar follows
//! `github.com/distribution/reference`, and so do the words of its errors, which reach people through the reason
//! `InvalidImageName`.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::digest::Digest;

/// The host name by which pods name the cluster's own registry: `registry.minke.local/NAMESPACE/NAME`.
pub const BUILT_IN_REGISTRY: &str = "registry.minke.local";

/// Docker Hub's name in references; its API answers at another host.
const DOCKER_HUB: &str = "docker.io";

/// The longest repository name, registry included: `distribution/reference`'s `RepositoryNameTotalLengthMax`.
const NAME_LENGTH_MAX: usize = 255;

/// The longest tag: the grammar's `[\w][\w.-]{0,127}`.
const TAG_LENGTH_MAX: usize = 128;

/// A checked, complete image name. It has a tag, a digest, or both (then the digest decides what is pulled).
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Reference {
    registry: String,
    repository: RepositoryName,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// A checked repository name such as `library/nginx`: lower case, no `..`, nothing that a path could misread.
/// Cheap to clone.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct RepositoryName(Arc<str>);

/// Why text is no image name; upstream's words.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("couldn't parse image name {text:?}: {why}")]
pub struct InvalidReference {
    text: String,
    why: Why,
}

#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
enum Why {
    #[error("invalid reference format")]
    Format,
    #[error("invalid reference format: repository name ({0}) must be lowercase")]
    Uppercase(String),
    #[error("repository name must not be more than {NAME_LENGTH_MAX} characters")]
    TooLong,
    #[error("invalid repository name ({0}), cannot specify 64-byte hexadecimal strings")]
    LooksLikeId(String),
    #[error("unsupported digest algorithm, or a digest of the wrong length")]
    Digest,
}

impl Reference {
    /// Reads an image name and completes it.
    ///
    /// # Errors
    /// When it is not of the grammar; the message is the one that `InvalidImageName` shows.
    pub fn parse(text: &str) -> Result<Self, InvalidReference> {
        // What an error repeats is cut, so that nobody fills a log with one pod.
        parse(text).map_err(|why| InvalidReference { text: text.chars().take(2 * NAME_LENGTH_MAX).collect(), why })
    }

    /// A name in the cluster's own registry.
    #[must_use]
    pub fn built_in(repository: RepositoryName, tag: Option<String>, digest: Option<Digest>) -> Self {
        Self { registry: BUILT_IN_REGISTRY.to_owned(), repository, tag, digest }
    }

    /// The registry's host, with its port if one was given.
    #[must_use]
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The repository within the registry.
    #[must_use]
    pub fn repository(&self) -> &RepositoryName {
        &self.repository
    }

    /// The tag.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest of the manifest.
    #[must_use]
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// Whether it names the cluster's own registry.
    #[must_use]
    pub fn is_built_in(&self) -> bool {
        self.registry == BUILT_IN_REGISTRY
    }

    /// Whether an empty `imagePullPolicy` means `Always`, as upstream defaults it: the tag is `latest` and no digest
    /// pins it.
    #[must_use]
    pub fn is_latest(&self) -> bool {
        self.digest.is_none() && self.tag.as_deref() == Some("latest")
    }

    /// The host that answers the registry API: Docker Hub's is not the one in its names.
    #[must_use]
    pub fn api_host(&self) -> &str {
        if self.registry == DOCKER_HUB { "registry-1.docker.io" } else { &self.registry }
    }

    /// What the manifest is asked for by: the digest if there is one, else the tag.
    #[must_use]
    pub fn target(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => tag.clone(),
            (None, None) => "latest".to_owned(),
        }
    }

    /// The same repository at this digest, as a container's `imageID` names it.
    #[must_use]
    pub fn at(&self, digest: &Digest) -> String {
        format!("{}/{}@{digest}", self.registry, self.repository)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl FromStr for Reference {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl RepositoryName {
    /// Reads a repository name without registry, tag or digest.
    ///
    /// # Errors
    /// When it is not of the grammar or longer than 255 characters.
    pub fn parse(text: &str) -> Result<Self, InvalidReference> {
        let invalid = |why| InvalidReference { text: text.chars().take(2 * NAME_LENGTH_MAX).collect(), why };
        if text.len() > NAME_LENGTH_MAX {
            return Err(invalid(Why::TooLong));
        }
        if !text.split('/').all(is_path_component) {
            return Err(invalid(Why::Format));
        }
        Ok(Self(text.into()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// In the cluster's own registry: the namespace that owns the repository, its first component. `None` where there
    /// is no second.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        self.0.split_once('/').map(|(namespace, _)| namespace)
    }
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether text is a tag: a letter, digit or `_`, then up to 127 of those, `.` and `-`.
#[must_use]
pub fn is_tag(text: &str) -> bool {
    let mut bytes = text.bytes();
    text.len() <= TAG_LENGTH_MAX
        && bytes.next().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
}

fn parse(text: &str) -> Result<Reference, Why> {
    if text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(Why::LooksLikeId(text.to_owned()));
    }
    let (registry, rest) = split_registry(text);
    let (rest, digest) = match rest.split_once('@') {
        Some((rest, digest)) => (rest, Some(Digest::parse(digest).map_err(|_| Why::Digest)?)),
        None => (rest, None),
    };
    // A port is gone with the registry, so a colon can only begin a tag.
    let (path, tag) = match rest.split_once(':') {
        Some((path, tag)) if is_tag(tag) => (path, Some(tag.to_owned())),
        Some(_) => return Err(Why::Format),
        None => (rest, None),
    };
    let path = if registry == DOCKER_HUB && !path.contains('/') { format!("library/{path}") } else { path.to_owned() };
    if path.chars().any(char::is_uppercase) {
        return Err(Why::Uppercase(path));
    }
    if !is_registry(registry) || !path.split('/').all(is_path_component) {
        return Err(Why::Format);
    }
    if registry.len() + 1 + path.len() > NAME_LENGTH_MAX {
        return Err(Why::TooLong);
    }
    let tag = if tag.is_none() && digest.is_none() { Some("latest".to_owned()) } else { tag };
    Ok(Reference { registry: registry.to_owned(), repository: RepositoryName(path.into()), tag, digest })
}

/// The part before the first slash is a registry only if it looks like a host: a dot, a port, an upper-case letter,
/// or `localhost`.
fn split_registry(text: &str) -> (&str, &str) {
    match text.split_once('/') {
        Some(("index.docker.io", rest)) => (DOCKER_HUB, rest),
        Some((first, rest))
            if first.contains(['.', ':']) || first == "localhost" || first.chars().any(char::is_uppercase) =>
        {
            (first, rest)
        }
        _ => (DOCKER_HUB, text),
    }
}

/// A host name, an IPv4 address or a bracketed IPv6 address, with or without a port.
fn is_registry(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        Some(bracketed) => match bracketed.split_once(']') {
            Some((address, rest)) if address.parse::<std::net::Ipv6Addr>().is_ok() => ("v6", rest),
            _ => return false,
        },
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let is_port = match port.strip_prefix(':') {
        Some(number) => number.bytes().all(|byte| byte.is_ascii_digit()) && number.parse::<u16>().is_ok(),
        None => port.is_empty(),
    };
    is_port && host.split('.').all(is_host_label)
}

fn is_host_label(label: &str) -> bool {
    !label.is_empty()
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// Runs of lower-case letters and digits, held together by `.`, `_`, `__` or any number of `-`.
fn is_path_component(text: &str) -> bool {
    let is_alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_separator = |run: &str| matches!(run, "." | "_" | "__") || run.chars().all(|c| c == '-');
    // Between two alphanumerics lies nothing (a split of two neighbours) or a separator.
    text.starts_with(is_alphanumeric)
        && text.ends_with(is_alphanumeric)
        && text.split(is_alphanumeric).all(is_separator)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, full: &str) {
        assert_eq!(Reference::parse(text).unwrap().to_string(), full, "{text}");
    }

    fn refuse(text: &str, why: &str) {
        let error = Reference::parse(text).unwrap_err().to_string();
        assert_eq!(error, format!("couldn't parse image name {text:?}: {why}"));
    }

    #[test]
    fn a_short_name_is_completed_as_containerd_does() {
        check("nginx", "docker.io/library/nginx:latest");
        check("nginx:1.27", "docker.io/library/nginx:1.27");
        check("team/app", "docker.io/team/app:latest");
        check("index.docker.io/nginx", "docker.io/library/nginx:latest");
        check("docker.io/nginx", "docker.io/library/nginx:latest");
        check("localhost/app", "localhost/app:latest");
        check("localhost:5000/app:v1", "localhost:5000/app:v1");
        check("ghcr.io/a/b/c__d:x_Y.z-1", "ghcr.io/a/b/c__d:x_Y.z-1");
        check("[::1]:5000/a", "[::1]:5000/a:latest");
        check("registry.minke.local/default/hello", "registry.minke.local/default/hello:latest");
    }

    #[test]
    fn a_digest_stands_beside_a_tag_and_replaces_the_default_one() {
        let digest = Digest::of(b"x");
        check(&format!("a/b@{digest}"), &format!("docker.io/a/b@{digest}"));
        check(&format!("a/b:1@{digest}"), &format!("docker.io/a/b:1@{digest}"));
        assert_eq!(Reference::parse(&format!("a/b:1@{digest}")).unwrap().target(), digest.to_string());
    }

    #[test]
    fn what_is_no_image_name_is_refused_in_upstreams_words() {
        let format = "invalid reference format";
        for text in ["", ":tag", "a:", "a//b", "/a", "a/", "a b", "a/../b", "../a", "a/.b", "a..b", "a___b", "a:-x"] {
            refuse(text, format);
        }
        for text in ["host:99999/a", "host:x/a", "-a.example/b", "[::1/a", "a.b:1:2/c", "a@b@c"] {
            assert!(Reference::parse(text).is_err(), "{text}");
        }
        refuse("Nginx", "invalid reference format: repository name (library/Nginx) must be lowercase");
        refuse(&"a".repeat(256), "repository name must not be more than 255 characters");
        let id = "a".repeat(64);
        refuse(&id, &format!("invalid repository name ({id}), cannot specify 64-byte hexadecimal strings"));
        refuse("a@sha256:abc", "unsupported digest algorithm, or a digest of the wrong length");
    }

    #[test]
    fn only_an_unpinned_latest_is_pulled_always() {
        for (text, expected) in [("a", true), ("a:latest", true), ("a:1", false)] {
            assert_eq!(Reference::parse(text).unwrap().is_latest(), expected, "{text}");
        }
        let pinned = format!("a:latest@{}", Digest::of(b""));
        assert!(!Reference::parse(&pinned).unwrap().is_latest());
    }

    #[test]
    fn docker_hub_answers_at_another_host() {
        assert_eq!(Reference::parse("nginx").unwrap().api_host(), "registry-1.docker.io");
        assert_eq!(Reference::parse("ghcr.io/a/b").unwrap().api_host(), "ghcr.io");
    }

    #[test]
    fn a_repository_belongs_to_the_namespace_that_it_begins_with() {
        assert_eq!(RepositoryName::parse("shop/cart").unwrap().namespace(), Some("shop"));
        assert_eq!(RepositoryName::parse("shop").unwrap().namespace(), None);
        for bad in ["", "shop/", "../x", "shop/..", "Shop/x", "shop/_tags", "shop/x:y"] {
            assert!(RepositoryName::parse(bad).is_err(), "{bad}");
        }
    }
}
