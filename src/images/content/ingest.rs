//! Bytes on their way in: hashed, counted and written to a temporary file, then named by their digest.
//!
//! A [`Sink`] is moved into the blocking thread that writes and comes back from it. So a future that is dropped in the
//! middle of a write (a client went away) can never leave two writers at one file: what is on disk is what was hashed.

use std::fs::File;
use std::io::{Read, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use tempfile::TempPath;

use super::{ContentStore, Error, Pin, Shared, base_now, blocking, io_error};
use crate::digest::{Algorithm, Digest, Hasher};

/// How many bytes are gathered before a thread is asked to write them.
const BATCH_BYTES: usize = 256 << 10;

/// How many bytes are moved at once between files.
const COPY_BYTES: usize = 64 << 10;

/// Content that is being written. Dropping it removes what was written.
#[derive(Debug)]
pub struct Ingest {
    /// `None` while a thread writes, and after a failed write.
    sink: Option<Sink>,
    temporary: TempPath,
    batch: Batch,
}

/// Content that is here now, and stays while this is held.
#[derive(Debug)]
pub struct Stored {
    /// Its name.
    pub digest: Digest,
    /// Its length.
    pub size_bytes: u64,
    /// Where it lies.
    pub path: PathBuf,
    pub(crate) pin: Pin,
}

/// Verified content in a temporary file. It counts against the bound until it is dropped, which removes it.
#[derive(Debug)]
pub struct Scratch {
    temporary: TempPath,
    sink: Sink,
}

/// Chunks that wait to be written together.
#[derive(Debug, Default)]
pub(super) struct Batch {
    chunks: Vec<Bytes>,
    bytes: usize,
}

/// The writing end: a file, its hash so far, and the space taken for it.
#[derive(Debug)]
pub(super) struct Sink {
    shared: Arc<Shared>,
    pub(super) file: File,
    /// Of everything before `written`.
    pub(super) hasher: Hasher,
    pub(super) written: u64,
    bytes_max: u64,
}

impl ContentStore {
    /// Begins to take content in, at most `bytes_max` bytes of it.
    ///
    /// # Errors
    /// When no file can be made.
    pub async fn ingest(&self, algorithm: Algorithm, bytes_max: u64) -> Result<Ingest, Error> {
        let shared = Arc::clone(&self.shared);
        blocking(move || {
            let (file, temporary) = shared.layout.temporary_file()?;
            let sink = Sink::new(Arc::clone(&shared), file, Hasher::new(algorithm), 0, bytes_max);
            Ok(Ingest { sink: Some(sink), temporary, batch: Batch::default() })
        })
        .await
    }

    /// Content that is here already, pinned and counted as used; `None` if it is not.
    #[must_use]
    pub fn stored(&self, digest: &Digest) -> Option<Stored> {
        let mut state = self.shared.state();
        let blob = state.blobs.get_mut(digest)?;
        blob.used = base_now();
        let size_bytes = blob.size_bytes;
        let pin = self.shared.pin(&mut state, vec![digest.clone()]);
        Some(Stored { digest: digest.clone(), size_bytes, path: self.shared.layout.blob(digest), pin })
    }

    /// Takes in what is in memory already.
    ///
    /// # Errors
    /// As writing and committing.
    pub async fn put(&self, content: Bytes) -> Result<Stored, Error> {
        let mut ingest = self.ingest(Algorithm::Sha256, self.artifact_bytes_max()).await?;
        ingest.write(content).await?;
        ingest.commit(None).await
    }

    /// Takes in what `content` reads, at most `bytes_max` bytes; for blocking threads.
    pub(crate) fn put_blocking(&self, content: &mut dyn Read, bytes_max: u64) -> Result<Stored, Error> {
        let (file, temporary) = self.shared.layout.temporary_file()?;
        let hasher = Hasher::new(Algorithm::Sha256);
        let mut sink = Sink::new(Arc::clone(&self.shared), file, hasher, 0, bytes_max);
        let mut chunk = vec![0; COPY_BYTES];
        loop {
            let length = content.read(&mut chunk).map_err(io_error("unpack into", &temporary))?;
            match chunk.get(..length) {
                Some(bytes) if length > 0 => sink.write(bytes)?,
                _ => break,
            }
        }
        sink.sync()?;
        self.shared.keep(sink, temporary)
    }
}

impl Ingest {
    /// Takes more content in. It may wait in memory until there is enough to write.
    ///
    /// # Errors
    /// When it exceeds a bound or cannot be written; the ingest is of no more use then.
    pub async fn write(&mut self, chunk: Bytes) -> Result<(), Error> {
        if self.batch.push(chunk) { self.flush().await } else { Ok(()) }
    }

    /// How many bytes came so far.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.sink.as_ref().map_or(0, |sink| sink.written) + self.batch.bytes as u64
    }

    /// Verifies the content, if there is something to verify it by, and gives it its name.
    ///
    /// # Errors
    /// When it is not what was expected, or the disk fails. Nothing is kept then.
    pub async fn commit(self, expected: Option<&Digest>) -> Result<Stored, Error> {
        self.into_scratch(expected).await?.keep().await
    }

    /// Verifies the content and hands it out as a file that the store does not know yet, to look into before it is kept.
    ///
    /// # Errors
    /// When it is not what was expected, or the disk fails.
    pub async fn into_scratch(self, expected: Option<&Digest>) -> Result<Scratch, Error> {
        let (sink, temporary) = self.close().await?;
        sink.verify(expected)?;
        Ok(Scratch { temporary, sink })
    }

    async fn flush(&mut self) -> Result<(), Error> {
        let mut sink = self.sink.take().ok_or(Error::Closing)?;
        let batch = std::mem::take(&mut self.batch);
        let sink = blocking(move || {
            sink.write_batch(&batch)?;
            Ok(sink)
        });
        self.sink = Some(sink.await?);
        Ok(())
    }

    async fn close(mut self) -> Result<(Sink, TempPath), Error> {
        self.flush().await?;
        let sink = self.sink.take().ok_or(Error::Closing)?;
        let sink = blocking(move || {
            sink.sync()?;
            Ok(sink)
        });
        Ok((sink.await?, self.temporary))
    }
}

