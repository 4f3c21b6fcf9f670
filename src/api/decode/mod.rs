//! From bytes to canonical objects.
//!
//! First the bytes become a value ([`parse_json`], [`parse_yaml`]), which finds syntax errors and duplicate keys; then
//! the value becomes an object of a type ([`decode`]), which finds wrong types and unknown fields and brings
//! quantities, times and empty fields into the form that upstream stores and prints ([`canonicalize`]). Between both,
//! [`check_kind`] compares what the value says it is with what the path expects.

mod canonical;
mod json;
mod kind;
mod object;
mod path;
mod time;
mod yaml;
mod yaml_scalar;

pub use canonical::canonicalize;
pub use json::{in_order, parse_json};
pub use kind::{check_kind, go_kind, unrecognized};
pub use object::{Decoded, decode};
pub(crate) use path::{Complaints, Path};
pub use yaml::parse_yaml;

use serde_json::Value;

/// How deep objects and lists may lie in one another. Upstream's types need 40 or so; its own bound of 10,000 is for
/// a growing stack.
pub const DEPTH_MAX: usize = 200;

/// A value and the fields that stood in it twice; the last of them counted.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed {
    /// The value.
    pub value: Value,
    /// A sentence for each, as strict decoding tells it: `duplicate field "data.a"`.
    pub duplicates: Vec<String>,
}

/// Bytes or values that are no object of the kind; the texts are those of upstream's libraries.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DecodeError {
    /// The text is no JSON.
    #[error("{0}")]
    Json(String),
    /// The text is no YAML, or YAML of which we make no JSON.
    #[error("yaml: {0}")]
    Yaml(String),
    /// The bytes are no Kubernetes protobuf.
    #[error("protobuf: {0}")]
    Protobuf(String),
    /// A value has a type or form that its field cannot hold.
    #[error("{0}")]
    Value(String),
}
