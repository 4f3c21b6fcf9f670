//! Rows in redb: the log of changes by revision, and a few numbers about the store. The only module that, with
//! [`crate::backup`], names redb.
//!
//! ```text
//! log    revision → a change, see `row`
//! meta   name → number: format, ceiling, compacted, clean
//! lost   start → end: ranges of revisions that a crash may have lost
//! ```

#[cfg(test)]
mod boxed;
pub(crate) mod format;
pub(crate) mod open;
pub(crate) mod row;

use redb::{
    Database, ReadTransaction, ReadableDatabase as _, ReadableTable as _, TableDefinition, TableError, WriteTransaction,
};

use self::open::{Backend, OpenError};
use self::row::Row;
use crate::{Change, Revision};

const LOG: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("log");
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const LOST: TableDefinition<'_, u64, u64> = TableDefinition::new("lost");

/// An open database and how to open it again.
#[derive(Debug)]
pub(crate) struct Disk {
    backend: Backend,
    /// `None` only while, or after, it could not be reopened.
    database: Option<Database>,
}

/// The numbers of a store at rest.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Meta {
    /// No revision above it was handed out.
    pub ceiling: Revision,
    /// History up to here has gaps.
    pub compacted: Revision,
    /// Whether the store was closed in peace: then nothing is lost.
    pub is_clean: bool,
}

/// A range of revisions: above the first, up to the second.
pub(crate) type Range = (Revision, Revision);

/// A consistent view of the log.
pub(crate) struct Snapshot {
    transaction: ReadTransaction,
    /// The newest change in it.
    pub revision: Revision,
}

impl Disk {
    /// Opens the database anew after a failure that poisoned it.
    pub(crate) fn reopen(&mut self) -> Result<(), OpenError> {
        // The old one first: it holds the lock of the file.
        self.database = None;
        self.database = Some(open::database(&self.backend)?);
        Ok(())
    }

    /// Changes rows in one transaction and syncs it to the disk.
    pub(crate) fn write(
        &self,
        work: impl FnOnce(&mut Tables<'_>) -> Result<(), redb::Error>,
    ) -> Result<(), redb::Error> {
        self.transact(|transaction| write_tables(transaction, work))
    }

    /// What is on the disk now.
    pub(crate) fn snapshot(&self) -> Result<Snapshot, redb::Error> {
        let transaction = self.database()?.begin_read()?;
        let log = transaction.open_table(LOG)?;
        let revision = Revision(log.last()?.map_or(0, |(revision, _)| revision.value()));
        drop(log);
        Ok(Snapshot { transaction, revision })
    }

    /// Whether the log holds a change.
    pub(crate) fn holds(&self, revision: Revision) -> Result<bool, redb::Error> {
        let log = self.database()?.begin_read()?.open_table(LOG)?;
        Ok(log.get(revision.0)?.is_some())
    }

    /// The file's size.
    pub(crate) fn file_bytes(&self) -> u64 {
        match &self.backend {
            Backend::File(path) => path.metadata().map_or(0, |file| file.len()),
            #[cfg(test)]
            Backend::Custom(_) => 0,
        }
    }

    /// An error of opening, with the file's name.
    pub(crate) fn unopened(&self, error: redb::Error) -> OpenError {
        open::describe(self.backend.to_string(), error)
    }

    /// The format of the file, and whether it holds any table.
    fn format(&self) -> Result<(Option<u64>, bool), redb::Error> {
        let transaction = self.database()?.begin_read()?;
        let has_tables = transaction.list_tables()?.next().is_some();
        let format = match transaction.open_table(META) {
            Ok(meta) => meta.get("format")?.map(|format| format.value()),
            Err(TableError::TableDoesNotExist(_)) => None,
            Err(error) => return Err(error.into()),
        };
        Ok((format, has_tables))
    }

    fn transact(&self, work: impl FnOnce(&WriteTransaction) -> Result<(), redb::Error>) -> Result<(), redb::Error> {
        let transaction = self.database()?.begin_write()?;
        work(&transaction)?;
        transaction.commit()?;
        Ok(())
    }

    fn database(&self) -> Result<&Database, redb::Error> {
        self.database.as_ref().ok_or(redb::Error::DatabaseClosed)
    }
}

/// Changes rows of any store's database, as [`Disk::write`] does of its own.
pub(crate) fn write_tables(
    transaction: &WriteTransaction,
    work: impl FnOnce(&mut Tables<'_>) -> Result<(), redb::Error>,
) -> Result<(), redb::Error> {
    let mut tables = Tables {
        log: transaction.open_table(LOG)?,
        meta: transaction.open_table(META)?,
        lost: transaction.open_table(LOST)?,
    };
    work(&mut tables)
}

/// The tables of one write transaction.
pub(crate) struct Tables<'t> {
    log: redb::Table<'t, u64, &'static [u8]>,
    meta: redb::Table<'t, &'static str, u64>,
    lost: redb::Table<'t, u64, u64>,
}

impl Tables<'_> {
    /// Adds a change.
    pub(crate) fn put(&mut self, change: &Change) -> Result<(), redb::Error> {
        self.log.insert(change.revision.0, row::encode(change).as_slice())?;
        Ok(())
    }

