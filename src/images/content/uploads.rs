//! Unfinished uploads: sessions of a registry client that sends a blob in pieces and may come back later.
//!
//! ```text
//! start ──► resting ──append──► writing ──the chunk's end, or the client went away──► resting
//!              │                                                                        │
//!              ├──finish, digest right──► a blob of the repository                      ├──cancel, expiry──► gone
//!              └──finish, digest wrong──► gone                                          ▼
//! ```
//!
//! A session belongs to one repository and has one writer at a time. Where it stands is what was written, so a client
//! that was cut off asks, and goes on from there; also after a restart of the server, when the hash is made anew from
//! the file.

use std::collections::HashMap;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::Read as _;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use tempfile::TempPath;
use tokio::sync::{Mutex, OwnedMutexGuard};
use uuid::Uuid;

use super::ingest::{Batch, Sink};
use super::{ContentStore, Error, Shared, Stored, base_now, blocking, io_error};
use crate::digest::{Algorithm, Digest, Hasher};
use crate::reference::RepositoryName;

/// Unfinished uploads of one namespace: clients push a handful of layers at once, and what one tenant leaves lying
/// around must not fill the store. One more is refused.
const PER_NAMESPACE_MAX: usize = 16;

/// Unfinished uploads in all; each holds an open file from its first chunk on. One more is refused.
const UPLOADS_MAX: usize = 256;

/// The bytes of an upload, and whose it is.
const CONTENT: &str = "content";
const REPOSITORY: &str = "repository";

/// Names a session. It is a random UUID, but rights are checked all the same.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct UploadId(Uuid);

/// What the index knows of a session.
#[derive(Debug)]
pub(super) struct Upload {
    repository: RepositoryName,
    /// Where it stands; what the writer has not written yet does not count.
    pub(super) offset: u64,
    /// When it last moved.
    pub(super) touched: SystemTime,
    /// Held by the one who writes. `None` inside until the first one has opened the file.
    writing: Arc<Mutex<Option<Sink>>>,
}

/// The right to write to a session. When it is dropped, what was written stays.
#[derive(Debug)]
pub struct Append {
    shared: Arc<Shared>,
    id: UploadId,
    /// `None` while a thread writes, and after a failed write.
    writing: Option<OwnedMutexGuard<Option<Sink>>>,
    batch: Batch,
}

impl ContentStore {
    /// Begins a session.
    ///
    /// # Errors
    /// When there are too many, or the disk fails.
    pub async fn start_upload(&self, repository: &RepositoryName) -> Result<UploadId, Error> {
        let (shared, repository) = (Arc::clone(&self.shared), repository.clone());
        blocking(move || {
            let id = UploadId(Uuid::new_v4());
            let folder = shared.layout.upload(id);
            {
                let mut state = shared.state();
                check_room(&state.uploads, &repository)?;
                state.uploads.insert(id, Upload::new(repository.clone(), 0, base_now()));
            }
            let made = shared.layout.make_folder(&folder).and_then(|()| {
                let path = folder.join(CONTENT);
                File::create_new(&path).map_err(io_error("create", &path))?;
                shared.layout.write(&folder.join(REPOSITORY), repository.as_str().as_bytes())
            });
            if made.is_err() {
                shared.forget_upload(id);
            }
            made.map(|()| id)
        })
        .await
    }

    /// Where a session stands, in bytes.
    ///
    /// # Errors
    /// When there is no such session of that repository.
    pub fn upload_offset(&self, repository: &RepositoryName, id: UploadId) -> Result<u64, Error> {
        let state = self.shared.state();
        let upload = state.uploads.get(&id).filter(|upload| upload.repository == *repository);
        upload.map(|upload| upload.offset).ok_or(Error::UnknownUpload)
    }

    /// Takes the right to write to a session, going on at `from` where the client says so.
    ///
    /// # Errors
    /// When there is no such session, somebody else writes to it, or it stands elsewhere than at `from`.
    pub async fn append(&self, repository: &RepositoryName, id: UploadId, from: Option<u64>) -> Result<Append, Error> {
        let expected = self.upload_offset(repository, id)?;
        match from {
            Some(found) if found != expected => return Err(Error::Offset { expected, found }),
            _ => {}
        }
        let writing = self.shared.take_upload(id)?;
        let writing = open_sink(Arc::clone(&self.shared), id, writing).await?;
        Ok(Append { shared: Arc::clone(&self.shared), id, writing: Some(writing), batch: Batch::default() })
    }

