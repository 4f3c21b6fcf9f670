//! DELETE of an object or a collection: at once, or after its grace and its finalizers.
//!
//! What a deletion does to an object is a pure function ([`decide`]), as upstream's `BeforeDelete` and its registry
//! have it: an object with finalizers or grace is marked and stays, one without is removed.

use api::custom::status as custom;
use api::schema::Schemas;
use api::scheme::Resource;
use api::status::Status;
use api::{decode, meta, protobuf};
use bytes::Bytes;
use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{Call, list, update};
use crate::admission::{self, extend};
use crate::conversion;
use crate::negotiate::{self, BodyFormat};
use crate::objects::{Change, Changed, Objects};
use crate::options::{DeleteOptions, ListOptions, Propagation};
use crate::respond::{Answer, Page};

/// Finalizers that the garbage collector takes off once an object's dependents are dealt with.
const FOREGROUND: &str = "foregroundDeletion";
const ORPHAN: &str = "orphan";

/// Deletes the object that the path names.
pub(crate) async fn serve(call: &Call, body: Bytes) -> Result<Answer, Status> {
    let options = read_options(call, &body)?;
    admission::check_delete(call, call.name()?)?;
    warn_of_orphans(call, &options);
    let changed = delete(call, call.namespace(), call.name()?, &options).await?;
    Ok(match changed {
        Changed::Removed(value) if !returns_deleted(&call.resource) => success(call, &value),
        Changed::Stands(value) if options.cascades_expressly => {
            let value = conversion::from_storage(&call.server, &call.resource, value).await?;
            Answer::Object { value, code: StatusCode::ACCEPTED }
        }
        changed => update::changed(call, changed).await?,
    })
}

/// Whoever deletes Jobs and says nothing of their pods is told what becomes of these, as upstream.
fn warn_of_orphans(call: &Call, options: &DeleteOptions) {
    let is_job = call.resource.group == "batch" && call.resource.plural == "jobs";
    if is_job && options.propagation.is_none() {
        call.warn(
            "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them \
             or set propagationPolicy=Orphan to suppress this warning",
        );
    }
}

/// Deletes every object of the selection, and answers with them.
pub(crate) async fn serve_collection(call: &Call, body: Bytes) -> Result<Answer, Status> {
    let options = read_options(call, &body)?;
    warn_of_orphans(call, &options);
    let list_options = ListOptions::read(&call.query, false)?;
    let Page { items, revision, continue_token, remaining } = list::page(call, &list_options).await?;
    for item in &items {
        match delete(call, item.namespace(), item.name(), &options).await {
            Ok(_) => {}
            Err(status) if status.is_not_found() => {}
            Err(status) => return Err(status),
        }
    }
    Ok(Answer::List(Page { items, revision, continue_token, remaining }))
}

/// Deletes the pod that the path names, for an eviction: whoever wants to be asked was asked about that.
pub(crate) async fn evict(call: &Call, options: &DeleteOptions) -> Result<Changed, Status> {
    remove(call.objects(), &call.resource, call.namespace(), call.name()?, options).await
}

async fn delete(call: &Call, namespace: Option<&str>, name: &str, options: &DeleteOptions) -> Result<Changed, Status> {
    let resource = &call.resource;
    let now = update::stamp();
    let change = |_, old: Value| async move {
        check_preconditions(resource, &old, options)?;
        if extend::is_asked(call) {
            let served = conversion::from_storage(&call.server, resource, old.clone()).await?;
            extend::admit_deletion(call, options.keep, &served).await?;
        }
        Ok(decide(resource, old, options, now))
    };
    call.objects().change(resource, namespace, name, options.keep, change).await
}

/// Deletes an object for the server itself: nobody is asked.
pub(crate) async fn remove(
    objects: &Objects,
    resource: &Resource,
    namespace: Option<&str>,
    name: &str,
    options: &DeleteOptions,
) -> Result<Changed, Status> {
    let now = update::stamp();
    objects
        .change(resource, namespace, name, options.keep, |_, old| async move {
            check_preconditions(resource, &old, options)?;
            Ok(decide(resource, old, options, now))
        })
        .await
}

