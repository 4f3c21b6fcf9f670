//! Looks at one object after the other: fetches its facts from the API server, asks for the plan, and carries it out.
//!
//! Each write names the uid of the object, and the resourceVersion where it depends on what was read, so that what has
//! changed meanwhile is looked at again instead of being written over.

use std::sync::Arc;
use std::time::Duration;

use client::events::Recorder;
use client::{Key, refusal};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::Client;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions, PropagationPolicy};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::Shared;
use super::graph::{Fate, Graph, Node, ORPHAN, Uid};
use super::plan::{self, Dependents, Object, Owner, OwnerState, Plan, Policy};
use crate::reconcile::{Next, Outcome};
use crate::resources::{Kind, Metadata};

/// How soon an object is looked at again whose owner is of a kind that nobody knows, since it may be defined yet; or
/// whose owner is there but was never seen, since then its end may go unseen as well.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// Kinds, once all their objects were seen.
type Kinds = watch::Receiver<Option<Vec<Arc<Kind>>>>;

/// See the module.
pub(super) struct Collector {
    client: Client,
    recorder: Recorder,
    shared: Shared,
    kinds: Kinds,
}

/// An owner that cannot be looked up.
enum Unknown {
    /// Nobody knows its kind.
    Kind,
    /// An object of the cluster names an owner in a namespace, but cannot say in which.
    Namespace,
}

impl Collector {
    pub(super) fn new(client: Client, recorder: Recorder, shared: Shared, kinds: Kinds) -> Self {
        Self { client, recorder, shared, kinds }
    }

    /// Completes once everything was seen once.
    pub(super) async fn ready(&self) {
        // It fails only where the sender is gone, and then there is nothing to do either.
        self.kinds.clone().wait_for(Option::is_some).await.ok();
    }

    pub(super) async fn sync(&self, uid: Uid) -> Outcome {
        let Some((node, is_fine)) = ({
            let graph = self.shared.graph();
            graph.get(&uid).map(|node| (node.clone(), is_fine(node, &graph)))
        }) else {
            return Ok(Next::Changed);
        };
        if is_fine {
            return Ok(Next::Changed);
        }
        let Some(meta) = self.fetch(&node.kind, &node.key).await?.filter(|meta| Uid::of(meta) == Some(uid.clone()))
        else {
            // Its informer will say so, too; whoever waits for it need not.
            let concerned = self.shared.graph().remove(&uid);
            self.shared.add_all(concerned);
            return Ok(Next::Changed);
        };
        let owners = match self.owners(&node, &meta).await? {
            Ok(owners) => owners,
            Err(Unknown::Kind) => return Ok(Next::After(LOOK_AGAIN)),
            Err(Unknown::Namespace) => return Ok(Next::Changed),
        };
        let object = Object { fate: Fate::of(&meta), finalizers: meta.finalizers.clone().unwrap_or_default(), owners };
        let plan = plan::plan(&object, dependents(&uid, &self.shared.graph()));
        tracing::debug!(kind = %node.kind.resource.kind, object = %node.key, ?plan, "looked at an object");
        let is_kept_by_unseen = plan == Plan::Keep && object.fate == Fate::Stays && !object.owners.is_empty();
        self.carry_out(&node, &meta, plan).await?;
        Ok(if is_kept_by_unseen { Next::After(LOOK_AGAIN) } else { Next::Changed })
    }

    async fn carry_out(&self, node: &Node, meta: &ObjectMeta, plan: Plan) -> kube::Result<()> {
        match plan {
            Plan::Keep => Ok(()),
            Plan::LookAtDependents => {
                let uids = self.shared.graph().dependents(&node.uid).map(|dependent| dependent.uid.clone()).collect();
                self.shared.add_all(uids);
                Ok(())
            }
            Plan::LetGo(finalizer) => self.let_go(node, meta, finalizer).await,
            Plan::Orphan => self.orphan(node, meta).await,
            Plan::Name(owners) => self.name(&node.kind, &node.key, meta, &owners).await,
            Plan::Unblock(owners) => {
                self.name(&node.kind, &node.key, meta, &owners).await?;
                self.delete(node, None, Policy::Foreground).await
            }
            Plan::Delete(policy) => self.delete(node, meta.resource_version.clone(), policy).await,
        }
    }

    /// Makes all dependents forget the object, then lets it go.
    async fn orphan(&self, node: &Node, meta: &ObjectMeta) -> kube::Result<()> {
        let dependents: Vec<Node> = self.shared.graph().dependents(&node.uid).cloned().collect();
        for dependent in dependents {
            refusal::retry_on_conflict(|| async {
                let Some(meta) = self.fetch(&dependent.kind, &dependent.key).await? else { return Ok(()) };
                let named = meta.owner_references.clone().unwrap_or_default();
                let kept: Vec<OwnerReference> =
                    named.iter().filter(|owner| Uid::new(&owner.uid) != node.uid).cloned().collect();
                let is_another = Uid::of(&meta) != Some(dependent.uid.clone());
                if is_another || kept.len() == named.len() {
                    return Ok(());
                }
                self.name(&dependent.kind, &dependent.key, &meta, &kept).await
            })
            .await?;
        }
        self.let_go(node, meta, ORPHAN).await
    }

    /// Takes a finalizer away.
    async fn let_go(&self, node: &Node, meta: &ObjectMeta, finalizer: &str) -> kube::Result<()> {
        let mut finalizers = meta.finalizers.clone().unwrap_or_default();
        finalizers.retain(|name| name != finalizer);
        self.patch(&node.kind, &node.key, meta, "finalizers", json!(finalizers)).await
    }

