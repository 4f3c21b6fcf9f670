//! One watch and one shared cache of a resource, and those who listen to its changes.
//!
//! An [`Informer`] reads; its `writer` follows the server. A list that starts anew is gathered aside and swapped in
//! whole, so that nobody sees half of it; what it changed is told as ordinary changes. There is no resync: listeners
//! hear what changed and nothing else.

mod writer;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use base::task::{self, Task};
use kube::runtime::watcher;
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use crate::informer::writer::Writer;
use crate::key::Key;

/// All objects of a resource at one moment, in the order of their keys. Cheap to clone; it never changes.
pub type Snapshot<K> = imbl::OrdMap<Key, Arc<K>>;

/// What can be watched.
pub trait Watched: Resource + Clone + fmt::Debug + DeserializeOwned + Send + Sync + 'static {}

impl<K: Resource + Clone + fmt::Debug + DeserializeOwned + Send + Sync + 'static> Watched for K {}

/// A handle to one watch and its cache; clones share them, and the watch ends with the last one.
#[derive(Clone)]
pub struct Informer<K> {
    shared: Arc<Shared<K>>,
    _task: Arc<Task<()>>,
}

/// One change of one object.
#[derive(Debug)]
pub struct Change<K> {
    /// Which object.
    pub key: Key,
    /// As it was; `None` where it is new. Its uid may differ from that of `new`: then one was deleted and another
    /// one made under its name.
    pub old: Option<Arc<K>>,
    /// As it is; `None` where it is gone.
    pub new: Option<Arc<K>>,
}

impl<K> Change<K> {
    /// The object as it is, or as it was last.
    #[must_use]
    pub fn object(&self) -> Option<&Arc<K>> {
        self.new.as_ref().or(self.old.as_ref())
    }
}

/// Keeps a listener listening; dropping it ends that.
#[must_use = "dropping it ends the listening"]
#[derive(Clone, Debug)]
pub struct Subscription {
    _alive: Arc<()>,
}

type Listen<K> = Box<dyn Fn(&Change<K>) + Send + Sync>;

struct Listener<K> {
    /// Dead once the [`Subscription`] is dropped.
    alive: Weak<()>,
    listen: Listen<K>,
}

struct Shared<K> {
    /// The cache. Locked for a moment only, and never while listeners are called.
    objects: Mutex<Snapshot<K>>,
    /// Locked from before the cache changes until everyone was told, so that whoever subscribes meanwhile misses
    /// nothing and hears nothing twice.
    listeners: Mutex<Vec<Listener<K>>>,
    /// Whether the cache has held a complete list.
    synced: watch::Sender<bool>,
}

impl<K: Watched> Informer<K> {
    /// Starts to watch what `api` reaches and `config` selects.
    #[must_use]
    pub fn start(api: Api<K>, config: watcher::Config) -> Self {
        Self::start_pruned(api, config, |_| {})
    }

    /// The same, keeping of each object what `prune` leaves of it.
    #[must_use]
    pub fn start_pruned(api: Api<K>, config: watcher::Config, prune: fn(&mut K)) -> Self {
        let shared = Arc::new(Shared {
            objects: Mutex::new(Snapshot::new()),
            listeners: Mutex::new(Vec::new()),
            synced: watch::Sender::new(false),
        });
        let writer = Writer::new(Arc::clone(&shared), prune);
        let task = task::spawn("informer", writer.run(api, config.streaming_lists()));
        Self { shared, _task: Arc::new(task) }
    }

    /// Calls `listen` for all that is there, as if it were new, and then for each change, in order.
    ///
    /// It runs within the informer: it should only add to a queue or keep a snapshot in step, must not block, and
    /// must not subscribe to this informer. Reading the informer shows the change.
    pub fn subscribe(&self, listen: impl Fn(&Change<K>) + Send + Sync + 'static) -> Subscription {
        let alive = Arc::new(());
        let mut listeners = self.shared.lock_listeners();
        for (key, object) in self.all() {
            listen(&Change { key, old: None, new: Some(object) });
        }
        listeners.push(Listener { alive: Arc::downgrade(&alive), listen: Box::new(listen) });
        Subscription { _alive: alive }
    }
}

impl<K> Informer<K> {
    /// The object of this key, as last seen.
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<Arc<K>> {
        self.shared.lock_objects().get(key).cloned()
    }

    /// All objects, as last seen.
    #[must_use]
    pub fn all(&self) -> Snapshot<K> {
        self.shared.lock_objects().clone()
    }

    /// Completes once the cache has held a complete list; safe to drop and call again.
    pub async fn synced(&self) {
        // It fails only where the sender is gone, which `self` keeps.
        self.shared.synced.subscribe().wait_for(|synced| *synced).await.ok();
    }

    /// Whether the cache has held a complete list.
    #[must_use]
    pub fn is_synced(&self) -> bool {
        *self.shared.synced.borrow()
    }
}

impl<K> fmt::Debug for Informer<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Informer").field("objects", &self.all().len()).field("synced", &self.is_synced()).finish()
    }
}

impl<K> Shared<K> {
    fn lock_objects(&self) -> MutexGuard<'_, Snapshot<K>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_listeners(&self) -> MutexGuard<'_, Vec<Listener<K>>> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
