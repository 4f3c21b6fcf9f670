//! The side of an informer that follows the server and writes its cache.

use std::sync::Arc;
use std::time::Duration;

use base::backoff::{Backoff, Law};
use futures::{Stream, StreamExt as _};
use kube::Api;
use kube::runtime::watcher::{self, Event};

use super::{Change, Shared, Snapshot, Watched};
use crate::key::Key;

/// The wait before a broken watch is started again. Its ceiling is that of client-go's reflector; it starts lower,
/// since a server that was restarted is back within a second.
const RECONNECT: Law = Law::spread(Duration::from_millis(100), Duration::from_secs(30));

/// The one writer of a cache.
pub(super) struct Writer<K> {
    shared: Arc<Shared<K>>,
    /// The list that is being gathered; empty between lists.
    listed: Snapshot<K>,
    /// Drops what nobody here reads.
    prune: fn(&mut K),
}

impl<K: Watched> Writer<K> {
    pub(super) fn new(shared: Arc<Shared<K>>, prune: fn(&mut K)) -> Self {
        Self { shared, listed: Snapshot::new(), prune }
    }

    /// Follows the server until it is dropped; a watch that breaks is started again where it stood.
    pub(super) async fn run(self, api: Api<K>, config: watcher::Config) {
        let resource = api.resource_url().to_owned();
        self.follow(&resource, watcher::watcher(api, config)).await;
    }

    async fn follow(mut self, resource: &str, events: impl Stream<Item = watcher::Result<Event<K>>>) {
        let mut events = std::pin::pin!(events);
        let mut retry = Backoff::new(RECONNECT);
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => {
                    // That a list begins is no success yet: it may break again and again.
                    if !matches!(event, Event::Init) {
                        retry.reset();
                    }
                    self.apply(event);
                }
                Err(error) => {
                    tracing::warn!(resource, error = base::causes(&error), "the watch broke; starting it again");
                    tokio::time::sleep(retry.next_wait()).await;
                }
            }
        }
    }

    fn apply(&mut self, event: Event<K>) {
        let event = event.modify(|object| {
            object.meta_mut().managed_fields = None;
            (self.prune)(object);
        });
        match event {
            Event::Init => self.listed = Snapshot::new(),
            Event::InitApply(object) => {
                self.listed.insert(Key::of(&object), Arc::new(object));
            }
            Event::InitDone => {
                let listed = std::mem::take(&mut self.listed);
                self.swap_in(listed);
                self.shared.synced.send_replace(true);
            }
            Event::Apply(object) => self.change(Key::of(&object), Some(Arc::new(object))),
            Event::Delete(object) => self.change(Key::of(&object), None),
        }
    }

    fn change(&self, key: Key, new: Option<Arc<K>>) {
        let listeners = self.shared.lock_listeners();
        let old = {
            let mut objects = self.shared.lock_objects();
            match &new {
                Some(object) => objects.insert(key.clone(), Arc::clone(object)),
                None => objects.remove(&key),
            }
        };
        if old.is_none() && new.is_none() {
            return;
        }
        let change = Change { key, old, new };
        for listener in listeners.iter() {
            if listener.alive.strong_count() > 0 {
                (listener.listen)(&change);
            }
        }
    }

    /// Makes the cache a whole list, change by change.
    fn swap_in(&self, listed: Snapshot<K>) {
        self.shared.lock_listeners().retain(|listener| listener.alive.strong_count() > 0);
        let known = self.shared.lock_objects().clone();
        for key in known.keys().filter(|key| !listed.contains_key(*key)) {
            self.change(key.clone(), None);
        }
        for (key, object) in listed {
            let is_same = known.get(&key).is_some_and(|known| is_same_version(&**known, &*object));
            if !is_same {
                self.change(key, Some(object));
            }
        }
    }
}

