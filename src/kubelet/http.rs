//! The kubelet's HTTP API: what the API server asks of a node, through the tunnel or on the node's own port.
//!
//! Paths, parameters and answers are upstream's (`pkg/kubelet/server`), so that an upstream API server can use them.
//! Who may ask is decided before: the tunnel was dialled by this node, and the port takes only client certificates of
//! the API server ([`serve`]).
//!
//! Reading order: [`logs`], [`attach`], [`serve`].

mod attach;
mod logs;
pub(crate) mod serve;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use serde_json::json;
use tracing::Instrument as _;

use crate::metrics::Metrics;
use crate::pods::table::Table;
use crate::pods::view::{Container, View};

/// What requests are answered from.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) table: Table,
    pub(crate) logs: std::sync::Arc<crate::logs::writer::Logs>,
    pub(crate) metrics: std::sync::Arc<Metrics>,
}

/// A request that cannot be answered, as status and text.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("pod {name:?} not found in namespace {namespace:?}")]
    NoPod { namespace: String, name: String },
    #[error("container {container} is not valid for pod {pod}")]
    NoContainer { container: String, pod: String },
    #[error("{0}")]
    BadRequest(String),
    #[error("{0}")]
    Internal(String),
}

/// The routes.
pub(crate) fn router(api: Api) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/pods", get(pods))
        .route("/metrics", get(|State(api): State<Api>| async move { api.metrics.serve() }))
        .route("/containerLogs/{namespace}/{pod}/{container}", get(logs::container_logs))
        // A WebSocket begins with GET in HTTP/1.1 and with CONNECT in HTTP/2.
        .route("/attach/{namespace}/{pod}/{container}", any(attach::attach))
        .layer(axum::middleware::from_fn(identified))
        .with_state(api)
}

/// Answers a request under the id that the API server gave it, so that one word finds it in the logs of both.
async fn identified(request: Request, next: Next) -> Response {
    let id = request.headers().get(tunnel::AUDIT_ID).and_then(|id| id.to_str().ok()).unwrap_or("none").to_owned();
    let span = tracing::info_span!("request", id, method = %request.method(), path = request.uri().path());
    async {
        let response = next.run(request).await;
        tracing::debug!(code = response.status().as_u16(), "answered");
        response
    }
    .instrument(span)
    .await
}

async fn pods(State(api): State<Api>) -> Response {
    let items: Vec<_> = api.table.pods().iter().filter_map(|pod| serde_json::to_value(&**pod).ok()).collect();
    axum::Json(json!({"apiVersion": "v1", "kind": "PodList", "metadata": {}, "items": items})).into_response()
}

impl Api {
    /// The pod of this name, and its container of that one.
    async fn find(&self, namespace: &str, pod: &str, container: &str) -> Result<(View, Container), Error> {
        let no_pod = || Error::NoPod { namespace: namespace.to_owned(), name: pod.to_owned() };
        let view = self.table.look(namespace, pod).await.ok_or_else(no_pod)?;
        let found = view.container(container).cloned();
        let no_container = || Error::NoContainer { container: container.to_owned(), pod: pod.to_owned() };
        let found = found.ok_or_else(no_container)?;
        Ok((view, found))
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let code = match &self {
            Self::NoPod { .. } | Self::NoContainer { .. } => StatusCode::NOT_FOUND,
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        (code, self.to_string()).into_response()
    }
}
