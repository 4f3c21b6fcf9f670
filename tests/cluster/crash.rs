//! `kill -9` at random moments while 64 clients write.
//!
//! After each crash: every acknowledged write is there with its revision, no revision names two states, a watch that
//! goes on from its last revision sees each later change once, and a pod that appends to a volume runs again.
//! `MINKE_CRASH_ROUNDS` and `MINKE_CRASH_SEED` change how often and how; `cargo xtask crash` runs fifty rounds.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base::task::{self, Task};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{DeleteParams, ListParams, PostParams, WatchEvent, WatchParams};
use kube::{Api, Client};
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::json;

use crate::harness::Cluster;

const WRITERS: u64 = 64;

/// Objects of each writer.
const NAMES: u32 = 4;

/// What one key holds: its revision and value, or nothing.
type State = Option<(u64, String)>;

/// What one writer knows of one of its keys.
#[derive(Default)]
struct Known {
    acknowledged: State,
    /// What was asked for when the connection broke: the value, or the deletion.
    asked: Option<Option<String>>,
}

/// Every state that anybody was shown, by revision.
#[derive(Clone, Default)]
struct Shown(Arc<Mutex<BTreeMap<u64, String>>>);

impl Shown {
    /// Remembers what a revision showed; it must be what it showed before.
    fn add(&self, revision: u64, what: String) {
        let before = self.0.lock().unwrap().insert(revision, what.clone());
        assert!(before.as_ref().is_none_or(|before| *before == what), "revision {revision} is {before:?} and {what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_was_acknowledged_is_lost_when_the_process_is_killed() {
    let number = |name: &str, default: u64| std::env::var(name).map_or(default, |text| text.parse().unwrap());
    let (rounds, seed) = (number("MINKE_CRASH_ROUNDS", 3), number("MINKE_CRASH_SEED", rand::random::<u32>().into()));
    println!("{rounds} rounds of {WRITERS} writers, MINKE_CRASH_SEED={seed}");
    let mut random = SmallRng::seed_from_u64(seed);
    let mut cluster = Cluster::up().await;
    cluster.push("journal").await;
    cluster.create(POD).await;
    cluster.pod("journal").is("Running").await;
    let shown = Shown::default();
    let mut writers: Vec<HashMap<String, Known>> = (0..WRITERS).map(|_| HashMap::new()).collect();
    let mut watch = Watch { seen: Vec::new(), last: first_revision(&cluster.client).await };
    let mut acknowledged = 0;
    for round in 0..rounds {
        let watching = watch.follow(cluster.client.clone(), shown.clone());
        let writing: Vec<Task<_>> = std::mem::take(&mut writers)
            .into_iter()
            .enumerate()
            .map(|(id, known)| {
                let random = SmallRng::seed_from_u64(seed ^ (round << 32) ^ id as u64);
                task::spawn("writer", write(cluster.client.clone(), id, known, random, shown.clone()))
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(random.random_range(100..1200))).await;
        cluster = cluster.crash(&[]).await;
        watch = watching.await.unwrap();
        for writer in writing {
            let (known, count) = writer.await.unwrap();
            acknowledged += count;
            writers.push(known);
        }
        check(&cluster.client, &mut writers, &shown).await;
        let again = |pod: &serde_json::Value| {
            let status = &pod["status"]["containerStatuses"][0];
            status["restartCount"].as_u64() >= Some(round + 1) && status["state"]["running"].is_object()
        };
        cluster.pod("journal").until(again).await;
    }
    watch = watch.catch_up(&cluster.client, &shown).await;
    check_watch(&watch, &shown);
    println!("{acknowledged} writes were acknowledged, {} changes watched", watch.seen.len());
    assert!(acknowledged > rounds * WRITERS, "too little was written to say anything");
}

const POD: &str = "apiVersion: v1
kind: Pod
metadata: {name: journal}
spec:
  volumes: [{name: d, emptyDir: {}}]
  containers:
  - name: c
    image: registry.minke.local/default/journal
    args: [/d/journal, \"0.05\"]
    volumeMounts: [{name: d, mountPath: /d}]
";

fn maps(client: &Client) -> Api<ConfigMap> {
    Api::namespaced(client.clone(), "default")
}

fn map(name: &str, value: &str) -> ConfigMap {
    let labels = json!({"crash": "yes"});
    serde_json::from_value(json!({"metadata": {"name": name, "labels": labels}, "data": {"value": value}})).unwrap()
}

/// The revision and the value of an object.
fn state(map: &ConfigMap) -> (u64, String) {
    let revision = map.metadata.resource_version.as_deref().unwrap().parse().unwrap();
    (revision, map.data.as_ref().map(|data| data["value"].clone()).unwrap_or_default())
}

fn name(map: &ConfigMap) -> &str {
    map.metadata.name.as_deref().unwrap()
}

/// Writes to keys of its own until the connection breaks; says what it knows then, and how much was acknowledged.
async fn write(
    client: Client,
    id: usize,
    mut known: HashMap<String, Known>,
    mut random: SmallRng,
    shown: Shown,
) -> (HashMap<String, Known>, u64) {
    let api = maps(&client);
    let mut count = 0;
    loop {
        let name = format!("w{id}-{}", random.random_range(0..NAMES));
        let key = known.entry(name.clone()).or_default();
        let value = format!("{:016x}", random.random::<u64>());
        let delete = key.acknowledged.is_some() && random.random_range(0..4) == 0;
        key.asked = Some((!delete).then(|| value.clone()));
        let answer = match &key.acknowledged {
            None => api.create(&PostParams::default(), &map(&name, &value)).await.map(Some),
            Some(_) if delete => api.delete(&name, &DeleteParams::default()).await.map(|_| None),
            Some((revision, _)) => {
                let mut map = map(&name, &value);
                map.metadata.resource_version = Some(revision.to_string());
                api.replace(&name, &PostParams::default(), &map).await.map(Some)
            }
        };
        let made = match answer {
            Ok(made) => made,
            Err(kube::Error::Api(status)) if status.code < 500 => panic!("{name}: {}", status.message),
            Err(_) => return (known, count),
        };
        *key = Known { acknowledged: made.as_ref().map(state), asked: None };
        if let Some((revision, value)) = &key.acknowledged {
            shown.add(*revision, format!("{name}={value}"));
        }
        count += 1;
    }
}

/// Holds what is there against what was acknowledged, and takes over what the last requests came to.
async fn check(client: &Client, writers: &mut [HashMap<String, Known>], shown: &Shown) {
    let listed = maps(client).list(&ListParams::default().labels("crash=yes")).await.unwrap();
    let there: HashMap<&str, (u64, String)> = listed.iter().map(|map| (name(map), state(map))).collect();
    for (name, known) in writers.iter_mut().flatten() {
        let found = there.get(name.as_str()).cloned();
        if let Some((revision, value)) = &found {
            shown.add(*revision, format!("{name}={value}"));
        }
        let is_kept = found == known.acknowledged;
        let is_asked =
            known.asked.as_ref().is_some_and(|asked| *asked == found.as_ref().map(|(_, value)| value.clone()));
        assert!(
            is_kept || is_asked,
            "{name}: acknowledged {:?}, asked {:?}, found {found:?}",
            known.acknowledged,
            known.asked
        );
        *known = Known { acknowledged: found, asked: None };
    }
}

async fn first_revision(client: &Client) -> u64 {
    let listed = maps(client).list(&ListParams::default()).await.unwrap();
    listed.metadata.resource_version.unwrap().parse().unwrap()
}

/// A watch over crashes: what it saw, and from where it goes on.
struct Watch {
    seen: Vec<u64>,
    last: u64,
}

impl Watch {
    /// Goes on in a task until the connection breaks.
    fn follow(self, client: Client, shown: Shown) -> Task<Self> {
        task::spawn(
            "watch",
            async move { self.read(&client, &shown, &WatchParams::default().labels("crash=yes")).await },
        )
    }

    /// Goes on until nothing more comes.
    async fn catch_up(self, client: &Client, shown: &Shown) -> Self {
        let brief = WatchParams::default().labels("crash=yes").timeout(2);
        self.read(client, shown, &brief).await
    }

    async fn read(mut self, client: &Client, shown: &Shown, params: &WatchParams) -> Self {
        let Ok(changes) = maps(client).watch(params, &self.last.to_string()).await else { return self };
        let mut changes = Box::pin(changes);
        while let Some(Ok(change)) = changes.next().await {
            match change {
                WatchEvent::Added(map) | WatchEvent::Modified(map) => {
                    let (revision, value) = state(&map);
                    shown.add(revision, format!("{}={value}", name(&map)));
                    self.see(revision);
                }
                WatchEvent::Deleted(map) => self.see(state(&map).0),
                WatchEvent::Bookmark(mark) => self.last = mark.metadata.resource_version.parse().unwrap(),
                WatchEvent::Error(error) => panic!("the watch cannot go on: {}", error.message),
            }
        }
        self
    }

    fn see(&mut self, revision: u64) {
        assert!(revision > self.last, "revision {revision} came after {}", self.last);
        self.seen.push(revision);
        self.last = revision;
    }
}

/// Each state that anybody was shown, the watch has seen.
fn check_watch(watch: &Watch, shown: &Shown) {
    let missing: Vec<_> =
        shown.0.lock().unwrap().keys().filter(|revision| !watch.seen.contains(revision)).copied().collect();
    assert!(missing.is_empty(), "the watch missed the revisions {missing:?}");
}
