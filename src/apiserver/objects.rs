//! Objects between the verbs and the store: reading them, and changing them so that no change is lost.
//!
//! A change is a pure function of the current object, committed only if the object is still the one that the function
//! saw; else it is asked again with the newer one. Nothing is answered before the store has made it durable and the
//! watch cache shows it, so whoever wrote reads what they wrote.

use std::sync::Arc;

use api::scheme::Resource;
use api::status::Status;
use bytes::Bytes;
use serde_json::Value;
use store::{CommitError, Expect, Revision, Store, Urgency, Write};

use crate::cache::feed::{Caches, NotReached};
use crate::cache::object::{self, Unreadable};
use crate::cache::{Cache, Object};
use crate::conversion;
use crate::options::Keep;

/// How often a change is asked again because another writer was faster. Each round waits for the other's commit, so a
/// change that loses this often is up against a flood of writers; its caller is told to try again.
const ROUNDS_MAX: usize = 32;

/// Reads and changes objects; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Objects {
    store: Store,
    caches: Caches,
}

/// What a change function wants done.
#[derive(Debug)]
pub(crate) enum Change {
    /// Store this object.
    Put(Value),
    /// Remove the object; the value is what the caller and the watchers are shown.
    Remove(Value),
    /// Leave it as it is; the value is what the caller is shown.
    Nothing(Value),
}

/// What became of a change.
#[derive(Debug)]
pub(crate) enum Changed {
    /// The object as it stands now, or as it would stand after a dry run.
    Stands(Value),
    /// The object as it was when it was removed.
    Removed(Value),
}

impl Changed {
    pub(crate) fn into_value(self) -> Value {
        match self {
            Self::Stands(value) | Self::Removed(value) => value,
        }
    }
}

impl Objects {
    pub(crate) fn new(store: Store, caches: Caches) -> Self {
        Self { store, caches }
    }