impl Scratch {
    /// Where the content lies for now.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.temporary
    }

    /// The content's digest.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.sink.digest()
    }

    /// Gives the content its name in the store.
    ///
    /// # Errors
    /// When the disk fails.
    pub async fn keep(self) -> Result<Stored, Error> {
        let Self { temporary, sink } = self;
        let shared = Arc::clone(&sink.shared);
        blocking(move || shared.keep(sink, temporary)).await
    }
}

impl Batch {
    /// Adds a chunk; whether it is time to write.
    pub(super) fn push(&mut self, chunk: Bytes) -> bool {
        self.bytes += chunk.len();
        self.chunks.push(chunk);
        self.bytes >= BATCH_BYTES
    }
}

impl Sink {
    pub(super) fn new(shared: Arc<Shared>, file: File, hasher: Hasher, written: u64, bytes_max: u64) -> Self {
        Self { shared, file, hasher, written, bytes_max }
    }

    pub(super) fn write_batch(&mut self, batch: &Batch) -> Result<(), Error> {
        batch.chunks.iter().try_for_each(|chunk| self.write(chunk))
    }

    fn write(&mut self, chunk: &[u8]) -> Result<(), Error> {
        let length = chunk.len() as u64;
        if self.written + length > self.bytes_max {
            return Err(Error::TooLarge { max: self.bytes_max });
        }
        self.shared.reserve(length)?;
        let placed = self.file.seek(SeekFrom::Start(self.written)).and_then(|_| self.file.write_all(chunk));
        if let Err(error) = placed {
            // What was half written lies beyond `written`: the next write goes over it, and sync cuts it off.
            self.shared.release(length);
            return Err(io_error("write a file of", self.shared.layout.root())(error));
        }
        self.hasher.update(chunk);
        self.written += length;
        Ok(())
    }

    pub(super) fn sync(&self) -> Result<(), Error> {
        let synced = self.file.set_len(self.written).and_then(|()| self.file.sync_all());
        synced.map_err(io_error("write a file of", self.shared.layout.root()))
    }

    fn digest(&self) -> Digest {
        self.hasher.clone().finish()
    }

    pub(super) fn verify(&self, expected: Option<&Digest>) -> Result<(), Error> {
        let found = self.digest();
        match expected {
            Some(expected) if *expected != found => Err(Error::DigestMismatch { expected: expected.clone(), found }),
            _ => Ok(()),
        }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.shared.release(self.written);
    }
}

impl Shared {
    /// Gives a synced temporary file its digest as name.
    pub(super) fn keep(self: &Arc<Self>, sink: Sink, temporary: TempPath) -> Result<Stored, Error> {
        let (digest, size_bytes) = (sink.digest(), sink.written);
        let path = self.layout.blob(&digest);
        let pin = {
            let _disk = self.disk();
            if !self.state().blobs.contains_key(&digest) {
                self.layout.place(temporary, &path)?;
            }
            // What was incoming becomes a blob in one step, so that it is never counted twice.
            drop(sink);
            let mut state = self.state();
            state.add_blob(digest.clone(), size_bytes, base_now());
            self.pin(&mut state, vec![digest.clone()])
        };
        Ok(Stored { digest, size_bytes, path, pin })
    }
}
