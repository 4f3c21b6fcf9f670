//! From a reference to a `.wasm` on this machine's disk.
//!
//! ```text
//! reference ─► manifest (an index: the one for wasm) ─► layout ─┬─ a Wasm layer ──────────────► content store
//!                                                               └─ tar layers ─► the one file ─► content store
//! ```
//!
//! Content goes straight to disk, is verified before anything looks into it, and is fetched again from where it broke
//! off. What is here already is not fetched. Where the cluster's own registry keeps its content in this very store
//! ([`Puller::in_registry`]), it is asked without a network.

mod source;

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::BufReader;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use base::backoff::Law;
use flate2::read::MultiGzDecoder;
use futures::StreamExt as _;
use tokio::sync::Semaphore;

use self::source::Source;
use crate::archive::{self, ArchiveError, Next, WasmFile};
use crate::config::{self, ImageConfig};
use crate::content::{Artifact, ContentStore, Ingest, Scratch, Stored};
use crate::credentials::Keyring;
use crate::digest::Digest;
use crate::distribution::session::{Access, Sent};
use crate::distribution::{self, Transport};
use crate::inspect::{NotWasm, inspect_file};
use crate::manifest::{
    self, CONFIG_BYTES_MAX, Compression, Descriptor, Document, InvalidManifest, Layout, Manifest, NoWasm,
};
use crate::reference::Reference;

/// Images that are pulled at once; others wait. It is a node's link that is shared, so more would not be faster.
const PULLS_MAX: usize = 4;

/// How long one pull may take, waiting for its turn included: a registry that drips cannot hold a place forever.
const PULL_MAX: Duration = Duration::from_hours(1);

/// How often one download may be taken up again after it broke off.
const RESUMES_MAX: u32 = 8;

/// The pause before a download is taken up again.
const RESUME_LAW: Law = Law::exact(Duration::from_millis(500), Duration::from_secs(30));

/// How far the layers of an ordinary image may unpack while they are searched, in artifacts' bounds: other files may
/// lie beside the Wasm, but nobody waits for a gigabyte of zeros.
const UNPACKED_ARTIFACTS_MAX: u64 = 2;

/// Pulls images into one content store. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Puller {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    store: ContentStore,
    transport: Transport,
    built_in: BuiltInPlace,
    turns: Semaphore,
    /// Between the tries of one download.
    pauses: Law,
    /// One lock a reference that is being pulled, so that many pods of one image pull it once.
    pulling: Mutex<HashMap<String, Weak<tokio::sync::Mutex<()>>>>,
}

/// Where the cluster's own registry keeps its content.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum BuiltInPlace {
    /// Behind the address that the transport knows.
    Elsewhere,
    /// In the store that images come into.
    OwnStore,
}

/// How far a pull is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Progress {
    /// Bytes of the present layer that came.
    pub received_bytes: u64,
    /// Its length.
    pub total_bytes: u64,
}

/// Why an image is not here.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is nothing that runs here.
    #[error("image {image} has no WebAssembly: {why}")]
    NoWasm {
        /// Which.
        image: String,
        /// Why.
        why: NoWasm,
    },
    /// It is larger than allowed.
    #[error("image {image} has {size} bytes, and an artifact may have {max}")]
    TooLarge {
        /// Which.
        image: String,
        /// Its length as its manifest says.
        size: u64,
        /// The bound.
        max: u64,
    },
    /// The registry did not help.
    #[error(transparent)]
    Registry(#[from] distribution::Error),
    /// Its manifest is none.
    #[error("image {image}: {source}")]
    Manifest {
        /// Which.
        image: String,
        /// Why.
        source: InvalidManifest,
    },
    /// A layer broke off more often than it was taken up again.
    #[error("image {image} broke off after {received} of {size} bytes: {source}")]
    BrokenOff {
        /// Which.
        image: String,
        /// What came.
        received: u64,
        /// What should have come.
        size: u64,
        /// The last break.
        source: distribution::Error,
    },
    /// The content store refused: no room, or the content is not what its digest says.
    #[error("image {image}: {source}")]
    Store {
        /// Which.
        image: String,
        /// Why.
        source: crate::content::Error,
    },
    /// A layer cannot be searched.
    #[error("image {image}: {why}")]
    Archive {
        /// Which.
        image: String,
        /// Why.
        why: String,
    },
    /// It took too long.
    #[error("image {image} was not pulled within {} minutes", PULL_MAX.as_secs() / 60)]
    Deadline {
        /// Which.
        image: String,
    },
}

