//! Random writes against a model that is a map, and a subscription that must tell what the model went through.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::*;

/// Histories, each from a seed that stands in the message when one fails.
const HISTORIES: u64 = 20;

/// Steps of one history.
const STEPS: usize = 150;

/// What a store is, told simply.
#[derive(Default)]
struct Model {
    revision: u64,
    /// By key: the change it is at, the change that created it, its value.
    keys: BTreeMap<String, (u64, u64, String)>,
    /// Every change: revision, key, value, created.
    log: Vec<(u64, String, Option<String>, u64)>,
}

impl Model {
    /// What a write must answer.
    fn write(&mut self, key: &str, expect: Expect, value: Option<&str>) -> Result<u64, Option<u64>> {
        let current = self.keys.get(key).map(|(revision, ..)| *revision);
        let is_expected = match expect {
            Expect::Absent => current.is_none(),
            Expect::At(revision) => current == Some(revision.0),
            Expect::Any => true,
        };
        if !is_expected || (value.is_none() && current.is_none()) {
            return Err(current);
        }
        self.revision += 1;
        let created = self.keys.get(key).map_or(self.revision, |(_, created, _)| *created);
        match value {
            Some(value) => self.keys.insert(key.to_owned(), (self.revision, created, value.to_owned())),
            None => self.keys.remove(key),
        };
        self.log.push((self.revision, key.to_owned(), value.map(str::to_owned), created));
        Ok(self.revision)
    }

    /// What a new subscriber hears once everything up to the newest change is compacted.
    fn live(&self) -> Vec<(u64, String, Option<String>, u64)> {
        let live = |change: &&(u64, String, Option<String>, u64)| {
            self.keys.get(&change.1).is_some_and(|(revision, ..)| *revision == change.0)
        };
        self.log.iter().filter(live).cloned().collect()
    }
}

fn random_expect(chance: &mut StdRng, newest: u64) -> Expect {
    match chance.random_range(0..4) {
        0 => Expect::Absent,
        1 => Expect::At(Revision(chance.random_range(0..=newest))),
        _ => Expect::Any,
    }
}

/// All that a subscription tells up to `target`, in the model's words.
async fn heard(subscription: &mut Subscription, target: u64) -> Vec<(u64, String, Option<String>, u64)> {
    let mut heard = Vec::new();
    loop {
        let batch = next(subscription).await;
        heard.extend(batch.changes.into_iter().map(|change| {
            let value = change.value.map(|value| String::from_utf8(value.to_vec()).unwrap());
            (change.revision.0, change.key.to_string(), value, change.created.0)
        }));
        if batch.revision.0 >= target {
            return heard;
        }
    }
}

async fn run(seed: u64) {
    let mut chance = StdRng::seed_from_u64(seed);
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(options(&folder)).await.unwrap();
    let mut model = Model::default();
    for step in 0..STEPS {
        let key = format!("key-{}", chance.random_range(0..8));
        let value = chance.random_bool(0.7).then(|| format!("value {step}"));
        let expect = random_expect(&mut chance, model.revision);
        let urgency = if chance.random_bool(0.5) { Urgency::Relaxed } else { Urgency::Durable };
        let answer = commit(&store, &key, expect, value.as_deref(), urgency).await;
        let expected = model.write(&key, expect, value.as_deref());
        let answer = answer.map(|revision| revision.0).map_err(|error| match error {
            CommitError::Conflict { current } => current.map(|current| current.0),
            other => panic!("seed {seed}, step {step}: {other}"),
        });
        assert_eq!(answer, expected, "seed {seed}, step {step}: {key} {expect:?} {value:?}");
        if chance.random_bool(0.02) {
            store.close().await.unwrap();
            store = Store::open(options(&folder)).await.unwrap();
            assert_eq!(store.revision().0, model.revision, "seed {seed}, step {step}");
        }
    }
    let told = heard(&mut store.subscribe().await, model.revision).await;
    assert_eq!(told, model.log, "seed {seed}");
    store.compact(store.revision()).await.unwrap();
    let told = heard(&mut store.subscribe().await, model.revision).await;
    assert_eq!(told, model.live(), "seed {seed}, compacted");
}

#[tokio::test]
async fn a_store_does_what_a_map_with_a_counter_does() {
    for seed in 0..HISTORIES {
        run(seed).await;
    }
}

#[tokio::test]
async fn a_subscriber_from_the_beginning_and_one_that_comes_later_hear_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(options(&folder)).await.unwrap();
    let mut early = store.subscribe().await;
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..16 {
        let store = store.clone();
        writers.spawn(async move {
            for step in 0..20 {
                let urgency = if step % 3 == 0 { Urgency::Relaxed } else { Urgency::Durable };
                commit(&store, &format!("key-{}", writer % 5), Expect::Any, Some("v"), urgency).await.unwrap();
            }
        });
    }
    let mut between = store.subscribe().await;
    writers.join_all().await;
    let told = heard(&mut early, 320).await;
    assert_eq!(told.iter().map(|change| change.0).collect::<Vec<_>>(), (1..=320).collect::<Vec<_>>());
    assert_eq!(heard(&mut between, 320).await, told);
    assert_eq!(heard(&mut store.subscribe().await, 320).await, told);
}
