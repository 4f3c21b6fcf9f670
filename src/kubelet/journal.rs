//! What the node writes down of its pods, so that it goes on after it was switched off.
//!
//! ```text
//! DIR/node/state                  one line of JSON: a record for each pod, rewritten as a whole
//! DIR/node/pods/UID/pod.json      the object, so that the pod can run before the API server is reached
//! ```
//!
//! Records are rewritten at most once a [`PAUSE`], each time old or new and never a mixture. What a crash loses in
//! between, the status that the API server has makes up for ([`crate::pods::record`]).

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::files::{self, Access};
use base::shutdown::Shutdown;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::pods::record::Record;

/// The least time between two writes. With 10,000 pods a write is some 3 MB, so this bounds what a busy node writes.
const PAUSE: Duration = Duration::from_secs(1);

/// The format of the file; another one is not read.
const FORMAT: u32 = 1;

/// The records of all pods.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    records: Mutex<Records>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Records {
    by_uid: BTreeMap<Arc<str>, Arc<Record>>,
    is_dirty: bool,
}

#[derive(Deserialize)]
struct FileIn {
    format: u32,
    pods: BTreeMap<Arc<str>, Arc<Record>>,
}

#[derive(Serialize)]
struct FileOut<'a> {
    format: u32,
    pods: &'a BTreeMap<Arc<str>, Arc<Record>>,
}

/// Why the journal cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk refuses.
    #[error(transparent)]
    Io(#[from] files::Error),
    /// A newer Minke wrote it.
    #[error("{path} has format {found}, and this version knows format {FORMAT}: run the version that wrote it")]
    Format {
        /// The file.
        path: String,
        /// What it says.
        found: u32,
    },
}

impl Journal {
    /// Reads what the daemon before this left. A file that cannot be understood is told and counts as empty: the
    /// API server knows the pods too.
    ///
    /// # Errors
    /// When the file is there and cannot be read, or is of another format.
    pub(crate) fn open(path: PathBuf) -> Result<Self, Error> {
        let by_uid = match files::read(&path)?.map(|text| serde_json::from_str::<FileIn>(&text)) {
            None => BTreeMap::new(),
            Some(Ok(FileIn { format: FORMAT, pods })) => pods,
            Some(Ok(FileIn { format, .. })) => {
                return Err(Error::Format { path: path.display().to_string(), found: format });
            }
            Some(Err(error)) => {
                tracing::warn!(path = %path.display(), %error, "the node's journal is broken; starting without it");
                BTreeMap::new()
            }
        };
        Ok(Self { path, records: Mutex::new(Records { by_uid, is_dirty: false }), changed: Notify::new() })
    }

    /// What is known of a pod.
    pub(crate) fn record(&self, uid: &str) -> Option<Arc<Record>> {
        self.lock().by_uid.get(uid).cloned()
    }

    /// All pods that are known.
    pub(crate) fn uids(&self) -> Vec<Arc<str>> {
        self.lock().by_uid.keys().cloned().collect()
    }

    /// Writes down what is known of a pod now; nothing happens if that was known.
    pub(crate) fn keep(&self, uid: &Arc<str>, record: Record) {
        let mut records = self.lock();
        if records.by_uid.get(uid).is_some_and(|known| **known == record) {
            return;
        }
        records.by_uid.insert(Arc::clone(uid), Arc::new(record));
        records.is_dirty = true;
        drop(records);
        self.changed.notify_one();
    }

    /// Forgets a pod.
    pub(crate) fn forget(&self, uid: &str) {
        let mut records = self.lock();
        records.is_dirty |= records.by_uid.remove(uid).is_some();
        drop(records);
        self.changed.notify_one();
    }

    /// Carries changes to the disk until the end is asked for; the last ones too.
    pub(crate) async fn run(self: Arc<Self>, shutdown: Shutdown) {
        while shutdown.or(self.changed.notified()).await.is_some() {
            self.write().await;
            shutdown.or(tokio::time::sleep(PAUSE)).await;
        }
        self.write().await;
    }

    async fn write(self: &Arc<Self>) {
        let journal = Arc::clone(self);
        let written = base::task::blocking(move || journal.write_now()).await;
        let error = match written {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        tracing::warn!(%error, "cannot write the node's journal; trying again");
        self.lock().is_dirty = true;
        self.changed.notify_one();
    }

    fn write_now(&self) -> Result<(), files::Error> {
        let text = {
            let mut records = self.lock();
            if !std::mem::take(&mut records.is_dirty) {
                return Ok(());
            }
            serde_json::to_vec(&FileOut { format: FORMAT, pods: &records.by_uid }).unwrap_or_default()
        };
        files::write(&self.path, &text, Access::Private)
    }

    fn lock(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        Record {
            accepted: "2026-01-02T03:04:05Z".parse().unwrap(),
            is_finished: false,
            verdict: None,
            address: None,
            handler: None,
            containers: Vec::new(),
        }
    }

    #[test]
    fn the_next_daemon_reads_what_this_one_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let journal = Journal::open(path.clone()).unwrap();
        journal.keep(&Arc::from("a"), record());
        journal.keep(&Arc::from("b"), record());
        journal.forget("b");
        journal.write_now().unwrap();

        let next = Journal::open(path).unwrap();
        assert_eq!(next.uids(), [Arc::from("a")]);
        assert_eq!(*next.record("a").unwrap(), record());
    }

    #[test]
    fn a_broken_journal_is_empty_and_a_newer_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        std::fs::write(&path, "{\"format\":").unwrap();
        assert!(Journal::open(path.clone()).unwrap().uids().is_empty());
        std::fs::write(&path, "{\"format\":2,\"pods\":{}}").unwrap();
        let error = Journal::open(path).unwrap_err().to_string();
        assert!(error.ends_with("has format 2, and this version knows format 1: run the version that wrote it"));
    }
}
