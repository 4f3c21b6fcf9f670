//! Classes that are meant when none is named: `DefaultStorageClass`, `DefaultIngressClass`; and which claims may grow:
//! `PersistentVolumeClaimResize`.

use api::meta;
use api::quantity::Quantity;
use api::scheme::Scheme;
use api::status::Status;
use api::validation::storage::is_default_class;
use serde_json::Value;

use crate::authorization::Facts as _;
use crate::objects::unreadable;
use crate::verbs::Call;

/// A claim that names no class gets the cluster's default, if there is one.
pub(super) fn admit_claim(call: &Call, claim: &mut Value) -> Result<(), Status> {
    let is_said = claim.pointer("/spec/storageClassName").is_some_and(Value::is_string)
        || meta::annotation(claim, "volume.beta.kubernetes.io/storage-class").is_some();
    if !is_said && let Some(name) = newest(call, "storage.k8s.io", "storageclasses", is_default_class)? {
        meta::set_at(claim, "/spec/storageClassName", name.into());
    }
    Ok(())
}

/// An Ingress that names no class gets the cluster's default, if there is one.
pub(super) fn admit_ingress(call: &Call, ingress: &mut Value) -> Result<(), Status> {
    let is_default =
        |class: &Value| meta::annotation(class, "ingressclass.kubernetes.io/is-default-class") == Some("true");
    let is_said = ingress.pointer("/spec/ingressClassName").is_some_and(Value::is_string)
        || meta::annotation(ingress, "kubernetes.io/ingress.class").is_some();
    if !is_said && let Some(name) = newest(call, "networking.k8s.io", "ingressclasses", is_default)? {
        meta::set_at(ingress, "/spec/ingressClassName", name.into());
    }
    Ok(())
}

/// The name of the class that is the default; of several the newest, of several as new the first by name.
fn newest(
    call: &Call,
    group: &str,
    plural: &str,
    is_default: impl Fn(&Value) -> bool,
) -> Result<Option<String>, Status> {
    let Some(resource) = Scheme::builtin().resource(group, "v1", plural) else { return Ok(None) };
    let snapshot = call.objects().cache(resource)?.snapshot(store::Revision(0));
    let mut found: Option<Value> = None;
    for class in snapshot.objects.values() {
        let class = class.to_value().map_err(unreadable)?;
        let is_newer =
            found.as_ref().is_none_or(|found| meta::creation_timestamp(found) < meta::creation_timestamp(&class));
        if is_default(&class) && is_newer {
            found = Some(class);
        }
    }
    Ok(found.map(|class| meta::name(&class).to_owned()))
}

/// A claim grows when it is bound and its class allows that.
pub(super) fn check_growth(call: &Call, new: &Value, old: &Value) -> Result<(), Status> {
    if !grows(new, old) {
        return Ok(());
    }
    let refuse = |why: &str| Err(Status::forbidden("", "persistentvolumeclaims", meta::name(new), why));
    let text = |claim: &Value, pointer: &str| claim.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    if text(old, "/status/phase").as_deref() != Some("Bound") {
        return refuse("Only bound persistent volume claims can be expanded");
    }
    let (class, before) = (text(new, "/spec/storageClassName"), text(old, "/spec/storageClassName"));
    let class = class.filter(|class| Some(class) == before.as_ref() && !class.is_empty());
    let class = class.and_then(|class| call.server.object("storage.k8s.io", "storageclasses", None, &class));
    let allows = |class: Value| class.get("allowVolumeExpansion").and_then(Value::as_bool) == Some(true);
    if class.is_some_and(allows) {
        return Ok(());
    }
    refuse(
        "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize",
    )
}

fn grows(new: &Value, old: &Value) -> bool {
    let asked = |claim: &Value| {
        let text = claim.pointer("/spec/resources/requests/storage").and_then(Value::as_str);
        text.and_then(|text| Quantity::parse(text).ok())
    };
    asked(old).zip(asked(new)).is_some_and(|(old, new)| new > old)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_claim_grows_when_it_asks_for_more() {
        let claim = |size: &str| json!({"spec": {"resources": {"requests": {"storage": size}}}});
        assert!(grows(&claim("2Gi"), &claim("1Gi")));
        assert!(!grows(&claim("1024Mi"), &claim("1Gi")));
        assert!(!grows(&claim("1Gi"), &json!({})));
    }
}
