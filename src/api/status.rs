//! `Status`: how the API says that something went wrong, or well, with upstream's texts.
//!
//! A constructor an error of upstream's `apierrors`; whoever raises one says only what it is about.

mod details;

use std::borrow::Cow;
use std::fmt;

use serde_json::{Map, Value, json};

use crate::managed::{ApplyError, Conflict};
use crate::validation::field::{self, ErrorList};
use details::insert_text;

pub use details::{Cause, Details};

/// The answer to a request that has no object to show. A success has a code below 400.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// The HTTP status code.
    pub code: u16,
    /// A word for machines; empty where upstream gives none.
    pub reason: Cow<'static, str>,
    /// A sentence for people.
    pub message: String,
    /// What it is about; `None` where upstream leaves it out.
    pub details: Option<Box<Details>>,
    /// A token with which an expired list can go on, see [`Status::expired_continue`].
    pub continue_token: Option<String>,
}

/// What an expired `continue` token is answered with, as upstream.
const CONTINUE_EXPIRED: &str = "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.";

impl Status {
    /// 404 for an object.
    #[must_use]
    pub fn not_found(group: &str, plural: &str, name: &str) -> Self {
        let message = format!("{} {} not found", qualified(plural, group), field::quote(name));
        Self::about(404, "NotFound", message, Details::of(group, plural, name))
    }

    /// 404 for a resource, version or group that is not served.
    #[must_use]
    pub fn no_such_resource() -> Self {
        Self::about(404, "NotFound", "the server could not find the requested resource", Details::default())
    }

    /// 409 for a name in use.
    #[must_use]
    pub fn already_exists(group: &str, plural: &str, name: &str) -> Self {
        let message = format!("{} {} already exists", qualified(plural, group), field::quote(name));
        Self::about(409, "AlreadyExists", message, Details::of(group, plural, name))
    }

    /// 409 when each generated name was in use.
    #[must_use]
    pub fn generated_name_exists(group: &str, plural: &str, name: &str) -> Self {
        let about = format!("{} {}", qualified(plural, group), field::quote(name));
        let message =
            format!("{about} already exists, the server was not able to generate a unique name for the object");
        let details = Details { retry_after_seconds: 1, ..Details::of(group, plural, name) };
        Self::about(409, "AlreadyExists", message, details)
    }

    /// 409 for a write that came too late, or that the object's state does not allow.
    #[must_use]
    pub fn conflict(group: &str, plural: &str, name: &str, why: &str) -> Self {
        let about = format!("{} {}", qualified(plural, group), field::quote(name));
        let message = format!("Operation cannot be fulfilled on {about}: {why}");
        Self::about(409, "Conflict", message, Details::of(group, plural, name))
    }

    /// 409 for an update of an object that has changed since it was read.
    #[must_use]
    pub fn modified(group: &str, plural: &str, name: &str) -> Self {
        let why = "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(group, plural, name, why)
    }

    /// 409 for fields that other managers own.
    #[must_use]
    pub fn apply_conflict(conflicts: Vec<Conflict>) -> Self {
        let cause = |conflict: &Conflict| Cause {
            reason: "FieldManagerConflict".to_owned(),
            message: format!("conflict with {}", conflict.manager),
            field: conflict.field.clone(),
        };
        let causes = conflicts.iter().map(cause).collect();
        let message = ApplyError::Conflicts(conflicts).to_string();
        Self::about(409, "Conflict", message, Details { causes, ..Details::default() })
    }

    /// 422 with all that is wrong with an object of this kind.
    #[must_use]
    pub fn invalid(group: &str, kind: &str, name: &str, errors: ErrorList) -> Self {
        let mut messages: Vec<String> = Vec::new();
        for error in &errors {
            let message = error.to_string();
            if !messages.contains(&message) {
                messages.push(message);
            }
        }
        let list = match messages.as_slice() {
            [] => String::new(),
            [one] => format!(": {one}"),
            many => format!(": [{}]", many.join(", ")),
        };
        let message = format!("{} {} is invalid{list}", qualified(kind, group), field::quote(name));
        let causes = errors
            .into_iter()
            .map(|error| Cause { reason: error.kind.reason().to_owned(), message: error.body(), field: error.path })
            .collect();
        Self::about(422, "Invalid", message, Details { causes, ..Details::of(group, kind, name) })
    }

    /// 422 for a patch that does not fit the object, as upstream answers a failed JSON patch.
    #[must_use]
    pub fn unfit_patch() -> Self {
        let message = "the server rejected our request due to an error in our request";
        Self::about(422, "Invalid", message, Details::default())
    }

