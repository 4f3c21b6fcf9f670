//! Requests for certificates. Whether the request is signed by its own key is found by who signs it: this floor has
//! no cryptography.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::checks::signer_name;
use super::field::{Error, ErrorList, Path};
use crate::value::{has, list, number, part, text, texts};

/// The shortest life that can be asked for, in seconds.
const EXPIRATION_SECONDS_MIN: i64 = 600;

/// What a certificate can be for, sorted as upstream lists them.
const USAGES: [&str; 23] = [
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
];

/// What is wrong with a request.
pub fn request(object: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let (path, spec) = (Path::new("spec"), part(object, "spec"));
    if let Some(why) = unreadable(text(spec, "request")) {
        errors.push(Error::invalid(path.child("request"), part(spec, "request").clone(), why));
    }
    let usages_path = path.child("usages");
    let usages: Vec<&str> = texts(spec, "usages").collect();
    if usages.is_empty() {
        errors.push(Error::required(&usages_path, ""));
    }
    for (index, usage) in usages.iter().enumerate().filter(|(_, usage)| !USAGES.contains(usage)) {
        errors.push(Error::not_supported(usages_path.index(index), *usage, &USAGES));
    }
    for (index, usage) in usages.iter().enumerate() {
        if usages.iter().take(index).any(|other| other == usage) {
            errors.push(Error::duplicate(usages_path.index(index), *usage));
        }
    }
    if text(spec, "signerName") == "kubernetes.io/legacy-unknown" {
        let detail = "the legacy signerName is not allowed via this API version";
        errors.push(Error::invalid(path.child("signerName"), text(spec, "signerName"), detail));
    } else {
        signer_name(&mut errors, &path.child("signerName"), text(spec, "signerName"));
    }
    if let Some(seconds) = number(spec, "expirationSeconds").filter(|seconds| *seconds < EXPIRATION_SECONDS_MIN) {
        let detail = "may not specify a duration less than 600 seconds (10 minutes)";
        errors.push(Error::invalid(path.child("expirationSeconds"), seconds, detail));
    }
    check_conditions(&mut errors, list(part(object, "status"), "conditions"));
    errors
}

/// What is wrong with a changed status: it neither takes a verdict back nor gives one, which is for `approval`.
pub fn request_status(new: &Value, old: &Value) -> ErrorList {
    let mut errors = request_update(new, old);
    for kind in ["Approved", "Denied"] {
        let count = |object| {
            let conditions = list(part(object, "status"), "conditions");
            conditions.iter().filter(|condition| text(condition, "type") == kind).count()
        };
        if count(new) > count(old) {
            let detail = format!("updates may not add a condition of type {kind:?}");
            errors.push(Error::forbidden("status.conditions", detail));
        }
    }
    errors
}

/// What is wrong with a changed request or its approval: no verdict is taken back.
pub fn request_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = request(new);
    let conditions = |object| list(part(object, "status"), "conditions");
    for kind in ["Approved", "Denied", "Failed"] {
        let of =
            |object| conditions(object).iter().filter(|condition| text(condition, "type") == kind).collect::<Vec<_>>();
        let (old, new) = (of(old), of(new));
        if !old.is_empty() && new.is_empty() {
            let detail = format!("updates may not remove a condition of type {kind:?}");
            errors.push(Error::forbidden("status.conditions", detail));
        }
    }
    let certificate = |object| text(part(object, "status"), "certificate");
    if !certificate(old).is_empty() && certificate(old) != certificate(new) {
        let detail = "updates may not modify existing certificate content";
        errors.push(Error::forbidden("status.certificate", detail));
    }
    errors
}

