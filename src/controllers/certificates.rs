//! Certificates of nodes and clients: asked for by a CertificateSigningRequest, approved, signed with the cluster's
//! authority, and cleaned up after. What becomes of a request, [`rules`] decides.

mod rules;

use std::collections::BTreeSet;
use std::sync::Arc;

use base::clock;
use base::pki::{Authority, Usage};
use base::queue::Queue;
use base::shutdown::Shutdown;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use client::{Informer, Informers, Key, refusal};
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Api, Client};
use serde_json::{Value, json};

use self::rules::Plan;
use crate::reconcile::{self, Next, Outcome};

/// How many requests are looked at beside one another, as upstream.
const WORKERS: usize = 5;

/// The controller.
pub(crate) struct Certificates {
    client: Client,
    requests: Informer<CertificateSigningRequest>,
    authority: Arc<Authority>,
    /// Names of the API server, which no node may have.
    protected: BTreeSet<String>,
}

impl Certificates {
    pub(crate) fn new(informers: &Informers, authority: Arc<Authority>, protected: BTreeSet<String>) -> Self {
        Self { client: informers.client().clone(), requests: informers.of(), authority, protected }
    }

    pub(crate) async fn run(self, shutdown: Shutdown) {
        let queue = Queue::new();
        let _requests = reconcile::feed(&self.requests, &queue, |change| change.key.clone());
        if shutdown.or(self.requests.synced()).await.is_some() {
            reconcile::run(&queue, WORKERS, &shutdown, |key| self.sync(key)).await;
        }
    }

    async fn sync(&self, key: Key) -> Outcome {
        let Some(request) = self.requests.get(&key) else { return Ok(Next::Changed) };
        let name = &*key.name;
        match rules::plan(&request, &self.protected, clock::now_seconds()) {
            Plan::Wait(left) => return Ok(left.map_or(Next::Changed, Next::After)),
            Plan::Approve(why) => {
                tracing::info!(request = name, user = request.spec.username, "a certificate request is approved");
                self.add(&request, "approval", "Approved", "AutoApproved", why).await?;
            }
            Plan::Fail(why) => self.add(&request, "status", "Failed", "SignerValidationFailure", &why).await?,
            Plan::Sign(usage, life) => self.sign(&request, name, usage, life).await?,
            Plan::Delete => {
                let only = Preconditions { uid: request.metadata.uid.clone(), resource_version: None };
                let params = DeleteParams { preconditions: Some(only), ..DeleteParams::default() };
                refusal::found(self.api().delete(name, &params).await)?;
            }
        }
        Ok(Next::Changed)
    }

    /// Adds a condition, unless the request changed since it was decided.
    async fn add(
        &self,
        request: &CertificateSigningRequest,
        part: &str,
        kind: &str,
        reason: &str,
        message: &str,
    ) -> kube::Result<()> {
        let now = clock::now_seconds().to_string();
        let mut conditions: Vec<Value> = request
            .status
            .iter()
            .flat_map(|status| status.conditions.iter().flatten())
            .filter_map(|condition| serde_json::to_value(condition).ok())
            .collect();
        conditions.push(json!({"type": kind, "status": "True", "reason": reason, "message": message,
            "lastUpdateTime": now, "lastTransitionTime": now}));
        let patch = json!({
            "metadata": {"resourceVersion": request.metadata.resource_version},
            "status": {"conditions": conditions},
        });
        let name = request.metadata.name.as_deref().unwrap_or_default();
        let patched = self.api().patch_subresource(part, name, &PatchParams::default(), &Patch::Merge(patch)).await;
        refusal::found(patched).map(drop)
    }

    async fn sign(
        &self,
        request: &CertificateSigningRequest,
        name: &str,
        usage: Usage,
        life: std::time::Duration,
    ) -> kube::Result<()> {
        let pem = String::from_utf8_lossy(&request.spec.request.0);
        let signed = match self.authority.sign_request(&pem, &[usage], life) {
            Ok(signed) => signed,
            Err(error) => {
                let why = error.to_string();
                return self.add(request, "status", "Failed", "SignerValidationFailure", &why).await;
            }
        };
        let patch = json!({
            "metadata": {"resourceVersion": request.metadata.resource_version},
            "status": {"certificate": STANDARD.encode(signed)},
        });
        let patched = self.api().patch_status(name, &PatchParams::default(), &Patch::Merge(patch)).await;
        refusal::found(patched).map(drop)
    }

    fn api(&self) -> Api<CertificateSigningRequest> {
        Api::all(self.client.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use base::pki::{self, Subject};
    use base::{shutdown, task};
    use client::testing::FakeServer;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_token_that_asks_for_a_nodes_certificate_gets_it() {
        let server = FakeServer::default();
        let authority = Arc::new(Authority::create("ca", Duration::from_hours(1)).unwrap());
        let controller = Certificates::new(&Informers::new(server.client()), authority, BTreeSet::new());
        let (_trigger, shutdown) = shutdown::channel();
        task::spawn("certificates", controller.run(shutdown)).detach();

        let subject = Subject {
            common_name: "system:node:a".into(),
            organization: Some("system:nodes".into()),
            names: Vec::new(),
            usage: Usage::Client,
        };
        let path = "/apis/certificates.k8s.io/v1/certificatesigningrequests/csr";
        server.put(
            path,
            json!({"metadata": {"creationTimestamp": clock::now_seconds().to_string()}, "spec": {
                "signerName": "kubernetes.io/kube-apiserver-client-kubelet",
                "request": STANDARD.encode(pki::request(&subject).unwrap().0),
                "usages": ["digital signature", "client auth"],
                "username": "system:bootstrap:abc", "groups": ["system:bootstrappers"]}}),
        );
        // Whoever writes to the request in between has it looked at again.
        server.refuse(&format!("PATCH {path}/approval"), 409, 1);
        server.refuse(&format!("PATCH {path}/status"), 409, 1);
        let is_signed =
            |object: Option<&Value>| object.is_some_and(|object| object["status"]["certificate"].is_string());
        let signed = server.wait(path, is_signed).await.unwrap();
        assert_eq!(signed["status"]["conditions"][0]["type"], "Approved");
        let pem = STANDARD.decode(signed["status"]["certificate"].as_str().unwrap()).unwrap();
        let facts = pki::read_certificate(std::str::from_utf8(&pem).unwrap()).unwrap();
        assert_eq!(facts.common_name, "system:node:a");
    }
}
