//! What every cluster has from its first moment: the namespaces, priority classes, roles and bindings, API services, levels
//! and schemas of requests, and the range of Services that upstream makes.
//!
//! They go through the same way as everybody's objects, as `system:apiserver`; what is there already is left alone, but
//! for roles and bindings that lack something, and what the server keeps as its tables have it.

mod api_services;

use api::scheme::Scheme;
use api::validation::field::quote;
use api::{flow_control, meta};
use axum::body::Body;
use base::clock;
use futures::{StreamExt as _, TryStreamExt as _};
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use crate::authentication::User;
use crate::authorization::Facts as _;
use crate::authorization::roles::{self, DefaultObject};
use crate::server::{ApiServer, Authorities};

/// What could not be made.
#[derive(Debug, thiserror::Error)]
#[error("{path} could not be made: {code}")]
pub struct Error {
    path: String,
    code: StatusCode,
}

/// How many objects are made at once: they share commits.
const MADE_AT_ONCE: usize = 32;

const NAMESPACES: [&str; 4] = ["kube-system", "default", "kube-public", "kube-node-lease"];

/// Makes what is missing.
pub(crate) async fn plant(server: &ApiServer) -> Result<(), Error> {
    for name in NAMESPACES {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        create(server, "/api/v1/namespaces", &namespace).await?;
    }
    let classes = [
        (
            "system-cluster-critical",
            2_000_000_000,
            "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
        ),
        (
            "system-node-critical",
            2_000_001_000,
            "Used for system critical pods that must not be moved from their current node.",
        ),
    ];
    for (name, value, description) in classes {
        let class = json!({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name},
            "value": value, "description": description});
        create(server, "/apis/scheduling.k8s.io/v1/priorityclasses", &class).await?;
    }
    if let Some(authorities) = &server.options().authorities {
        tell_authorities(server, authorities).await?;
    }
    let planted = futures::stream::iter(roles::defaults()).map(|default| plant_role(server, default));
    planted.buffer_unordered(MADE_AT_ONCE).try_collect::<()>().await?;
    let kept = futures::stream::iter(kept(server)).map(|(plural, wanted)| keep(server, plural, wanted));
    kept.buffer_unordered(MADE_AT_ONCE).try_collect().await
}

/// What the server keeps as its tables have it, each with its plural.
fn kept(server: &ApiServer) -> Vec<(&'static str, Value)> {
    let (network, prefix) = server.options().services.cluster_ips;
    let range = json!({"apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR", "metadata": {"name": "kubernetes"},
        "spec": {"cidrs": [format!("{network}/{prefix}")]}});
    let levels = flow_control::levels().into_iter().map(|level| ("prioritylevelconfigurations", level));
    let schemas = flow_control::schemas().into_iter().map(|schema| ("flowschemas", schema));
    let services = api_services::objects(&server.scheme()).into_iter().map(|service| ("apiservices", service));
    levels.chain(schemas).chain(services).chain([("servicecidrs", range)]).collect()
}

/// Makes an object, or gives it back its spec where the server keeps that, and tells what has become of it.
async fn keep(server: &ApiServer, plural: &str, wanted: Value) -> Result<(), Error> {
    let version = wanted.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
    let group = version.split('/').next().unwrap_or_default();
    let collection = format!("/apis/{version}/{plural}");
    let path = format!("{collection}/{}", meta::name(&wanted));
    let object = match server.object(group, plural, None, meta::name(&wanted)) {
        None => asked(server, Method::POST, &collection, &wanted).await?,
        Some(found) if found.get("spec") == wanted.get("spec") || !is_kept(plural, &found) => found,
        Some(mut found) => {
            meta::set_at(&mut found, "/spec", wanted.get("spec").cloned().unwrap_or_default());
            asked(server, Method::PUT, &path, &found).await?
        }
    };
    let Some(condition) = condition(plural, &object) else { return Ok(()) };
    let mut told = object;
    meta::set_condition(&mut told, condition);
    asked(server, Method::PUT, &format!("{path}/status"), &told).await.map(|_| ())
}

/// Whether the server keeps the spec of an object that is there.
fn is_kept(plural: &str, found: &Value) -> bool {
    match plural {
        "apiservices" => meta::label(found, "kube-aggregator.kubernetes.io/automanaged").is_some(),
        // What an administrator has changed says so by its annotation.
        "flowschemas" | "prioritylevelconfigurations" => {
            meta::annotation(found, flow_control::AUTO_UPDATE) == Some("true")
        }
        // A cluster's range is the one that it began with, and what has been added.
        _ => false,
    }
}

