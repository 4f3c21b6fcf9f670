//! How the node is known to the cluster: its object, its status, its lease.
//!
//! All timers run on the monotonic clock, so that setting the date neither ends a lease nor floods the server.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base::backoff::{Backoff, Law};
use base::clock::{self, Instant};
use base::files::{self, Access};
use base::shutdown::Shutdown;
use k8s_openapi::api::coordination::v1 as coordination;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, OwnerReference};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;

use crate::daemon::Daemon;
use crate::machine::Pressure;
use crate::node::{self, Health};
use crate::reasons;

/// The namespace of the leases of nodes.
const LEASES: &str = "kube-node-lease";

/// The wait after a request that failed, as upstream's registration (100 ms to 7 s).
const RETRY: Law = Law::spread(Duration::from_millis(100), Duration::from_secs(7));

/// How long one request may take.
const REQUEST_DEADLINE: Duration = Duration::from_secs(10);

/// How much longer than a renewal takes another node's lease is watched before its name counts as free.
const RENEWAL_MARGIN: Duration = Duration::from_secs(5);

/// How often it is looked at meanwhile.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The longest lease that a node is believed to have.
const LEASE_MAX: Duration = Duration::from_hours(1);

/// Why a node cannot join.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another daemon renews the lease of this name.
    #[error(
        "the name {0:?} is in use by a living node: stop that node, or start this one with another --name and another \
         --data-dir, in which it gets an identity of that name"
    )]
    NameInUse(String),
    /// The node's own id cannot be kept.
    #[error(transparent)]
    Id(#[from] files::Error),
}

/// The node's presence in the cluster.
pub(crate) struct Registration {
    daemon: Arc<Daemon>,
    client: Client,
    /// Tells this node from another of its name; shown as `systemUUID`.
    id: String,
    /// The conditions that the object has, whose times stay where nothing changes.
    conditions: Mutex<Vec<core::NodeCondition>>,
}

