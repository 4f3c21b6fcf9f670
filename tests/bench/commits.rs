//! What one durable commit takes on the disk under test, by the store alone.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use base::clock::Instant;
use bytes::Bytes;
use store::{Expect, Options, Store, Urgency, Write};

use crate::samples::Samples;

/// Commits that are measured: enough for a p99, done in a second or two.
const COMMITS: usize = 300;

/// Bytes of what is written: a Pod as JSON.
const OBJECT_BYTES: usize = 1536;

/// Times of commits, one after the other, each waited for.
pub(crate) async fn measure(folder: &Path) -> Result<Samples> {
    let folder = tempfile::tempdir_in(folder)?;
    let store = Store::open(Options::file(folder.path().join("store.redb"))).await?;
    let mut times = Vec::with_capacity(COMMITS);
    for number in 0..COMMITS {
        let write = Write {
            key: Arc::from(format!("/minke/1/core/pods/default/pod-{}", number % 100)),
            expect: Expect::Any,
            value: Some(Bytes::from(vec![b'x'; OBJECT_BYTES])),
            urgency: Urgency::Durable,
        };
        let started = Instant::now();
        store.commit(write).await?;
        times.push(started.elapsed());
    }
    store.close().await?;
    Ok(Samples::new(times))
}