/// Whether both are one state of one object. A resourceVersion is never used twice.
fn is_same_version<K: Watched>(one: &K, other: &K) -> bool {
    let (one, other) = (one.meta(), other.meta());
    one.resource_version.is_some() && one.resource_version == other.resource_version
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures::stream;
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::core::ObjectMeta;

    use super::*;
    use crate::informer::Informer;

    fn map(name: &str, version: &str) -> ConfigMap {
        let metadata = ObjectMeta {
            name: Some(name.into()),
            namespace: Some("default".into()),
            resource_version: Some(version.into()),
            managed_fields: Some(Vec::new()),
            ..ObjectMeta::default()
        };
        ConfigMap { metadata, ..ConfigMap::default() }
    }

    /// An informer that has followed these events, and what its listener heard: `name old→new`.
    async fn heard(events: Vec<watcher::Result<Event<ConfigMap>>>) -> (Informer<ConfigMap>, Vec<String>) {
        let shared = Arc::new(Shared {
            objects: Mutex::default(),
            listeners: Mutex::default(),
            synced: tokio::sync::watch::Sender::new(false),
        });
        let idle = base::task::spawn("idle", async {});
        let informer = Informer { shared: Arc::clone(&shared), _task: Arc::new(idle) };
        let heard = Arc::new(Mutex::new(Vec::new()));
        let version = |object: &Option<Arc<ConfigMap>>| {
            object.as_ref().and_then(|object| object.metadata.resource_version.clone()).unwrap_or("-".into())
        };
        let _subscription = informer.subscribe({
            let heard = Arc::clone(&heard);
            move |change| {
                let line = format!("{} {}→{}", change.key.name, version(&change.old), version(&change.new));
                heard.lock().unwrap().push(line);
            }
        });
        Writer::new(shared, |_| {}).follow("configmaps", stream::iter(events)).await;
        let heard = heard.lock().unwrap().clone();
        (informer, heard)
    }

    #[tokio::test]
    async fn a_list_is_seen_whole_and_managed_fields_are_dropped() {
        let (informer, heard) = heard(vec![Ok(Event::Init), Ok(Event::InitApply(map("a", "1")))]).await;
        assert!(!informer.is_synced());
        assert!(heard.is_empty() && informer.all().is_empty(), "half a list was seen");

        let (informer, heard) =
            self::heard(vec![Ok(Event::Init), Ok(Event::InitApply(map("a", "1"))), Ok(Event::InitDone)]).await;
        assert!(informer.is_synced());
        assert_eq!(heard, ["a -→1"]);
        let known = informer.get(&Key::new("default", "a")).unwrap();
        assert_eq!(known.metadata.managed_fields, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_after_a_broken_watch_tells_what_was_missed_and_nothing_else() {
        let (_, heard) = heard(vec![
            Ok(Event::Init),
            Ok(Event::InitApply(map("gone", "1"))),
            Ok(Event::InitApply(map("kept", "2"))),
            Ok(Event::InitApply(map("moved", "3"))),
            Ok(Event::InitDone),
            Ok(Event::Apply(map("late", "4"))),
            Ok(Event::Delete(map("late", "5"))),
            Err(watcher::Error::NoResourceVersion),
            Ok(Event::Init),
            Ok(Event::InitApply(map("kept", "2"))),
            Ok(Event::InitApply(map("moved", "6"))),
            Ok(Event::InitApply(map("new", "7"))),
            Ok(Event::InitDone),
        ])
        .await;
        assert_eq!(
            heard,
            ["gone -→1", "kept -→2", "moved -→3", "late -→4", "late 4→-", "gone 1→-", "moved 3→6", "new -→7"]
        );
    }

    #[tokio::test]
    async fn who_comes_late_hears_what_is_there() {
        let (informer, _) = heard(vec![Ok(Event::Apply(map("a", "1")))]).await;
        let count = Arc::new(Mutex::new(0));
        let subscription = informer.subscribe({
            let count = Arc::clone(&count);
            move |_| *count.lock().unwrap() += 1
        });
        assert_eq!(*count.lock().unwrap(), 1);
        drop(subscription);
        let mut writer = Writer::new(Arc::clone(&informer.shared), |_| {});
        writer.apply(Event::Apply(map("b", "2")));
        assert_eq!(*count.lock().unwrap(), 1, "called after its end");
    }
}
