//! `serviceaccounts/token`: a token of the account, bound to what the request names.

use api::meta;
use api::scheme::Scheme;
use api::status::Status;
use api::validation::field::{Error, ErrorList};
use base::clock;
use bytes::Bytes;
use http::StatusCode;
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::super::{Call, decode};
use crate::admission::{self, extend};
use crate::authentication::service_account::{self, Bound, Claims, ISSUER, Reference};
use crate::options::WriteOptions;
use crate::respond::Answer;

/// How long a token is good for when the request does not say, and the least and the most that it may ask for, in
/// seconds, as upstream.
const SECONDS_DEFAULT: i64 = 3600;
const SECONDS_MIN: i64 = 600;
const SECONDS_MAX: i64 = 1 << 32;

/// Makes a token of the account that the path names.
pub(super) async fn serve(call: &Call, body: Bytes) -> Result<Answer, Status> {
    let options = WriteOptions::read(&call.query, "CreateOptions")?;
    let expected = decode::Expected::builtin("authentication.k8s.io", "v1", "TokenRequest")?;
    let mut request = decode::object(call, &expected, &body, options.field_validation)?;
    let (namespace, name) = (call.namespace().unwrap_or_default(), call.name()?);
    let account = call.objects().find(&call.resource, Some(namespace), name)?.to_value();
    let account = account.map_err(crate::objects::unreadable)?;
    check_names(&request, namespace, name)?;
    admission::admit_token(call, &request)?;
    meta::set_name(&mut request, name);
    meta::set_namespace(&mut request, namespace);
    meta::set_at(&mut request, "/metadata/creationTimestamp", meta::time(clock::now()).into());
    extend::admit(call, &extend::Change::of_request("token", options.keep), &mut request).await?;

    let seconds = request.pointer("/spec/expirationSeconds").and_then(Value::as_i64).unwrap_or(SECONDS_DEFAULT);
    let errors = check_seconds(seconds);
    if !errors.is_empty() {
        return Err(Status::invalid("authentication.k8s.io", "TokenRequest", name, errors));
    }
    meta::set_at(&mut request, "/spec/expirationSeconds", seconds.into());
    let audiences: Vec<String> = match request.pointer("/spec/audiences").and_then(Value::as_array) {
        Some(said) if !said.is_empty() => said.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => vec![ISSUER.to_owned()],
    };
    meta::set_at(&mut request, "/spec/audiences", json!(audiences));

    let now = clock::now();
    let bound = bound(call, &request, &account)?;
    let expires = now + SignedDuration::from_secs(seconds);
    let claims = Claims {
        aud: audiences,
        exp: expires.as_second(),
        iat: now.as_second(),
        iss: ISSUER.to_owned(),
        jti: uuid::Uuid::new_v4().to_string(),
        bound,
        nbf: now.as_second(),
        sub: service_account::user_name(namespace, name),
    };
    let token = call.server.tokens().sign(&claims).map_err(|error| Status::internal(error.to_string()))?;
    let status = json!({"token": token, "expirationTimestamp": meta::time(expires)});
    meta::set_at(&mut request, "/status", status);
    Ok(Answer::Object { value: request, code: StatusCode::CREATED })
}

/// The request is for the account of the path.
fn check_names(request: &Value, namespace: &str, name: &str) -> Result<(), Status> {
    let said = meta::name(request);
    if !said.is_empty() && said != name {
        let text = format!("the name in the request body ({said}) does not match the name on the request ({name})");
        return Err(Status::bad_request(text));
    }
    match meta::namespace(request).filter(|said| !said.is_empty() && *said != namespace) {
        Some(_) => {
            let text = "the namespace of the provided object does not match the namespace sent on the request";
            Err(Status::bad_request(text))
        }
        None => Ok(()),
    }
}

fn check_seconds(seconds: i64) -> ErrorList {
    let path = "spec.expirationSeconds";
    if seconds < SECONDS_MIN {
        return vec![Error::invalid(path, seconds, "may not specify a duration less than 10 minutes")];
    }
    if seconds > SECONDS_MAX {
        return vec![Error::invalid(path, seconds, "may not specify a duration larger than 2^32 seconds")];
    }
    ErrorList::new()
}

/// What the token is bound to: the account, and the pod (with its node), Secret or node that the request names.
fn bound(call: &Call, request: &Value, account: &Value) -> Result<Bound, Status> {
    let namespace = call.namespace().unwrap_or_default();
    let mut bound = Bound { namespace: namespace.to_owned(), serviceaccount: reference(account), ..Bound::default() };
    let Some(wanted) = request.pointer("/spec/boundObjectRef").filter(|wanted| !wanted.is_null()) else {
        return Ok(bound);
    };
    let said = |field: &str| wanted.get(field).and_then(Value::as_str).unwrap_or_default();
    let find = |plural: &str, namespace: Option<&str>, name: &str| -> Result<Value, Status> {
        let resource = Scheme::builtin().resource("", "v1", plural);
        let resource = resource.ok_or_else(|| Status::internal("a kind is not served"))?;
        call.objects().find(resource, namespace, name)?.to_value().map_err(crate::objects::unreadable)
    };
    let object = match (said("apiVersion"), said("kind")) {
        ("v1", "Pod") => {
            let pod = find("pods", Some(namespace), said("name"))?;
            let own = pod.pointer("/spec/serviceAccountName").and_then(Value::as_str).unwrap_or_default();
            if own != bound.serviceaccount.name {
                let text = format!(
                    "cannot bind token for serviceaccount \"{}\" to pod running with different serviceaccount name.",
                    bound.serviceaccount.name
                );
                return Err(Status::bad_request(text));
            }
            bound.pod = Some(reference(&pod));
            let node = pod.pointer("/spec/nodeName").and_then(Value::as_str).filter(|node| !node.is_empty());
            bound.node = node.map(|node| {
                find("nodes", None, node)
                    .as_ref()
                    .map_or_else(|_| Reference { name: node.to_owned(), uid: String::new() }, reference)
            });
            pod
        }
        ("v1", "Secret") => {
            let secret = find("secrets", Some(namespace), said("name"))?;
            bound.secret = Some(reference(&secret));
            secret
        }
        ("v1", "Node") => {
            let node = find("nodes", None, said("name"))?;
            bound.node = Some(reference(&node));
            node
        }
        (version, kind) => {
            return Err(Status::bad_request(format!("cannot bind token to object of type {version}, Kind={kind}")));
        }
    };
    let (asked, found) = (said("uid"), meta::uid(&object).unwrap_or_default());
    if !asked.is_empty() && asked != found {
        let text = format!(
            "the UID in the bound object reference ({asked}) does not match the UID in record. The object might have been deleted and then recreated"
        );
        let plural = format!("{}s", said("kind").to_lowercase());
        return Err(Status::conflict("", &plural, said("name"), &text));
    }
    Ok(bound)
}

fn reference(object: &Value) -> Reference {
    Reference { name: meta::name(object).to_owned(), uid: meta::uid(object).unwrap_or_default().to_owned() }
}
