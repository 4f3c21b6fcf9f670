//! The status of ValidatingAdmissionPolicies: what their expressions say that does not fit the kinds that they are about
//! (upstream's `validatingadmissionpolicy-status-controller`).

use std::time::Duration;

use api::admission::type_check;
use api::meta;
use api::scheme::Scheme;
use base::shutdown::Shutdown;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use store::Revision;

use super::GROUP;
use crate::cache::Interest;
use crate::seed;
use crate::server::ApiServer;

const PATH: &str = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies";

/// How often all policies are looked at even when none was seen to change: what failed is tried again.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// Follows the policies until `shutdown`.
pub(crate) async fn run(server: ApiServer, shutdown: Shutdown) {
    while shutdown.or(Box::pin(round(&server))).await.is_some() {}
}

/// One look at all policies, and the wait for a reason to take the next.
async fn round(server: &ApiServer) {
    let row = Scheme::builtin().resource(GROUP, "v1", "validatingadmissionpolicies");
    let Some(cache) = row.and_then(|row| server.objects().cache(row).ok()) else {
        return tokio::time::sleep(LOOK_EVERY).await;
    };
    // The watch begins first, so that no change is missed.
    let mut watch = cache.watch_all(server.objects().caches().applied(), Interest::default()).1;
    for object in cache.snapshot(Revision(0)).objects.values() {
        match object.to_value() {
            Ok(policy) => tell(server, policy).await,
            Err(error) => tracing::error!(%error, "a policy cannot be read"),
        }
    }
    // On a timeout there is nothing to do but to look again.
    let _ = tokio::time::timeout(LOOK_EVERY, watch.next()).await;
}

/// Writes the status of a policy that changed since it was last written.
async fn tell(server: &ApiServer, mut policy: Value) {
    let generation = meta::generation(&policy).unwrap_or_default();
    let observed = policy.pointer("/status/observedGeneration").and_then(Value::as_i64).unwrap_or_default();
    if generation <= observed {
        return;
    }
    let checked = match type_check::warnings(&policy, &server.scheme()) {
        none if none.is_empty() => json!({}),
        warnings => json!({"expressionWarnings": warnings}),
    };
    meta::set_at(&mut policy, "/status/observedGeneration", generation.into());
    meta::set_at(&mut policy, "/status/typeChecking", checked);
    let path = format!("{PATH}/{}/status", meta::name(&policy));
    let (code, answer) = seed::ask(server, Method::PUT, &path, &policy).await;
    if !code.is_success() && ![StatusCode::CONFLICT, StatusCode::NOT_FOUND].contains(&code) {
        let error = answer.get("message").and_then(Value::as_str).unwrap_or("no answer");
        tracing::warn!(policy = meta::name(&policy), error, "a policy's status could not be written");
    }
}