/// What a deletion makes of an object.
fn decide(resource: &Resource, old: Value, options: &DeleteOptions, now: Timestamp) -> Change {
    let mut new = old.clone();
    let mut finalizers = finalizers_after(&old, options.propagation, resource.strategy.orphans_dependents);
    if resource.is_definition() && meta::deletion_timestamp(&old).is_none() {
        // A definition ends when its last object is gone; upstream gives it no grace and counts no generation.
        finalizers.retain(|finalizer| finalizer != custom::FINALIZER);
        finalizers.push(custom::FINALIZER.to_owned());
        meta::set_finalizers(&mut new, &finalizers);
        meta::set_at(&mut new, "/metadata/deletionTimestamp", meta::time(now).into());
        custom::begin_end(&mut new, &meta::time(now));
        return Change::Put(new);
    }
    meta::set_finalizers(&mut new, &finalizers);
    let waits = !finalizers.is_empty() || conversion::awaits_finalize(resource, &old);
    let grace = grace_seconds(resource, &old, options.grace_seconds);

    if meta::deletion_timestamp(&old).is_some() {
        let before = meta::deletion_grace_seconds(&old).unwrap_or(0);
        return match grace {
            // Grace may be shortened, never lengthened.
            Some(grace) if grace > 0 && grace >= before => Change::Nothing(old),
            Some(grace) if grace > 0 => {
                mark(&mut new, now, grace);
                Change::Put(new)
            }
            _ if waits && new == old && before == 0 => Change::Nothing(old),
            _ if waits => {
                meta::set_deletion_grace_seconds(&mut new, 0);
                Change::Put(new)
            }
            _ => {
                mark(&mut new, now, 0);
                Change::Remove(new)
            }
        };
    }
    match grace {
        Some(grace) if grace > 0 => {
            mark(&mut new, now, grace);
            Change::Put(new)
        }
        _ if waits => {
            mark(&mut new, now, 0);
            if resource.plural == "namespaces" {
                meta::set_at(&mut new, "/status/phase", "Terminating".into());
                // A namespace ends when it is empty, so upstream gives it no grace, not even none.
                meta::remove(&mut new, "deletionGracePeriodSeconds");
            }
            Change::Put(new)
        }
        Some(_) => {
            mark(&mut new, now, 0);
            Change::Remove(new)
        }
        None => Change::Remove(new),
    }
}

/// How long the object's end may take; `None` for kinds that end at once. A default of zero (a pod that never ran, or
/// has ended) cannot be lengthened, and a negative wish means one second, as upstream.
fn grace_seconds(resource: &Resource, old: &Value, asked: Option<i64>) -> Option<i64> {
    let default = (resource.strategy.default_grace_seconds)(old)?;
    let grace = if default == 0 { 0 } else { asked.unwrap_or(default) };
    Some(if grace < 0 { 1 } else { grace })
}

/// Kinds whose deletion answers with the object instead of a `Status`, as upstream's registries do.
fn returns_deleted(resource: &Resource) -> bool {
    let kinds = ["pods", "podtemplates", "services", "serviceaccounts"];
    resource.group == "storage.k8s.io" || (resource.group.is_empty() && kinds.contains(&&*resource.plural))
}

/// Writes that the object is being deleted: until when it may take, and one more generation.
fn mark(object: &mut Value, now: Timestamp, grace: i64) {
    let until = now.checked_add(SignedDuration::from_secs(grace)).unwrap_or(now);
    let is_first = meta::deletion_timestamp(object).is_none();
    meta::set_deletion(object, until, grace);
    if is_first && let Some(generation) = meta::generation(object) {
        meta::set_generation(object, generation + 1);
    }
}