    /// Ends a session: its content becomes a blob of the repository.
    ///
    /// # Errors
    /// When there is no such session, somebody writes to it, the content is not `digest` (the session is gone then), or
    /// the disk fails.
    pub async fn finish_upload(
        &self,
        repository: &RepositoryName,
        id: UploadId,
        digest: &Digest,
    ) -> Result<Stored, Error> {
        self.upload_offset(repository, id)?;
        let shared = Arc::clone(&self.shared);
        let writing = open_sink(Arc::clone(&shared), id, shared.take_upload(id)?).await?;
        let (repository, digest) = (repository.clone(), digest.clone());
        blocking(move || {
            let mut writing = writing;
            let sink = writing.take().ok_or(Error::UnknownUpload)?;
            let stored = shared.keep_upload(id, sink, &digest);
            shared.forget_upload(id);
            let stored = stored?;
            shared.link_blob(&repository, &digest)?;
            Ok(stored)
        })
        .await
    }

    /// Ends a session and drops what came.
    ///
    /// # Errors
    /// When there is no such session, or somebody writes to it.
    pub async fn cancel_upload(&self, repository: &RepositoryName, id: UploadId) -> Result<(), Error> {
        let offset = self.upload_offset(repository, id)?;
        let shared = Arc::clone(&self.shared);
        let mut writing = shared.take_upload(id)?;
        blocking(move || {
            if writing.take().is_none() {
                // Nobody wrote since the start, so no sink gives back what was counted then.
                shared.release(offset);
            }
            shared.forget_upload(id);
            Ok(())
        })
        .await
    }

    /// Drops the sessions that have not moved for their whole life.
    pub async fn drop_expired_uploads(&self) {
        let since = base_now() - self.shared.options.upload_life;
        let expired: Vec<(RepositoryName, UploadId)> = {
            let state = self.shared.state();
            let expired = state.uploads.iter().filter(|(_, upload)| upload.touched < since);
            expired.map(|(id, upload)| (upload.repository.clone(), *id)).collect()
        };
        self.cancel_uploads(expired, "it expired").await;
    }

    /// Drops a namespace's sessions, but those that somebody writes to.
    pub(super) async fn cancel_uploads_of(&self, namespace: &str) {
        let own: Vec<(RepositoryName, UploadId)> = {
            let state = self.shared.state();
            let own = state.uploads.iter().filter(|(_, upload)| upload.repository.namespace() == Some(namespace));
            own.map(|(id, upload)| (upload.repository.clone(), *id)).collect()
        };
        self.cancel_uploads(own, "its namespace is gone").await;
    }

    async fn cancel_uploads(&self, uploads: Vec<(RepositoryName, UploadId)>, why: &'static str) {
        for (repository, id) in uploads {
            match self.cancel_upload(&repository, id).await {
                Ok(()) => tracing::info!(%repository, upload = %id, why, "an unfinished upload was dropped"),
                // Somebody came back to it this moment, or ended it.
                Err(Error::UploadBusy | Error::UnknownUpload) => {}
                Err(error) => tracing::warn!(%repository, upload = %id, %error, "cannot drop an unfinished upload"),
            }
        }
    }
}

impl Append {
    /// Writes more; it may wait in memory until there is enough to write.
    ///
    /// # Errors
    /// When it exceeds a bound or cannot be written; the session then stands behind what was written before.
    pub async fn write(&mut self, chunk: Bytes) -> Result<(), Error> {
        if self.batch.push(chunk) { self.flush().await } else { Ok(()) }
    }

    /// Writes what waits, and says where the session stands.
    ///
    /// # Errors
    /// As [`Append::write`].
    pub async fn finish(mut self) -> Result<u64, Error> {
        self.flush().await?;
        let writing = self.writing.as_ref().and_then(|writing| writing.as_ref());
        Ok(writing.map_or(0, |sink| sink.written))
    }

    async fn flush(&mut self) -> Result<(), Error> {
        let mut writing = self.writing.take().ok_or(Error::UploadBusy)?;
        let batch = std::mem::take(&mut self.batch);
        let (shared, id) = (Arc::clone(&self.shared), self.id);
        // The right to write goes along into the thread: if this future is dropped, the next writer waits for the thread.
        let (writing, written) = blocking(move || {
            let sink = writing.as_mut().ok_or(Error::UnknownUpload)?;
            let written = sink.write_batch(&batch);
            let offset = sink.written;
            if let Some(upload) = shared.state().uploads.get_mut(&id) {
                upload.offset = offset;
                upload.touched = base_now();
            }
            Ok((writing, written))
        })
        .await?;
        self.writing = Some(writing);
        written
    }
}

