//! Where a cluster is kept when nobody says where.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

/// The folder that was asked for, or `minke` in the user's data directory (`XDG_DATA_HOME`, else `~/.local/share`).
pub(crate) fn choose(asked: Option<PathBuf>) -> Result<PathBuf> {
    if let Some(asked) = asked {
        return std::path::absolute(&asked).with_context(|| format!("--data-dir {}", asked.display()));
    }
    if let Some(data) = std::env::var_os("XDG_DATA_HOME").filter(|data| !data.is_empty()) {
        return Ok(PathBuf::from(data).join("minke"));
    }
    let home =
        std::env::home_dir().context("there is no home directory: say where to keep the cluster with --data-dir")?;
    Ok(home.join(".local/share/minke"))
}
