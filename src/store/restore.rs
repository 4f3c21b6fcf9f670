//! A store from a backup: copied beside its place, read through, and named when it is whole and on the disk.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::disk::open::{self, OpenError};

/// Why a backup was not restored. Nothing is at its place then.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// There is a store already.
    #[error(
        "{} is there already: restore {} into an empty data directory, or move that file away",
        path.display(), backup.display()
    )]
    Occupied {
        /// What is there.
        path: PathBuf,
        /// What was to be restored.
        backup: PathBuf,
    },
    /// The backup is none, or not whole.
    #[error("the backup {} is broken ({reason}): restore another one", backup.display())]
    Broken {
        /// What was to be restored.
        backup: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Its copy cannot be opened.
    #[error(transparent)]
    Unusable(OpenError),
    /// Copying failed.
    #[error("{} cannot be restored: {source}", backup.display())]
    Copy {
        /// What was to be restored.
        backup: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The runtime ended meanwhile.
    #[error("restoring was given up")]
    GivenUp,
}

pub(crate) fn restore(backup: &Path, path: &Path) -> Result<(), RestoreError> {
    let failed = |source| RestoreError::Copy { backup: backup.to_owned(), source };
    let occupied = || RestoreError::Occupied { path: path.to_owned(), backup: backup.to_owned() };
    if path.try_exists().map_err(failed)? {
        return Err(occupied());
    }
    let mut copy = open::unnamed(path).map_err(failed)?;
    let mut from = File::open(backup).map_err(failed)?;
    std::io::copy(&mut from, copy.as_file_mut()).map_err(failed)?;
    open::check(copy.path(), backup).map_err(|error| match error {
        OpenError::Broken { reason, .. } => RestoreError::Broken { backup: backup.to_owned(), reason },
        other => RestoreError::Unusable(other),
    })?;
    copy.as_file().sync_all().map_err(failed)?;
    copy.persist_noclobber(path).map_err(|error| match error.error.kind() {
        std::io::ErrorKind::AlreadyExists => occupied(),
        _ => failed(error.error),
    })?;
    open::sync_folder(path).map_err(failed)
}
