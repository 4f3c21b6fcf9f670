//! Webhooks that change objects: asked one after another, each with what the ones before made of the object.

use std::collections::BTreeSet;

use api::admission::Attributes;
use api::patch::json_patch;
use api::status::Status;
use serde_json::Value;

use super::hooks::{Hook, Sort};
use super::{as_form, ask, asked};
use crate::admission::extend;
use crate::verbs::Call;

/// Has the webhooks that a request concerns change its object; whether one did. Where there is no object, they may only
/// refuse.
///
/// One that is to be asked again is, once, when another changed the object after it.
pub(crate) async fn mutate(
    call: &Call,
    attributes: &Attributes<'_>,
    mut object: Option<&mut Value>,
) -> Result<bool, Status> {
    let kept = call.server.hooks().current(Sort::Mutating, call.objects());
    let hooks: Vec<&Hook> = kept.values().flat_map(|hooks| hooks.iter()).collect();
    if hooks.is_empty() || attributes.is_exempt() {
        return Ok(false);
    }
    let mut is_changed = false;
    let mut again = BTreeSet::new();
    let mut answered: Vec<usize> = Vec::new();
    for (place, hook) in hooks.iter().enumerate() {
        if let Some(changed) = one(call, hook, attributes, object.as_deref_mut()).await? {
            if changed {
                is_changed = true;
                let others = answered.iter().filter(|other| hooks.get(**other).is_some_and(|hook| hook.is_asked_again));
                again.extend(others.copied());
            }
            answered.push(place);
        }
    }
    for hook in again.into_iter().filter_map(|place| hooks.get(place)) {
        is_changed |= one(call, hook, attributes, object.as_deref_mut()).await?.unwrap_or(false);
    }
    Ok(is_changed)
}

/// Asks one webhook, if the request concerns it; whether it changed the object.
async fn one(
    call: &Call,
    hook: &Hook,
    attributes: &Attributes<'_>,
    object: Option<&mut Value>,
) -> Result<Option<bool>, Status> {
    let scheme = call.server.scheme();
    let Some(asked) = asked(call, hook, attributes, object.as_deref(), &scheme)? else { return Ok(None) };
    let now = Attributes { object: object.as_deref(), ..attributes.clone() };
    let Some(answer) = ask(call, hook, &now, &asked, true).await? else { return Ok(None) };
    let Some(patch) = answer.patch else { return Ok(Some(false)) };
    let Some(object) = object else {
        let why = "attempted to modify the object, which is not supported for this operation";
        return Err(Status::internal(format!("webhook {} {why}", hook.name)));
    };
    let form = as_form(&call.server, attributes.resource, asked.matched, object).await?;
    let patched = json_patch(&form, &patch).map_err(|error| Status::internal(error.to_string()))?;
    let patched = as_form(&call.server, asked.matched, attributes.resource, &patched).await?.into_owned();
    let patched = extend::read(attributes, patched).map_err(Status::internal)?;
    let changed = patched != *object;
    *object = patched;
    Ok(Some(changed))
}
