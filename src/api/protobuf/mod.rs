//! Kubernetes' protobuf, which typed clients of upstream read and write: objects between it and JSON.
//!
//! No message is written down here: `layout` joins the field numbers of upstream's field tags
//! (`schema/facts/go.tsv`) with the schema's types once, and [`decode()`], [`message`] and [`encode()`] follow it. What
//! JSON writes as one text (times, quantities, `IntOrString`, embedded JSON) has its form in `encode` and `decode`.
//!
//! ```text
//! object      k8s\0 Unknown{1 typeMeta{1 apiVersion, 2 kind}, 2 the message, 3 "", 4 ""}
//! watch       length (4 bytes, the highest first) WatchEvent{1 type, 2 RawExtension{1 an object as above}}
//! ```
//!
//! Custom resources have no messages: [`is_known`] says which kinds have one.
//!
//! # Why
//!
//! 2026-11-28: what is encoded is JSON text, in one pass and without a value between (a visitor of serde). A cached
//! object's text becomes its message in less time than it would take to parse it into a value.

mod decode;
mod encode;
mod envelope;
mod layout;
mod wire;

#[cfg(test)]
mod tests;

pub use decode::{decode, decode_any};
pub use encode::{encode, message, metadata_message};
pub use envelope::{envelope, list, watch_frame};

/// What every object begins with.
const MAGIC: &[u8] = b"k8s\0";

/// What cannot be written as protobuf.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// The kind has no message. The text is upstream's.
    #[error(
        "object {0} does not implement the protobuf marshalling interface and cannot be encoded to a protobuf message"
    )]
    Unknown(String),
    /// A field holds what its type cannot. What was decoded and stored never does.
    #[error("the object cannot be written as protobuf: {0}")]
    Value(#[from] serde_json::Error),
}

/// Whether a kind has a message. `api_version` is empty or that of the kind.
#[must_use]
pub fn is_known(api_version: &str, kind: &str) -> bool {
    layout::Layouts::builtin().root(api_version, kind).is_some()
}
