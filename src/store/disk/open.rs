//! Opening the file: who else has it, which format it is of, whether it can be read.

use std::fmt;
use std::path::{Path, PathBuf};

use redb::{Builder, Database, DatabaseError};
use tempfile::NamedTempFile;

use super::Disk;
use super::format::{self, MIGRATIONS, Migration, Verdict};

/// redb's own cache. Readers have their own copy in memory, so it only serves the pages of the commit at hand.
const CACHE_BYTES: usize = 16 << 20;

/// Where the bytes are.
pub(crate) enum Backend {
    /// In a file.
    File(PathBuf),
    /// Wherever a test puts them; called again when the store reopens after a failure.
    #[cfg(test)]
    Custom(Box<dyn Fn() -> Box<dyn redb::StorageBackend> + Send>),
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Backend({self})")
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            #[cfg(test)]
            Self::Custom(_) => f.write_str("the test's disk"),
        }
    }
}

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has the file open.
    #[error("{place} is in use by another process: stop that one, or choose another data directory")]
    InUse {
        /// The file.
        place: String,
    },
    /// A later version wrote it.
    #[error(
        "{place} has format {found}, and this version knows formats up to {known}: \
         start it with the version that wrote it, or a later one"
    )]
    NewerFormat {
        /// The file.
        place: String,
        /// Its format.
        found: u64,
        /// The newest that this version knows.
        known: u64,
    },
    /// It is not what we wrote.
    #[error("{place} is broken ({reason}): restore it from a backup with `minke up --restore FILE`")]
    Broken {
        /// The file.
        place: String,
        /// What is wrong.
        reason: String,
    },
    /// There is no space to open it.
    #[error("the disk that holds {place} is full: free some space and start again")]
    Full {
        /// The file.
        place: String,
    },
    /// The system refused.
    #[error("{place} cannot be opened: {source}")]
    Io {
        /// The file.
        place: String,
        /// What the system said.
        source: redb::Error,
    },
    /// An older format could not be kept or migrated; the file still has it.
    #[error("{place} could not be brought from format {found} to format {known}: {reason}")]
    Migration {
        /// The file.
        place: String,
        /// Its format.
        found: u64,
        /// Ours.
        known: u64,
        /// What went wrong.
        reason: String,
    },
    /// The writer's thread could not be started.
    #[error("the store's thread could not be started: {0}")]
    Thread(std::io::Error),
}

/// Opens what is at `backend`, making it if nothing is there and bringing an older format to ours.
pub(crate) fn open(backend: Backend, migrations: &[Migration]) -> Result<Disk, OpenError> {
    let mut disk = Disk { database: Some(database(&backend)?), backend };
    let known = format::current(migrations);
    let (found, has_tables) = disk.format().map_err(|error| disk.unopened(error))?;
    let place = || disk.backend.to_string();
    match format::verdict(found, has_tables, known) {
        Verdict::Ours => {}
        Verdict::New => disk.write(|tables| tables.set_format(known)).map_err(|error| disk.unopened(error))?,
        Verdict::Newer(found) => return Err(OpenError::NewerFormat { place: place(), found, known }),
        Verdict::Unknown => return Err(broken(place(), "it is a database of another program".to_owned())),
        Verdict::Older(found) => migrate(&mut disk, found, migrations).map_err(|reason| OpenError::Migration {
            place: disk.backend.to_string(),
            found,
            known,
            reason,
        })?,
    }
    Ok(disk)
}

/// Reads through the copy at `path` of a store that errors call `named`: it is whole, and of a format that is known.
pub(crate) fn check(path: &Path, named: &Path) -> Result<(), OpenError> {
    let place = || named.display().to_string();
    let described = |error: redb::Error| describe(place(), error);
    let mut database = builder().open(path).map_err(|error| described(error.into()))?;
    if !database.check_integrity().map_err(|error| described(error.into()))? {
        return Err(broken(place(), "what it holds is not what was written".to_owned()));
    }
    let disk = Disk { database: Some(database), backend: Backend::File(path.to_owned()) };
    let known = format::current(MIGRATIONS);
    let (found, has_tables) = disk.format().map_err(described)?;
    match format::verdict(found, has_tables, known) {
        Verdict::Ours | Verdict::Older(_) => Ok(()),
        Verdict::Newer(found) => Err(OpenError::NewerFormat { place: place(), found, known }),
        Verdict::New | Verdict::Unknown => Err(broken(place(), "it is no store of Minke".to_owned())),
    }
}

/// Keeps a copy of the file as it is and takes the steps to our format, all or none.
fn migrate(disk: &mut Disk, found: u64, migrations: &[Migration]) -> Result<(), String> {
    // Closed, the file is whole: the copy needs no repair.
    disk.database = None;
    match &disk.backend {
        Backend::File(path) => {
            let copy = format::keep_copy(path, found).map_err(|error| error.to_string())?;
            tracing::info!(file = %path.display(), copy = %copy.display(), format = found, "migrating an older format");
        }
        #[cfg(test)]
        Backend::Custom(_) => {}
    }
    disk.reopen().map_err(|error| error.to_string())?;
    disk.transact(|transaction| format::migrate(transaction, found, migrations)).map_err(|error| error.to_string())
}

/// Opens redb, repairing the file after a crash.
pub(super) fn database(backend: &Backend) -> Result<Database, OpenError> {
    let opened = match backend {
        Backend::File(path) if path.exists() => builder().create(path),
        Backend::File(path) => make(path),
        #[cfg(test)]
        Backend::Custom(make) => builder().create_with_backend(super::boxed::Boxed(make())),
    };
    opened.map_err(|error| match error {
        DatabaseError::DatabaseAlreadyOpen => OpenError::InUse { place: backend.to_string() },
        other => describe(backend.to_string(), other.into()),
    })
}

/// How every database of ours is opened.
pub(crate) fn builder() -> Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

/// Makes a new file that only its owner can read, since it will hold secrets. It gets its name when it is whole: a
/// crash in between leaves none, and not one that can never be opened.
fn make(path: &Path) -> Result<Database, DatabaseError> {
    let unnamed = unnamed(path)?;
    let database = builder().create(unnamed.path())?;
    match unnamed.persist_noclobber(path) {
        Ok(_) => {
            sync_folder(path)?;
            Ok(database)
        }
        // Another process was faster: it is the one that has the store.
        Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => builder().create(path),
        Err(error) => Err(error.error.into()),
    }
}

/// A file for its owner alone beside `path`, which vanishes unless it is given that name. A crash may leave one behind;
/// whatever begins with `.store-` can be deleted.
pub(crate) fn unnamed(path: &Path) -> std::io::Result<NamedTempFile> {
    tempfile::Builder::new().prefix(".store-").tempfile_in(folder(path))
}

/// Makes a new name in the folder of `path` survive a crash.
pub(crate) fn sync_folder(path: &Path) -> std::io::Result<()> {
    std::fs::File::open(folder(path))?.sync_all()
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// An opening error by what its reader can do about it.
pub(super) fn describe(place: String, error: redb::Error) -> OpenError {
    match error {
        redb::Error::Corrupted(reason) => broken(place, reason),
        redb::Error::UpgradeRequired(found) => broken(place, format!("it has redb's file format {found}")),
        redb::Error::Io(source) if source.kind() == std::io::ErrorKind::InvalidData => {
            broken(place, source.to_string())
        }
        error if super::is_full(&error) => OpenError::Full { place },
        source => OpenError::Io { place, source },
    }
}

/// An error that only a backup can mend.
pub(crate) fn broken(place: String, reason: String) -> OpenError {
    OpenError::Broken { place, reason }
}
