//! What becomes of a certificate request: a function of the request alone.
//!
//! Certificates of ordinary clients are signed as soon as somebody has approved them.
//!
//! The rules for nodes' certificates are upstream's (`pkg/apis/certificates/helpers.go`, and the approver in
//! `pkg/controller/certificates/approver`). Serving certificates upstream leaves to an administrator, because a node names
//! the addresses in them itself; here they are approved where they name the node, and nothing that is the API server's.

use std::collections::BTreeSet;
use std::time::Duration;

use base::pki::{self, Facts, Usage};
use jiff::Timestamp;
use k8s_openapi::api::certificates::v1::{CertificateSigningRequest, CertificateSigningRequestCondition};

/// The group of all nodes, and the beginning of their names.
const NODES: &str = "system:nodes";
const NODE: &str = "system:node:";

/// The group of bootstrap tokens.
const BOOTSTRAPPERS: &str = "system:bootstrappers";

/// The shortest life that may be asked for, and the one of who asks for none (`--cluster-signing-duration`).
const LIFE_MIN: Duration = Duration::from_mins(10);
const LIFE_DEFAULT: Duration = Duration::from_hours(365 * 24);

/// How long requests are kept that are done, and that nobody decides about: upstream's times
/// (`pkg/controller/certificates/cleaner`).
const DONE_KEPT: Duration = Duration::from_hours(1);
const PENDING_KEPT: Duration = Duration::from_hours(24);

/// What is to be done with a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Plan {
    /// It says what we approve; the text is for its condition.
    Approve(&'static str),
    /// It is approved: sign it for this use and this long.
    Sign(Usage, Duration),
    /// It is approved, but says what its signer does not sign.
    Fail(String),
    /// Nobody needs it any more.
    Delete,
    /// Nothing; it goes after this long, if ever.
    Wait(Option<Duration>),
}

/// Decides about a request. `protected` are the names of the API server, which no node's certificate may have.
pub(super) fn plan(request: &CertificateSigningRequest, protected: &BTreeSet<String>, now: Timestamp) -> Plan {
    let has = |kind: &str| condition(request, kind).is_some();
    let left = goes_at(request).map(|end| Duration::try_from(end.duration_since(now)).unwrap_or_default());
    if left == Some(Duration::ZERO) {
        return Plan::Delete;
    }
    let is_done = certificate(request).is_some() || has("Denied") || has("Failed");
    let Some(signer) = signer(request).filter(|_| !is_done) else { return Plan::Wait(left) };
    match (valid(request, signer, protected), has("Approved")) {
        (Ok(()), true) => Plan::Sign(signer.usage(), life(request)),
        (Err(why), true) => Plan::Fail(why),
        (Ok(()), false) => approval(request, signer).map_or(Plan::Wait(left), Plan::Approve),
        (Err(_), false) => Plan::Wait(left),
    }
}

/// When nobody needs the request any more. One that is approved waits for its signer, however long that takes.
fn goes_at(request: &CertificateSigningRequest) -> Option<Timestamp> {
    let changed = |kind: &str| condition(request, kind).and_then(|condition| condition.last_update_time.as_ref());
    let issued = certificate(request).and_then(|pem| pki::read_certificate(pem).ok());
    let conditions = request.status.as_ref().and_then(|status| status.conditions.as_ref());
    let created = request.metadata.creation_timestamp.as_ref();
    let pending = created.filter(|_| conditions.is_none_or(Vec::is_empty)).map(|time| time.0 + PENDING_KEPT);
    let done = [changed("Approved").filter(|_| certificate(request).is_some()), changed("Denied"), changed("Failed")];
    let expires = issued.and_then(|facts| Timestamp::from_second(facts.not_after_seconds).ok());
    done.into_iter().flatten().map(|time| time.0 + DONE_KEPT).chain(pending).chain(expires).min()
}

fn certificate(request: &CertificateSigningRequest) -> Option<&str> {
    let pem = request.status.as_ref()?.certificate.as_ref()?;
    std::str::from_utf8(&pem.0).ok()
}

