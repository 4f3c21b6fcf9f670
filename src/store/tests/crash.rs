//! Power cuts at random moments, on a disk that loses what was not synced.
//!
//! Goal: whatever the moment, each acknowledged durable write is there with its revision, no revision names two
//! states, and a watcher that comes back hears each later change once. Method: random writes, several at once, with
//! compaction going on; a cut after a random number of steps of the disk; a new start; a comparison with what was
//! promised. The seed is in each message and [`run`] with it alone replays the case, but for which writes happen to
//! share a commit.

use std::collections::{BTreeMap, HashMap, HashSet};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::lossy::{Disk, Fsync};
use super::*;

/// Cuts in the test that must pass.
const CUTS: usize = 1000;

/// Lives of one disk, each ended by a cut.
const LIVES: usize = 4;

/// The steps of the disk, at most, before a cut. Opening takes about ten, a commit three to twelve.
const STEPS_MAX: usize = 150;

/// Which key, and what became of it.
type State = (String, Option<String>);

/// What was promised to writers and told to a watcher, over all lives of one disk.
#[derive(Default)]
struct Model {
    /// Each value is written once: how it was asked for.
    asked: HashMap<String, Urgency>,
    /// What each revision was acknowledged as.
    acknowledged: BTreeMap<u64, (State, Urgency)>,
    /// What a watcher was told each revision is.
    told: BTreeMap<u64, State>,
    /// How far the watcher has come.
    heard: u64,
    /// Keys with writes that were cut off: they may have happened, a removal even be compacted away already.
    doubtful: HashSet<String>,
}

impl Model {
    /// The newest revision that anybody knows of.
    fn newest(&self) -> u64 {
        let newest = |key: Option<&u64>| key.copied().unwrap_or(0);
        newest(self.acknowledged.keys().next_back()).max(newest(self.told.keys().next_back())).max(self.heard)
    }

    fn hear(&mut self, batch: Batch) -> Result<(), String> {
        for change in batch.changes {
            let value = change.value.map(|value| String::from_utf8(value.to_vec()).unwrap());
            let state = (change.key.to_string(), value);
            match self.told.insert(change.revision.0, state.clone()) {
                Some(old) if old != state => return Err(format!("{} is {old:?} and {state:?}", change.revision)),
                _ => {}
            }
        }
        self.heard = self.heard.max(batch.revision.0);
        Ok(())
    }

    /// Judges what is not there although it was promised: compacted away, or lost as a crash may lose it. The latter is
    /// promised no longer.
    fn miss(&mut self, store: &Store, missing: &BTreeMap<u64, (State, Urgency)>) -> Result<(), String> {
        let lost = store.lost();
        for (revision, (state, urgency)) in missing {
            let may_be_lost = lost.iter().any(|(start, end)| start.0 < *revision && *revision <= end.0);
            let is_history = state.1.is_none() || self.is_superseded(*revision, &state.0);
            if *urgency == Urgency::Relaxed && may_be_lost {
                self.acknowledged.remove(revision);
                self.told.remove(revision);
            } else if !(is_history && *revision <= store.compacted().0) {
                return Err(format!("revision {revision}, {state:?}, {urgency:?}, is gone"));
            }
        }
        Ok(())
    }

    /// Whether `key` may have changed after `revision`: then `revision` may be compacted away.
    fn is_superseded(&self, revision: u64, key: &str) -> bool {
        let later = revision + 1..;
        self.doubtful.contains(key)
            || self.told.range(later.clone()).any(|(_, (other, _))| other == key)
            || self.acknowledged.range(later).any(|(_, ((other, _), _))| other == key)
    }
}

async fn open(disk: &Disk) -> Result<Store, crate::OpenError> {
    let disk = disk.clone();
    let backend = crate::disk::open::Backend::Custom(Box::new(move || Box::new(disk.clone())));
    // So little history that compaction goes on in each commit.
    Store::open_on(backend, crate::writer::History { age_max: Duration::from_secs(3600), bytes_max: 1500 }).await
}

