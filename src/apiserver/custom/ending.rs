//! The end of a definition: its objects are deleted, and when the last is gone its finalizer is taken off (upstream's
//! `crd_finalizer`).

use std::sync::Arc;

use api::custom::status;
use api::meta;
use api::scheme::Resource;
use base::clock;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use store::Revision;

use super::PATH;
use crate::options::{DeleteOptions, Keep};
use crate::seed;
use crate::server::ApiServer;
use crate::verbs::delete;

/// Deletes what objects of a definition are left, and lets the definition go when none is.
pub(super) async fn empty(server: &ApiServer, name: &str, stored: Option<&Arc<Resource>>) {
    let path = format!("{PATH}/{name}");
    let (code, definition) = seed::ask(server, Method::GET, &path, &Value::Null).await;
    let waits = meta::finalizers(&definition).iter().any(|finalizer| finalizer == status::FINALIZER);
    if code != StatusCode::OK || !waits {
        return;
    }
    let left = match stored {
        Some(stored) => delete_objects(server, stored).await,
        None => 0,
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
    let Some(mut told) = put_status(server, &path, told).await else { return };
    if left == 0 {
        let kept: Vec<String> = meta::finalizers(&told).into_iter().filter(|f| f != status::FINALIZER).collect();
        meta::set_finalizers(&mut told, &kept);
        let (code, answer) = seed::ask(server, Method::PUT, &path, &told).await;
        if !code.is_success() {
            warn(&path, code, &answer);
        }
    }
}

/// Deletes the objects that are not being deleted yet; how many are left.
async fn delete_objects(server: &ApiServer, stored: &Arc<Resource>) -> usize {
    let Ok(cache) = server.objects().cache(stored) else { return 0 };
    let options =
        DeleteOptions { keep: Keep::Stored, grace_seconds: None, propagation: None, uid: None, resource_version: None };
    for object in cache.snapshot(Revision(0)).objects.values() {
        let removed = delete::remove(server.objects(), stored, object.namespace(), object.name(), &options).await;
        if let Err(status) = removed.map(drop)
            && !status.is_not_found()
        {
            tracing::warn!(object = &*object.key, error = status.message, "an object of a definition that ends stays");
        }
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
