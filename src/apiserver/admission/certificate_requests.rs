//! Certificate requests: who asks stands in them by the server's word alone, and nobody asks to be an administrator
//! through the signer of ordinary clients (`CertificateSubjectRestriction`).

use api::access::Wish;
use api::meta;
use api::status::Status;
use base::pki;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::authentication::User;
use crate::authorization;
use crate::verbs::Call;
use crate::verbs::update::Part;

const GROUP: &str = "certificates.k8s.io";

/// The signer of ordinary clients.
const CLIENTS: &str = "kubernetes.io/kube-apiserver-client";

pub(super) fn admit_create(call: &Call, request: &mut Value) -> Result<(), Status> {
    let Some(spec) = request.get_mut("spec").and_then(Value::as_object_mut) else { return Ok(()) };
    spec.insert("username".into(), json!(call.user.name));
    spec.insert("groups".into(), json!(call.user.groups));
    if call.user.uid.is_empty() {
        spec.remove("uid");
    } else {
        spec.insert("uid".into(), json!(call.user.uid));
    }
    if call.user.extra.is_empty() {
        spec.remove("extra");
    } else {
        spec.insert("extra".into(), json!(call.user.extra));
    }
    restrict_subject(request)
}

/// Who gives a verdict may `approve` for the signer, and who writes a certificate may `sign` for it
/// (`CertificateApproval`, `CertificateSigning`).
pub(super) fn check_signer(call: &Call, part: Part, new: &Value, old: &Value) -> Result<(), Status> {
    let certificate = |request: &Value| request.pointer("/status/certificate").cloned();
    let verb = match part {
        Part::Approval => "approve",
        _ if certificate(new) != certificate(old) => "sign",
        _ => return Ok(()),
    };
    let signer = old.pointer("/spec/signerName").and_then(Value::as_str).unwrap_or_default();
    let of_domain = signer.split_once('/').map(|(domain, _)| format!("{domain}/*"));
    let may = |name: &str| {
        let wish = Wish { verb, group: GROUP, resource: "signers", subresource: "", name };
        authorization::decide_wish(&call.server, &call.user, None, &wish).is_allowed
    };
    if may(signer) || of_domain.is_some_and(|name| may(&name)) {
        return Ok(());
    }
    let why = format!("user not permitted to {verb} requests with signerName \"{signer}\"");
    Err(Status::forbidden(GROUP, "certificatesigningrequests", meta::name(old), &why))
}

fn restrict_subject(request: &Value) -> Result<(), Status> {
    let said = |path: &str| request.pointer(path).and_then(Value::as_str).unwrap_or_default();
    if said("/spec/signerName") != CLIENTS {
        return Ok(());
    }
    // What cannot be read is for validation to complain of.
    let pem = STANDARD.decode(said("/spec/request")).ok().and_then(|pem| String::from_utf8(pem).ok());
    let facts = pem.and_then(|pem| pki::read_request(&pem).ok());
    if facts.is_some_and(|facts| facts.organizations.iter().any(|group| group == User::MASTERS)) {
        let why = format!("use of {CLIENTS} signer with {} group is not allowed", User::MASTERS);
        return Err(Status::forbidden(GROUP, "certificatesigningrequests", meta::name(request), &why));
    }
    Ok(())
}
