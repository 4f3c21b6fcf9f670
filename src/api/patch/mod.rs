//! Patches: JSON patch, merge patch, and the strategic merge patch that knows a type's list keys.
//!
//! All three take objects as they are served and give back a value that must be decoded anew.

mod json;
mod merge;
mod strategic;

pub use json::{OPERATIONS_MAX, json_patch};
pub use merge::merge_patch;
pub use strategic::strategic;

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
