//! What every cluster has from its first moment: the namespaces and priority classes that upstream makes.
//!
//! They go through the same way as everybody's objects, as `system:apiserver`; what is there already is left alone.

use axum::body::Body;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use crate::authentication::User;
use crate::server::ApiServer;

/// What could not be made.
#[derive(Debug, thiserror::Error)]
#[error("{path} could not be made: {code}")]
pub struct Error {
    path: &'static str,
    code: StatusCode,
}

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
    Ok(())
}

async fn create(server: &ApiServer, path: &'static str, object: &Value) -> Result<(), Error> {
    match ask(server, Method::POST, path, object).await.0 {
        code if code.is_success() || code == StatusCode::CONFLICT => Ok(()),
        code => Err(Error { path, code }),
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
