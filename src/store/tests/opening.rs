//! What opening answers: a file in use, of another format, or broken; and what a start keeps.

use redb::{Database, TableDefinition, WriteTransaction};

use super::*;
use crate::disk::format::Migration;
use crate::disk::open::{self, Backend, OpenError};

/// Opens a file as a version with these migrations does, and says what it refuses.
fn refusal(path: &std::path::Path, migrations: &[Migration]) -> Option<OpenError> {
    open::open(Backend::File(path.to_owned()), migrations).err()
}

#[tokio::test]
async fn a_file_in_use_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(options(&folder)).await.unwrap();
    let refused = Store::open(options(&folder)).await.unwrap_err().to_string();
    assert!(refused.contains("store.redb is in use by another process: stop that one"), "{refused}");
    store.close().await.unwrap();
    Store::open(options(&folder)).await.unwrap();
}

#[cfg(unix)]
#[tokio::test]
async fn only_its_owner_can_read_the_file_and_its_backups() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(options(&folder)).await.unwrap();
    store.backup(folder.path().join("copy.redb")).await.unwrap();
    for name in ["store.redb", "copy.redb"] {
        let mode = std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[tokio::test]
async fn what_is_no_store_is_called_broken() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    std::fs::write(&path, b"not a database at all").unwrap();
    let refused = Store::open(options(&folder)).await.unwrap_err().to_string();
    assert!(refused.contains("is broken") && refused.contains("--restore"), "{refused}");

    std::fs::remove_file(&path).unwrap();
    let foreign = Database::create(&path).unwrap();
    let transaction = foreign.begin_write().unwrap();
    transaction.open_table(TableDefinition::<u64, u64>::new("theirs")).unwrap();
    transaction.commit().unwrap();
    drop(foreign);
    let refused = Store::open(options(&folder)).await.unwrap_err().to_string();
    assert!(refused.contains("a database of another program"), "{refused}");
}

#[tokio::test]
async fn a_file_that_was_damaged_is_opened_whole_or_called_broken() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let store = Store::open(options(&folder)).await.unwrap();
    for number in 0..200 {
        put(&store, &format!("key-{number}"), &"v".repeat(500)).await.unwrap();
    }
    store.close().await.unwrap();
    let whole = std::fs::read(&path).unwrap();
    for at in (0..whole.len()).step_by(whole.len() / 97) {
        let mut damaged = whole.clone();
        damaged[at..].iter_mut().take(512).for_each(|byte| *byte = !*byte);
        std::fs::write(&path, damaged).unwrap();
        match Store::open(options(&folder)).await {
            Ok(store) => store.close().await.unwrap_or_default(),
            Err(refused) => assert!(!refused.to_string().is_empty()),
        }
    }
}

const MADE_UP: TableDefinition<'_, &str, u64> = TableDefinition::new("made up");

/// A migration as a later version may have one.
fn make_table(transaction: &WriteTransaction) -> Result<(), redb::Error> {
    transaction.open_table(MADE_UP)?.insert("made", 1)?;
    Ok(())
}

fn fail(_: &WriteTransaction) -> Result<(), redb::Error> {
    Err(redb::Error::Corrupted("on purpose".to_owned()))
}

#[tokio::test]
async fn an_older_format_is_migrated_after_a_copy_and_the_older_version_then_refuses_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let store = Store::open(options(&folder)).await.unwrap();
    put(&store, "a", "1").await.unwrap();
    store.close().await.unwrap();

    let migrated = open::open(Backend::File(path.clone()), &[make_table, make_table]).unwrap();
    assert_eq!(migrated.snapshot().unwrap().revision, Revision(1), "the log is as it was");
    drop(migrated);
    let refused = Store::open(options(&folder)).await.unwrap_err();
    assert!(matches!(refused, OpenError::NewerFormat { found: 3, known: 1, .. }), "{refused}");
    assert!(refused.to_string().contains("start it with the version that wrote it"), "{refused}");

    let copy = Store::open(Options::file(folder.path().join("store.redb.format-1"))).await.unwrap();
    assert_eq!(everything(&copy).await, [(1, "a".to_owned(), Some("1".to_owned()))]);
    assert!(refusal(&path, &[make_table, make_table]).is_none(), "a migrated file is not migrated again");
}

#[tokio::test]
async fn a_migration_that_fails_leaves_the_file_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let store = Store::open(options(&folder)).await.unwrap();
    put(&store, "a", "1").await.unwrap();
    store.close().await.unwrap();

    let refused = refusal(&path, &[make_table, fail]).unwrap();
    assert!(matches!(&refused, OpenError::Migration { found: 1, known: 3, .. }), "{refused}");
    let store = Store::open(options(&folder)).await.unwrap();
    assert_eq!(everything(&store).await, [(1, "a".to_owned(), Some("1".to_owned()))]);
}

#[tokio::test]
async fn a_backup_is_restored_whole_or_nothing_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(options(&folder)).await.unwrap();
    for number in 0..200 {
        put(&store, &format!("k{number}"), &"v".repeat(500)).await.unwrap();
    }
    let (backup, path) = (folder.path().join("backup"), folder.path().join("other.redb"));
    store.backup(&backup).await.unwrap();

    let bytes = std::fs::read(&backup).unwrap();
    let mut flipped = bytes.clone();
    let at = bytes.windows(8).position(|window| window == b"vvvvvvvv").unwrap();
    flipped[at] = b'w';
    for (name, content) in [("half", &bytes[..bytes.len() / 2]), ("text", b"not a store".as_slice()), ("bit", &flipped)]
    {
        let broken = folder.path().join(name);
        std::fs::write(&broken, content).unwrap();
        let refused = Store::restore(&broken, &path).await.unwrap_err().to_string();
        assert!(refused.contains(name) && refused.contains("is broken"), "{refused}");
        assert!(!path.exists(), "{name} stands where a store is opened");
    }
    Store::restore(&backup, &path).await.unwrap();
    let restored = Store::open(Options::file(&path)).await.unwrap();
    assert_eq!(everything(&restored).await.len(), 200);
    let refused = Store::restore(&backup, &path).await.unwrap_err().to_string();
    assert!(refused.contains("other.redb is there already"), "{refused}");
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().starts_with(".store-")), "{left:?}");
}
