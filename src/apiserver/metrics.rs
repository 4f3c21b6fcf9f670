//! `/metrics` in Prometheus' text, under upstream's names where upstream has one.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
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

/// The server's own counts; cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    requests: Family<RequestLabels, Counter>,
    durations: Family<DurationLabels, Histogram>,
    registry: Arc<Registry>,
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
        Self { requests, durations, registry: Arc::new(registry) }
    }
}

impl Metrics {
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

/// What is read off the server at this moment: the store, objects and watchers.
fn state(server: &ApiServer) -> String {
    let mut registry = Registry::default();
    let gauge = |registry: &mut Registry, name: &str, help: &str, value: u64| {
        let gauge = Gauge::<f64, AtomicU64>::default();
        #[expect(clippy::cast_precision_loss, reason = "a metric")]
        gauge.set(value as f64);
        registry.register(name, help, gauge);
    };
    let store = server.objects().store().metrics();
    gauge(&mut registry, "minke_store_commits", "Transactions of the store that reached the disk", store.commits);
    gauge(&mut registry, "minke_store_writes", "Writes that were acknowledged", store.writes);
    gauge(&mut registry, "minke_store_keys", "Objects in the store", store.keys);
    gauge(&mut registry, "minke_store_file_bytes", "Size of the store's file", store.file_bytes);

    let objects = Family::<ResourceLabels, Gauge>::default();
    let watchers = Family::<ResourceLabels, Gauge>::default();
    for cache in server.objects().caches().all() {
        let labels = ResourceLabels { resource: cache.resource().plural.to_string() };
        let (stored, watching) = cache.counts();
        objects.get_or_create(&labels).set(i64::try_from(stored).unwrap_or(i64::MAX));
        watchers.get_or_create(&labels).set(i64::try_from(watching).unwrap_or(i64::MAX));
    }
    registry.register("apiserver_storage_objects", "Objects by resource", objects);
    registry.register("apiserver_registered_watchers", "Watches by resource", watchers);
    let mut text = String::new();
    let _ = encode(&mut text, &registry);
    text
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct ResourceLabels {
    resource: String,
}
