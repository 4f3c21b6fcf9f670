//! `/version`: which Kubernetes this is.

use serde_json::{Value, json};

/// The minor version of Kubernetes whose API is served.
pub const KUBERNETES_MINOR: &str = "36";

/// `v1.36.2+minke.0.1.0`: upstream's version and ours.
#[must_use]
pub fn git_version(minke: &str) -> String {
    format!("v1.{KUBERNETES_MINOR}.2+minke.{minke}")
}

/// The document at `/version`.
#[must_use]
pub fn document(minke: &str) -> Value {
    json!({
        "major": "1", "minor": KUBERNETES_MINOR,
        "emulationMajor": "1", "emulationMinor": KUBERNETES_MINOR,
        "minCompatibilityMajor": "1", "minCompatibilityMinor": "35",
        "gitVersion": git_version(minke), "gitCommit": "", "gitTreeState": "clean", "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "none (Rust)", "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, go_arch()),
    })
}

/// The machine's architecture in Go's words, as node labels and platforms have it.
#[must_use]
pub fn go_arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
