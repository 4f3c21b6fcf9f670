//! The format number of a file, and the steps from older formats to ours.

use std::path::{Path, PathBuf};

use redb::WriteTransaction;

use super::META;

/// A step to the next format.
pub(crate) type Migration = fn(&WriteTransaction) -> Result<(), redb::Error>;

/// Every step so far: the one at place `n` makes format `n + 2` of format `n + 1`. There is one format yet.
pub(crate) const MIGRATIONS: &[Migration] = &[];

/// What a file's format asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    /// The file is empty: it gets our format.
    New,
    /// It is ours.
    Ours,
    /// Steps lead from it to ours.
    Older(u64),
    /// A later version wrote it.
    Newer(u64),
    /// No version wrote it.
    Unknown,
}

/// The format that a version with these migrations writes.
pub(crate) fn current(migrations: &[Migration]) -> u64 {
    migrations.len() as u64 + 1
}

/// What to do with a file of format `found`, which holds tables or not.
pub(crate) fn verdict(found: Option<u64>, has_tables: bool, current: u64) -> Verdict {
    match found {
        None if has_tables => Verdict::Unknown,
        None => Verdict::New,
        Some(0) => Verdict::Unknown,
        Some(found) if found == current => Verdict::Ours,
        Some(found) if found < current => Verdict::Older(found),
        Some(found) => Verdict::Newer(found),
    }
}

/// Takes the steps from format `found`, in one transaction of the caller.
pub(crate) fn migrate(transaction: &WriteTransaction, found: u64, migrations: &[Migration]) -> Result<(), redb::Error> {
    let done = usize::try_from(found.saturating_sub(1)).unwrap_or(usize::MAX);
    migrations.iter().skip(done).try_for_each(|migration| migration(transaction))?;
    transaction.open_table(META)?.insert("format", current(migrations))?;
    Ok(())
}

/// Copies a closed file to a sibling that names its format, and answers with the sibling's path.
pub(crate) fn keep_copy(path: &Path, format: u64) -> std::io::Result<PathBuf> {
    let mut copy = path.as_os_str().to_owned();
    copy.push(format!(".format-{format}"));
    let copy = PathBuf::from(copy);
    std::fs::copy(path, &copy)?;
    std::fs::File::open(&copy)?.sync_all()?;
    Ok(copy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_decides_what_is_done_with_a_file() {
        let check = |found, has_tables, expected| assert_eq!(verdict(found, has_tables, 3), expected);
        check(None, false, Verdict::New);
        check(None, true, Verdict::Unknown);
        check(Some(0), true, Verdict::Unknown);
        check(Some(1), true, Verdict::Older(1));
        check(Some(2), true, Verdict::Older(2));
        check(Some(3), true, Verdict::Ours);
        check(Some(4), true, Verdict::Newer(4));
    }
}
