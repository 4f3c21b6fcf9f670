//! What stands around messages: the envelope of an object, lists of messages, frames of a watch.

use serde_json::{Value, json};

use super::encode::write;
use super::layout::Layouts;
use super::{EncodeError, MAGIC, wire};

/// The bytes of an envelope besides its message and the words of its kind: magic, tags and lengths.
const ENVELOPE_BYTES_MAX: usize = 40;

/// An object around its message.
#[must_use]
pub fn envelope(api_version: &str, kind: &str, message: &[u8]) -> Vec<u8> {
    let mut out = begin(api_version, kind, message.len());
    out.extend_from_slice(message);
    end(&mut out);
    out
}

/// A list around its items' messages; `api_version` and `kind` are the list's.
///
/// # Errors
/// When there is no such kind of list, or `metadata` is no list's metadata.
pub fn list<'m>(
    api_version: &str,
    kind: &str,
    metadata: &Value,
    items: impl Iterator<Item = &'m [u8]> + Clone,
) -> Result<Vec<u8>, EncodeError> {
    let layouts = Layouts::builtin();
    let id = layouts.root(api_version, kind).ok_or_else(|| EncodeError::Unknown(kind.to_owned()))?;
    let metadata = write(id, &json!({"metadata": metadata}))?;
    let number = layouts.items_number(id);
    let size: usize = items.clone().map(|item| wire::head_size(number, item.len()) + item.len()).sum();
    let mut out = begin(api_version, kind, metadata.len() + size);
    // The oldest version of one list has its items first.
    let (before, after) = if number == 1 { (&[][..], metadata.as_slice()) } else { (metadata.as_slice(), &[][..]) };
    out.extend_from_slice(before);
    for item in items {
        wire::write_bytes(&mut out, number, item);
    }
    out.extend_from_slice(after);
    end(&mut out);
    Ok(out)
}

/// A frame of a watch: an event of a type (`ADDED`) around an object in its envelope.
#[must_use]
pub fn watch_frame(kind: &str, object: &[u8]) -> Vec<u8> {
    let raw = wire::head_size(1, object.len()) + object.len();
    let event = wire::head_size(1, kind.len()) + kind.len() + wire::head_size(2, raw) + raw;
    let mut out = Vec::with_capacity(event + 4);
    // An object is bounded by the size of a request, far below this.
    out.extend_from_slice(&u32::try_from(event).unwrap_or(u32::MAX).to_be_bytes());
    wire::write_bytes(&mut out, 1, kind.as_bytes());
    wire::write_head(&mut out, 2, raw);
    wire::write_bytes(&mut out, 1, object);
    out
}

/// What stands before a message of this length.
fn begin(api_version: &str, kind: &str, length: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(length + api_version.len() + kind.len() + ENVELOPE_BYTES_MAX);
    out.extend_from_slice(MAGIC);
    let start = out.len();
    wire::write_bytes(&mut out, 1, api_version.as_bytes());
    wire::write_bytes(&mut out, 2, kind.as_bytes());
    wire::enclose(&mut out, start, 1);
    wire::write_head(&mut out, 2, length);
    out
}

/// What stands after it: neither an encoding nor a content type is said.
fn end(out: &mut Vec<u8>) {
    wire::write_head(out, 3, 0);
    wire::write_head(out, 4, 0);
}
