//! Sends a program to the API server, which stores it and makes its Pod.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use futures::TryStreamExt as _;
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use indicatif::ProgressBar;
use k8s_openapi::api::core::v1::Pod;
use reqwest::Body;
use tokio::fs::File;
use tokio_util::io::ReaderStream;

use crate::connect::{self, Connection};
use crate::terminal::Terminal;

/// Bytes of the file that are read at once.
const CHUNK_BYTES: usize = 64 << 10;

/// Sends the file at `path` to `target`, a path with its query, and has the Pod made.
///
/// # Errors
/// When the file cannot be read, or the server refuses; the message is the server's.
pub(crate) async fn upload(connection: &Connection, path: &Path, target: &str, terminal: &mut Terminal) -> Result<()> {
    let name = path.display().to_string();
    let file = File::open(path).await.with_context(|| name.clone())?;
    let facts = file.metadata().await.with_context(|| name.clone())?;
    if !facts.is_file() {
        bail!("{name} is no file: name a program, .wasm or .wat");
    }
    let size = facts.len();
    let progress = terminal.progress(&format!("uploading {name}"), size);
    let request = connection.http()?.post(format!("{}{target}", connection.url()));
    let request = request.header(CONTENT_TYPE, "application/wasm").header(CONTENT_LENGTH, size);
    let answer = connection.send(request.body(body(file, progress.clone()))).await;
    progress.finish_and_clear();
    let answer = answer?;
    warn(answer.headers(), terminal);
    let pod = connect::body(connect::accepted(answer).await?).await?;
    serde_json::from_slice(&pod).map(|_: Pod| ()).context("the server's answer is no Pod")
}

fn body(file: File, progress: ProgressBar) -> Body {
    let chunks = ReaderStream::with_capacity(file, CHUNK_BYTES);
    Body::wrap_stream(chunks.inspect_ok(move |chunk| progress.inc(chunk.len() as u64)))
}

/// Passes on what the server warns of (RFC 7234's form, as upstream sends it: `299 - "text"`).
fn warn(headers: &HeaderMap, terminal: &mut Terminal) {
    for warning in headers.get_all("warning") {
        let text = warning.to_str().unwrap_or_default();
        let text = text.split_once('"').and_then(|(_, rest)| rest.rsplit_once('"')).map_or(text, |(text, _)| text);
        terminal.tell(&format!("Warning: {}", text.replace("\\\"", "\"")));
    }
}
