//! The watch cache: every object of one stored resource in memory, the changes of the last minutes, and the
//! watchers who hear of new ones.
//!
//! A cache is fed from the store's subscription alone ([`feed`]): at start by the replay of the log, then by each
//! commit. Readers take a [`Snapshot`] (an immutable ordered map: cheap to clone, never changed under a reader), so a
//! list is consistent at one revision while writes go on. `State::objects` is canonical; the window is how it came
//! to be so, newest last, and undoing it gives the state at an earlier revision.

mod event;
pub(crate) mod feed;
pub(crate) mod kept;
pub(crate) mod object;
mod pins;
pub(crate) mod watchers;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use api::scheme::Resource;
use base::clock::Instant;
use bytes::Bytes;
use imbl::OrdMap;
use store::Revision;

pub(crate) use event::{Event, frame};
pub(crate) use object::Object;
pub(crate) use pins::{Left, Pinned};
pub(crate) use watchers::{Interest, Subscription};

/// Changes that a cache remembers for watchers that come back. At the limit the oldest is forgotten, and a watch from
/// before it gets 410. A thousand changes a second are remembered for the five minutes that a client may be away.
const WINDOW_EVENTS_MAX: usize = 300_000;

/// Bytes of superseded objects that a cache's window keeps alive; the second bound on the window.
const WINDOW_BYTES_MAX: usize = 32 << 20;

/// How long a change is remembered, as the store keeps its history; the third bound on the window.
const WINDOW_DURATION: Duration = Duration::from_secs(5 * 60);

/// Events whose frame is kept for watchers that are to hear of it still. Later ones come back seldom, and have it made
/// anew.
const FRAMES_MAX: usize = 1024;

/// Events that are undone before others get their turn.
const UNDONE_AT_ONCE: usize = 1024;

/// All objects of a resource at one revision.
pub(crate) type Objects = OrdMap<Arc<str>, Arc<Object>>;

/// A resource's objects, window and watchers; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The row as which objects are stored; another one once a definition changed.
    resource: Arc<Resource>,
    objects: Objects,
    /// The changes after `window_start`, in order of revision.
    window: VecDeque<Arc<Event>>,
    /// What the window's superseded objects weigh, see [`WINDOW_BYTES_MAX`].
    window_bytes: usize,
    /// What all objects weigh that were ever superseded here.
    superseded: u64,
    pins: pins::Pins,
    /// Watches may resume from here and later.
    window_start: Revision,
    /// The newest change of this resource.
    last: Revision,
    watchers: watchers::Watchers,
}

/// A resource at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    pub objects: Objects,
    pub revision: Revision,
    /// What weighed all that had been superseded by then.
    superseded: u64,
}

impl Snapshot {
    /// The objects from `key` on, in order.
    pub(crate) fn from(&self, key: String) -> impl Iterator<Item = (&Arc<str>, &Arc<Object>)> {
        self.objects.range(Arc::<str>::from(key)..)
    }
}

/// Why a watch or list cannot begin at a revision.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("too old resource version: {asked} ({oldest})")]
pub(crate) struct TooOld {
    asked: u64,
    oldest: u64,
}

impl Cache {
    /// An empty cache of `resource`.
    pub(crate) fn new(resource: Arc<Resource>) -> Self {
        let state = State {
            resource,
            objects: Objects::new(),
            window: VecDeque::new(),
            window_bytes: 0,
            superseded: 0,
            pins: pins::Pins::default(),
            window_start: Revision(0),
            last: Revision(0),
            watchers: watchers::Watchers::default(),
        };
        Self { shared: Arc::new(Shared { state: Mutex::new(state) }) }
    }

    pub(crate) fn resource(&self) -> Arc<Resource> {
        Arc::clone(&self.lock().resource)
    }

    /// Shows its objects by another row from now on: `renewed` makes of a stored object what that row makes of it.
    ///
    /// # Errors
    /// When an object is unreadable; the others are as the new row has them.
    pub(crate) fn adopt(
        &self,
        resource: &Arc<Resource>,
        mut renewed: impl FnMut(&Object) -> Result<Option<Bytes>, object::Unreadable>,
    ) -> Result<(), object::Unreadable> {
        self.lock().resource = Arc::clone(resource);
        let before = self.snapshot(Revision(0)).objects;
        let mut worst = Ok(());
        for (key, old) in &before {
            let made = renewed(old).and_then(|bytes| {
                let stored = bytes.unwrap_or_else(|| old.to_stored().into());
                Object::from_stored(resource, Arc::clone(key), old.revision, &stored)
            });
            match made {
                Ok(made) => self.lock().replace(old, made),
                Err(error) => worst = Err(error),
            }
        }
        worst
    }

    /// The object under `key` (`namespace/name` or `name`).
    pub(crate) fn find(&self, key: &str) -> Option<Arc<Object>> {
        self.lock().objects.get(key).cloned()
    }

