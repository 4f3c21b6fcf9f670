//! Content on its way out: read as fast as the client takes it, and given up when the client takes nothing.

use std::time::Duration;

use axum::body::Body;
use base::task;
use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use tokio::sync::mpsc;

use crate::shares::Share;

/// How long a client may take nothing; its answer then ends before its length, which every client notices.
const STALL_MAX: Duration = Duration::from_secs(60);

/// The body that sends `chunks`. Its turn is over when the last chunk is on its way, or the client is given up.
pub(crate) fn body(chunks: impl Stream<Item = std::io::Result<Bytes>> + Send + 'static, turn: Share) -> Body {
    let (sender, mut receiver) = mpsc::channel(1);
    task::spawn("content on its way out", async move {
        let _turn = turn;
        let mut chunks = std::pin::pin!(chunks);
        while let Some(chunk) = chunks.next().await {
            if sender.send_timeout(chunk, STALL_MAX).await.is_err() {
                break;
            }
        }
    })
    .detach();
    Body::from_stream(futures::stream::poll_fn(move |context| receiver.poll_recv(context)))
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;
    use crate::shares::Shares;

    fn chunks(count: usize) -> impl Stream<Item = std::io::Result<Bytes>> + Send + 'static {
        futures::stream::iter(0..count).map(|_| Ok(Bytes::from_static(b"chunk")))
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_is_given_up_and_who_is_slow_is_not() {
        let turns = Shares::new(1, 1);
        let mut slow = body(chunks(3), turns.take("slow", 1).unwrap());
        let mut taken = 0;
        while let Some(frame) = slow.frame().await {
            taken += frame.unwrap().into_data().unwrap().len();
            tokio::time::sleep(STALL_MAX / 2).await;
        }
        assert_eq!((taken, turns.taken()), (15, 0));

        let stalled = body(chunks(100), turns.take("stalled", 1).unwrap());
        tokio::time::sleep(STALL_MAX * 2).await;
        assert_eq!(turns.taken(), 0);
        assert!(stalled.collect().await.unwrap().to_bytes().len() < 500);
    }
}
