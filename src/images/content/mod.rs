//! Content on disk, by digest: what a registry stores and what a node has pulled.
//!
//! Bytes go through temporary files that are hashed while they are written, synced, and renamed to their digest; so
//! whatever has a digest's name has its content, and a crash leaves at most a temporary file. Memory holds an index
//! of names and sizes, rebuilt at start, never content. Space is bounded: what no live pod names goes, the least
//! recently used first.
//!
//! ```text
//! DIR/sha256/9f/9f86…                     content
//! DIR/temporary/…                         being written; emptied at start
//! DIR/uploads/UUID/{content,repository}   unfinished uploads, resumable across a restart
//! DIR/repositories/NS/NAME/_manifests/…   a manifest's media type, by digest; the manifest itself is content
//! DIR/repositories/NS/NAME/_tags/TAG      the digest that a tag stands for
//! DIR/repositories/NS/NAME/_blobs/…       what was pushed to this repository (empty files)
//! DIR/pulled/…                            what a pulled reference stood for, as JSON
//! ```
//!
//! Two locks, always taken in this order: `disk` by whoever renames or removes files (in blocking threads only), then
//! `state` for moments. Reading order: [`ContentStore`], `state` (the index), `removal` (what goes when space is
//! short), `ingest` (bytes in), `uploads`, `repositories`, `pulled`, `layout` (paths and durable writes).

mod ingest;
mod layout;
mod pulled;
mod removal;
mod repositories;
mod scan;
mod state;
mod uploads;

use std::collections::BTreeSet;
use std::fmt;
use std::io::SeekFrom;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use base::shutdown::Shutdown;
use bytes::Bytes;
use futures::Stream;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio_util::io::ReaderStream;

use self::layout::Layout;
use self::state::State;
use crate::digest::Digest;
use crate::reference::Reference;

pub use self::ingest::{Ingest, Scratch, Stored};
pub use self::pulled::{Artifact, PulledImage};
pub use self::repositories::{PutManifest, StoredManifest, Target};
pub use self::uploads::{Append, UploadId};

/// How much content is read at once on its way out, in bytes.
const READ_BYTES: usize = 64 << 10;

/// How often unfinished uploads are looked through.
const SWEEP_EVERY: Duration = Duration::from_secs(600);

/// A blob's last use is written to its file's date only when the date is older than this: the order of removal after a
/// restart need not be exact, and a write for each read would cost.
const TOUCH_EVERY: Duration = Duration::from_secs(600);

/// When room is made, at least this part of the bound is freed at once where it can be: choosing what goes looks at
/// everything, so it must not be done for each chunk of a large upload.
const ROOM_PARTS: u64 = 64;

/// Where a store lies and what it may hold.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder; made if it is not there, for the owner alone.
    pub path: PathBuf,
    /// All content together, in bytes; at the limit what is not in use goes, and then writes fail with [`Error::Full`].
    pub bytes_max: u64,
    /// One blob, in bytes; a larger one fails with [`Error::TooLarge`].
    pub artifact_bytes_max: u64,
    /// How long an unfinished upload may rest before it is dropped.
    pub upload_life: Duration,
}

/// A handle to the store; clones share it.
#[derive(Clone, Debug)]
pub struct ContentStore {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    options: Options,
    layout: Layout,
    disk: Mutex<()>,
    state: Mutex<State>,
    asked_in_use: OnceLock<AskInUse>,
}

/// Tells which images are in use when it is asked.
struct AskInUse(Box<dyn Fn() -> BTreeSet<Reference> + Send + Sync>);

impl fmt::Debug for AskInUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AskInUse")
    }
}

/// Keeps content from being removed while it is held.
#[derive(Debug)]
#[must_use = "content is protected only while its pin is held"]
pub struct Pin {
    shared: Arc<Shared>,
    digests: Vec<Digest>,
}

/// Content to read.
#[derive(Debug)]
pub struct Blob {
    /// Its name.
    pub digest: Digest,
    /// Its length.
    pub size_bytes: u64,
    path: PathBuf,
    pin: Pin,
}

/// What the store holds, for metrics.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Metrics {
    /// Blobs, manifests included.
    pub blobs: u64,
    /// What they count against the bound, in bytes.
    pub bytes: u64,
    /// The bound.
    pub bytes_max: u64,
    /// Bytes of unfinished writes and uploads.
    pub incoming_bytes: u64,
    /// Unfinished uploads.
    pub uploads: u64,
    /// Repositories with content.
    pub repositories: u64,
    /// Pulled images.
    pub pulled: u64,
    /// Blobs removed for space since the start.
    pub removed_blobs: u64,
    /// Their bytes.
    pub removed_bytes: u64,
}

