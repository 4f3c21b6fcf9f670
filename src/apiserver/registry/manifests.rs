//! Manifests, by tag or digest.

use axum::body::Body;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, LOCATION};
use http::{Response, StatusCode};
use images::content::Target;
use images::manifest::MANIFEST_BYTES_MAX;
use images::reference::RepositoryName;

use super::receive::Receiver;
use super::{CONTENT_DIGEST, Call, Error, empty, set};
use crate::request_info::Verb;

/// GET and HEAD.
pub(super) async fn get(
    call: &Call<'_>,
    repository: &RepositoryName,
    target: &Target,
) -> Result<Response<Body>, Error> {
    call.authorize(Verb::Get, repository)?;
    let stored = call.content().manifest(repository, target).await?.ok_or_else(|| unknown(target))?;
    let mut response = Response::new(Body::empty());
    set(&mut response, CONTENT_TYPE, &stored.media_type);
    set(&mut response, CONTENT_LENGTH, &stored.content.len().to_string());
    set(&mut response, CONTENT_DIGEST, &stored.digest.to_string());
    set(&mut response, ETAG, &format!("\"{}\"", stored.digest));
    *response.body_mut() = Body::from(stored.content);
    Ok(response)
}

/// PUT: moving a tag that is there is an update, everything else creates.
pub(super) async fn put(
    call: &Call<'_>,
    repository: &RepositoryName,
    target: &Target,
    body: Body,
) -> Result<Response<Body>, Error> {
    let is_there = call.content().resolve(repository, target).is_some();
    call.authorize_write(if is_there { Verb::Update } else { Verb::Create }, repository)?;
    let _turn = call.turn_to_write()?;
    let media_type = call.header(CONTENT_TYPE).map(str::to_owned);
    let content = Receiver::new(body).read(MANIFEST_BYTES_MAX).await?;
    let put = call.content().put_manifest(repository, target, media_type.as_deref(), content).await?;
    let mut response = empty(StatusCode::CREATED);
    set(&mut response, LOCATION, &format!("/v2/{repository}/manifests/{}", put.digest));
    set(&mut response, CONTENT_DIGEST, &put.digest.to_string());
    if let Some(subject) = put.subject {
        set(&mut response, "oci-subject", &subject.to_string());
    }
    Ok(response)
}

/// DELETE: a tag alone, or a manifest with its tags.
pub(super) async fn delete(
    call: &Call<'_>,
    repository: &RepositoryName,
    target: &Target,
) -> Result<Response<Body>, Error> {
    call.authorize(Verb::Delete, repository)?;
    match call.content().delete_manifest(repository, target).await? {
        true => Ok(empty(StatusCode::ACCEPTED)),
        false => Err(unknown(target)),
    }
}

fn unknown(target: &Target) -> Error {
    match target {
        Target::Tag(tag) => Error::unknown_manifest(tag),
        Target::Digest(digest) => Error::unknown_manifest(&digest.to_string()),
    }
}
