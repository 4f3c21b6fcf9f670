//! Addresses and ports for Services, as upstream's registry allocates them.

use api::meta;
use api::status::Status;
use rand::RngExt as _;
use serde_json::Value;

use crate::objects::unreadable;
use crate::options::Keep;
use crate::verbs::Call;

/// Gives a new Service what it needs. A dry run is given what it would get.
pub(super) fn admit_create(call: &Call, service: &mut Value, _keep: Keep) -> Result<(), Status> {
    reserve(call, service, None)
}

/// Gives a changed Service what its new type needs.
pub(super) fn admit_update(call: &Call, service: &mut Value, old: &Value) -> Result<(), Status> {
    reserve(call, service, Some(old))
}

fn reserve(call: &Call, service: &mut Value, old: Option<&Value>) -> Result<(), Status> {
    let snapshot = call.objects().cache(&call.resource)?.snapshot(store::Revision(0));
    let others: Result<Vec<Value>, _> = snapshot.objects.values().map(|other| other.to_value()).collect();
    let others = others.map_err(unreadable)?;
    let reserved = call.server.services().reserve(service, old, &others, || rand::rng().random());
    let reserved = reserved.map_err(|errors| Status::invalid("", "Service", meta::name(service), errors))?;
    // Until the call ends: then the Service shows what it has, or it is free again.
    call.keep(reserved);
    Ok(())
}
