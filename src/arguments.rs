//! The command line, read once.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Kubernetes for WebAssembly, in one binary.
///
/// `minke up` starts a whole cluster; any Kubernetes client then drives it, kubectl first of all.
#[derive(Debug, Parser)]
#[command(name = "minke", version, arg_required_else_help = true)]
pub struct Arguments {
    /// What our own process says.
    #[command(flatten)]
    pub logging: Logging,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start a whole cluster in this process.
    ///
    /// The first start makes a data directory with keys, a store and a kubeconfig; later ones go on where the last one
    /// ended.
    Up(Up),
    /// Print the version.
    Version,
}

/// Options of `minke up`.
#[derive(Args, Clone, Debug)]
pub struct Up {
    /// Where everything is kept; the default is `minke` in the user's data directory.
    #[arg(long, value_name = "DIR", env = "MINKE_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
    /// Where the API server listens.
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:6443")]
    pub listen: SocketAddr,
    /// A further DNS name or address under which the server is reached; may be given several times.
    #[arg(long = "tls-san", value_name = "NAME")]
    pub tls_sans: Vec<String>,
}

/// Options of our own log.
#[derive(Args, Clone, Debug)]
pub struct Logging {
    /// How log lines look.
    #[arg(long, value_enum, default_value = "text", global = true)]
    pub log_format: LogFormat,
    /// Which log lines there are: `error`, `warn`, `info`, `debug`, `trace`, or a filter such as `info,store=debug`.
    #[arg(long, value_name = "LEVEL", default_value = "info", global = true)]
    pub log_level: String,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs: an object a line.
    Json,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