impl Registration {
    /// The presence of the node whose data lies in `data_dir`; its id is made at its first start.
    ///
    /// # Errors
    /// When the id can be neither read nor written.
    pub(crate) fn new(daemon: Arc<Daemon>, client: Client, data_dir: &Path) -> Result<Self, Error> {
        let path = data_dir.join("id");
        let id = match files::read(&path)?.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()) {
            Some(id) => id,
            None => {
                let id = uuid::Uuid::new_v4().to_string();
                files::write(&path, id.as_bytes(), Access::Private)?;
                id
            }
        };
        Ok(Self { daemon, client, id, conditions: Mutex::default() })
    }

    /// Makes the node's object, or takes over the one that it had. Tries until the server answers.
    ///
    /// # Errors
    /// When the name belongs to a living node.
    pub(crate) async fn register(&self) -> Result<(), Error> {
        let mut retry = Backoff::new(RETRY);
        loop {
            let done = match within(self.create_or_find()).await {
                Ok(Some(known)) if self.is_anothers(&known) && self.is_alive().await => {
                    return Err(Error::NameInUse(self.daemon.options.node_name.clone()));
                }
                Ok(Some(known)) => within(self.take_over(known)).await,
                Ok(None) => Ok(()),
                Err(error) => Err(error),
            };
            match done {
                Ok(()) => return Ok(()),
                Err(error) => {
                    tracing::warn!(node = %self.daemon.options.node_name, error = base::causes(&error), "cannot register the node; trying again");
                    tokio::time::sleep(retry.next_wait()).await;
                }
            }
        }
    }

    /// Tells people that the node is there, in upstream's words.
    pub(crate) fn announce(&self) {
        self.daemon.events.of_node(reasons::event::STARTING, "Starting kubelet.");
    }

    /// Keeps the status true until the end is asked for; at the end says that the node goes.
    pub(crate) async fn keep_status(&self, shutdown: Shutdown) {
        let options = &self.daemon.options;
        let mut sent: Option<(core::NodeStatus, Instant)> = None;
        while shutdown.or(tokio::time::sleep(options.status_update)).await.is_some() {
            let status = self.status(false).await;
            let is_due = sent
                .as_ref()
                .is_none_or(|(sent, at)| at.elapsed() >= options.status_report || !node::is_same(sent, &status));
            if is_due {
                match within(self.send_status(&status)).await {
                    Ok(node) => {
                        self.learn(node);
                        sent = Some((status, Instant::now()));
                    }
                    Err(error) => {
                        tracing::warn!(error = base::causes(&error), "cannot send the node's status; trying again")
                    }
                }
            }
        }
    }

    /// Says once that the node goes, so that nobody waits for its lease to run out.
    pub(crate) async fn say_goodbye(&self) {
        let status = self.status(true).await;
        if let Err(error) = within(self.send_status(&status)).await {
            tracing::debug!(error = base::causes(&error), "cannot say that the node goes");
        }
    }

    /// Renews the lease until the end is asked for.
    pub(crate) async fn keep_lease(&self, shutdown: Shutdown) {
        let renew = self.daemon.options.lease_duration / 4;
        let mut retry = Backoff::new(RETRY);
        let mut lease = None;
        loop {
            let wait = match within(self.renew(lease.take())).await {
                Ok(renewed) => {
                    lease = Some(renewed);
                    retry.reset();
                    renew
                }
                Err(error) => {
                    tracing::warn!(error = base::causes(&error), "cannot renew the node's lease; trying again");
                    retry.next_wait().min(renew)
                }
            };
            if shutdown.or(tokio::time::sleep(wait)).await.is_none() {
                return;
            }
        }
    }

    /// Makes the node's object; where there is one of its name, that one.
    async fn create_or_find(&self) -> kube::Result<Option<core::Node>> {
        let options = &self.daemon.options;
        let api: Api<core::Node> = Api::all(self.client.clone());
        let wanted = node::object(options, self.status(false).await);
        match api.create(&PostParams::default(), &wanted).await {
            Ok(node) => {
                self.learn(node);
                Ok(None)
            }
            Err(kube::Error::Api(status)) if status.code == 409 => api.get(&options.node_name).await.map(Some),
            Err(error) => Err(error),
        }
    }

    /// Whether the object was another node's when it was last written.
    fn is_anothers(&self, known: &core::Node) -> bool {
        let owner = known.status.as_ref().and_then(|status| status.node_info.as_ref());
        owner.is_some_and(|owner| !owner.system_uuid.is_empty() && owner.system_uuid != self.id)
    }

    /// Makes the object say what is true of this node.
    async fn take_over(&self, known: core::Node) -> kube::Result<()> {
        let options = &self.daemon.options;
        let api: Api<core::Node> = Api::all(self.client.clone());
        let labels = json!({"metadata": {"labels": node::labels(options)}});
        api.patch(&options.node_name, &params(), &Patch::Merge(&labels)).await?;
        self.learn(known);
        let node = self.send_status(&self.status(false).await).await?;
        self.learn(node);
        Ok(())
    }

    /// Remembers what the object says by now.
    fn learn(&self, node: core::Node) {
        self.daemon.room.learn(&node);
        let conditions = node.status.and_then(|status| status.conditions).unwrap_or_default();
        *self.conditions.lock().unwrap_or_else(PoisonError::into_inner) = conditions;
    }

    /// The status that is true now.
    async fn status(&self, is_ending: bool) -> core::NodeStatus {
        let images = self.daemon.pulls.listed();
        let health = Health { images, pressure: self.pressure().await, is_ending };
        let before = self.conditions.lock().unwrap_or_else(PoisonError::into_inner);
        node::status(&self.daemon.options, &self.id, &health, &before, clock::now_seconds())
    }

    /// Whether somebody renews the lease of this name, looked at for as long as a renewal of it may take. Our clock and the
    /// one that wrote it may differ, so only a change counts. What cannot be read does not count as free.
    async fn is_alive(&self) -> bool {
        let mut first = None;
        let mut until = Instant::now() + RENEWAL_MARGIN;
        loop {
            match within(self.lease()).await {
                Ok(None) => return false,
                Ok(Some(lease)) => {
                    let renewed = lease.renew_time;
                    let duration = lease.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
                    match &first {
                        None => {
                            let duration = duration.map_or(self.daemon.options.lease_duration, Duration::from_secs);
                            until = Instant::now() + duration.min(LEASE_MAX) / 4 + RENEWAL_MARGIN;
                            first = Some(renewed);
                        }
                        Some(first) if *first != renewed => return true,
                        Some(_) if Instant::now() >= until => return false,
                        Some(_) => {}
                    }
                }
                Err(error) => {
                    tracing::warn!(
                        error = base::causes(&error),
                        "cannot see whether the node's name is in use; trying again"
                    );
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn lease(&self) -> kube::Result<Option<coordination::LeaseSpec>> {
        let api: Api<coordination::Lease> = Api::namespaced(self.client.clone(), LEASES);
        Ok(api.get_opt(&self.daemon.options.node_name).await?.and_then(|lease| lease.spec))
    }

    async fn send_status(&self, status: &core::NodeStatus) -> kube::Result<core::Node> {
        let api: Api<core::Node> = Api::all(self.client.clone());
        let patch = json!({"status": status});
        api.patch_status(&self.daemon.options.node_name, &params(), &Patch::Strategic(&patch)).await
    }

    async fn renew(&self, known: Option<coordination::Lease>) -> kube::Result<coordination::Lease> {
        let name = &self.daemon.options.node_name;
        let api: Api<coordination::Lease> = Api::namespaced(self.client.clone(), LEASES);
        let known = match known {
            Some(lease) => Some(lease),
            None => api.get_opt(name).await?,
        };
        match known {
            Some(mut lease) => {
                lease.spec = Some(self.lease_spec());
                api.replace(name, &PostParams::default(), &lease).await
            }
            None => {
                let owner = Api::<core::Node>::all(self.client.clone()).get_opt(name).await?;
                let metadata = ObjectMeta {
                    name: Some(name.clone()),
                    owner_references: owner.and_then(|node| Some(vec![owner_reference(name, node.metadata.uid?)])),
                    ..ObjectMeta::default()
                };
                let lease = coordination::Lease { metadata, spec: Some(self.lease_spec()) };
                api.create(&PostParams::default(), &lease).await
            }
        }
    }

    fn lease_spec(&self) -> coordination::LeaseSpec {
        let options = &self.daemon.options;
        coordination::LeaseSpec {
            holder_identity: Some(options.node_name.clone()),
            lease_duration_seconds: i32::try_from(options.lease_duration.as_secs()).ok(),
            renew_time: Some(MicroTime(clock::now())),
            ..coordination::LeaseSpec::default()
        }
    }

    async fn pressure(&self) -> Pressure {
        let data_dir = self.daemon.options.data_dir.clone();
        let look = base::task::blocking(move || Pressure::now(&data_dir)).await;
        look.unwrap_or(Pressure { memory_bytes: i64::MAX, disk_bytes: u64::MAX, disk_floor_bytes: 0 })
    }
}

/// No answer, or a refusal.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Refused(#[from] kube::Error),
    #[error("the API server did not answer in time")]
    Late,
}

async fn within<T>(request: impl Future<Output = kube::Result<T>>) -> Result<T, Failure> {
    match tokio::time::timeout(REQUEST_DEADLINE * 2, request).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(Failure::Late),
    }
}

fn params() -> PatchParams {
    PatchParams { field_manager: Some("kubelet".to_owned()), ..PatchParams::default() }
}

fn owner_reference(name: &str, uid: String) -> OwnerReference {
    OwnerReference {
        api_version: "v1".to_owned(),
        kind: "Node".to_owned(),
        name: name.to_owned(),
        uid,
        ..OwnerReference::default()
    }
}
