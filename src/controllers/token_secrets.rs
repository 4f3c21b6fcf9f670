//! Fills Secrets of type `kubernetes.io/service-account-token` for those who want a token in an object: the account's
//! token, the authority's certificate and the namespace (upstream's `pkg/controller/serviceaccount`, the tokens controller).
//!
//! A token is asked for as anybody asks for one, bound to its Secret: it is good until the Secret or the account goes.

use std::collections::BTreeMap;

use base::queue::Queue;
use base::shutdown::Shutdown;
use client::{Informer, Informers, Key, refusal};
use k8s_openapi::ByteString;
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::runtime::watcher::Config;
use kube::{Api, Client};
use serde_json::json;

use crate::reconcile::{self, Next, Outcome};

const TYPE: &str = "kubernetes.io/service-account-token";
const ACCOUNT: &str = "kubernetes.io/service-account.name";
const ACCOUNT_UID: &str = "kubernetes.io/service-account.uid";
const TOKEN: &str = "token";
const AUTHORITY: &str = "ca.crt";
const NAMESPACE: &str = "namespace";

/// How long a token is asked for: the longest that the API gives. Upstream's has no end.
const TOKEN_SECONDS: i64 = 1 << 32;

/// How many Secrets are looked at beside one another, as upstream.
const WORKERS: usize = 5;

/// The controller.
pub(crate) struct TokenSecrets {
    client: Client,
    secrets: Informer<core::Secret>,
    accounts: Informer<core::ServiceAccount>,
    certificate_pem: String,
}

/// What becomes of a Secret.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Plan {
    /// It has everything.
    Keep,
    /// Its account is not, or is another by now.
    Delete,
    /// It lacks a token, or something else.
    Fill { lacks_token: bool },
}

/// The decision; `account` is the UID of the account that the Secret names, if there is one.
fn plan(secret: &core::Secret, account: Option<&str>, certificate_pem: &str) -> Plan {
    let annotation = |key: &str| secret.metadata.annotations.as_ref().and_then(|all| all.get(key)).map(String::as_str);
    let Some(account) = account else { return Plan::Delete };
    if annotation(ACCOUNT_UID).is_some_and(|uid| !uid.is_empty() && uid != account) {
        return Plan::Delete;
    }
    let holds = |key: &str| secret.data.as_ref().and_then(|data| data.get(key)).map(|bytes| bytes.0.as_slice());
    let lacks_token = holds(TOKEN).is_none_or(<[u8]>::is_empty);
    let has_rest = holds(AUTHORITY) == Some(certificate_pem.as_bytes())
        && holds(NAMESPACE) == secret.metadata.namespace.as_deref().map(str::as_bytes)
        && annotation(ACCOUNT_UID) == Some(account);
    if has_rest && !lacks_token { Plan::Keep } else { Plan::Fill { lacks_token } }
}

impl TokenSecrets {
    /// `certificate_pem` is the certificate by which the API server is known.
    pub(crate) fn new(informers: &Informers, certificate_pem: String) -> Self {
        let client = informers.client().clone();
        let config = Config::default().fields(&format!("type={TYPE}"));
        let secrets = Informer::start_pruned(Api::all(client.clone()), config, |secret: &mut core::Secret| {
            // Whether there is a token is enough.
            if let Some(token) = secret.data.as_mut().and_then(|data| data.get_mut(TOKEN)) {
                token.0.truncate(1);
            }
        });
        Self { secrets, accounts: informers.of(), client, certificate_pem }
    }

    pub(crate) async fn run(self, shutdown: Shutdown) {
        let queue = Queue::new();
        let _secrets = reconcile::feed(&self.secrets, &queue, |change| change.key.clone());
        let secrets = self.secrets.clone();
        let of_accounts = queue.clone();
        // There are few such Secrets: those of a changed account are looked for among all.
        let _accounts = self.accounts.subscribe(move |change| {
            for (key, secret) in &secrets.all() {
                let named = secret.metadata.annotations.as_ref().and_then(|all| all.get(ACCOUNT));
                if key.namespace == change.key.namespace && named.is_some_and(|name| **name == *change.key.name) {
                    of_accounts.add(key.clone());
                }
            }
        });
        let synced = async {
            tokio::join!(self.secrets.synced(), self.accounts.synced());
        };
        if shutdown.or(synced).await.is_some() {
            reconcile::run(&queue, WORKERS, &shutdown, |key| self.sync(key)).await;
        }
    }

