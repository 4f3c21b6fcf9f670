//! The project's verbs in plain Rust, so that setting up is one command.
//!
//! ```text
//! cargo xtask test [ARGS]     makes the guests ready, then runs every test (nextest if it is there)
//! cargo xtask guests [--all]  builds the guest programs and fetches those by others; with --all builds more of them
//! cargo xtask crash [ROUNDS]  kills a cluster under load again and again, and looks for what was lost
//! cargo xtask bench [NAME]    measures, prints tables and keeps them as JSON; `soak` takes a number of minutes, too
//! cargo xtask fuzz [TARGET] [SECONDS]    looks for inputs that break a law, a minute for each target
//! ```
//!
//! Reading order: this file, then [`guests`] (programs for tests), [`toolchain`] (what builds them) and [`fuzz`].

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this program talks to a person")]

mod fuzz;
mod guests;
mod toolchain;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Why a verb failed, in one sentence that says what to do.
type Result<T> = std::result::Result<T, String>;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match args.as_slice() {
        ["test", rest @ ..] => test(rest),
        ["guests"] => guests::ready(),
        ["guests", "--all"] => guests::ready().and_then(|()| guests::build_slow()),
        ["crash"] => crash("50"),
        ["crash", rounds] => crash(rounds),
        ["bench", rest @ ..] => bench(rest),
        ["fuzz", rest @ ..] => fuzz::fuzz(rest),
        _ => Err("usage: cargo xtask test [ARGS] | guests [--all] | crash [ROUNDS] | bench [NAME] | \
                  fuzz [TARGET] [SECONDS]"
            .into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs every test of the workspace.
fn test(args: &[&str]) -> Result<()> {
    guests::ready()?;
    let mut cargo = cargo();
    if succeeds(Command::new("cargo").args(["nextest", "--version"])) {
        cargo.args(["nextest", "run", "--workspace", "--no-fail-fast"]);
    } else {
        cargo.args(["test", "--workspace"]);
    }
    if guests::has_slow() {
        cargo.args(["--features", "minke/slow-programs"]);
    } else {
        println!("without the tests of SQLite and coreutils; to have them: cargo xtask guests --all");
    }
    run(cargo.args(args))
}

/// Runs the crash test for more rounds than the tests do. `MINKE_CRASH_SEED` repeats a run.
fn crash(rounds: &str) -> Result<()> {
    guests::ready()?;
    let test = ["test", "--package", "minke", "--test", "cluster", "--", "crash::", "--nocapture"];
    run(cargo().args(test).env("MINKE_CRASH_ROUNDS", rounds))
}

/// Runs a benchmark of the product, built for release.
fn bench(args: &[&str]) -> Result<()> {
    guests::ready()?;
    // Both in one build, so that the features of what they share are the same; the bench finds the product beside itself.
    run(cargo().args(["build", "--release", "--package", "bench", "--package", "minke"]))?;
    let own = std::env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
    let target = own.ancestors().nth(2).ok_or("this program lies in no target folder")?;
    run(Command::new(target.join("release/bench")).args(args))
}

/// The project's root, where this program was built from.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap_or(Path::new("."))
}

/// Where things that take long to make are kept between checkouts: `MINKE_CACHE`, or `minke` in the user's cache.
pub(crate) fn cache() -> PathBuf {
    let home = || std::env::home_dir().unwrap_or_else(|| PathBuf::from(".")).join(".cache");
    let user = || std::env::var_os("XDG_CACHE_HOME").map_or_else(home, PathBuf::from).join("minke");
    std::env::var_os("MINKE_CACHE").map_or_else(user, PathBuf::from)
}

/// Cargo, in the project's root.
fn cargo() -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(root());
    command
}

/// Runs a command with its output shown.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().map_err(|error| format!("cannot start {command:?}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{command:?} ended with {status}")) }
}

/// Whether a command can be run and succeeds; its output is not shown.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}