/// Writes, one to four at once, until the power goes. An error is a broken promise.
async fn write_until_cut(store: &Store, disk: &Disk, model: &mut Model, chance: &mut StdRng) -> Result<(), String> {
    let newest = model.newest();
    let mut subscription = store.subscribe().await;
    while !disk.is_cut() {
        let mut writes = tokio::task::JoinSet::new();
        for _ in 0..chance.random_range(1..=4) {
            let key = format!("k{}", chance.random_range(0..6));
            let value = (!chance.random_bool(0.2)).then(|| format!("{:x}", chance.random::<u64>()));
            let urgency = if chance.random_bool(0.3) { Urgency::Relaxed } else { Urgency::Durable };
            model.asked.extend(value.iter().map(|value| (value.clone(), urgency)));
            let store = store.clone();
            writes.spawn(async move {
                let answer = commit(&store, &key, Expect::Any, value.as_deref(), urgency).await;
                (answer, (key, value), urgency)
            });
        }
        for (answer, state, urgency) in writes.join_all().await {
            let Ok(revision) = answer else {
                model.doubtful.insert(state.0);
                continue;
            };
            if revision.0 <= newest {
                return Err(format!("revision {revision} is given again, {newest} was known"));
            }
            model.acknowledged.insert(revision.0, (state, urgency));
        }
    }
    // What was acknowledged was published before, but the watcher may be cut off as well, anywhere.
    let target = chance.random_range(model.heard..=model.newest());
    while model.heard < target
        && let Some(batch) = tokio::time::timeout(DEADLINE, subscription.next()).await.unwrap()
    {
        model.hear(batch)?;
    }
    Ok(())
}

/// Compares what a store tells after a cut with what was promised before.
async fn check(store: &Store, model: &mut Model) -> Result<(), String> {
    if store.revision().0 < model.newest() {
        return Err(format!("{} was known, and the store goes on at {}", model.newest(), store.revision()));
    }
    let found: BTreeMap<u64, State> =
        everything(store).await.into_iter().map(|(revision, key, value)| (revision, (key, value))).collect();
    let old = std::mem::take(&mut model.heard);
    for (revision, state) in &found {
        if let Some((acknowledged, _)) = model.acknowledged.get(revision).filter(|(promised, _)| promised != state) {
            return Err(format!("{revision} was acknowledged as {acknowledged:?} and is {state:?}"));
        }
        match model.told.insert(*revision, state.clone()) {
            Some(told) if told != *state => return Err(format!("{revision} was told as {told:?} and is {state:?}")),
            None if *revision <= old => return Err(format!("{revision} came up behind a watcher at {old}: {state:?}")),
            _ => {}
        }
    }
    model.heard = store.revision().0;
    let told = model.told.iter().filter_map(|(revision, state)| {
        let urgency = state.1.as_ref().and_then(|value| model.asked.get(value))?;
        Some((revision, (state.clone(), *urgency)))
    });
    let mut promised: BTreeMap<u64, (State, Urgency)> = told.map(|(revision, told)| (*revision, told)).collect();
    promised.extend(model.acknowledged.clone());
    promised.retain(|revision, (state, _)| found.get(revision) != Some(state));
    model.miss(store, &promised)
}

/// Some lives of one disk; answers how many cuts ended them.
async fn run(seed: u64, fsync: Fsync) -> Result<usize, String> {
    let mut chance = StdRng::seed_from_u64(seed);
    let disk = Disk::default();
    // A file gets its name when it is whole, so there is no cut before the first opening.
    drop(open(&disk).await.map_err(|error| error.to_string())?.close().await);
    disk.set_fsync(fsync);
    let mut model = Model::default();
    let mut cuts = 0;
    for life in 0..LIVES {
        let told = |error: String| format!("seed {seed}, life {life}: {error}");
        disk.cut_after(chance.random_range(1..STEPS_MAX));
        match open(&disk).await {
            Ok(store) => {
                check(&store, &mut model).await.map_err(told)?;
                write_until_cut(&store, &disk, &mut model, &mut chance).await.map_err(told)?;
                // It cannot be closed in peace without power.
                let _ = store.close().await;
            }
            Err(error) if disk.is_cut() => drop(error),
            Err(error) => return Err(told(error.to_string())),
        }
        cuts += 1;
        disk.restore(chance.random());
    }
    let store = open(&disk).await.map_err(|error| format!("seed {seed}, at last: {error}"))?;
    check(&store, &mut model).await.map_err(|error| format!("seed {seed}, at last: {error}"))?;
    Ok(cuts)
}

#[tokio::test]
async fn a_thousand_cuts_lose_nothing_that_was_acknowledged() {
    let mut cuts = 0;
    for seed in 0.. {
        if cuts >= CUTS {
            break;
        }
        cuts += run(seed, Fsync::Works).await.unwrap();
    }
}

#[tokio::test]
async fn a_store_without_fsync_is_caught() {
    for seed in 0..100 {
        if run(seed, Fsync::IsLeftOut).await.is_err() {
            return;
        }
    }
    panic!("hundreds of cuts without fsync lost nothing: the test above shows nothing");
}