impl Shared {
    fn take_upload(&self, id: UploadId) -> Result<OwnedMutexGuard<Option<Sink>>, Error> {
        let writing = self.state().uploads.get(&id).map(|upload| Arc::clone(&upload.writing));
        writing.ok_or(Error::UnknownUpload)?.try_lock_owned().map_err(|_| Error::UploadBusy)
    }

    /// Makes a session's content a blob, if it is what `digest` says.
    fn keep_upload(self: &Arc<Self>, id: UploadId, mut sink: Sink, digest: &Digest) -> Result<Stored, Error> {
        let path = self.layout.upload(id).join(CONTENT);
        if sink.hasher.algorithm() != digest.algorithm() {
            sink.hasher = hash_of(&path, digest.algorithm(), sink.written)?;
        }
        sink.sync()?;
        sink.verify(Some(digest))?;
        let temporary = TempPath::try_from_path(&path).map_err(io_error("read", &path))?;
        self.keep(sink, temporary)
    }

    fn forget_upload(&self, id: UploadId) {
        let folder = self.layout.upload(id);
        let _disk = self.disk();
        if let Err(error) = fs::remove_dir_all(&folder) {
            tracing::warn!(path = %folder.display(), %error, "cannot remove an upload's folder");
        }
        self.state().uploads.remove(&id);
    }
}

impl Upload {
    fn new(repository: RepositoryName, offset: u64, touched: SystemTime) -> Self {
        Self { repository, offset, touched, writing: Arc::default() }
    }

    /// Finds a session again after a restart; `None` when its folder is not whole.
    pub(super) fn reopen(folder: &Path) -> Option<Self> {
        let repository = RepositoryName::parse(&fs::read_to_string(folder.join(REPOSITORY)).ok()?).ok()?;
        let facts = fs::metadata(folder.join(CONTENT)).ok()?;
        Some(Self::new(repository, facts.len(), facts.modified().ok()?))
    }
}

fn check_room(uploads: &HashMap<UploadId, Upload>, repository: &RepositoryName) -> Result<(), Error> {
    if uploads.len() >= UPLOADS_MAX {
        return Err(Error::TooMany { what: "unfinished uploads", max: UPLOADS_MAX });
    }
    let namespace = repository.namespace();
    let of_namespace = uploads.values().filter(|upload| upload.repository.namespace() == namespace).count();
    if of_namespace >= PER_NAMESPACE_MAX {
        return Err(Error::TooMany { what: "unfinished uploads in this namespace", max: PER_NAMESPACE_MAX });
    }
    Ok(())
}

/// Opens the session's file if this is its first writer since the start, and hashes what is there.
async fn open_sink(
    shared: Arc<Shared>,
    id: UploadId,
    mut writing: OwnedMutexGuard<Option<Sink>>,
) -> Result<OwnedMutexGuard<Option<Sink>>, Error> {
    if writing.is_some() {
        return Ok(writing);
    }
    blocking(move || {
        let path = shared.layout.upload(id).join(CONTENT);
        let file = OpenOptions::new().write(true).open(&path).map_err(io_error("open", &path))?;
        let offset = shared.state().uploads.get(&id).map(|upload| upload.offset).ok_or(Error::UnknownUpload)?;
        let hasher = hash_of(&path, Algorithm::Sha256, offset)?;
        let max = shared.options.artifact_bytes_max;
        // The bytes that are there were counted as incoming when the store was opened; the sink counts them from now on.
        *writing = Some(Sink::new(Arc::clone(&shared), file, hasher, offset, max));
        Ok(writing)
    })
    .await
}

/// The hash of a file's first `length` bytes.
fn hash_of(path: &Path, algorithm: Algorithm, length: u64) -> Result<Hasher, Error> {
    let mut hasher = Hasher::new(algorithm);
    let mut file = File::open(path).map_err(io_error("read", path))?.take(length);
    let mut chunk = vec![0; 64 << 10];
    loop {
        match file.read(&mut chunk).map_err(io_error("read", path))? {
            0 => return Ok(hasher),
            read => hasher.update(chunk.get(..read).unwrap_or_default()),
        }
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for UploadId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::try_parse(text).map(Self)
    }
}
