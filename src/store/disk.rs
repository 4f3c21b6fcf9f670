//! Rows in redb: the log of changes by revision, and a few numbers about the store.
//!
//! ```text
//! log    revision → kind (1 byte: 0 put, 1 removal) | created (8, little endian) | key length (2) | key | value
//! meta   name → number: format, ceiling, compacted, clean
//! lost   start → end: ranges of revisions that a crash may have lost
//! ```

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use redb::{
    Database, DatabaseError, ReadTransaction, ReadableDatabase as _, ReadableTable as _, StorageBackend,
    TableDefinition, WriteTransaction,
};

use crate::{Change, CommitError, Revision};

/// The format that this version writes.
pub const FORMAT: u64 = 1;

/// redb's own cache. Reads go to memory elsewhere, so it only serves the pages of the commit at hand.
const CACHE_BYTES: usize = 16 << 20;

const LOG: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("log");
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const LOST: TableDefinition<'_, u64, u64> = TableDefinition::new("lost");

/// Bytes before the key in a row.
const ROW_HEAD_BYTES: usize = 11;

/// Migrations: the one at place `n` makes format `n + 2` of format `n + 1`.
const MIGRATIONS: [fn(&WriteTransaction) -> Result<(), redb::Error>; 0] = [];

/// Where the bytes are.
pub enum Backend {
    /// In a file.
    File(PathBuf),
    /// Wherever a test puts them; called again when the store reopens after a failure.
    Custom(Box<dyn Fn() -> Box<dyn StorageBackend> + Send>),
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Custom(_) => f.write_str("Custom"),
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
        "{place} has format {found}, this version knows formats up to {FORMAT}: start it with the version that wrote it, or a later one"
    )]
    Newer {
        /// The file.
        place: String,
        /// Its format.
        found: u64,
    },
    /// It is not what we wrote.
    #[error("{place} is broken ({reason}): restore it from a backup with `minke up --restore FILE`")]
    Broken {
        /// The file.
        place: String,
        /// What is wrong.
        reason: String,
    },
    /// The system refused.
    #[error("{place} cannot be opened: {source}")]
    Io {
        /// The file.
        place: String,
        /// What the system said.
        source: redb::Error,
    },
    /// An older format could not be kept or migrated.
    #[error("{place} could not be brought from format {found} to format {FORMAT}: {reason}")]
    Migration {
        /// The file.
        place: String,
        /// Its format.
        found: u64,
        /// What went wrong.
        reason: String,
    },
    /// The writer's thread could not be started.
    #[error("the store's thread could not be started: {0}")]
    Thread(std::io::Error),
    /// The writer's thread ended while it was opening.
    #[error("the store's thread ended while it was opening")]
    Panicked,
}

/// An open database and how to open it again.
#[derive(Debug)]
pub(crate) struct Disk {
    backend: Backend,
    /// `None` only while it is being reopened.
    database: Option<Database>,
}

/// The numbers of a store at rest.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Meta {
    /// No revision above it was handed out.
    pub ceiling: Revision,
    pub compacted: Revision,
    /// Whether the store was closed in peace: then nothing is lost.
    pub is_clean: bool,
}

/// A consistent view of the log.
pub(crate) struct Snapshot {
    transaction: ReadTransaction,
    pub revision: Revision,
}

impl Disk {
    pub(crate) fn open(backend: Backend) -> Result<Self, OpenError> {
        let database = open_database(&backend)?;
        let disk = Self { backend, database: Some(database) };
        disk.migrate()?;
        Ok(disk)
    }

    /// Opens the database anew after a failure that poisoned it.
    pub(crate) fn reopen(&mut self) -> Result<(), OpenError> {
        self.database = None;
        self.database = Some(open_database(&self.backend)?);
        Ok(())
    }

    fn database(&self) -> Result<&Database, redb::Error> {
        self.database.as_ref().ok_or(redb::Error::DatabaseClosed)
    }