    /// 400 with a reason in words.
    #[must_use]
    pub fn bad_request(why: impl Into<String>) -> Self {
        Self::plain(400, "BadRequest", why)
    }

    /// 401: nobody knows the caller.
    #[must_use]
    pub fn unauthorized() -> Self {
        Self::plain(401, "Unauthorized", "Unauthorized")
    }

    /// 403 about a resource; `plural` is empty for a path, `name` for a collection.
    #[must_use]
    pub fn forbidden(group: &str, plural: &str, name: &str, why: &str) -> Self {
        let message = match (plural, name) {
            ("", _) => format!("forbidden: {why}"),
            (_, "") => format!("{} is forbidden: {why}", qualified(plural, group)),
            _ => format!("{} {} is forbidden: {why}", qualified(plural, group), field::quote(name)),
        };
        Self::about(403, "Forbidden", message, Details::of(group, plural, name))
    }

    /// 403 for a new object in a namespace that is being deleted.
    #[must_use]
    pub fn namespace_terminating(group: &str, plural: &str, name: &str, namespace: &str) -> Self {
        let why = format!("unable to create new content in namespace {namespace} because it is being terminated");
        Self::forbidden(group, plural, name, &why).with_cause(Cause {
            reason: "NamespaceTerminating".to_owned(),
            message: format!("namespace {namespace} is being terminated"),
            field: "metadata.namespace".to_owned(),
        })
    }

    /// 405.
    #[must_use]
    pub fn method_not_supported() -> Self {
        let message = "the server does not allow this method on the requested resource";
        Self::about(405, "MethodNotAllowed", message, Details::default())
    }

    /// 406 for a media type that nobody writes; `available` lists those that can be written.
    #[must_use]
    pub fn not_acceptable(available: &str) -> Self {
        let message = format!("406: Not Acceptable\n\nAvailable representations: {available}");
        Self::about(406, "NotAcceptable", message, Details::default())
    }

    /// 406 for a media type that is known, with parameters that are not served; `accepted` lists those that are.
    #[must_use]
    pub fn not_acceptable_form(accepted: &str) -> Self {
        Self::plain(406, "NotAcceptable", format!("only the following media types are accepted: {accepted}"))
    }

    /// 406 for the metadata of a list where there is one object, or the other way round; `kind` is the object's.
    #[must_use]
    pub fn not_acceptable_number(wants_list: bool, kind: &str) -> Self {
        let message = if wants_list {
            format!("you requested PartialObjectMetadataList, but the requested object is not a list (*{kind})")
        } else {
            format!("you requested PartialObjectMetadata, but the requested object is a list (*{kind}List)")
        };
        Self::plain(406, "NotAcceptable", message)
    }

    /// 410: the revision asked for is forgotten.
    #[must_use]
    pub fn expired(why: impl Into<String>) -> Self {
        Self::plain(410, "Expired", why)
    }

    /// 410 for a `continue` token whose revision is forgotten; `token` goes on with the list as it is now.
    #[must_use]
    pub fn expired_continue(token: &str) -> Self {
        Self { continue_token: Some(token.to_owned()), ..Self::expired(CONTINUE_EXPIRED) }
    }

    /// 413 for a body; the limit is in bytes.
    #[must_use]
    pub fn request_entity_too_large(limit_bytes: usize) -> Self {
        Self::entity_too_large(format!("limit is {limit_bytes}"))
    }

    /// 413 with a reason in words.
    #[must_use]
    pub fn entity_too_large(why: impl Into<String>) -> Self {
        Self::plain(413, "RequestEntityTooLarge", format!("Request entity too large: {}", why.into()))
    }

    /// 415 for a body of a type that is not read; `accepted` lists those that are.
    #[must_use]
    pub fn unsupported_body(accepted: &str) -> Self {
        let message =
            format!("the body of the request was in an unknown format - accepted media types include: {accepted}");
        Self::plain(415, "UnsupportedMediaType", message)
    }

    /// 415 for a PATCH whose type is no patch at all.
    #[must_use]
    pub fn unsupported_patch() -> Self {
        Self::about(415, "UnsupportedMediaType", "415: Unsupported Media Type", Details::default())
    }

    /// What a webhook said no with.
    #[must_use]
    pub fn denied(code: u16, reason: &str, message: impl Into<String>) -> Self {
        Self { reason: Cow::Owned(reason.to_owned()), ..Self::plain(code, "", message) }
    }