/// Whose certificates are signed here.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Signer {
    /// People's and programs', which an administrator approves.
    Client,
    /// By which nodes are known to the API server.
    Node,
    /// By which the API server knows nodes.
    NodeServing,
}

impl Signer {
    fn usage(self) -> Usage {
        match self {
            Self::Client | Self::Node => Usage::Client,
            Self::NodeServing => Usage::Server,
        }
    }
}

/// The signer that is asked for; `None` for those that are not ours.
fn signer(request: &CertificateSigningRequest) -> Option<Signer> {
    match request.spec.signer_name.as_str() {
        "kubernetes.io/kube-apiserver-client" => Some(Signer::Client),
        "kubernetes.io/kube-apiserver-client-kubelet" => Some(Signer::Node),
        "kubernetes.io/kubelet-serving" => Some(Signer::NodeServing),
        _ => None,
    }
}

/// Whether the request says what its signer signs.
fn valid(request: &CertificateSigningRequest, signer: Signer, protected: &BTreeSet<String>) -> Result<(), String> {
    let facts = facts(request)?;
    if signer == Signer::Client {
        return valid_client(request);
    }
    let usage = signer.usage();
    if facts.organizations != [NODES] {
        return Err("organization in request is not system:nodes".to_owned());
    }
    let Some(node) = facts.common_name.strip_prefix(NODE).filter(|node| !node.is_empty()) else {
        return Err("subject common name does not begin with system:node:".to_owned());
    };
    let needed = match usage {
        Usage::Client => "client auth",
        Usage::Server => "server auth",
    };
    let usages: BTreeSet<&str> = request.spec.usages.iter().flatten().map(String::as_str).collect();
    let mut expected = BTreeSet::from(["digital signature", needed]);
    if usages.contains("key encipherment") {
        expected.insert("key encipherment");
    }
    if usages != expected {
        return Err(format!("usages did not match {expected:?}"));
    }
    match usage {
        Usage::Client if !facts.names.is_empty() => {
            Err("DNS or IP subjectAltNames are not allowed for client certificates of nodes".to_owned())
        }
        Usage::Server if facts.names.is_empty() => Err("DNS or IP subjectAltName is required".to_owned()),
        Usage::Server => names(&facts, node, protected),
        Usage::Client => Ok(()),
    }
}

/// A client's certificate is for that alone. Whose it is, the approver decided.
fn valid_client(request: &CertificateSigningRequest) -> Result<(), String> {
    let allowed = BTreeSet::from(["client auth", "digital signature", "key encipherment"]);
    let usages: BTreeSet<&str> = request.spec.usages.iter().flatten().map(String::as_str).collect();
    match usages.is_subset(&allowed) && usages.contains("client auth") {
        true => Ok(()),
        false => Err(format!("usages did not match {allowed:?}")),
    }
}

/// A node serves under its own name and its own addresses.
fn names(facts: &Facts, node: &str, protected: &BTreeSet<String>) -> Result<(), String> {
    for name in &facts.names {
        if protected.contains(name) {
            return Err(format!("{name} is a name of the API server"));
        }
        if name.parse::<std::net::IpAddr>().is_err() && name != node {
            return Err(format!("{name} is not the name of node {node}"));
        }
    }
    Ok(())
}

/// The text of an approval, where the caller may have what it asks for.
fn approval(request: &CertificateSigningRequest, signer: Signer) -> Option<&'static str> {
    let is_in = |group: &str| request.spec.groups.iter().flatten().any(|own| own == group);
    let own = facts(request).ok()?.common_name;
    let is_own = request.spec.username.as_ref() == Some(&own) && is_in(NODES);
    match signer {
        Signer::Node if is_own => Some("Auto approving self kubelet client certificate after SubjectAccessReview."),
        Signer::Node if is_in(BOOTSTRAPPERS) => {
            Some("Auto approving kubelet client certificate after SubjectAccessReview.")
        }
        Signer::NodeServing if is_own => {
            Some("Auto approving kubelet serving certificate of the node that asks for it.")
        }
        _ => None,
    }
}

