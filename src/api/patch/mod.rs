//! Patches: JSON patch, merge patch, and the strategic merge patch that knows a type's list keys.
//!
//! All three take objects as they are served and give back a value that must be decoded anew.

mod json;
mod merge;
mod strategic;

pub use json::{COPIED_BYTES_MAX, OPERATIONS_MAX, json_patch};
pub use merge::merge_patch;
pub use strategic::strategic;

use crate::status::Status;

/// Why a patch cannot be applied; the texts are upstream's.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PatchError {
    /// The patch is none: 400.
    #[error("{0}")]
    Malformed(String),
    /// A JSON patch with more operations than are applied: 413.
    #[error("The allowed maximum operations in a JSON patch is {max}, got {found}")]
    TooLarge {
        /// How many it has.
        found: usize,
        /// How many are allowed.
        max: usize,
    },
    /// It does not fit the object (a failed test, a path that is not there): 422.
    #[error("{0}")]
    Unfit(String),
}

impl From<PatchError> for Status {
    fn from(error: PatchError) -> Self {
        match error {
            PatchError::Malformed(text) => Self::bad_request(text),
            PatchError::TooLarge { .. } => Self::entity_too_large(error.to_string()),
            // Upstream says no more than this to whoever sent it.
            PatchError::Unfit(_) => Self::unfit_patch(),
        }
    }
}
