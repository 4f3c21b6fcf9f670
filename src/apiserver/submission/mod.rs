//! `POST /apis/run.minke.dev/v1/namespaces/NS/run`: raw `.wasm` (or `.wat`) bytes in, a running Pod out.
//!
//! The bytes become an artifact of the cluster's own registry, `NS/NAME`, and an ordinary Pod that names it by digest
//! is made the way the caller could make it: through the same verbs, with their rights, admission and field manager.
//! A command gets `restartPolicy: Never`; a `wasi:http` component gets `Always`, containerPort 8080 and a free hostPort,
//! and once a node is chosen its URL stands in the annotation [`pod::URL`] and in the answer's `Location`. Imports that
//! nothing here offers do not keep the Pod from being made (it waits and says so): the answer warns of each.
//!
//! With `dryRun=All` nothing is stored; the answer is a verdict. Reading order: [`serve`], `asked` (the query),
//! `artifact` (bytes in), `pod` (what is made), `verdict`, `api` (asking as the caller).

mod api;
mod artifact;
mod asked;
mod pod;
mod verdict;

use ::api::names;
use ::api::status::Status;
use axum::body::Body;
use http::header::{HeaderName, HeaderValue, LOCATION};
use http::{Request, Response, StatusCode};
use images::inspect::Kind;
use images::inspect::offered;
use images::reference::RepositoryName;
use rand::RngExt as _;
use serde_json::Value;

use self::api::{Api, Refusal};
use self::artifact::Received;
use self::asked::Asked;
use self::pod::{Facts, Role};
use crate::authentication::User;
use crate::options::Query;
use crate::registry::{self, Registry};
use crate::request_info::Verb;
use crate::server::ApiServer;

/// Imports that an answer warns of one by one; headers are no place for thousands.
const WARNINGS_MAX: usize = 8;

const WARNING: HeaderName = HeaderName::from_static("warning");

/// Serves an upload that may be made: the Pod, or a verdict.
pub(crate) async fn serve(
    server: &ApiServer,
    user: &User,
    namespace: &str,
    request: Request<Body>,
) -> Result<Response<Body>, Status> {
    let (parts, body) = request.into_parts();
    let asked = Asked::parse(&Query::parse(parts.uri.query().unwrap_or_default()))?;
    let registry = server.registry().ok_or_else(|| Status::service_unavailable("there is no place for artifacts"))?;
    let turn = registry.writes.take(&user.name, 1);
    let _turn =
        turn.ok_or_else(|| Status::too_many_requests("too many uploads at this moment, please try again", 1))?;
    let received = artifact::receive(&registry.content, body).await?;
    let api = Api::new(server, user, namespace, &asked, &parts.headers);
    let submission = Submission { server, user, registry, api, namespace, asked };
    let answered =
        if submission.asked.is_dry_run { submission.judge(&received).await } else { submission.run(received).await };
    match answered {
        Ok(response) | Err(Refusal::Answer(response)) => Ok(response),
        Err(Refusal::Status(status)) => Err(status),
    }
}

/// One upload.
struct Submission<'a> {
    server: &'a ApiServer,
    user: &'a User,
    registry: &'a Registry,
    api: Api<'a>,
    namespace: &'a str,
    asked: Asked,
}

