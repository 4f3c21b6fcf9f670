//! Files of a volume that change all at once.
//!
//! As upstream's `AtomicWriter`: the files lie in a folder of their own, `..data` points to it, and each visible name
//! points through `..data`. An update writes a new folder and swaps `..data` by rename, so a guest sees the old files
//! or the new, never a mixture. All links are relative and stay in the volume, so they resolve inside a guest's mount.

use std::collections::BTreeSet;
use std::io;

use cap_std::fs::{Dir, Permissions, PermissionsExt as _};

use super::files::Files;

/// The link to the folder that holds.
const DATA: &str = "..data";
/// The link that replaces it.
const DATA_NEW: &str = "..data_new";

/// Makes `root` hold exactly `files`. What it holds already is left alone, so that nothing changes for a guest.
///
/// # Errors
/// When the disk refuses; the files before are then still whole.
pub(crate) fn write(root: &Dir, files: &Files) -> io::Result<()> {
    let old = root.read_link_contents(DATA).ok().and_then(|path| path.into_os_string().into_string().ok());
    if let Some(old) = &old
        && holds(root, old, files)?
    {
        return link_names(root, files);
    }
    let new = next_folder(old.as_deref());
    // A writer that died left it half made.
    remove_folder(root, &new)?;
    write_folder(root, &new, files)?;
    if root.symlink_metadata(DATA_NEW).is_ok() {
        root.remove_file(DATA_NEW)?;
    }
    root.symlink(&new, DATA_NEW)?;
    root.rename(DATA_NEW, root, DATA)?;
    link_names(root, files)?;
    match old {
        Some(old) => remove_folder(root, &old),
        None => Ok(()),
    }
}

/// Whether the volume at `path` was written before.
pub(crate) fn is_written(pod_dir: &Dir, path: &str) -> bool {
    pod_dir.is_dir(format!("{path}/{DATA}"))
}

/// The name of the folder after `old`: two take turns, since at most one holds.
fn next_folder(old: Option<&str>) -> String {
    match old {
        Some("..a") => "..b".to_owned(),
        _ => "..a".to_owned(),
    }
}

fn holds(root: &Dir, folder: &str, files: &Files) -> io::Result<bool> {
    let Ok(dir) = root.open_dir(folder) else { return Ok(false) };
    let mut count = 0;
    for (path, file) in files {
        let Ok(metadata) = dir.symlink_metadata(path) else { return Ok(false) };
        let is_same = metadata.is_file()
            && metadata.permissions().mode() & 0o777 == readable(file.mode)
            && dir.read(path)? == file.content;
        if !is_same {
            return Ok(false);
        }
        count += 1;
    }
    Ok(count_files(&dir)? == count)
}

fn count_files(dir: &Dir) -> io::Result<usize> {
    let mut count = 0;
    for entry in dir.entries()? {
        let entry = entry?;
        count += if entry.file_type()?.is_dir() { count_files(&entry.open_dir()?)? } else { 1 };
    }
    Ok(count)
}

fn write_folder(root: &Dir, folder: &str, files: &Files) -> io::Result<()> {
    root.create_dir(folder)?;
    let dir = root.open_dir(folder)?;
    for (path, file) in files {
        if let Some((parent, _)) = path.rsplit_once('/') {
            dir.create_dir_all(parent)?;
        }
        dir.write(path, &file.content)?;
        dir.set_permissions(path, Permissions::from_mode(readable(file.mode)))?;
    }
    Ok(())
}

/// The daemon must read what it wrote, whatever mode was asked for.
fn readable(mode: u32) -> u32 {
    mode | 0o400
}

/// Makes a link for the first part of each path and removes those of names that are no more.
fn link_names(root: &Dir, files: &Files) -> io::Result<()> {
    let wanted: BTreeSet<&str> = files.keys().filter_map(|path| path.split('/').next()).collect();
    for entry in root.entries()? {
        let name = entry?.file_name();
        let is_wanted = name.to_str().is_some_and(|name| name.starts_with("..") || wanted.contains(name));
        if !is_wanted {
            root.remove_file(name)?;
        }
    }
    for name in wanted {
        if root.symlink_metadata(name).is_err() {
            root.symlink(format!("{DATA}/{name}"), name)?;
        }
    }
    Ok(())
}

fn remove_folder(root: &Dir, folder: &str) -> io::Result<()> {
    match root.remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use cap_std::ambient_authority;

    use super::super::files::File;
    use super::*;

    fn files(entries: &[(&str, &str)]) -> Files {
        let file = |content: &str| File { content: content.as_bytes().to_vec(), mode: 0o444 };
        entries.iter().map(|(path, content)| ((*path).to_owned(), file(content))).collect()
    }

    fn visible(root: &Dir) -> Vec<String> {
        let mut names: Vec<String> =
            root.entries().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| !name.starts_with(".."));
        names.sort();
        names
    }

    #[test]
    fn an_update_swaps_all_files_and_drops_old_names() {
        let folder = tempfile::tempdir().unwrap();
        let root = Dir::open_ambient_dir(folder.path(), ambient_authority()).unwrap();

        write(&root, &files(&[("a", "1"), ("x/y", "2")])).unwrap();
        assert_eq!(visible(&root), ["a", "x"]);
        assert_eq!(root.read_to_string("x/y").unwrap(), "2");

        write(&root, &files(&[("a", "3"), ("b", "4")])).unwrap();
        assert_eq!(visible(&root), ["a", "b"]);
        assert_eq!(root.read_to_string("a").unwrap(), "3");
        assert!(root.symlink_metadata("..a").is_err(), "the old folder is removed");
    }

    #[test]
    fn the_same_files_change_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let root = Dir::open_ambient_dir(folder.path(), ambient_authority()).unwrap();
        write(&root, &files(&[("a", "1")])).unwrap();
        let before = root.read_link_contents(DATA).unwrap();
        write(&root, &files(&[("a", "1")])).unwrap();
        assert_eq!(root.read_link_contents(DATA).unwrap(), before);
        write(&root, &files(&[])).unwrap();
        assert_eq!(visible(&root), Vec::<String>::new());
    }
}
