//! Deletes tokens of nodes and of registry clients that have expired (upstream's `pkg/controller/bootstrap`, the token
//! cleaner). The API server does not let them in any more; this is for order.

use std::time::Duration;

use base::clock;
use base::queue::Queue;
use base::shutdown::Shutdown;
use client::{Informer, Key, refusal};
use jiff::Timestamp;
use k8s_openapi::api::core::v1 as core;
use kube::api::{DeleteParams, Preconditions};
use kube::runtime::watcher::Config;
use kube::{Api, Client};

use crate::reconcile::{self, Next, Outcome};

/// Where tokens are, and the types of their Secrets.
const NAMESPACE: &str = "kube-system";
pub(crate) const OF_NODES: &str = "bootstrap.kubernetes.io/token";
pub(crate) const OF_REGISTRY: &str = "run.minke.dev/registry-token";

/// Says in a token's Secret when it expires.
const EXPIRATION: &str = "expiration";

/// How many tokens are looked at beside one another, as upstream.
const WORKERS: usize = 10;

/// The longest that a token is left alone: an expiration is a date, and the host's date may be set.
const LOOK_AGAIN: Duration = Duration::from_secs(3600);

/// What becomes of a token.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Plan {
    /// It does not expire.
    Keep,
    /// It expires in so long.
    Wait(Duration),
    /// It has expired, or says something else than when.
    Delete,
}

/// The decision.
fn plan(secret: &core::Secret, now: Timestamp) -> Plan {
    let Some(text) = secret.data.as_ref().and_then(|data| data.get(EXPIRATION)) else { return Plan::Keep };
    let expiration: Option<Timestamp> = std::str::from_utf8(&text.0).ok().and_then(|text| text.parse().ok());
    let left = expiration.and_then(|expiration| Duration::try_from(expiration.duration_since(now)).ok());
    match left.filter(|left| !left.is_zero()) {
        Some(left) => Plan::Wait(left),
        None => Plan::Delete,
    }
}

/// The controller.
pub(crate) struct BootstrapTokens {
    api: Api<core::Secret>,
    tokens: Informer<core::Secret>,
}

impl BootstrapTokens {
    /// One for the tokens whose Secrets are of this type.
    pub(crate) fn new(client: &Client, secret_type: &str) -> Self {
        let api: Api<core::Secret> = Api::namespaced(client.clone(), NAMESPACE);
        let tokens =
            Informer::start_pruned(api.clone(), Config::default().fields(&format!("type={secret_type}")), |secret| {
                if let Some(data) = &mut secret.data {
                    data.retain(|key, _| key == EXPIRATION);
                }
            });
        Self { api, tokens }
    }

    pub(crate) async fn run(self, shutdown: Shutdown) {
        let queue = Queue::new();
        let _tokens = reconcile::feed(&self.tokens, &queue, |change| change.key.clone());
        reconcile::run(&queue, WORKERS, &shutdown, |key| self.sync(key)).await;
    }

    async fn sync(&self, key: Key) -> Outcome {
        let Some(secret) = self.tokens.get(&key) else { return Ok(Next::Changed) };
        match plan(&secret, clock::now()) {
            Plan::Keep => {}
            Plan::Wait(left) => return Ok(Next::After(left.min(LOOK_AGAIN))),
            Plan::Delete => {
                tracing::info!(token = %key, "deleting a token that has expired");
                // One whose expiration was changed meanwhile stays.
                let metadata = &secret.metadata;
                let seen =
                    Preconditions { uid: metadata.uid.clone(), resource_version: metadata.resource_version.clone() };
                let params = DeleteParams { preconditions: Some(seen), ..DeleteParams::default() };
                refusal::found(self.api.delete(&key.name, &params).await)?;
            }
        }
        Ok(Next::Changed)
    }
}

#[cfg(test)]
mod tests {
    use base::{shutdown, task};
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use client::testing::FakeServer;
    use serde_json::{Value, json};

    use super::*;

    fn token(expiration: Option<&str>) -> Value {
        let data = expiration.map(|text| json!({EXPIRATION: STANDARD.encode(text), "token-secret": "AAAA"}));
        json!({"type": "bootstrap.kubernetes.io/token", "data": data})
    }

    #[test]
    fn a_token_goes_when_it_has_expired_or_cannot_say_when() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        for (expiration, expected) in [
            (None, Plan::Keep),
            (Some("2026-01-01T01:00:00Z"), Plan::Wait(Duration::from_secs(3600))),
            (Some("2026-01-01T02:00:00+01:00"), Plan::Wait(Duration::from_secs(3600))),
            (Some("2026-01-01T00:00:00Z"), Plan::Delete),
            (Some("2025-12-31T23:59:59Z"), Plan::Delete),
            (Some("tomorrow"), Plan::Delete),
            (Some(""), Plan::Delete),
        ] {
            let secret = serde_json::from_value(token(expiration)).unwrap();
            assert_eq!(plan(&secret, now), expected, "{expiration:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn expired_tokens_go_and_other_secrets_stay() {
        let server = FakeServer::default();
        let path = |name: &str| format!("/api/v1/namespaces/kube-system/secrets/{name}");
        server.put(&path("expired"), token(Some("2001-01-01T00:00:00Z")));
        server.put(&path("good"), token(Some("9999-01-01T00:00:00Z")));
        server.put(&path("other"), json!({"type": "Opaque", "data": {EXPIRATION: "AAAA"}}));
        server.refuse(&format!("DELETE {}", path("expired")), 409, 1);
        let (_trigger, shutdown) = shutdown::channel();
        task::spawn("bootstrap tokens", BootstrapTokens::new(&server.client(), OF_NODES).run(shutdown)).detach();
        server.gone(&path("expired")).await;
        assert!(server.object(&path("good")).is_some());
        assert!(server.object(&path("other")).is_some());
    }
}
