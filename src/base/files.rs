//! Small files that are either the old text or the new, whatever happens in between.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Who may read a file or folder that we make.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Access {
    /// The owner alone: keys, tokens, kubeconfig (0600; folders 0700).
    Private,
    /// Everyone may read (0644; folders 0755).
    Public,
}

/// An IO error with the path that it is about.
#[derive(Debug, thiserror::Error)]
#[error("cannot {verb} {}: {source}", path.display())]
pub struct Error {
    verb: &'static str,
    path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

/// Writes `content` to `path` so that a crash leaves the old file or the new one: a sibling file, fsync, rename,
/// fsync of the folder.
///
/// # Errors
/// When the file cannot be written; the old one then still stands.
pub fn write(path: &Path, content: &[u8], access: Access) -> Result<(), Error> {
    let at = |verb| move |source| Error { verb, path: path.to_owned(), source };
    let mut sibling = path.as_os_str().to_owned();
    sibling.push(format!(".{}.new", std::process::id()));
    let sibling = PathBuf::from(sibling);

    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(if access == Access::Private { 0o600 } else { 0o644 });
    }
    let mut file = options.open(&sibling).map_err(at("create"))?;
    file.write_all(content).map_err(at("write"))?;
    file.sync_all().map_err(at("write"))?;
    fs::rename(&sibling, path).map_err(at("replace"))?;
    if let Some(folder) = path.parent() {
        fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(at("write the folder of"))?;
    }
    Ok(())
}

/// Reads a whole file of text; `None` when there is none.
///
/// # Errors
/// When it is there and cannot be read, or is not UTF-8.
pub fn read(path: &Path) -> Result<Option<String>, Error> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error { verb: "read", path: path.to_owned(), source }),
    }
}

/// Makes a folder and those above it; a folder that is there keeps its contents and gets `access`.
///
/// # Errors
/// When it cannot be made or its mode cannot be set.
pub fn make_folder(path: &Path, access: Access) -> Result<(), Error> {
    let at = |verb| move |source| Error { verb, path: path.to_owned(), source };
    fs::create_dir_all(path).map_err(at("create the folder"))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = if access == Access::Private { 0o700 } else { 0o755 };
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(at("set the mode of"))?;
    }
    Ok(())
}
