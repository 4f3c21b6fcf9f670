//! Uploads: at once, in chunks, resumed, or by naming content of another repository.

use axum::body::Body;
use http::header::{CONTENT_RANGE, LOCATION, RANGE};
use http::{Response, StatusCode};
use images::content::{self, UploadId};
use images::digest::Digest;
use images::reference::RepositoryName;

use super::receive::Receiver;
use super::{CONTENT_DIGEST, Call, Error, empty, route, set};
use crate::request_info::Verb;

const UPLOAD_ID: &str = "docker-upload-uuid";

/// POST: begins an upload; with `?digest=` the body is all of it, with `?mount=` the content is here already.
pub(super) async fn start(call: &Call<'_>, repository: &RepositoryName, body: Body) -> Result<Response<Body>, Error> {
    call.authorize_write(Verb::Create, repository)?;
    if let Some(mounted) = mount(call, repository).await? {
        return Ok(created(repository, &mounted));
    }
    if let Some(digest) = asked_digest(call)? {
        receive_whole(call, repository, body, &digest).await?;
        return Ok(created(repository, &digest));
    }
    let id = call.content().start_upload(repository).await?;
    Ok(accepted(repository, id, 0))
}

/// PATCH: sends a chunk.
pub(super) async fn append(
    call: &Call<'_>,
    repository: &RepositoryName,
    id: UploadId,
    body: Body,
) -> Result<Response<Body>, Error> {
    call.authorize_write(Verb::Create, repository)?;
    let chunk = chunk_range(call)?;
    let offset = receive(call, (repository, id), body, chunk, None).await?;
    Ok(accepted(repository, id, offset))
}

/// PUT: ends an upload, maybe with a last chunk.
pub(super) async fn finish(
    call: &Call<'_>,
    repository: &RepositoryName,
    id: UploadId,
    body: Body,
) -> Result<Response<Body>, Error> {
    call.authorize_write(Verb::Create, repository)?;
    let digest = asked_digest(call)?.ok_or_else(|| Error::invalid_digest("the query has no digest"))?;
    let chunk = chunk_range(call)?;
    receive(call, (repository, id), body, chunk, Some(&digest)).await?;
    Ok(created(repository, &digest))
}

/// GET: where an upload stands.
pub(super) fn stand(call: &Call<'_>, repository: &RepositoryName, id: UploadId) -> Result<Response<Body>, Error> {
    call.authorize(Verb::Create, repository)?;
    let offset = call.content().upload_offset(repository, id)?;
    let mut response = accepted(repository, id, offset);
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}

