//! All workers of the node, kept in step with the objects that the API server has.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::clock::{self, Instant};
use base::shutdown::Shutdown;
use base::task;
use client::Informer;
use client::informer::Change;
use k8s_openapi::api::core::v1 as core;
use kube::runtime::watcher;
use kube::{Api, Client};
use tokio::sync::Notify;

use super::mailbox::Mailbox;
use super::record::Record;
use super::state::State;
use super::steps;
use super::view::View;
use super::worker::Worker;
use crate::daemon::Daemon;

/// How often the image store is told which images pods name. One that was just pulled is held by its container.
const IMAGES_EVERY: Duration = Duration::from_secs(60);

/// How much longer than the grace the daemon's end waits for its workers: a killed guest ends at its next epoch.
const DRAIN_MARGIN: Duration = Duration::from_secs(5);

/// The table; clones share it.
#[derive(Clone)]
pub(crate) struct Table {
    daemon: Arc<Daemon>,
    shared: Arc<Shared>,
}

struct Shared {
    /// By uid. Bounded by the pods that are bound to this node.
    workers: Mutex<HashMap<Arc<str>, Entry>>,
    /// Told when a worker has ended.
    ended: Notify,
}

/// One pod that has, or had, a worker.
struct Entry {
    pod: Arc<core::Pod>,
    mailbox: Arc<Mailbox>,
    /// The worker has ended; the entry stays until the object is gone, so that no second one begins.
    is_over: bool,
    is_object_gone: bool,
}

impl Table {
    /// A table without workers.
    pub(crate) fn new(daemon: Arc<Daemon>) -> Self {
        let shared = Shared { workers: Mutex::default(), ended: Notify::new() };
        Self { daemon, shared: Arc::new(shared) }
    }

    /// Follows the objects bound to this node until the end is asked for, then ends all workers within the grace.
    pub(crate) async fn run(&self, client: Client, shutdown: Shutdown) {
        shutdown.or(futures::future::join(self.follow(client), self.keep_images())).await;
        self.drain().await;
    }

    /// The objects as last seen.
    pub(crate) fn pods(&self) -> Vec<Arc<core::Pod>> {
        self.lock().values().map(|entry| Arc::clone(&entry.pod)).collect()
    }

    /// How many workers there are.
    pub(crate) fn len(&self) -> usize {
        self.lock().values().filter(|entry| !entry.is_over).count()
    }

    /// How the pod of this name is; the youngest, where one of the same name is still ending.
    pub(crate) async fn look(&self, namespace: &str, name: &str) -> Option<View> {
        let mailbox = {
            let workers = self.lock();
            let named = workers.values().filter(|entry| {
                let meta = &entry.pod.metadata;
                meta.namespace.as_deref() == Some(namespace) && meta.name.as_deref() == Some(name) && !entry.is_over
            });
            let youngest = named.max_by_key(|entry| entry.pod.metadata.creation_timestamp.as_ref().map(|time| time.0));
            Arc::clone(&youngest?.mailbox)
        };
        mailbox.ask().await
    }

    async fn follow(&self, client: Client) {
        let mine = format!("spec.nodeName={}", self.daemon.options.node_name);
        let informer = Informer::start(Api::<core::Pod>::all(client), watcher::Config::default().fields(&mine));
        // The node's object says which addresses its pods get, so it comes first.
        let picture = async {
            self.daemon.room.learned().await;
            informer.synced().await;
        };
        tokio::pin!(picture);
        if tokio::time::timeout(self.daemon.options.alone_after, picture.as_mut()).await.is_err() {
            self.run_alone().await;
            picture.await;
        }
        let table = self.clone();
        let _listening = informer.subscribe(move |change| table.hear(change));
        let listed = informer.all();
        self.keep_only(&listed.values().filter_map(|pod| pod.metadata.uid.clone()).collect()).await;
        std::future::pending().await
    }

    /// Tells the image store again and again which images pods name.
    async fn keep_images(&self) {
        if !self.daemon.options.owns_image_store {
            return;
        }
        loop {
            tokio::time::sleep(IMAGES_EVERY).await;
            let pods = self.pods();
            self.daemon.pulls.set_in_use(pods.iter().map(|pod| &**pod));
        }
    }

    fn hear(&self, change: &Change<core::Pod>) {
        let uid = |pod: &Arc<core::Pod>| pod.metadata.uid.clone().unwrap_or_default();
        let (old, new) = (change.old.as_ref().map(uid), change.new.as_ref().map(uid));
        if let Some(old) = old.filter(|old| new.as_ref() != Some(old)) {
            self.object_gone(&old);
        }
        if let Some(pod) = &change.new {
            self.apply(Arc::clone(pod));
        }
    }

