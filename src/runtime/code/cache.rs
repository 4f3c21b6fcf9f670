//! Compiled code on disk.
//!
//! An artifact is native code that this process will jump into, so only what our own compiler wrote may be loaded.
//! The folder is private to our user; a file is complete when it has its name (written aside, synced, renamed), is
//! never written to afterwards, and its name is `KEY.CHECKSUM.cwasm`: what it was compiled from and for, and the
//! SHA-256 of its bytes. A file whose bytes do not give its name is not ours or is broken: it is removed, and the
//! program compiled anew.
//!
//! When the files exceed their bound, the least recently used go, but none that is loaded: its pods may start again.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use base::files::{Access, make_folder};
use sha2::{Digest as _, Sha256};
use wasmtime::component::Component;
use wasmtime::{Engine, Module, Precompiled};

/// What an artifact was compiled from and for.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Key([u8; 32]);

/// The cache; see the module. All calls do file work and block.
#[derive(Debug)]
pub(crate) struct Cache {
    folder: PathBuf,
    /// Bytes of all files together, unless those in use alone are more.
    max_bytes: u64,
    state: Mutex<State>,
    staged: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    files: HashMap<Key, Held>,
    /// Bytes of all `files`.
    bytes: u64,
    /// Counts uses, to order them.
    uses: u64,
}

#[derive(Debug)]
struct Held {
    checksum: [u8; 32],
    size_bytes: u64,
    used: u64,
    /// Shared with whoever uses the file, which then stays.
    in_use: Arc<()>,
}

/// An artifact whose checksum was found right. Only the cache makes them.
#[derive(Debug)]
pub(crate) struct Artifact {
    path: PathBuf,
    kept: Kept,
}

/// Keeps a file in the cache until it is dropped.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    _in_use: Arc<()>,
}

/// A program in native code.
pub(crate) enum Native {
    Module(Module),
    Component(Component),
}

