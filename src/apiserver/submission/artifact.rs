//! The uploaded bytes: taken in, told what they are, and stored as an artifact.

use api::status::Status;
use axum::body::Body;
use bytes::{Bytes, BytesMut};
use images::content::{self, ContentStore, Scratch, Target};
use images::digest::Algorithm;
use images::inspect::text::{self, TEXT_BYTES_MAX};
use images::inspect::{Inspection, NotWasm};
use images::manifest::media;
use images::push;
use images::reference::RepositoryName;

use crate::registry::receive::{self, Receiver};

/// How much of a body must be there before it is told whether it is text.
const HEAD_BYTES: usize = 512;

/// The tag that always stands for the last upload.
const TAG: &str = "latest";

/// An upload that is Wasm, not stored yet.
pub(super) struct Received {
    pub inspection: Inspection,
    pub scratch: Scratch,
}

/// Takes a body in, converts it if it is text, and looks into it.
pub(super) async fn receive(store: &ContentStore, body: Body) -> Result<Received, Status> {
    let mut body = Receiver::new(body);
    let mut head = BytesMut::new();
    while head.len() < HEAD_BYTES {
        match body.next().await.map_err(status_of_body)? {
            Some(chunk) => head.extend_from_slice(&chunk),
            None => break,
        }
    }
    let mut ingest = store.ingest(Algorithm::Sha256, store.artifact_bytes_max()).await.map_err(status_of)?;
    if text::is_text(&head) {
        ingest.write(converted(head, body).await?).await.map_err(status_of)?;
    } else {
        ingest.write(head.freeze()).await.map_err(status_of)?;
        while let Some(chunk) = body.next().await.map_err(status_of_body)? {
            ingest.write(chunk).await.map_err(status_of)?;
        }
    }
    let scratch = ingest.into_scratch(None).await.map_err(status_of)?;
    let inspection = images::inspect_file(scratch.path()).await.map_err(|error| match error {
        NotWasm::Io(error) => {
            tracing::error!(%error, "an upload cannot be read again");
            Status::internal_plain("the upload cannot be read again")
        }
        other => Status::bad_request(other.to_string()),
    })?;
    Ok(Received { inspection, scratch })
}

/// Stores the Wasm with its config and manifest, as a push would.
pub(super) async fn store(store: &ContentStore, name: &RepositoryName, received: Received) -> Result<(), Status> {
    let Received { inspection, scratch } = received;
    let documents = push::documents(&inspection, &scratch.digest());
    let kept = async {
        let wasm = scratch.keep().await?;
        let config = store.put(documents.config.0).await?;
        for digest in [&wasm.digest, &config.digest] {
            store.link_blob(name, digest).await?;
        }
        let tag = Target::Tag(TAG.to_owned());
        store.put_manifest(name, &tag, Some(media::MANIFEST), documents.manifest.0).await
    };
    kept.await.map(drop).map_err(status_of)
}

/// The binary form of a body that is text.
async fn converted(mut text: BytesMut, mut body: Receiver) -> Result<Bytes, Status> {
    while let Some(chunk) = body.next().await.map_err(status_of_body)? {
        text.extend_from_slice(&chunk);
        if text.len() > TEXT_BYTES_MAX {
            break;
        }
    }
    let binary = base::task::blocking(move || text::to_binary(&text)).await;
    let binary = binary.map_err(|_| Status::service_unavailable("the server is ending"))?;
    binary.map(Bytes::from).map_err(|error| match error {
        text::InvalidText::TooLong => Status::entity_too_large(error.to_string()),
        text::InvalidText::Syntax(_) => Status::bad_request(error.to_string()),
    })
}

fn status_of_body(error: receive::Error) -> Status {
    match error {
        receive::Error::Content(error) => status_of(error),
        receive::Error::TooSlow => Status::timeout(&error.to_string(), 1),
        receive::Error::Broken(_) => Status::bad_request(error.to_string()),
    }
}

fn status_of(error: content::Error) -> Status {
    match error {
        content::Error::TooLarge { .. } => Status::entity_too_large(error.to_string()),
        content::Error::Full { .. } | content::Error::Closing => Status::service_unavailable(error.to_string()),
        content::Error::DiskFull { .. } => Status::service_unavailable("the disk for artifacts is full"),
        content::Error::TooMany { .. } => Status::too_many_requests(error.to_string(), 1),
        other => {
            // What is left are failures of this machine; their paths are for its log only.
            tracing::error!(error = %other, "an artifact could not be stored");
            Status::internal_plain("the artifact could not be stored")
        }
    }
}