    pub(crate) fn caches(&self) -> &Caches {
        &self.caches
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// The cache that holds the objects of `resource`.
    pub(crate) fn cache(&self, resource: &Resource) -> Result<Cache, Status> {
        self.caches.of(resource).ok_or_else(|| Status::internal(format!("no storage for {}", resource.plural)))
    }

    /// An object as it is now.
    pub(crate) fn find(&self, resource: &Resource, namespace: Option<&str>, name: &str) -> Result<Arc<Object>, Status> {
        self.cache(resource)?
            .find(&key_in_cache(namespace, name))
            .ok_or_else(|| Status::not_found(&resource.group, &resource.plural, name))
    }

    /// Stores a new object.
    pub(crate) async fn create(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        name: &str,
        mut object: Value,
        keep: Keep,
    ) -> Result<Value, Status> {
        if keep == Keep::DryRun {
            return match self.cache(resource)?.find(&key_in_cache(namespace, name)) {
                Some(_) => Err(Status::already_exists(&resource.group, &resource.plural, name)),
                None => Ok(object),
            };
        }
        let value = Some(encode(resource, &mut object)?);
        self.check_definition(resource, true)?;
        let key = resource.key(namespace, name).into();
        let write = Write { key, expect: Expect::Absent, value, urgency: urgency(resource) };
        match self.store.commit(write).await {
            Ok(revision) => {
                self.shown(revision).await?;
                set_revision(&mut object, revision);
                Ok(object)
            }
            Err(CommitError::Conflict { .. }) => Err(Status::already_exists(&resource.group, &resource.plural, name)),
            Err(error) => Err(unwritten(error)),
        }
    }

    /// Changes an object by a function of what it is now, which may be asked several times.
    pub(crate) async fn change<F: Future<Output = Result<Change, Status>> + Send>(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        name: &str,
        keep: Keep,
        change: impl Fn(Arc<Object>, Value) -> F,
    ) -> Result<Changed, Status> {
        for _ in 0..ROUNDS_MAX {
            let current = self.find(resource, namespace, name)?;
            let old = current.to_value().map_err(unreadable)?;
            let (mut value, stored) = match change(Arc::clone(&current), old.clone()).await? {
                Change::Nothing(value) => return Ok(Changed::Stands(value)),
                Change::Put(mut value) => {
                    let stored = encode(resource, &mut value)?;
                    if is_same(&value, &old) {
                        return Ok(Changed::Stands(old));
                    }
                    (value, Some(stored))
                }
                Change::Remove(value) => (value, None),
            };
            let is_removal = stored.is_none();
            if keep == Keep::DryRun {
                return Ok(if is_removal { Changed::Removed(value) } else { Changed::Stands(value) });
            }
            if !is_removal {
                self.check_definition(resource, false)?;
            }
            let urgency = if is_removal { urgency(resource) } else { urgency_of_change(resource, &old, &value) };
            let key = resource.key(namespace, name).into();
            let write = Write { key, expect: Expect::At(current.revision), value: stored, urgency };
            match self.store.commit(write).await {
                Ok(revision) => {
                    self.shown(revision).await?;
                    set_revision(&mut value, revision);
                    return Ok(if is_removal { Changed::Removed(value) } else { Changed::Stands(value) });
                }
                Err(CommitError::Conflict { .. }) => self.shown(self.store.revision()).await?,
                Err(error) => return Err(unwritten(error)),
            }
        }
        Err(Status::conflict(
            &resource.group,
            &resource.plural,
            name,
            "the object is being changed by too many writers at once; please try again",
        ))
    }

    /// Whether custom objects are still made by the definition that this one was checked by: a write may have waited for
    /// others since.
    fn check_definition(&self, resource: &Resource, is_new: bool) -> Result<(), Status> {
        let Some(checked_by) = &resource.custom else { return Ok(()) };
        let stored = self.caches.of(resource).map(|cache| cache.resource()).ok_or_else(Status::no_such_resource)?;
        match &stored.custom {
            Some(now) if is_new && now.is_ending() => Err(Status::creation_not_allowed()),
            Some(now) if now.edition() == checked_by.edition() => Ok(()),
            _ => {
                let why = format!("the definition of {} was changed meanwhile; please try again", resource.plural);
                Err(Status::service_unavailable(why))
            }
        }
    }

    /// Waits until the caches show `revision`.
    async fn shown(&self, revision: Revision) -> Result<(), Status> {
        self.caches.reached(revision).await.map_err(|error| not_reached(&error))
    }
}

/// How the cache names an object.
pub(crate) fn key_in_cache(namespace: Option<&str>, name: &str) -> String {
    namespace.map_or_else(|| name.to_owned(), |namespace| format!("{namespace}/{name}"))
}

/// Writes `metadata.resourceVersion`.
pub(crate) fn set_revision(object: &mut Value, revision: Revision) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("resourceVersion".into(), revision.0.to_string().into());
    }
}

/// 504 with upstream's cause, for a revision from the future.
pub(crate) fn not_reached(error: &NotReached) -> Status {
    Status::too_large_resource_version(error.asked, error.current)
}

/// What a reader is told of bytes that cannot be read.
pub(crate) fn unreadable(error: Unreadable) -> Status {
    Status::internal(error.to_string())
}

/// What a writer is told when the store could not take the write.
fn unwritten(error: CommitError) -> Status {
    match error {
        CommitError::Full => Status::insufficient_storage(error.to_string()),
        CommitError::Closed => Status::service_unavailable("the server is ending; please try again"),
        CommitError::Conflict { .. } | CommitError::KeyTooLong(_) | CommitError::Failed(_) => {
            tracing::error!(%error, "a write was not stored");
            Status::internal(error.to_string())
        }
    }
}

/// The bytes to store: what defaults and admission added is brought into the form that upstream prints.
fn encode(resource: &Resource, object: &mut Value) -> Result<Bytes, Status> {
    // A row that is stored in another form was converted from an object that was canonical already.
    if conversion::is_storage(resource) {
        resource.canonicalize(object);
    }
    object::encode(object, resource.custom.is_some()).map_err(unreadable)
}

/// Whether two objects differ in nothing but their version and the times of their managers, which are no change by
/// themselves.
fn is_same(new: &Value, old: &Value) -> bool {
    is_same_but(new, old, &["metadata"]) && is_same_metadata(part(new, "metadata"), part(old, "metadata"))
}

