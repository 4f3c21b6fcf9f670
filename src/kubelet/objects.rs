//! ConfigMaps and Secrets that a pod refers to: which they are, and their content once fetched.
//!
//! Collecting and using are pure; [`crate::sources`] fetches in between. So environment and volumes are decided from
//! one picture, and a test needs no server.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1 as core;

/// A kind of object that pods refer to for content.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) enum Kind {
    /// A ConfigMap.
    ConfigMap,
    /// A Secret.
    Secret,
}

/// An object of the pod's namespace that is referred to.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct Reference {
    /// Its kind.
    pub(crate) kind: Kind,
    /// Its name.
    pub(crate) name: String,
}

/// What was fetched for some references; `None` says that there is no such object.
#[derive(Clone, Debug, Default)]
pub(crate) struct Objects {
    /// By reference.
    pub(crate) found: BTreeMap<Reference, Option<Arc<Content>>>,
    /// Tokens of the pod's service account.
    pub(crate) tokens: BTreeMap<Token, String>,
}

/// A token of the pod's service account that a projected volume asks for.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct Token {
    /// Who it is for; empty is the API server.
    pub(crate) audience: String,
    /// How long it is good for, in seconds.
    pub(crate) expiration_seconds: i64,
}

/// What a ConfigMap or Secret holds, as bytes by key.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Content {
    /// By key.
    pub(crate) entries: BTreeMap<String, Vec<u8>>,
}

/// A reference that leads nowhere, in upstream's words.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Error {
    /// No such object.
    #[error("{kind} \"{name}\" not found", kind = .0.kind.word(), name = .0.name)]
    NotFound(Reference),
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::ConfigMap => "configmap",
            Self::Secret => "secret",
        }
    }

    /// The kind as it is spelled in objects.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ConfigMap => "ConfigMap",
            Self::Secret => "Secret",
        }
    }
}

impl Objects {
    /// The content behind a reference. An optional one that leads nowhere is `None`.
    ///
    /// # Errors
    /// When there is no such object and the reference needs it.
    pub(crate) fn content(&self, kind: Kind, name: &str, is_optional: Option<bool>) -> Result<Option<&Content>, Error> {
        let reference = Reference { kind, name: name.to_owned() };
        match self.found.get(&reference) {
            Some(Some(content)) => Ok(Some(content)),
            Some(None) | None if is_optional == Some(true) => Ok(None),
            Some(None) | None => Err(Error::NotFound(reference)),
        }
    }
}

impl From<&core::ServiceAccountTokenProjection> for Token {
    fn from(source: &core::ServiceAccountTokenProjection) -> Self {
        /// What the API server defaults to.
        const HOUR: i64 = 3600;
        let expiration_seconds = source.expiration_seconds.unwrap_or(HOUR);
        Self { audience: source.audience.clone().unwrap_or_default(), expiration_seconds }
    }
}

impl From<core::ConfigMap> for Content {
    fn from(object: core::ConfigMap) -> Self {
        let text = object.data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.into_bytes()));
        let bytes = object.binary_data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0));
        Self { entries: text.chain(bytes).collect() }
    }
}

impl From<core::Secret> for Content {
    fn from(object: core::Secret) -> Self {
        Self { entries: object.data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0)).collect() }
    }
}

/// What the environment of a container refers to.
pub(crate) fn of_environment(spec: &core::Container) -> BTreeSet<Reference> {
    let whole = spec.env_from.iter().flatten().flat_map(|source| {
        let config_map = source.config_map_ref.as_ref().map(|from| (Kind::ConfigMap, &from.name));
        let secret = source.secret_ref.as_ref().map(|from| (Kind::Secret, &from.name));
        config_map.into_iter().chain(secret)
    });
    let keys = spec.env.iter().flatten().filter_map(|variable| variable.value_from.as_ref()).flat_map(|source| {
        let config_map = source.config_map_key_ref.as_ref().map(|from| (Kind::ConfigMap, &from.name));
        let secret = source.secret_key_ref.as_ref().map(|from| (Kind::Secret, &from.name));
        config_map.into_iter().chain(secret)
    });
    whole.chain(keys).map(|(kind, name)| Reference { kind, name: name.clone() }).collect()
}

/// What the volumes of a pod refer to.
pub(crate) fn of_volumes(pod: &core::Pod) -> BTreeSet<Reference> {
    let volumes = pod.spec.as_ref().and_then(|spec| spec.volumes.as_deref()).unwrap_or_default();
    volumes.iter().flat_map(of_volume).collect()
}

/// The tokens that the volumes of a pod ask for.
pub(crate) fn tokens_of_volumes(pod: &core::Pod) -> BTreeSet<Token> {
    let volumes = pod.spec.as_ref().and_then(|spec| spec.volumes.as_deref()).unwrap_or_default();
    let projected = volumes.iter().filter_map(|volume| volume.projected.as_ref());
    let sources = projected.filter_map(|source| source.sources.as_ref()).flatten();
    sources.filter_map(|source| source.service_account_token.as_ref()).map(Token::from).collect()
}

fn of_volume(volume: &core::Volume) -> Vec<Reference> {
    let reference = |kind, name: &str| Reference { kind, name: name.to_owned() };
    let config_map = volume.config_map.as_ref().map(|source| reference(Kind::ConfigMap, &source.name));
    let secret = volume.secret.as_ref().and_then(|source| source.secret_name.as_deref());
    let secret = secret.map(|name| reference(Kind::Secret, name));
    let projected = volume.projected.iter().filter_map(|source| source.sources.as_ref()).flatten().flat_map(|source| {
        let config_map = source.config_map.as_ref().map(|source| reference(Kind::ConfigMap, &source.name));
        let secret = source.secret.as_ref().map(|source| reference(Kind::Secret, &source.name));
        config_map.into_iter().chain(secret)
    });
    config_map.into_iter().chain(secret).chain(projected).collect()
}