impl Error {
    /// Whether the registry could not be reached at all, for which upstream has the reason `RegistryUnavailable`.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Registry(distribution::Error::Unreachable { .. }))
    }
}

impl Puller {
    /// A puller into `store`.
    #[must_use]
    pub fn new(store: ContentStore, options: distribution::Options) -> Self {
        Self::with(store, options, BuiltInPlace::Elsewhere, RESUME_LAW)
    }

    /// A puller into `store`, which also is where the cluster's own registry keeps its content: that is read from there.
    #[must_use]
    pub fn in_registry(store: ContentStore, options: distribution::Options) -> Self {
        Self::with(store, options, BuiltInPlace::OwnStore, RESUME_LAW)
    }

    fn with(store: ContentStore, options: distribution::Options, built_in: BuiltInPlace, pauses: Law) -> Self {
        let transport = Transport::new(options);
        let turns = Semaphore::new(PULLS_MAX);
        let pulling = Mutex::default();
        Self { shared: Arc::new(Shared { store, transport, built_in, turns, pauses, pulling }) }
    }

    /// The store that images come into.
    #[must_use]
    pub fn store(&self) -> &ContentStore {
        &self.shared.store
    }

    /// Asks the registry what `reference` stands for now, and brings what is not here. Whether it may be skipped, the
    /// pull policy says; [`ContentStore::pulled`] has the answer of last time.
    ///
    /// Dropping the future ends the pull and leaves nothing half-done behind.
    ///
    /// # Errors
    /// When the image cannot be brought or is none that runs here.
    pub async fn pull(
        &self,
        reference: &Reference,
        keyring: &Keyring,
        progress: &(dyn Fn(Progress) + Send + Sync),
    ) -> Result<Artifact, Error> {
        let pulled = async {
            let lock = self.lock_of(reference);
            let _only = lock.lock().await;
            // The semaphore is never closed, so this waits for a turn and cannot fail.
            let _turn = self.shared.turns.acquire().await.ok();
            self.pull_from_any(reference, keyring, progress).await
        };
        match tokio::time::timeout(PULL_MAX, pulled).await {
            Ok(pulled) => pulled,
            Err(_) => Err(Error::Deadline { image: reference.to_string() }),
        }
    }

    fn lock_of(&self, reference: &Reference) -> Arc<tokio::sync::Mutex<()>> {
        let mut pulling = self.shared.pulling.lock().unwrap_or_else(PoisonError::into_inner);
        pulling.retain(|_, lock| lock.strong_count() > 0);
        let place = pulling.entry(reference.to_string()).or_default();
        place.upgrade().unwrap_or_else(|| {
            let lock = Arc::default();
            *place = Arc::downgrade(&lock);
            lock
        })
    }

    /// Tries each way to the registry, and on each every matching pull secret.
    async fn pull_from_any(
        &self,
        reference: &Reference,
        keyring: &Keyring,
        progress: &(dyn Fn(Progress) + Send + Sync),
    ) -> Result<Artifact, Error> {
        let pull = |source| Pull { puller: &self.shared, source, reference, progress };
        if reference.is_built_in() && self.shared.built_in == BuiltInPlace::OwnStore {
            return pull(Source::Store(self.shared.store.clone(), reference.clone())).run().await;
        }
        let mut last = None;
        for session in self.shared.transport.sessions(reference, Access::Pull, keyring)? {
            match pull(Source::Registry(session)).run().await {
                Err(Error::Registry(error)) if error.is_worth_another_way() => last = Some(error),
                other => return other,
            }
        }
        Err(Error::Registry(last.unwrap_or(distribution::Error::NoBuiltIn)))
    }
}

/// One try at one image.
struct Pull<'a> {
    puller: &'a Shared,
    source: Source,
    reference: &'a Reference,
    progress: &'a (dyn Fn(Progress) + Send + Sync),
}

