//! The index, rebuilt from the folder at start.
//!
//! What does not fit (a strange file name, a tag without its manifest, a manifest without its content) is left where it
//! is and out of the index, with a word in the log: the store must come up, and somebody may want to look.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::layout::{BLOBS, Layout, MANIFESTS, TAGS, digest_of};
use super::pulled::Pulled;
use super::repositories::manifest_state;
use super::state::State;
use super::uploads::{Upload, UploadId};
use super::{Error, io_error};
use crate::digest::Digest;
use crate::manifest::MANIFEST_BYTES_MAX;
use crate::reference::{RepositoryName, is_tag};

/// Reads the whole folder. Unfinished uploads that rest since before `uploads_since` are removed.
pub(super) fn scan(layout: &Layout, uploads_since: SystemTime) -> Result<State, Error> {
    let mut state = State::default();
    for algorithm in ["sha256", "sha512"] {
        for folder in children(&layout.root().join(algorithm))? {
            for file in children(&folder.path)? {
                match Digest::parse(&format!("{algorithm}:{}", file.name)) {
                    Ok(digest) => state.add_blob(digest, file.size_bytes, file.modified),
                    Err(_) => left_out(&file.path, "its name is no digest"),
                }
            }
        }
    }
    scan_repositories(layout, &mut state)?;
    for file in children(&layout.pulled())? {
        match Pulled::read(&file.path, file.modified) {
            Some(pulled) if state.blobs.contains_key(&pulled.wasm) => {
                state.pulled.insert(pulled.reference.clone(), pulled);
            }
            _ => left_out(&file.path, "it is no record of an image that is here"),
        }
    }
    for folder in children(&layout.uploads())? {
        let upload = folder.name.parse::<UploadId>().ok().and_then(|id| Some((id, Upload::reopen(&folder.path)?)));
        match upload {
            Some((id, upload)) if upload.touched >= uploads_since => {
                state.incoming_bytes += upload.offset;
                state.uploads.insert(id, upload);
            }
            _ => {
                if let Err(error) = fs::remove_dir_all(&folder.path) {
                    tracing::warn!(path = %folder.path.display(), %error, "cannot remove an expired upload");
                }
            }
        }
    }
    Ok(state)
}

fn scan_repositories(layout: &Layout, state: &mut State) -> Result<(), Error> {
    let root = layout.repositories();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        let name = folder.strip_prefix(&root).ok().and_then(Path::to_str).and_then(|it| RepositoryName::parse(it).ok());
        for child in children(&folder)? {
            if !child.name.starts_with('_') {
                folders.push(child.path);
            } else if let Some(name) = &name {
                scan_repository(&child, name, layout, state)?;
            }
        }
    }
    // A tag is read before or after its manifest, so only now it can be told whether it is there.
    for repository in state.repositories.values_mut() {
        let manifests = &repository.manifests;
        repository.tags.retain(|_, digest| manifests.contains_key(digest));
    }
    state.repositories.retain(|_, repository| !repository.is_empty());
    Ok(())
}

fn scan_repository(folder: &Child, name: &RepositoryName, layout: &Layout, state: &mut State) -> Result<(), Error> {
    for file in children(&folder.path)? {
        let digest = digest_of(&file.name);
        match (folder.name.as_str(), digest) {
            (MANIFESTS, Some(digest)) => scan_manifest(&file, name, digest, layout, state)?,
            (BLOBS, Some(digest)) if state.blobs.contains_key(&digest) => {
                state.repositories.entry(name.clone()).or_default().blobs.insert(digest);
            }
            (TAGS, _) if is_tag(&file.name) => {
                let content = fs::read_to_string(&file.path).map_err(io_error("read", &file.path))?;
                match Digest::parse(content.trim()) {
                    Ok(digest) => {
                        state.repositories.entry(name.clone()).or_default().tags.insert(file.name, digest);
                    }
                    Err(_) => left_out(&file.path, "it holds no digest"),
                }
            }
            _ => left_out(&file.path, "its name or content is unknown"),
        }
    }
    Ok(())
}

fn scan_manifest(
    file: &Child,
    name: &RepositoryName,
    digest: Digest,
    layout: &Layout,
    state: &mut State,
) -> Result<(), Error> {
    if state.blobs.get(&digest).is_none_or(|blob| blob.size_bytes > MANIFEST_BYTES_MAX) {
        left_out(&file.path, "its content is not here");
        return Ok(());
    }
    let media_type = fs::read_to_string(&file.path).map_err(io_error("read", &file.path))?;
    let path = layout.blob(&digest);
    let content = fs::read(&path).map_err(io_error("read", &path))?;
    match manifest_state(&content, Some(media_type.trim()), file.modified) {
        Ok(manifest) => {
            state.repositories.entry(name.clone()).or_default().manifests.insert(digest, manifest);
        }
        Err(_) => left_out(&file.path, "its content is no manifest"),
    }
    Ok(())
}

struct Child {
    name: String,
    path: PathBuf,
    size_bytes: u64,
    modified: SystemTime,
}

/// What a folder holds; nothing if it is not there.
fn children(folder: &Path) -> Result<Vec<Child>, Error> {
    let at = |error| io_error("read", folder)(error);
    let files = match fs::read_dir(folder) {
        Ok(files) => files,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(at(error)),
    };
    let mut children = Vec::new();
    for file in files {
        let file = file.map_err(at)?;
        let Ok(name) = file.file_name().into_string() else {
            left_out(&file.path(), "its name is no UTF-8");
            continue;
        };
        let facts = file.metadata().map_err(at)?;
        let modified = facts.modified().map_err(at)?;
        children.push(Child { name, path: file.path(), size_bytes: facts.len(), modified });
    }
    Ok(children)
}

fn left_out(path: &Path, why: &str) {
    tracing::warn!(path = %path.display(), why, "a file of the content store is left out");
}
