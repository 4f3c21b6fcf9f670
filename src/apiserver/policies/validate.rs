//! Policies that look at what is about to be stored.

use std::sync::Arc;

use api::admission::{Attributes, review};
use api::cel::admission::{Answer, Evaluation, Failure, Inputs, POLICY_COST_MAX};
use api::scheme::{Resource, Scheme};
use api::status::Status;
use serde_json::Value;

use super::authorizer::Rights;
use super::compiled::{Rules, Validating, Validation, conditions_hold};
use super::scope;
use crate::verbs::Call;
use crate::webhooks::in_form;

/// Bytes of a message that an expression makes, as upstream's.
const MESSAGE_BYTES_MAX: usize = 5 << 10;

/// Something that a policy does not take.
struct Denial {
    message: String,
    reason: String,
    /// Whether the request is refused whatever the binding wants done: the policy itself cannot be asked.
    is_final: bool,
}

/// What a binding has its policy asked: the form of the request, the rules, and the parameters, one at a time.
type Scoped<'s, 'p> = (&'s Resource, &'p Rules<Validation>, Vec<Option<Arc<Value>>>);

/// Has the policies that a request concerns look at it. The first denial is the answer; others warn.
pub(crate) async fn validate(call: &Call, attributes: &Attributes<'_>) -> Result<(), Status> {
    let sort = call.server.admission_policies().validating(call.objects());
    if attributes.is_exempt_from_policies() {
        return Ok(());
    }
    let mut denied: Option<Denial> = None;
    for (policy_name, policy, binding_name, binding) in sort.bound() {
        let about = format!("ValidatingAdmissionPolicy '{policy_name}' with binding '{binding_name}'");
        let actions = binding.pointer("/spec/validationActions").and_then(Value::as_array);
        let has_action = |action: &str| actions.is_some_and(|actions| actions.iter().any(|found| found == action));
        for denial in of_binding(call, policy, binding, attributes).await? {
            if has_action("Warn") && !denial.is_final {
                call.warn(format!("Validation failed for {about}: {}", denial.message));
            }
            if (denial.is_final || has_action("Deny")) && denied.is_none() {
                let message = format!("{about} denied request: {}", denial.message);
                denied = Some(Denial { message, ..denial });
            }
        }
    }
    match denied {
        None => Ok(()),
        Some(denial) => Err(refusal(attributes, denial)),
    }
}

/// What a policy does not take of a request, where this binding holds.
async fn of_binding(
    call: &Call,
    policy: &Validating,
    binding: &Value,
    attributes: &Attributes<'_>,
) -> Result<Vec<Denial>, Status> {
    let may_fail = policy.spec.get("failurePolicy").and_then(Value::as_str) == Some("Ignore");
    let scheme = call.server.scheme();
    let (form, rules, params) = match scoped(call, policy, binding, attributes, &scheme) {
        Ok(Some(scoped)) => scoped,
        Ok(None) => return Ok(Vec::new()),
        Err(_) if may_fail => return Ok(Vec::new()),
        Err(message) => return Ok(vec![Denial { message, reason: String::new(), is_final: true }]),
    };
    let (object, old) = match in_form(call, attributes, form).await {
        Ok(objects) => objects,
        Err(_) if may_fail => return Ok(Vec::new()),
        Err(status) => {
            let message = format!("failed to convert object version: {}", status.message);
            return Ok(vec![Denial { message, reason: String::new(), is_final: true }]);
        }
    };
    let question = review::question(attributes, form, (None, None), "v1", "");
    let namespace = call.namespace_object(attributes.namespace);
    let (rights, resource) = (Rights { server: &call.server, user: &call.user }, scope::resource(attributes));
    let mut denied = Vec::new();
    for param in &params {
        let inputs = Inputs {
            object: object.as_deref(),
            old_object: old.as_deref(),
            request: question.get("request"),
            params: param.as_deref(),
            namespace: namespace.as_deref(),
            authorizer: Some((&rights, &resource)),
        };
        denied.extend(denials(rules, inputs, may_fail));
        // Each may compute for long; others get their turn.
        tokio::task::yield_now().await;
    }
    Ok(denied)
}

/// Whether a request is within a policy and its binding, and what it is then asked.
///
/// # Errors
/// What keeps the policy from being asked.
fn scoped<'s, 'p>(
    call: &Call,
    policy: &'p Validating,
    binding: &Value,
    attributes: &Attributes<'s>,
    scheme: &'s Scheme,
) -> Result<Option<Scoped<'s, 'p>>, String> {
    let of_binding = |why: String| format!("failed to configure binding: {why}");
    let matched = scope::matched(call, (&policy.spec, binding), attributes, scheme).map_err(of_binding)?;
    let Some(form) = matched else { return Ok(None) };
    let rules = policy.compiled.as_ref().map_err(|why| format!("failed to configure policy: {why}"))?;
    let params = scope::params(call, &policy.spec, binding, attributes).map_err(of_binding)?;
    Ok(Some((form, rules, params)))
}

/// What a policy with these parameters does not take.
fn denials(rules: &Rules<Validation>, inputs: Inputs<'_>, may_fail: bool) -> Vec<Denial> {
    let failed = |message: String| Denial { message, reason: String::new(), is_final: false };
    match conditions_hold(&rules.conditions, inputs) {
        Ok(true) => {}
        Ok(false) => return Vec::new(),
        Err(_) if may_fail => return Vec::new(),
        Err(why) => return vec![failed(why)],
    }
    let mut evaluation = Evaluation::new(&rules.variables, inputs, POLICY_COST_MAX);
    let mut denials = Vec::new();
    for rule in &rules.rules {
        match evaluation.run(&rule.expression) {
            Ok(Answer::Bool(true)) => {}
            Ok(_) => {
                let budget = evaluation.budget();
                let message = told(rule, rules, inputs, budget);
                denials.push(Denial { message, reason: rule.reason.clone(), is_final: false });
            }
            Err(_) if may_fail => {}
            Err(Failure::OutOfBudget) => {
                denials.push(failed(Failure::OutOfBudget.to_string()));
                return denials;
            }
            Err(Failure::Failed(why)) => denials.push(failed(why)),
        }
    }
    denials
}

/// What whoever asked is told of a rule that does not hold: what its expression makes, if that can be told.
fn told(rule: &Validation, rules: &Rules<Validation>, inputs: Inputs<'_>, budget: i64) -> String {
    let mut evaluation = Evaluation::new(&rules.variables, inputs, budget);
    let made = rule.message_expression.as_ref().and_then(|expression| evaluation.run(expression).ok());
    match made {
        Some(Answer::String(text)) => {
            let text = text.trim();
            let is_tellable = !text.is_empty() && text.len() <= MESSAGE_BYTES_MAX && !text.contains('\n');
            if is_tellable { text.to_owned() } else { rule.message.clone() }
        }
        _ => rule.message.clone(),
    }
}

fn refusal(attributes: &Attributes<'_>, denial: Denial) -> Status {
    let (reason, code) = match denial.reason.as_str() {
        "" | "Invalid" => ("Invalid", 422),
        "Forbidden" => ("Forbidden", 403),
        "Unauthorized" => ("Unauthorized", 401),
        "RequestEntityTooLarge" => ("RequestEntityTooLarge", 413),
        other => (other, 422),
    };
    let resource = attributes.resource;
    Status::denied_by_policy(&resource.group, &resource.plural, attributes.name, denial.message, (reason, code))
}
