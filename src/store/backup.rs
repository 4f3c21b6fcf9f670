//! A consistent copy of a store while it goes on.
//!
//! The copy is a database of its own, written beside its final place and renamed when it is whole. It is marked so
//! that a store opened from it jumps [`RESTORE_GAP`] revisions ahead: the original gave out revisions after the copy
//! was made, and none of them may come to name another state.

use std::path::{Path, PathBuf};

use redb::{Database, Durability};

use crate::Revision;
use crate::disk::{self, Meta, Snapshot};

/// Revisions that a restored store leaves out: more than a store gives out between two backups, at 10,000 a second a
/// whole day.
const RESTORE_GAP: u64 = 1_000_000_000;

/// Rows copied in one transaction, which bounds its memory.
const ROWS_IN_TRANSACTION: usize = 4096;

/// Why a copy could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store was closed meanwhile.
    #[error("the store was closed before the backup was complete")]
    Closed,
    /// Reading or writing failed.
    #[error("the backup {} cannot be written: {source}", path.display())]
    Failed {
        /// Where it was to be.
        path: PathBuf,
        /// What went wrong.
        source: redb::Error,
    },
}

/// Copies `snapshot` to `path`.
pub(crate) fn write(snapshot: &Snapshot, path: &Path) -> Result<(), Error> {
    let failed = |source: redb::Error| Error::Failed { path: path.to_owned(), source };
    let mut sibling = path.as_os_str().to_owned();
    sibling.push(".new");
    let sibling = PathBuf::from(sibling);
    if sibling.exists() {
        std::fs::remove_file(&sibling).map_err(|error| failed(error.into()))?;
    }
    let copied = copy(snapshot, &sibling).and_then(|()| std::fs::rename(&sibling, path).map_err(redb::Error::from));
    if copied.is_err() {
        // What is half written helps nobody; the error that is told is the first one.
        let _ = std::fs::remove_file(&sibling);
    }
    copied.map_err(failed)
}

fn copy(snapshot: &Snapshot, path: &Path) -> Result<(), redb::Error> {
    let database = Database::create(path)?;
    let mut rows = Vec::with_capacity(ROWS_IN_TRANSACTION);
    snapshot.each(Revision(0), |change| {
        rows.push(change);
        if rows.len() == ROWS_IN_TRANSACTION {
            disk::append(&database, &rows, Durability::None, None)?;
            rows.clear();
        }
        Ok(true)
    })?;
    let after = Revision(snapshot.revision.0 + RESTORE_GAP);
    let meta = Meta { ceiling: after, compacted: after, is_clean: false };
    disk::append(&database, &rows, Durability::Immediate, Some(meta))
}
