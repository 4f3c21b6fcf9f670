//! Paths of the store, and writes that are whole or not there.
//!
//! Every name in a path comes from a checked type (digest, repository name, tag, UUID), so none can leave the folder.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use base::files::{Access, make_folder};
use tempfile::{NamedTempFile, TempPath};

use super::removal::{Removal, RootId};
use super::uploads::UploadId;
use super::{Error, io_error};
use crate::digest::Digest;
use crate::reference::RepositoryName;

/// Names in a repository's folder that begin with `_`, as no repository name can.
pub(super) const MANIFESTS: &str = "_manifests";
pub(super) const TAGS: &str = "_tags";
pub(super) const BLOBS: &str = "_blobs";

/// Where everything lies.
#[derive(Debug)]
pub(super) struct Layout {
    root: PathBuf,
}

impl Layout {
    /// Makes the folders, and empties the one for temporary files: whoever wrote there is gone.
    pub(super) fn make(root: &Path) -> Result<Self, Error> {
        let layout = Self { root: root.to_owned() };
        match fs::remove_dir_all(layout.temporary()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(io_error("empty", &layout.temporary())(error));
            }
            _ => {}
        }
        let folders = [root.to_owned(), layout.temporary(), layout.uploads(), layout.repositories(), layout.pulled()];
        for folder in &folders {
            layout.make_folder(folder)?;
        }
        Ok(layout)
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn uploads(&self) -> PathBuf {
        self.root.join("uploads")
    }

    pub(super) fn repositories(&self) -> PathBuf {
        self.root.join("repositories")
    }

    pub(super) fn pulled(&self) -> PathBuf {
        self.root.join("pulled")
    }

    fn temporary(&self) -> PathBuf {
        self.root.join("temporary")
    }

    /// Content, spread over 256 folders so that none grows large.
    pub(super) fn blob(&self, digest: &Digest) -> PathBuf {
        let prefix = digest.hex().get(..2).unwrap_or_default();
        self.root.join(digest.algorithm().name()).join(prefix).join(digest.hex())
    }

    pub(super) fn upload(&self, id: UploadId) -> PathBuf {
        self.uploads().join(id.to_string())
    }

    pub(super) fn repository(&self, name: &RepositoryName) -> PathBuf {
        self.repositories().join(name.as_str())
    }

    pub(super) fn manifest(&self, name: &RepositoryName, digest: &Digest) -> PathBuf {
        self.repository(name).join(MANIFESTS).join(file_name(digest))
    }

    pub(super) fn tag(&self, name: &RepositoryName, tag: &str) -> PathBuf {
        self.repository(name).join(TAGS).join(tag)
    }

    pub(super) fn link(&self, name: &RepositoryName, digest: &Digest) -> PathBuf {
        self.repository(name).join(BLOBS).join(file_name(digest))
    }

    pub(super) fn pulled_record(&self, reference: &str) -> PathBuf {
        self.pulled().join(Digest::of(reference.as_bytes()).hex())
    }

    /// A new temporary file, for the owner alone; it is removed when dropped.
    pub(super) fn temporary_file(&self) -> Result<(File, TempPath), Error> {
        let folder = self.temporary();
        let file = NamedTempFile::new_in(&folder).map_err(io_error("create a file in", &folder))?;
        Ok(file.into_parts())
    }

    /// Writes a small file so that a crash leaves the old one or the new one.
    pub(super) fn write(&self, path: &Path, content: &[u8]) -> Result<(), Error> {
        let (mut file, temporary) = self.temporary_file()?;
        file.write_all(content).map_err(io_error("write", path))?;
        file.sync_all().map_err(io_error("write", path))?;
        self.place(temporary, path)
    }

    /// Gives a synced temporary file its name, durably.
    pub(super) fn place(&self, temporary: TempPath, path: &Path) -> Result<(), Error> {
        let folder = path.parent().unwrap_or(&self.root);
        self.make_folder(folder)?;
        temporary.persist(path).map_err(|failed| io_error("write", path)(failed.error))?;
        sync_folder(folder)
    }

    /// Makes a folder for the owner alone, durably.
    pub(super) fn make_folder(&self, folder: &Path) -> Result<(), Error> {
        if folder.is_dir() {
            return Ok(());
        }
        let missing: Vec<&Path> = folder.ancestors().take_while(|ancestor| !ancestor.is_dir()).collect();
        for folder in missing.into_iter().rev() {
            make_folder(folder, Access::Private).map_err(|error| io_error("make", folder)(error.source))?;
            if let Some(parent) = folder.parent().filter(|parent| parent.starts_with(&self.root)) {
                sync_folder(parent)?;
            }
        }
        Ok(())
    }

    /// Removes the files of what the index has forgotten. A file that cannot be removed is told in the log and found
    /// again at the next start.
    pub(super) fn remove(&self, removal: &Removal) {
        // Names go before content: a crash in between leaves content without a name, never a name without content.
        for root in &removal.roots {
            match root {
                RootId::Pulled(reference) => remove_file(&self.pulled_record(reference)),
                RootId::Manifest(name, digest) => self.remove_manifest(name, digest),
            }
        }
        for digest in &removal.blobs {
            remove_file(&self.blob(digest));
        }
    }

    /// Removes a manifest's name and the tags that stand for it.
    pub(super) fn remove_manifest(&self, name: &RepositoryName, digest: &Digest) {
        let tags = self.repository(name).join(TAGS);
        let text = digest.to_string();
        for tag in fs::read_dir(&tags).into_iter().flatten().flatten() {
            if fs::read_to_string(tag.path()).is_ok_and(|content| content.trim() == text) {
                remove_file(&tag.path());
            }
        }
        remove_file(&self.manifest(name, digest));
    }
}

/// Makes renames and new names in a folder survive a crash.
pub(super) fn sync_folder(folder: &Path) -> Result<(), Error> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(io_error("sync", folder))
}

/// Removes a file, if it is there.
pub(super) fn remove_file(path: &Path) {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(path = %path.display(), %error, "cannot remove a file of the content store");
        }
        _ => {}
    }
}

/// Dates a file, so that the order of use survives a restart. It matters to nothing else, so a failure is only told.
pub(super) fn touch(path: &Path, used: SystemTime) {
    if let Err(error) = File::open(path).and_then(|file| file.set_modified(used)) {
        tracing::debug!(path = %path.display(), %error, "cannot date a file of the content store");
    }
}

/// A digest as a file's name: colons are not for file names everywhere.
fn file_name(digest: &Digest) -> String {
    format!("{}-{}", digest.algorithm().name(), digest.hex())
}

/// The digest that a file's name stands for.
pub(super) fn digest_of(file_name: &str) -> Option<Digest> {
    Digest::parse(&file_name.replacen('-', ":", 1)).ok()
}
