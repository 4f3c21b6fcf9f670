//! Repositories: which content may be read under which name, manifests and the tags that stand for them.
//!
//! Content is stored once whoever pushed it, but a repository shows only what was pushed to it, so a digest alone opens
//! nothing of a neighbour's.

use std::fs;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;

use super::layout::{BLOBS, MANIFESTS, TAGS, remove_file, touch};
use super::state::{ManifestState, Repository, State};
use super::{Blob, ContentStore, Error, Shared, TOUCH_EVERY, base_now, blocking};
use crate::digest::{Algorithm, Digest, Hasher};
use crate::manifest::{self, Descriptor, Document, InvalidManifest, MANIFEST_BYTES_MAX};
use crate::reference::{RepositoryName, is_tag};

/// Repositories in all, and tags, manifests and blobs of one: they are held in memory and cost no content. One more is
/// refused.
const REPOSITORIES_MAX: usize = 100_000;
const TAGS_MAX: usize = 10_000;
const MANIFESTS_MAX: usize = 10_000;
const BLOBS_MAX: usize = 10_000;

/// What a manifest is asked for by.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Target {
    /// A name that can be moved.
    Tag(String),
    /// The manifest itself.
    Digest(Digest),
}

/// A manifest in memory.
#[derive(Clone, Debug)]
pub struct StoredManifest {
    /// Its name.
    pub digest: Digest,
    /// What it was pushed as.
    pub media_type: String,
    /// The document, at most [`MANIFEST_BYTES_MAX`].
    pub content: Bytes,
}

/// What a push of a manifest did.
#[derive(Clone, Debug)]
pub struct PutManifest {
    /// The manifest's name.
    pub digest: Digest,
    /// The manifest that it is about, for the answer's `OCI-Subject`.
    pub subject: Option<Digest>,
}

impl Target {
    /// Reads a tag or digest; `None` when it is neither.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if is_tag(text) { Some(Self::Tag(text.to_owned())) } else { Digest::parse(text).ok().map(Self::Digest) }
    }
}

impl ContentStore {
    /// The repositories with content, in their order.
    #[must_use]
    pub fn repositories(&self) -> Vec<RepositoryName> {
        self.shared.state().repositories.keys().cloned().collect()
    }

    /// A repository's tags, in their order; `None` where there is no such repository.
    #[must_use]
    pub fn tags(&self, repository: &RepositoryName) -> Option<Vec<String>> {
        self.shared.state().repositories.get(repository).map(|it| it.tags.keys().cloned().collect())
    }

    /// The digest that a tag stands for, or the digest itself if there is such a manifest.
    #[must_use]
    pub fn resolve(&self, repository: &RepositoryName, target: &Target) -> Option<Digest> {
        self.shared.state().repositories.get(repository)?.resolve(target).cloned()
    }

