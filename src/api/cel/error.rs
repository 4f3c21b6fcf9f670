//! Why an expression has no value.

use std::fmt;

use super::value::Value;

/// Why an expression has no value.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// Something in it failed; the sentence is upstream's.
    #[error("{0}")]
    Failed(Box<str>),
    /// It costs more than it may. Nothing absorbs this.
    #[error("operation cancelled: actual cost limit exceeded")]
    OverBudget,
}

/// A value, or why there is none.
pub(super) type Outcome<'a> = Result<Value<'a>, Error>;

impl Error {
    pub(super) fn failed(message: impl Into<String>) -> Self {
        Self::Failed(message.into().into())
    }

    /// No overload fits the values.
    pub(super) fn no_such_overload() -> Self {
        Self::Failed("no such overload".into())
    }

    pub(super) fn no_such_key(key: impl fmt::Display) -> Self {
        Self::failed(format!("no such key: {key}"))
    }

    pub(super) fn conversion(from: &Value<'_>, to: &str) -> Self {
        Self::failed(format!("type conversion error from '{}' to '{to}'", from.type_name()))
    }
}
