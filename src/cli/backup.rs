//! `minke backup`: the store of a running server, as a file.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::connect::{self, connect};
use crate::terminal::Terminal;

/// Where the server hands out its store.
const PATH: &str = "/apis/run.minke.dev/v1/backup";

/// Options of `minke backup`.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// The file to write.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Replace a file that is there.
    #[arg(long)]
    pub force: bool,
    /// The server.
    #[command(flatten)]
    pub server: connect::Options,
}

/// Writes the backup. The file is there whole or not at all.
///
/// # Errors
/// When the server refuses, or the file cannot be written.
pub async fn run(options: Options, home: Option<PathBuf>, terminal: &mut Terminal) -> Result<ExitCode> {
    let connection = connect(&options.server, home).await?;
    let path = std::path::absolute(&options.file)?;
    let at = || path.display().to_string();
    if path.exists() && !options.force {
        bail!("{} is there already: choose another file, or replace it with --force", at());
    }
    let request = connection.http()?.get(format!("{}{PATH}", connection.url()));
    let mut answer = connect::accepted(connection.send(request).await?).await?;
    let folder = path.parent().with_context(at)?;
    let mut file = tempfile::NamedTempFile::new_in(folder).with_context(at)?;
    let spinner = terminal.spinner("copying the store");
    let mut bytes = 0;
    while let Some(chunk) = answer.chunk().await.context("the backup broke off")? {
        bytes += chunk.len();
        file.write_all(&chunk).with_context(at)?;
    }
    spinner.finish_and_clear();
    file.as_file().sync_all().with_context(at)?;
    // Without --force, a file that came about meanwhile is kept, too.
    let persisted = if options.force { file.persist(&path) } else { file.persist_noclobber(&path) };
    persisted.map_err(|error| error.error).with_context(at)?;
    std::fs::File::open(folder).and_then(|folder| folder.sync_all()).with_context(at)?;
    terminal.say(&format!("{bytes} bytes in {}; begin again from them with: minke up --restore {}", at(), at()))?;
    Ok(ExitCode::SUCCESS)
}