/// Why the cache failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// File work failed.
    #[error("cannot {verb} {} in the code cache: {source}", path.display())]
    Io {
        /// What was tried.
        verb: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The folder cannot be had.
    #[error(transparent)]
    Folder(#[from] base::files::Error),
}

const EXTENSION: &str = "cwasm";
const STAGED: &str = "staged";

impl Key {
    /// The key of the program with this digest, compiled for engines of this fingerprint.
    pub(crate) fn new(digest: &str, fingerprint: &[u8; 32]) -> Self {
        let hash = Sha256::new().chain_update(fingerprint).chain_update(digest.as_bytes());
        Self(hash.finalize().into())
    }
}

impl Cache {
    /// Opens the folder, making it if needed, and removes what an interrupted compiler left there.
    pub(crate) fn open(folder: PathBuf, max_bytes: u64) -> Result<Self, Error> {
        make_folder(&folder, Access::Private)?;
        let mut found = Vec::new();
        for file in fs::read_dir(&folder).map_err(at("list", &folder))? {
            let file = file.map_err(at("list", &folder))?;
            let path = file.path();
            let Some((key, checksum)) = path.file_name().and_then(|name| parse_name(name.to_str()?)) else {
                remove(&path);
                continue;
            };
            let facts = file.metadata().map_err(at("read", &path))?;
            let used = facts.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            found.push((used, key, Held::new(checksum, facts.len())));
        }
        found.sort_by_key(|(used, ..)| *used);
        let mut state = State::default();
        for (_, key, held) in found {
            state.insert(key, held);
        }
        let cache = Self { folder, max_bytes, state: Mutex::new(state), staged: AtomicU64::new(0) };
        cache.evict();
        Ok(cache)
    }

    /// The artifact under `key`, if it is there and whole.
    pub(crate) fn find(&self, key: Key) -> Option<Artifact> {
        let (checksum, kept) = self.lock().touch(key)?;
        // What came free since the last look goes now, if there is too much.
        self.evict();
        let path = self.path(key, &checksum);
        match checksum_of(&path) {
            Ok(found) if found == checksum => {
                // The order of uses outlives the process as the files' times; a failure costs only that order.
                if let Err(error) = File::open(&path).and_then(|file| file.set_modified(base::clock::now().into())) {
                    tracing::debug!(%error, path = %path.display(), "cannot note the use of compiled code");
                }
                Some(Artifact { path, kept })
            }
            Ok(_) => {
                tracing::warn!(path = %path.display(), "compiled code does not match its checksum and is removed");
                self.forget(key);
                None
            }
            Err(error) => {
                tracing::warn!(%error, path = %path.display(), "compiled code cannot be read and is removed");
                self.forget(key);
                None
            }
        }
    }

    /// A fresh name for a compiler to write to.
    pub(crate) fn stage(&self) -> PathBuf {
        let number = self.staged.fetch_add(1, Ordering::Relaxed);
        self.folder.join(format!("{}-{number}.{STAGED}", std::process::id()))
    }

    /// Removes what a compiler that failed may have written.
    pub(crate) fn discard(&self, staged: &Path) {
        if staged.exists() {
            remove(staged);
        }
    }

    /// Takes what a compiler wrote under `key`. The staged file is gone afterwards, whatever comes of it.
    pub(crate) fn admit(&self, key: Key, staged: &Path) -> Result<Artifact, Error> {
        let admitted = self.try_admit(key, staged);
        if admitted.is_err() {
            self.discard(staged);
        }
        admitted
    }

    fn try_admit(&self, key: Key, staged: &Path) -> Result<Artifact, Error> {
        let checksum = checksum_of(staged).map_err(at("read", staged))?;
        let file = File::open(staged).map_err(at("open", staged))?;
        file.sync_all().map_err(at("sync", staged))?;
        let size_bytes = file.metadata().map_err(at("read", staged))?.len();
        let path = self.path(key, &checksum);
        fs::rename(staged, &path).map_err(at("name", &path))?;
        let held = self.replace(key, Held::new(checksum, size_bytes));
        let kept = held.keep();
        self.lock().insert(key, held);
        self.evict();
        Ok(Artifact { path, kept })
    }

    /// Bytes on disk, and their bound.
    pub(crate) fn bytes(&self) -> (u64, u64) {
        (self.lock().bytes, self.max_bytes)
    }

    /// Removes the least recently used of those that nobody uses, until the bound holds.
    fn evict(&self) {
        let mut state = self.lock();
        while state.bytes > self.max_bytes {
            let idle = state.files.iter().filter(|(_, held)| Arc::strong_count(&held.in_use) == 1);
            let Some(oldest) = idle.min_by_key(|(_, held)| held.used).map(|(key, _)| *key) else { break };
            if let Some(held) = state.remove(oldest) {
                remove(&self.path(oldest, &held.checksum));
            }
        }
    }

    fn forget(&self, key: Key) {
        let held = self.lock().remove(key);
        if let Some(held) = held {
            remove(&self.path(key, &held.checksum));
        }
    }

    /// Takes an older artifact of the same key away. One of the very same name is the same file, which may be in use.
    fn replace(&self, key: Key, new: Held) -> Held {
        match self.lock().remove(key) {
            Some(old) if old.checksum == new.checksum => Held { in_use: old.in_use, ..new },
            Some(old) => {
                remove(&self.path(key, &old.checksum));
                new
            }
            None => new,
        }
    }

    fn path(&self, key: Key, checksum: &[u8; 32]) -> PathBuf {
        self.folder.join(format!("{}.{}.{EXTENSION}", hex(&key.0), hex(checksum)))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn insert(&mut self, key: Key, mut held: Held) {
        self.uses += 1;
        held.used = self.uses;
        self.bytes += held.size_bytes;
        if let Some(before) = self.files.insert(key, held) {
            self.bytes -= before.size_bytes;
        }
    }

    fn remove(&mut self, key: Key) -> Option<Held> {
        let held = self.files.remove(&key)?;
        self.bytes -= held.size_bytes;
        Some(held)
    }

    /// Counts a use and gives the checksum that the file must have.
    fn touch(&mut self, key: Key) -> Option<([u8; 32], Kept)> {
        self.uses += 1;
        let held = self.files.get_mut(&key)?;
        held.used = self.uses;
        Some((held.checksum, held.keep()))
    }
}

impl Held {
    fn new(checksum: [u8; 32], size_bytes: u64) -> Self {
        Self { checksum, size_bytes, used: 0, in_use: Arc::new(()) }
    }

    fn keep(&self) -> Kept {
        Kept { _in_use: Arc::clone(&self.in_use) }
    }
}

impl Artifact {
    /// What keeps the file while its code is loaded.
    pub(crate) fn kept(&self) -> Kept {
        self.kept.clone()
    }

    /// Maps the code into this process.
    ///
    /// # Errors
    /// When it was compiled for another engine.
    #[expect(unsafe_code, reason = "native code cannot be proven safe; the argument is at the block")]
    pub(crate) fn load(&self, engine: &Engine) -> wasmtime::Result<Native> {
        let kind = Engine::detect_precompiled_file(&self.path)?;
        // SAFETY: wasmtime asks that the bytes come from a compiler of its own and do not change while they are
        // mapped. The bytes are those that our compiler wrote: an `Artifact` is made only by `Cache::find` and
        // `Cache::admit` after the SHA-256 in the name was found right, so neither a broken disk nor a file dropped
        // in by mistake gets here. The file is never written to after it has its name, only unlinked, which leaves a
        // mapping alone. The folder is open to our own user alone (0700), and whoever acts as that user can change
        // this process without our help. Version and settings of the compiler are checked by wasmtime itself.
        unsafe {
            match kind {
                Some(Precompiled::Module) => Module::deserialize_file(engine, &self.path).map(Native::Module),
                Some(Precompiled::Component) => Component::deserialize_file(engine, &self.path).map(Native::Component),
                None => Err(wasmtime::format_err!("{} holds no compiled code", self.path.display())),
            }
        }
    }
}

/// Key and checksum out of a file's name.
fn parse_name(name: &str) -> Option<(Key, [u8; 32])> {
    let mut parts = name.split('.');
    let (key, checksum) = (unhex(parts.next()?)?, unhex(parts.next()?)?);
    (parts.next()? == EXTENSION && parts.next().is_none()).then_some((Key(key), checksum))
}

fn checksum_of(path: &Path) -> io::Result<[u8; 32]> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = file.read(&mut buffer)?;
        match buffer.get(..read) {
            Some([]) | None => return Ok(hash.finalize().into()),
            Some(bytes) => hash.update(bytes),
        }
    }
}

