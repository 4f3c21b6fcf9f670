//! What every cluster has from its first moment: the namespaces, priority classes, roles and bindings that upstream
//! makes.
//!
//! They go through the same way as everybody's objects, as `system:apiserver`; what is there already is left alone, but
//! for roles and bindings that lack something.

use api::scheme::Scheme;
use axum::body::Body;
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
    planted.buffer_unordered(MADE_AT_ONCE).try_collect().await
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