/// Why a PEM request cannot be one.
fn unreadable(encoded: &str) -> Option<&'static str> {
    let pem = STANDARD.decode(encoded).unwrap_or_default();
    let pem = String::from_utf8_lossy(&pem);
    let body = pem
        .split_once("-----BEGIN CERTIFICATE REQUEST-----")
        .and_then(|(_, rest)| rest.split_once("-----END CERTIFICATE REQUEST-----"));
    let Some((body, _)) = body else { return Some("PEM block type must be CERTIFICATE REQUEST") };
    let body: String = body.split_whitespace().collect();
    let is_sequence = STANDARD.decode(body).is_ok_and(|der| der.starts_with(&[0x30]));
    (!is_sequence).then_some("asn1: structure error: malformed certificate request")
}

fn check_conditions(errors: &mut ErrorList, conditions: &[Value]) {
    let path = Path::new("status").child("conditions");
    for (index, condition) in conditions.iter().enumerate() {
        let path = path.index(index);
        let (kind, status) = (text(condition, "type"), text(condition, "status"));
        if kind.is_empty() {
            errors.push(Error::required(path.child("type"), ""));
        }
        let is_verdict = matches!(kind, "Approved" | "Denied" | "Failed");
        let supported: &[&str] = if is_verdict { &["True"] } else { &["False", "True", "Unknown"] };
        super::checks::one_of(errors, &path.child("status"), status, supported);
        let opposite = match kind {
            "Approved" => "Denied",
            "Denied" => "Approved",
            _ => "",
        };
        let before = || conditions.iter().take(index).map(|other| text(other, "type"));
        if !opposite.is_empty() && before().any(|other| other == opposite) {
            let detail = "Approved and Denied conditions are mutually exclusive";
            errors.push(Error::invalid(path.child("type"), kind, detail));
        }
        if before().any(|other| other == kind) && has(condition, "type") {
            errors.push(Error::duplicate(path.child("type"), kind));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::check;
    use super::*;

    fn whole() -> Value {
        let pem = format!(
            "-----BEGIN CERTIFICATE REQUEST-----\n{}\n-----END CERTIFICATE REQUEST-----\n",
            STANDARD.encode([0x30, 0x00])
        );
        json!({"spec": {"request": STANDARD.encode(pem), "signerName": "kubernetes.io/kube-apiserver-client-kubelet",
            "usages": ["digital signature", "client auth"]}})
    }

    #[test]
    fn a_request_says_who_shall_sign_and_what_for() {
        check(&request(&whole()), &[]);
        let mut wrong = whole();
        wrong["spec"] = json!({"request": STANDARD.encode("nonsense"), "signerName": "nobody", "expirationSeconds": 5});
        let request_text = wrong["spec"]["request"].clone();
        check(
            &request(&wrong),
            &[
                &format!("spec.request: Invalid value: {request_text}: PEM block type must be CERTIFICATE REQUEST"),
                "spec.usages: Required value",
                "spec.signerName: Invalid value: \"nobody\": must be a fully qualified domain and path of the form 'example.com/signer-name'",
                "spec.expirationSeconds: Invalid value: 5: may not specify a duration less than 600 seconds (10 minutes)",
            ],
        );
    }

    #[test]
    fn a_verdict_is_one_and_stays() {
        let with = |conditions: Value| {
            let mut object = whole();
            object["status"] = json!({"conditions": conditions});
            object
        };
        let (approved, denied) =
            (json!({"type": "Approved", "status": "True"}), json!({"type": "Denied", "status": "True"}));
        check(&request_update(&with(json!([approved])), &whole()), &[]);
        check(
            &request(&with(json!([approved, denied]))),
            &[
                "status.conditions[1].type: Invalid value: \"Denied\": Approved and Denied conditions are mutually exclusive",
            ],
        );
        check(
            &request_update(&whole(), &with(json!([approved]))),
            &["status.conditions: Forbidden: updates may not remove a condition of type \"Approved\""],
        );
        check(
            &request_status(&with(json!([approved])), &whole()),
            &["status.conditions: Forbidden: updates may not add a condition of type \"Approved\""],
        );
        check(&request_status(&with(json!([denied])), &with(json!([denied]))), &[]);
    }
}
