//! Questions about who somebody is and what they may do, and bindings: kinds that are created, answered and not kept.

use api::access::{Rule, Wish};
use api::meta;
use api::scheme::Scheme;
use api::status::Status;
use api::validation::field::{Error, ErrorList};
use axum::http::StatusCode;
use base::clock;
use bytes::Bytes;
use serde_json::{Value, json};

use super::{Call, decode, subresources};
use crate::admission::extend;
use crate::authentication::User;
use crate::authorization::{self, Decision, Facts as _};
use crate::field_manager;
use crate::options::{Query, WriteOptions};
use crate::request_info::{ResourceRequest, Verb};
use crate::respond::Answer;

/// Answers the question in the body, or binds the pod that it names.
pub(super) async fn serve(call: &Call, body: Bytes) -> Result<Answer, Status> {
    let options = WriteOptions::read(&call.query, "CreateOptions")?;
    let mut review = decode::object(call, &decode::Expected::of(&call.resource), &body, options.field_validation)?;
    extend::admit(call, &extend::Change::of_request("", options.keep), &mut review).await?;
    match &*call.resource.kind {
        "SelfSubjectReview" => {
            meta::set_at(&mut review, "/metadata/creationTimestamp", meta::time(clock::now()).into());
            meta::set_at(&mut review, "/status/userInfo", call.user.to_value());
        }
        "Binding" => {
            let pods = Scheme::builtin().resource("", "v1", "pods");
            let pods = pods.ok_or_else(|| Status::internal("the table has no pods"))?;
            return subresources::binding::bound(call, pods, &review, &options).await;
        }
        "TokenReview" => token(call, &mut review)?,
        "SelfSubjectRulesReview" => rules(call, &mut review),
        _ => access(call, &mut review)?,
    }
    Ok(Answer::Object { value: review, code: StatusCode::CREATED })
}

/// Whose token it is.
fn token(call: &Call, review: &mut Value) -> Result<(), Status> {
    let token = review.pointer("/spec/token").and_then(Value::as_str).unwrap_or_default();
    if token.is_empty() {
        return Err(Status::bad_request("token is required for TokenReview in authentication"));
    }
    let said = review.pointer("/spec/audiences").and_then(Value::as_array).into_iter().flatten();
    let asked: Vec<&str> = said.filter_map(Value::as_str).collect();
    let status = match call.server.token_user(token, &asked) {
        Some((user, audiences)) => {
            json!({"authenticated": true, "user": user.to_value(), "audiences": audiences})
        }
        None => json!({"user": {}, "error": "[invalid bearer token]"}),
    };
    meta::set_at(review, "/status", status);
    Ok(())
}

/// Whether somebody may do something.
fn access(call: &Call, review: &mut Value) -> Result<(), Status> {
    let is_own = call.resource.kind == "SelfSubjectAccessReview";
    let errors = check(call, review, is_own);
    if !errors.is_empty() {
        return Err(Status::invalid(&call.resource.group, &call.resource.kind, meta::name(review), errors));
    }
    let spec = review.get("spec").cloned().unwrap_or_default();
    let user = if is_own { call.user.clone() } else { asked_user(&spec) };
    let decision = decide(call, &user, &spec);
    field_manager::of_created(call, review).put(review);
    let mut status = json!({"allowed": decision.is_allowed});
    if !decision.reason.is_empty() {
        meta::set_at(&mut status, "/reason", decision.reason.into());
    }
    meta::set_at(review, "/status", status);
    Ok(())
}

