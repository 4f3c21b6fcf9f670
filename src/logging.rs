//! Our own log: text for people, JSON for programs, on standard error.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::arguments::{LogFormat, Logging};

/// Starts the log. A filter that cannot be read falls back to `info`, and says so.
pub(crate) fn start(options: &Logging) {
    let (filter, complaint) = match EnvFilter::try_new(&options.log_level) {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new("info"), Some(error)),
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match options.log_format {
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).with_target(false).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    if let Some(error) = complaint.filter(|_| started.is_ok()) {
        tracing::warn!(level = options.log_level, %error, "--log-level cannot be read, `info` is used");
    }
}
