//! Certificate requests: who asks stands in them by the server's word alone, and nobody asks to be an administrator
//! through the signer of ordinary clients (`CertificateSubjectRestriction`).

use api::meta;
use api::status::Status;
use base::pki;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::authentication::User;
use crate::verbs::Call;

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
    spec.remove("extra");
    restrict_subject(request)
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
        return Err(Status::forbidden("certificates.k8s.io", "certificatesigningrequests", meta::name(request), &why));
    }
    Ok(())
}