fn facts(request: &CertificateSigningRequest) -> Result<Facts, String> {
    let pem = std::str::from_utf8(&request.spec.request.0).map_err(|error| error.to_string())?;
    pki::read_request(pem).map_err(|error| error.to_string())
}

fn life(request: &CertificateSigningRequest) -> Duration {
    let asked = request.spec.expiration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
    asked.map_or(LIFE_DEFAULT, |seconds| Duration::from_secs(seconds).clamp(LIFE_MIN, LIFE_DEFAULT))
}

pub(super) fn condition<'a>(
    request: &'a CertificateSigningRequest,
    kind: &str,
) -> Option<&'a CertificateSigningRequestCondition> {
    request.status.as_ref()?.conditions.iter().flatten().find(|condition| condition.type_ == kind)
}

#[cfg(test)]
mod tests {
    use base::pki::Subject;
    use k8s_openapi::ByteString;
    use serde_json::json;

    use super::*;

    const NOW: Timestamp = Timestamp::constant(1_000_000, 0);

    /// A request of `user` for the node `a`, with these names.
    fn request(user: &str, group: &str, usage: Usage, names: &[&str]) -> CertificateSigningRequest {
        let (signer, key_usage) = match usage {
            Usage::Client => ("kubernetes.io/kube-apiserver-client-kubelet", "client auth"),
            Usage::Server => ("kubernetes.io/kubelet-serving", "server auth"),
        };
        let subject = Subject {
            common_name: "system:node:a".into(),
            organization: Some(NODES.into()),
            names: names.iter().map(|&name| name.to_owned()).collect(),
            usage,
        };
        let mut request: CertificateSigningRequest = serde_json::from_value(json!({
            "metadata": {"name": "csr", "creationTimestamp": NOW.to_string()},
            "spec": {"signerName": signer, "request": "", "username": user, "groups": [group],
                "usages": ["digital signature", key_usage]},
        }))
        .unwrap();
        request.spec.request = ByteString(pki::request(&subject).unwrap().0.into_bytes());
        request
    }

    fn check(request: &CertificateSigningRequest, expected: &str) {
        let protected = BTreeSet::from(["127.0.0.1".to_owned()]);
        let plan = format!("{:?}", plan(request, &protected, NOW));
        assert!(plan.starts_with(expected), "{plan} is not {expected}");
    }

    #[test]
    fn a_node_gets_its_own_certificates_and_nobody_else_does() {
        let (client, server) = (Usage::Client, Usage::Server);
        check(&request("system:bootstrap:abc", BOOTSTRAPPERS, client, &[]), "Approve(\"Auto approving kubelet client");
        check(&request("system:node:a", NODES, client, &[]), "Approve(\"Auto approving self kubelet client");
        check(&request("system:node:b", NODES, client, &[]), "Wait");
        check(&request("alice", "system:authenticated", client, &[]), "Wait");
        check(&request("system:node:a", NODES, client, &["a"]), "Wait");
        check(
            &request("system:node:a", NODES, server, &["a", "127.0.0.2"]),
            "Approve(\"Auto approving kubelet serving",
        );
        check(&request("system:bootstrap:abc", BOOTSTRAPPERS, server, &["a"]), "Wait");
    }

    #[test]
    fn a_node_does_not_serve_as_the_api_server_or_as_another_node() {
        for name in ["127.0.0.1", "b", "kubernetes"] {
            let mut request = request("system:node:a", NODES, Usage::Server, &[name]);
            check(&request, "Wait");
            add(&mut request, "Approved", NOW);
            check(&request, "Fail");
        }
    }