/// What is wrong with the question, as `pkg/apis/authorization/validation`.
fn check(call: &Call, review: &Value, is_own: bool) -> ErrorList {
    let mut errors = ErrorList::new();
    let spec = review.get("spec").cloned().unwrap_or_default();
    let has = |field: &str| spec.get(field).is_some_and(|value| !value.is_null());
    match (has("resourceAttributes"), has("nonResourceAttributes")) {
        (true, true) => {
            let detail = "cannot be specified in combination with resourceAttributes";
            errors.push(Error::invalid(
                "spec.nonResourceAttributes",
                part(&spec, "nonResourceAttributes").clone(),
                detail,
            ));
        }
        (false, false) => {
            let detail = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
            errors.push(Error::invalid("spec.resourceAttributes", Value::Null, detail));
        }
        _ => {}
    }
    let names_nobody = text(&spec, "user").is_empty() && part(&spec, "groups").as_array().is_none_or(Vec::is_empty);
    if !is_own && names_nobody {
        errors.push(Error::invalid(
            "spec.user",
            text(&spec, "user"),
            "at least one of user or group must be specified",
        ));
    }
    if call.resource.kind == "LocalSubjectAccessReview" {
        let (asked, own) = (text(part(&spec, "resourceAttributes"), "namespace"), call.namespace().unwrap_or_default());
        if has("resourceAttributes") && asked != own {
            errors.push(Error::invalid("spec.resourceAttributes.namespace", asked, "must match metadata.namespace"));
        }
        if has("nonResourceAttributes") {
            let detail = "disallowed on this kind of request";
            errors.push(Error::invalid(
                "spec.nonResourceAttributes",
                part(&spec, "nonResourceAttributes").clone(),
                detail,
            ));
        }
    }
    errors
}

/// Who the question is about.
fn asked_user(spec: &Value) -> User {
    let groups = part(spec, "groups").as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
    User {
        name: text(spec, "user").to_owned(),
        uid: text(spec, "uid").to_owned(),
        groups: groups.collect(),
        extra: spec.get("extra").cloned().and_then(|extra| serde_json::from_value(extra).ok()).unwrap_or_default(),
    }
}

fn decide(call: &Call, user: &User, spec: &Value) -> Decision {
    let path = part(spec, "nonResourceAttributes");
    if path.is_object() {
        return authorization::decide_path(&call.server, user, text(path, "path"), text(path, "verb"));
    }
    let asked = part(spec, "resourceAttributes");
    let some = |field: &str| Some(text(asked, field)).filter(|text| !text.is_empty()).map(str::to_owned);
    let verb = text(asked, "verb");
    let Some(known) = Verb::parse(verb) else {
        let wish = Wish {
            verb,
            group: text(asked, "group"),
            resource: text(asked, "resource"),
            subresource: text(asked, "subresource"),
            name: text(asked, "name"),
        };
        return authorization::decide_wish(&call.server, user, some("namespace").as_deref(), &wish);
    };
    let request = ResourceRequest {
        verb: known,
        group: text(asked, "group").to_owned(),
        version: text(asked, "version").to_owned(),
        namespace: some("namespace"),
        resource: text(asked, "resource").to_owned(),
        name: some("name"),
        subresource: some("subresource"),
        rest: Vec::new(),
        is_watch_prefixed: false,
    };
    authorization::decide(
        user,
        &request,
        &Query::of_field_selector(text(part(asked, "fieldSelector"), "rawSelector")),
        &call.server,
    )
}

/// Everything that the caller may do in a namespace.
fn rules(call: &Call, review: &mut Value) {
    let policy = call.server.policy();
    let namespace = review.pointer("/spec/namespace").and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut broken = Vec::new();
    let grants = policy.grants(&call.user, Some(&namespace), &mut broken);
    let (paths, resources): (Vec<&Rule>, Vec<&Rule>) =
        grants.iter().map(|grant| grant.rule).partition(|rule| !rule.non_resource_urls.is_empty());
    meta::set_at(review, "/spec", json!({}));
    let status = json!({"resourceRules": resources, "nonResourceRules": paths, "incomplete": !broken.is_empty()});
    meta::set_at(review, "/status", status);
    if !broken.is_empty() {
        meta::set_at(review, "/status/evaluationError", broken.join(", ").into());
    }
}

fn part<'v>(object: &'v Value, field: &str) -> &'v Value {
    object.get(field).unwrap_or(&Value::Null)
}

fn text<'v>(object: &'v Value, field: &str) -> &'v str {
    object.get(field).and_then(Value::as_str).unwrap_or_default()
}
