//! Gives each namespace what pods in it expect to be there: the service account `default`, and the certificate of the
//! cluster's authority as the ConfigMap `kube-root-ca.crt`.
//!
//! Both are put back when somebody deletes or changes them (upstream's `serviceaccounts_controller.go` and
//! `rootcacertpublisher`).

use std::collections::BTreeMap;

use base::queue::Queue;
use base::shutdown::Shutdown;
use client::informer::{Change, Informer};
use client::{Informers, Key, refusal};
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Patch, PatchParams, PostParams};
use kube::runtime::watcher::Config;
use kube::{Api, Client};

use crate::reconcile::{self, Next, Outcome};

const ACCOUNT: &str = "default";
const AUTHORITY: &str = "kube-root-ca.crt";
const CERTIFICATE: &str = "ca.crt";
const DESCRIPTION: &str = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal \
                           endpoints such as the internal service IP or kubernetes.default.svc. No other usage is \
                           guaranteed across distributions of Kubernetes clusters.";

/// How many namespaces are looked at beside one another, as upstream.
const WORKERS: usize = 5;

/// The controller.
pub(crate) struct ServiceAccounts {
    client: Client,
    namespaces: Informer<core::Namespace>,
    accounts: Informer<core::ServiceAccount>,
    authorities: Informer<core::ConfigMap>,
    certificate_pem: String,
}

impl ServiceAccounts {
    /// `certificate_pem` is the certificate by which the API server is known.
    pub(crate) fn new(informers: &Informers, certificate_pem: String) -> Self {
        let client = informers.client().clone();
        let named = |name: &str| Config::default().fields(&format!("metadata.name={name}"));
        Self {
            namespaces: informers.of(),
            accounts: Informer::start(Api::all(client.clone()), named(ACCOUNT)),
            authorities: Informer::start(Api::all(client.clone()), named(AUTHORITY)),
            client,
            certificate_pem,
        }
    }

    pub(crate) async fn run(self, shutdown: Shutdown) {
        let queue = Queue::new();
        let _namespaces = reconcile::feed(&self.namespaces, &queue, |change| change.key.clone());
        let _accounts = reconcile::feed(&self.accounts, &queue, namespace_of);
        let _authorities = reconcile::feed(&self.authorities, &queue, namespace_of);
        let synced = async {
            tokio::join!(self.namespaces.synced(), self.accounts.synced(), self.authorities.synced());
        };
        if shutdown.or(synced).await.is_some() {
            reconcile::run(&queue, WORKERS, &shutdown, |key| self.sync(key)).await;
        }
    }

    async fn sync(&self, key: Key) -> Outcome {
        let namespace = self.namespaces.get(&key).filter(|namespace| namespace.metadata.deletion_timestamp.is_none());
        if namespace.is_none() {
            return Ok(Next::Changed);
        }
        let name = &*key.name;
        if self.accounts.get(&Key::new(name, ACCOUNT)).is_none() {
            let account = core::ServiceAccount { metadata: named(ACCOUNT), ..core::ServiceAccount::default() };
            created(Api::namespaced(self.client.clone(), name).create(&PostParams::default(), &account).await)?;
        }
        let api: Api<core::ConfigMap> = Api::namespaced(self.client.clone(), name);
        match self.authorities.get(&Key::new(name, AUTHORITY)) {
            None => created(api.create(&PostParams::default(), &self.authority()).await)?,
            Some(known) if !self.is_right(&known) => {
                let patch = serde_json::json!({ "data": self.authority().data });
                refusal::found(api.patch(AUTHORITY, &PatchParams::default(), &Patch::Merge(patch)).await)?;
            }
            Some(_) => {}
        }
        Ok(Next::Changed)
    }

    fn authority(&self) -> core::ConfigMap {
        let annotation = ("kubernetes.io/description".to_owned(), DESCRIPTION.to_owned());
        let metadata = ObjectMeta { annotations: Some(BTreeMap::from([annotation])), ..named(AUTHORITY) };
        let data = BTreeMap::from([(CERTIFICATE.to_owned(), self.certificate_pem.clone())]);
        core::ConfigMap { metadata, data: Some(data), ..core::ConfigMap::default() }
    }

    fn is_right(&self, known: &core::ConfigMap) -> bool {
        known.data.as_ref().and_then(|data| data.get(CERTIFICATE)) == Some(&self.certificate_pem)
    }
}

/// The namespace of an object.
fn namespace_of<K: client::informer::Watched>(change: &Change<K>) -> Key {
    Key::of_cluster(&change.key.namespace)
}

fn named(name: &str) -> ObjectMeta {
    ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() }
}

/// An object that is there already is as good as made; a namespace that goes needs nothing.
fn created<K>(answer: kube::Result<K>) -> kube::Result<()> {
    match answer {
        Err(error) if refusal::is_conflict(&error) || refusal::is_namespace_terminating(&error) => Ok(()),
        answer => refusal::found(answer).map(drop),
    }
}

#[cfg(test)]
mod tests {
    use base::{shutdown, task};
    use client::testing::FakeServer;
    use serde_json::json;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_namespace_gets_its_account_and_the_authority_and_gets_them_back() {
        let server = FakeServer::default();
        server.put("/api/v1/namespaces/a", json!({}));
        let (_trigger, shutdown) = shutdown::channel();
        let controller = ServiceAccounts::new(&Informers::new(server.client()), "PEM".into());
        task::spawn("service accounts", controller.run(shutdown)).detach();

        let account = "/api/v1/namespaces/a/serviceaccounts/default";
        let authority = "/api/v1/namespaces/a/configmaps/kube-root-ca.crt";
        server.wait(account, |account| account.is_some()).await;
        server.wait(authority, |map| map.is_some_and(|map| map["data"]["ca.crt"] == "PEM")).await;

        server.remove(account);
        server.wait(account, |account| account.is_some()).await;
        server.put(authority, json!({"data": {"ca.crt": "another"}}));
        server.wait(authority, |map| map.is_some_and(|map| map["data"]["ca.crt"] == "PEM")).await;
    }
}
