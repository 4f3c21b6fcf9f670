//! `minke version`: ours, and that of the server if there is one.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use tokio::time::timeout;

use crate::connect::{self, connect};
use crate::terminal::Terminal;

/// How long the server may take to say its version. Ours is said in any case, so it is not worth a long wait.
const ANSWER_DEADLINE: Duration = Duration::from_secs(5);

/// Options of `minke version`.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Print our own version only, and ask no server.
    #[arg(long)]
    pub client: bool,
    /// The server.
    #[command(flatten)]
    pub server: connect::Options,
}

/// Prints `own`, the version of this program, and the server's. A server that is not there is no error: what it is
/// that runs here can be asked for without one.
///
/// # Errors
/// When nobody reads what is printed.
pub async fn run(options: Options, own: &str, home: Option<PathBuf>, terminal: &mut Terminal) -> Result<ExitCode> {
    terminal.say(&format!("minke {own}"))?;
    if options.client {
        return Ok(ExitCode::SUCCESS);
    }
    let asked = async {
        let connection = connect(&options.server, home).await?;
        let version = connection.client.apiserver_version().await.map_err(|error| connection.explain(error))?;
        Ok::<_, anyhow::Error>(format!("server {} at {}", version.git_version, connection.url()))
    };
    match timeout(ANSWER_DEADLINE, asked).await {
        Ok(Ok(line)) => terminal.say(&line)?,
        Ok(Err(error)) => terminal.tell(&format!("no server: {error}")),
        Err(_) => terminal.tell(&format!("no server: it did not answer within {ANSWER_DEADLINE:?}")),
    }
    Ok(ExitCode::SUCCESS)
}
