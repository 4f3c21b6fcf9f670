//! `/metrics` in Prometheus' text, under upstream's names where upstream has one.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use http::Response;
use http::header::{CONTENT_TYPE, HeaderValue};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::server::ApiServer;
use crate::version;

/// Upper bounds of request durations in seconds, upstream's without the longest.
const DURATION_BUCKETS: [f64; 14] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3.0, 10.0, 30.0];

/// By what requests are counted. Resources and verbs are those of the table, codes those of HTTP, so there are few.
#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct RequestLabels {
    verb: &'static str,
    resource: String,
    code: u16,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct DurationLabels {
    verb: &'static str,
    resource: String,
}

/// Registers what it measures, as it is at that moment.
pub type Source = Box<dyn Fn(&mut Registry) + Send + Sync>;

/// The server's own counts; cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    requests: Family<RequestLabels, Counter>,
    durations: Family<DurationLabels, Histogram>,
    failed_handshakes: Counter,
    registry: Arc<Registry>,
    others: Arc<Mutex<Vec<Source>>>,
}

impl Default for Metrics {
    fn default() -> Self {
        let requests = Family::<RequestLabels, Counter>::default();
        let durations = Family::<DurationLabels, Histogram>::new_with_constructor(|| Histogram::new(DURATION_BUCKETS));
        let mut registry = Registry::default();
        registry.register("apiserver_request", "Requests by verb, resource and code", requests.clone());
        registry.register(
            "apiserver_request_duration_seconds",
            "Time to the beginning of the answer, watches left out",
            durations.clone(),
        );
        let failed_handshakes = Counter::default();
        registry.register(
            "apiserver_tls_handshake_errors",
            "Connections whose TLS handshake failed or took too long",
            failed_handshakes.clone(),
        );
        Self { requests, durations, failed_handshakes, registry: Arc::new(registry), others: Arc::default() }
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// Shows at `/metrics` what `source` measures, too.
    pub(crate) fn add(&self, source: Source) {
        self.others.lock().unwrap_or_else(PoisonError::into_inner).push(source);
    }

    /// Counts a connection that did not come to speak TLS.
    pub(crate) fn count_failed_handshake(&self) {
        self.failed_handshakes.inc();
    }

    /// Counts a request that was answered.
    pub(crate) fn count(&self, verb: &'static str, resource: &str, code: u16, took: Duration) {
        self.requests.get_or_create(&RequestLabels { verb, resource: resource.to_owned(), code }).inc();
        if verb != "watch" {
            let labels = DurationLabels { verb, resource: resource.to_owned() };
            self.durations.get_or_create(&labels).observe(took.as_secs_f64());
        }
    }
}

/// The answer at `/metrics`.
pub(crate) fn serve(server: &ApiServer) -> Response<Body> {
    let mut text = String::new();
    // Writing into a string cannot fail; what is missing in the text is seen by whoever reads it.
    let _ = encode(&mut text, &server.metrics().registry);
    let text = text.trim_end_matches("# EOF\n").to_owned() + &state(server);
    let mut response = Response::new(Body::from(text));
    let kind = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// What is read off the server at this moment: the store, objects and watchers, limits, artifacts, the process.
fn state(server: &ApiServer) -> String {
    let mut registry = Registry::default();
    let store = server.objects().store().metrics();
    gauge(&mut registry, "minke_store_commits", "Transactions of the store that reached the disk", store.commits);
    gauge(&mut registry, "minke_store_writes", "Writes that were acknowledged", store.writes);
    gauge(&mut registry, "minke_store_keys", "Objects in the store", store.keys);
    gauge(&mut registry, "minke_store_file_bytes", "Size of the store's file", store.file_bytes);
    register_objects(server, &mut registry);
    register_limits(server, &mut registry);
    if let Some(artifacts) = server.registry() {
        register_artifacts(artifacts, &mut registry);
    }
    register_build(server, &mut registry);
    for register in server.metrics().others.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        register(&mut registry);
    }
    let mut text = String::new();
    // As above: writing into a string cannot fail.
    let _ = encode(&mut text, &registry);
    text
}

fn gauge(registry: &mut Registry, name: &str, help: &str, value: u64) {
    let gauge = Gauge::<f64, AtomicU64>::default();
    #[expect(clippy::cast_precision_loss, reason = "a metric")]
    gauge.set(value as f64);
    registry.register(name, help, gauge);
}

fn register_objects(server: &ApiServer, registry: &mut Registry) {
    let objects = Family::<ResourceLabels, Gauge>::default();
    let watchers = Family::<ResourceLabels, Gauge>::default();
    for cache in server.objects().caches().all() {
        let labels = ResourceLabels { resource: cache.resource().plural.to_string() };
        let (stored, watching) = cache.counts();
        objects.get_or_create(&labels).set(whole(stored));
        watchers.get_or_create(&labels).set(whole(watching));
    }
    registry.register("apiserver_storage_objects", "Objects by resource", objects);
    registry.register("apiserver_registered_watchers", "Watches by resource", watchers);
}

fn register_limits(server: &ApiServer, registry: &mut Registry) {
    let limits = server.limits();
    let requests = Family::<RequestKindLabels, Gauge>::default();
    for (request_kind, shares) in [("readOnly", &limits.reads), ("mutating", &limits.writes)] {
        requests.get_or_create(&RequestKindLabels { request_kind }).set(whole(shares.taken()));
    }
    registry.register("apiserver_current_inflight_requests", "Requests under way, lasting ones left out", requests);
    gauge(registry, "minke_request_body_bytes", "Bodies in memory", limits.bodies.taken() as u64);
    gauge(registry, "minke_large_answer_bytes", "Large answers in memory", limits.answers.taken() as u64);
}

fn register_artifacts(artifacts: &crate::registry::Registry, registry: &mut Registry) {
    let content = artifacts.content.metrics();
    let (writes, reads) = artifacts.turns();
    for (name, help, value) in [
        ("blobs", "Blobs of the cluster's registry, manifests included", content.blobs),
        ("bytes", "What they count against their bound", content.bytes),
        ("max_bytes", "Their bound", content.bytes_max),
        ("artifact_max_bytes", "The bound on one artifact", artifacts.content.artifact_bytes_max()),
        ("incoming_bytes", "Bytes of unfinished writes and uploads", content.incoming_bytes),
        ("uploads", "Unfinished uploads", content.uploads),
        ("upload_ttl_seconds", "How long one may rest", artifacts.content.upload_life().as_secs()),
        ("repositories", "Repositories with content", content.repositories),
        ("removed_blobs", "Blobs removed for space since the start", content.removed_blobs),
        ("removed_bytes", "Bytes removed for space since the start", content.removed_bytes),
        ("writing_requests", "Requests that send content at this moment", writes as u64),
        ("reading_requests", "Requests that fetch content at this moment", reads as u64),
    ] {
        gauge(registry, &format!("minke_registry_{name}"), help, value);
    }
}

fn register_build(server: &ApiServer, registry: &mut Registry) {
    let build = Family::<BuildLabels, Gauge>::default();
    let git_version = version::git_version(&server.options().version);
    build.get_or_create(&BuildLabels { git_version }).set(1);
    registry.register("kubernetes_build_info", "The version that is served", build);
}

fn whole(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct RequestKindLabels {
    request_kind: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct BuildLabels {
    git_version: String,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct ResourceLabels {
    resource: String,
}
