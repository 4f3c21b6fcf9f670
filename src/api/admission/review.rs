//! `AdmissionReview`: what a webhook is asked, and what its answer says.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::Attributes;
use crate::scheme::Resource;
use crate::status::Status;
use crate::value::{flag, has, part, text, texts};

/// What a webhook says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// What it changes of the object: the operations of a JSON patch.
    pub patch: Option<Value>,
    /// What whoever asked shall know.
    pub warnings: Vec<String>,
}

/// Why a webhook's answer lets nothing through.
#[derive(Clone, Debug, PartialEq)]
pub enum Refusal {
    /// It says no, as the client is told, with warnings.
    Denied(Status, Vec<String>),
    /// It is no answer; what is wrong with it.
    Unusable(String),
}

/// The question about a request, in the version that a webhook understands; `uid` ties the answer to it.
///
/// `object` and `old` are in the form of `matched`, which is the request's own or another form of it.
#[must_use]
pub fn question(
    attributes: &Attributes<'_>,
    matched: &Resource,
    (object, old): (Option<&Value>, Option<&Value>),
    version: &str,
    uid: &str,
) -> Value {
    let kind = match attributes.subresource {
        // What another kind's body says is of that kind in all forms.
        "" | "status" => matched.group_version_kind(),
        _ => attributes.kind.clone(),
    };
    let triple = |kind: &crate::scheme::GroupVersionKind| json!({"group": kind.group, "version": kind.version, "kind": kind.kind});
    let resource = |row: &Resource| json!({"group": row.group, "version": row.version, "resource": row.plural});
    let mut request = Map::new();
    let mut put = |name: &str, value: Value| request.insert(name.to_owned(), value);
    put("uid", uid.into());
    put("kind", triple(&kind));
    put("resource", resource(matched));
    put("requestKind", triple(&attributes.kind));
    put("requestResource", resource(attributes.resource));
    if !attributes.subresource.is_empty() {
        put("subResource", attributes.subresource.into());
        put("requestSubResource", attributes.subresource.into());
    }
    if !attributes.name.is_empty() {
        put("name", attributes.name.into());
    }
    if !attributes.namespace.is_empty() {
        put("namespace", attributes.namespace.into());
    }
    put("operation", attributes.operation.as_str().into());
    put("userInfo", attributes.user.clone());
    put("object", object.cloned().unwrap_or_default());
    put("oldObject", old.cloned().unwrap_or_default());
    put("dryRun", attributes.is_dry_run.into());
    put("options", attributes.options.clone());
    json!({"kind": "AdmissionReview", "apiVersion": format!("admission.k8s.io/{version}"), "request": request})
}

/// What the webhook `name` answered to the question `uid`, asked in `version`.
///
/// # Errors
/// When it denies the request, or the answer is none.
pub fn answer(name: &str, version: &str, uid: &str, may_patch: bool, answer: &Value) -> Result<Answer, Refusal> {
    let unusable = |text: String| Err(Refusal::Unusable(text));
    let response = part(answer, "response");
    if !response.is_object() {
        return unusable("webhook response was absent".to_owned());
    }
    if version == "v1" {
        let found = (text(answer, "apiVersion"), text(answer, "kind"));
        if found != ("admission.k8s.io/v1", "AdmissionReview") {
            let (group_version, kind) = found;
            return unusable(format!(
                "expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got {group_version}, Kind={kind}"
            ));
        }
        if text(response, "uid") != uid {
            return unusable(format!("expected response.uid={uid:?}, got {:?}", text(response, "uid")));
        }
    }
    let warnings: Vec<String> = texts(response, "warnings").map(str::to_owned).collect();
    if !flag(response, "allowed") {
        return Err(Refusal::Denied(denial(name, part(response, "status")), warnings));
    }
    match patch(version, may_patch, response) {
        Ok(patch) => Ok(Answer { patch, warnings }),
        Err(text) => unusable(text),
    }
}

