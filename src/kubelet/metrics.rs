//! `/metrics` of a node: pods, compiled code, images, and the bounds on them; under upstream's names where it has one.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::daemon::Daemon;
use crate::pods::table::Table;

/// Registers what a process takes of its machine, which the roof knows to measure.
pub type OfProcess = fn(&mut Registry);

/// What the node measures.
pub(crate) struct Metrics {
    pub(crate) daemon: Arc<Daemon>,
    pub(crate) table: Table,
    pub(crate) of_process: OfProcess,
}

impl Metrics {
    /// The answer at `/metrics`.
    pub(crate) fn serve(&self) -> Response {
        let mut registry = Registry::default();
        self.register(&mut registry);
        (self.of_process)(&mut registry);
        let mut text = String::new();
        // Writing into a string cannot fail.
        let _ = encode(&mut text, &registry);
        ([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response()
    }

    /// Registers all but what is the whole process's.
    pub(crate) fn register(&self, registry: &mut Registry) {
        self.register_pods(registry);
        self.register_code(registry);
        if self.daemon.options.owns_image_store {
            self.register_images(registry);
        }
    }

    fn register_pods(&self, registry: &mut Registry) {
        let options = &self.daemon.options;
        let logs = options.log_limits;
        for (name, help, value) in [
            ("kubelet_running_pods", "Pods that have a worker", self.table.len() as u64),
            ("kubelet_working_pods", "Pods that the node knows", self.table.pods().len() as u64),
            ("minke_node_max_pods", "The bound on pods at once", options.max_pods as u64),
            ("minke_container_log_max_bytes", "Size at which a container's log is rotated", logs.segment_bytes),
            ("minke_container_log_max_files", "Files that are kept of one log", logs.segments.into()),
            ("minke_dead_containers_max", "Earlier runs of a container that are kept", logs.dead_runs.into()),
        ] {
            gauge(registry, name, help, value);
        }
    }

    fn register_code(&self, registry: &mut Registry) {
        let runtime = self.daemon.runtime.metrics();
        for (name, help, value) in [
            ("code_cache_bytes", "Compiled code on disk", runtime.cache_bytes),
            ("code_cache_max_bytes", "Its bound", runtime.cache_max_bytes),
            ("compilations", "Compilations that ended since the start", runtime.compilations),
            ("failed_compilations", "Those of them that gave no code", runtime.failed_compilations),
            ("compile_timeout_seconds", "The bound on the time of one", runtime.compile_deadline.as_secs()),
            ("compile_max_memory_bytes", "The bound on the memory of one", runtime.compile_memory_bytes),
            ("guest_mappings", "Memory mappings of guests and their code", runtime.mappings as u64),
            ("guest_mappings_max", "Their bound", runtime.mappings_max as u64),
        ] {
            gauge(registry, &format!("minke_{name}"), help, value);
        }
    }

    fn register_images(&self, registry: &mut Registry) {
        let (images, artifact_max) = self.daemon.pulls.metrics();
        for (name, help, value) in [
            ("pulled", "Images that are here", images.pulled),
            ("bytes", "What they and their parts count against their bound", images.bytes),
            ("max_bytes", "Their bound", images.bytes_max),
            ("artifact_max_bytes", "The bound on one part", artifact_max),
            ("incoming_bytes", "Bytes of unfinished pulls", images.incoming_bytes),
            ("removed_blobs", "Parts removed for space since the start", images.removed_blobs),
            ("removed_bytes", "Bytes removed for space since the start", images.removed_bytes),
        ] {
            gauge(registry, &format!("minke_images_{name}"), help, value);
        }
    }
}

fn gauge(registry: &mut Registry, name: &str, help: &str, value: u64) {
    let gauge = Gauge::<f64, AtomicU64>::default();
    #[expect(clippy::cast_precision_loss, reason = "a metric")]
    gauge.set(value as f64);
    registry.register(name, help, gauge);
}
