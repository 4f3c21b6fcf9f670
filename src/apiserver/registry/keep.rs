//! What stays in the store of artifacts, and what goes: images that live pods name stay whatever space is needed, and
//! repositories go with their namespace, so that the next one of its name finds nothing of them.

use std::collections::BTreeSet;
use std::time::Duration;

use api::scheme::{Resource, Scheme};
use base::clock::Instant;
use base::shutdown::Shutdown;
use images::{ContentStore, Reference};
use serde_json::Value;

use crate::cache::{Interest, Object};
use crate::objects::Objects;

/// How often namespaces are compared with repositories even when none was seen to go: an upload that was under way when
/// its namespace went may have ended after it.
const COMPARE_EVERY: Duration = Duration::from_secs(600);

/// Keeps the images that live pods name, on whichever node.
pub(super) fn keep_what_pods_name(content: &ContentStore, objects: Objects) {
    content.ask_in_use(move || {
        let Some(cache) = core("pods").and_then(|pods| objects.cache(pods).ok()) else { return BTreeSet::new() };
        let snapshot = cache.snapshot(objects.caches().applied());
        let live = snapshot.objects.values().filter(|pod| is_live(pod));
        live.filter_map(|pod| pod.to_value().ok()).flat_map(|pod| images_of(&pod)).collect()
    });
}

/// Whether a pod's containers may run yet.
fn is_live(pod: &Object) -> bool {
    !["Succeeded", "Failed"].contains(&pod.field("status.phase"))
}

/// The images that a pod names; what is no image name is left out.
pub(crate) fn images_of(pod: &Value) -> Vec<Reference> {
    let lists = ["/spec/containers", "/spec/initContainers"];
    let containers = lists.iter().filter_map(|list| pod.pointer(list)?.as_array()).flatten();
    containers.filter_map(|container| Reference::parse(container.get("image")?.as_str()?).ok()).collect()
}

/// Drops the repositories of namespaces that are not there, at once and whenever one goes.
pub(super) async fn drop_what_namespaces_left(content: ContentStore, objects: Objects, shutdown: Shutdown) {
    while shutdown.or(drop_once(&content, &objects)).await.is_some() {}
}

/// One comparison, and the wait for a reason to make the next.
async fn drop_once(content: &ContentStore, objects: &Objects) {
    let Some(cache) = core("namespaces").and_then(|namespaces| objects.cache(namespaces).ok()) else {
        return std::future::pending().await;
    };
    let (snapshot, mut changes) = cache.watch_all(objects.caches().applied(), Interest::default());
    for namespace in gone(content, |namespace| snapshot.objects.contains_key(namespace)) {
        match content.remove_namespace(&namespace).await {
            Ok(count) => tracing::info!(namespace, count, "repositories went with their namespace"),
            Err(error) => {
                tracing::warn!(namespace, %error, "repositories of a namespace that is gone cannot be removed")
            }
        }
    }
    let next = Instant::now() + COMPARE_EVERY;
    // A watch that was cut off is a reason, too.
    while let Ok(Some(event)) = tokio::time::timeout_at(next, changes.next()).await {
        if event.is_deletion {
            return;
        }
    }
}

/// Namespaces that have repositories and are not there.
fn gone(content: &ContentStore, is_there: impl Fn(&str) -> bool) -> BTreeSet<String> {
    let names = content.repositories();
    let namespaces = names.iter().filter_map(|name| name.namespace());
    namespaces.filter(|namespace| !is_there(namespace)).map(str::to_owned).collect()
}

fn core(plural: &str) -> Option<&'static std::sync::Arc<Resource>> {
    Scheme::builtin().resource("", "v1", plural)
}
