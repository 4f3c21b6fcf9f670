//! Writing the status of an object, which its owner alone does.

use kube::api::{Patch, PatchParams};
use kube::{Api, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

/// Patches fields of the status strategically, so that those of other writers, and other conditions, stay.
///
/// `manager` is the name of the component that writes.
///
/// # Errors
/// What the server refuses.
pub async fn patch<K>(api: &Api<K>, name: &str, manager: &str, status: &impl Serialize) -> kube::Result<K>
where
    K: Resource + Clone + DeserializeOwned + std::fmt::Debug,
{
    let params = PatchParams { field_manager: Some(manager.to_owned()), ..PatchParams::default() };
    api.patch_status(name, &params, &Patch::Strategic(json!({ "status": status }))).await
}

/// The same where the new status holds only for the object as it was `seen`: when somebody wrote meanwhile, the answer is
/// a conflict.
///
/// # Errors
/// What the server refuses.
pub async fn patch_seen<K>(api: &Api<K>, seen: &K, manager: &str, status: &impl Serialize) -> kube::Result<K>
where
    K: Resource + Clone + DeserializeOwned + std::fmt::Debug,
{
    let params = PatchParams { field_manager: Some(manager.to_owned()), ..PatchParams::default() };
    let meta = seen.meta();
    let patch = json!({"metadata": {"uid": meta.uid, "resourceVersion": meta.resource_version}, "status": status});
    api.patch_status(meta.name.as_deref().unwrap_or_default(), &params, &Patch::Strategic(patch)).await
}
