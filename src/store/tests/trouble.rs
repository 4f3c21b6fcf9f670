//! Disks that are full or fail, subscribers that are slow, and what becomes of writes meanwhile.

use super::lossy::{Disk, Fsync};
use super::*;

async fn open(disk: &Disk) -> Store {
    let disk = disk.clone();
    let backend = crate::disk::open::Backend::Custom(Box::new(move || Box::new(disk.clone())));
    let history = crate::writer::History { age_max: Duration::from_secs(3600), bytes_max: 1 << 30 };
    Store::open_on(backend, history).await.unwrap()
}

/// Tries until a write is taken again, as a client does.
async fn put_when_possible(store: &Store, key: &str) -> Revision {
    let taken = async {
        loop {
            match put(store, key, "v").await {
                Ok(revision) => return revision,
                Err(CommitError::Full) => tokio::time::sleep(Duration::from_millis(20)).await,
                Err(other) => panic!("{other}"),
            }
        }
    };
    tokio::time::timeout(DEADLINE, taken).await.expect("no write was taken again")
}

#[tokio::test]
async fn a_full_disk_refuses_writes_loses_none_and_takes_them_again_when_there_is_space() {
    let disk = Disk::default();
    let store = open(&disk).await;
    put(&store, "first", "v").await.unwrap();
    let mut subscription = store.subscribe().await;
    let mut heard: Vec<u64> = next(&mut subscription).await.changes.iter().map(|change| change.revision.0).collect();
    disk.set_space(Some(64 << 10));
    let mut taken = 1;
    let refused = loop {
        match put(&store, &format!("key-{taken}"), &"v".repeat(20_000)).await {
            Ok(revision) => assert_eq!(revision.0, taken + 1),
            Err(refused) => break refused,
        }
        taken += 1;
    };
    assert_eq!(refused, CommitError::Full);
    assert_eq!(store.revision(), Revision(taken), "what was refused has no number");
    let relaxed = commit(&store, "relaxed", Expect::Absent, Some("v"), Urgency::Relaxed).await.unwrap();
    assert_eq!(relaxed.0, taken + 1, "a relaxed write waits for space");
    disk.set_space(None);
    let after = put_when_possible(&store, "after").await;
    assert_eq!(after.0, taken + 2);
    while heard.last() != Some(&after.0) {
        heard.extend(next(&mut subscription).await.changes.into_iter().map(|change| change.revision.0));
    }
    assert_eq!(heard, (1..=after.0).collect::<Vec<_>>(), "nothing that was refused is told");
    let before = everything(&store).await;
    store.close().await.unwrap();
    let store = open(&disk).await;
    assert_eq!(everything(&store).await, before);
    assert!(store.lost().is_empty());
}

#[tokio::test]
async fn a_failed_fsync_refuses_every_write_until_the_store_is_opened_again() {
    let disk = Disk::default();
    let store = open(&disk).await;
    put(&store, "a", "1").await.unwrap();
    disk.set_fsync(Fsync::Fails);
    let refused = put(&store, "a", "2").await.unwrap_err();
    assert!(matches!(refused, CommitError::Failed(_)), "{refused}");
    disk.set_fsync(Fsync::Works);
    let refused = put(&store, "b", "1").await.unwrap_err();
    assert!(refused.to_string().contains("check the disk and start again"), "{refused}");
    let refused = commit(&store, "b", Expect::Any, Some("1"), Urgency::Relaxed).await.unwrap_err();
    assert!(matches!(refused, CommitError::Failed(_)), "its number may be on the disk already: {refused}");
    assert!(matches!(store.check(), Err(CommitError::Failed(_))), "a health check does not see it");
    store.close().await.unwrap_err();
    disk.restore(0);

    let store = open(&disk).await;
    assert_eq!(everything(&store).await, [(1, "a".to_owned(), Some("1".to_owned()))]);
    assert!(put(&store, "a", "2").await.unwrap() > Revision(2), "the number of the failed write is not given again");
}

#[tokio::test]
async fn a_relaxed_write_reaches_the_disk_without_any_other() {
    let disk = Disk::default();
    let store = open(&disk).await;
    commit(&store, "event", Expect::Absent, Some("e"), Urgency::Relaxed).await.unwrap();
    let stored = async {
        while store.metrics().commits == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, stored).await.expect("the write waits for ever");
    disk.cut_after(0);
    store.close().await.unwrap_err();
    disk.restore(0);
    let store = open(&disk).await;
    assert_eq!(everything(&store).await, [(1, "event".to_owned(), Some("e".to_owned()))]);
}

#[tokio::test]
async fn a_crash_tells_which_relaxed_writes_it_may_have_lost_until_they_are_compacted() {
    let disk = Disk::default();
    let store = open(&disk).await;
    put(&store, "a", "1").await.unwrap();
    disk.cut_after(0);
    let relaxed = commit(&store, "event", Expect::Absent, Some("e"), Urgency::Relaxed).await.unwrap();
    store.close().await.unwrap_err();
    disk.restore(0);

    let store = open(&disk).await;
    let [(start, end)] = store.lost()[..] else { panic!("{:?}", store.lost()) };
    assert_eq!(start, Revision(1));
    assert!(relaxed <= end && store.revision() == end);
    assert_eq!(put(&store, "a", "2").await.unwrap().0, end.0 + 1);
    store.close().await.unwrap();

    let store = open(&disk).await;
    assert_eq!(store.lost(), [(start, end)], "a peaceful end forgets nothing");
    store.compact(store.revision()).await.unwrap();
    assert!(store.lost().is_empty());
    store.close().await.unwrap();
    assert!(open(&disk).await.lost().is_empty());
}

#[tokio::test]
async fn writers_wait_for_a_slow_subscriber_and_it_hears_everything() {
    const WRITES: u64 = 1200;
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(options(&folder)).await.unwrap();
    let mut subscription = store.subscribe().await;
    let writer = store.clone();
    let writing = base::task::spawn("writer", async move {
        for _ in 0..WRITES {
            commit(&writer, "lease", Expect::Any, Some("v"), Urgency::Relaxed).await.unwrap();
        }
    });
    let stuck = async {
        while store.revision().0 < crate::subscription::LIVE_BATCHES_MAX as u64 - 1 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, stuck).await.expect("the writer does not get as far as it can");
    let mut heard = Vec::new();
    while heard.last() != Some(&WRITES) {
        heard.extend(next(&mut subscription).await.changes.into_iter().map(|change| change.revision.0));
    }
    assert_eq!(heard, (1..=WRITES).collect::<Vec<_>>());
    writing.await.unwrap();
}

#[tokio::test]
async fn a_closed_store_answers_everybody() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(options(&folder)).await.unwrap();
    let mut subscription = store.subscribe().await;
    store.close().await.unwrap();
    store.close().await.unwrap();
    assert_eq!(put(&store, "a", "1").await, Err(CommitError::Closed));
    assert_eq!(store.compact(Revision(1)).await, Err(CommitError::Closed));
    assert_eq!(store.subscribe().await.next().await, None);
    while tokio::time::timeout(DEADLINE, subscription.next()).await.unwrap().is_some() {}
    let refused = store.backup(folder.path().join("copy")).await.unwrap_err().to_string();
    assert!(refused.contains("the store is closed"), "{refused}");
}