    async fn sync(&self, key: Key) -> Outcome {
        let Some(secret) = self.secrets.get(&key) else { return Ok(Next::Changed) };
        let name = secret.metadata.annotations.as_ref().and_then(|all| all.get(ACCOUNT)).cloned();
        let Some(name) = name.filter(|_| secret.metadata.deletion_timestamp.is_none()) else {
            return Ok(Next::Changed);
        };
        let accounts: Api<core::ServiceAccount> = Api::namespaced(self.client.clone(), &key.namespace);
        let known = self.accounts.get(&Key::new(&key.namespace, &name));
        let account = match known.and_then(|account| account.metadata.uid.clone()) {
            Some(uid) => Some(uid),
            // An account may be younger than what was heard of.
            None => accounts.get_opt(&name).await?.and_then(|account| account.metadata.uid),
        };
        let api: Api<core::Secret> = Api::namespaced(self.client.clone(), &key.namespace);
        match plan(&secret, account.as_deref(), &self.certificate_pem) {
            Plan::Keep => {}
            Plan::Delete => {
                let seen = Preconditions { uid: secret.metadata.uid.clone(), resource_version: None };
                let params = DeleteParams { preconditions: Some(seen), ..DeleteParams::default() };
                refusal::found(api.delete(&key.name, &params).await)?;
            }
            Plan::Fill { lacks_token } => {
                let mut data = BTreeMap::from([
                    (AUTHORITY, ByteString(self.certificate_pem.clone().into_bytes())),
                    (NAMESPACE, ByteString(key.namespace.as_bytes().to_vec())),
                ]);
                if lacks_token {
                    let request = token_request(&secret.metadata);
                    let given = accounts.create_token_request(&name, &PostParams::default(), &request).await;
                    let Some(given) = refusal::found(given)? else { return Ok(Next::Changed) };
                    let token = given.status.and_then(|status| status.token).unwrap_or_default();
                    data.insert(TOKEN, ByteString(token.into_bytes()));
                }
                // A Secret that was made anew meanwhile is another, whose token this is not.
                let patch = json!({"metadata": {"uid": secret.metadata.uid, "annotations": {ACCOUNT_UID: account}},
                    "data": data});
                refusal::found(api.patch(&key.name, &PatchParams::default(), &Patch::Merge(patch)).await)?;
            }
        }
        Ok(Next::Changed)
    }
}

/// The request for a token that is good as long as the Secret is.
fn token_request(secret: &ObjectMeta) -> TokenRequest {
    TokenRequest {
        spec: Some(TokenRequestSpec {
            audiences: Some(Vec::new()),
            bound_object_ref: Some(BoundObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Secret".to_owned()),
                name: secret.name.clone(),
                uid: secret.uid.clone(),
            }),
            expiration_seconds: Some(TOKEN_SECONDS),
        }),
        ..TokenRequest::default()
    }
}

#[cfg(test)]
mod tests {
    use base::{shutdown, task};
    use client::testing::FakeServer;
    use serde_json::Value;

    use super::*;

    fn secret(data: &Value, uid: Option<&str>) -> core::Secret {
        let secret = json!({"type": TYPE, "data": data, "metadata": {"name": "t", "namespace": "a", "uid": "s",
            "annotations": {ACCOUNT: "robot", ACCOUNT_UID: uid.unwrap_or_default()}}});
        serde_json::from_value(secret).unwrap()
    }

    #[test]
    fn a_secret_gets_what_it_lacks_and_goes_with_its_account() {
        // `PEM`, `a` and a token.
        let whole = json!({"ca.crt": "UEVN", "namespace": "YQ==", "token": "eA=="});
        let without_token = json!({"ca.crt": "UEVN", "namespace": "YQ=="});
        let old_authority = json!({"ca.crt": "b2xk", "namespace": "YQ==", "token": "eA=="});
        for (data, uid, account, expected) in [
            (&whole, Some("u"), Some("u"), Plan::Keep),
            (&whole, None, Some("u"), Plan::Fill { lacks_token: false }),
            (&without_token, Some("u"), Some("u"), Plan::Fill { lacks_token: true }),
            (&old_authority, Some("u"), Some("u"), Plan::Fill { lacks_token: false }),
            (&whole, Some("u"), Some("another"), Plan::Delete),
            (&whole, Some("u"), None, Plan::Delete),
        ] {
            assert_eq!(plan(&secret(data, uid), account, "PEM"), expected, "{data} {uid:?} {account:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn secrets_of_accounts_that_are_not_are_deleted_and_others_completed() {
        let server = FakeServer::default();
        server.put("/api/v1/namespaces/a/serviceaccounts/robot", json!({"metadata": {"uid": "u"}}));
        let of = |account: &str| json!({"type": TYPE, "metadata": {"annotations": {ACCOUNT: account}}, "data": {"token": "eA=="}});
        server.put("/api/v1/namespaces/a/secrets/good", of("robot"));
        server.put("/api/v1/namespaces/a/secrets/lost", of("nobody"));
        let (_trigger, shutdown) = shutdown::channel();
        let controller = TokenSecrets::new(&Informers::new(server.client()), "PEM".into());
        task::spawn("token secrets", controller.run(shutdown)).detach();
        server.gone("/api/v1/namespaces/a/secrets/lost").await;
        let is_whole = |secret: &Value| {
            secret["data"]["ca.crt"] == "UEVN" && secret["metadata"]["annotations"][ACCOUNT_UID] == "u"
        };
        server.wait("/api/v1/namespaces/a/secrets/good", |secret| secret.is_some_and(is_whole)).await;
    }
}
