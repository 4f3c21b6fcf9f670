//! Who makes a pod that runs another namespace's artifact needs the right to read it: the node that pulls it for them has
//! that right by the pod alone.

use api::meta;
use api::status::Status;
use serde_json::Value;

use crate::options::Query;
use crate::registry;
use crate::request_info::Verb;
use crate::verbs::Call;

/// Refuses a pod that names an artifact which its maker may not read.
pub(super) fn check(call: &Call, pod: &Value) -> Result<(), Status> {
    let own = call.namespace();
    for image in registry::images_of(pod).iter().filter(|image| image.is_built_in()) {
        let Some((namespace, name)) = image.repository().as_str().split_once('/') else { continue };
        let request = registry::artifacts(Verb::Get, Some(namespace), Some(name));
        if own != Some(namespace) && call.server.authorize(&call.user, &request, &Query::default()).is_err() {
            let why = format!("image {image} is of another namespace, and you have no right to get artifacts there");
            return Err(Status::forbidden("", "pods", meta::name(pod), &why));
        }
    }
    Ok(())
}
