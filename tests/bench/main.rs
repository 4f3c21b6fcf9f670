//! Measures the product on this machine, beside the numbers that its design is for.
//!
//! ```text
//! cargo xtask bench             every case but the soak, about twelve minutes
//! cargo xtask bench writes      one case
//! cargo xtask bench soak 120    the soak, for two hours; without a number, half an hour
//! ```
//!
//! It starts the real `minke` that was built beside it, drives it over TLS as any client does, and prints one table; the
//! same numbers are kept as JSON in `target/bench/`. It judges nothing: a miss is a line in the table, and its cause
//! belongs into `docs/benchmarks.md`.
//!
//! What the numbers cannot hide: client and server share the machine, so on few cores a rate over the wire is that of
//! both together. Where it matters the server's own CPU time is printed beside it.
//!
//! Reading order: [`case`] (what is measured, a file each below it), [`report`] (rows), then the tools: [`cluster`]
//! (processes of `minke`), [`upstream`] (those of etcd and kube-apiserver), [`peer`] (either), [`connection`] (HTTP over TLS), [`objects`], [`pods`], [`usage`] (what a process takes), [`commits`],
//! [`machine`], [`samples`].

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this program talks to a person")]

mod case;
mod cluster;
mod commits;
mod connection;
mod machine;
mod objects;
mod peer;
mod pods;
mod report;
mod samples;
mod upstream;
mod usage;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use base::clock::{self, Instant};
use base::files;
use serde_json::json;

use crate::report::Row;
use crate::samples::Samples;

/// Where things are, and what they are measured against.
pub(crate) struct Bench {
    /// The program under test.
    pub(crate) minke: PathBuf,
    /// Where guest programs are.
    pub(crate) guests: PathBuf,
    /// Where clusters have their data, on the disk of the target folder.
    pub(crate) folder: PathBuf,
    /// What one durable commit takes on that disk.
    pub(crate) commit: Samples,
    /// How many minutes the soak lasts.
    pub(crate) minutes: usize,
}

/// How many minutes the soak lasts if nobody says it: what is kept for some minutes was let go several times by then.
const MINUTES: usize = 30;

#[tokio::main]
async fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    match run(args.next(), args.next()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs one case or all; false if one could not be measured.
async fn run(name: Option<String>, minutes: Option<String>) -> Result<bool> {
    let cases: Vec<_> = match &name {
        None => case::ALL.iter().collect(),
        Some(name) => case::ALL.iter().chain(&case::LONG).filter(|case| case.name == name).collect(),
    };
    if cases.is_empty() {
        let names: Vec<&str> = case::ALL.iter().chain(&case::LONG).map(|case| case.name).collect();
        bail!("no case {}; there are: {}", name.unwrap_or_default(), names.join(", "));
    }
    let minutes = match minutes {
        Some(minutes) => minutes.parse().with_context(|| format!("{minutes} is no number of minutes"))?,
        None => MINUTES,
    };
    let bench = Bench::prepare(minutes).await?;
    let facts = machine::facts(&bench)?;
    facts.iter().for_each(|(name, value)| println!("{name:<12}{value}"));
    println!();
    let mut rows = Vec::new();
    let mut is_whole = true;
    for case in cases {
        let started = Instant::now();
        eprintln!("{}: {}", case.name, case.about);
        match (case.measure)(&bench).await {
            Ok(measured) => rows.extend(measured),
            Err(error) => {
                is_whole = false;
                rows.push(Row::failed(case.name, &error));
            }
        }
        eprintln!("{}: {:.0} s", case.name, started.elapsed().as_secs_f64());
    }
    println!("{}", report::table(&rows));
    let path = bench.folder.join(format!("{:.0}.json", clock::now_seconds()).replace(':', ""));
    let facts: serde_json::Map<_, _> = facts.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
    let kept = json!({"machine": facts, "rows": rows});
    files::write(&path, &serde_json::to_vec_pretty(&kept)?, files::Access::Public)?;
    println!("kept in {}", path.display());
    Ok(is_whole)
}

impl Bench {
    async fn prepare(minutes: usize) -> Result<Self> {
        let own = std::env::current_exe()?;
        let built = own.parent().context("this program lies in no folder")?;
        let minke = built.join("minke");
        let guests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/guests");
        for (path, make) in [(&minke, "cargo build --release"), (&guests, "cargo xtask guests")] {
            if !path.exists() {
                bail!("{} is not there: {make} makes it", path.display());
            }
        }
        let folder = built.parent().context("the target folder lies in no folder")?.join("bench");
        files::make_folder(&folder, files::Access::Public)?;
        let commit = commits::measure(&folder).await?;
        Ok(Self { minke, guests, folder, commit, minutes })
    }

    /// A guest program.
    pub(crate) fn guest(&self, name: &str) -> PathBuf {
        self.guests.join(format!("{name}.wasm"))
    }
}
