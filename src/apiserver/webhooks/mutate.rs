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

/// Has the webhooks that a request concerns change its object; whether one did.
///
/// One that is to be asked again is, once, when another changed the object after it.
pub(crate) async fn mutate(call: &Call, attributes: &Attributes<'_>, object: &mut Value) -> Result<bool, Status> {
    let kept = call.server.hooks().current(Sort::Mutating, call.objects());
    let hooks: Vec<&Hook> = kept.values().flat_map(|hooks| hooks.iter()).collect();
    if hooks.is_empty() || attributes.is_exempt() {
        return Ok(false);
    }
    let mut is_changed = false;
    let mut again = BTreeSet::new();
    let mut answered: Vec<usize> = Vec::new();
    for (place, hook) in hooks.iter().enumerate() {
        if let Some(changed) = one(call, hook, attributes, object).await? {
            if changed {
                is_changed = true;
                let others = answered.iter().filter(|other| hooks.get(**other).is_some_and(|hook| hook.is_asked_again));
                again.extend(others.copied());
            }
            answered.push(place);
        }
    }
    for hook in again.into_iter().filter_map(|place| hooks.get(place)) {
        is_changed |= one(call, hook, attributes, object).await?.unwrap_or(false);
    }
    Ok(is_changed)
}

/// Asks one webhook, if the request concerns it; whether it changed the object.
async fn one(
    call: &Call,
    hook: &Hook,
    attributes: &Attributes<'_>,
    object: &mut Value,
) -> Result<Option<bool>, Status> {
    let scheme = call.server.scheme();
    let now = Attributes { object: Some(&*object), ..attributes.clone() };
    let Some(asked) = asked(call, hook, &now, &scheme)? else { return Ok(None) };
    let Some(answer) = ask(call, hook, &now, &asked, true).await? else { return Ok(None) };
    let Some(patch) = answer.patch else { return Ok(Some(false)) };
    let form = as_form(&call.server, attributes.resource, asked.matched, object).await?;
    let patched = json_patch(&form, &patch).map_err(|error| Status::internal(error.to_string()))?;
    let patched = as_form(&call.server, asked.matched, attributes.resource, &patched).await?;
    let patched = extend::read(attributes, patched).map_err(Status::internal)?;
    let changed = patched != *object;
    *object = patched;
    Ok(Some(changed))
}
