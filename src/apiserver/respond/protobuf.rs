//! Cached objects in protobuf: their messages, encoded once, within envelopes, lists and frames.
//!
//! What is no cached object, or is stored in another form than it is served in, goes through values ([`value`]).

use api::protobuf::{self, EncodeError};
use api::scheme::Resource;
use api::status::Status;
use bytes::Bytes;
use serde_json::Value;

use super::Page;
use crate::cache::Object;
use crate::conversion;
use crate::negotiate::{Accepted, Format, MetaVersion, Shape};
use crate::objects::unreadable;

/// What of cached objects is written without a value between.
#[derive(Clone, Copy)]
pub(crate) enum Direct {
    Whole,
    Metadata(MetaVersion),
}

/// How cached objects of `resource` are written for a client that accepts protobuf best; `None` where not directly.
pub(crate) fn direct(accepted: &Accepted, resource: &Resource) -> Option<Direct> {
    if accepted.format != Format::Protobuf || !conversion::is_storage(resource) {
        return None;
    }
    match accepted.shape {
        Shape::Whole => Some(Direct::Whole),
        Shape::Metadata(version) => Some(Direct::Metadata(version)),
        Shape::Table(_) => None,
    }
}

/// One object.
pub(crate) fn object(direct: Direct, resource: &Resource, object: &Object) -> Result<Vec<u8>, Status> {
    match direct {
        Direct::Whole => {
            let message = object.message().map_err(unreadable)?;
            Ok(protobuf::envelope(&resource.api_version(), &resource.kind, &message))
        }
        Direct::Metadata(version) => {
            let message = object.metadata_message().map_err(unreadable)?;
            Ok(protobuf::envelope(version.api_version(), "PartialObjectMetadata", &message))
        }
    }
}

/// A page of objects.
pub(super) fn list(direct: Direct, resource: &Resource, page: &Page) -> Result<Vec<u8>, Status> {
    let metadata = page.metadata();
    let written = match direct {
        Direct::Whole => {
            let items: Result<Vec<_>, _> = page.items.iter().map(|item| item.message()).collect();
            let items = items.map_err(unreadable)?;
            let items = items.iter().map(AsRef::as_ref);
            protobuf::list(&resource.api_version(), &resource.list_kind, &metadata, items)
        }
        Direct::Metadata(version) => {
            let items: Result<Vec<_>, _> = page.items.iter().map(|item| item.metadata_message()).collect();
            let items = items.map_err(unreadable)?;
            let items = items.iter().map(Vec::as_slice);
            protobuf::list(version.api_version(), "PartialObjectMetadataList", &metadata, items)
        }
    };
    written.map_err(|error| unwritable(&error))
}

/// A frame of a watch around an object in its envelope.
///
/// Frames are not kept: the object's message is, and what stands around it differs with each watcher's selection.
pub(crate) fn frame(kind: &str, object: &[u8]) -> Bytes {
    protobuf::watch_frame(kind, object).into()
}

/// Any answer, by its kind.
pub(crate) fn value(value: &Value) -> Result<Vec<u8>, Status> {
    protobuf::encode(value).map_err(|error| unwritable(&error))
}

fn unwritable(error: &EncodeError) -> Status {
    Status::internal(format!("the answer could not be encoded: {error}"))
}