/// Why the store refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The content is not what its name says.
    #[error("the content has digest {found}, want {expected}")]
    DigestMismatch {
        /// What was promised.
        expected: Digest,
        /// What came.
        found: Digest,
    },
    /// The content has another length than promised.
    #[error("the content has {found} bytes, want {expected}")]
    SizeMismatch {
        /// What was promised.
        expected: u64,
        /// What came.
        found: u64,
    },
    /// One blob beyond its bound.
    #[error("the content has more than {max} bytes, the most that one artifact may have")]
    TooLarge {
        /// The bound.
        max: u64,
    },
    /// All blobs at their bound, and everything is in use.
    #[error("the content store is full: {used} of {max} bytes are used and none can be removed, since pods name them")]
    Full {
        /// Bytes used.
        used: u64,
        /// The bound.
        max: u64,
    },
    /// The disk itself is full.
    #[error("the disk of {} is full", path.display())]
    DiskFull {
        /// Where.
        path: PathBuf,
    },
    /// A bound on numbers.
    #[error("there are {max} {what} already, the most that there may be")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The bound.
        max: usize,
    },
    /// No such content, or none that this repository may see.
    #[error("no blob {0} is known here")]
    UnknownBlob(Digest),
    /// A manifest names content that was not pushed to its repository.
    #[error("the manifest names {0}, which was not pushed to this repository")]
    UnknownReference(Digest),
    /// No such upload, or one of another repository, or expired.
    #[error("no such upload; it may have expired")]
    UnknownUpload,
    /// Somebody writes to the upload at this moment.
    #[error("another request is writing to this upload")]
    UploadBusy,
    /// The chunk does not continue the upload.
    #[error("the chunk begins at byte {found}, and the upload goes on at {expected}")]
    Offset {
        /// Where the upload stands.
        expected: u64,
        /// Where the chunk begins.
        found: u64,
    },
    /// A manifest that cannot be read.
    #[error(transparent)]
    InvalidManifest(#[from] crate::manifest::InvalidManifest),
    /// The disk failed.
    #[error("cannot {verb} {}: {source}", path.display())]
    Io {
        /// What was tried.
        verb: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The process is ending.
    #[error("the content store is shutting down")]
    Closing,
}

impl Options {
    /// The defaults: 10 GiB in all, 256 MiB for one artifact, unfinished uploads for 24 hours.
    #[must_use]
    pub fn at(path: PathBuf) -> Self {
        Self { path, bytes_max: 10 << 30, artifact_bytes_max: 256 << 20, upload_life: Duration::from_hours(24) }
    }
}

impl ContentStore {
    /// Opens the store, making its folder if there is none.
    ///
    /// # Errors
    /// When the folder cannot be made, read or written.
    pub async fn open(options: Options) -> Result<Self, Error> {
        blocking(move || {
            let layout = Layout::make(&options.path)?;
            let state = scan::scan(&layout, base_now() - options.upload_life)?;
            let (disk, state, asked_in_use) = (Mutex::default(), Mutex::new(state), OnceLock::new());
            Ok(Self { shared: Arc::new(Shared { options, layout, disk, state, asked_in_use }) })
        })
        .await
    }

    /// The bound on one blob, in bytes.
    #[must_use]
    pub fn artifact_bytes_max(&self) -> u64 {
        self.shared.options.artifact_bytes_max
    }

    /// How long an unfinished upload may rest before it is dropped.
    #[must_use]
    pub fn upload_life(&self) -> Duration {
        self.shared.options.upload_life
    }

    /// Whether the content is here, of whichever repository.
    #[must_use]
    pub fn has(&self, digest: &Digest) -> bool {
        self.shared.state().blobs.contains_key(digest)
    }

    /// Opens content, pins it and counts it as used. Repositories are not asked: this is for the node's own use, and
    /// [`ContentStore::repository_blob`] for a stranger's.
    ///
    /// # Errors
    /// When it is not here.
    pub async fn blob(&self, digest: &Digest) -> Result<Blob, Error> {
        let (store, digest) = (self.clone(), digest.clone());
        blocking(move || store.shared.open_blob(&digest)).await
    }

    /// Says which images live pods name; they stay until the next call says otherwise. Whoever watches pods calls this
    /// whenever the answer changes.
    pub fn set_in_use(&self, references: impl IntoIterator<Item = Reference>) {
        self.shared.state().in_use = references.into_iter().collect();
    }

    /// Has `names` asked which images live pods name whenever space is short, beside what
    /// [`ContentStore::set_in_use`] was told; for who knows all pods and would have to tell of each change. It is asked
    /// on threads that may block. A second call changes nothing.
    pub fn ask_in_use(&self, names: impl Fn() -> BTreeSet<Reference> + Send + Sync + 'static) {
        self.shared.asked_in_use.get_or_init(|| AskInUse(Box::new(names)));
    }

    /// What is here now.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        let mut metrics = self.shared.state().metrics();
        metrics.bytes_max = self.shared.options.bytes_max;
        metrics
    }

    /// Drops unfinished uploads when their time has come, until asked to end.
    pub async fn run(self, shutdown: Shutdown) {
        while shutdown.or(tokio::time::sleep(SWEEP_EVERY)).await.is_some() {
            self.drop_expired_uploads().await;
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // The state is changed in steps that cannot panic halfway, so a poisoned one is still whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn disk(&self) -> MutexGuard<'_, ()> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pin(self: &Arc<Self>, state: &mut State, digests: Vec<Digest>) -> Pin {
        for digest in &digests {
            state.pin(digest);
        }
        Pin { shared: Arc::clone(self), digests }
    }

    /// Opens, pins and touches a blob.
    fn open_blob(self: &Arc<Self>, digest: &Digest) -> Result<Blob, Error> {
        let now = base_now();
        let path = self.layout.blob(digest);
        let (size_bytes, is_stale, pin) = {
            let mut state = self.state();
            let blob = state.blobs.get_mut(digest).ok_or_else(|| Error::UnknownBlob(digest.clone()))?;
            let is_stale = now.duration_since(blob.used).is_ok_and(|age| age > TOUCH_EVERY);
            blob.used = now;
            (blob.size_bytes, is_stale, self.pin(&mut state, vec![digest.clone()]))
        };
        if is_stale {
            layout::touch(&path, now);
        }
        Ok(Blob { digest: digest.clone(), size_bytes, path, pin })
    }

    /// Makes room for `more` bytes and counts them as incoming.
    fn reserve(&self, more: u64) -> Result<(), Error> {
        let max = self.options.bytes_max;
        {
            let mut state = self.state();
            if state.used_bytes().saturating_add(more) <= max {
                state.incoming_bytes += more;
                return Ok(());
            }
        }
        let asked = self.asked_in_use.get().map(|AskInUse(names)| names()).unwrap_or_default();
        let _disk = self.disk();
        let removal = {
            let mut state = self.state();
            let used = state.used_bytes();
            let excess = used.saturating_add(more).saturating_sub(max);
            let now = base_now();
            let removal = removal::plan(&state, &asked, excess.saturating_add(max / ROOM_PARTS), now)
                .or_else(|| removal::plan(&state, &asked, excess, now))
                .ok_or(Error::Full { used, max })?;
            state.apply(&removal);
            state.incoming_bytes += more;
            removal
        };
        self.layout.remove(&removal);
        Ok(())
    }

    fn release(&self, bytes: u64) {
        let mut state = self.state();
        state.incoming_bytes = state.incoming_bytes.saturating_sub(bytes);
    }
}

impl Blob {
    /// Where the content lies; it stays there while this blob is held.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The bytes of `range`, which must lie within the content. The blob stays pinned until the stream ends.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub async fn stream(
        self,
        range: Range<u64>,
    ) -> Result<impl Stream<Item = std::io::Result<Bytes>> + Send + 'static, Error> {
        debug_assert!(range.start <= range.end && range.end <= self.size_bytes, "{range:?} of {}", self.size_bytes);
        let at = |verb| io_error(verb, &self.path);
        let mut file = tokio::fs::File::open(&self.path).await.map_err(at("open"))?;
        file.seek(SeekFrom::Start(range.start)).await.map_err(at("read"))?;
        let pin = self.pin;
        let chunks = ReaderStream::with_capacity(file.take(range.end - range.start), READ_BYTES);
        Ok(futures::StreamExt::inspect(chunks, move |_| {
            // The pin lives in this closure, so as long as the stream.
            let _held = &pin;
        }))
    }

    /// The whole content in memory; for manifests and configs, whose bound is `bytes_max`.
    ///
    /// # Errors
    /// When it is longer, or cannot be read.
    pub async fn read(self, bytes_max: u64) -> Result<Bytes, Error> {
        if self.size_bytes > bytes_max {
            return Err(Error::TooLarge { max: bytes_max });
        }
        tokio::fs::read(&self.path).await.map(Bytes::from).map_err(io_error("read", &self.path))
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        for digest in &self.digests {
            state.unpin(digest);
        }
    }
}

/// Runs work on files where it may block.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    base::task::blocking(work).await.unwrap_or(Err(Error::Closing))
}

/// Names an IO error's file, and tells a full disk apart.
fn io_error(verb: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    move |source| match source.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
            Error::DiskFull { path: path.to_owned() }
        }
        _ => Error::Io { verb, path: path.to_owned(), source },
    }
}

/// The date, as files carry it.
fn base_now() -> SystemTime {
    SystemTime::from(base::clock::now())
}

#[cfg(test)]
mod tests;
