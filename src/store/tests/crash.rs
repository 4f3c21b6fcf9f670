//! Power cuts at random moments, on a disk that loses what was not synced.
//!
//! Goal: whatever the moment, each acknowledged durable write is there with its revision, no revision names two
//! states, and a subscriber who comes back hears each later change once. Method: a random history of writes against a
//! model, a cut after a random number of steps of the disk, a new start, a comparison; the seed is in each message, and
//! [`run`] with it alone replays the case.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::lossy::{Disk, Fsync};
use super::*;
use crate::Backend;

/// Cuts in the test that must pass.
const CUTS: u64 = 1000;

/// What was promised to writers and told to a subscriber, over all lives of one disk.
#[derive(Default)]
struct Model {
    /// What each revision was acknowledged as, with whether that was durable.
    acknowledged: BTreeMap<u64, (String, Option<String>, Urgency)>,
    /// What a subscriber was told each revision is.
    told: BTreeMap<u64, (String, Option<String>)>,
}

async fn open(disk: &Disk) -> Result<Store, crate::OpenError> {
    let disk = disk.clone();
    Store::open(Options {
        backend: Backend::Custom(Box::new(move || Box::new(disk.clone()))),
        history_age_max: Duration::from_secs(3600),
        history_bytes_max: 1 << 30,
    })
    .await
}

/// Writes until the power goes.
async fn write_until_cut(store: &Store, disk: &Disk, model: &mut Model, chance: &mut StdRng) {
    disk.cut_after(chance.random_range(1..120));
    let mut subscription = store.subscribe().await.ok();
    for step in 0..200 {
        if disk.is_cut() {
            break;
        }
        let key = format!("k{}", chance.random_range(0..6));
        let value = (!chance.random_bool(0.2)).then(|| format!("{step}-{}", chance.random::<u32>()));
        let urgency = if chance.random_bool(0.3) { Urgency::Relaxed } else { Urgency::Durable };
        if let Ok(revision) = commit(store, &key, Expect::Any, value.as_deref(), urgency).await {
            model.acknowledged.insert(revision.0, (key, value, urgency));
        }
    }
    // What was acknowledged was published before: the subscriber hears it without waiting for more.
    let target = model.acknowledged.keys().next_back().copied().unwrap_or(0);
    let mut heard = 0;
    while heard < target
        && let Some(listening) = &mut subscription
        && let Some(batch) = tokio::time::timeout(DEADLINE, listening.next()).await.unwrap()
    {
        heard = batch.revision.0;
        for change in batch.changes {
            let value = change.value.map(|value| String::from_utf8(value.to_vec()).unwrap());
            model.told.insert(change.revision.0, (change.key.to_string(), value));
        }
    }
}

/// Compares what a store tells after a cut with what was promised before.
async fn check(store: &Store, model: &Model) -> Result<(), String> {
    let found: BTreeMap<u64, (String, Option<String>)> =
        everything(store).await.into_iter().map(|(revision, key, value)| (revision, (key, value))).collect();
    let may_be_lost = |revision: u64| store.lost().iter().any(|(start, end)| start.0 < revision && revision <= end.0);
    for (revision, (key, value, urgency)) in &model.acknowledged {
        match found.get(revision) {
            Some(there) if *there == (key.clone(), value.clone()) => {}
            Some(there) => return Err(format!("revision {revision} was {key}={value:?} and is {there:?}")),
            None if *urgency == Urgency::Relaxed && may_be_lost(*revision) => {}
            None => return Err(format!("revision {revision}, {key}={value:?}, {urgency:?}, is gone")),
        }
    }
    for (revision, told) in &model.told {
        if let Some(there) = found.get(revision)
            && there != told
        {
            return Err(format!("revision {revision} was told as {told:?} and is {there:?}"));
        }
    }
    let newest = model.told.keys().next_back().copied().unwrap_or(0);
    if store.revision().0 < newest {
        return Err(format!("revision {newest} was told, and the store goes on at {}", store.revision()));
    }
    Ok(())
}

/// Three lives of one disk, each ended by a cut.
async fn run(seed: u64, fsync: Fsync) -> Result<(), String> {
    let mut chance = StdRng::seed_from_u64(seed);
    let disk = Disk::new(fsync);
    let mut model = Model::default();
    for life in 0..3 {
        let store = open(&disk).await.map_err(|error| format!("life {life}: {error}"))?;
        check(&store, &model).await.map_err(|error| format!("life {life}: {error}"))?;
        write_until_cut(&store, &disk, &mut model, &mut chance).await;
        store.close().await;
        disk.restore(chance.random());
    }
    let store = open(&disk).await.map_err(|error| format!("at last: {error}"))?;
    check(&store, &model).await
}

#[tokio::test]
async fn a_thousand_cuts_lose_nothing_that_was_acknowledged() {
    for seed in 0..CUTS / 3 + 1 {
        run(seed, Fsync::Works).await.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    }
}

#[tokio::test]
async fn a_store_without_fsync_is_caught() {
    for seed in 0..100 {
        if run(seed, Fsync::IsLeftOut).await.is_err() {
            return;
        }
    }
    panic!("a hundred cuts without fsync lost nothing: the test above shows nothing");
}
