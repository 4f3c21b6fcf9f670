//! `minke user`: people with certificates of their own.
//!
//! A person is known by the name in a client certificate, and is no object: the certificate is asked for with a
//! CertificateSigningRequest, approved by whoever calls this, and printed with its key as a kubeconfig. What the person
//! may do, roles say.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use base::clock;
use base::pki::{self, Identity, Subject, Usage};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, Subcommand};
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::runtime::wait;
use serde_json::json;

use crate::connect::{self, Connection, connect};
use crate::terminal::Terminal;
use crate::token::time;

const SIGNER: &str = "kubernetes.io/kube-apiserver-client";

/// How long the signer may take.
const SIGNED_DEADLINE: Duration = Duration::from_secs(30);

/// What to do with users.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Make a certificate for a person and print a kubeconfig with it.
    ///
    /// A new user may do nothing yet but look at what kinds there are: bind a role to their name or group, for example with
    /// `kubectl create rolebinding alice --clusterrole=edit --user=alice`.
    Create(Create),
}

/// Options of `minke user create`.
#[derive(Args, Clone, Debug)]
pub struct Create {
    /// The name by which roles are bound to them.
    #[arg(value_name = "NAME")]
    pub name: String,
    /// A group that they are in.
    #[arg(long, value_name = "NAME")]
    pub group: Option<String>,
    /// How long the certificate is good for, from 10 minutes to a year. It cannot be revoked: without a role it is worth
    /// nothing.
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "8760h")]
    pub ttl: Duration,
    /// The server.
    #[command(flatten)]
    pub server: connect::Options,
}

/// Does what is asked for.
///
/// # Errors
/// When the server refuses, or signs nothing.
pub async fn run(command: Command, home: Option<PathBuf>, terminal: &mut Terminal) -> Result<ExitCode> {
    let Command::Create(options) = command;
    let connection = connect(&options.server, home).await?;
    let identity = certified(&connection, &options).await?;
    terminal.say(kubeconfig(&connection, &options.name, &identity).trim_end())?;
    let name = &options.name;
    terminal.hint(&format!(
        "{name} may do nothing yet: bind a role, as with `kubectl create rolebinding {name} --clusterrole=edit --user={name}`"
    ));
    Ok(ExitCode::SUCCESS)
}

/// A key, and a certificate of it that the cluster signed.
async fn certified(connection: &Connection, options: &Create) -> Result<Identity> {
    if options.name.starts_with("system:") {
        bail!("names that begin with system: are the cluster's own; choose another than {}", options.name);
    }
    let subject = Subject {
        common_name: options.name.clone(),
        organization: options.group.clone(),
        names: Vec::new(),
        usage: Usage::Client,
    };
    let (request, key_pem) = pki::request(&subject)?;
    let requests: Api<CertificateSigningRequest> = Api::all(connection.client.clone());
    let object = serde_json::from_value(json!({
        "metadata": {"generateName": "minke-user-"},
        "spec": {"signerName": SIGNER, "request": STANDARD.encode(request), "usages": ["digital signature", "client auth"],
            "expirationSeconds": options.ttl.as_secs()},
    }))?;
    let made = requests.create(&PostParams::default(), &object).await.map_err(|error| connection.explain(error))?;
    let name = made.metadata.name.unwrap_or_default();
    let signed = signed(connection, &requests, &name).await;
    // It has done its work, or never will; what is left would be removed within a day.
    if let Err(error) = requests.delete(&name, &DeleteParams::default()).await {
        tracing::debug!(name, %error, "a certificate request stays until it is cleaned up");
    }
    Ok(Identity { certificate_pem: signed?, key_pem })
}

/// The certificate of a request, once it is approved.
async fn signed(connection: &Connection, requests: &Api<CertificateSigningRequest>, name: &str) -> Result<String> {
    let now = clock::now_seconds().to_string();
    let verdict = json!({"status": {"conditions": [{"type": "Approved", "status": "True", "reason": "MinkeUserCreate",
        "message": "Approved by who ran minke user create.", "lastUpdateTime": now, "lastTransitionTime": now}]}});
    let approved = requests.patch_subresource("approval", name, &PatchParams::default(), &Patch::Merge(verdict)).await;
    approved.map_err(|error| connection.explain(error))?;
    let certificate = |request: &CertificateSigningRequest| {
        let bytes = request.status.as_ref()?.certificate.as_ref()?;
        String::from_utf8(bytes.0.clone()).ok()
    };
    let failure = |request: &CertificateSigningRequest| {
        let conditions = request.status.iter().flat_map(|status| status.conditions.iter().flatten());
        conditions.filter(|condition| condition.type_ == "Failed").find_map(|condition| condition.message.clone())
    };
    let is_done = |request: Option<&CertificateSigningRequest>| {
        request.is_some_and(|request| certificate(request).is_some() || failure(request).is_some())
    };
    let waiting = wait::await_condition(requests.clone(), name, is_done);
    let done = tokio::time::timeout(SIGNED_DEADLINE, waiting).await;
    let done = done.context("nobody signed the certificate: do the server's controllers run?")??;
    let Some(request) = done else { bail!("the certificate request {name} was deleted before it was signed") };
    match certificate(&request) {
        Some(certificate) => Ok(certificate),
        None => bail!("the certificate was not signed: {}", failure(&request).unwrap_or_default()),
    }
}

/// A kubeconfig with this user alone.
fn kubeconfig(connection: &Connection, user: &str, identity: &Identity) -> String {
    let authority =
        connection.authority_pem().map(|pem| format!("    certificate-authority-data: {}\n", STANDARD.encode(pem)));
    let [certificate, key] = [&identity.certificate_pem, &identity.key_pem].map(|pem| STANDARD.encode(pem));
    // A name in JSON's quotes is one in YAML, whatever is in it.
    let user = json!(user);
    format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- name: minke\n  cluster:\n    server: {url}\n{authority}users:\n- name: \
         {user}\n  user:\n    client-certificate-data: {certificate}\n    client-key-data: {key}\ncontexts:\n- name: minke\n  \
         context:\n    cluster: minke\n    namespace: {namespace}\n    user: {user}\ncurrent-context: minke\n",
        url = connection.url(),
        authority = authority.unwrap_or_default(),
        namespace = connection.namespace,
    )
}