    /// Removes the row of a change.
    pub(crate) fn remove(&mut self, revision: Revision) -> Result<(), redb::Error> {
        self.log.remove(revision.0)?;
        Ok(())
    }

    /// Sets the numbers.
    pub(crate) fn set_meta(&mut self, meta: Meta) -> Result<(), redb::Error> {
        self.set("ceiling", meta.ceiling.0)?;
        self.set("compacted", meta.compacted.0)?;
        self.set("clean", u64::from(meta.is_clean))
    }

    /// Sets the format.
    pub(crate) fn set_format(&mut self, format: u64) -> Result<(), redb::Error> {
        self.set("format", format)
    }

    /// Replaces the lost ranges.
    pub(crate) fn set_lost(&mut self, ranges: &[Range]) -> Result<(), redb::Error> {
        self.lost.retain(|_, _| false)?;
        for (start, end) in ranges {
            self.lost.insert(start.0, end.0)?;
        }
        Ok(())
    }

    fn set(&mut self, name: &'static str, value: u64) -> Result<(), redb::Error> {
        self.meta.insert(name, value)?;
        Ok(())
    }
}

impl Snapshot {
    /// The numbers.
    pub(crate) fn meta(&self) -> Result<Meta, redb::Error> {
        let meta = self.transaction.open_table(META)?;
        let number = |name: &str| meta.get(name).map(|value| value.map_or(0, |value| value.value()));
        Ok(Meta {
            ceiling: Revision(number("ceiling")?),
            compacted: Revision(number("compacted")?),
            is_clean: number("clean")? == 1,
        })
    }

    /// The lost ranges, in order.
    pub(crate) fn lost(&self) -> Result<Vec<Range>, redb::Error> {
        let lost = self.transaction.open_table(LOST)?;
        lost.iter()?
            .map(|range| Ok(range.map(|(start, end)| (Revision(start.value()), Revision(end.value())))?))
            .collect()
    }

    /// Hands every row to `visit`, in order of revision; `visit` answers whether to go on.
    pub(crate) fn each(&self, mut visit: impl FnMut(Row<'_>) -> Result<bool, redb::Error>) -> Result<(), redb::Error> {
        let log = self.transaction.open_table(LOG)?;
        for row in log.iter()? {
            let (revision, bytes) = row?;
            let revision = Revision(revision.value());
            let row = Row::parse(revision, bytes.value())
                .ok_or_else(|| redb::Error::Corrupted(format!("the row of change {revision} cannot be read")))?;
            if !visit(row)? {
                break;
            }
        }
        Ok(())
    }
}

/// Whether an operation failed for want of space.
pub(crate) fn is_full(error: &redb::Error) -> bool {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};
    matches!(error, redb::Error::Io(source) if matches!(source.kind(), StorageFull | QuotaExceeded))
}
