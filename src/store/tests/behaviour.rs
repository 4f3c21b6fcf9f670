//! The promises of a store that nothing happens to.

use super::*;

#[tokio::test]
async fn what_is_committed_is_there_after_reopening_with_its_revision() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(options(&folder)).await.unwrap();
    assert_eq!(put(&store, "a", "1").await.unwrap(), Revision(1));
    assert_eq!(put(&store, "b", "1").await.unwrap(), Revision(2));
    assert_eq!(put(&store, "a", "2").await.unwrap(), Revision(3));
    commit(&store, "b", Expect::At(Revision(2)), None, Urgency::Durable).await.unwrap();
    store.close().await.unwrap();

    let store = Store::open(options(&folder)).await.unwrap();
    assert_eq!(store.revision(), Revision(4));
    assert!(store.lost().is_empty());
    let value = |text: &str| Some(text.to_owned());
    let expected =
        [(1, "a".into(), value("1")), (2, "b".into(), value("1")), (3, "a".into(), value("2")), (4, "b".into(), None)];
    assert_eq!(everything(&store).await, expected);
}

#[tokio::test]
async fn a_write_happens_only_as_expected() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(options(&folder)).await.unwrap();
    let first = commit(&store, "a", Expect::Absent, Some("1"), Urgency::Durable).await.unwrap();
    let second = commit(&store, "a", Expect::At(first), Some("2"), Urgency::Durable).await.unwrap();
    for expect in [Expect::Absent, Expect::At(first), Expect::At(Revision(99))] {
        let refused = commit(&store, "a", expect, Some("3"), Urgency::Durable).await.unwrap_err();
        assert!(
            matches!(refused, CommitError::Conflict { current } if current == Some(second)),
            "{expect:?}: {refused}"
        );
    }
    let refused = commit(&store, "none", Expect::Any, None, Urgency::Durable).await.unwrap_err();
    assert!(matches!(refused, CommitError::Conflict { current: None }), "{refused}");
}

#[tokio::test]
async fn many_writers_share_commits_and_each_gets_its_own_revision() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(options(&folder)).await.unwrap();
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..64 {
        let store = store.clone();
        writers.spawn(async move {
            let mut revisions = Vec::new();
            for _ in 0..10 {
                revisions.push(put(&store, &format!("k{writer}"), "v").await.unwrap().0);
            }
            revisions
        });
    }
    let mut revisions: Vec<u64> = writers.join_all().await.into_iter().flatten().collect();
    revisions.sort_unstable();
    assert_eq!(revisions, (1..=640).collect::<Vec<_>>());
    assert!(store.metrics().commits < 640, "no commit was shared");
}

#[tokio::test]
async fn a_subscriber_hears_the_past_and_then_each_change_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(options(&folder)).await.unwrap();
    put(&store, "a", "1").await.unwrap();
    let mut subscription = store.subscribe().await;
    put(&store, "a", "2").await.unwrap();
    commit(&store, "event", Expect::Absent, Some("e"), Urgency::Relaxed).await.unwrap();
    let mut heard = Vec::new();
    while heard.len() < 3 {
        heard.extend(next(&mut subscription).await.changes.into_iter().map(|change| change.revision.0));
    }
    assert_eq!(heard, [1, 2, 3]);
}

#[tokio::test]
async fn compaction_keeps_what_lives_and_what_is_younger() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(options(&folder)).await.unwrap();
    put(&store, "old", "1").await.unwrap();
    put(&store, "a", "1").await.unwrap();
    put(&store, "a", "2").await.unwrap();
    put(&store, "gone", "1").await.unwrap();
    commit(&store, "gone", Expect::Any, None, Urgency::Durable).await.unwrap();
    put(&store, "a", "3").await.unwrap();
    store.compact(Revision(5)).await.unwrap();

    let revisions: Vec<u64> = everything(&store).await.into_iter().map(|(revision, _, _)| revision).collect();
    assert_eq!(revisions, [1, 3, 6], "3 is what 6 replaced, and a watcher from 5 needs it");
    assert_eq!(store.compacted(), Revision(5));
}

#[tokio::test]
async fn a_long_history_is_forgotten_bite_by_bite_while_writers_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(options(&folder)).await.unwrap();
    for _ in 0..2000 {
        commit(&store, "lease", Expect::Any, Some("v"), Urgency::Relaxed).await.unwrap();
    }
    let commits = store.metrics().commits;
    let (compacted, written) = tokio::join!(store.compact(Revision(2000)), put(&store, "a", "1"));
    compacted.unwrap();
    assert_eq!(written.unwrap(), Revision(2001));
    assert!(store.metrics().commits >= commits + 4, "2000 rows in bites of 512 are four commits");
    let left: Vec<u64> = everything(&store).await.into_iter().map(|(revision, ..)| revision).collect();
    assert_eq!(left, [2000, 2001]);
    assert_eq!(store.compacted(), Revision(2000));
}

#[tokio::test]
async fn renewals_without_end_do_not_make_the_file_grow() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(Options { history_bytes_max: 64 << 10, ..options(&folder) }).await.unwrap();
    let renew = async |rounds: u32| {
        for round in 0..rounds {
            let renewals = (0..100).map(|node| {
                let store = store.clone();
                async move { put(&store, &format!("lease-{node}"), &format!("{round:0>300}")).await.unwrap() }
            });
            for_each_at_once(renewals).await;
        }
        std::fs::metadata(folder.path().join("store.redb")).unwrap().len()
    };
    let warm = renew(40).await;
    let later = renew(160).await;
    assert!(later <= warm * 2, "{warm} bytes became {later}");
}

async fn for_each_at_once<T: Send + 'static>(futures: impl Iterator<Item = impl Future<Output = T> + Send + 'static>) {
    let mut set = tokio::task::JoinSet::new();
    futures.for_each(|future| drop(set.spawn(future)));
    set.join_all().await;
}

#[tokio::test]
async fn a_backup_goes_on_above_every_revision_of_its_origin() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(options(&folder)).await.unwrap();
    put(&store, "a", "1").await.unwrap();
    commit(&store, "event", Expect::Absent, Some("e"), Urgency::Relaxed).await.unwrap();
    let copy = folder.path().join("copy.redb");
    store.backup(copy.clone()).await.unwrap();
    let later = put(&store, "b", "after the copy").await.unwrap();

    let restored = Store::open(Options::file(&copy)).await.unwrap();
    assert!(restored.compacted() > later, "watchers of the origin must list again");
    let keys: Vec<String> = everything(&restored).await.into_iter().map(|(_, key, _)| key).collect();
    assert_eq!(keys, ["a", "event"]);
    assert!(put(&restored, "b", "1").await.unwrap() > later);
}

#[tokio::test]
async fn a_backup_made_while_writers_go_on_holds_everything_up_to_one_moment() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(options(&folder)).await.unwrap();
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..8 {
        let store = store.clone();
        writers.spawn(async move {
            for _ in 0..50 {
                put(&store, &format!("key-{writer}"), &"v".repeat(1000)).await.unwrap();
            }
        });
    }
    let before = put(&store, "before", "1").await.unwrap();
    let copy = folder.path().join("copy.redb");
    store.backup(&copy).await.unwrap();
    let after = store.revision();
    writers.join_all().await;

    let restored = Store::open(Options::file(&copy)).await.unwrap();
    let revisions: Vec<u64> = everything(&restored).await.into_iter().map(|(revision, ..)| revision).collect();
    let moment = revisions.len() as u64;
    assert_eq!(revisions, (1..=moment).collect::<Vec<_>>(), "a change in between is missing");
    assert!(before.0 <= moment && moment <= after.0);
}