/// The finalizers that a deletion leaves to wait for: the object's own, and the garbage collector's by propagation.
fn finalizers_after(old: &Value, propagation: Option<Propagation>, orphans: bool) -> Vec<String> {
    let had = meta::finalizers(old);
    // Who says nothing gets what an earlier deletion said, or what the kind's deletions do.
    let is_said = propagation.is_some() || had.iter().any(|had| [ORPHAN, FOREGROUND].contains(&had.as_str()));
    let propagation = propagation.or((!is_said && orphans).then_some(Propagation::Orphan));
    let wants = |finalizer: &str, asked: Propagation| match propagation {
        Some(propagation) => propagation == asked,
        None => had.iter().any(|had| had == finalizer),
    };
    let wanted = if wants(ORPHAN, Propagation::Orphan) {
        Some(ORPHAN)
    } else if wants(FOREGROUND, Propagation::Foreground) {
        Some(FOREGROUND)
    } else {
        None
    };
    let own = had.into_iter().filter(|finalizer| ![ORPHAN, FOREGROUND].contains(&finalizer.as_str()));
    own.chain(wanted.map(str::to_owned)).collect()
}

fn check_preconditions(resource: &Resource, old: &Value, options: &DeleteOptions) -> Result<(), Status> {
    let name = meta::name(old);
    let conflict = |text: String| Err(Status::conflict(&resource.group, &resource.kind, name, &text));
    if let Some(wanted) = &options.uid
        && meta::uid(old) != Some(wanted)
    {
        let found = meta::uid(old).unwrap_or_default();
        return conflict(format!(
            "the UID in the precondition ({wanted}) does not match the UID in record ({found}). \
             The object might have been deleted and then recreated"
        ));
    }
    if let Some(wanted) = &options.resource_version
        && meta::resource_version(old) != Some(wanted)
    {
        let found = meta::resource_version(old).unwrap_or_default();
        return conflict(format!(
            "the ResourceVersion in the precondition ({wanted}) does not match the ResourceVersion in record ({found}). \
             The object might have been modified"
        ));
    }
    Ok(())
}

/// The options in query and body; a body may be absent.
fn read_options(call: &Call, body: &Bytes) -> Result<DeleteOptions, Status> {
    let parsed = if body.is_empty() {
        None
    } else {
        let options = Schemas::builtin().named("io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions");
        let parsed = match (negotiate::body_format(&call.parts.headers), options) {
            (Some(BodyFormat::Yaml), _) => decode::parse_yaml(body),
            (Some(BodyFormat::Protobuf), Some(options)) => protobuf::decode(options, body),
            (Some(_), _) => decode::parse_json(body),
            (None, _) => return Err(Status::unsupported_body(negotiate::MEDIA_TYPES)),
        };
        let parsed = parsed.map_err(|error| Status::bad_request(error.to_string()))?.value;
        // Each group has options of its own, which are all the same.
        let kind = meta::kind(&parsed);
        if !kind.is_empty() && kind != "DeleteOptions" {
            let version = meta::api_version(&parsed);
            return Err(Status::bad_request(format!(
                "the body of a deletion is no {kind} in version {version:?}: it may hold DeleteOptions"
            )));
        }
        Some(parsed)
    };
    DeleteOptions::read(&call.query, parsed.as_ref())
}

fn success(call: &Call, removed: &Value) -> Answer {
    let resource = &call.resource;
    let uid = meta::uid(removed).unwrap_or_default();
    Answer::Status(Status::deleted(&resource.group, &resource.plural, meta::name(removed), uid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_garbage_collectors_finalizers_follow_the_propagation() {
        let check = |had: &[&str], propagation, expected: &[&str]| {
            let old = serde_json::json!({"metadata": {"finalizers": had}});
            assert_eq!(finalizers_after(&old, propagation, false), expected, "{had:?} {propagation:?}");
        };
        check(&[], None, &[]);
        check(&["a"], Some(Propagation::Foreground), &["a", FOREGROUND]);
        check(&[ORPHAN, "a"], Some(Propagation::Background), &["a"]);
        check(&[FOREGROUND], None, &[FOREGROUND]);
        check(&[FOREGROUND], Some(Propagation::Orphan), &[ORPHAN]);
        let job = serde_json::json!({"metadata": {}});
        assert_eq!(finalizers_after(&job, None, true), [ORPHAN]);
        assert!(finalizers_after(&job, Some(Propagation::Background), true).is_empty());
    }
}