    /// Everything, at `applied` (up to which the feed has handed out all changes) or this resource's newest change,
    /// whichever is later: in the middle of a batch the cache is ahead of `applied`.
    pub(crate) fn snapshot(&self, applied: Revision) -> Snapshot {
        self.lock().snapshot(applied)
    }

    /// Everything as it was at `at`, by undoing the window.
    ///
    /// # Errors
    /// When the window does not reach back that far.
    pub(crate) async fn snapshot_at(&self, at: Revision) -> Result<Snapshot, TooOld> {
        let (mut snapshot, later) = self.lock().since(at)?;
        // The window may be long: it is undone without the lock, and others get their turns.
        for events in later.rchunks(UNDONE_AT_ONCE) {
            events.iter().rev().for_each(|event| snapshot.undo(event));
            tokio::task::yield_now().await;
        }
        Ok(Snapshot { revision: at, ..snapshot })
    }

    /// Keeps a snapshot of this cache for the time that its token is good.
    pub(crate) fn pin(&self, pinned: Pinned) {
        self.lock().pins.add(pinned);
    }

    /// What is pinned at a revision, if it still is.
    pub(crate) fn pinned(&self, revision: Revision) -> Option<Pinned> {
        self.lock().pins.find(revision)
    }

    /// Forgets what need not be remembered any more.
    pub(crate) fn forget_old(&self) {
        let mut state = self.lock();
        state.forget_old();
        state.pins.forget_old();
    }

    /// Begins a watch: the changes after `after` that the window holds, then live ones, without a gap.
    ///
    /// # Errors
    /// When the window does not reach back to `after`.
    pub(crate) fn watch(&self, after: Revision, interest: Interest) -> Result<Subscription, TooOld> {
        let mut state = self.lock();
        if after < state.window_start {
            return Err(TooOld { asked: after.0, oldest: state.window_start.0 });
        }
        let from = state.window.partition_point(|event| event.object.revision <= after);
        let missed = state.window.iter().skip(from).filter(|event| interest.covers(event)).cloned().collect();
        Ok(state.watchers.add(interest, missed, Arc::downgrade(&self.shared)))
    }

    /// Begins a watch with everything there is now.
    pub(crate) fn watch_all(&self, applied: Revision, interest: Interest) -> (Snapshot, Subscription) {
        let mut state = self.lock();
        let snapshot = state.snapshot(applied);
        let subscription = state.watchers.add(interest, VecDeque::new(), Arc::downgrade(&self.shared));
        (snapshot, subscription)
    }

    /// Takes in one change and tells the watchers. `value` is `None` for a deletion.
    pub(crate) fn apply(
        &self,
        key: Arc<str>,
        revision: Revision,
        value: Option<&[u8]>,
    ) -> Result<(), object::Unreadable> {
        let mut state = self.lock();
        let previous = state.objects.get(&key).cloned();
        let event = match (value, previous) {
            (Some(stored), previous) => {
                let object = Object::from_stored(&state.resource, Arc::clone(&key), revision, stored)?;
                Event::new(object, previous, false)
            }
            (None, Some(previous)) => {
                let object = previous.at_revision(revision)?;
                Event::new(object, Some(previous), true)
            }
            // The replay of a compacted log may begin with the tombstone of an object that it no longer holds.
            (None, None) => return Ok(()),
        };
        state.take_in(Arc::new(event));
        Ok(())
    }

    /// Says that no change up to `revision` can be resumed from: what came before was a replay with gaps.
    pub(crate) fn forget_up_to(&self, revision: Revision) {
        let mut state = self.lock();
        while state.window.front().is_some_and(|event| event.object.revision <= revision) {
            state.forget_oldest();
        }
        state.window_start = state.window_start.max(revision);
    }

    /// Cuts all watchers off.
    fn end_watches(&self) {
        self.lock().watchers = watchers::Watchers::default();
    }

    /// How many objects there are and how many watchers.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let state = self.lock();
        (state.objects.len(), state.watchers.len())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.lock()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic under the lock is a bug in a few lines of map handling; the maps stay usable.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take_in(&mut self, event: Arc<Event>) {
        self.last = event.object.revision;
        if event.is_deletion {
            self.objects.remove(&event.object.key);
        } else {
            self.objects.insert(Arc::clone(&event.object.key), Arc::clone(&event.object));
        }
        self.watchers.tell(&event);
        self.window_bytes += event.weight();
        self.superseded += event.superseded();
        self.pins.trim(self.superseded);
        self.window.push_back(event);
        while self.window.len() > WINDOW_EVENTS_MAX || self.window_bytes > WINDOW_BYTES_MAX {
            self.forget_oldest();
        }
        self.forget_old();
        let last_kept = self.window.len().checked_sub(FRAMES_MAX + 1);
        if let Some(event) = last_kept.and_then(|at| self.window.get(at)) {
            event.let_frame();
        }
    }

