//! Where a cluster is kept, and that one process alone works there.

use std::fs::{File, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use base::files::{self, Access};

/// The file that says whose the folder is.
const LOCK: &str = "lock";

/// The folder that was asked for, or `minke` in the user's data directory (`XDG_DATA_HOME`, else `~/.local/share`).
pub(crate) fn choose(asked: Option<PathBuf>) -> Result<PathBuf> {
    if let Some(asked) = asked {
        return std::path::absolute(&asked).with_context(|| format!("--data-dir {}", asked.display()));
    }
    if let Some(data) = std::env::var_os("XDG_DATA_HOME").filter(|data| !data.is_empty()) {
        return Ok(PathBuf::from(data).join("minke"));
    }
    let home =
        std::env::home_dir().context("there is no home directory: say where to keep the cluster with --data-dir")?;
    Ok(home.join(".local/share/minke"))
}

/// A data directory that is this process' own until it is dropped or the process ends.
#[derive(Debug)]
pub(crate) struct DataFolder {
    path: PathBuf,
    _lock: File,
}

impl DataFolder {
    /// Chooses the folder, makes it, and takes it before anything in it is read or written.
    ///
    /// # Errors
    /// When another process works there, or the system refuses.
    pub(crate) fn take(asked: Option<PathBuf>) -> Result<Self> {
        let path = choose(asked)?;
        files::make_folder(&path, Access::Private)?;
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let place = path.join(LOCK);
        let locked = || format!("cannot lock {}", place.display());
        let mut lock = options.open(&place).with_context(locked)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let holder = lock.read_to_string(&mut holder).map_or("", |_| holder.trim());
                bail!(
                    "the data directory {} is in use by another Minke (process {holder}): stop that one, or choose \
                     another folder with --data-dir DIR",
                    path.display()
                );
            }
            Err(TryLockError::Error(error)) => return Err(error).with_context(locked),
        }
        // Whose it is, for people.
        lock.set_len(0).and_then(|()| lock.rewind()).with_context(locked)?;
        writeln!(lock, "{}", std::process::id()).with_context(locked)?;
        Ok(Self { path, _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_one_processs_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let take = || DataFolder::take(Some(folder.path().join("data")));
        let first = take().unwrap();
        let refused = take().unwrap_err().to_string();
        assert!(refused.contains(&format!("is in use by another Minke (process {})", std::process::id())), "{refused}");
        drop(first);
        take().unwrap();
    }
}
