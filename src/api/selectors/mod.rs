//! Selectors: which objects are meant, by labels or by fields, in upstream's grammar and error texts.

mod field;
mod label;
mod label_parser;
mod lexer;

pub(crate) use field::unknown_field;
pub use field::{FieldOperator, FieldRequirement, FieldSelector};
pub use label::{LabelOperator, LabelRequirement, LabelSelector};

/// A selector that cannot be read; the text is upstream's.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct ParseError(String);