/// What is to be told of an object and was not yet, in upstream's words.
fn condition(plural: &str, object: &Value) -> Option<Value> {
    let name = object.pointer("/spec/priorityLevelConfiguration/name").and_then(Value::as_str).unwrap_or_default();
    let (kind, status, reason, message) = match plural {
        "servicecidrs" => ("Ready", "True", "", "Kubernetes default Service CIDR is ready".to_owned()),
        "flowschemas" => {
            let message = format!(
                "This FlowSchema references the PriorityLevelConfiguration object named {} and it exists",
                quote(name)
            );
            ("Dangling", "False", "Found", message)
        }
        _ => return None,
    };
    let told = object.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten();
    let is_told =
        told.into_iter().any(|condition| condition["type"] == kind && condition["message"] == message.as_str());
    let condition = json!({"type": kind, "status": status, "reason": reason, "message": message,
        "lastTransitionTime": meta::time(clock::now_seconds())});
    (!is_told).then_some(condition)
}

/// What the server answered to itself; what somebody was faster with is as good.
async fn asked(server: &ApiServer, method: Method, path: &str, object: &Value) -> Result<Value, Error> {
    match ask(server, method, path, object).await {
        (code, answer) if code.is_success() => Ok(answer),
        (StatusCode::CONFLICT, _) => Ok(object.clone()),
        (code, _) => Err(Error { path: path.to_owned(), code }),
    }
}

/// Tells servers that extend this one whom to trust, as upstream's `cluster-authentication-info`.
async fn tell_authorities(server: &ApiServer, authorities: &Authorities) -> Result<(), Error> {
    const NAME: &str = "extension-apiserver-authentication";
    let path = "/api/v1/namespaces/kube-system/configmaps";
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": NAME, "namespace": "kube-system"}, "data": {
        "client-ca-file": authorities.clients,
        "requestheader-allowed-names": "[\"front-proxy-client\"]",
        "requestheader-client-ca-file": authorities.front_proxy,
        "requestheader-extra-headers-prefix": "[\"X-Remote-Extra-\"]",
        "requestheader-group-headers": "[\"X-Remote-Group\"]",
        "requestheader-uid-headers": "[\"X-Remote-Uid\"]",
        "requestheader-username-headers": "[\"X-Remote-User\"]",
    }});
    let path = match server.object("", "configmaps", Some("kube-system"), NAME) {
        None => return create(server, path, &map).await,
        Some(found) if found.get("data") == map.get("data") => return Ok(()),
        Some(_) => format!("{path}/{NAME}"),
    };
    match ask(server, Method::PUT, &path, &map).await.0 {
        code if code.is_success() => Ok(()),
        code => Err(Error { path, code }),
    }
}

/// Makes a role or binding, or gives back what it lacks.
async fn plant_role(server: &ApiServer, default: DefaultObject) -> Result<(), Error> {
    let place = default.namespace.as_ref().map(|namespace| format!("/namespaces/{namespace}")).unwrap_or_default();
    let path = format!("/apis/rbac.authorization.k8s.io/v1{place}/{}", default.plural);
    let resource = Scheme::builtin().resource("rbac.authorization.k8s.io", "v1", default.plural);
    let found = resource.and_then(|resource| {
        server.objects().find(resource, default.namespace.as_deref(), &default.name).ok()?.to_value().ok()
    });
    let Some(found) = found else { return create(server, &path, &default.object).await };
    let Some(whole) = roles::completed(&found, &default.object) else { return Ok(()) };
    let path = format!("{path}/{}", default.name);
    match ask(server, Method::PUT, &path, &whole).await.0 {
        code if code.is_success() => Ok(()),
        code => Err(Error { path, code }),
    }
}

async fn create(server: &ApiServer, path: &str, object: &Value) -> Result<(), Error> {
    match ask(server, Method::POST, path, object).await.0 {
        code if code.is_success() || code == StatusCode::CONFLICT => Ok(()),
        code => Err(Error { path: path.to_owned(), code }),
    }
}

/// Asks this server as itself; `object` is the body unless it is null. An answer that is no JSON is null.
pub(crate) async fn ask(server: &ApiServer, method: Method, path: &str, object: &Value) -> (StatusCode, Value) {
    let body = if object.is_null() { Body::empty() } else { Body::from(object.to_string()) };
    let request = Request::builder().method(method).uri(path).extension(User::master("system:apiserver")).body(body);
    let Ok(request) = request else { return (StatusCode::BAD_REQUEST, Value::Null) };
    let (parts, body) = server.handle(request).await.into_parts();
    let content = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    (parts.status, serde_json::from_slice(&content).unwrap_or_default())
}
