//! Who makes a pod that runs another namespace's artifact needs the right to `use` it: the node that pulls it for them may
//! by the pod alone. It is a right of its own, because controllers make pods for everybody and may `get` everything.

use api::access::Wish;
use api::meta;
use api::status::Status;
use serde_json::Value;

use crate::authorization;
use crate::registry;
use crate::verbs::{Call, RUN_GROUP};

/// Refuses a pod that names an artifact which its maker may not use.
pub(super) fn check(call: &Call, pod: &Value) -> Result<(), Status> {
    let own = call.namespace();
    for image in registry::images_of(pod).iter().filter(|image| image.is_built_in()) {
        let Some((namespace, name)) = image.repository().as_str().split_once('/') else { continue };
        let wish = Wish { verb: "use", group: RUN_GROUP, resource: "artifacts", subresource: "", name };
        let may_use = || authorization::decide_wish(&call.server, &call.user, Some(namespace), &wish).is_allowed;
        if own != Some(namespace) && !may_use() {
            let why = format!("image {image} is of another namespace, and you have no right to use artifacts there");
            return Err(Status::forbidden("", "pods", meta::name(pod), &why));
        }
    }
    Ok(())
}