    /// Runs `work` in one transaction and syncs it to the disk.
    pub(crate) fn write(
        &self,
        work: impl FnOnce(&mut Transaction<'_>) -> Result<(), redb::Error>,
    ) -> Result<(), redb::Error> {
        let transaction = self.database()?.begin_write()?;
        {
            let mut tables = Transaction {
                log: transaction.open_table(LOG)?,
                meta: transaction.open_table(META)?,
                lost: transaction.open_table(LOST)?,
            };
            work(&mut tables)?;
        }
        transaction.commit()?;
        Ok(())
    }

    /// What is on the disk now; `revision` is the newest change there.
    pub(crate) fn snapshot(&self) -> Result<Snapshot, redb::Error> {
        let transaction = self.database()?.begin_read()?;
        let log = transaction.open_table(LOG)?;
        let revision = Revision(log.last()?.map_or(0, |(revision, _)| revision.value()));
        drop(log);
        Ok(Snapshot { transaction, revision })
    }

    pub(crate) fn file_bytes(&self) -> u64 {
        match &self.backend {
            Backend::File(path) => path.metadata().map_or(0, |file| file.len()),
            Backend::Custom(_) => 0,
        }
    }

    fn place(&self) -> String {
        place(&self.backend)
    }

    /// Brings an older format to [`FORMAT`], keeping a copy of the file as it was.
    fn migrate(&self) -> Result<(), OpenError> {
        let io = |error: redb::Error| describe(self.place(), error);
        let found = self.format().map_err(io)?;
        match found {
            None => self.write(|tables| tables.set("format", FORMAT)).map_err(io),
            Some(FORMAT) => Ok(()),
            Some(found) if found > FORMAT => Err(OpenError::Newer { place: self.place(), found }),
            Some(found) => {
                let failed = |reason: String| OpenError::Migration { place: self.place(), found, reason };
                if let Backend::File(path) = &self.backend {
                    keep_copy(path, found).map_err(|error| failed(error.to_string()))?;
                }
                self.run_migrations(found).map_err(|error| failed(error.to_string()))
            }
        }
    }

    /// The format of the file; `None` in an empty one.
    fn format(&self) -> Result<Option<u64>, redb::Error> {
        let transaction = self.database()?.begin_read()?;
        match transaction.open_table(META) {
            Ok(meta) => Ok(meta.get("format")?.map(|format| format.value())),
            Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn run_migrations(&self, found: u64) -> Result<(), redb::Error> {
        let transaction = self.database()?.begin_write()?;
        let done = usize::try_from(found.saturating_sub(1)).unwrap_or(usize::MAX);
        for migration in MIGRATIONS.iter().skip(done) {
            migration(&transaction)?;
        }
        transaction.open_table(META)?.insert("format", FORMAT)?;
        transaction.commit()?;
        Ok(())
    }
}

/// The tables of one write transaction.
pub(crate) struct Transaction<'t> {
    log: redb::Table<'t, u64, &'static [u8]>,
    meta: redb::Table<'t, &'static str, u64>,
    lost: redb::Table<'t, u64, u64>,
}

impl Transaction<'_> {
    pub(crate) fn put(&mut self, change: &Change) -> Result<(), redb::Error> {
        self.log.insert(change.revision.0, encode(change).as_slice())?;
        Ok(())
    }

    pub(crate) fn remove(&mut self, revision: Revision) -> Result<(), redb::Error> {
        self.log.remove(revision.0)?;
        Ok(())
    }

    pub(crate) fn set(&mut self, name: &'static str, value: u64) -> Result<(), redb::Error> {
        self.meta.insert(name, value)?;
        Ok(())
    }

    pub(crate) fn set_meta(&mut self, meta: Meta) -> Result<(), redb::Error> {
        self.set("ceiling", meta.ceiling.0)?;
        self.set("compacted", meta.compacted.0)?;
        self.set("clean", u64::from(meta.is_clean))
    }

    pub(crate) fn add_lost(&mut self, start: Revision, end: Revision) -> Result<(), redb::Error> {
        self.lost.insert(start.0, end.0)?;
        Ok(())
    }

    /// Forgets lost ranges that end at or below `compacted`.
    pub(crate) fn forget_lost(&mut self, compacted: Revision) -> Result<(), redb::Error> {
        self.lost.retain(|_, end| end > compacted.0)?;
        Ok(())
    }
}

impl Snapshot {
    pub(crate) fn meta(&self) -> Result<Meta, redb::Error> {
        let meta = self.transaction.open_table(META)?;
        let number = |name: &str| meta.get(name).map(|value| value.map_or(0, |value| value.value()));
        Ok(Meta {
            ceiling: Revision(number("ceiling")?),
            compacted: Revision(number("compacted")?),
            is_clean: number("clean")? == 1,
        })
    }

    pub(crate) fn lost(&self) -> Result<Vec<(Revision, Revision)>, redb::Error> {
        let lost = self.transaction.open_table(LOST)?;
        lost.iter()?
            .map(|range| Ok(range.map(|(start, end)| (Revision(start.value()), Revision(end.value())))?))
            .collect()
    }

    /// Hands every change after `after` to `visit`, in order; `visit` answers whether to go on.
    pub(crate) fn each(
        &self,
        after: Revision,
        mut visit: impl FnMut(Change) -> Result<bool, redb::Error>,
    ) -> Result<(), redb::Error> {
        let log = self.transaction.open_table(LOG)?;
        for row in log.range(after.0.saturating_add(1)..)? {
            let (revision, row) = row?;
            let change = decode(Revision(revision.value()), row.value())
                .ok_or_else(|| redb::Error::Corrupted(format!("row {} is cut short", revision.value())))?;
            if !visit(change)? {
                break;
            }
        }
        Ok(())
    }

