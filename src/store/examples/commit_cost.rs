//! What a commit and an opening cost on this machine: `cargo run -p store --example commit_cost [FOLDER]`.
//!
//! The first table is redb alone, with the rows of a store, in its two ways to survive a crash: one-phase commits,
//! which a full walk over the file repairs, and quick repair, which pays for a short start with a second fsync in each
//! commit. The second table is the store. "After a crash" opens a copy of the file that was taken while it was open.

use std::error::Error;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base::clock::Instant;
use bytes::Bytes;
use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition};
use store::{Expect, Options, Store, Urgency, Write};

/// Objects in the file, and the size of each: a Pod as JSON.
const OBJECTS: u64 = 100_000;
const OBJECT_BYTES: usize = 1536;

/// Commits that are measured, after the objects are there.
const COMMITS: u64 = 500;

/// Writers at once in the second measure.
const WRITERS: u64 = 64;

const LOG: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("log");

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Result<()> {
    let place = std::env::args().nth(1).map_or_else(std::env::temp_dir, Into::into);
    let folder = tempfile::tempdir_in(place)?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{OBJECTS} objects of {OBJECT_BYTES} bytes")?;
    writeln!(
        out,
        "{:<24}{:>14}{:>14}{:>18}{:>14}",
        "redb alone", "commit p50", "commit p99", "opened clean", "after a crash"
    )?;
    for (name, quick_repair) in [("one-phase", false), ("quick repair", true)] {
        let file = folder.path().join(name);
        let commits = redb_commits(&file, quick_repair)?;
        let crashed = file.with_extension("crashed");
        let (clean, after_crash) = (redb_open(&file)?, redb_open(&crashed)?);
        let [p50, p99] = percentiles(commits);
        writeln!(out, "{name:<24}{p50:>14.2?}{p99:>14.2?}{clean:>18.2?}{after_crash:>14.2?}")?;
    }
    writeln!(out, "{:<24}{:>14}{:>14}{:>18}", "the store", "write p50", "write p99", "writes/s")?;
    let file = folder.path().join("store.redb");
    let store = Store::open(Options::file(&file)).await?;
    fill(&store).await?;
    for writers in [1, WRITERS] {
        let started = Instant::now();
        let writes = measure(&store, writers).await?;
        let rate = writes.len() as f64 / started.elapsed().as_secs_f64();
        let [p50, p99] = percentiles(writes);
        writeln!(out, "{:<24}{p50:>14.2?}{p99:>14.2?}{rate:>18.0}", format!("{writers} writers"))?;
    }
    let crashed = folder.path().join("crashed.redb");
    std::fs::copy(&file, &crashed)?;
    let started = Instant::now();
    store.close().await?;
    writeln!(out, "{:<24}{:>14.2?}", "closed", started.elapsed())?;
    for (name, file) in [("opened clean", &file), ("opened after a crash", &crashed)] {
        let started = Instant::now();
        let store = Store::open(Options::file(file)).await?;
        let opened = started.elapsed();
        let target = store.revision();
        let mut subscription = store.subscribe().await;
        while subscription.next().await.is_some_and(|batch| batch.revision < target) {}
        writeln!(out, "{name:<24}{opened:>14.2?}{:>14.2?} with the replay", started.elapsed())?;
        store.close().await?;
    }
    Ok(())
}

fn value() -> Bytes {
    Bytes::from(vec![b'x'; OBJECT_BYTES])
}

fn percentiles(mut times: Vec<Duration>) -> [Duration; 2] {
    times.sort_unstable();
    [50, 99].map(|percent| times.get(times.len() * percent / 100).copied().unwrap_or_default())
}

/// Fills a file, measures commits of one row, and leaves a copy as a crash would.
fn redb_commits(file: &Path, quick_repair: bool) -> Result<Vec<Duration>> {
    let database = Database::builder().set_cache_size(16 << 20).create(file)?;
    let row = value();
    for chunk in 0..OBJECTS / 1000 {
        put(&database, quick_repair, (0..1000).map(|at| chunk * 1000 + at), &row)?;
    }
    let mut times = Vec::new();
    for number in 0..COMMITS {
        let started = Instant::now();
        put(&database, quick_repair, std::iter::once(OBJECTS + number), &row)?;
        times.push(started.elapsed());
    }
    std::fs::copy(file, file.with_extension("crashed"))?;
    Ok(times)
}

fn put(database: &Database, quick_repair: bool, keys: impl Iterator<Item = u64>, row: &[u8]) -> Result<()> {
    let mut transaction = database.begin_write()?;
    transaction.set_quick_repair(quick_repair);
    {
        let mut log = transaction.open_table(LOG)?;
        for key in keys {
            log.insert(key, row)?;
        }
    }
    Ok(transaction.commit()?)
}

/// How long it takes to open a file and read every row once, as the store does.
fn redb_open(file: &Path) -> Result<Duration> {
    let started = Instant::now();
    let database = Database::builder().set_cache_size(16 << 20).create(file)?;
    let log = database.begin_read()?.open_table(LOG)?;
    let bytes = log.iter()?.try_fold(0, |sum, row| row.map(|(_, value)| sum + value.value().len()))?;
    assert!(bytes > 0, "nothing was read");
    Ok(started.elapsed())
}

async fn fill(store: &Store) -> Result<()> {
    let value = value();
    let writers = 1000;
    let mut tasks = tokio::task::JoinSet::new();
    for writer in 0..writers {
        let (store, value) = (store.clone(), value.clone());
        tasks.spawn(async move {
            for number in 0..OBJECTS / writers {
                write(&store, format!("/minke/1/core/pods/default/pod-{writer}-{number}"), value.clone()).await?;
            }
            Result::Ok(())
        });
    }
    tasks.join_all().await.into_iter().collect()
}

async fn measure(store: &Store, writers: u64) -> Result<Vec<Duration>> {
    let mut tasks = tokio::task::JoinSet::new();
    for writer in 0..writers {
        let (store, value) = (store.clone(), value());
        tasks.spawn(async move {
            let mut times = Vec::new();
            for number in 0..COMMITS {
                let started = Instant::now();
                write(&store, format!("/minke/1/core/pods/default/pod-{writer}-{}", number % 100), value.clone())
                    .await?;
                times.push(started.elapsed());
            }
            Result::Ok(times)
        });
    }
    let times: Result<Vec<Vec<Duration>>> = tasks.join_all().await.into_iter().collect();
    Ok(times?.into_iter().flatten().collect())
}

async fn write(store: &Store, key: String, value: Bytes) -> Result<()> {
    let write = Write { key: Arc::from(key), expect: Expect::Any, value: Some(value), urgency: Urgency::Durable };
    store.commit(write).await?;
    Ok(())
}
