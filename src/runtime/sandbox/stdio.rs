//! A guest's standard streams, between wasmtime's traits and our pipes.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::ReusableBoxFuture;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal, StdinStream, StdoutStream};
use wasmtime_wasi::p2::{InputStream, OutputStream, Pollable, StreamError, StreamResult};

use super::pipe::{OutputSink, Reader};

/// Bytes that a guest may hand over at once.
const PERMIT_BYTES: usize = 16 << 10;

/// Bytes that wait here for room in the sink. A guest that asks for permits on several handles and then uses them all
/// traps beyond this.
const WAITING_BYTES_MAX: usize = 4 * PERMIT_BYTES;

/// How long a sandbox's end waits until the sink has taken the last output. A log that stands still for so long loses
/// the last lines rather than keeping the pod from ending.
const DRAIN_DEADLINE: Duration = Duration::from_secs(5);

/// Standard output or error of one store, over a sink that others may share.
#[derive(Clone)]
pub(crate) struct Output {
    sink: Arc<dyn OutputSink>,
    /// What the guest has written and the sink had no room for.
    waiting: Arc<Mutex<BytesMut>>,
}

/// Standard input of one sandbox.
#[derive(Clone)]
pub(crate) struct Input {
    reader: Option<Arc<Reader>>,
}

impl Output {
    pub(crate) fn new(sink: Arc<dyn OutputSink>) -> Self {
        Self { sink, waiting: Arc::default() }
    }

    /// Waits until the sink has everything, at most [`DRAIN_DEADLINE`].
    pub(crate) async fn drain(&self) {
        if self.try_flush() {
            return;
        }
        if tokio::time::timeout(DRAIN_DEADLINE, self.flushed()).await.is_err() {
            let lost_bytes = self.lock().len();
            tracing::warn!(lost_bytes, "the last output of a sandbox was not taken in time");
        }
    }

    /// Writes text of our own, behind what the guest wrote.
    pub(crate) async fn tell(&self, text: &str) {
        self.lock().extend_from_slice(text.as_bytes());
        self.drain().await;
    }

    /// Takes all of `bytes`; what the sink has no room for waits here.
    fn take(&self, bytes: &[u8]) -> StreamResult<()> {
        let mut waiting = self.lock();
        let taken = if waiting.is_empty() { self.sink.write(bytes).min(bytes.len()) } else { 0 };
        let rest = bytes.get(taken..).unwrap_or_default();
        if waiting.len() + rest.len() > WAITING_BYTES_MAX {
            return Err(StreamError::trap("more output than was permitted"));
        }
        waiting.extend_from_slice(rest);
        Ok(())
    }

    /// Hands what waits to the sink and says whether that was all.
    fn try_flush(&self) -> bool {
        let mut waiting = self.lock();
        if !waiting.is_empty() {
            let taken = self.sink.write(&waiting).min(waiting.len());
            waiting.advance(taken);
        }
        waiting.is_empty()
    }

    async fn flushed(&self) {
        while !self.try_flush() {
            self.sink.room().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, BytesMut> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.take(&bytes)
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(if self.try_flush() { PERMIT_BYTES } else { 0 })
    }
}

#[async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {
        self.flushed().await;
    }
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(Waiting::new(self.clone()))
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl Input {
    /// Input from a pipe, or one that is at its end from the start.
    pub(crate) fn new(reader: Option<Reader>) -> Self {
        Self { reader: reader.map(Arc::new) }
    }
}

#[async_trait]
impl InputStream for Input {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        let chunk = self.reader.as_ref().and_then(|reader| reader.try_next(size));
        chunk.ok_or(StreamError::Closed)
    }
}

#[async_trait]
impl Pollable for Input {
    async fn ready(&mut self) {
        if let Some(reader) = &self.reader {
            reader.ready().await;
        }
    }
}

impl IsTerminal for Input {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdinStream for Input {
    fn async_stream(&self) -> Box<dyn AsyncRead + Send + Sync> {
        Box::new(Waiting::new(self.clone()))
    }

    fn p2_stream(&self) -> Box<dyn InputStream> {
        Box::new(self.clone())
    }
}

/// A stream as WASI 0.3 wants it, with what it waits for.
struct Waiting<S> {
    stream: S,
    /// Completes when the stream may be ready; `None` while nobody waits.
    turn: Option<ReusableBoxFuture<'static, ()>>,
}

impl<S: Clone + Pollable> Waiting<S> {
    fn new(stream: S) -> Self {
        Self { stream, turn: None }
    }

    /// Waits until the stream may be ready.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut stream = self.stream.clone();
        let turn = self.turn.get_or_insert_with(|| ReusableBoxFuture::new(async move { stream.ready().await }));
        ready!(turn.poll(cx));
        self.turn = None;
        Poll::Ready(())
    }
}

impl AsyncRead for Waiting<Input> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            match self.stream.read(buffer.remaining()) {
                Ok(chunk) if chunk.is_empty() && buffer.remaining() > 0 => ready!(self.poll_turn(cx)),
                Ok(chunk) => {
                    buffer.put_slice(&chunk);
                    return Poll::Ready(Ok(()));
                }
                Err(_) => return Poll::Ready(Ok(())),
            }
        }
    }
}

impl AsyncWrite for Waiting<Output> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        while !self.stream.try_flush() {
            ready!(self.poll_turn(cx));
        }
        let part = bytes.get(..PERMIT_BYTES).unwrap_or(bytes);
        self.stream.take(part).map_err(io::Error::other)?;
        Poll::Ready(Ok(part.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::pipe::pipe;

    #[tokio::test]
    async fn a_guest_gets_no_permit_until_the_sink_has_room() {
        let (writer, reader) = pipe(4);
        let mut output = Output::new(Arc::new(writer));
        output.write("abcdef".into()).unwrap();
        assert_eq!(output.check_write().unwrap(), 0);
        assert_eq!(reader.next().await.unwrap(), "abcd");
        assert_eq!(output.check_write().unwrap(), PERMIT_BYTES);
        assert_eq!(reader.next().await.unwrap(), "ef");
    }

    #[tokio::test]
    async fn permits_of_several_handles_cannot_fill_the_host() {
        let (writer, _reader) = pipe(1);
        let output = Output::new(Arc::new(writer));
        let chunk = Bytes::from(vec![b'x'; PERMIT_BYTES]);
        let written = (0..100).take_while(|_| output.clone().write(chunk.clone()).is_ok()).count();
        assert_eq!(written, WAITING_BYTES_MAX / PERMIT_BYTES);
    }
}