fn is_same_metadata(new: &Value, old: &Value) -> bool {
    is_same_but(new, old, &["managedFields", "resourceVersion"])
        && match (part(new, "managedFields").as_array(), part(old, "managedFields").as_array()) {
            (Some(new), Some(old)) => {
                new.len() == old.len() && new.iter().zip(old).all(|(new, old)| is_same_but(new, old, &["time"]))
            }
            (new, old) => new.is_none() && old.is_none(),
        }
}

/// Whether two objects are the same but for these fields.
fn is_same_but(new: &Value, old: &Value, fields: &[&str]) -> bool {
    let (Some(new), Some(old)) = (new.as_object(), old.as_object()) else { return new == old };
    let counts = |key: &&String| !fields.contains(&key.as_str());
    new.keys().filter(counts).count() == old.keys().filter(counts).count()
        && new.keys().filter(counts).all(|key| new.get(key) == old.get(key))
}

fn part<'v>(object: &'v Value, name: &str) -> &'v Value {
    object.get(name).unwrap_or(&Value::Null)
}

/// Which writes may be acknowledged before their fsync: Events, and lease updates that only renew.
fn urgency(resource: &Resource) -> Urgency {
    let is_event = resource.storage.group.is_empty() && resource.storage.plural == "events";
    if is_event { Urgency::Relaxed } else { Urgency::Durable }
}

fn urgency_of_change(resource: &Resource, old: &Value, new: &Value) -> Urgency {
    let is_lease = resource.group == "coordination.k8s.io" && resource.plural == "leases";
    if is_lease && is_renewal(old, new) { Urgency::Relaxed } else { urgency(resource) }
}

/// Whether a lease changed in nothing but `renewTime`.
fn is_renewal(old: &Value, new: &Value) -> bool {
    is_same_but(new, old, &["metadata", "spec"])
        && is_same_metadata(part(new, "metadata"), part(old, "metadata"))
        && is_same_but(part(new, "spec"), part(old, "spec"), &["renewTime"])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_renewal_changes_nothing_but_its_time() {
        let lease = |holder: &str, renewed: &str, version: &str| json!({"metadata": {"name": "n", "resourceVersion": version}, "spec": {"holderIdentity": holder, "renewTime": renewed}});
        assert!(is_renewal(&lease("a", "1", "7"), &lease("a", "2", "7")));
        assert!(is_renewal(
            &lease("a", "1", "7"),
            &json!({"metadata": {"name": "n"}, "spec": {"holderIdentity": "a"}})
        ));
        assert!(!is_renewal(&lease("a", "1", "7"), &lease("b", "2", "7")));
    }

    #[test]
    fn what_keeps_a_write_from_the_disk_says_whether_to_try_again() {
        let told = |error| {
            let status = unwritten(error);
            (status.code, status.message)
        };
        let (code, message) = told(CommitError::Full);
        assert_eq!((code, &*message), (507, "the disk is full: free some space, writes then work again"));
        assert_eq!(told(CommitError::Closed).0, 503);
        assert_eq!(told(CommitError::Failed("EIO".into())).0, 500);
    }

    #[test]
    fn the_time_of_a_manager_is_no_change_by_itself() {
        let lease = |holder: &str, renewed: &str| {
            json!({"metadata": {"resourceVersion": renewed, "managedFields": [
                {"manager": "kubelet", "operation": "Update", "time": renewed, "fieldsV1": {"f:spec": {}}}]},
                "spec": {"holderIdentity": holder, "renewTime": renewed}})
        };
        assert!(is_renewal(&lease("a", "1"), &lease("a", "2")), "a renewal may be acknowledged before its fsync");
        assert!(!is_renewal(&lease("a", "1"), &lease("b", "2")));
        let with = |data: &str, time: &str| {
            let mut object = lease("a", "1");
            object["data"] = data.into();
            object["metadata"]["managedFields"][0]["time"] = time.into();
            object
        };
        assert!(is_same(&with("a", "2"), &with("a", "1")));
        assert!(!is_same(&with("b", "2"), &with("a", "1")));
    }
}
