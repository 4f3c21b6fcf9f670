//! `minke push`: a program becomes an artifact in a registry.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Args;
use images::credentials::Keyring;
use images::inspect::text;
use images::{Pusher, Reference};
use tempfile::NamedTempFile;

use crate::connect::{self, connect};
use crate::terminal::Terminal;

/// The cluster's own registry, as pods name it.
const BUILT_IN: &str = "registry.minke.local";

/// Options of `minke push`.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// The program: WebAssembly in its binary or its text form.
    #[arg(value_name = "FILE.wasm|FILE.wat")]
    pub file: PathBuf,
    /// Its name: `NAME` or `NAME:TAG` in the cluster's own registry, `REGISTRY/NAME:TAG` in any other.
    #[arg(value_name = "NAME[:TAG]")]
    pub name: String,
    /// The server.
    #[command(flatten)]
    pub server: connect::Options,
}

/// Pushes the program and prints the name by which pods have it.
///
/// # Errors
/// When it is no program, or the registry refuses it.
pub async fn run(options: Options, home: Option<PathBuf>, terminal: &mut Terminal) -> Result<ExitCode> {
    let connection = connect(&options.server, home).await?;
    let reference = Reference::parse(&full(&options.name, &connection.namespace))?;
    let converted = converted(&options.file)?;
    let path = converted.as_ref().map_or(options.file.as_path(), |file| file.path());
    let spinner = terminal.spinner(&format!("pushing {reference}"));
    let pushed = Pusher::new(connection.registry()?).push(&reference, path, &keyring()?).await;
    spinner.finish_and_clear();
    let pushed = pushed?;
    terminal.say(&reference.at(&pushed.digest))?;
    Ok(ExitCode::SUCCESS)
}

/// The binary form of a program in text form.
fn converted(path: &Path) -> Result<Option<NamedTempFile>> {
    if path.extension().is_none_or(|extension| extension != "wat") {
        return Ok(None);
    }
    let at = || path.display().to_string();
    let binary = text::to_binary(&std::fs::read(path).with_context(at)?).with_context(at)?;
    let mut file = NamedTempFile::new()?;
    file.write_all(&binary)?;
    Ok(Some(file))
}

/// A name without a registry is one in the cluster's own; there, one without a namespace is in ours.
fn full(name: &str, namespace: &str) -> String {
    let first = name.split('/').next().unwrap_or_default();
    let has_registry = name.contains('/') && (first.contains(['.', ':']) || first == "localhost");
    match (has_registry, name.contains('/')) {
        (true, _) => name.to_owned(),
        (false, true) => format!("{BUILT_IN}/{name}"),
        (false, false) => format!("{BUILT_IN}/{namespace}/{name}"),
    }
}

/// What `docker login` and its like have written down.
fn keyring() -> Result<Keyring> {
    let mut keyring = Keyring::empty();
    let folder = std::env::var_os("DOCKER_CONFIG").map(PathBuf::from);
    let folder = folder.or_else(|| Some(std::env::home_dir()?.join(".docker")));
    let Some(path) = folder.map(|folder| folder.join("config.json")) else { return Ok(keyring) };
    if let Some(text) = base::files::read(&path)? {
        keyring
            .add_docker_config_json(text.as_bytes())
            .map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?;
    }
    Ok(keyring)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_name_is_one_in_the_clusters_own_registry() {
        for (name, expected) in [
            ("web", "registry.minke.local/shop/web"),
            ("web:v1", "registry.minke.local/shop/web:v1"),
            ("other/web", "registry.minke.local/other/web"),
            ("ghcr.io/me/web:v1", "ghcr.io/me/web:v1"),
            ("localhost:5000/web", "localhost:5000/web"),
        ] {
            assert_eq!(full(name, "shop"), expected);
        }
    }
}
