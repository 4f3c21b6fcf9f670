//! What a reference stood for when it was last pulled, so that a node can start it again without any registry.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::{ContentStore, Error, Pin, Shared, Stored, TOUCH_EVERY, base_now, blocking, layout};
use crate::config::ImageConfig;
use crate::digest::Digest;
use crate::reference::Reference;

/// An image that is ready to run. Its content stays on disk while this is held.
#[derive(Debug)]
pub struct Artifact {
    /// What was asked for.
    pub reference: Reference,
    /// The manifest's digest, which names the image whatever its tag stands for later.
    pub manifest_digest: Digest,
    /// The Wasm's digest: the key of compiled code.
    pub wasm: Digest,
    /// Where the Wasm lies.
    pub path: PathBuf,
    /// The Wasm's length.
    pub size_bytes: u64,
    /// How the image wants to be run.
    pub config: ImageConfig,
    #[expect(dead_code, reason = "held for its drop: it keeps the content")]
    pin: Pin,
}

/// A pulled image as `Node.status.images` lists it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PulledImage {
    /// The reference it was pulled by.
    pub reference: String,
    /// The reference by digest.
    pub by_digest: String,
    /// The Wasm's length.
    pub size_bytes: u64,
}

/// The record of a pull, on disk as JSON.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Pulled {
    pub(super) reference: String,
    pub(super) manifest_digest: Digest,
    pub(super) wasm: Digest,
    pub(super) size_bytes: u64,
    #[serde(default)]
    pub(super) config: ImageConfig,
    /// The file's date.
    #[serde(skip, default = "epoch")]
    pub(super) used: SystemTime,
}

fn epoch() -> SystemTime {
    SystemTime::UNIX_EPOCH
}

impl Pulled {
    /// Reads a record; `None` when it is none.
    pub(super) fn read(path: &Path, used: SystemTime) -> Option<Self> {
        let pulled: Self = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
        Some(Self { used, ..pulled })
    }

    /// The content that it names.
    pub(super) fn blobs(&self) -> Vec<Digest> {
        vec![self.wasm.clone()]
    }
}

impl ContentStore {
    /// What `reference` stood for when it was last pulled here, if its content is still here; counts it as used.
    #[must_use]
    pub fn pulled(&self, reference: &Reference) -> Option<Artifact> {
        let mut state = self.shared.state();
        let pulled = state.pulled.get_mut(&reference.to_string())?;
        let now = base_now();
        let is_stale = now.duration_since(pulled.used).is_ok_and(|age| age > TOUCH_EVERY);
        pulled.used = now;
        let pulled = pulled.clone();
        let pin = self.shared.pin(&mut state, vec![pulled.wasm.clone()]);
        drop(state);
        if is_stale {
            layout::touch(&self.shared.layout.pulled_record(&pulled.reference), now);
        }
        Some(self.shared.artifact(reference.clone(), pulled, pin))
    }

    /// Every pulled image, in no order.
    #[must_use]
    pub fn pulled_images(&self) -> Vec<PulledImage> {
        let by_digest = |pulled: &Pulled| {
            let reference = Reference::parse(&pulled.reference).ok()?;
            Some(reference.at(&pulled.manifest_digest))
        };
        let state = self.shared.state();
        let images = state.pulled.values().map(|pulled| PulledImage {
            reference: pulled.reference.clone(),
            by_digest: by_digest(pulled).unwrap_or_default(),
            size_bytes: pulled.size_bytes,
        });
        images.collect()
    }

    /// Writes down what a reference stands for now.
    pub(crate) async fn record_pulled(
        &self,
        reference: &Reference,
        manifest_digest: Digest,
        wasm: Stored,
        config: ImageConfig,
    ) -> Result<Artifact, Error> {
        let shared = Arc::clone(&self.shared);
        let reference = reference.clone();
        blocking(move || {
            let Stored { digest, size_bytes, pin, .. } = wasm;
            let text = reference.to_string();
            let pulled =
                Pulled { reference: text.clone(), manifest_digest, wasm: digest, size_bytes, config, used: base_now() };
            let _disk = shared.disk();
            let path = shared.layout.pulled_record(&text);
            let record = serde_json::to_vec(&pulled).map_err(|error| record_error(&path, error))?;
            shared.layout.write(&path, &record)?;
            shared.state().pulled.insert(text, pulled.clone());
            Ok(shared.artifact(reference, pulled, pin))
        })
        .await
    }
}

impl Shared {
    fn artifact(&self, reference: Reference, pulled: Pulled, pin: Pin) -> Artifact {
        let Pulled { manifest_digest, wasm, size_bytes, config, .. } = pulled;
        let path = self.layout.blob(&wasm);
        Artifact { reference, manifest_digest, wasm, path, size_bytes, config, pin }
    }
}

fn record_error(path: &Path, error: serde_json::Error) -> Error {
    Error::Io { verb: "write", path: path.to_owned(), source: error.into() }
}
