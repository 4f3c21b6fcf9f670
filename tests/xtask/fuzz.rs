//! Fuzzing: each target of `fuzz/` for a while, one after another.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::{Result, root, run, succeeds};

/// How long each target runs where nobody says it, in seconds.
const SECONDS: &str = "60";

/// How long one input may take, in seconds: what runs longer than this has no bound. An expression that spends its whole
/// budget takes 3 to 5 s under a sanitizer, more where others work.
const INPUT_SECONDS_MAX: u32 = 30;

/// How long inputs are, in bytes. Longer ones find little more and are slow.
const INPUT_BYTES_MAX: u32 = 4096;

/// Runs the target that is named, or all of them, for so many seconds each: `[TARGET] [SECONDS]`.
pub(crate) fn fuzz(args: &[&str]) -> Result<()> {
    let (target, seconds) = match args {
        [] => (None, SECONDS),
        [seconds] if seconds.parse::<u32>().is_ok() => (None, *seconds),
        [target] => (Some(*target), SECONDS),
        [target, seconds] if seconds.parse::<u32>().is_ok() => (Some(*target), *seconds),
        _ => return Err("usage: cargo xtask fuzz [TARGET] [SECONDS]".into()),
    };
    let targets = targets()?;
    if let Some(unknown) = target.filter(|target| !targets.iter().any(|known| known == target)) {
        return Err(format!("no target is called {unknown}; there are {}", targets.join(", ")));
    }
    if !succeeds(Command::new("cargo").args(["fuzz", "--version"])) {
        return Err("fuzzing needs cargo-fuzz and a C++ compiler; to have it: cargo install cargo-fuzz --locked".into());
    }
    let mut chosen = targets.iter().filter(|known| target.is_none_or(|target| target == known.as_str()));
    chosen.try_for_each(|target| fuzz_one(target, seconds))
}

/// The targets, by their files.
fn targets() -> Result<Vec<String>> {
    let folder = folder().join("targets");
    let listed = fs::read_dir(&folder).map_err(|error| format!("cannot read {}: {error}", folder.display()))?;
    let files = listed.filter_map(|file| Some(file.ok()?.path()));
    let mut names: Vec<String> = files.filter_map(|file| Some(file.file_stem()?.to_str()?.to_owned())).collect();
    names.sort();
    Ok(names)
}

fn folder() -> PathBuf {
    root().join("fuzz")
}

/// Runs one target; what it finds is kept in `fuzz/corpus`, which is no part of the project.
fn fuzz_one(target: &str, seconds: &str) -> Result<()> {
    println!("fuzzing {target} for {seconds} s");
    let (corpus, seeds) = (folder().join("corpus").join(target), folder().join("seeds").join(target));
    fs::create_dir_all(&corpus).map_err(|error| format!("cannot create {}: {error}", corpus.display()))?;
    let mut cargo = Command::new("cargo");
    cargo.current_dir(root());
    // Only a nightly compiler has sanitizers.
    if succeeds(Command::new("cargo").args(["+nightly", "--version"])) {
        cargo.args(["+nightly", "fuzz", "run"]);
    } else {
        cargo.args(["fuzz", "run", "--sanitizer", "none"]);
    }
    cargo.arg(target).arg(&corpus).arg(&seeds).arg("--");
    let words = folder().join("words").join(format!("{target}.dict"));
    if words.exists() {
        cargo.arg(format!("-dict={}", words.display()));
    }
    cargo.arg(format!("-max_total_time={seconds}")).arg(format!("-max_len={INPUT_BYTES_MAX}"));
    cargo.arg(format!("-timeout={INPUT_SECONDS_MAX}")).arg("-print_final_stats=1");
    let before = newest_artifact(target);
    run(&mut cargo).map_err(|_| match newest_artifact(target).filter(|found| before.as_ref() != Some(found)) {
        Some(artifact) => format!("{target} found {}: make it a seed, and the fix's test", artifact.display()),
        None => format!("{target} could not be run to its end"),
    })
}

/// What a target found last.
fn newest_artifact(target: &str) -> Option<PathBuf> {
    let files = fs::read_dir(folder().join("artifacts").join(target)).ok()?.filter_map(std::result::Result::ok);
    files.max_by_key(|file| file.metadata().and_then(|data| data.modified()).ok()).map(|file| file.path())
}
