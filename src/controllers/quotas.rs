//! Counts what namespaces use of what ResourceQuotas bound (upstream's `pkg/controller/resourcequota`).
//!
//! The API server charges new objects itself; what goes, changes or was charged in vain is found here: at once where pods
//! go, else at the next count.

use std::time::Duration;

use api::amounts::{self, Amounts};
use api::quantity::{Format, Quantity};
use api::quota;
use base::queue::Queue;
use base::shutdown::Shutdown;
use client::{Informer, Informers, Key, refusal};
use k8s_openapi::api::core::v1 as core;
use kube::api::{ListParams, PostParams};
use kube::discovery::verbs;
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::pods::{self, ByNode};
use crate::reconcile::{self, Error, Next, Outcome};
use crate::resources::Kind;

/// How many quotas are counted beside one another, as upstream.
const WORKERS: usize = 5;

/// How often what a quota bounds is counted although nothing that is watched has changed. Upstream watches all kinds and
/// counts every five minutes.
const COUNT_INTERVAL: Duration = Duration::from_secs(20);

/// How many objects are read at once.
const PAGE: u32 = 500;

/// The kinds that use more than their number: they are read whole.
const WHOLE: [&str; 3] = ["pods", "services", "persistentvolumeclaims"];

/// The controller.
pub(crate) struct Quotas {
    client: Client,
    quotas: Informer<core::ResourceQuota>,
    pods: Informer<core::Pod>,
}

impl Quotas {
    pub(crate) fn new(informers: &Informers, pods: &ByNode) -> Self {
        Self { client: informers.client().clone(), quotas: informers.of(), pods: pods.informer().clone() }
    }

    pub(crate) async fn run(self, shutdown: Shutdown) {
        // By namespace: its quotas bound the same objects.
        let queue = Queue::new();
        let _quotas = self.quotas.subscribe({
            let queue = queue.clone();
            move |change| {
                let is_told = change.new.as_ref().is_none_or(|quota| is_told(quota));
                if !is_told {
                    queue.add(Key::of_cluster(&change.key.namespace));
                }
            }
        });
        let _pods = self.pods.subscribe({
            let queue = queue.clone();
            move |change| {
                let ran = change.old.as_ref().is_some_and(|pod| !pods::has_ended(pod));
                let has_ended = change.new.as_ref().is_none_or(|pod| pods::has_ended(pod));
                if ran && has_ended {
                    queue.add(Key::of_cluster(&change.key.namespace));
                }
            }
        });
        let synced = async { tokio::join!(self.quotas.synced(), self.pods.synced()) };
        if shutdown.or(synced).await.is_some() {
            reconcile::run(&queue, WORKERS, &shutdown, |key| self.sync(key)).await;
        }
    }

    async fn sync(&self, key: Key) -> Outcome {
        let namespace = &*key.name;
        let in_namespace = self.quotas.all().keys().any(|quota| &*quota.namespace == namespace);
        if !in_namespace {
            return Ok(Next::Changed);
        }
        let api: Api<core::ResourceQuota> = Api::namespaced(self.client.clone(), namespace);
        let kinds = Kind::discover(&self.client).await?;
        // Read before anything is counted: what is charged meanwhile makes the write fail, and the count begin again.
        for quota in api.list(&ListParams::default()).await? {
            self.count(&api, &kinds, namespace, quota).await?;
        }
        Ok(Next::After(COUNT_INTERVAL))
    }

    async fn count(
        &self,
        api: &Api<core::ResourceQuota>,
        kinds: &[Kind],
        namespace: &str,
        mut quota: core::ResourceQuota,
    ) -> Result<(), Error> {
        let value = json!(quota);
        let hard = amounts::read(value.pointer("/spec/hard"));
        let mut used: Amounts =
            hard.keys().map(|name| (name.clone(), Quantity::from_units(0, Format::Decimal))).collect();
        for kind in kinds.iter().filter(|kind| kind.is_namespaced && kind.can(verbs::LIST)) {
            let (group, plural) = (&*kind.resource.group, &*kind.resource.plural);
            if hard.keys().any(|name| quota::concerns(group, plural, name)) {
                self.count_kind(kind, namespace, &value, &mut used).await?;
            }
        }
        let told = |amounts: &Amounts| -> Value {
            amounts.iter().map(|(name, amount)| (name.clone(), json!(amount.to_string()))).collect()
        };
        let status = json!({"hard": told(&hard), "used": told(&used)});
        if value.get("status") == Some(&status) {
            return Ok(());
        }
        quota.status = serde_json::from_value(status).ok();
        let name = quota.metadata.name.clone().unwrap_or_default();
        refusal::found(api.replace_status(&name, &PostParams::default(), &quota).await)?;
        Ok(())
    }

    /// Adds what the objects of a kind use.
    async fn count_kind(&self, kind: &Kind, namespace: &str, quota: &Value, used: &mut Amounts) -> kube::Result<()> {
        let (group, plural) = (&*kind.resource.group, &*kind.resource.plural);
        let is_whole = group.is_empty() && WHOLE.contains(&plural);
        let mut page = ListParams::default().limit(PAGE);
        loop {
            let (objects, next) = if is_whole {
                let list = kind.objects(&self.client, &Key::new(namespace, "")).list(&page).await?;
                (list.items.iter().map(|object| json!(object)).collect::<Vec<_>>(), list.metadata.continue_)
            } else {
                let list = kind.metadata(&self.client, namespace).list(&page).await?;
                (list.items.iter().map(|_| Value::Null).collect(), list.metadata.continue_)
            };
            for object in objects.iter().filter(|object| quota::is_about(quota, group, plural, object)) {
                let mut own = quota::usage(group, plural, object);
                own.retain(|name, _| used.contains_key(name));
                amounts::add(used, &own);
            }
            match next.filter(|next| !next.is_empty()) {
                Some(next) => page = page.continue_token(&next),
                None => return Ok(()),
            }
        }
    }
}

/// Whether a quota's status says what its spec bounds.
fn is_told(quota: &core::ResourceQuota) -> bool {
    let said = quota.status.as_ref().and_then(|status| status.hard.as_ref());
    let wanted = quota.spec.as_ref().and_then(|spec| spec.hard.as_ref());
    said.is_some() && said == wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_is_counted_when_its_status_does_not_say_what_it_bounds() {
        let quota = |spec: Value, status: Value| -> core::ResourceQuota {
            serde_json::from_value(json!({"metadata": {}, "spec": spec, "status": status})).unwrap()
        };
        let hard = |pods: &str| json!({"hard": {"pods": pods}});
        assert!(!is_told(&quota(hard("1"), json!({}))));
        assert!(!is_told(&quota(hard("2"), hard("1"))));
        assert!(is_told(&quota(hard("1"), hard("1"))));
    }
}