/// DELETE: drops an upload.
pub(super) async fn cancel(
    call: &Call<'_>,
    repository: &RepositoryName,
    id: UploadId,
) -> Result<Response<Body>, Error> {
    call.authorize(Verb::Create, repository)?;
    call.content().cancel_upload(repository, id).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

/// Takes a blob in that comes in one request. No session is begun: a client that breaks off knows of none.
async fn receive_whole(call: &Call<'_>, repository: &RepositoryName, body: Body, digest: &Digest) -> Result<(), Error> {
    let _turn = call.turn_to_write()?;
    let content = call.content();
    let mut ingest = content.ingest(digest.algorithm(), content.artifact_bytes_max()).await?;
    let mut body = Receiver::new(body);
    while let Some(bytes) = body.next().await? {
        ingest.write(bytes).await?;
    }
    // Held until the repository shows it.
    let stored = ingest.commit(Some(digest)).await?;
    content.link_blob(repository, &stored.digest).await?;
    Ok(())
}

/// Takes the body in, and ends the upload if its digest is given. Says where the upload stands.
async fn receive(
    call: &Call<'_>,
    (repository, id): (&RepositoryName, UploadId),
    body: Body,
    chunk: Option<Chunk>,
    digest: Option<&Digest>,
) -> Result<u64, Error> {
    let _turn = call.turn_to_write()?;
    let content = call.content();
    let mut append = match content.append(repository, id, chunk.map(|chunk| chunk.first)).await {
        Err(error @ content::Error::Offset { expected, .. }) => {
            return Err(Error::from(error)
                .with(LOCATION, &location(repository, id))
                .with(RANGE, &range_text(expected)));
        }
        other => other?,
    };
    let mut body = Receiver::new(body);
    let mut received = 0;
    while let Some(bytes) = body.next().await? {
        received += bytes.len() as u64;
        append.write(bytes).await?;
    }
    let offset = append.finish().await?;
    if chunk.is_some_and(|chunk| received != chunk.length) {
        return Err(Error::invalid_upload("the chunk is not as long as its Content-Range says"));
    }
    if let Some(digest) = digest {
        content.finish_upload(repository, id, digest).await?;
    }
    Ok(offset)
}

/// Content of another repository that the caller may read; `None` where there is none, and an upload begins instead.
async fn mount(call: &Call<'_>, repository: &RepositoryName) -> Result<Option<Digest>, Error> {
    let (Some(digest), Some(from)) = (call.query.find("mount"), call.query.find("from")) else { return Ok(None) };
    let digest = Digest::parse(digest).map_err(|error| Error::invalid_digest(&error.to_string()))?;
    let from = route::repository(from)?;
    let is_shown = call.content().repository_blob_size(&from, &digest).is_some();
    if call.authorize(Verb::Get, &from).is_err() || !is_shown {
        return Ok(None);
    }
    Ok(call.content().link_blob(repository, &digest).await?.then_some(digest))
}

fn asked_digest(call: &Call<'_>) -> Result<Option<Digest>, Error> {
    let digest = call.query.find("digest").map(Digest::parse).transpose();
    digest.map_err(|error| Error::invalid_digest(&error.to_string()))
}

/// Which bytes of the upload a chunk says to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Chunk {
    first: u64,
    length: u64,
}

fn chunk_range(call: &Call<'_>) -> Result<Option<Chunk>, Error> {
    let invalid = || Error::invalid_upload("Content-Range is not FIRST-LAST");
    call.header(CONTENT_RANGE).map(|text| parse_chunk(text).ok_or_else(invalid)).transpose()
}

/// Reads `FIRST-LAST`, which the protocol writes without a unit; some clients write one.
fn parse_chunk(text: &str) -> Option<Chunk> {
    let text = text.trim_start_matches("bytes").trim_start_matches(['=', ' ']);
    let (first, last) = text.split_once('/').map_or(text, |(range, _)| range).split_once('-')?;
    let (first, last) = (first.trim().parse::<u64>().ok()?, last.trim().parse::<u64>().ok()?);
    let length = last.checked_sub(first)?.checked_add(1)?;
    Some(Chunk { first, length })
}

fn created(repository: &RepositoryName, digest: &Digest) -> Response<Body> {
    let mut response = empty(StatusCode::CREATED);
    set(&mut response, LOCATION, &format!("/v2/{repository}/blobs/{digest}"));
    set(&mut response, CONTENT_DIGEST, &digest.to_string());
    response
}

fn accepted(repository: &RepositoryName, id: UploadId, offset: u64) -> Response<Body> {
    let mut response = empty(StatusCode::ACCEPTED);
    set(&mut response, LOCATION, &location(repository, id));
    set(&mut response, RANGE, &range_text(offset));
    set(&mut response, UPLOAD_ID, &id.to_string());
    response
}

fn location(repository: &RepositoryName, id: UploadId) -> String {
    format!("/v2/{repository}/blobs/uploads/{id}")
}

/// The bytes that are there, the last one included; the protocol has no form for none and writes `0-0`.
fn range_text(offset: u64) -> String {
    format!("0-{}", offset.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_says_where_it_begins_and_how_long_it_is() {
        let chunk = |first, length| Some(Chunk { first, length });
        for (text, expected) in [
            ("0-99", chunk(0, 100)),
            ("100-100", chunk(100, 1)),
            ("bytes 5-9/*", chunk(5, 5)),
            ("bytes=5-9", chunk(5, 5)),
            ("9-5", None),
            ("x-5", None),
            ("5", None),
            ("0-18446744073709551615", None),
        ] {
            assert_eq!(parse_chunk(text), expected, "{text}");
        }
    }
}
