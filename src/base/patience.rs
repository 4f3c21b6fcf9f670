//! Patience with a peer, and its end: one that takes nothing of what is sent to it, or says nothing at first, is given
//! up. Otherwise a client that stops reading would keep its connection, and an answer in memory, for ever.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// A connection with an end to its patience. hyper bounds how long a client may take to send a head, but neither how long
/// it may leave an answer unread nor how long it may say nothing at all.
#[derive(Debug)]
pub struct Patient<IO> {
    io: IO,
    stall_max: Duration,
    /// How many bytes are still to be heard, and until when; `None` once they were.
    first: Option<(usize, Pin<Box<Sleep>>)>,
    /// Runs while something waits to be sent.
    stall: Option<Pin<Box<Sleep>>>,
}

impl<IO> Patient<IO> {
    /// Fails a write that makes no progress for `stall_max`.
    pub fn new(io: IO, stall_max: Duration) -> Self {
        Self { io, stall_max, first: None, stall: None }
    }

    /// Fails reading, too, when the peer has not said its first `bytes` (above zero) within `deadline` from now.
    #[must_use]
    pub fn hearing(self, bytes: usize, deadline: Duration) -> Self {
        Self { first: Some((bytes, Box::pin(tokio::time::sleep(deadline)))), ..self }
    }

    /// Lets an answer of the inner connection through, and ends the wait for one that does not come.
    fn judge<T>(&mut self, context: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.stall = None;
            return polled;
        }
        let stall_max = self.stall_max;
        let stall = self.stall.get_or_insert_with(|| Box::pin(tokio::time::sleep(stall_max)));
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

    const STALL: Duration = Duration::from_secs(10);
    const HEARING: Duration = Duration::from_secs(32);
    const FIRST_BYTES: usize = 24;

    fn patient<IO>(io: IO) -> Patient<IO> {
        Patient::new(io, STALL).hearing(FIRST_BYTES, HEARING)
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_nothing_is_given_up_and_a_slow_one_is_not() {
        let (peer, io) = tokio::io::duplex(16);
        let mut io = patient(io);
        assert_eq!(io.write_all(&[0; 100]).await.unwrap_err().kind(), ErrorKind::TimedOut);
        drop(peer);

        let (mut peer, io) = tokio::io::duplex(16);
        let mut io = patient(io);
        let reading = async {
            let mut byte = [0; 10];
            for _ in 0..10 {
                tokio::time::sleep(STALL / 2).await;
                peer.read_exact(&mut byte).await.unwrap();
            }
        };
        let (written, ()) = tokio::join!(io.write_all(&[0; 100]), reading);
        written.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_must_say_something_first_and_may_be_silent_then() {
        let (_peer, io) = tokio::io::duplex(64);
        assert_eq!(patient(io).read_u8().await.unwrap_err().kind(), ErrorKind::TimedOut);

        let (mut peer, io) = tokio::io::duplex(64);
        let mut io = patient(io);
        peer.write_all(&[1; FIRST_BYTES]).await.unwrap();
        io.read_exact(&mut [0; FIRST_BYTES]).await.unwrap();
        let later = async {
            tokio::time::sleep(HEARING * 100).await;
            peer.write_u8(7).await.unwrap();
        };
        let (read, ()) = tokio::join!(io.read_u8(), later);
        assert_eq!(read.unwrap(), 7);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_reads_slowly_is_served_and_one_that_stops_is_given_up() {
        let (near, mut far) = tokio::io::duplex(4);
        let mut io = Patient::new(near, STALL);
        let reading = async {
            for _ in 0..5 {
                tokio::time::sleep(Duration::from_secs(9)).await;
                far.read_exact(&mut [0; 4]).await.unwrap();
            }
            far
        };
        let (written, _far) = tokio::join!(io.write_all(&[0; 30]), reading);
        assert_eq!(written.unwrap_err().kind(), ErrorKind::TimedOut);
    }
}
