//! The feed: one task that carries the store's changes into the caches, and tells how far it has come.
//!
//! At start it replays the whole log; [`Caches::start`] returns when the replay has reached the store's revision. A
//! write is answered only after the feed has passed its revision ([`Caches::reached`]), so whoever wrote reads what
//! they wrote.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use api::scheme::{Resource, Scheme};
use base::shutdown::Shutdown;
use base::task::{self, Task};
use store::{Change, Revision, Store};
use tokio::sync::watch;

use super::Cache;
use crate::conversion;

/// The first parts of every key: the project and the layout's version.
const ROOT: &str = "/minke/1/";

/// How long a reader waits for the feed to reach a revision. The feed is a memory copy behind the commit, so this is
/// only ever reached when the process is starved; upstream waits three seconds as well.
const REACH_DEADLINE: Duration = Duration::from_secs(3);

/// How often caches that hear of no change forget what they need not remember.
const FORGET_EVERY: Duration = Duration::from_secs(60);

/// Every cache by its stored resource, and the feed's progress; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Caches {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// By `group or core` and plural, as keys begin. One of a resource that nobody knows (yet) is made when its first
    /// object is read.
    caches: RwLock<HashMap<(String, String), Cache>>,
    applied: watch::Sender<Revision>,
}

/// The caches could not be filled.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FillError {
    /// The store holds something that is not an object.
    #[error(transparent)]
    Unreadable(#[from] super::object::Unreadable),
    /// The store ended its subscription.
    #[error("the store was closed while it was being read")]
    Closed,
}

/// The feed has not reached a revision in time.
#[derive(Debug, thiserror::Error)]
#[error("Too large resource version: {asked}, current: {current}")]
pub(crate) struct NotReached {
    pub asked: u64,
    pub current: u64,
}

impl Caches {
    /// Makes a cache for every stored resource of `scheme`, fills them from `store`, and keeps them fed until
    /// `shutdown`.
    pub(crate) async fn start(
        scheme: &Scheme,
        store: &Store,
        shutdown: Shutdown,
    ) -> Result<(Self, Task<()>), FillError> {
        let caches = scheme
            .resources()
            .filter(|resource| resource.is_stored && conversion::is_storage(resource))
            .map(|resource| (storage_name(resource), Cache::new(Arc::clone(resource))))
            .collect();
        let caches =
            Self { shared: Arc::new(Shared { caches: RwLock::new(caches), applied: watch::Sender::new(Revision(0)) }) };

        let target = store.revision();
        let mut subscription = store.subscribe().await;
        while caches.applied() < target {
            let batch = subscription.next().await.ok_or(FillError::Closed)?;
            batch.changes.iter().try_for_each(|change| caches.apply(change))?;
            caches.shared.applied.send_replace(batch.revision);
        }
        for cache in caches.all() {
            cache.forget_up_to(store.compacted());
        }
        for (_, end) in store.lost() {
            // Events and lease renewals of this range may be gone; their watchers must list again.
            for name in [("core", "events"), ("coordination.k8s.io", "leases")] {
                if let Some(cache) = caches.find(name.0, name.1) {
                    cache.forget_up_to(end);
                }
            }
        }

        let feeding = caches.clone();
        let (trimming, ending) = (caches.clone(), shutdown.clone());
        let trim = async move {
            while ending.or(tokio::time::sleep(FORGET_EVERY)).await.is_some() {
                trimming.all().iter().for_each(Cache::forget_old);
            }
        };
        let feed = async move {
            while let Some(Some(batch)) = shutdown.or(subscription.next()).await {
                for change in &batch.changes {
                    // What we encoded ourselves is readable; else the object stays as it was and the error is told.
                    if let Err(error) = feeding.apply(change) {
                        tracing::error!(key = &*change.key, %error, "the watch cache skipped a change");
                    }
                }
                feeding.shared.applied.send_replace(batch.revision);
            }
        };
        let task = task::spawn("watch cache feed", async move {
            tokio::select! {
                () = feed => {}
                () = trim => {}
            }
        });
        Ok((caches, task))
    }

    /// The cache of the stored form of `resource`.
    pub(crate) fn of(&self, resource: &Resource) -> Option<Cache> {
        let (group, plural) = storage_name(resource);
        self.find(&group, &plural)
    }

    /// The cache of a resource that is served from now on.
    pub(crate) fn add(&self, resource: &Arc<Resource>) -> Cache {
        let mut caches = self.shared.caches.write().unwrap_or_else(PoisonError::into_inner);
        caches.entry(storage_name(resource)).or_insert_with(|| Cache::new(Arc::clone(resource))).clone()
    }

    /// Forgets a resource that is no longer served, and ends its watches.
    pub(crate) fn remove(&self, resource: &Resource) {
        let mut caches = self.shared.caches.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(cache) = caches.remove(&storage_name(resource)) {
            cache.end_watches();
        }
    }

    /// Every cache.
    pub(crate) fn all(&self) -> Vec<Cache> {
        self.shared.caches.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    fn find(&self, group: &str, plural: &str) -> Option<Cache> {
        let caches = self.shared.caches.read().unwrap_or_else(PoisonError::into_inner);
        caches.get(&(group.to_owned(), plural.to_owned())).cloned()
    }

    /// The revision up to which every change is in the caches.
    pub(crate) fn applied(&self) -> Revision {
        *self.shared.applied.borrow()
    }

    /// Waits until every change up to `revision` is in the caches.
    ///
    /// # Errors
    /// When that takes longer than three seconds, as with a revision from the future.
    pub(crate) async fn reached(&self, revision: Revision) -> Result<(), NotReached> {
        let mut applied = self.shared.applied.subscribe();
        let wait = applied.wait_for(|applied| *applied >= revision);
        match tokio::time::timeout(REACH_DEADLINE, wait).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(NotReached { asked: revision.0, current: self.applied().0 }),
        }
    }

    fn apply(&self, change: &Change) -> Result<(), super::object::Unreadable> {
        let Some((cache, key)) = self.route(&change.key) else { return Ok(()) };
        cache.apply(key.into(), change.revision, change.value.as_deref())
    }

    /// The cache that holds the object stored at `key`, and the object's key there.
    fn route<'k>(&self, key: &'k str) -> Option<(Cache, &'k str)> {
        let (group, rest) = key.strip_prefix(ROOT)?.split_once('/')?;
        let (plural, object) = rest.split_once('/')?;
        let known = self.find(group, plural);
        let cache = known.or_else(|| Some(self.add(&Arc::new(Resource::unserved(group, plural)?))))?;
        Some((cache, object))
    }
}

fn storage_name(resource: &Resource) -> (String, String) {
    let group = if resource.storage.group.is_empty() { "core" } else { &resource.storage.group };
    (group.to_owned(), resource.storage.plural.to_string())
}