    fn snapshot(&self, applied: Revision) -> Snapshot {
        let (objects, superseded) = (self.objects.clone(), self.superseded);
        Snapshot { objects, revision: applied.max(self.last), superseded }
    }

    /// Everything as it is, and what changed since `at`.
    fn since(&self, at: Revision) -> Result<(Snapshot, Vec<Arc<Event>>), TooOld> {
        if at < self.window_start {
            return Err(TooOld { asked: at.0, oldest: self.window_start.0 });
        }
        let from = self.window.partition_point(|event| event.object.revision <= at);
        Ok((self.snapshot(at), self.window.range(from..).cloned().collect()))
    }

    fn forget_old(&mut self) {
        let now = Instant::now();
        while self.window.front().is_some_and(|event| now.duration_since(event.at) > WINDOW_DURATION) {
            self.forget_oldest();
        }
    }

    /// Puts another form of the same revision in the place of `old`, if that still stands.
    fn replace(&mut self, old: &Arc<Object>, made: Object) {
        if self.objects.get(&old.key).is_some_and(|current| Arc::ptr_eq(current, old)) {
            self.objects.insert(Arc::clone(&old.key), Arc::new(made));
        }
    }

    fn forget_oldest(&mut self) {
        if let Some(event) = self.window.pop_front() {
            self.window_bytes -= event.weight();
            self.window_start = event.object.revision;
        }
    }
}

impl Snapshot {
    fn undo(&mut self, event: &Event) {
        self.superseded -= event.superseded();
        match &event.previous {
            Some(previous) => self.objects.insert(Arc::clone(&previous.key), Arc::clone(previous)),
            None => self.objects.remove(&event.object.key),
        };
    }
}

#[cfg(test)]
mod tests {
    use api::scheme::Scheme;

    use super::*;

    fn cache(changes: &[(u64, &str, Option<&str>)]) -> Cache {
        let cache = Cache::new(Arc::clone(Scheme::builtin().resource("", "v1", "configmaps").unwrap()));
        for (revision, key, value) in changes {
            apply(&cache, *revision, key, *value);
        }
        cache
    }

    fn apply(cache: &Cache, revision: u64, key: &str, value: Option<&str>) {
        let stored = value.map(|value| format!(r#"{{"metadata":{{}},"data":{{"v":"{value}"}}}}"#));
        cache.apply(key.into(), Revision(revision), stored.as_deref().map(str::as_bytes)).unwrap();
    }

    fn listed(snapshot: &Snapshot) -> Vec<(String, u64)> {
        snapshot.objects.iter().map(|(key, object)| (key.to_string(), object.revision.0)).collect()
    }

    #[tokio::test]
    async fn an_earlier_revision_is_seen_as_it_was() {
        let cache = cache(&[(1, "n/a", Some("1")), (2, "n/b", Some("1")), (3, "n/a", Some("2")), (4, "n/b", None)]);
        assert_eq!(listed(&cache.snapshot(Revision(4))), [("n/a".into(), 3)]);
        assert_eq!(listed(&cache.snapshot_at(Revision(3)).await.unwrap()), [("n/a".into(), 3), ("n/b".into(), 2)]);
        assert_eq!(listed(&cache.snapshot_at(Revision(1)).await.unwrap()), [("n/a".into(), 1)]);
    }

    #[tokio::test]
    async fn a_forgotten_revision_is_refused() {
        let cache = cache(&[(5, "n/a", Some("1")), (9, "n/a", Some("2"))]);
        cache.forget_up_to(Revision(7));
        assert_eq!(cache.snapshot_at(Revision(6)).await.unwrap_err(), TooOld { asked: 6, oldest: 7 });
        assert!(cache.watch(Revision(6), Interest::default()).is_err());
        assert!(cache.watch(Revision(7), Interest::default()).is_ok());
    }

    #[test]
    fn a_pin_is_let_go_when_it_keeps_too_much_alive() {
        let cache = cache(&[(1, "n/a", Some("1"))]);
        let snapshot = cache.snapshot(Revision(1));
        cache.pin(Pinned { snapshot, left: None });
        let large = "x".repeat(40 << 20);
        apply(&cache, 2, "n/b", Some(&large));
        apply(&cache, 3, "n/b", Some("1"));
        assert!(cache.pinned(Revision(1)).is_some());
        apply(&cache, 4, "n/b", Some(&large));
        apply(&cache, 5, "n/b", Some("2"));
        assert!(cache.pinned(Revision(1)).is_none());
    }

    #[tokio::test]
    async fn a_watch_gets_what_it_missed_and_then_each_change_once() {
        let cache = cache(&[(1, "n/a", Some("1")), (2, "n/a", Some("2"))]);
        let mut watch = cache.watch(Revision(1), Interest::default()).unwrap();
        apply(&cache, 3, "n/b", Some("1"));
        let mut revisions = Vec::new();
        for _ in 0..2 {
            revisions.push(watch.next().await.unwrap().object.revision.0);
        }
        assert_eq!(revisions, [2, 3]);
    }
}
