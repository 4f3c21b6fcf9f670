//! Prints what a fresh sandbox costs beside bare wasmtime, in microseconds, for each engine profile.
//!
//! `cargo run --release -p runtime --example sandbox_cost [MODULE.wasm] [ROUNDS]`; without a module, a hello in text.

#![expect(clippy::print_stdout, reason = "a program for people")]

use std::path::PathBuf;

use runtime::{Compiler, Options, Profile, Runtime, cost};

/// Prints one line and ends.
const HELLO: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "\08\00\00\00\10\00\00\00hello from wasm\n")
    (func (export "_start")
        (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 100)))))"#;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

#[tokio::main]
async fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let folder = tempfile::tempdir()?;
    let wasm = match args.next() {
        Some(path) => PathBuf::from(path),
        None => {
            let path = folder.path().join("hello.wasm");
            std::fs::write(&path, wat::parse_str(HELLO)?)?;
            path
        }
    };
    let rounds = args.next().map_or(Ok(20_000), |rounds| rounds.parse())?;
    let mut options = Options::new(folder.path().join("code"), Compiler::InProcess);
    options.threads = 1;
    options.preview3 = true;
    let runtime = Runtime::start(options)?;
    println!(
        "{:<14}{:>10}{:>12}{:>8}{:>10}{:>12}",
        "profile", "bare µs", "sandbox µs", "ratio", "cpu µs", "latency µs"
    );
    for profile in Profile::ALL {
        let cost = cost::measure(&runtime, &wasm, profile, rounds).await?;
        let [bare, sandbox, cpu, latency] =
            [cost.bare, cost.sandbox, cost.cpu, cost.latency].map(|time| time.as_secs_f64() * 1e6);
        let (name, ratio) = (profile.name(), sandbox / bare);
        println!("{name:<14}{bare:>10.1}{sandbox:>12.1}{ratio:>8.2}{cpu:>10.1}{latency:>12.1}");
    }
    Ok(())
}
