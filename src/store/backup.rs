//! A consistent copy of a store while it goes on.
//!
//! The copy is a database of its own, written beside its final place and renamed when it is whole. It is marked so
//! that a store opened from it jumps [`RESTORE_GAP`] revisions ahead: the original gave out revisions after the copy
//! was made, and none of them may come to name another state.

use std::path::{Path, PathBuf};

use redb::Database;

use crate::disk::format::{self, MIGRATIONS};
use crate::disk::{Meta, Snapshot, Tables, open, write_tables};
use crate::{Change, CommitError, Revision};

/// Revisions that a restored store leaves out: more than a store gives out between two backups, at 10,000 a second a
/// whole day. 64 bits hold them for as many restores as anybody will ever do.
const RESTORE_GAP: u64 = 1_000_000_000;

/// What the values copied in one transaction may weigh, which bounds its memory; the row that gets over it is the last.
const TRANSACTION_BYTES_MAX: usize = 8 << 20;

/// Rows copied in one transaction, for the same reason where values are small.
const TRANSACTION_ROWS_MAX: usize = 4096;

/// Why a copy could not be made. A file that was at its place is still there.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The store could not give a consistent view of itself.
    #[error("the backup {} cannot be made: {source}", path.display())]
    Store {
        /// Where it was to be.
        path: PathBuf,
        /// What went wrong.
        source: CommitError,
    },
    /// Reading or writing failed.
    #[error("the backup {} cannot be written: {source}", path.display())]
    Write {
        /// Where it was to be.
        path: PathBuf,
        /// What went wrong.
        source: redb::Error,
    },
    /// The runtime ended meanwhile.
    #[error("the backup {} was given up", path.display())]
    GivenUp {
        /// Where it was to be.
        path: PathBuf,
    },
}

/// Copies `snapshot` to `path`; the file can be read by its owner alone.
pub(crate) fn write(snapshot: &Snapshot, path: &Path) -> Result<(), BackupError> {
    copy(snapshot, path).map_err(|source| BackupError::Write { path: path.to_owned(), source })
}

fn copy(snapshot: &Snapshot, path: &Path) -> Result<(), redb::Error> {
    let unnamed = open::unnamed(path)?;
    let mut database = open::builder().create(unnamed.path())?;
    let mut rows = Vec::new();
    let mut bytes = 0;
    snapshot.each(|row| {
        bytes += row.value.len();
        rows.push(row.to_change());
        if rows.len() == TRANSACTION_ROWS_MAX || bytes >= TRANSACTION_BYTES_MAX {
            append(&database, &rows, |_| Ok(()))?;
            rows.clear();
            bytes = 0;
        }
        Ok(true)
    })?;
    let after = Revision(snapshot.revision.0 + RESTORE_GAP);
    append(&database, &rows, |tables| {
        tables.set_format(format::current(MIGRATIONS))?;
        tables.set_meta(Meta { ceiling: after, compacted: after, is_clean: true })
    })?;
    database.compact()?;
    database.close()?;
    unnamed.as_file().sync_all()?;
    unnamed.persist(path).map_err(|error| error.error)?;
    Ok(open::sync_folder(path)?)
}

fn append(
    database: &Database,
    rows: &[Change],
    then: impl FnOnce(&mut Tables<'_>) -> Result<(), redb::Error>,
) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    write_tables(&transaction, |tables| {
        rows.iter().try_for_each(|change| tables.put(change))?;
        then(tables)
    })?;
    Ok(transaction.commit()?)
}
