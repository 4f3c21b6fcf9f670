//! The index in memory: which content there is, who names it, and how much it counts.
//!
//! It is the one home of these laws: `charged_bytes` is the sum over `blobs`; a tag stands for a manifest that is
//! there; a repository's manifests are blobs.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::SystemTime;

use super::Metrics;
use super::pulled::Pulled;
use super::removal::{Removal, RootId};
use super::uploads::{Upload, UploadId};
use crate::digest::Digest;
use crate::reference::{BUILT_IN_REGISTRY, Reference, RepositoryName};

/// What a blob counts at least, in bytes: it bounds the number of blobs, and so this index, by the bound on bytes
/// (10 GiB make 655,360 at most, about 130 MB of index).
pub(super) const CHARGE_MIN: u64 = 16 << 10;

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) blobs: HashMap<Digest, BlobState>,
    pub(super) repositories: BTreeMap<RepositoryName, Repository>,
    /// By the reference's full text.
    pub(super) pulled: HashMap<String, Pulled>,
    pub(super) uploads: HashMap<UploadId, Upload>,
    /// What live pods name.
    pub(super) in_use: BTreeSet<Reference>,
    pub(super) incoming_bytes: u64,
    charged_bytes: u64,
    removed_blobs: u64,
    removed_bytes: u64,
}

#[derive(Clone, Debug)]
pub(super) struct BlobState {
    pub(super) size_bytes: u64,
    pub(super) used: SystemTime,
    /// How many pins hold it.
    pub(super) pins: u32,
}

#[derive(Debug, Default)]
pub(super) struct Repository {
    pub(super) manifests: BTreeMap<Digest, ManifestState>,
    pub(super) tags: BTreeMap<String, Digest>,
    /// What was pushed here; only that can be read here.
    pub(super) blobs: BTreeSet<Digest>,
}

#[derive(Clone, Debug)]
pub(super) struct ManifestState {
    pub(super) media_type: String,
    /// Config and layers.
    pub(super) blobs: Vec<Digest>,
    /// For an index: its manifests, as far as they are here.
    pub(super) manifests: Vec<Digest>,
    /// The manifest that this one is about.
    pub(super) subject: Option<Digest>,
    pub(super) used: SystemTime,
}

impl State {
    /// What counts against the bound.
    pub(super) fn used_bytes(&self) -> u64 {
        self.charged_bytes + self.incoming_bytes
    }

    /// Takes a blob in; one that is here already is only used again.
    pub(super) fn add_blob(&mut self, digest: Digest, size_bytes: u64, used: SystemTime) {
        let charged = &mut self.charged_bytes;
        self.blobs.entry(digest).and_modify(|blob| blob.used = blob.used.max(used)).or_insert_with(|| {
            *charged += charge(size_bytes);
            BlobState { size_bytes, used, pins: 0 }
        });
    }

    pub(super) fn pin(&mut self, digest: &Digest) {
        if let Some(blob) = self.blobs.get_mut(digest) {
            blob.pins += 1;
        }
    }

    pub(super) fn unpin(&mut self, digest: &Digest) {
        if let Some(blob) = self.blobs.get_mut(digest) {
            debug_assert!(blob.pins > 0, "{digest} is unpinned more often than pinned");
            blob.pins = blob.pins.saturating_sub(1);
        }
    }

    /// Forgets what a removal names.
    pub(super) fn apply(&mut self, removal: &Removal) {
        for root in &removal.roots {
            match root {
                RootId::Pulled(reference) => {
                    self.pulled.remove(reference);
                }
                RootId::Manifest(name, digest) => self.remove_manifest(name, digest),
            }
        }
        for digest in &removal.blobs {
            if let Some(blob) = self.blobs.remove(digest) {
                self.charged_bytes -= charge(blob.size_bytes);
                self.removed_blobs += 1;
                self.removed_bytes += blob.size_bytes;
            }
        }
        let gone: BTreeSet<&Digest> = removal.blobs.iter().collect();
        for repository in self.repositories.values_mut() {
            repository.blobs.retain(|digest| !gone.contains(digest));
        }
        self.repositories.retain(|_, repository| !repository.is_empty());
    }

    /// Forgets a manifest and the tags that stand for it.
    pub(super) fn remove_manifest(&mut self, name: &RepositoryName, digest: &Digest) {
        if let Some(repository) = self.repositories.get_mut(name) {
            repository.manifests.remove(digest);
            repository.tags.retain(|_, tagged| tagged != digest);
        }
    }

    /// Forgets a namespace's repositories, which are named, and what was pulled from them.
    pub(super) fn forget_namespace(&mut self, namespace: &str) -> (Vec<RepositoryName>, Removal) {
        let is_of = |name: &RepositoryName| name.namespace() == Some(namespace);
        let names: Vec<_> = self.repositories.keys().filter(|name| is_of(name)).cloned().collect();
        self.repositories.retain(|name, _| !is_of(name));
        let prefix = format!("{BUILT_IN_REGISTRY}/{namespace}/");
        let pulled = self.pulled.keys().filter(|reference| reference.starts_with(&prefix));
        let roots = pulled.cloned().map(RootId::Pulled).collect();
        self.pulled.retain(|reference, _| !reference.starts_with(&prefix));
        (names, Removal { roots, blobs: Vec::new() })
    }

    pub(super) fn metrics(&self) -> Metrics {
        Metrics {
            blobs: self.blobs.len() as u64,
            bytes: self.charged_bytes,
            bytes_max: 0,
            incoming_bytes: self.incoming_bytes,
            uploads: self.uploads.len() as u64,
            repositories: self.repositories.len() as u64,
            pulled: self.pulled.len() as u64,
            removed_blobs: self.removed_blobs,
            removed_bytes: self.removed_bytes,
        }
    }
}

impl Repository {
    pub(super) fn is_empty(&self) -> bool {
        self.manifests.is_empty() && self.blobs.is_empty()
    }

    /// The manifest that a tag or digest stands for.
    pub(super) fn resolve(&self, target: &super::Target) -> Option<&Digest> {
        match target {
            super::Target::Tag(tag) => self.tags.get(tag),
            super::Target::Digest(digest) => self.manifests.get_key_value(digest).map(|(digest, _)| digest),
        }
    }
}

/// What a blob counts against the bound, in bytes.
pub(super) fn charge(size_bytes: u64) -> u64 {
    size_bytes.max(CHARGE_MIN)
}
