//! The informers of one process: at most one a resource, started when first asked for.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use kube::runtime::watcher;
use kube::{Api, Client};

use crate::informer::{Informer, Watched};

/// A handle to the informers of a process; clones share them.
#[derive(Clone)]
pub struct Informers {
    client: Client,
    /// Each is an `Informer<K>` under the `TypeId` of its `K`. Bounded by the kinds that our code names.
    started: Arc<Mutex<HashMap<TypeId, Box<dyn Any + Send + Sync>>>>,
}

impl Informers {
    /// No informers yet; those that come speak through `client`.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client, started: Arc::default() }
    }

    /// The same informers for who writes through another `client`. What is read by now stays as it is; what is asked
    /// for first here is read through `client`.
    #[must_use]
    pub fn shared_with(&self, client: Client) -> Self {
        Self { client, started: Arc::clone(&self.started) }
    }

    /// The client to write through.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The informer of all objects of this kind. It runs until the last handle to these informers, and to it, is gone.
    #[must_use]
    pub fn of<K: Watched>(&self) -> Informer<K>
    where
        K::DynamicType: Default,
    {
        self.of_pruned(|_| {})
    }

    /// The same, where the first who asks decides what is kept of each object: what `prune` leaves of it. So whoever
    /// puts a process together asks first, for all that share these informers.
    pub fn of_pruned<K: Watched>(&self, prune: fn(&mut K)) -> Informer<K>
    where
        K::DynamicType: Default,
    {
        let mut started = self.started.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(informer) = started.get(&TypeId::of::<K>()).and_then(|any| any.downcast_ref::<Informer<K>>()) {
            return informer.clone();
        }
        let informer = Informer::start_pruned(Api::all(self.client.clone()), watcher::Config::default(), prune);
        started.insert(TypeId::of::<K>(), Box::new(informer.clone()));
        informer
    }
}

impl fmt::Debug for Informers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let started = self.started.lock().unwrap_or_else(PoisonError::into_inner).len();
        f.debug_struct("Informers").field("started", &started).finish_non_exhaustive()
    }
}