    /// 403 for a request that a policy denies, under the reason and code that it chose; `message` is its sentence.
    #[must_use]
    pub fn denied_by_policy(
        group: &str,
        plural: &str,
        name: &str,
        message: String,
        (reason, code): (&str, u16),
    ) -> Self {
        let mut status = Self::forbidden(group, plural, name, &message);
        (status.code, status.reason) = (code, Cow::Owned(reason.to_owned()));
        if let Some(details) = &mut status.details {
            details.causes.push(Cause { reason: String::new(), message, field: String::new() });
        }
        status
    }

    /// Takes over what somebody else said a refusal is about.
    pub fn set_details(&mut self, said: &Value) {
        self.details = Some(Box::new(Details::from_value(said)));
    }

    /// 415 for a strategic patch of a custom object, whose type has no strategies.
    #[must_use]
    pub fn unsupported_custom_patch() -> Self {
        let message = "the body of the request was in an unknown format - accepted media types include: \
                       application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml";
        Self::plain(415, "UnsupportedMediaType", message)
    }

    /// 405 for a new custom object while its definition is going.
    #[must_use]
    pub fn creation_not_allowed() -> Self {
        let message = "create not allowed while custom resource definition is terminating";
        Self::about(405, "MethodNotAllowed", message, Details::default())
    }

    /// 429 with upstream's `message`.
    #[must_use]
    pub fn too_many_requests(message: impl Into<String>, retry_after_seconds: u32) -> Self {
        let details = Details { retry_after_seconds, ..Details::default() };
        Self::about(429, "TooManyRequests", message, details)
    }

    /// 500 for what is our fault. The message reaches the client: no secrets, no paths of the machine.
    #[must_use]
    pub fn internal(why: impl Into<String>) -> Self {
        let why = why.into();
        let message = format!("Internal error occurred: {why}");
        let cause = Cause { reason: String::new(), message: why, field: String::new() };
        Self::about(500, "InternalError", message, Details { causes: vec![cause], ..Details::default() })
    }

    /// 500 without a reason, as upstream answers where it forgot to make its error a Status.
    #[must_use]
    pub fn internal_plain(message: impl Into<String>) -> Self {
        Self::plain(500, "", message)
    }

    /// 503.
    #[must_use]
    pub fn service_unavailable(why: impl Into<String>) -> Self {
        Self::plain(503, "ServiceUnavailable", why)
    }

    /// 507, for a write that the server's disk has no room for; upstream has no reason for it.
    #[must_use]
    pub fn insufficient_storage(why: impl Into<String>) -> Self {
        Self::plain(507, "InsufficientStorage", why)
    }

    /// 504.
    #[must_use]
    pub fn timeout(why: &str, retry_after_seconds: u32) -> Self {
        let details = Details { retry_after_seconds, ..Details::default() };
        Self::about(504, "Timeout", format!("Timeout: {why}"), details)
    }

    /// 504 for a revision that is not there yet.
    #[must_use]
    pub fn too_large_resource_version(asked: u64, current: u64) -> Self {
        let why = format!("Too large resource version: {asked}, current: {current}");
        Self::timeout(&why, 1).with_cause(Cause {
            reason: "ResourceVersionTooLarge".to_owned(),
            message: "Too large resource version".to_owned(),
            field: String::new(),
        })
    }

    /// 200: the object is gone.
    #[must_use]
    pub fn deleted(group: &str, plural: &str, name: &str, uid: &str) -> Self {
        Self::about(200, "", "", Details { uid: uid.to_owned(), ..Details::of(group, plural, name) })
    }

    /// 201: a binding or an eviction has happened.
    #[must_use]
    pub fn created() -> Self {
        Self::plain(201, "", "")
    }

