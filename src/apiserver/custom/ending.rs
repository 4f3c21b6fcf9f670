//! The end of a definition: its objects are deleted, and when the last is gone its finalizer is taken off (upstream's
//! `crd_finalizer`).

use std::sync::Arc;

use api::custom::status;
use api::meta;
use api::scheme::Resource;
use base::clock;
use futures::future;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use store::Revision;

use super::{LOOK_EVERY, PATH};
use crate::cache::{Cache, Object};
use crate::options::{DeleteOptions, Keep};
use crate::seed;
use crate::server::ApiServer;
use crate::verbs::delete;

/// Works on the end of a definition until it is gone: whenever one of its objects changes, one may be gone.
pub(super) async fn run(server: ApiServer, name: String, stored: Option<Arc<Resource>>) {
    loop {
        let cache = stored.as_ref().and_then(|stored| server.objects().cache(stored).ok());
        let mut watch = cache.map(|cache| super::follow(&server, &cache));
        if !empty(&server, &name, stored.as_ref()).await {
            return;
        }
        let change = async {
            match &mut watch {
                Some(watch) => watch.next().await.map(drop),
                None => std::future::pending().await,
            }
        };
        // On a timeout there is nothing to do but to look again.
        let _ = tokio::time::timeout(LOOK_EVERY, change).await;
    }
}

/// Deletes what objects of a definition are left, and lets the definition go when none is; whether it is there still.
async fn empty(server: &ApiServer, name: &str, stored: Option<&Arc<Resource>>) -> bool {
    let path = format!("{PATH}/{name}");
    let (code, definition) = seed::ask(server, Method::GET, &path, &Value::Null).await;
    let waits = meta::finalizers(&definition).iter().any(|finalizer| finalizer == status::FINALIZER);
    if code != StatusCode::OK || !waits {
        return code != StatusCode::NOT_FOUND;
    }
    let cache = match stored.map(|stored| server.objects().cache(stored)).transpose() {
        Ok(cache) => cache,
        Err(error) => {
            tracing::error!(
                definition = name,
                error = error.message,
                "a definition that ends stays: nobody finds its objects"
            );
            return true;
        }
    };
    let left = match (stored, &cache) {
        (Some(stored), Some(cache)) => delete_objects(server, stored, cache).await,
        _ => 0,
    };
    let told = if left > 0 {
        told(
            definition,
            true,
            "InstanceDeletionInProgress",
            &format!("CustomResource deletion is in progress: {left} left"),
        )
    } else {
        told(definition, false, "InstanceDeletionCompleted", "removed all instances")
    };
    let Some(mut told) = put_status(server, &path, told).await else { return true };
    // What was on its way when the objects were counted came before the status: the store takes writes in order.
    let is_empty = cache.is_none_or(|cache| cache.counts().0 == 0);
    if left == 0 && is_empty {
        let kept: Vec<String> = meta::finalizers(&told).into_iter().filter(|f| f != status::FINALIZER).collect();
        meta::set_finalizers(&mut told, &kept);
        let (code, answer) = seed::ask(server, Method::PUT, &path, &told).await;
        if !code.is_success() {
            warn(&path, code, &answer);
        }
        return !code.is_success();
    }
    true
}

/// Objects that are deleted at once: they share commits.
const DELETED_AT_ONCE: usize = 64;

/// Deletes the objects that are not being deleted yet; how many are left.
async fn delete_objects(server: &ApiServer, stored: &Arc<Resource>, cache: &Cache) -> usize {
    let options = &DeleteOptions {
        keep: Keep::Stored,
        grace_seconds: None,
        propagation: None,
        cascades_expressly: false,
        uid: None,
        resource_version: None,
    };
    let left: Vec<Arc<Object>> = cache.snapshot(Revision(0)).objects.values().cloned().collect();
    for objects in left.chunks(DELETED_AT_ONCE) {
        let deleting = objects.iter().map(|object| async move {
            let removed = delete::remove(server.objects(), stored, object.namespace(), object.name(), options).await;
            if let Err(status) = removed.map(drop)
                && !status.is_not_found()
            {
                tracing::warn!(
                    object = &*object.key,
                    error = status.message,
                    "an object of a definition that ends stays"
                );
            }
        });
        future::join_all(deleting).await;
    }
    cache.counts().0
}

/// The definition with the condition `Terminating`.
fn told(mut definition: Value, is_true: bool, reason: &str, message: &str) -> Value {
    let status = if is_true { "True" } else { "False" };
    let condition = json!({"type": "Terminating", "status": status, "reason": reason, "message": message});
    status::put(&mut definition, &condition, &meta::time(clock::now_seconds()));
    definition
}

async fn put_status(server: &ApiServer, path: &str, told: Value) -> Option<Value> {
    let (code, answer) = seed::ask(server, Method::PUT, &format!("{path}/status"), &told).await;
    if !code.is_success() {
        warn(path, code, &answer);
    }
    code.is_success().then_some(answer)
}

/// Tells why a definition could not be written, unless somebody else was faster: that is seen in the next look.
fn warn(path: &str, code: StatusCode, answer: &Value) {
    if ![StatusCode::CONFLICT, StatusCode::NOT_FOUND].contains(&code) {
        let error = answer.get("message").and_then(Value::as_str).unwrap_or("no answer");
        tracing::warn!(path, error, "a definition that ends could not be written; trying again");
    }
}
