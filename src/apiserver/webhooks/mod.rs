//! Webhooks: servers of others that are asked about requests (`MutatingWebhookConfiguration`,
//! `ValidatingWebhookConfiguration`), and that convert custom objects.
//!
//! Whom a request concerns and what an answer says are functions of `api`'s ([`api::admission`]). Here stand the
//! connections ([`Clients`]), the configurations as the caches have them (`hooks`), and what is done with a request:
//! [`mutate`] and [`validate`].

mod clients;
mod convert;
mod hooks;
mod mutate;
mod validate;

pub(crate) use clients::Clients;
pub(crate) use convert::convert;
pub(crate) use hooks::Hooks;
pub(crate) use mutate::mutate;
pub(crate) use validate::validate;

use std::borrow::Cow;
use std::time::Duration;

use api::admission::review::{self, Answer, Refusal};
use api::admission::{Attributes, rules};
use api::cel::admission::Inputs;
use api::scheme::{Resource, Scheme};
use api::status::Status;
use serde_json::Value;

use crate::conversion;
use crate::policies;
use crate::server::ApiServer;
use crate::verbs::Call;
use hooks::{Hook, Sort};

/// Whether there is a webhook that changes objects.
pub(crate) fn may_mutate(call: &Call) -> bool {
    call.server.hooks().has(Sort::Mutating, call.objects())
}

/// Whether there is a webhook that looks at objects.
pub(crate) fn may_validate(call: &Call) -> bool {
    call.server.hooks().has(Sort::Validating, call.objects())
}

/// What a hook is asked about a request, if it is.
struct Asked<'s> {
    /// The form of the request that its rules name.
    matched: &'s Resource,
}

/// Whether a hook is asked about a request, by its rules and selectors, whatever its object is meanwhile.
fn asked<'s>(
    call: &Call,
    hook: &Hook,
    request: &Attributes<'s>,
    object: Option<&Value>,
    scheme: &'s Scheme,
) -> Result<Option<Asked<'s>>, Status> {
    let Some(matched) = rules::matched(&hook.rules, hook.is_equivalent, request, scheme) else { return Ok(None) };
    let attributes = &Attributes { object, ..request.clone() };
    let namespace = call.namespace_object(attributes.namespace);
    let selected = rules::selects(&hook.said, attributes, namespace.as_deref());
    match selected.map_err(|error| failed(hook, &error))? && meant(call, hook, attributes, matched)? {
        true => Ok(Some(Asked { matched })),
        false => Ok(None),
    }
}

/// Whether a hook's `matchConditions` hold. They see the request as it was made.
fn meant(call: &Call, hook: &Hook, attributes: &Attributes<'_>, matched: &Resource) -> Result<bool, Status> {
    let conditions = match &hook.conditions {
        Ok(conditions) if conditions.is_empty() => return Ok(true),
        Ok(conditions) => conditions,
        Err(why) => return if hook.may_fail { Ok(false) } else { Err(unmatched(hook, attributes, why)) },
    };
    let question = review::question(attributes, matched, (None, None), "v1", "");
    let namespace = call.namespace_object(attributes.namespace);
    let rights = policies::Rights { server: &call.server, user: &call.user };
    let resource = policies::resource(attributes);
    let inputs = Inputs {
        object: attributes.object,
        old_object: attributes.old,
        request: question.get("request"),
        params: None,
        namespace: namespace.as_deref(),
        authorizer: Some((&rights, &resource)),
    };
    match policies::conditions_hold(conditions, inputs) {
        Ok(holds) => Ok(holds),
        Err(_) if hook.may_fail => Ok(false),
        Err(why) => Err(unmatched(hook, attributes, &why)),
    }
}

/// 403 where nobody can tell whether a hook is meant.
fn unmatched(hook: &Hook, attributes: &Attributes<'_>, why: &str) -> Status {
    let resource = attributes.resource;
    let why = format!("failed evaluating match conditions of webhook {:?}: {why}", hook.name);
    Status::forbidden(&resource.group, &resource.plural, attributes.name, &why)
}

/// Asks a hook about a request. `None` when it could not be asked and does not insist.
async fn ask(
    call: &Call,
    hook: &Hook,
    attributes: &Attributes<'_>,
    asked: &Asked<'_>,
    may_patch: bool,
) -> Result<Option<Answer>, Status> {
    if attributes.is_dry_run && hook.has_side_effects {
        return Err(review::dry_run_unsupported(&hook.name));
    }
    let uid = uuid::Uuid::new_v4().to_string();
    // While the hook thinks, its question is held once, as bytes, and counts as a body of whoever asks.
    let question = {
        let (object, old) = in_form(call, attributes, asked.matched).await?;
        let objects = (object.as_deref(), old.as_deref());
        review::question(attributes, asked.matched, objects, hook.version, &uid).to_string()
    };
    let _room = call.room(question.len())?;
    let answered = call.server.webhooks().post(&hook.client, hook.timeout, question).await;
    let answer = match answered {
        Ok(answer) => answer,
        Err(error) => return unanswered(hook, &format!("failed to call webhook: {error}")),
    };
    match review::answer(&hook.name, hook.version, &uid, may_patch, &answer) {
        Ok(answer) => {
            answer.warnings.iter().for_each(|warning| call.warn(warning));
            Ok(Some(answer))
        }
        Err(Refusal::Denied(status, warnings)) => {
            warnings.into_iter().for_each(|warning| call.warn(warning));
            Err(status)
        }
        Err(Refusal::Unusable(why)) => unanswered(hook, &format!("received invalid webhook response: {why}")),
    }
}

/// What becomes of a request about which a hook said nothing that helps.
fn unanswered(hook: &Hook, why: &str) -> Result<Option<Answer>, Status> {
    if hook.may_fail {
        tracing::warn!(webhook = hook.name, why, "a webhook gave no answer, and its failure is to be ignored");
        return Ok(None);
    }
    Err(failed(hook, why))
}

fn failed(hook: &Hook, why: &str) -> Status {
    Status::internal(format!("failed calling webhook {:?}: {why}", hook.name))
}

/// The objects of a request in the form of `to`.
pub(crate) async fn in_form<'v>(
    call: &Call,
    attributes: &Attributes<'v>,
    to: &Resource,
) -> Result<(Option<Cow<'v, Value>>, Option<Cow<'v, Value>>), Status> {
    let (server, from) = (&call.server, attributes.resource);
    let object = match attributes.object {
        Some(object) => Some(as_form(server, from, to, object).await?),
        None => None,
    };
    let old = match attributes.old {
        Some(old) => Some(as_form(server, from, to, old).await?),
        None => None,
    };
    Ok((object, old))
}

/// An object in another form in which the same objects are served.
pub(crate) async fn as_form<'v>(
    server: &ApiServer,
    from: &Resource,
    to: &Resource,
    object: &'v Value,
) -> Result<Cow<'v, Value>, Status> {
    if from.api_version() == to.api_version() || api::meta::kind(object) != from.kind {
        return Ok(Cow::Borrowed(object));
    }
    let stored = conversion::to_storage(server, from, object.clone()).await?;
    conversion::from_storage(server, to, stored).await.map(Cow::Owned)
}

/// How long a webhook may take that does not say it, as upstream.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);