    /// Whether an object or resource is not there.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.reason == "NotFound"
    }

    /// Whether a name is in use.
    #[must_use]
    pub fn is_already_exists(&self) -> bool {
        self.reason == "AlreadyExists"
    }

    /// Whether a write came too late.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        self.reason == "Conflict"
    }

    /// When to try again, if the answer says so.
    #[must_use]
    pub fn retry_after_seconds(&self) -> Option<u32> {
        self.details.as_ref().map(|details| details.retry_after_seconds).filter(|seconds| *seconds > 0)
    }

    /// The same with one cause more.
    #[must_use]
    pub fn with_cause(mut self, cause: Cause) -> Self {
        self.details.get_or_insert_default().causes.push(cause);
        self
    }

    /// The object that goes over the wire.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let mut value = Map::new();
        value.insert("kind".into(), "Status".into());
        value.insert("apiVersion".into(), "v1".into());
        let metadata = self.continue_token.as_ref().map_or_else(|| json!({}), |token| json!({"continue": token}));
        value.insert("metadata".into(), metadata);
        let is_success = self.code < 400;
        value.insert("status".into(), if is_success { "Success" } else { "Failure" }.into());
        insert_text(&mut value, "message", &self.message);
        insert_text(&mut value, "reason", &self.reason);
        if let Some(details) = &self.details {
            value.insert("details".into(), details.to_value());
        }
        // Upstream leaves the code out where everything is as usual.
        if self.code != 200 {
            value.insert("code".into(), self.code.into());
        }
        Value::Object(value)
    }

    fn plain(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason: Cow::Borrowed(reason), message: message.into(), details: None, continue_token: None }
    }

    fn about(code: u16, reason: &'static str, message: impl Into<String>, details: Details) -> Self {
        Self { details: Some(Box::new(details)), ..Self::plain(code, reason, message) }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Status {}

/// `deployments.apps`, or the word alone in the core group.
fn qualified(word: &str, group: &str) -> String {
    if group.is_empty() { word.to_owned() } else { format!("{word}.{group}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers of a recorded kube-apiserver 1.36.2, without what all of them share.
    fn check(status: &Status, mut expected: Value) {
        let shared = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"});
        for (key, value) in shared.as_object().unwrap() {
            expected[key] = value.clone();
        }
        assert_eq!(status.to_value(), expected);
    }

    #[test]
    fn errors_about_objects_are_those_that_upstream_was_recorded_with() {
        check(
            &Status::already_exists("coordination.k8s.io", "leases", "l"),
            json!({"message": "leases.coordination.k8s.io \"l\" already exists", "reason": "AlreadyExists",
                "details": {"name": "l", "group": "coordination.k8s.io", "kind": "leases"}, "code": 409}),
        );
        check(
            &Status::not_found("", "pods", "none"),
            json!({"message": "pods \"none\" not found", "reason": "NotFound",
                "details": {"name": "none", "kind": "pods"}, "code": 404}),
        );
        check(
            &Status::modified("", "configmaps", "a"),
            json!({"message": "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please apply your changes to the latest version and try again",
                "reason": "Conflict", "details": {"name": "a", "kind": "configmaps"}, "code": 409}),
        );
        check(
            &Status::namespace_terminating("", "configmaps", "late", "rec"),
            json!({"message": "configmaps \"late\" is forbidden: unable to create new content in namespace rec because it is being terminated",
                "reason": "Forbidden", "code": 403, "details": {"name": "late", "kind": "configmaps", "causes": [
                    {"reason": "NamespaceTerminating", "message": "namespace rec is being terminated", "field": "metadata.namespace"}]}}),
        );
    }

    #[test]
    fn an_invalid_object_tells_each_error_once_and_each_cause() {
        let twice = field::Error::required("spec.x", "");
        let status =
            Status::invalid("batch", "Job", "j", vec![twice.clone(), field::Error::forbidden("a", "b"), twice]);
        assert_eq!(status.message, "Job.batch \"j\" is invalid: [spec.x: Required value, a: Forbidden: b]");
        assert_eq!(status.details.unwrap().causes.len(), 3);
        assert_eq!(Status::invalid("", "", "", vec![]).message, " \"\" is invalid");
    }

    #[test]
    fn successes_are_those_that_upstream_was_recorded_with() {
        let deleted = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
            "details": {"name": "l0", "kind": "configmaps", "uid": "u"}});
        assert_eq!(Status::deleted("", "configmaps", "l0", "u").to_value(), deleted);
        let created = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
        assert_eq!(Status::created().to_value(), created);
    }

    #[test]
    fn errors_about_requests_are_those_that_upstream_was_recorded_with() {
        check(
            &Status::forbidden("", "", "", "User \"system:anonymous\" cannot get path \"/api\""),
            json!({"message": "forbidden: User \"system:anonymous\" cannot get path \"/api\"",
                "reason": "Forbidden", "details": {}, "code": 403}),
        );
        check(
            &Status::too_large_resource_version(99_999_999, 322),
            json!({"message": "Timeout: Too large resource version: 99999999, current: 322", "reason": "Timeout",
                "details": {"causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
                    "retryAfterSeconds": 1}, "code": 504}),
        );
        check(
            &Status::internal_plain("resourceVersion should not be set on objects to be created"),
            json!({"message": "resourceVersion should not be set on objects to be created", "code": 500}),
        );
        check(
            &Status::unsupported_patch(),
            json!({"message": "415: Unsupported Media Type", "reason": "UnsupportedMediaType", "details": {}, "code": 415}),
        );
        check(
            &Status::no_such_resource(),
            json!({"message": "the server could not find the requested resource", "reason": "NotFound", "details": {}, "code": 404}),
        );
    }
}
