//! Patience with a peer, and its end: one that takes nothing of what is sent to it, or says nothing at first, is given
//! up. Otherwise a client that stops reading would keep its connection, and an answer in memory, for ever.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// How long a peer may take nothing while something waits to be sent to it.
const STALL_MAX: Duration = Duration::from_secs(60);

/// What a peer must say within [`super::HEAD_DEADLINE`]: the preface of an HTTP/2 connection. Of a request in HTTP/1 the
/// whole head has that deadline anyway.
const FIRST_BYTES: usize = 24;

/// A connection with an end to its patience.
#[derive(Debug)]
pub(super) struct Patient<IO> {
    io: IO,
    /// How much is still to be heard, and until when; `None` once it was.
    first: Option<(usize, Pin<Box<Sleep>>)>,
    /// Runs while something waits to be sent.
    stall: Option<Pin<Box<Sleep>>>,
}

impl<IO> Patient<IO> {
    pub(super) fn new(io: IO) -> Self {
        let deadline = Box::pin(tokio::time::sleep(super::HEAD_DEADLINE));
        Self { io, first: Some((FIRST_BYTES, deadline)), stall: None }
    }

    /// Lets an answer of the inner connection through, and ends the wait for one that does not come.
    fn judge<T>(&mut self, context: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.stall = None;
            return polled;
        }
        let stall = self.stall.get_or_insert_with(|| Box::pin(tokio::time::sleep(STALL_MAX)));
        ready!(stall.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(ErrorKind::TimedOut, "the peer takes nothing of what is sent to it")))
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Patient<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(context, buffer);
        let Some((missing, deadline)) = &mut self.first else { return polled };
        if polled.is_ready() {
            *missing = missing.saturating_sub(buffer.filled().len() - before);
            if *missing == 0 {
                self.first = None;
            }
            return polled;
        }
        ready!(deadline.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(ErrorKind::TimedOut, "the peer says nothing")))
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Patient<IO> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write(context, bytes);
        self.judge(context, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write_vectored(context, parts);
        self.judge(context, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.io).poll_flush(context);
        self.judge(context, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.io).poll_shutdown(context);
        self.judge(context, polled)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_nothing_is_given_up_and_a_slow_one_is_not() {
        let (peer, io) = tokio::io::duplex(16);
        let mut io = Patient::new(io);
        assert_eq!(io.write_all(&[0; 100]).await.unwrap_err().kind(), ErrorKind::TimedOut);
        drop(peer);

        let (mut peer, io) = tokio::io::duplex(16);
        let mut io = Patient::new(io);
        let reading = async {
            let mut byte = [0; 10];
            for _ in 0..10 {
                tokio::time::sleep(STALL_MAX / 2).await;
                peer.read_exact(&mut byte).await.unwrap();
            }
        };
        let (written, ()) = tokio::join!(io.write_all(&[0; 100]), reading);
        written.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_must_say_something_first_and_may_be_silent_then() {
        let (_peer, io) = tokio::io::duplex(64);
        assert_eq!(Patient::new(io).read_u8().await.unwrap_err().kind(), ErrorKind::TimedOut);

        let (mut peer, io) = tokio::io::duplex(64);
        let mut io = Patient::new(io);
        peer.write_all(&[1; FIRST_BYTES]).await.unwrap();
        io.read_exact(&mut [0; FIRST_BYTES]).await.unwrap();
        let later = async {
            tokio::time::sleep(super::super::HEAD_DEADLINE * 100).await;
            peer.write_u8(7).await.unwrap();
        };
        let (read, ()) = tokio::join!(io.read_u8(), later);
        assert_eq!(read.unwrap(), 7);
    }
}