    /// Makes an object name these owners, and no others.
    async fn name(&self, kind: &Kind, key: &Key, meta: &ObjectMeta, owners: &[OwnerReference]) -> kube::Result<()> {
        let owners = if owners.is_empty() { Value::Null } else { json!(owners) };
        self.patch(kind, key, meta, "ownerReferences", owners).await
    }

    async fn patch(&self, kind: &Kind, key: &Key, meta: &ObjectMeta, field: &str, value: Value) -> kube::Result<()> {
        let mut patch = json!({"metadata": {"uid": meta.uid, "resourceVersion": meta.resource_version}});
        if let Some(metadata) = patch.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.insert(field.to_owned(), value);
        }
        let api = kind.objects(&self.client, key);
        refusal::found(api.patch(&key.name, &PatchParams::default(), &Patch::Merge(patch)).await).map(drop)
    }

    async fn delete(&self, node: &Node, resource_version: Option<String>, policy: Policy) -> kube::Result<()> {
        let params = DeleteParams {
            propagation_policy: Some(match policy {
                Policy::Background => PropagationPolicy::Background,
                Policy::Foreground => PropagationPolicy::Foreground,
                Policy::Orphan => PropagationPolicy::Orphan,
            }),
            preconditions: Some(Preconditions { uid: Some(node.uid.to_string()), resource_version }),
            ..DeleteParams::default()
        };
        let api = node.kind.objects(&self.client, &node.key);
        refusal::found(api.delete(&node.key.name, &params).await).map(drop)
    }

    /// The owners that an object names, as the API server has them.
    async fn owners(&self, node: &Node, meta: &ObjectMeta) -> kube::Result<Result<Vec<Owner>, Unknown>> {
        let mut owners = Vec::new();
        for reference in meta.owner_references.iter().flatten() {
            let kinds = self.kinds.borrow().clone().unwrap_or_default();
            let kind = kinds.iter().find(|kind| kind.is_meant_by(&reference.api_version, &reference.kind));
            let Some(kind) = kind else { return Ok(Err(Unknown::Kind)) };
            if kind.is_namespaced && node.key.namespace.is_empty() {
                self.tell_invalid(node, reference);
                return Ok(Err(Unknown::Namespace));
            }
            let key = owner_key(kind, node, reference);
            let found = self.fetch(kind, &key).await?.filter(|meta| meta.uid.as_deref() == Some(&*reference.uid));
            let state = match found.as_ref().map(Fate::of) {
                None => OwnerState::Absent,
                Some(Fate::GoesLast) => OwnerState::GoesLast,
                Some(Fate::Stays | Fate::Orphans | Fate::Goes) => OwnerState::Solid,
            };
            let is_elsewhere = self.shared.graph().get(&Uid::new(&reference.uid)).is_some_and(|owner| owner.key != key);
            if state == OwnerState::Absent && is_elsewhere {
                self.tell_invalid(node, reference);
            }
            owners.push(Owner { reference: reference.clone(), state });
        }
        Ok(Ok(owners))
    }

    /// Tells people that an owner cannot be where its dependent says.
    fn tell_invalid(&self, node: &Node, owner: &OwnerReference) {
        let namespace = Some(node.key.namespace.to_string()).filter(|namespace| !namespace.is_empty());
        let about = ObjectReference {
            api_version: Some(node.kind.resource.api_version.clone()),
            kind: Some(node.kind.resource.kind.clone()),
            namespace,
            name: Some(node.key.name.to_string()),
            uid: Some(node.uid.to_string()),
            ..ObjectReference::default()
        };
        let message = format!(
            "ownerRef [{}/{}, name: {}, uid: {}] does not exist in namespace {:?}",
            owner.api_version, owner.kind, owner.name, owner.uid, node.key.namespace
        );
        self.recorder.warning(about, "OwnerRefInvalidNamespace", message);
    }

    async fn fetch(&self, kind: &Kind, key: &Key) -> kube::Result<Option<ObjectMeta>> {
        let found: Option<Metadata> = kind.metadata(&self.client, &key.namespace).get_opt(&key.name).await?;
        Ok(found.map(|object| object.metadata))
    }
}

/// Where the owner must be that a dependent names: in its namespace, or in the cluster.
fn owner_key(kind: &Kind, dependent: &Node, reference: &OwnerReference) -> Key {
    if kind.is_namespaced {
        Key::new(&dependent.key.namespace, &reference.name)
    } else {
        Key::of_cluster(&reference.name)
    }
}

/// Whether an object surely stays as it is: nobody deletes it, and all its owners were seen where they must be.
fn is_fine(node: &Node, graph: &Graph) -> bool {
    let is_there = |reference: &OwnerReference| {
        graph.get(&Uid::new(&reference.uid)).is_some_and(|owner| {
            owner.fate != Fate::GoesLast
                && owner.kind.is_meant_by(&reference.api_version, &reference.kind)
                && owner.key == owner_key(&owner.kind, node, reference)
        })
    };
    node.fate == Fate::Stays && node.owners.iter().all(is_there)
}

fn dependents(uid: &Uid, graph: &Graph) -> Dependents {
    let mut dependents = Dependents::default();
    for dependent in graph.dependents(uid) {
        dependents.count += 1;
        dependents.blocking += usize::from(dependent.blocks(uid));
        dependents.has_one_that_goes_last |= dependent.fate == Fate::GoesLast;
    }
    dependents
}
