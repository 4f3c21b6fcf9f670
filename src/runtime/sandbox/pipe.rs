//! A bounded pipe of bytes between a guest and the host's tasks.
//!
//! The guest's standard output goes through one to whoever writes the log, and a client's input through another to
//! the guest. When it is full the writer waits; nobody else does, and no file is touched on a guest's thread.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use tokio::sync::Notify;

/// Where a guest's output goes.
///
/// Both calls come on guest threads and must not block. [`Pipe`](Writer) is the implementation for logs.
pub trait OutputSink: Send + Sync + 'static {
    /// Takes a first part of `bytes` and says how long it was: 0 when there is no room. A sink that nobody reads
    /// any more takes everything and drops it.
    fn write(&self, bytes: &[u8]) -> usize;

    /// Completes once [`OutputSink::write`] may take something.
    fn room(&self) -> BoxFuture<'_, ()>;
}

/// A sink that drops everything, for what nobody reads.
#[derive(Clone, Copy, Debug)]
pub struct Discard;

/// The end that is written to; clones write to the same pipe, which ends when the last is dropped.
#[derive(Clone, Debug)]
pub struct Writer {
    shared: Arc<Shared>,
    _end: Arc<End>,
}

/// The end that is read from. Dropping it lets writers go on into nothing.
#[derive(Debug)]
pub struct Reader {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Told when there is something to read, or the end.
    filled: Notify,
    /// Told when there is room, or nobody reads.
    drained: Notify,
    capacity: usize,
}

#[derive(Debug, Default)]
struct State {
    chunks: VecDeque<Bytes>,
    /// Bytes in `chunks`; at most the capacity.
    bytes: usize,
    /// No writer is left.
    finished: bool,
    /// No reader is left.
    abandoned: bool,
}

/// Finishes the pipe when the last writer goes.
#[derive(Debug)]
struct End {
    shared: Arc<Shared>,
}

/// Smaller writes are gathered into chunks of about this many bytes, so that a byte does not cost an allocation.
const CHUNK_BYTES: usize = 4096;

/// A pipe that holds at most `capacity` bytes (at least one).
#[must_use]
pub fn pipe(capacity: usize) -> (Writer, Reader) {
    let shared = Arc::new(Shared {
        state: Mutex::default(),
        filled: Notify::new(),
        drained: Notify::new(),
        capacity: capacity.max(1),
    });
    let end = Arc::new(End { shared: Arc::clone(&shared) });
    (Writer { shared: Arc::clone(&shared), _end: end }, Reader { shared })
}

impl Writer {
    /// Writes all of `bytes`, waiting for room; safe to drop, after which a part may have been written.
    pub async fn write_all(&self, mut bytes: &[u8]) {
        loop {
            let written = self.write(bytes);
            match bytes.get(written..) {
                Some([]) | None => return,
                Some(rest) => bytes = rest,
            }
            self.shared.room().await;
        }
    }

    /// Whether anybody still reads.
    #[must_use]
    pub fn is_read(&self) -> bool {
        !self.shared.lock().abandoned
    }
}

impl OutputSink for Writer {
    fn write(&self, bytes: &[u8]) -> usize {
        let taken = self.shared.lock().push(bytes, self.shared.capacity);
        if taken > 0 {
            self.shared.filled.notify_waiters();
        }
        taken
    }

    fn room(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.shared.room())
    }
}

impl OutputSink for Discard {
    fn write(&self, bytes: &[u8]) -> usize {
        bytes.len()
    }

    fn room(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

impl Reader {
    /// The next bytes, as they were written or gathered; `None` at the end. Safe to drop while waiting.
    pub async fn next(&self) -> Option<Bytes> {
        loop {
            self.ready().await;
            match self.try_next(usize::MAX) {
                Some(chunk) if chunk.is_empty() => {}
                other => return other,
            }
        }
    }

    /// What is there, at most `max` bytes: empty when nothing is there yet, `None` at the end.
    pub(crate) fn try_next(&self, max: usize) -> Option<Bytes> {
        let mut state = self.shared.lock();
        let chunk = state.pop(max);
        drop(state);
        if chunk.as_ref().is_some_and(|chunk| !chunk.is_empty()) {
            self.shared.drained.notify_waiters();
        }
        chunk
    }

    /// Completes once there is something to read, or the end.
    pub(crate) async fn ready(&self) {
        self.shared.until(&self.shared.filled, |state| state.bytes > 0 || state.finished).await;
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.abandoned = true;
        state.chunks.clear();
        state.bytes = 0;
        drop(state);
        self.shared.drained.notify_waiters();
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.shared.lock().finished = true;
        self.shared.filled.notify_waiters();
    }
}

impl Shared {
    async fn room(&self) {
        self.until(&self.drained, |state| state.abandoned || state.bytes < self.capacity).await;
    }

    /// Waits until `holds`, of which `told` tells that it may.
    async fn until(&self, told: &Notify, holds: impl Fn(&State) -> bool) {
        loop {
            // Enrolled before looking, so that a change in between is heard.
            let mut heard = std::pin::pin!(told.notified());
            heard.as_mut().enable();
            if holds(&self.lock()) {
                return;
            }
            heard.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn push(&mut self, bytes: &[u8], capacity: usize) -> usize {
        if self.abandoned {
            return bytes.len();
        }
        let taken = bytes.len().min(capacity - self.bytes);
        let Some(bytes) = bytes.get(..taken).filter(|bytes| !bytes.is_empty()) else { return 0 };
        self.bytes += taken;
        // A sole owner's chunk can be lengthened in place.
        match self.chunks.pop_back().map(Bytes::try_into_mut) {
            Some(Ok(mut last)) if last.len() + taken <= CHUNK_BYTES => {
                last.extend_from_slice(bytes);
                self.chunks.push_back(last.freeze());
                return taken;
            }
            Some(Ok(last)) => self.chunks.push_back(last.freeze()),
            Some(Err(last)) => self.chunks.push_back(last),
            None => {}
        }
        self.chunks.push_back(BytesMut::from(bytes).freeze());
        taken
    }

    fn pop(&mut self, max: usize) -> Option<Bytes> {
        let Some(mut chunk) = self.chunks.pop_front() else {
            return if self.finished { None } else { Some(Bytes::new()) };
        };
        if chunk.len() > max {
            self.chunks.push_front(chunk.split_off(max));
        }
        self.bytes -= chunk.len();
        Some(chunk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_written_is_read_and_then_comes_the_end() {
        let (writer, reader) = pipe(8);
        assert_eq!(writer.write(b"hello"), 5);
        assert_eq!(writer.write(b" world"), 3, "a full pipe takes what fits");
        assert_eq!(reader.try_next(2).unwrap(), "he");
        assert_eq!(writer.write(b"rld"), 2);
        drop(writer);
        let mut text = Vec::new();
        while let Some(chunk) = reader.next().await {
            text.extend_from_slice(&chunk);
        }
        assert_eq!(text, b"llo worl");
    }

    #[tokio::test]
    async fn a_writer_waits_for_room_but_not_for_a_reader_that_is_gone() {
        let (writer, reader) = pipe(2);
        let writing = writer.write_all(b"abcd");
        let reading = async {
            let first = reader.next().await.unwrap();
            drop(reader);
            first
        };
        let ((), first) = tokio::join!(writing, reading);
        assert_eq!(first, "ab");
        assert!(!writer.is_read());
        assert_eq!(writer.write(&[0; 100]), 100);
    }
}