    #[test]
    fn a_certificate_is_for_a_node_and_for_nothing_else_beside() {
        let subject = Subject {
            common_name: NODE.into(),
            organization: Some(NODES.into()),
            names: Vec::new(),
            usage: Usage::Client,
        };
        let mut of_nobody = request("system:bootstrap:abc", BOOTSTRAPPERS, Usage::Client, &[]);
        of_nobody.spec.request = ByteString(pki::request(&subject).unwrap().0.into_bytes());
        check(&of_nobody, "Wait");

        let mut of_masters = of_nobody.clone();
        let subject =
            Subject { common_name: "system:node:a".into(), organization: Some("system:masters".into()), ..subject };
        of_masters.spec.request = ByteString(pki::request(&subject).unwrap().0.into_bytes());
        check(&of_masters, "Wait");

        for usages in [json!(["client auth"]), json!(["digital signature", "client auth", "server auth"]), json!([])] {
            let mut request = request("system:bootstrap:abc", BOOTSTRAPPERS, Usage::Client, &[]);
            request.spec.usages = serde_json::from_value(usages).unwrap();
            check(&request, "Wait");
        }
        let mut with_encipherment = request("system:bootstrap:abc", BOOTSTRAPPERS, Usage::Client, &[]);
        with_encipherment.spec.usages.as_mut().unwrap().push("key encipherment".into());
        check(&with_encipherment, "Approve");

        let mut of_another_signer = request("system:bootstrap:abc", BOOTSTRAPPERS, Usage::Client, &[]);
        of_another_signer.spec.signer_name = "example.com/signer".into();
        check(&of_another_signer, "Wait(Some(86400s))");
        add(&mut of_another_signer, "Approved", NOW);
        check(&of_another_signer, "Wait(None)");
    }

    #[test]
    fn a_persons_certificate_waits_for_an_administrator() {
        let mut of_alice = request("alice", "system:authenticated", Usage::Client, &[]);
        of_alice.spec.signer_name = "kubernetes.io/kube-apiserver-client".into();
        check(&of_alice, "Wait(Some(86400s))");
        add(&mut of_alice, "Approved", NOW);
        check(&of_alice, "Sign(Client");
        of_alice.spec.usages.as_mut().unwrap().push("server auth".into());
        check(&of_alice, "Fail(\"usages did not match");
    }

    #[test]
    fn what_was_approved_is_signed_within_bounds() {
        let mut request = request("system:node:a", NODES, Usage::Client, &[]);
        add(&mut request, "Approved", NOW);
        check(&request, "Sign(Client, 31536000s)");
        request.spec.expiration_seconds = Some(60);
        check(&request, "Sign(Client, 600s)");
    }

    #[test]
    fn requests_go_when_nobody_needs_them() {
        let after = |request: &CertificateSigningRequest, hours: i64, expected: &str| {
            let plan = format!("{:?}", plan(request, &BTreeSet::new(), NOW + jiff::SignedDuration::from_hours(hours)));
            assert!(plan.starts_with(expected), "{plan} is not {expected} after {hours} h");
        };
        let pending = request("alice", "system:authenticated", Usage::Client, &[]);
        after(&pending, 23, "Wait(Some(3600s))");
        after(&pending, 24, "Delete");
        for kind in ["Denied", "Failed"] {
            let mut refused = pending.clone();
            add(&mut refused, kind, NOW);
            after(&refused, 0, "Wait(Some(3600s))");
            after(&refused, 1, "Delete");
        }
        let mut issued = pending;
        add(&mut issued, "Approved", NOW);
        issued.status.as_mut().unwrap().certificate = Some(ByteString(b"a certificate".to_vec()));
        after(&issued, 0, "Wait(Some(3600s))");
        after(&issued, 1, "Delete");
    }

    fn add(request: &mut CertificateSigningRequest, kind: &str, at: Timestamp) {
        let condition = json!({"type": kind, "status": "True", "lastUpdateTime": at.to_string()});
        let condition = serde_json::from_value(condition).unwrap();
        request.status.get_or_insert_default().conditions.get_or_insert_default().push(condition);
    }
}