fn hex(bytes: &[u8; 32]) -> String {
    bytes.iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(bytes)
}

/// Removes a file that nobody needs; one that stays costs room until the next start, which tries again.
fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path) {
        tracing::warn!(%error, path = %path.display(), "cannot remove a file of the code cache");
    }
}

fn at<'a>(verb: &'static str, path: &'a Path) -> impl Fn(io::Error) -> Error + 'a {
    move |source| Error::Io { verb, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        Key::new(name, &[0; 32])
    }

    fn admit(cache: &Cache, name: &str, content: &[u8]) -> Artifact {
        let staged = cache.stage();
        fs::write(&staged, content).unwrap();
        cache.admit(key(name), &staged).unwrap()
    }

    #[test]
    fn what_was_admitted_is_found_also_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path().to_owned(), 100).unwrap();
        admit(&cache, "a", b"code");
        fs::write(cache.stage(), b"half an arti").unwrap();
        let cache = Cache::open(folder.path().to_owned(), 100).unwrap();
        assert!(cache.find(key("a")).is_some());
        assert!(cache.find(key("b")).is_none());
        assert_eq!((cache.bytes(), fs::read_dir(folder.path()).unwrap().count()), ((4, 100), 1));
    }

    #[test]
    fn the_least_recently_used_go_first_and_never_what_is_in_use() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path().to_owned(), 10).unwrap();
        admit(&cache, "a", b"aaaa");
        admit(&cache, "b", b"bbbb");
        assert!(cache.find(key("a")).is_some());
        admit(&cache, "c", b"cccc");
        assert_eq!(["a", "b", "c"].map(|name| cache.find(key(name)).is_some()), [true, false, true]);
        let in_use = cache.find(key("c")).unwrap().kept();
        admit(&cache, "d", b"larger than all");
        assert_eq!(["d", "a", "b", "c"].map(|name| cache.find(key(name)).is_some()), [true, false, false, true]);
        assert_eq!((cache.bytes(), fs::read_dir(folder.path()).unwrap().count()), ((4, 10), 1));
        let same = admit(&cache, "c", b"cccc");
        drop(same);
        admit(&cache, "f", b"ffff");
        assert!(cache.find(key("c")).is_some(), "it is in use still, though it was compiled twice");
        drop(in_use);
        admit(&cache, "e", b"eeee");
        assert_eq!(["c", "f", "e"].map(|name| cache.find(key(name)).is_some()), [true, false, true]);
    }

    #[test]
    fn a_file_that_was_changed_is_refused_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path().to_owned(), 100).unwrap();
        let artifact = admit(&cache, "a", b"code");
        fs::write(&artifact.path, b"evil").unwrap();
        assert!(cache.find(key("a")).is_none());
        assert!(!artifact.path.exists());
    }

    #[test]
    fn names_that_are_not_ours_are_not_read() {
        let whole = format!("{}.{}.{EXTENSION}", "0a".repeat(32), "ff".repeat(32));
        assert_eq!(parse_name(&whole), Some((Key([0x0a; 32]), [0xff; 32])));
        for name in
            ["a.cwasm", "", "x.y.z", &whole.replace("0a", "zz"), &format!("{whole}.old"), &whole.replace(".cwasm", "")]
        {
            assert_eq!(parse_name(name), None, "{name}");
        }
    }
}
