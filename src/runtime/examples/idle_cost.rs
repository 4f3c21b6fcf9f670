//! Prints what a sandbox costs that runs and does nothing: resident memory, mappings and descriptors each.
//!
//! `cargo run --release -p runtime --example idle_cost [SANDBOXES] [IMAGES]`. Each guest has a mount and a memory of
//! its own, says a word and sleeps, as a long-lived pod does.

#![expect(clippy::print_stdout, reason = "a program for people")]

use std::sync::Arc;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use futures::future::BoxFuture;
use runtime::{Access, Code, Compiler, HttpOptions, Limits, Mount, Options, OutputSink, Profile, Runtime, SandboxSpec};
use tokio::sync::Semaphore;

/// Says a word, then sleeps for a day; `IMAGE` makes each image another.
const IDLE: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 17)
    (data (i32.const 0) "\08\00\00\00\05\00\00\00idle\n")
    (data (i32.const 1048576) "IMAGE")
    (func (export "_start")
        (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 100)))
        (i32.store (i32.const 216) (i32.const 1))
        (i64.store (i32.const 224) (i64.const 86400000000000))
        (drop (call $poll (i32.const 200) (i32.const 300) (i32.const 1) (i32.const 400)))))"#;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Counts the guests that have spoken.
struct Heard(Semaphore);

impl OutputSink for Heard {
    fn write(&self, bytes: &[u8]) -> usize {
        self.0.add_permits(1);
        bytes.len()
    }

    fn room(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// What this process takes: resident bytes, anonymous ones among them, mappings, descriptors.
fn usage() -> Result<[usize; 4]> {
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup")?;
    let bytes = |name: &str| {
        let line = rollup.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|rest| rest.split_whitespace().next()?.parse::<usize>().ok()).unwrap_or(0) << 10
    };
    let mappings = std::fs::read_to_string("/proc/self/maps")?.lines().count();
    Ok([bytes("Rss:"), bytes("Anonymous:"), mappings, std::fs::read_dir("/proc/self/fd")?.count()])
}

async fn load(runtime: &Runtime, folder: &std::path::Path, image: usize) -> Result<Code> {
    let path = folder.join(format!("{image}.wasm"));
    std::fs::write(&path, wat::parse_str(IDLE.replace("IMAGE", &image.to_string()))?)?;
    Ok(runtime.load(&path, &image.to_string(), Profile::Dense).await?)
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let sandboxes = args.next().map_or(Ok(10_000), |count| count.parse::<u32>())?;
    let images = args.next().map_or(Ok(100), |count| count.parse::<usize>())?.max(1);
    let folder = tempfile::tempdir()?;
    let volume = Dir::open_ambient_dir(folder.path(), ambient_authority())?;
    let runtime = Runtime::start(Options::new(folder.path().join("code"), Compiler::InProcess))?;
    let mut codes = Vec::new();
    for image in 0..images {
        codes.push(load(&runtime, folder.path(), image).await?);
    }

    let before = usage()?;
    let heard = Arc::new(Heard(Semaphore::new(0)));
    let mut started = Vec::new();
    for (number, code) in (0..sandboxes).zip(codes.iter().cycle()) {
        let stdout: Arc<dyn OutputSink> = heard.clone();
        let mount = Mount { guest_path: "/var/run".into(), dir: volume.try_clone()?, access: Access::ReadOnly };
        let spec = SandboxSpec {
            name: format!("default/pod-{number}/c"),
            args: vec!["idle".into()],
            env: vec![("KUBERNETES_SERVICE_HOST".into(), "100.96.0.1".into())],
            mounts: vec![mount],
            working_dir: None,
            stdin: None,
            stdout: Arc::clone(&stdout),
            stderr: stdout,
            limits: Limits::default(),
            deadline: None,
            host_name: format!("pod-{number}"),
            http: HttpOptions::default(),
        };
        started.push(runtime.start_sandbox(code, spec)?);
    }
    drop(heard.0.acquire_many(sandboxes).await?);
    let after = usage()?;
    for ((what, before), after) in
        ["resident bytes", "anonymous bytes", "mappings", "descriptors"].iter().zip(before).zip(after)
    {
        let each = (after as f64 - before as f64) / f64::from(sandboxes);
        println!("{what:<16}{each:>12.2} each{after:>14} in all");
    }
    Ok(())
}