    /// The same without values, which the index does not need.
    pub(crate) fn each_head(
        &self,
        mut visit: impl FnMut(Revision, bool, Revision, &str, usize),
    ) -> Result<(), redb::Error> {
        let log = self.transaction.open_table(LOG)?;
        for row in log.iter()? {
            let (revision, row) = row?;
            let (is_removal, created, key, value) = split(row.value())
                .ok_or_else(|| redb::Error::Corrupted(format!("row {} is cut short", revision.value())))?;
            visit(Revision(revision.value()), is_removal, created, key, value.len());
        }
        Ok(())
    }
}

fn encode(change: &Change) -> Vec<u8> {
    let value = change.value.as_deref().unwrap_or_default();
    let mut row = Vec::with_capacity(ROW_HEAD_BYTES + change.key.len() + value.len());
    row.push(u8::from(change.value.is_none()));
    row.extend_from_slice(&change.created.0.to_le_bytes());
    // Keys are checked against KEY_BYTES_MAX before they get here.
    row.extend_from_slice(&u16::try_from(change.key.len()).unwrap_or(u16::MAX).to_le_bytes());
    row.extend_from_slice(change.key.as_bytes());
    row.extend_from_slice(value);
    row
}

fn decode(revision: Revision, row: &[u8]) -> Option<Change> {
    let (is_removal, created, key, value) = split(row)?;
    let value = (!is_removal).then(|| Bytes::copy_from_slice(value));
    Some(Change { revision, key: Arc::from(key), value, created })
}

/// A row's parts: whether it is a removal, when its key was made, the key, the value.
fn split(row: &[u8]) -> Option<(bool, Revision, &str, &[u8])> {
    let (kind, rest) = row.split_first()?;
    let (created, rest) = rest.split_first_chunk::<8>()?;
    let (length, rest) = rest.split_first_chunk::<2>()?;
    let (key, value) = rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
    Some((*kind == 1, Revision(u64::from_le_bytes(*created)), std::str::from_utf8(key).ok()?, value))
}

fn open_database(backend: &Backend) -> Result<Database, OpenError> {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES);
    let opened = match backend {
        Backend::File(path) => builder.create(path),
        Backend::Custom(make) => builder.create_with_backend(Boxed(make())),
    };
    opened.map_err(|error| match error {
        DatabaseError::DatabaseAlreadyOpen => OpenError::InUse { place: place(backend) },
        other => describe(place(backend), other.into()),
    })
}

/// An opening error by what the caller can do about it.
pub(crate) fn describe(place: String, error: redb::Error) -> OpenError {
    match error {
        redb::Error::Corrupted(reason) => OpenError::Broken { place, reason },
        redb::Error::UpgradeRequired(found) => OpenError::Broken { place, reason: format!("file format {found}") },
        redb::Error::Io(source) if source.kind() == std::io::ErrorKind::InvalidData => {
            OpenError::Broken { place, reason: source.to_string() }
        }
        source => OpenError::Io { place, source },
    }
}

/// A failed write by what the caller can do about it.
pub(crate) fn unwritten(error: &redb::Error) -> CommitError {
    match error {
        redb::Error::Io(source) if source.kind() == std::io::ErrorKind::StorageFull => CommitError::Full,
        other => CommitError::Failed(other.to_string()),
    }
}

pub(crate) fn place(backend: &Backend) -> String {
    match backend {
        Backend::File(path) => path.display().to_string(),
        Backend::Custom(_) => "the store".to_owned(),
    }
}

/// Copies the file to a sibling that names its format.
fn keep_copy(path: &Path, format: u64) -> std::io::Result<()> {
    let mut copy = path.as_os_str().to_owned();
    copy.push(format!(".format-{format}"));
    std::fs::copy(path, PathBuf::from(copy)).map(|_| ())
}

/// redb takes backends by value; a boxed one forwards.
#[derive(Debug)]
struct Boxed(Box<dyn StorageBackend>);

impl StorageBackend for Boxed {
    fn len(&self) -> std::io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> std::io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> std::io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        self.0.write(offset, data)
    }

    fn close(&self) -> std::io::Result<()> {
        self.0.close()
    }
}

/// Whether the log holds a change.
pub(crate) fn holds(disk: &Disk, revision: Revision) -> Result<bool, redb::Error> {
    let transaction = disk.database()?.begin_read()?;
    let log = transaction.open_table(LOG)?;
    Ok(log.get(revision.0)?.is_some())
}

/// Appends rows to a database that is being made as a copy, and at last its numbers.
pub(crate) fn append(
    database: &Database,
    changes: &[Change],
    durability: redb::Durability,
    meta: Option<Meta>,
) -> Result<(), redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(durability)?;
    {
        let mut tables = Transaction {
            log: transaction.open_table(LOG)?,
            meta: transaction.open_table(META)?,
            lost: transaction.open_table(LOST)?,
        };
        changes.iter().try_for_each(|change| tables.put(change))?;
        if let Some(meta) = meta {
            tables.set("format", FORMAT)?;
            tables.set_meta(meta)?;
        }
    }
    transaction.commit()?;
    Ok(())
}

/// Writes another format into a closed store.
#[cfg(test)]
pub(crate) fn set_format(path: &Path, format: u64) {
    let disk = Disk { database: Some(Database::create(path).unwrap()), backend: Backend::File(path.to_owned()) };
    disk.write(|tables| tables.set("format", format)).unwrap();
}
