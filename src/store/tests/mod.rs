//! What a store promises, shown on real files and on disks that lose what was not synced.

mod behaviour;
mod crash;
mod lossy;
mod model;
mod opening;
mod trouble;

use std::sync::Arc;
use std::time::Duration;

use crate::{Batch, CommitError, Expect, Options, Revision, Store, Subscription, Urgency, Write};

/// No test waits longer for the store.
const DEADLINE: Duration = Duration::from_secs(30);

fn options(folder: &tempfile::TempDir) -> Options {
    Options::file(folder.path().join("store.redb"))
}

async fn put(store: &Store, key: &str, value: &str) -> Result<Revision, CommitError> {
    commit(store, key, Expect::Any, Some(value), Urgency::Durable).await
}

async fn commit(
    store: &Store,
    key: &str,
    expect: Expect,
    value: Option<&str>,
    urgency: Urgency,
) -> Result<Revision, CommitError> {
    let value = value.map(|value| bytes::Bytes::copy_from_slice(value.as_bytes()));
    store.commit(Write { key: Arc::from(key), expect, value, urgency }).await
}

async fn next(subscription: &mut Subscription) -> Batch {
    let next = tokio::time::timeout(DEADLINE, subscription.next()).await;
    next.expect("the subscription said nothing in time").expect("the subscription ended")
}

/// Every change that a new subscription tells up to the store's present revision.
async fn everything(store: &Store) -> Vec<(u64, String, Option<String>)> {
    let mut subscription = store.subscribe().await;
    let target = store.revision();
    let mut changes = Vec::new();
    loop {
        let batch = next(&mut subscription).await;
        changes.extend(batch.changes.into_iter().map(|change| {
            let text = |bytes: bytes::Bytes| String::from_utf8(bytes.to_vec()).unwrap();
            (change.revision.0, change.key.to_string(), change.value.map(text))
        }));
        if batch.revision >= target {
            return changes;
        }
    }
}
