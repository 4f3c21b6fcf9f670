//! Patches: JSON patch, merge patch, and the strategic merge patch that knows a type's list keys.
//!
//! All three take objects as they are served and give back a value that must be decoded anew.

mod json;
mod merge;
mod strategic;

pub use json::{COPIED_BYTES_MAX, OPERATIONS_MAX, json_patch};
pub use merge::merge_patch;
pub use strategic::strategic;

use serde_json::Value;

use crate::decode::go_kind;
use crate::schema::{Id, Schemas};
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

/// What a patch's text means.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Form {
    /// Operations one after another, as RFC 6902.
    Json,
    /// An object laid over the document, as RFC 7386.
    Merge,
    /// The same, but lists are merged as their fields say, and directives tell what goes.
    Strategic,
}

impl Form {
    /// `document`, of the type `id`, with `patch`.
    ///
    /// # Errors
    /// When the patch is none, has too many operations, or does not fit the document.
    pub fn patched(self, schemas: &Schemas, id: Id, document: &Value, patch: &Value) -> Result<Value, PatchError> {
        match self {
            Self::Json => json_patch(document, patch),
            Self::Strategic => strategic(schemas, id, document, patch),
            Self::Merge if patch.is_object() => {
                let mut patched = document.clone();
                merge_patch(&mut patched, patch);
                Ok(patched)
            }
            Self::Merge => Err(PatchError::no_object(patch)),
        }
    }
}

impl PatchError {
    /// A patch that is to be an object and is none.
    fn no_object(patch: &Value) -> Self {
        let found = go_kind(patch);
        Self::Malformed(format!(
            "error decoding patch: json: cannot unmarshal {found} into Go value of type map[string]interface {{}}"
        ))
    }
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