    /// Reads a manifest and counts it as used; `None` where there is none.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn manifest(
        &self,
        repository: &RepositoryName,
        target: &Target,
    ) -> Result<Option<StoredManifest>, Error> {
        let Some(digest) = self.resolve(repository, target) else { return Ok(None) };
        let Some(media_type) = self.shared.use_manifest(repository, &digest) else { return Ok(None) };
        let content = self.blob(&digest).await?.read(MANIFEST_BYTES_MAX).await?;
        Ok(Some(StoredManifest { digest, media_type, content }))
    }

    /// Stores a manifest under its digest, and under `target` if that is a tag.
    ///
    /// # Errors
    /// When it is no manifest, is not of the digest that `target` says, names what was not pushed here, or the disk
    /// fails.
    pub async fn put_manifest(
        &self,
        repository: &RepositoryName,
        target: &Target,
        media_type: Option<&str>,
        content: Bytes,
    ) -> Result<PutManifest, Error> {
        let digest = match target {
            Target::Digest(expected) => {
                let found = digest_of(&content, expected.algorithm());
                if found != *expected {
                    return Err(Error::DigestMismatch { expected: expected.clone(), found });
                }
                found
            }
            Target::Tag(_) => Digest::of(&content),
        };
        let state = manifest_state(&content, media_type, base_now())?;
        let subject = state.subject.clone();
        self.shared.check_manifest(repository, target, &state)?;
        let mut ingest = self.ingest(digest.algorithm(), MANIFEST_BYTES_MAX).await?;
        ingest.write(content).await?;
        let stored = ingest.commit(Some(&digest)).await?;
        let (shared, repository, target) = (Arc::clone(&self.shared), repository.clone(), target.clone());
        blocking(move || {
            let _disk = shared.disk();
            // Content could have gone since the check; the manifest's own is pinned.
            shared.check_manifest(&repository, &target, &state)?;
            shared.layout.write(&shared.layout.manifest(&repository, &stored.digest), state.media_type.as_bytes())?;
            if let Target::Tag(tag) = &target {
                shared.layout.write(&shared.layout.tag(&repository, tag), stored.digest.to_string().as_bytes())?;
            }
            let mut index = shared.state();
            let entry = index.repositories.entry(repository).or_default();
            entry.manifests.insert(stored.digest.clone(), state);
            if let Target::Tag(tag) = target {
                entry.tags.insert(tag, stored.digest.clone());
            }
            Ok(PutManifest { digest: stored.digest.clone(), subject })
        })
        .await
    }

    /// Removes a tag, or a manifest with all its tags; whether there was one. Content goes when space is needed.
    ///
    /// # Errors
    /// When the process is ending.
    pub async fn delete_manifest(&self, repository: &RepositoryName, target: &Target) -> Result<bool, Error> {
        let (shared, repository, target) = (Arc::clone(&self.shared), repository.clone(), target.clone());
        blocking(move || {
            let _disk = shared.disk();
            let Some(digest) = shared.state().repositories.get(&repository).and_then(|it| it.resolve(&target).cloned())
            else {
                return Ok(false);
            };
            match &target {
                Target::Tag(tag) => {
                    remove_file(&shared.layout.tag(&repository, tag));
                    if let Some(entry) = shared.state().repositories.get_mut(&repository) {
                        entry.tags.remove(tag);
                    }
                }
                Target::Digest(_) => {
                    shared.layout.remove_manifest(&repository, &digest);
                    shared.state().remove_manifest(&repository, &digest);
                }
            }
            shared.drop_empty(&repository);
            Ok(true)
        })
        .await
    }

    /// Removes all of a namespace: its repositories, unfinished uploads, and what was pulled from them. Says how many
    /// repositories there were. Their content goes when space is needed.
    ///
    /// # Errors
    /// When the process is ending.
    pub async fn remove_namespace(&self, namespace: &str) -> Result<usize, Error> {
        self.cancel_uploads_of(namespace).await;
        let (shared, namespace) = (Arc::clone(&self.shared), namespace.to_owned());
        blocking(move || {
            let _disk = shared.disk();
            let (names, pulled) = shared.state().forget_namespace(&namespace);
            shared.layout.remove(&pulled);
            names.iter().for_each(|name| shared.remove_folders(name));
            Ok(names.len())
        })
        .await
    }

    /// The length of a blob that this repository may show; `None` where there is none.
    #[must_use]
    pub fn repository_blob_size(&self, repository: &RepositoryName, digest: &Digest) -> Option<u64> {
        let state = self.shared.state();
        state.repositories.get(repository).filter(|it| it.blobs.contains(digest))?;
        state.blobs.get(digest).map(|blob| blob.size_bytes)
    }

    /// Opens a blob that this repository may show.
    ///
    /// # Errors
    /// When there is none.
    pub async fn repository_blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<Blob, Error> {
        self.repository_blob_size(repository, digest).ok_or_else(|| Error::UnknownBlob(digest.clone()))?;
        self.blob(digest).await
    }

    /// Lets a repository show a blob that is in the store; whether it is. Whoever calls this has checked that the
    /// content may be read.
    ///
    /// # Errors
    /// When there are too many, or the disk fails.
    pub async fn link_blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<bool, Error> {
        if !self.has(digest) {
            return Ok(false);
        }
        let (shared, repository, digest) = (Arc::clone(&self.shared), repository.clone(), digest.clone());
        blocking(move || shared.link_blob(&repository, &digest).map(|()| true)).await
    }

    /// Stops a repository from showing a blob; whether it did.
    ///
    /// # Errors
    /// When the process is ending.
    pub async fn unlink_blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<bool, Error> {
        let (shared, repository, digest) = (Arc::clone(&self.shared), repository.clone(), digest.clone());
        blocking(move || {
            let _disk = shared.disk();
            let was_there =
                shared.state().repositories.get_mut(&repository).is_some_and(|entry| entry.blobs.remove(&digest));
            remove_file(&shared.layout.link(&repository, &digest));
            shared.drop_empty(&repository);
            Ok(was_there)
        })
        .await
    }

    /// Descriptors of the manifests that are about `subject`, in the order of their digests.
    ///
    /// # Errors
    /// When one cannot be read.
    pub async fn referrers(&self, repository: &RepositoryName, subject: &Digest) -> Result<Vec<Descriptor>, Error> {
        let digests: Vec<Digest> = {
            let state = self.shared.state();
            let manifests = state.repositories.get(repository).into_iter().flat_map(|it| &it.manifests);
            let about = manifests.filter(|(_, manifest)| manifest.subject.as_ref() == Some(subject));
            about.map(|(digest, _)| digest.clone()).collect()
        };
        let mut referrers = Vec::with_capacity(digests.len());
        for digest in digests {
            if let Some(stored) = self.manifest(repository, &Target::Digest(digest)).await? {
                referrers.push(referrer(&stored)?);
            }
        }
        Ok(referrers)
    }
}

impl Shared {
    pub(super) fn link_blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<(), Error> {
        let _disk = self.disk();
        {
            let state = self.state();
            if !state.blobs.contains_key(digest) {
                return Err(Error::UnknownBlob(digest.clone()));
            }
            let entry = checked_entry(&state, repository)?;
            if entry.is_some_and(|entry| entry.blobs.contains(digest)) {
                return Ok(());
            }
            check_room("blobs in this repository", entry.map_or(0, |entry| entry.blobs.len()), BLOBS_MAX)?;
        }
        self.layout.write(&self.layout.link(repository, digest), b"")?;
        self.state().repositories.entry(repository.clone()).or_default().blobs.insert(digest.clone());
        Ok(())
    }