impl Pull<'_> {
    async fn run(&self) -> Result<Artifact, Error> {
        let (manifest, digest) = self.manifest().await?;
        let (wasm, config) = match manifest.layout().map_err(|why| self.no_wasm(why))? {
            Layout::Layer(layer) => (self.layer(&layer).await?, self.config(&manifest).await?),
            Layout::Archives(layers) => {
                let config = self.config(&manifest).await?;
                (self.search(&layers, config.program()).await?, config)
            }
        };
        let recorded = self.puller.store.record_pulled(self.reference, digest, wasm, config).await;
        recorded.map_err(|error| self.store_error(error))
    }

    /// The image's manifest and its digest; of an index the digest of the index, as upstream's `imageID` has it.
    async fn manifest(&self) -> Result<(Manifest, Digest), Error> {
        let Sent { content, media_type, digest } = self.source.manifest(&self.reference.target()).await?;
        let document = self.parsed(&content, media_type.as_deref())?;
        let index = match document {
            Document::Manifest(manifest) => return Ok((manifest, digest)),
            Document::Index(index) => index,
        };
        let chosen = index.choose().map_err(|why| self.no_wasm(why))?;
        let Sent { content, media_type, .. } = self.source.manifest(&chosen.digest.to_string()).await?;
        match self.parsed(&content, media_type.as_deref())? {
            Document::Manifest(manifest) => Ok((manifest, digest)),
            Document::Index(_) => Err(self.no_wasm(NoWasm::NestedIndex)),
        }
    }

    fn parsed(&self, content: &[u8], media_type: Option<&str>) -> Result<Document, Error> {
        manifest::parse(content, media_type)
            .map_err(|source| Error::Manifest { image: self.reference.to_string(), source })
    }

    /// How the image wants to be run, where its config is of a kind that says it.
    async fn config(&self, manifest: &Manifest) -> Result<ImageConfig, Error> {
        let is_ordinary = [manifest::media::IMAGE_CONFIG, manifest::media::DOCKER_IMAGE_CONFIG];
        if !is_ordinary.contains(&manifest.config.media_type.as_str()) {
            return Ok(ImageConfig::default());
        }
        let content = self.source.small_blob(&manifest.config.digest, CONFIG_BYTES_MAX).await?;
        Ok(config::parse(&content))
    }

    /// A layer that is the Wasm, by its media type; whether it is, its bytes tell.
    async fn layer(&self, layer: &Descriptor) -> Result<Stored, Error> {
        let stored = match self.puller.store.stored(&layer.digest) {
            Some(stored) => stored,
            None => {
                let ingest = self.download(layer).await?;
                ingest.commit(Some(&layer.digest)).await.map_err(|error| self.store_error(error))?
            }
        };
        match inspect_file(&stored.path).await {
            Ok(_) => Ok(stored),
            Err(NotWasm::Io(error)) => {
                Err(Error::Archive { image: self.reference.to_string(), why: error.to_string() })
            }
            Err(other) => Err(self.no_wasm(NoWasm::Bytes(other.to_string()))),
        }
    }

    /// Brings a blob to a file, going on where it broke off.
    async fn download(&self, blob: &Descriptor) -> Result<Ingest, Error> {
        let max = self.puller.store.artifact_bytes_max();
        let image = || self.reference.to_string();
        if blob.size > max {
            return Err(Error::TooLarge { image: image(), size: blob.size, max });
        }
        let ingest = self.puller.store.ingest(blob.digest.algorithm(), blob.size).await;
        let mut ingest = ingest.map_err(|error| self.store_error(error))?;
        let mut tries = 0;
        loop {
            let broken = match self.receive(blob, &mut ingest).await? {
                Received::Whole => return Ok(ingest),
                Received::Part(error) => error,
            };
            if tries == RESUMES_MAX {
                let received = ingest.written();
                return Err(Error::BrokenOff { image: image(), received, size: blob.size, source: broken });
            }
            tracing::debug!(image = %self.reference, received = ingest.written(), error = %broken, "a download broke off");
            tokio::time::sleep(self.puller.pauses.wait(tries)).await;
            tries += 1;
        }
    }

    /// Receives until the blob is whole or the stream breaks.
    async fn receive(&self, blob: &Descriptor, ingest: &mut Ingest) -> Result<Received, Error> {
        let chunks = match self.source.blob(&blob.digest, ingest.written()).await {
            Err(error @ distribution::Error::Unreachable { .. }) => return Ok(Received::Part(error)),
            other => other?,
        };
        let mut chunks = std::pin::pin!(chunks);
        while let Some(chunk) = chunks.next().await {
            match chunk {
                Ok(chunk) => ingest.write(chunk).await.map_err(|error| self.store_error(error))?,
                Err(error) => return Ok(Received::Part(error)),
            }
            (self.progress)(Progress { received_bytes: ingest.written(), total_bytes: blob.size });
        }
        if ingest.written() < blob.size {
            let registry = self.reference.registry().to_owned();
            let why = "the connection ended before the content".to_owned();
            return Ok(Received::Part(distribution::Error::Unreachable { registry, why }));
        }
        Ok(Received::Whole)
    }

    /// Brings the tar layers of an ordinary image and takes the Wasm out of them.
    async fn search(&self, layers: &[(Descriptor, Compression)], program: Option<&str>) -> Result<Stored, Error> {
        let max = self.puller.store.artifact_bytes_max();
        let size = layers.iter().map(|(layer, _)| layer.size).fold(0, u64::saturating_add);
        if size > max {
            return Err(self.no_wasm(NoWasm::LargeLayers { size, max }));
        }
        let mut scratches = Vec::with_capacity(layers.len());
        for (layer, compression) in layers {
            let ingest = self.download(layer).await?;
            let scratch = ingest.into_scratch(Some(&layer.digest)).await.map_err(|error| self.store_error(error))?;
            scratches.push((scratch, *compression));
        }
        let (store, program) = (self.puller.store.clone(), program.map(str::to_owned));
        let found = base::task::blocking(move || extract(&store, &scratches, program.as_deref())).await;
        match found.unwrap_or(Err(Extraction::Store(crate::content::Error::Closing))) {
            Ok(stored) => Ok(stored),
            Err(Extraction::NoWasm(why)) => Err(self.no_wasm(why)),
            Err(Extraction::Store(error)) => Err(self.store_error(error)),
            Err(Extraction::Archive(error)) => {
                Err(Error::Archive { image: self.reference.to_string(), why: error.to_string() })
            }
        }
    }

    fn no_wasm(&self, why: NoWasm) -> Error {
        Error::NoWasm { image: self.reference.to_string(), why }
    }

    fn store_error(&self, source: crate::content::Error) -> Error {
        Error::Store { image: self.reference.to_string(), source }
    }
}

