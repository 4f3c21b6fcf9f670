//! One row of the log as bytes.
//!
//! ```text
//! kind (1 byte: 0 put, 1 removal) | created (8, little endian) | key length (2, little endian) | key | value
//! ```

use std::sync::Arc;

use bytes::Bytes;

use crate::{Change, Revision};

/// Bytes before the key.
const HEAD_BYTES: usize = 11;

/// The kinds of rows.
const PUT: u8 = 0;
const REMOVAL: u8 = 1;

/// A row that was read and not yet copied out of the database.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Row<'b> {
    pub revision: Revision,
    pub is_removal: bool,
    /// The change that began this life of the key.
    pub created: Revision,
    pub key: &'b str,
    pub value: &'b [u8],
}

impl<'b> Row<'b> {
    /// The row's parts; `None` when the bytes are not such a row.
    pub(crate) fn parse(revision: Revision, bytes: &'b [u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        let (created, rest) = rest.split_first_chunk::<8>()?;
        let (length, rest) = rest.split_first_chunk::<2>()?;
        let (key, value) = rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
        let is_removal = match *kind {
            PUT => false,
            REMOVAL => true,
            _ => return None,
        };
        let created = Revision(u64::from_le_bytes(*created));
        Some(Self { revision, is_removal, created, key: std::str::from_utf8(key).ok()?, value })
    }

    /// The same, on its own.
    pub(crate) fn to_change(self) -> Change {
        Change {
            revision: self.revision,
            key: Arc::from(self.key),
            value: (!self.is_removal).then(|| Bytes::copy_from_slice(self.value)),
            created: self.created,
        }
    }
}

/// The bytes of the row that holds `change`, whose key is at most [`crate::KEY_BYTES_MAX`] long.
pub(crate) fn encode(change: &Change) -> Vec<u8> {
    debug_assert!(change.key.len() <= crate::KEY_BYTES_MAX, "keys are checked before they are numbered");
    let value = change.value.as_deref().unwrap_or_default();
    let mut row = Vec::with_capacity(HEAD_BYTES + change.key.len() + value.len());
    row.push(if change.value.is_some() { PUT } else { REMOVAL });
    row.extend_from_slice(&change.created.0.to_le_bytes());
    row.extend_from_slice(&u16::try_from(change.key.len()).unwrap_or(u16::MAX).to_le_bytes());
    row.extend_from_slice(change.key.as_bytes());
    row.extend_from_slice(value);
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(key: &str, value: Option<&[u8]>) {
        let value = value.map(Bytes::copy_from_slice);
        let change = Change { revision: Revision(7), key: key.into(), value, created: Revision(u64::MAX) };
        let bytes = encode(&change);
        assert_eq!(Row::parse(Revision(7), &bytes).map(Row::to_change), Some(change));
    }

    #[test]
    fn a_row_reads_as_it_was_written() {
        check("/minke/1/core/pods/default/web", Some(b"{}"));
        check("", Some(b""));
        check("gone", None);
        check(&"k".repeat(crate::KEY_BYTES_MAX), Some(&[0xff; 4096]));
    }

    #[test]
    fn what_is_no_row_is_not_read_as_one() {
        let whole = encode(&Change { revision: Revision(1), key: "key".into(), value: None, created: Revision(1) });
        for length in 0..whole.len() {
            assert_eq!(Row::parse(Revision(1), &whole[..length]), None, "{length} bytes of {}", whole.len());
        }
        let mut unknown = whole.clone();
        unknown[0] = 9;
        assert_eq!(Row::parse(Revision(1), &unknown), None, "a kind of a later format");
        let mut binary = whole;
        binary[HEAD_BYTES] = 0xff;
        assert_eq!(Row::parse(Revision(1), &binary), None, "a key that is not text");
    }
}
