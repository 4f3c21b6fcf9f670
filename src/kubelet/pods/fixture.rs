//! Pods and facts for the tests of this folder.

use ::images::ImageConfig;
use base::clock::Instant;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::state::{Present, State, Terminated};

/// A date to be read, not computed with.
pub(crate) fn date() -> Timestamp {
    "2026-01-02T03:04:05Z".parse().unwrap()
}

/// The pod `default/web` of this spec, bound to the node `n1`.
pub(crate) fn pod(mut spec: Value) -> Pod {
    spec["nodeName"] = json!("n1");
    serde_json::from_value(json!({
        "metadata": {"name": "web", "namespace": "default", "uid": "u-1", "generation": 3},
        "spec": spec,
    }))
    .unwrap()
}

/// Its state when just seen.
pub(crate) fn state(pod: &Pod, now: Instant) -> State {
    State::new(pod, date(), now)
}

/// An image that is here.
pub(crate) fn image() -> Present {
    Present {
        id: "registry.example/web@sha256:aa".to_owned(),
        name: "web".to_owned(),
        digest: "sha256:bb".to_owned(),
        path: "web.wasm".into(),
        config: ImageConfig::default(),
        kept: Box::new(()),
    }
}

/// An exit with this code.
pub(crate) fn terminated(exit_code: i32) -> Terminated {
    Terminated {
        exit_code,
        reason: if exit_code == 0 { "Completed" } else { "Error" }.to_owned(),
        message: None,
        started_at: Some(date()),
        finished_at: date(),
        run: 0,
    }
}