enum Received {
    Whole,
    Part(distribution::Error),
}

enum Extraction {
    NoWasm(NoWasm),
    Archive(ArchiveError),
    Store(crate::content::Error),
}

impl From<ArchiveError> for Extraction {
    fn from(error: ArchiveError) -> Self {
        Self::Archive(error)
    }
}

/// Looks through all layers, chooses, and takes the chosen file out.
fn extract(
    store: &ContentStore,
    layers: &[(Scratch, Compression)],
    program: Option<&str>,
) -> Result<Stored, Extraction> {
    let mut found = Vec::new();
    for (at, layer) in layers.iter().enumerate() {
        walk(store, layer, &mut |file, _| {
            found.push((at, file.clone()));
            Ok(Next::Continue)
        })?;
    }
    let (at, chosen) = choose(found, program).map_err(Extraction::NoWasm)?;
    let mut stored = None;
    if let Some(layer) = layers.get(at) {
        walk(store, layer, &mut |file, body| {
            if *file != chosen {
                return Ok(Next::Continue);
            }
            stored = Some(store.put_blocking(body, store.artifact_bytes_max()).map_err(Extraction::Store)?);
            Ok(Next::Stop)
        })?;
    }
    stored.ok_or(Extraction::NoWasm(NoWasm::NoFile))
}

type Visit<'a> = &'a mut dyn FnMut(&WasmFile, &mut dyn std::io::Read) -> Result<Next, Extraction>;

fn walk(
    store: &ContentStore,
    (scratch, compression): &(Scratch, Compression),
    visit: Visit<'_>,
) -> Result<(), Extraction> {
    let max = store.artifact_bytes_max().saturating_mul(UNPACKED_ARTIFACTS_MAX);
    let file = BufReader::new(File::open(scratch.path()).map_err(ArchiveError::Io)?);
    match compression {
        Compression::None => archive::walk(file, max, visit),
        Compression::Gzip => archive::walk(MultiGzDecoder::new(file), max, visit),
    }
}

/// The file to run: the one that the entrypoint names, else the only one. A later layer's file hides an earlier one's
/// of the same name.
fn choose(found: Vec<(usize, WasmFile)>, program: Option<&str>) -> Result<(usize, WasmFile), NoWasm> {
    let visible: BTreeMap<String, (usize, WasmFile)> =
        found.into_iter().map(|(at, file)| (file.path.clone(), (at, file))).collect();
    let program = program.map(archive::relative).unwrap_or_default();
    if let Some(named) = visible.get(program) {
        return Ok(named.clone());
    }
    let count = visible.len();
    let mut files = visible.into_values();
    match (files.next(), files.next()) {
        (None, _) => Err(NoWasm::NoFile),
        (Some(only), None) => Ok(only),
        (Some(_), Some(_)) => Err(NoWasm::Ambiguous { count, entrypoint: program.to_owned() }),
    }
}

#[cfg(test)]
mod tests;
