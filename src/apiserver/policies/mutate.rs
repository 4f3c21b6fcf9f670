//! Policies that change objects: one after another, each with what the ones before made of the object.

use std::borrow::Cow;
use std::collections::BTreeSet;

use api::admission::{Attributes, review};
use api::cel::admission::{Evaluation, Failure, Inputs, POLICY_COST_MAX};
use api::meta;
use api::patch::json_patch;
use api::scheme::Resource;
use api::status::Status;
use serde_json::Value;

use super::authorizer::Rights;
use super::compiled::{Mutating, Mutation, conditions_hold};
use super::scope;
use crate::admission::extend;
use crate::verbs::Call;
use crate::webhooks::{as_form, in_form};

/// Has the policies that a request concerns change its object; whether one did. One that is to be asked again is, once,
/// when another changed the object after it.
pub(crate) async fn mutate(call: &Call, attributes: &Attributes<'_>, object: &mut Value) -> Result<bool, Status> {
    let sort = call.server.admission_policies().mutating(call.objects());
    let bound: Vec<_> = sort.bound().collect();
    if bound.is_empty() || attributes.is_exempt_from_policies() {
        return Ok(false);
    }
    let mut is_changed = false;
    let mut again = BTreeSet::new();
    for (place, (policy_name, policy, binding_name, binding)) in bound.iter().enumerate() {
        let about = format!("policy '{policy_name}' with binding '{binding_name}'");
        if one(call, &about, (policy, binding), attributes, object).await? {
            is_changed = true;
            let is_repeated =
                |policy: &Mutating| policy.spec.get("reinvocationPolicy").and_then(Value::as_str) == Some("IfNeeded");
            let before = bound.iter().take(place).enumerate();
            again.extend(before.filter(|(_, (_, policy, _, _))| is_repeated(policy)).map(|(place, _)| place));
        }
    }
    for (policy_name, policy, binding_name, binding) in again.into_iter().filter_map(|place| bound.get(place)) {
        let about = format!("policy '{policy_name}' with binding '{binding_name}'");
        is_changed |= one(call, &about, (policy, binding), attributes, object).await?;
    }
    Ok(is_changed)
}

/// Has one policy change the object, if it is about the request; whether it did.
async fn one(
    call: &Call,
    about: &str,
    (policy, binding): (&Mutating, &Value),
    attributes: &Attributes<'_>,
    object: &mut Value,
) -> Result<bool, Status> {
    let may_fail = policy.spec.get("failurePolicy").and_then(Value::as_str) == Some("Ignore");
    let refused = |why: String| {
        let resource = attributes.resource;
        let why = format!("{about} denied request: {why}");
        Status::forbidden(&resource.group, &resource.plural, attributes.name, &why)
    };
    let now = Attributes { object: Some(&*object), ..attributes.clone() };
    match changed(call, (policy, binding), &now).await {
        Ok(None) => Ok(false),
        Ok(Some(changed)) => {
            let is_changed = changed != *object;
            *object = changed;
            Ok(is_changed)
        }
        Err(_) if may_fail => Ok(false),
        Err(why) => Err(refused(why)),
    }
}

/// What a policy makes of the object; `None` where it is not about the request.
async fn changed(
    call: &Call,
    (policy, binding): (&Mutating, &Value),
    attributes: &Attributes<'_>,
) -> Result<Option<Value>, String> {
    let scheme = call.server.scheme();
    let Some(form) = scope::matched(call, (&policy.spec, binding), attributes, &scheme)? else { return Ok(None) };
    let rules = policy.compiled.as_ref().map_err(Clone::clone)?;
    let params = scope::params(call, &policy.spec, binding, attributes)?;
    let (object, old) = in_form(call, attributes, form).await.map_err(told)?;
    let mut object = object.map(Cow::into_owned).unwrap_or_default();
    let question = review::question(attributes, form, (None, None), "v1", "");
    let namespace = call.namespace_object(attributes.namespace);
    let resource = scope::resource(attributes);
    for param in params {
        let rights = Rights { server: &call.server, user: &call.user };
        let shared = Inputs {
            object: None,
            old_object: old.as_deref(),
            request: question.get("request"),
            params: param.as_deref(),
            namespace: namespace.as_deref(),
            authorizer: Some((&rights, &resource)),
        };
        let start = object.clone();
        if !conditions_hold(&rules.conditions, Inputs { object: Some(&start), ..shared })? {
            continue;
        }
        let mut budget = POLICY_COST_MAX;
        for mutation in &rules.rules {
            let before = object.clone();
            (object, budget) = {
                let mut evaluation =
                    Evaluation::new(&rules.variables, Inputs { object: Some(&before), ..shared }, budget);
                (applied(&mut evaluation, mutation, form, &before)?, evaluation.budget())
            };
        }
        // Each may compute for long; others get their turn.
        tokio::task::yield_now().await;
    }
    let object = as_form(&call.server, form, attributes.resource, &object).await.map_err(told)?;
    extend::read(attributes, object.into_owned()).map(Some)
}

fn told(status: Status) -> String {
    status.message
}

/// The object after one change.
fn applied<'a>(
    evaluation: &mut Evaluation<'a>,
    mutation: &'a Mutation,
    form: &Resource,
    object: &Value,
) -> Result<Value, String> {
    let failed = |failure: Failure| failure.to_string();
    match mutation {
        Mutation::Patch(expression) => {
            let operations = evaluation.run_patches(expression).map_err(failed)?;
            json_patch(object, &Value::Array(operations)).map_err(|error| error.to_string())
        }
        Mutation::Apply(expression) => {
            let mut configuration = evaluation.run_object(expression).map_err(failed)?;
            if let Some(fields) = configuration.as_object_mut() {
                fields.insert("apiVersion".to_owned(), meta::api_version(object).into());
                fields.insert("kind".to_owned(), meta::kind(object).into());
            }
            form.typed().overlaid(object, &configuration)
        }
    }
}
