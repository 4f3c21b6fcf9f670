//! Where an image's parts come from: a registry over the network, or the store that the cluster's own registry keeps
//! them in. Both answer in the same words, so a pull does not know which it asks.

use std::pin::Pin;

use bytes::Bytes;
use futures::{Stream, StreamExt as _};

use crate::content::{self, ContentStore, Target};
use crate::digest::Digest;
use crate::distribution::Error;
use crate::distribution::session::{Sent, Session};
use crate::reference::Reference;

/// Content on its way in.
pub(super) type Chunks = Pin<Box<dyn Stream<Item = Result<Bytes, Error>> + Send>>;

/// One image's repository, and how it is reached.
pub(super) enum Source {
    Registry(Session),
    /// The image names the repository.
    Store(ContentStore, Reference),
}

impl Source {
    /// A manifest by tag or digest.
    pub(super) async fn manifest(&self, target: &str) -> Result<Sent, Error> {
        let (store, image) = match self {
            Self::Registry(session) => return session.manifest(target).await,
            Self::Store(store, image) => (store, image),
        };
        let unknown = || Error::NotFound(format!("{}/{}:{target}", image.registry(), image.repository()));
        let wanted = Target::parse(target).ok_or_else(unknown)?;
        let found = store.manifest(image.repository(), &wanted).await.map_err(|error| failed(image, error))?;
        let found = found.ok_or_else(unknown)?;
        Ok(Sent { content: found.content, media_type: Some(found.media_type), digest: found.digest })
    }

    /// A blob from byte `from` on.
    pub(super) async fn blob(&self, digest: &Digest, from: u64) -> Result<Chunks, Error> {
        match self {
            Self::Registry(session) => Ok(session.blob(digest, from).await?.boxed()),
            Self::Store(store, image) => {
                let fail = |error| failed(image, error);
                let blob = store.repository_blob(image.repository(), digest).await.map_err(fail)?;
                let range = from.min(blob.size_bytes)..blob.size_bytes;
                let registry = image.registry().to_owned();
                let chunks = blob.stream(range).await.map_err(fail)?;
                let unreachable = move |error: std::io::Error| Error::Unreachable {
                    registry: registry.clone(),
                    why: error.to_string(),
                };
                Ok(chunks.map(move |chunk| chunk.map_err(&unreachable)).boxed())
            }
        }
    }

    /// A blob in memory, at most `bytes_max` long; for configs.
    pub(super) async fn small_blob(&self, digest: &Digest, bytes_max: u64) -> Result<Bytes, Error> {
        match self {
            Self::Registry(session) => session.small_blob(digest, bytes_max).await,
            Self::Store(store, image) => {
                let blob = store.repository_blob(image.repository(), digest).await;
                let blob = blob.map_err(|error| failed(image, error))?;
                blob.read(bytes_max).await.map_err(|error| failed(image, error))
            }
        }
    }
}

/// The store's refusal as a registry would have told it.
fn failed(image: &Reference, error: content::Error) -> Error {
    let registry = image.registry().to_owned();
    match error {
        content::Error::UnknownBlob(digest) => {
            Error::NotFound(format!("blob {digest} of {registry}/{}", image.repository()))
        }
        content::Error::TooLarge { max } => Error::TooLarge { registry, what: "a config", max },
        other => Error::Unreachable { registry, why: other.to_string() },
    }
}
