//! Bodies of writes in memory: each within its bound, all of them within another, none for longer than a client may
//! take.

use std::time::Duration;

use api::status::Status;
use axum::body::Body;
use bytes::Bytes;
use futures::StreamExt as _;

use super::BODY_BYTES_MAX;
use crate::shares::{Share, Shares};

/// Bodies at once, in bytes: of all callers, and of one. What a body becomes while it is worked on weighs several times
/// as much. Beyond it, clients are told to come again.
const BODIES_BYTES_MAX: usize = 64 << 20;
const BODIES_OF_ONE_BYTES_MAX: usize = 16 << 20;

/// How long a body may take, as upstream lets a whole request take.
const BODY_DEADLINE: Duration = Duration::from_secs(60);

/// What bodies share.
pub(crate) fn room() -> Shares {
    Shares::new(BODIES_BYTES_MAX, BODIES_OF_ONE_BYTES_MAX)
}

/// Reads a whole body of `user`. It takes room while the share is held; an empty one takes none.
pub(super) async fn read(room: &Shares, user: &str, body: Body) -> Result<(Bytes, Option<Share>), Status> {
    match tokio::time::timeout(BODY_DEADLINE, collect(room, user, body)).await {
        Ok(read) => read,
        Err(_) => {
            let why = format!("the body did not arrive within {} seconds", BODY_DEADLINE.as_secs());
            Err(Status::timeout(&why, 1))
        }
    }
}

async fn collect(room: &Shares, user: &str, body: Body) -> Result<(Bytes, Option<Share>), Status> {
    let mut chunks = body.into_data_stream();
    let mut received: Vec<Bytes> = Vec::new();
    let mut length = 0;
    let mut share: Option<Share> = None;
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| Status::bad_request(format!("the body could not be read: {error}")))?;
        length += chunk.len();
        if length > BODY_BYTES_MAX {
            return Err(Status::request_entity_too_large(BODY_BYTES_MAX));
        }
        let has_room = match &mut share {
            Some(share) => share.grow(chunk.len()),
            None => {
                share = room.take(user, chunk.len());
                share.is_some()
            }
        };
        if !has_room {
            return Err(Status::too_many_requests("Too many requests, please try again later.", 1));
        }
        received.push(chunk);
    }
    // Most bodies come in one piece.
    let content = if received.len() == 1 { received.swap_remove(0) } else { Bytes::from(received.concat()) };
    Ok((content, share))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunks(length: usize, count: usize, pause: Duration) -> Body {
        let chunks = futures::stream::iter(0..count).then(move |_| async move {
            tokio::time::sleep(pause).await;
            Ok::<_, std::io::Error>(Bytes::from(vec![b' '; length]))
        });
        Body::from_stream(chunks)
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_is_read_within_its_bounds() {
        let check = async |length, count, pause_seconds, expected: Result<usize, u16>| {
            let room = Shares::new(4 << 20, 4 << 20);
            let read = read(&room, "a", chunks(length, count, Duration::from_secs(pause_seconds))).await;
            let found = read.as_ref().map(|(content, _)| content.len()).map_err(|status| status.code);
            assert_eq!(found, expected);
            drop(read);
            assert_eq!(room.taken(), 0);
        };
        check(0, 0, 0, Ok(0)).await;
        check(100, 1, 0, Ok(100)).await;
        check(1 << 20, 3, 0, Ok(3 << 20)).await;
        check((3 << 20) + 1, 1, 0, Err(413)).await;
        check(1 << 20, 4, 0, Err(413)).await;
        check(10, 20, 2, Ok(200)).await;
        check(10, 20, 4, Err(504)).await;
    }

    #[tokio::test]
    async fn bodies_beyond_their_room_are_told_to_come_again() {
        let room = Shares::new(3 << 20, 2 << 20);
        let read = async |user| read(&room, user, Body::from(vec![0; 1 << 20])).await;
        let (first, _second) = (read("a").await.unwrap(), read("a").await.unwrap());
        let refused = read("a").await.unwrap_err();
        assert_eq!((refused.code, refused.retry_after_seconds()), (429, Some(1)));
        let _third = read("b").await.unwrap();
        assert_eq!(read("c").await.unwrap_err().code, 429);
        drop(first);
        assert!(read("c").await.is_ok());
    }
}
