//! Commands that only speak to a server: `run`, `push`, `token`, `user`, `backup`.
//!
//! Each is a file with its options and one function. A command finds its server as kubectl does ([`connect`]), writes
//! what programs may read to standard output and what people want to know to standard error ([`terminal`]). This floor
//! must never start a part of a cluster.
//!
//! Reading order: [`connect`], [`mod@run`] with `attend` (what becomes of the pod), `attach` (its input) and `stage` (the
//! pure half), then the others.

pub mod backup;
pub mod connect;
pub mod push;
pub mod run;
pub mod terminal;
pub mod token;
pub mod user;
pub mod version;

mod attach;
mod attend;
mod input;
mod stage;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod upload;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;

use crate::terminal::Terminal;

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Run a WebAssembly program as a pod: upload it, follow its log, and end with its exit code.
    ///
    /// A wasi:http component is kept running, and its URL is printed instead.
    Run(run::Options),
    /// Store a WebAssembly program in a registry, for pods to name as their image.
    Push(push::Options),
    /// Make, list and revoke the tokens by which nodes join and registry clients log in.
    #[command(subcommand)]
    Token(token::Command),
    /// Make people known to the cluster.
    #[command(subcommand)]
    User(user::Command),
    /// Copy the store of the running server to a file, from which `minke up --restore FILE` begins again.
    Backup(backup::Options),
}

/// Does what a command says. `home` is the kubeconfig of the cluster in the default data directory.
///
/// # Errors
/// When it cannot be done; the message says what to do.
pub async fn run(command: Command, home: Option<PathBuf>) -> Result<ExitCode> {
    let mut terminal = Terminal::standard();
    match command {
        Command::Run(options) => run::run(options, home, &mut terminal).await,
        Command::Push(options) => push::run(options, home, &mut terminal).await,
        Command::Token(command) => token::run(command, home, &mut terminal).await,
        Command::User(command) => user::run(command, home, &mut terminal).await,
        Command::Backup(options) => backup::run(options, home, &mut terminal).await,
    }
}
