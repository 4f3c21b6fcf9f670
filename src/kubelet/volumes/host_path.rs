//! Folders of the host that a pod mounts.
//!
//! WASI mounts are folders, and a FIFO or a device can hold up or harm whoever opens it, so only the two directory
//! types are mounted; each other type is refused with the reason.

use std::path::Path;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use k8s_openapi::api::core::v1::HostPathVolumeSource;

/// Why a path of the host is not mounted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Not an absolute path without `..`.
    #[error("hostPath {0:?} must be absolute and must not contain '..'")]
    Path(String),
    /// A type that no guest can be handed.
    #[error("hostPath type {kind} of {path} is not supported: only directories can be mounted into a Wasm guest")]
    Type {
        /// The path.
        path: String,
        /// The type asked for.
        kind: String,
    },
    /// There is something else, or nothing.
    #[error("hostPath type check failed: {0} is not a directory")]
    NotDirectory(String),
    /// The host refuses.
    #[error("cannot open hostPath {path}: {source}")]
    Io {
        /// The path.
        path: String,
        /// What the host said.
        source: std::io::Error,
    },
}

/// Whether the path can be mounted; makes the folder where the type says so.
///
/// # Errors
/// See [`Error`].
pub(crate) fn check(source: &HostPathVolumeSource) -> Result<(), Error> {
    open(source).map(drop)
}

/// The folder behind the path.
///
/// # Errors
/// See [`Error`].
pub(crate) fn open(source: &HostPathVolumeSource) -> Result<Dir, Error> {
    let path = Path::new(&source.path);
    let climbs = path.components().any(|part| part == std::path::Component::ParentDir);
    if !path.is_absolute() || climbs {
        return Err(Error::Path(source.path.clone()));
    }
    let io = |error| Error::Io { path: source.path.clone(), source: error };
    match source.type_.as_deref() {
        None | Some("" | "Directory") => {}
        Some("DirectoryOrCreate") => Dir::create_ambient_dir_all(path, ambient_authority()).map_err(io)?,
        Some(kind) => return Err(Error::Type { path: source.path.clone(), kind: kind.to_owned() }),
    }
    match Dir::open_ambient_dir(path, ambient_authority()) {
        Ok(dir) => Ok(dir),
        Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
            Err(Error::NotDirectory(source.path.clone()))
        }
        Err(error) => Err(io(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &Path, kind: &str) -> Result<(), String> {
        let source = HostPathVolumeSource { path: path.to_str().unwrap().to_owned(), type_: Some(kind.to_owned()) };
        super::check(&source).map_err(|error| error.to_string())
    }

    #[test]
    fn folders_are_mounted_and_all_else_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let none = folder.path().join("none");

        assert_eq!(check(folder.path(), ""), Ok(()));
        assert_eq!(check(folder.path(), "Directory"), Ok(()));
        assert!(check(&none, "Directory").unwrap_err().ends_with("is not a directory"));
        assert!(check(&file, "").unwrap_err().ends_with("is not a directory"));
        assert_eq!(check(&none, "DirectoryOrCreate"), Ok(()));
        assert!(none.is_dir());
        for kind in ["File", "FileOrCreate", "Socket", "CharDevice", "BlockDevice"] {
            assert!(check(&file, kind).unwrap_err().contains("not supported"), "{kind}");
        }
        assert!(check(&folder.path().join("../x"), "").unwrap_err().contains("must not contain '..'"));
    }
}