impl Submission<'_> {
    /// What would happen.
    async fn judge(&self, received: &Received) -> Result<Response<Body>, Refusal> {
        let name = self.name();
        let denied = match self.repository(&name) {
            Ok(_) => match self.api.check(self.pod(&name, received, pod::ANY_HOST_PORT), self.asked.replace).await {
                Ok(()) => None,
                Err(refusal) => Some(refusal.message().await),
            },
            Err(status) => Some(status.message),
        };
        let verdict = verdict::verdict(&received.inspection, &received.scratch.digest(), denied.as_deref());
        Ok(json_response(StatusCode::OK, &verdict))
    }

    /// Stores the artifact and makes the Pod.
    async fn run(&self, received: Received) -> Result<Response<Body>, Refusal> {
        let kind = received.inspection.kind;
        if !kind.is_runnable() {
            let why = format!("a {kind} cannot be run: it exports neither _start, wasi:cli/run nor wasi:http");
            return Err(Status::bad_request(why).into());
        }
        let name = self.name();
        let repository = self.repository(&name)?;
        let host_port = if matches!(kind, Kind::HttpComponent(_)) { self.free_host_port().await? } else { 0 };
        let pod = self.pod(&name, &received, host_port);
        // Asked before anything is stored or replaced, so that who may not run leaves nothing behind.
        self.api.check(pod.clone(), self.asked.replace).await?;

        let warnings = warnings(&received);
        artifact::store(&self.registry.content, &repository, received).await?;
        if self.asked.replace {
            self.api.delete(&name).await?;
        }
        let mut made = self.api.create(&pod).await?;
        let mut url = None;
        if host_port != 0
            && let Some(address) = self.api.node_address(&name, &made).await
        {
            let found = pod::url(&address, host_port);
            made = self.api.annotate(&name, &found).await.unwrap_or(made);
            url = Some(found);
        }
        let mut response = json_response(StatusCode::CREATED, &made);
        if let Some(url) = url.and_then(|url| HeaderValue::from_str(&url).ok()) {
            response.headers_mut().insert(LOCATION, url);
        }
        for warning in warnings.iter().filter_map(|text| HeaderValue::from_str(text).ok()) {
            response.headers_mut().append(WARNING, warning);
        }
        Ok(response)
    }

    fn name(&self) -> String {
        let generated = || names::generated_name("run-", &names::generated_suffix(self.server.random_bytes()));
        self.asked.name.clone().unwrap_or_else(generated)
    }

    /// The repository, if the caller may push to it.
    fn repository(&self, name: &str) -> Result<RepositoryName, Status> {
        let text = format!("{}/{name}", self.namespace);
        let repository = RepositoryName::parse(&text).map_err(|error| Status::bad_request(error.to_string()))?;
        let is_there = self.registry.content.tags(&repository).is_some();
        let verb = if is_there { Verb::Update } else { Verb::Create };
        let request = registry::artifacts(verb, Some(self.namespace), Some(name));
        self.server.authorize(self.user, &request, &Query::default())?;
        Ok(repository)
    }

    fn pod(&self, name: &str, received: &Received, host_port: u16) -> Value {
        let role = match received.inspection.kind {
            Kind::HttpComponent(_) => Role::Server { host_port },
            _ => Role::Command,
        };
        pod::pod(&Facts {
            namespace: self.namespace,
            name,
            image: &image(self.namespace, name, received),
            arguments: &self.asked.arguments,
            environment: &self.asked.environment,
            stdin: self.asked.stdin,
            tty: self.asked.tty,
            role,
        })
    }

    /// A port that no pod asks for, so that any node can give it.
    async fn free_host_port(&self) -> Result<u16, Status> {
        let server = self.server.clone();
        let first: u16 = rand::rng().random_range(pod::HOST_PORTS);
        let taken = base::task::blocking(move || api::host_ports(&server)).await.unwrap_or_default();
        pod::free_port(first, &taken).ok_or_else(|| Status::service_unavailable("no host port is free"))
    }
}

/// The image by digest, so that the Pod runs these very bytes whatever the tag stands for later.
fn image(namespace: &str, name: &str, received: &Received) -> String {
    let digest = images::push::documents(&received.inspection, &received.scratch.digest()).manifest.1;
    format!("{}/{namespace}/{name}@{digest}", images::reference::BUILT_IN_REGISTRY)
}

/// A `Warning:` header for each import that nothing here offers.
fn warnings(received: &Received) -> Vec<String> {
    let missing = offered::verdict(&received.inspection);
    let texts = missing.iter().map(|import| format!("299 - \"import {import} is not offered: the pod will wait\""));
    texts.take(WARNINGS_MAX).collect()
}

fn json_response(status: StatusCode, value: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(format!("{value}\n")));
    *response.status_mut() = status;
    response.headers_mut().insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests;