    /// The media type of a manifest, which counts as used from now on.
    fn use_manifest(&self, repository: &RepositoryName, digest: &Digest) -> Option<String> {
        let now = base_now();
        let mut state = self.state();
        let manifest = state.repositories.get_mut(repository)?.manifests.get_mut(digest)?;
        let is_stale = now.duration_since(manifest.used).is_ok_and(|age| age > TOUCH_EVERY);
        manifest.used = now;
        let media_type = manifest.media_type.clone();
        drop(state);
        if is_stale {
            touch(&self.layout.manifest(repository, digest), now);
        }
        Some(media_type)
    }

    /// Whether a manifest may come: there is room, and all that it names is here.
    fn check_manifest(
        &self,
        repository: &RepositoryName,
        target: &Target,
        manifest: &ManifestState,
    ) -> Result<(), Error> {
        let state = self.state();
        let none = Repository::default();
        let entry = checked_entry(&state, repository)?.unwrap_or(&none);
        check_room("manifests in this repository", entry.manifests.len(), MANIFESTS_MAX)?;
        if let Target::Tag(tag) = target
            && !entry.tags.contains_key(tag)
        {
            check_room("tags in this repository", entry.tags.len(), TAGS_MAX)?;
        }
        let missing_blob = manifest.blobs.iter().find(|digest| !entry.blobs.contains(*digest));
        let missing_manifest = manifest.manifests.iter().find(|digest| !entry.manifests.contains_key(*digest));
        missing_blob.or(missing_manifest).map_or(Ok(()), |digest| Err(Error::UnknownReference(digest.clone())))
    }

    /// Forgets a repository that has nothing left. Its folders stay where another repository lies below.
    fn drop_empty(&self, repository: &RepositoryName) {
        {
            let mut state = self.state();
            if state.repositories.get(repository).is_none_or(|entry| !entry.is_empty()) {
                return;
            }
            state.repositories.remove(repository);
        }
        self.remove_folders(repository);
    }

    /// Removes the folders of a repository that the index has forgotten.
    fn remove_folders(&self, repository: &RepositoryName) {
        let folder = self.layout.repository(repository);
        for inner in [MANIFESTS, TAGS, BLOBS] {
            // Leftovers of a crash may be in there; a folder that stays harms nothing.
            fs::remove_dir_all(folder.join(inner)).unwrap_or_default();
        }
        let mut folders = folder.ancestors().take_while(|it| *it != self.layout.repositories());
        // Stops at the first that is not empty.
        while folders.next().is_some_and(|folder| fs::remove_dir(folder).is_ok()) {}
    }
}

/// The repository, if there is one; else there must be room for it.
fn checked_entry<'a>(state: &'a State, repository: &RepositoryName) -> Result<Option<&'a Repository>, Error> {
    let entry = state.repositories.get(repository);
    if entry.is_none() {
        check_room("repositories", state.repositories.len(), REPOSITORIES_MAX)?;
    }
    Ok(entry)
}

fn check_room(what: &'static str, length: usize, max: usize) -> Result<(), Error> {
    if length >= max { Err(Error::TooMany { what, max }) } else { Ok(()) }
}

/// What the index keeps of a manifest.
pub(super) fn manifest_state(
    content: &[u8],
    media_type: Option<&str>,
    used: SystemTime,
) -> Result<ManifestState, InvalidManifest> {
    let document = manifest::parse(content, media_type)?;
    let digests = |descriptors: Vec<&Descriptor>| {
        // What lies outside the registry need not be here.
        descriptors.into_iter().filter(|it| it.urls.is_none()).map(|it| it.digest.clone()).collect::<Vec<_>>()
    };
    let (blobs, manifests) = match &document {
        Document::Manifest(manifest) => {
            (digests(std::iter::once(&manifest.config).chain(&manifest.layers).collect()), Vec::new())
        }
        Document::Index(index) => (Vec::new(), digests(index.manifests.iter().collect())),
    };
    let subject = document.subject().map(|subject| subject.digest.clone());
    Ok(ManifestState { media_type: document.media_type().to_owned(), blobs, manifests, subject, used })
}

/// How a list of referrers describes a manifest.
fn referrer(stored: &StoredManifest) -> Result<Descriptor, Error> {
    let (artifact_type, annotations) = match manifest::parse(&stored.content, Some(&stored.media_type))? {
        Document::Manifest(manifest) => {
            (Some(manifest.artifact_type.unwrap_or(manifest.config.media_type)), manifest.annotations)
        }
        Document::Index(index) => (index.artifact_type, index.annotations),
    };
    Ok(Descriptor {
        media_type: stored.media_type.clone(),
        digest: stored.digest.clone(),
        size: stored.content.len() as u64,
        platform: None,
        artifact_type,
        annotations,
        urls: None,
    })
}

fn digest_of(content: &[u8], algorithm: Algorithm) -> Digest {
    let mut hasher = Hasher::new(algorithm);
    hasher.update(content);
    hasher.finish()
}