    /// A pod is bound to this node, or its object changed.
    fn apply(&self, pod: Arc<core::Pod>) {
        let Some(uid) = pod.metadata.uid.as_deref().map(Arc::<str>::from) else { return };
        let mut workers = self.lock();
        match workers.get_mut(&uid) {
            Some(entry) => {
                entry.pod = Arc::clone(&pod);
                entry.mailbox.update(pod);
            }
            None => {
                let mailbox = Arc::new(Mailbox::default());
                let entry = Entry {
                    pod: Arc::clone(&pod),
                    mailbox: Arc::clone(&mailbox),
                    is_over: false,
                    is_object_gone: false,
                };
                workers.insert(Arc::clone(&uid), entry);
                drop(workers);
                self.begin(uid, pod, mailbox);
            }
        }
    }

    fn begin(&self, uid: Arc<str>, pod: Arc<core::Pod>, mailbox: Arc<Mailbox>) {
        let (now, at) = (clock::now_seconds(), Instant::now());
        let journal = self.daemon.journal.record(&uid).map(|record| (*record).clone());
        let record = match (journal, Record::of_status(&pod)) {
            (Some(journal), Some(server)) => Some(journal.merge(server)),
            (journal, server) => journal.or(server),
        };
        let state = match record {
            Some(record) => record.resume(&pod, now, at),
            None => State::new(&pod, now, at),
        };
        // Large, and moved from future into future: boxed it is there once.
        let worker = Box::new(Worker::new(Arc::clone(&self.daemon), pod, state, mailbox));
        let ending = Ending { table: self.clone(), uid };
        task::spawn("pod", async move {
            worker.run().await;
            drop(ending);
        })
        .detach();
    }

    fn object_gone(&self, uid: &str) {
        let mut workers = self.lock();
        let Some(entry) = workers.get_mut(uid) else { return };
        entry.is_object_gone = true;
        if entry.is_over {
            workers.remove(uid);
        } else {
            entry.mailbox.gone();
        }
    }

    fn worker_ended(&self, uid: &str) {
        let mut workers = self.lock();
        if let Some(entry) = workers.get_mut(uid) {
            entry.is_over = true;
            if entry.is_object_gone {
                workers.remove(uid);
            }
        }
        drop(workers);
        self.shared.ended.notify_waiters();
    }

    /// After a whole list: what is not in it is gone, on the API server and so here.
    async fn keep_only(&self, listed: &BTreeSet<String>) {
        let gone: Vec<Arc<str>> = self.lock().keys().filter(|uid| !listed.contains(&***uid)).cloned().collect();
        for uid in gone {
            self.object_gone(&uid);
        }
        for uid in self.daemon.journal.uids() {
            if !self.lock().contains_key(&uid) {
                self.daemon.journal.forget(&uid);
            }
        }
        let known: BTreeSet<Arc<str>> = self.lock().keys().cloned().collect();
        let pods = Arc::clone(&self.daemon.pods_dir);
        let removed = task::blocking(move || remove_orphans(&pods, &known)).await;
        match removed {
            Ok(Ok(0)) => {}
            Ok(Ok(count)) => tracing::info!(count, "removed the folders of pods that are no more"),
            Ok(Err(error)) => tracing::warn!(%error, "cannot remove the folders of pods that are no more"),
            Err(error) => tracing::error!(%error, "the removal of old folders died"),
        }
    }

    /// Runs what the journal knows, because the API server does not answer.
    async fn run_alone(&self) {
        let uids = self.daemon.journal.uids();
        tracing::warn!(pods = uids.len(), "the API server does not answer; going on from what this node knows");
        let pods = Arc::clone(&self.daemon.pods_dir);
        let read = move || -> Vec<core::Pod> { uids.iter().filter_map(|uid| steps::read_object(&pods, uid)).collect() };
        match task::blocking(read).await {
            Ok(pods) => pods.into_iter().for_each(|pod| self.apply(Arc::new(pod))),
            Err(error) => tracing::error!(%error, "the journal's pods cannot be read"),
        }
    }

    async fn drain(&self) {
        for entry in self.lock().values() {
            entry.mailbox.drain();
        }
        let ended = async {
            loop {
                let ended = self.shared.ended.notified();
                tokio::pin!(ended);
                ended.as_mut().enable();
                if self.len() == 0 {
                    return;
                }
                ended.await;
            }
        };
        let deadline = self.daemon.options.shutdown_grace + DRAIN_MARGIN;
        if tokio::time::timeout(deadline, ended).await.is_err() {
            tracing::warn!(pods = self.len(), "pods did not end in time; leaving them to the next start");
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Entry>> {
        self.shared.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says that a worker has ended, whether it returned or panicked.
struct Ending {
    table: Table,
    uid: Arc<str>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.table.worker_ended(&self.uid);
    }
}

/// Removes the folders of pods that nobody knows. Blocks on the disk.
fn remove_orphans(pods: &cap_std::fs::Dir, known: &BTreeSet<Arc<str>>) -> std::io::Result<usize> {
    let mut count = 0;
    for entry in pods.entries()? {
        let name = entry?.file_name();
        if let Some(name) = name.to_str()
            && !known.contains(name)
        {
            steps::remove_folder(pods, name)?;
            count += 1;
        }
    }
    Ok(count)
}
