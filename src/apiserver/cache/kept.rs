//! Objects of a cache in the form in which they are asked again and again: what did not change is not read again.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use store::Revision;

use super::Snapshot;

/// Parsed objects of a cache by its keys.
#[derive(Clone, Debug)]
pub(crate) struct Kept<T> {
    /// The newest change that is in it.
    pub revision: Revision,
    pub objects: BTreeMap<Arc<str>, (Revision, Arc<T>)>,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self { revision: Revision(0), objects: BTreeMap::new() }
    }
}

impl<T> Kept<T> {
    /// The same as the cache has it now. What `read` makes nothing of is left out.
    pub(crate) fn renewed(&self, snapshot: &Snapshot, read: impl Fn(Value) -> Option<T>) -> Self {
        let objects = snapshot.objects.iter().filter_map(|(key, object)| {
            let known = self.objects.get(key).filter(|(revision, _)| *revision == object.revision);
            let parsed = match known {
                Some((_, parsed)) => Arc::clone(parsed),
                None => Arc::new(read(object.to_value().ok()?)?),
            };
            Some((Arc::clone(key), (object.revision, parsed)))
        });
        Self { revision: snapshot.revision, objects: objects.collect() }
    }

    pub(crate) fn get(&self, key: &str) -> Option<&T> {
        self.objects.get(key).map(|(_, parsed)| &**parsed)
    }

    /// All of them, in the order of their keys.
    pub(crate) fn values(&self) -> impl Iterator<Item = &Arc<T>> {
        self.objects.values().map(|(_, parsed)| parsed)
    }
}
