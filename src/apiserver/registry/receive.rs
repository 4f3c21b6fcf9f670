//! A request's body on its way to the content store: a chunk at a time, from clients that may be slow but not idle.

use std::time::Duration;

use axum::body::Body;
use base::clock::Instant;
use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt as _};
use images::content;

/// How long a client may send nothing.
const STALL_MAX: Duration = Duration::from_secs(30);

/// Within each span of this length a client must send [`SPAN_BYTES_MIN`], or it holds a place that others wait for.
const SPAN: Duration = Duration::from_secs(60);

/// About 1 KiB a second: slower than the slowest link that anybody would push over.
const SPAN_BYTES_MIN: u64 = 64 << 10;

/// Why a body did not arrive.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The store refused it.
    #[error(transparent)]
    Content(#[from] content::Error),
    /// The client dawdles.
    #[error("the client sends less than {SPAN_BYTES_MIN} bytes in {} seconds", SPAN.as_secs())]
    TooSlow,
    /// The connection broke.
    #[error("the body broke off: {0}")]
    Broken(String),
}

/// A body, and how steadily it comes.
pub(crate) struct Receiver {
    chunks: axum::body::BodyDataStream,
    span_began: Instant,
    span_bytes: u64,
}

impl Receiver {
    pub(crate) fn new(body: Body) -> Self {
        Self { chunks: body.into_data_stream(), span_began: Instant::now(), span_bytes: 0 }
    }

    /// The next chunk; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        next(&mut self.chunks, &mut self.span_began, &mut self.span_bytes).await
    }

    /// The whole body in memory, at most `bytes_max` bytes of it.
    pub(crate) async fn read(mut self, bytes_max: u64) -> Result<Bytes, Error> {
        let mut content = BytesMut::new();
        while let Some(chunk) = self.next().await? {
            if content.len() as u64 + chunk.len() as u64 > bytes_max {
                return Err(content::Error::TooLarge { max: bytes_max }.into());
            }
            content.extend_from_slice(&chunk);
        }
        Ok(content.freeze())
    }
}

async fn next(
    chunks: &mut (impl Stream<Item = Result<Bytes, axum::Error>> + Unpin),
    span_began: &mut Instant,
    span_bytes: &mut u64,
) -> Result<Option<Bytes>, Error> {
    let chunk = match tokio::time::timeout(STALL_MAX, chunks.next()).await {
        Ok(Some(Ok(chunk))) => chunk,
        Ok(Some(Err(error))) => return Err(Error::Broken(error.to_string())),
        Ok(None) => return Ok(None),
        Err(_) => return Err(Error::TooSlow),
    };
    *span_bytes += chunk.len() as u64;
    if span_began.elapsed() >= SPAN {
        if *span_bytes < SPAN_BYTES_MIN {
            return Err(Error::TooSlow);
        }
        (*span_began, *span_bytes) = (Instant::now(), 0);
    }
    Ok(Some(chunk))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A body of chunks of one length, each after a pause.
    fn dripping(pause: Duration, length: usize, chunks: usize) -> Body {
        let chunks = futures::stream::iter(0..chunks).then(move |_| async move {
            tokio::time::sleep(pause).await;
            Ok::<_, std::io::Error>(Bytes::from(vec![0; length]))
        });
        Body::from_stream(chunks)
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_client_is_waited_for_and_an_idle_or_dripping_one_is_not() {
        let check = async |pause, length, expected: bool| {
            let read = Receiver::new(dripping(Duration::from_secs(pause), length, 20)).read(u64::MAX).await;
            assert_eq!(read.is_ok(), expected, "{length} bytes each {pause} seconds: {read:?}");
        };
        check(10, 20 << 10, true).await;
        check(29, 64 << 10, true).await;
        check(31, 1 << 20, false).await;
        check(10, 100, false).await;
    }

    #[tokio::test]
    async fn a_body_beyond_its_bound_is_refused() {
        let read = Receiver::new(Body::from("12345")).read(4).await;
        assert!(matches!(read, Err(Error::Content(content::Error::TooLarge { max: 4 }))));
    }
}
