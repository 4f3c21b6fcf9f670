//! Blobs: reading them, in whole or in part, and taking them from a repository.

use std::ops::Range;

use axum::body::Body;
use http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_NONE_MATCH, RANGE};
use http::{Method, Response, StatusCode};
use images::digest::Digest;
use images::reference::RepositoryName;

use super::{CONTENT_DIGEST, Call, Error, empty, send, set};
use crate::request_info::Verb;

/// GET and HEAD: the content, or the range of it that was asked for.
pub(super) async fn get(
    call: &Call<'_>,
    repository: &RepositoryName,
    digest: &Digest,
) -> Result<Response<Body>, Error> {
    call.authorize(Verb::Get, repository)?;
    let size = call.content().repository_blob_size(repository, digest).ok_or_else(|| Error::unknown_blob(digest))?;
    let etag = format!("\"{digest}\"");
    if call.header(IF_NONE_MATCH).is_some_and(|known| known.contains(&etag)) {
        return Ok(empty(StatusCode::NOT_MODIFIED));
    }
    let part = match call.header(RANGE).map_or(Wanted::Whole, |range| wanted(range, size)) {
        Wanted::Whole => None,
        Wanted::Part(range) => Some(range),
        Wanted::Nothing => return Err(Error::range_unsatisfiable(size)),
    };
    let range = part.clone().unwrap_or(0..size);
    let mut response = empty(if part.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK });
    set(&mut response, CONTENT_TYPE, "application/octet-stream");
    set(&mut response, CONTENT_LENGTH, &(range.end - range.start).to_string());
    set(&mut response, ACCEPT_RANGES, "bytes");
    set(&mut response, CONTENT_DIGEST, &digest.to_string());
    set(&mut response, ETAG, &etag);
    if part.is_some() {
        // A part is never empty, so there is a last byte.
        set(&mut response, CONTENT_RANGE, &format!("bytes {}-{}/{size}", range.start, range.end - 1));
    }
    if call.parts.method == Method::GET {
        let turn = call.turn_to_read()?;
        let blob = call.content().repository_blob(repository, digest).await?;
        *response.body_mut() = send(blob.stream(range).await?, turn);
    }
    Ok(response)
}

/// DELETE: the repository stops showing the blob.
pub(super) async fn delete(
    call: &Call<'_>,
    repository: &RepositoryName,
    digest: &Digest,
) -> Result<Response<Body>, Error> {
    call.authorize(Verb::Delete, repository)?;
    match call.content().unlink_blob(repository, digest).await? {
        true => Ok(empty(StatusCode::ACCEPTED)),
        false => Err(Error::unknown_blob(digest)),
    }
}

/// What a `Range` header asks for.
#[derive(Debug, Eq, PartialEq)]
enum Wanted {
    Whole,
    /// Not empty, and within the content.
    Part(Range<u64>),
    Nothing,
}

/// Reads a `Range` header. What is no single range of bytes is as good as absent, as HTTP allows.
fn wanted(header: &str, size: u64) -> Wanted {
    let Some((first, last)) = header.strip_prefix("bytes=").and_then(|range| range.split_once('-')) else {
        return Wanted::Whole;
    };
    let range = match (first.trim().parse::<u64>(), last.trim().parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last => first..last.saturating_add(1).min(size),
        (Ok(first), Err(_)) if last.trim().is_empty() => first..size,
        (Err(_), Ok(length)) if first.trim().is_empty() => size.saturating_sub(length)..size,
        _ => return Wanted::Whole,
    };
    if range.is_empty() { Wanted::Nothing } else { Wanted::Part(range) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_http_has_them() {
        for (header, expected) in [
            ("bytes=0-4", Wanted::Part(0..5)),
            ("bytes=5-", Wanted::Part(5..10)),
            ("bytes=-3", Wanted::Part(7..10)),
            ("bytes=-30", Wanted::Part(0..10)),
            ("bytes=8-99", Wanted::Part(8..10)),
            ("bytes=10-", Wanted::Nothing),
            ("bytes=-0", Wanted::Nothing),
            ("bytes=5-2", Wanted::Whole),
            ("bytes=0-1,3-4", Wanted::Whole),
            ("chunks=0-1", Wanted::Whole),
            ("bytes=", Wanted::Whole),
        ] {
            assert_eq!(wanted(header, 10), expected, "{header}");
        }
        assert_eq!(wanted("bytes=0-", 0), Wanted::Nothing);
    }
}