fn patch(version: &str, may_patch: bool, response: &Value) -> Result<Option<Value>, String> {
    let (kind, encoded) = (text(response, "patchType"), text(response, "patch"));
    if encoded.is_empty() && kind.is_empty() {
        return Ok(None);
    }
    if !may_patch {
        return Err("webhook response includes a patch, which only mutating webhooks may give".to_owned());
    }
    match (encoded.is_empty(), kind) {
        (false, "") if version == "v1" => {
            return Err("webhook returned response.patch but not response.patchType".to_owned());
        }
        (true, _) => return Err("webhook returned response.patchType but not response.patch".to_owned()),
        (false, "" | "JSONPatch") => {}
        (false, other) => return Err(format!("webhook returned invalid response.patchType of {other:?}")),
    }
    let bytes = STANDARD.decode(encoded).map_err(|error| format!("response.patch is no base64: {error}"))?;
    let patch = serde_json::from_slice(&bytes).map_err(|error| format!("response.patch is no JSON: {error}"))?;
    Ok(Some(patch))
}

/// What a client is told of a denial: never a success, whatever the webhook says.
fn denial(name: &str, status: &Value) -> Status {
    let denied = format!("admission webhook {name:?} denied the request");
    let (message, reason) = (text(status, "message"), text(status, "reason"));
    let message = match (message, reason) {
        ("", "") => format!("{denied} without explanation"),
        ("", reason) => format!("{denied}: {reason}"),
        (message, _) => format!("{denied}: {message}"),
    };
    let code = part(status, "code").as_u64().and_then(|code| u16::try_from(code).ok()).unwrap_or(0);
    let mut told = Status::denied(code.max(400), reason, message);
    if has(status, "details") {
        told.set_details(part(status, "details"));
    }
    told
}

/// The refusal of a dry run by a webhook that has side effects.
#[must_use]
pub fn dry_run_unsupported(name: &str) -> Status {
    Status::bad_request(format!("admission webhook {name:?} does not support dry run"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(response: Value) -> Value {
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response})
    }

    #[test]
    fn a_denial_is_told_with_its_webhook() {
        let check = |status: Value, code: u16, expected: &str| {
            let review = allowed(json!({"uid": "u", "allowed": false, "status": status}));
            let Err(Refusal::Denied(told, _)) = answer("a.example.com", "v1", "u", false, &review) else { panic!() };
            assert_eq!((told.code, &*told.message), (code, expected));
        };
        let denied = "admission webhook \"a.example.com\" denied the request";
        check(Value::Null, 400, &format!("{denied} without explanation"));
        check(json!({"message": "no"}), 400, &format!("{denied}: no"));
        check(json!({"reason": "Forbidden", "code": 403}), 403, &format!("{denied}: Forbidden"));
        check(json!({"code": 200, "status": "Success", "message": "x"}), 400, &format!("{denied}: x"));
    }

    #[test]
    fn an_answer_to_another_question_is_none() {
        let check = |review: Value, expected: &str| {
            assert_eq!(answer("a", "v1", "u", true, &review), Err(Refusal::Unusable(expected.to_owned())));
        };
        check(json!({}), "webhook response was absent");
        check(allowed(json!({"uid": "v", "allowed": true})), "expected response.uid=\"u\", got \"v\"");
        check(
            allowed(json!({"uid": "u", "allowed": true, "patch": "W10="})),
            "webhook returned response.patch but not response.patchType",
        );
    }

    #[test]
    fn a_patch_is_read() {
        let patch = STANDARD.encode(r#"[{"op": "remove", "path": "/a"}]"#);
        let review =
            allowed(json!({"uid": "u", "allowed": true, "patchType": "JSONPatch", "patch": patch, "warnings": ["w"]}));
        let read = answer("a", "v1", "u", true, &review).unwrap();
        assert_eq!(
            read,
            Answer { patch: Some(json!([{"op": "remove", "path": "/a"}])), warnings: vec!["w".to_owned()] }
        );
    }
}
