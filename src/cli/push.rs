//! `minke push`: a program becomes an artifact in a registry.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Error, Result};
use clap::Args;
use images::credentials::Keyring;
use images::inspect::text;
use images::push;
use images::reference::BUILT_IN_REGISTRY;
use images::{Pusher, Reference, distribution};
use tempfile::NamedTempFile;

use crate::connect::{self, Connection, connect};
use crate::terminal::Terminal;

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
    let cluster = if is_elsewhere(&options.name) { None } else { Some(connect(&options.server, home).await?) };
    let namespace = cluster.as_ref().map(|cluster| cluster.namespace.as_str()).unwrap_or_default();
    let reference = Reference::parse(&full(&options.name, namespace))?;
    let registries = match &cluster {
        Some(cluster) => cluster.registry()?,
        None => distribution::Options::default(),
    };
    let converted = converted(&options.file)?;
    let path = converted.as_ref().map_or(options.file.as_path(), |file| file.path());
    let spinner = terminal.spinner(&format!("pushing {reference}"));
    let pushed = Pusher::new(registries).push(&reference, path, &keyring()?).await;
    spinner.finish_and_clear();
    let pushed = pushed.map_err(|error| explain(error, cluster.as_ref()))?;
    terminal.say(&reference.at(&pushed.digest))?;
    terminal.hint("Name it as the image of a pod's container.");
    Ok(ExitCode::SUCCESS)
}

/// An error of a push, with what to do where the cluster's registry did not answer.
fn explain(error: push::Error, cluster: Option<&Connection>) -> Error {
    match (cluster, &error) {
        (Some(cluster), push::Error::Registry(distribution::Error::Unreachable { .. })) => {
            cluster.unreachable(error.into())
        }
        _ => error.into(),
    }
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

/// The registry that a name begins with, if it does, told from a namespace as docker does.
fn registry(name: &str) -> Option<&str> {
    let (first, _) = name.split_once('/')?;
    (first.contains(['.', ':']) || first == "localhost").then_some(first)
}

/// Whether a name is one in a registry outside the cluster, for which no cluster is needed.
fn is_elsewhere(name: &str) -> bool {
    registry(name).is_some_and(|registry| registry != BUILT_IN_REGISTRY)
}

/// A name without a registry is one in the cluster's own; there, one without a namespace is in ours.
fn full(name: &str, namespace: &str) -> String {
    match (registry(name), name.contains('/')) {
        (Some(_), _) => name.to_owned(),
        (None, true) => format!("{BUILT_IN_REGISTRY}/{name}"),
        (None, false) => format!("{BUILT_IN_REGISTRY}/{namespace}/{name}"),
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

    #[test]
    fn a_cluster_is_needed_for_its_own_registry_alone() {
        for (name, expected) in [
            ("web", false),
            ("other/web", false),
            ("registry.minke.local/shop/web", false),
            ("ghcr.io/me/web:v1", true),
            ("localhost:5000/web", true),
        ] {
            assert_eq!(is_elsewhere(name), expected, "{name}");
        }
    }
}
